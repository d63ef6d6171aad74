"""Image tags: the only supervision the method may use.

**The one rule.** A class is a tag of a picture if it covers at least ``minimum_share`` of the picture's pixels, and at
least one pixel. Pixels of unknown class count as part of the picture, so its size alone sets the threshold. The default
share is 0: one pixel is enough. It is the reading that gives the paper's "nearly all" tags per driving picture (CamVid
train: 9.63 of 11). The rare classes depend on it: Bicyclist is a tag of 201 of the 367 pictures at one pixel, and of
172 at 50 of the 480 x 360 pixels.

Tags may also come from a CSV file. Its header has ``name`` (or ``id``) and ``tags``, perhaps ``split`` and other
columns; the tags of a picture are separated by ``|``. Or from a JSON file that maps names to lists of tags. The
background class of a label space that has one is part of every picture and is never listed.
"""

import csv
import json
import os
from collections.abc import Callable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from wsss_lib.data.disk import PICTURE_SUFFIXES, few
from wsss_lib.data.label_spaces import did_you_mean
from wsss_lib.vocabulary import IGNORE, DataError, LabelMap, LabelSpace, SettingsError, Tags, TagTable

SEPARATOR = "|"


def tags_from_label_map(label_map: LabelMap, num_classes: int, minimum_share: float = 0.0) -> Tags:
    """Which classes are somewhere in the picture, by the one rule above.

    ``minimum_share`` is a share of all pixels, 0..1. Raises ``DataError`` for a value that is neither a class index
    nor ``IGNORE``.
    """
    if not 0.0 <= minimum_share <= 1.0:
        raise SettingsError(f"minimum_share is {minimum_share}; it is a share of the picture's pixels, from 0 to 1")
    counts = np.bincount(label_map.ravel(), minlength=IGNORE + 1)
    strangers = np.flatnonzero(counts[num_classes:IGNORE]) + num_classes
    if strangers.size:
        raise DataError(
            f"a label map holds {strangers.tolist()}, but {num_classes} classes have 0..{num_classes - 1} "
            f"({IGNORE} = unknown); read it with its own label space"
        )
    # Dividing, not multiplying, keeps "exactly the share" on the right side: 7 / 100 is 0.07, but 0.07 * 100 is over 7.
    return (counts[:num_classes] >= 1) & (counts[:num_classes] / max(label_map.size, 1) >= minimum_share)


