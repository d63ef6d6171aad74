"""Cityscapes as it is unpacked: 2975 / 500 / 1525 frames of 2048 x 1024, 19 classes (Cordts et al., CVPR 2016).

Layout, one folder a city::

    leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<frame>_gtFine_labelIds.png            ids 0..33 (or ..._labelTrainIds.png: 0..18 and 255)
    leftImg8bit_sequence/<split>/<city>/<frame>_leftImg8bit.png  optional: the 30 frames around every labelled one

with ``<frame>`` = ``<city>_<sequence>_<number>``, both of six digits. The labels of the test split are at the server;
the files of its ``gtFine`` folder are placeholders and are not read.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from wsss_lib.data.disk import few
from wsss_lib.data.label_spaces import CITYSCAPES, CITYSCAPES_IDS, did_you_mean
from wsss_lib.data.pictures import (
    Size,
    check_sizes,
    fingerprint_of_files,
    image_reader,
    read_index_map,
    read_label_map,
    resize_label_map,
)
from wsss_lib.data.tags import tag_table
from wsss_lib.vocabulary import IGNORE, DataError, LabelMap, SceneSet, SettingsError

COUNTS: Mapping[str, int] = {"train": 2975, "val": 500, "test": 1525}
"""Pictures of every split of the published data set."""

FRAME = re.compile(r"(?P<city>[A-Za-z-]+)_(?P<sequence>\d{6})_(?P<number>\d{6})")
PICTURE = "_leftImg8bit.png"
LABEL_IDS, TRAIN_IDS = "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"
LAST_ID = 33

HOW_TO_GET = (
    "register at cityscapes-dataset.com, get leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpack both "
    "into one folder, and give the folder that holds leftImg8bit/ and gtFine/"
)


def cityscapes(root: Path, split: str, *, size: Size | None = None, minimum_tag_share: float = 0.0) -> SceneSet:
    """One split of Cityscapes, pictures and labels at ``size`` = (width, height); ``None`` keeps 2048 x 1024.

    Names are frames, sorted. Tags come from the label maps at that size by the rule of ``wsss_lib.data.tags``. All
    label maps are read once here, pictures only on demand. Raises ``DataError`` where anything is missing or damaged, a
    file has another name than the data set gives it, or a label map holds other numbers than its name says.
    """
    pictures = find_pictures(root, split)
    labels = {} if split == "test" else find_labels(root, split, list(pictures))
    files, label_files = list(pictures.values()), list(labels.values())
    label_map = partial(_scaled_label_map, label_files, size) if labels else None
    if labels:
        check_sizes(files, label_files)
    return SceneSet(
        label_space=CITYSCAPES,
        split=split,
        names=tuple(pictures),
        image=image_reader(files, size),
        label_map=label_map,
        tags=None if label_map is None else tag_table(label_map, len(files), len(CITYSCAPES), minimum_tag_share),
        fingerprint=fingerprint_of_files([*files, *label_files], size, minimum_tag_share),
    )


def find_pictures(root: Path, split: str) -> dict[str, Path]:
    """Frame -> picture file of a split, sorted by frame."""
    if split not in COUNTS:
        raise SettingsError(
            f"{split!r} is not a split of Cityscapes{did_you_mean(split, COUNTS)}; there are {few(COUNTS)}"
        )
    folder = root / "leftImg8bit" / split
    found = sorted(path for path in folder.glob(f"*/*{PICTURE}") if not path.name.startswith("."))
    if not found:
        raise DataError(f"Cityscapes' {split} pictures are missing: no <city>/*{PICTURE} in {folder}; {HOW_TO_GET}")
    frames = {path.name.removesuffix(PICTURE): path for path in found}
    strange = [path for frame, path in frames.items() if city_of(frame) != path.parent.name]
    if strange:
        raise DataError(
            f"{len(strange)} of {len(found)} pictures are not called <city>_<6 digits>_<6 digits>{PICTURE} in the "
            f"folder of their city ({few(strange)}); unpack Cityscapes again without renaming anything"
        )
    return dict(sorted(frames.items()))


def city_of(frame: str) -> str | None:
    """The city of a frame; ``None`` for what is no frame's name."""
    match = FRAME.fullmatch(frame)
    return None if match is None else match["city"]


def find_labels(root: Path, split: str, frames: Sequence[str]) -> dict[str, Path]:
    """Frame -> label file, label ids before trainIds; ``DataError`` if any frame has neither."""
    found = present_labels(root, split, frames)
    missing = [frame for frame in frames if frame not in found]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(frames)} label maps of Cityscapes' {split} split are missing ({few(missing)}): no "
            f"<frame>{LABEL_IDS} or <frame>{TRAIN_IDS} in {root / 'gtFine' / split}/<city>; {HOW_TO_GET}"
        )
    return found


def present_labels(root: Path, split: str, frames: Sequence[str]) -> dict[str, Path]:
    """Frame -> label file, for the frames that have one."""
    found = {}
    for frame in frames:
        folder = root / "gtFine" / split / str(city_of(frame))
        places = [folder / f"{frame}{ending}" for ending in (LABEL_IDS, TRAIN_IDS)]
        if place := next(filter(Path.is_file, places), None):
            found[frame] = place
    return found


def read_cityscapes_labels(path: Path) -> LabelMap:
    """A label map in trainIds, from a file of label ids or of trainIds, which its name tells apart.

    Raises ``DataError`` if the numbers are not those that the name promises: ids are 0..33 and never 255, trainIds are
    0..18 and 255.
    """
    if path.name.endswith(TRAIN_IDS):
        return read_label_map(path, CITYSCAPES)
    ids = read_index_map(path, f"a map of Cityscapes' ids, 0..{LAST_ID}")
    if ids.max(initial=0) > LAST_ID:
        holds = "255, as trainIds do" if IGNORE in ids else f"{int(ids.max())}"
        raise DataError(
            f"{path} is called a map of label ids (0..{LAST_ID}) but holds {holds}; give the file of the data set, or "
            f"call a map of trainIds <frame>{TRAIN_IDS}"
        )
    return cv2.LUT(ids, _TRAIN_ID_OF_ID)  # as indexing does, but other threads can run meanwhile


def next_frames(root: Path, split: str, frames: Sequence[str]) -> list[Path] | None:
    """The frame after every labelled one, from the sequences; ``None`` without ``leftImg8bit_sequence/<split>``.

    Raises ``DataError`` if the sequences are there but not whole.
    """
    folder = root / "leftImg8bit_sequence" / split
    if not folder.is_dir():
        return None
    files = [folder / str(city_of(frame)) / f"{_following(frame)}{PICTURE}" for frame in frames]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(files)} frames that follow a labelled one are missing in {folder} "
            f"({few(missing)}); unpack leftImg8bit_sequence_trainvaltest.zip again, or remove the folder to go on "
            "without sequences"
        )
    return files


def _following(frame: str) -> str:
    head, _, number = frame.rpartition("_")
    return f"{head}_{int(number) + 1:06d}"


def _table_of_ids() -> np.ndarray:
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[list(CITYSCAPES_IDS)] = np.arange(len(CITYSCAPES_IDS))
    return table


_TRAIN_ID_OF_ID = _table_of_ids()


def _scaled_label_map(files: Sequence[Path], size: Size | None, index: int) -> LabelMap:
    label_map = read_cityscapes_labels(files[index])
    return label_map if size is None else resize_label_map(label_map, size)
