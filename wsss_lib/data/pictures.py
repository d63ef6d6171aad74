"""Pictures and label maps on disk: reading, writing, resizing, colouring, and a fingerprint of files.

Everything read here is uint8: images height x width x 3 in RGB, label maps height x width with class indices and
``IGNORE``. Sizes are given as (width, height), as Pillow and everyday speech give them. Every failure is a
``DataError`` that names the file and the remedy.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Int, UInt8
from PIL import ExifTags, ImageOps
from PIL import Image as Pillow

from wsss_lib.data.disk import replacing
from wsss_lib.data.label_spaces import UNKNOWN_COLOR
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, LabelSpace, SettingsError

Size = tuple[int, int]

INDEX_MODES = ("1", "L", "P")
"""Pillow's modes with one whole number a pixel, of at most 8 bits."""

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can claim any size.

Pillow warns from 89 megapixels on; where warnings are errors, that is the limit.
"""

_PNG_SIGNATURE, _PNG_CHECKSUM = 8, 4
"""Bytes before the first chunk of a PNG, and behind each."""


def read_image(path: Path) -> Image:
    """Any picture Pillow can read, as RGB, turned upright by its EXIF orientation.

    Grey and palette pictures are expanded, 16-bit grey is scaled to 8 bits, transparent pixels are laid on white.
    """
    with open_picture(path) as picture:
        picture.load()
        if (picture.format, picture.mode) == ("TIFF", "I"):
            raise DataError(
                f"{path} has grey values of 32 bits, whose range is not known; save it with 8 bits a channel"
            )
        return np.array(_to_rgb(_upright(picture), path), dtype=np.uint8)


def image_reader(paths: Sequence[Path], size: Size | None = None) -> Callable[[int], Image]:
    """Reads picture ``i`` of the files, at ``size`` if one is given, on every call; unlike a lambda it can be sent to
    another process.
    """
    return partial(_read_one, tuple(paths), size)


def read_label_map(
    path: Path, label_space: LabelSpace, *, first_value: int = 0, ignore_values: Sequence[int] = ()
) -> LabelMap:
    """A label map from an index picture (grey or palette; the palette's colours do not matter).

    ``first_value`` is the file's value for class 0; ``IGNORE`` and the ``ignore_values`` of the file become
    ``IGNORE``. Raises ``DataError`` naming the values that are neither.
    """
    values = read_index_map(path, f"class indices of {label_space.name}")
    table = np.full(IGNORE + 1, IGNORE, dtype=np.uint8)
    table[first_value : first_value + len(label_space)] = np.arange(len(label_space))
    table[list(ignore_values)] = IGNORE
    known = {*range(first_value, first_value + len(label_space)), *ignore_values, IGNORE}
    _check_values(values, known, f"{path} holds", label_space)
    return table[values]


def read_index_map(path: Path, meaning: str) -> UInt8[np.ndarray, "height width"]:
    """The numbers of a grey or palette picture as they are in the file; ``meaning`` says what they should be."""
    with open_picture(path) as picture:
        # Pillow stretches grey values of 2 and 4 bits to 0..255.
        stretched = any(tile[3] in ("L;2", "L;4") for tile in getattr(picture, "tile", ()))
        picture.load()
    if stretched:
        raise DataError(f"{path} is a grey picture of less than 8 bits; save it with 8 bits, or with a palette")
    if picture.mode not in INDEX_MODES:
        raise DataError(
            f"{path} is a picture in mode {picture.mode}, not an index map; "
            f"give a grey or palette PNG whose values are {meaning}"
        )
    return np.array(picture, dtype=np.uint8)


def write_label_map(path: Path, label_map: LabelMap, label_space: LabelSpace) -> None:
    """Write a palette PNG: values are class indices (255 = unknown), colours those of the label space."""
    if path.suffix.lower() != ".png":
        raise SettingsError(f"label maps are written as PNG, which loses nothing, but the name is {path.name}")
    _check_values(label_map, {*range(len(label_space)), IGNORE}, f"{path} would hold", label_space)
    picture = index_picture(label_map, label_space)
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def index_picture(label_map: LabelMap, label_space: LabelSpace) -> Pillow.Image:
    """The label map as a palette picture in the label space's colours."""
    picture = Pillow.fromarray(np.ascontiguousarray(label_map))
    picture.putpalette(_palette(label_space).tobytes())
    return picture


def write_image(path: Path, image: Image) -> None:
    """Write an RGB picture as PNG."""
    with replacing(path) as temporary:
        Pillow.fromarray(np.ascontiguousarray(image)).save(temporary, format="PNG")


@contextmanager
def open_picture(path: Path) -> Iterator[Pillow.Image]:
    """The file opened as a picture, not decoded yet; whatever Pillow raises in the block becomes a ``DataError``."""
    try:
        with Pillow.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Pillow.DecompressionBombError
            yield picture
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise DataError(f"{path} claims more than {MAX_PIXELS // 10**6} megapixels; scale it down first") from None
    except FileNotFoundError:
        raise DataError(f"there is no picture {path}; check the folder or unpack the data again") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly any type on a damaged file
        raise DataError(f"{path} cannot be read as a picture ({error}); fetch it again or remove it") from None


def picture_size(path: Path) -> Size:
    """Width and height as ``read_image`` will give them; the pixels are not decoded."""
    with open_picture(path) as picture:
        width, height = picture.size
        return (height, width) if _lies_on_its_side(picture, path) else (width, height)


def color_overlay(image: Image, label_map: LabelMap, label_space: LabelSpace, alpha: float = 0.5) -> Image:
    """The picture under its class colours, mixed with weight ``alpha`` (0..1); unknown pixels stay as they are."""
    if image.shape[:2] != label_map.shape:
        raise DataError(f"the picture is {_by(image)} but its label map {_by(label_map)}; give a pair of one size")
    mixed = np.rint((1 - alpha) * image + alpha * _palette(label_space)[label_map]).astype(np.uint8)
    return np.where((label_map == IGNORE)[..., None], image, mixed)


def check_size(size: Size) -> None:
    """Raise ``SettingsError`` unless both sides of ``size`` = (width, height) are at least one pixel."""
    if min(size) < 1:
        raise SettingsError(f"the size {size} has no pixels; give (width, height) of at least (1, 1)")


def bounded(size: Size, longest_side: int) -> Size:
    """(width, height) in the same proportions, its longer side at most ``longest_side`` and each at least one pixel."""
    width, height = size
    factor = min(1.0, longest_side / max(size))
    return max(1, round(width * factor)), max(1, round(height * factor))


def resize_image(image: Image, size: Size) -> Image:
    """The picture at ``size`` = (width, height): mean over the covered area when it shrinks, bilinear otherwise."""
    check_size(size)
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    shrinks = size[0] <= width and size[1] <= height
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def resize_label_map(label_map: LabelMap, size: Size) -> LabelMap:
    """The label map at ``size`` = (width, height): each new pixel takes the class under its centre."""
    check_size(size)
    height, width = label_map.shape
    if (width, height) == size:
        return label_map
    rows, columns = slice(0, size[1]), slice(0, size[0])
    return label_map.take(under_centers(height, size[1], rows), 0).take(under_centers(width, size[0], columns), 1)


def part_of_resized(image: Image, size: Size, rows: slice, columns: slice) -> Image:
    """``rows`` and ``columns`` of the picture at ``size`` = (width, height), bilinear; nothing else is computed.

    The samples lie where OpenCV's ``resize`` takes them, so the values are its own, up to rounding. A picture that has
    the size already is only cut, and a whole one is resized.
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return image[rows, columns]
    if (columns, rows) == (slice(0, size[0]), slice(0, size[1])):
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    across, down = width / size[0], height / size[1]
    # Centre of new pixel i at (i + 1/2) * old / new, where centres of old pixels are at j + 1/2.
    start = [[across, 0, (columns.start + 0.5) * across - 0.5], [0, down, (rows.start + 0.5) * down - 0.5]]
    part = cv2.warpAffine(
        image, np.array(start), (columns.stop - columns.start, rows.stop - rows.start),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(part, dtype=np.uint8)


def under_centers(old: int, new: int, part: slice) -> Int[np.ndarray, "part"]:
    """Which of ``old`` pixels lie under the centres of a ``part`` of the ``new`` ones that replace them."""
    # Centre of new pixel i at (i + 1/2) * old / new, floored; in whole numbers, so that no rounding can shift a line.
    return (2 * np.arange(part.start, part.stop) + 1) * old // (2 * new)


def check_sizes(pictures: Sequence[Path], label_maps: Sequence[Path], *, exactly: bool = True) -> None:
    """:func:`check_pair` for label maps that are pictures too; none is decoded."""
    for picture, label_map in zip(pictures, label_maps, strict=True):
        check_pair(picture, label_map, picture_size(label_map), exactly=exactly)


def check_pair(picture: Path, label_map: Path, label_size: tuple[int, int], *, exactly: bool = True) -> None:
    """Raise ``DataError`` if a label map of this (width, height) has another size than its picture, or, if not
    ``exactly``, another width : height.
    """
    (width, height), (label_width, label_height) = picture_size(picture), label_size
    same = (width, height) == label_size
    if not same and (exactly or width * label_height != height * label_width):
        raise DataError(
            f"{picture} is {width} x {height} but its label map {label_map} is {label_width} x {label_height}; "
            "they are not a pair, so unpack both again from one source"
        )


def fingerprint_of_files(paths: Iterable[Path], *settings: object) -> str:
    """SHA-256 over names (without folders) and contents of the files, in the given order, as 64 hex digits.

    ``settings`` are plain values, such as a size, that decide with the files what is read; they count as well.
    """
    total = hashlib.sha256(repr(settings).encode())
    for path in paths:
        total.update(os.fsencode(path.name) + b"\0" + content_digest(path))
    return total.hexdigest()


def content_digest(path: Path) -> bytes:
    """SHA-256 of a file's contents alone."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); restore the file") from None


def _read_one(paths: Sequence[Path], size: Size | None, index: int) -> Image:
    image = read_image(paths[index])
    return image if size is None else resize_image(image, size)


def _upright(picture: Pillow.Image) -> Pillow.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF says nothing about the orientation; the pixels are fine as stored
        return picture


def _lies_on_its_side(picture: Pillow.Image, path: Path) -> bool:
    if picture.format == "TIFF":  # Pillow turns these, and their size, by itself
        return False
    if picture.format == "PNG" and not _png_tells_more(path):
        return False  # Pillow would decode it to look behind the pixels
    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    except Exception:  # as in _upright
        return False


def _png_tells_more(path: Path) -> bool:
    """If a PNG has EXIF or text, which may be EXIF, perhaps behind its pixels; chunks are passed over, not read."""
    with path.open("rb") as file:
        file.seek(_PNG_SIGNATURE)
        while len(head := file.read(8)) == 8 and (kind := head[4:]) != b"IEND":
            if kind in (b"eXIf", b"tEXt", b"zTXt", b"iTXt"):
                return True
            file.seek(int.from_bytes(head[:4]) + _PNG_CHECKSUM, os.SEEK_CUR)
    return False


def _to_rgb(picture: Pillow.Image, path: Path) -> Pillow.Image:
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise DataError(f"{path} has grey values of more than 16 bits; save it with 8 or 16 bits a channel")
        return Pillow.fromarray(np.rint(levels / 257).astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise DataError(f"{path} has fractional grey values, whose range is not known; save it with 8 bits a channel")
    if picture.has_transparency_data:
        colors = picture.convert("RGBA")
        return Pillow.alpha_composite(Pillow.new("RGBA", colors.size, "white"), colors).convert("RGB")
    return picture.convert("RGB")


def _check_values(values: UInt8[np.ndarray, "height width"], known: set[int], who: str, space: LabelSpace) -> None:
    strangers = sorted(set(np.flatnonzero(np.bincount(values.ravel(), minlength=1)).tolist()) - known)
    if strangers:
        raise DataError(
            f"{who} the label values {strangers}, which {space.name} does not have "
            f"(known are {_ranges(known)}); choose the label space of these files or repair them"
        )


def _ranges(values: set[int]) -> str:
    """Sorted whole numbers in short: ``{0, 1, 2, 255}`` is ``"0..2, 255"``."""
    ordered = sorted(values)
    starts = [v for v in ordered if v - 1 not in values]
    ends = [v for v in ordered if v + 1 not in values]
    return ", ".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(starts, ends, strict=True))


def _palette(label_space: LabelSpace) -> UInt8[np.ndarray, "256 3"]:
    palette = np.full((IGNORE + 1, 3), UNKNOWN_COLOR, dtype=np.uint8)
    palette[: len(label_space)] = label_space.colors
    return palette


def _by(array: np.ndarray) -> str:
    return f"{array.shape[1]} x {array.shape[0]}"
