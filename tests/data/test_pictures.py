"""Reading, writing, resizing and colouring pictures; damaged files."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import PngImagePlugin

from wsss_lib.data.label_spaces import CAMVID, VOC
from wsss_lib.data.pictures import (
    check_sizes,
    color_overlay,
    fingerprint_of_files,
    image_reader,
    part_of_resized,
    picture_size,
    read_image,
    read_label_map,
    resize_image,
    resize_label_map,
    write_image,
    write_label_map,
)
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


RED_GREEN = np.array([[[255, 0, 0], [0, 255, 0]]], dtype=np.uint8)  # one row: red, green


# --- Reading pictures ---


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tif"])
def test_lossless_formats_come_back_pixel_for_pixel(tmp_path: Path, paint, photo, ending: str) -> None:
    image = read_image(paint(tmp_path / f"x.{ending}", photo(0)))
    assert image.dtype == np.uint8
    assert image.flags.writeable
    np.testing.assert_array_equal(image, photo(0))


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("L", 7, (7, 7, 7)),
        ("1", 1, (255, 255, 255)),
        ("LA", (7, 255), (7, 7, 7)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),  # transparent is laid on white
        ("RGBA", (0, 0, 0, 51), (204, 204, 204)),  # one fifth of black on white
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 257, (1, 1, 1)),  # 65535 / 257 = 255: both ends of the range are kept
    ],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, pixel, expected) -> None:
    Pillow.new(mode, (2, 1), pixel).save(tmp_path / "x.png")
    image = read_image(tmp_path / "x.png")
    assert image.shape == (1, 2, 3)
    assert tuple(image[0, 0]) == expected


def test_palette_pictures_show_their_colours_and_their_transparency(tmp_path: Path) -> None:
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "opaque.png")
    picture.save(tmp_path / "clear.png", transparency=1)
    np.testing.assert_array_equal(read_image(tmp_path / "opaque.png"), [[[10, 20, 30], [40, 50, 60]]])
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), [[[10, 20, 30], [255, 255, 255]]])


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    """The stored picture is 3 wide and 2 high, a corner is marked; the EXIF standard says where it belongs."""
    stored = np.zeros((2, 3, 3), dtype=np.uint8)
    stored[0, 0] = 255
    upright_corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    picture = Pillow.fromarray(stored)
    exif = picture.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{ending}"
    picture.save(path, exif=exif)

    image = read_image(path)

    assert image.shape[:2] == ((2, 3) if orientation < 5 else (3, 2))
    assert picture_size(path) == image.shape[1::-1]
    assert image[upright_corner[orientation]].min() == 255
    assert image.sum() == 3 * 255


def test_the_size_of_a_png_is_told_without_its_pixels(tmp_path: Path, photo, monkeypatch) -> None:
    """EXIF may stand behind the pixels, where Pillow finds it by decoding them; most pictures have none."""
    plain, turned = tmp_path / "plain.png", tmp_path / "turned.png"
    for path in (plain, turned):
        Pillow.fromarray(photo(0)).save(path)
    exif = Pillow.Exif()
    exif[0x0112] = 6
    content, end = turned.read_bytes(), len(chunk(b"IEND", b""))
    turned.write_bytes(content[:-end] + chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + content[-end:])
    assert (picture_size(plain), picture_size(turned)) == ((8, 6), (6, 8))
    assert read_image(turned).shape == (8, 6, 3)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", None)
    assert picture_size(plain) == (8, 6)


def test_grey_values_of_32_bits_are_refused(tmp_path: Path) -> None:
    """Values up to 255 would be read as black, as the first of 65535."""
    Pillow.fromarray(np.full((6, 8), 200, np.int32)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x\.tif has grey values of 32 bits, whose range is not known; save it with 8"):
        read_image(tmp_path / "x.tif")


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path, photo) -> None:
    Pillow.fromarray(photo(0)).save(tmp_path / "x.png", exif=b"Exif\0\0 nonsense")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), photo(0))
    assert picture_size(tmp_path / "x.png") == (8, 6)


def test_reader_reads_on_every_call(tmp_path: Path, paint, photo) -> None:
    read = image_reader([paint(tmp_path / "a.png", photo(0)), paint(tmp_path / "b.png", photo(1))])
    np.testing.assert_array_equal(read(1), photo(1))
    paint(tmp_path / "b.png", photo(2))
    np.testing.assert_array_equal(read(1), photo(2))


# --- Damaged files ---


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no picture .*gone\.png; check the folder"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(DataError, match="cannot be read as a picture"):
        read_image(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.png cannot be read as a picture .*fetch it again or remove it"):
        read_image(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tif"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, paint, photo, ending: str, share: float) -> None:
    path = paint(tmp_path / f"x.{ending}", photo(0, (60, 80)))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=rf"x\.{ending} cannot be read as a picture"):
        read_image(path)


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "bmp", "tif", "gif"])
def test_scrambled_files_give_a_picture_or_a_data_error(tmp_path: Path, paint, photo, ending: str) -> None:
    path = paint(tmp_path / f"x.{ending}", photo(0, (30, 40)))
    original = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(60):
        scrambled = original.copy()
        places = rng.integers(0, min(len(original), 200), 4)
        scrambled[places] = rng.integers(0, 256, 4)
        path.write_bytes(scrambled.tobytes())
        try:
            outcomes.add(read_image(path).ndim)
        except DataError:
            outcomes.add("refused")
    assert outcomes <= {3, "refused"}
    assert "refused" in outcomes


def _png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (60_000, 60_000)])
def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png_that_claims(width, height))
    with pytest.raises(DataError, match=r"bomb\.png claims more than 100 megapixels; scale it down"):
        read_image(path)


def test_fractional_grey_values_are_refused(tmp_path: Path) -> None:
    Pillow.new("F", (2, 2), 0.5).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match="fractional grey values"):
        read_image(tmp_path / "x.tif")


# --- Label maps ---


@pytest.mark.parametrize("mode", ["L", "P"])
def test_label_map_values_are_indices_whatever_the_palette(tmp_path: Path, mode: str) -> None:
    picture = Pillow.fromarray(np.array([[0, 10, 11, 255]], dtype=np.uint8))
    if mode == "P":
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    picture.save(tmp_path / "x.png")
    label_map = read_label_map(tmp_path / "x.png", CAMVID, ignore_values=(11,))
    assert label_map.dtype == np.uint8
    assert label_map.tolist() == [[0, 10, IGNORE, IGNORE]]


def test_one_bit_label_maps_are_indices(tmp_path: Path) -> None:
    Pillow.fromarray(np.array([[True, False]])).save(tmp_path / "x.png")
    assert read_label_map(tmp_path / "x.png", CAMVID).tolist() == [[1, 0]]


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_label_maps_of_few_bits_are_refused(tmp_path: Path, bits: int) -> None:
    """Pillow stretches their values: 3 of 2 bits would be 255, which is unknown."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes([0, 0b11 << (8 - bits)])))
    (tmp_path / "x.png").write_bytes(SIGNATURE + head + pixels + chunk(b"IEND", b""))
    with pytest.raises(DataError, match=r"x\.png is a grey picture of less than 8 bits; save it with 8 bits"):
        read_label_map(tmp_path / "x.png", CAMVID)


