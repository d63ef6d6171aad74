"""MSRC-21 version 2: 591 simple scenes in 23 classes, the stand-in for PASCAL VOC (Shotton et al. 2006; paper 4.4.4).

Layout: ``images/<name>.<ending>``, ``labels/<name>.png`` (index PNGs, 0 = void, 1..23), ``tags.csv`` with the columns
``name,split,tags``. The tags are those of the CSV, so that the method sees what an annotator would have said; the
label maps are for measuring. The test split has tags but no label maps.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from wsss_lib.data.disk import few, list_pictures
from wsss_lib.data.label_spaces import MSRC21, did_you_mean
from wsss_lib.data.pictures import check_sizes, fingerprint_of_files, image_reader, read_label_map
from wsss_lib.data.tags import names_in_tags_csv, read_tags_csv
from wsss_lib.vocabulary import DataError, LabelMap, SceneSet, SettingsError

SPLITS = ("train", "val", "test")
VOID = 0
"""The file value of unknown pixels; class ``c`` has the value ``c + 1``."""


def msrc21(root: Path, split: str) -> SceneSet:
    """One split of MSRC-21 at the pictures' own sizes, in the order of ``tags.csv``.

    ``label_map`` is None for a test split without label files. Raises ``DataError`` for missing or half-unpacked data,
    an unknown tag, and a picture and label map of different size.
    """
    if split not in SPLITS:
        raise SettingsError(
            f"{split!r} is not a split of MSRC-21{did_you_mean(split, SPLITS)}; there are {few(SPLITS)}"
        )
    tags_csv = root / "tags.csv"
    names = names_in_tags_csv(tags_csv, split)
    if not names:
        raise DataError(f"{tags_csv} lists no picture of the split {split!r}; restore the file of the data set")
    pictures = _files(root / "images", names)
    has_labels = split != "test" or any((root / "labels" / f"{name}.png").is_file() for name in names)
    labels = _files(root / "labels", names) if has_labels else []
    if has_labels:
        check_sizes(pictures, labels)
    tags = read_tags_csv(tags_csv, names, MSRC21, split=split)
    return SceneSet(
        label_space=MSRC21,
        split=split,
        names=names,
        image=image_reader(pictures),
        label_map=partial(_label_map, labels) if has_labels else None,
        tags=tags,
        fingerprint=fingerprint_of_files([*pictures, *labels], names, tags.tolist()),
    )


def read_msrc21_labels(path: Path) -> LabelMap:
    """One label map, void as ``IGNORE``."""
    return read_label_map(path, MSRC21, first_value=1, ignore_values=(VOID,))


def _files(folder: Path, names: Sequence[str]) -> list[Path]:
    """The files of a folder that belong to the names, in their order."""
    present = list_pictures(folder) if folder.is_dir() else {}
    missing = [name for name in names if name not in present]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(names)} files are missing in {folder} ({few(missing)}); unpack MSRC-21 again and "
            "give the folder that holds images/, labels/ and tags.csv"
        )
    return [present[name] for name in names]


def _label_map(paths: Sequence[Path], index: int) -> LabelMap:
    return read_msrc21_labels(paths[index])
