"""Random textures in the folder layouts and sizes of the real data sets: they prove shapes, memory and speed, and
nothing about accuracy.

A picture is a mosaic of coloured cells with grain, about as hard to cut into superpixels as a photograph; its label map
gives every cell a class. The readers cannot tell these trees from the published ones, except by the number of pictures.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from wsss_lib.data.camvid import ORIGINAL_COLORS
from wsss_lib.data.cityscapes import LABEL_IDS, PICTURE
from wsss_lib.data.disk import write_whole
from wsss_lib.data.imagenet import synsets
from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, CITYSCAPES_IDS, VOC, voc_palette
from wsss_lib.vocabulary import DataError, Image, LabelMap

COUNTS = {"train": 4, "val": 1, "test": 1}
SIMPLE_PER_CLASS = 2
_DONE = "complete"


def texture_trees(root: Path, *, write: bool = True) -> Path:
    """Write ``cityscapes/``, ``camvid/``, ``voc2012/`` and ``imagenet/`` into ``root``, if they are not there yet.

    ``DataError`` if they are not and nothing may be written.
    """
    if not (root / _DONE).is_file():
        if not write:
            raise DataError("the random textures that stand for data are not written yet; the first run writes them")
        _cityscapes(root / "cityscapes")
        _camvid(root / "camvid")
        _voc(root / "voc2012")
        _imagenet(root / "imagenet")
        write_whole(root / _DONE, b"random textures, not photographs\n")
    return root


def texture(seed: int, size: tuple[int, int], classes: Sequence[int]) -> tuple[Image, LabelMap]:
    """A picture of (width, height) ``size`` and its label map with some of ``classes``."""
    rng, (width, height) = np.random.default_rng(seed), size
    coarse = rng.integers(0, 1 << 20, (15, 24)).astype(np.int32)
    cells = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST_EXACT)
    shift = cv2.resize(rng.normal(0, width / 120, (18, 27)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    moved = cv2.remap(
        cells.astype(np.float32), columns + shift, rows + shift, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
    )
    cells = moved.astype(np.int64)
    hues = np.stack([cells * factor % 199 + 28 for factor in (7, 31, 101)], axis=-1)
    shade = cv2.resize(rng.normal(0, 20, (24, 40)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    image = hues + shade[..., None] + rng.normal(0, 5, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8), np.asarray(classes, dtype=np.uint8)[cells % len(classes)]


def _cityscapes(root: Path) -> None:
    for number, (split, name) in enumerate(_named("town_{:06d}_000019")):
        image, labels = texture(number, (2048, 1024), range(len(CITYSCAPES)))
        folder = Path(split) / "town"
        _write(root / "leftImg8bit" / folder / (name + PICTURE), image)
        ids = np.asarray(CITYSCAPES_IDS, dtype=np.uint8)[labels]
        _write(root / "gtFine" / folder / (name + LABEL_IDS), ids)
        following = name.replace("_000019", "_000020") + PICTURE
        _write(root / "leftImg8bit_sequence" / folder / following, np.roll(image, 4, axis=1))


def _camvid(root: Path) -> None:
    colors = np.array([next(iter(ORIGINAL_COLORS[name].values())) for name in CAMVID.classes], dtype=np.uint8)
    lists: dict[str, list[str]] = {}
    for number, (split, name) in enumerate(_named("frame_{:05d}")):
        image, labels = texture(100 + number, (960, 720), range(len(CAMVID)))
        _write(root / "701_StillsRaw_full" / f"{name}.png", image)
        _write(root / "LabeledApproved_full" / f"{name}_L.png", colors[labels])
        lists.setdefault(split, []).append(f"{name}.png")
    _write_lists(root, lists)


def _voc(root: Path) -> None:
    kit, lists = root / "VOCdevkit" / "VOC2012", {}
    for number, (split, name) in enumerate(_named("2007_{:06d}")):
        size = (500, 375) if number % 2 else (375, 500)
        image, labels = texture(200 + number, size, [0, 0, 1 + number % (len(VOC) - 1), len(VOC) - 1])
        _write(kit / "JPEGImages" / f"{name}.jpg", image)
        if split != "test":
            _write_palette(kit / "SegmentationClass" / f"{name}.png", labels)
            _write_palette(kit / "SegmentationClassAug" / f"{name}.png", labels)
        lists.setdefault(split, []).append(name)
    _write_lists(kit / "ImageSets" / "Segmentation", lists)


def _imagenet(root: Path) -> None:
    first = {row.simple_class: row.synset for row in reversed(synsets()) if row.rank == "main"}
    for number, synset in enumerate(first.values()):
        for i in range(SIMPLE_PER_CLASS):
            _write(root / synset / f"{synset}_{i}.JPEG", texture(300 + 10 * number + i, (500, 375), [0])[0])


def _named(pattern: str) -> list[tuple[str, str]]:
    """(split, name) of every picture."""
    splits = [split for split, count in COUNTS.items() for _ in range(count)]
    return [(split, pattern.format(number)) for number, split in enumerate(splits)]


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = ".jpg" if path.suffix == ".JPEG" else path.suffix
    encoded = cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1]
    write_whole(path, encoded.tobytes())


def _write_palette(path: Path, labels: LabelMap) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Pillow.fromarray(labels)
    picture.putpalette([channel for color in voc_palette(256) for channel in color])
    picture.save(path)


def _write_lists(folder: Path, lists: dict[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, names in lists.items():
        write_whole(folder / f"{split}.txt", "".join(f"{name}\n" for name in names).encode())