def test_first_value_shifts_the_classes(tmp_path: Path, paint) -> None:
    path = paint(tmp_path / "x.png", [[0, 1, 11]])
    assert read_label_map(path, CAMVID, first_value=1, ignore_values=(0,)).tolist() == [[IGNORE, 0, 10]]


def test_values_outside_the_label_space_are_named(tmp_path: Path, paint) -> None:
    path = paint(tmp_path / "x.png", [[0, 11, 200, 10]])
    with pytest.raises(DataError, match=r"x\.png holds the label values \[11, 200\].*camvid.*known are 0\.\.10, 255\)"):
        read_label_map(path, CAMVID)


def test_a_photo_is_no_label_map(tmp_path: Path, paint, photo) -> None:
    with pytest.raises(DataError, match="mode RGB, not an index map"):
        read_label_map(paint(tmp_path / "x.png", photo(0)), CAMVID)


def test_written_label_map_is_read_back_and_looks_like_the_label_space(tmp_path: Path) -> None:
    label_map = np.array([[0, 1, 20], [IGNORE, 2, 3]], dtype=np.uint8)
    write_label_map(tmp_path / "out" / "x.png", label_map, VOC)
    np.testing.assert_array_equal(read_label_map(tmp_path / "out" / "x.png", VOC), label_map)
    colors = read_image(tmp_path / "out" / "x.png")
    assert [tuple(colors[0, i]) for i in range(3)] == [VOC.colors[0], VOC.colors[1], VOC.colors[20]]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["x.png"]