def tag_table(
    label_map: Callable[[int], LabelMap], count: int, num_classes: int, minimum_share: float = 0.0
) -> TagTable:
    """:func:`tags_from_label_map` of ``count`` label maps, picture x class; several are decoded at once."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding lets other threads run
        rows = pool.map(lambda i: tags_from_label_map(label_map(i), num_classes, minimum_share), range(count))
        return np.stack(list(rows))


def read_tags(path: Path, names: Sequence[str], label_space: LabelSpace) -> TagTable:
    """Tags of the pictures ``names``, in that order, from a CSV or a JSON file; as strict as :func:`read_tags_csv`."""
    return _table(path, _listed_tags(path), names, label_space)


def classes_in_tags(path: Path) -> tuple[str, ...]:
    """All tags that a CSV or JSON file names, sorted."""
    return tuple(sorted({tag for tags in _listed_tags(path).values() for tag in tags}))


def _listed_tags(path: Path) -> dict[str, list[str]]:
    """Picture name -> its tags."""
    if path.suffix.lower() != ".json":
        return {name: _split_tags(cell) for name, cell in _rows_by_name(path, None).items()}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_without_repetition)
    except FileNotFoundError:
        raise DataError(f"there is no tags file {path}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); it maps picture names to lists of tags") from None
    if not isinstance(content, dict) or not all(
        isinstance(tags, list) and all(isinstance(tag, str) for tag in tags) for tags in content.values()
    ):
        raise DataError(f'{path} must map picture names to lists of tags, such as {{"a": ["road", "car"]}}')
    return {name: [tag.strip() for tag in tags if tag.strip()] for name, tags in content.items()}


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name is there twice")
    return content


def read_tags_csv(path: Path, names: Sequence[str], label_space: LabelSpace, *, split: str | None = None) -> TagTable:
    """Tags of the pictures ``names``, in that order, from a CSV file as described above.

    ``split`` keeps the rows of one split only. Raises ``DataError`` for a tag that is not in the label space, a
    picture without a row, a row without a picture, two rows for one picture, and a file without the two columns.
    """
    rows = _rows_by_name(path, split)
    return _table(path, {name: _split_tags(cell) for name, cell in rows.items()}, names, label_space)


def _table(path: Path, listed: Mapping[str, list[str]], names: Sequence[str], label_space: LabelSpace) -> TagTable:
    listed = _without_endings(listed, set(names))
    _check_same_names(path, list(listed), names)
    table = np.zeros((len(names), len(label_space)), dtype=bool)
    if label_space.background is not None:
        table[:, label_space.background] = True
    for picture, name in enumerate(names):
        for tag in listed[name]:
            table[picture, _class_of_tag(tag, name, path, label_space)] = True
    return table


def _without_endings(listed: Mapping[str, list[str]], names: Set[str]) -> dict[str, list[str]]:
    """A row may also be called as its file, with the ending: a list of files is what programs write."""
    found = {}
    for name, tags in listed.items():
        stem, _, ending = name.rpartition(".")
        is_file = f".{ending.lower()}" in PICTURE_SUFFIXES and name not in names and stem in names - listed.keys()
        found[stem if is_file else name] = tags
    return found


def names_in_tags_csv(path: Path, split: str | None = None) -> tuple[str, ...]:
    """The picture names a tags file lists, in its order; ``split`` keeps those of one split."""
    return tuple(_rows_by_name(path, split))


def _rows_by_name(path: Path, split: str | None) -> dict[str, str]:
    """Picture name -> its ``tags`` cell."""
    rows: dict[str, str] = {}
    for row in _read_rows(path, split):
        name = row["name" if "name" in row else "id"].strip()
        if name in rows:
            raise DataError(f"{path} has two rows for the picture {name!r}; keep one, with all its tags")
        rows[name] = row["tags"]
    return rows


def _read_rows(path: Path, split: str | None) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            columns, rows = set(reader.fieldnames or ()), list(reader)
    except FileNotFoundError:
        raise DataError(f"there is no tags file {path}; it needs a header name,tags and one row a picture") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file of tags ({error}); save it as plain UTF-8 CSV") from None
    if "tags" not in columns or not columns & {"name", "id"}:
        raise DataError(f"{path} has the columns {sorted(columns)}; its header must have name (or id) and tags")
    for line, row in enumerate(rows, start=2):
        if any(cell.strip() for cell in row.pop(None, ())):  # what DictReader finds beyond the header
            raise DataError(
                f"{path} has more cells than its header in row {line}; separate the tags of a picture by {SEPARATOR}"
            )
    if split is None:
        return rows
    if "split" not in columns:
        raise DataError(f"{path} has no column split, so the rows of {split!r} cannot be told apart; add the column")
    return [row for row in rows if row["split"].strip() == split]


def _check_same_names(path: Path, listed: Sequence[str], names: Sequence[str]) -> None:
    without_row = sorted(set(names) - set(listed))
    if without_row:
        raise DataError(f"{path} has no row for {few(without_row)}; add a row with name and tags for each picture")
    without_picture = sorted(set(listed) - set(names))
    if without_picture:
        hint = did_you_mean(without_picture[0], names)
        raise DataError(
            f"{path} has rows for pictures that are not there: {few(without_picture)}{hint}; "
            "remove the rows or add the pictures (names are file names, with or without their endings)"
        )


def _split_tags(cell: str) -> list[str]:
    return [tag.strip() for tag in cell.split(SEPARATOR) if tag.strip()]


def _class_of_tag(tag: str, name: str, path: Path, label_space: LabelSpace) -> int:
    if tag not in label_space.classes:
        raise DataError(
            f"{path}: the tag {tag!r} of {name!r} is not a class of {label_space.name}"
            f"{did_you_mean(tag, label_space.classes)}; its classes are {', '.join(label_space.classes)}"
        )
    return label_space.classes.index(tag)