def test_label_maps_that_would_not_be_read_back_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"would hold the label values \[11\]"):
        write_label_map(tmp_path / "x.png", np.array([[11]], dtype=np.uint8), CAMVID)
    with pytest.raises(SettingsError, match=r"written as PNG.*x\.jpg"):
        write_label_map(tmp_path / "x.jpg", np.array([[1]], dtype=np.uint8), CAMVID)
    assert not list(tmp_path.iterdir())


def test_real_voc_masks_are_read(shared_folder: Path) -> None:
    files = sorted((shared_folder / "data" / "voc12_mini" / "labels").iterdir())
    values = {int(v) for path in files for v in np.unique(read_label_map(path, VOC))}
    assert len(files) == 30
    assert {0, 15, IGNORE} <= values <= {*range(21), IGNORE}


def test_written_picture_is_read_back(tmp_path: Path, photo) -> None:
    write_image(tmp_path / "x.png", photo(0)[::2, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), photo(0)[::2, ::-1])


# --- Sizes ---


def test_shrinking_takes_the_mean_over_the_area() -> None:
    image = np.array([[10, 20, 100, 100], [30, 40, 100, 104]], dtype=np.uint8)[..., None].repeat(3, axis=2)
    assert resize_image(image, (2, 1))[..., 0].tolist() == [[25, 101]]


def test_enlarging_is_bilinear_about_pixel_centres() -> None:
    """Two pixels at 1/2 and 3/2; four new ones at 1/4, 3/4, 5/4, 7/4 of the old scale, clamped at the ends."""
    image = np.array([[0, 80]], dtype=np.uint8)[..., None].repeat(3, axis=2)
    assert resize_image(image, (4, 1))[..., 0].tolist() == [[0, 20, 60, 80]]


def test_labels_take_the_class_under_the_new_centre() -> None:
    label_map = np.arange(6, dtype=np.uint8)[None].repeat(2, axis=0)
    assert resize_label_map(label_map, (3, 1)).tolist() == [[1, 3, 5]]  # centres at 1, 3, 5
    assert resize_label_map(label_map, (2, 1)).tolist() == [[1, 4]]  # centres at 1.5 and 4.5
    assert resize_label_map(label_map, (12, 2))[0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.parametrize("size", [(97, 61), (161, 121), (241, 130), (48, 40), (120, 160), (100, 80)])
def test_a_part_of_a_resized_picture_has_the_values_of_the_whole(size: tuple[int, int]) -> None:
    """Smooth noise whose neighbours differ by up to 115 grey levels: samples half a pixel off are found."""
    noise = np.random.default_rng(0).normal(0, 1, (80, 100, 3))
    image = (128 + 300 * cv2.GaussianBlur(noise, (0, 0), 1.5)).clip(0, 255).astype(np.uint8)
    whole = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    for top, left, rows, columns in [(0, 0, 33, 40), (size[1] - 33, size[0] - 40, 33, 40), (5, 7, 20, 30)]:
        rows, columns = slice(top, top + rows), slice(left, left + columns)
        part = part_of_resized(image, size, rows, columns)
        assert np.abs(part.astype(int) - whole[rows, columns]).max() <= (0 if size == (100, 80) else 2)
        assert abs(np.mean(part) - np.mean(whole[rows, columns])) < 0.3
    assert np.array_equal(part_of_resized(image, size, slice(0, size[1]), slice(0, size[0])), whole)


def test_same_size_changes_nothing(photo) -> None:
    np.testing.assert_array_equal(resize_image(photo(0), (8, 6)), photo(0))
    np.testing.assert_array_equal(resize_label_map(photo(0)[..., 0], (8, 6)), photo(0)[..., 0])


@pytest.mark.parametrize("size", [(0, 5), (5, -1)])
def test_sizes_without_pixels_are_refused(photo, size: tuple[int, int]) -> None:
    with pytest.raises(SettingsError, match="has no pixels"):
        resize_image(photo(0), size)
    with pytest.raises(SettingsError, match="has no pixels"):
        resize_label_map(photo(0)[..., 0], size)


def test_pairs_of_different_size_are_named(tmp_path: Path, paint, photo) -> None:
    picture = paint(tmp_path / "x.png", photo(0))  # 8 x 6
    half, square = paint(tmp_path / "half.png", np.zeros((3, 4))), paint(tmp_path / "square.png", np.zeros((6, 6)))
    check_sizes([picture], [half], exactly=False)
    with pytest.raises(DataError, match=r"x\.png is 8 x 6 but its label map .*half\.png is 4 x 3"):
        check_sizes([picture], [half])
    with pytest.raises(DataError, match=r"square\.png is 6 x 6"):
        check_sizes([picture], [square], exactly=False)


# --- Colours and fingerprints ---


def test_overlay_mixes_by_hand_and_leaves_unknown_pixels() -> None:
    """Road is (128, 64, 128): half of it over red (255, 0, 0) is (191.5, 32, 64), rounded to even."""
    label_map = np.array([[CAMVID.index("Road"), IGNORE]], dtype=np.uint8)
    overlay = color_overlay(RED_GREEN, label_map, CAMVID)
    assert overlay.dtype == np.uint8
    assert overlay.tolist() == [[[192, 32, 64], [0, 255, 0]]]
    assert color_overlay(RED_GREEN, label_map, CAMVID, alpha=1.0)[0, 0].tolist() == [128, 64, 128]
    np.testing.assert_array_equal(color_overlay(RED_GREEN, label_map, CAMVID, alpha=0.0), RED_GREEN)


def test_overlay_needs_a_pair() -> None:
    with pytest.raises(DataError, match="picture is 2 x 1 but its label map 3 x 3"):
        color_overlay(RED_GREEN, np.zeros((3, 3), dtype=np.uint8), CAMVID)


def test_fingerprint_sees_names_contents_order_and_settings_but_not_folders(tmp_path: Path) -> None:
    def file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    a, b = file("one/a", "x"), file("one/b", "y")
    moved_a, moved_b = file("two/a", "x"), file("two/b", "y")
    whole = fingerprint_of_files([a, b])
    assert fingerprint_of_files([moved_a, moved_b]) == whole
    different = {
        whole,
        fingerprint_of_files([b, a]),
        fingerprint_of_files([a]),
        fingerprint_of_files([a, file("one/c", "y")]),
        fingerprint_of_files([a, file("two/b", "z")]),
        fingerprint_of_files([a, b], (4, 3)),
        fingerprint_of_files([a, b], (3, 4)),
    }
    assert len(different) == 7


def test_fingerprint_of_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone cannot be read"):
        fingerprint_of_files([tmp_path / "gone"])
