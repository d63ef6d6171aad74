"""Image tags: the only supervision the method may use.

**The one rule.** A class is a tag of a picture if it covers at least ``minimum_share`` of the picture's pixels, and at
least one pixel. Pixels of unknown class count as part of the picture, so its size alone sets the threshold. The default
share is 0: one pixel is enough. It is the reading that gives the paper's "nearly all" tags per driving picture (CamVid
train: 9.63 of 11). The rare classes depend on it: Bicyclist is a tag of 201 of the 367 pictures at one pixel, and of
172 at 50 of the 480 x 360 pixels.

Tags may also come from a CSV file. Its header has ``name`` (or ``id``) and ``tags``, perhaps ``split`` and other
columns; the tags of a picture are separated by ``|``. Or from a JSON file that maps names to lists of tags. The
background class of a label space that has one is part of every picture and is never listed. Names and tags are compared
by :func:`one_spelling`.
"""

import csv
import json
import os
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from wsss_lib.data.disk import PICTURE_SUFFIXES, few
from wsss_lib.data.label_spaces import did_you_mean
from wsss_lib.vocabulary import IGNORE, DataError, LabelMap, LabelSpace, SettingsError, Tags, TagTable

SEPARATOR = "|"


def one_spelling(name: str) -> str:
    """The name with every accent in its letter (NFC); two names are the same if these are.

    Archives made on macOS hold file names with the accents apart, spreadsheets and keyboards write them together.
    """
    return unicodedata.normalize("NFC", name)


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
    return {name: _clean(tags) for name, tags in content.items()}


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content: dict[str, object] = {}
    for name, value in pairs:
        if name in content:
            raise ValueError(f"a name is there twice: {name!r}")
        content[name] = value
    return content


def read_tags_csv(path: Path, names: Sequence[str], label_space: LabelSpace, *, split: str | None = None) -> TagTable:
    """Tags of the pictures ``names``, in that order, from a CSV file as described above.

    ``split`` keeps the rows of one split only. Raises ``DataError`` for a tag that is not in the label space, a
    picture without a row, a row without a picture, two rows for one picture, and a file without the two columns.
    """
    rows = _rows_by_name(path, split)
    return _table(path, {name: _split_tags(cell) for name, cell in rows.items()}, names, label_space)


def _table(path: Path, listed: Mapping[str, list[str]], names: Sequence[str], label_space: LabelSpace) -> TagTable:
    rows = _rows_of_pictures(path, listed, names)
    table = np.zeros((len(names), len(label_space)), dtype=bool)
    if label_space.background is not None:
        table[:, label_space.background] = True
    for picture, name in enumerate(names):
        for tag in listed[rows[name]]:
            table[picture, _class_of_tag(tag, name, path, label_space)] = True
    return table


def _rows_of_pictures(path: Path, listed: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """Picture -> the name of its row, which may also be that of its file: a list of files is what programs write.

    Raises ``DataError`` unless every picture has one row and every row a picture.
    """
    pictures = _pictures_by_spelling(names)
    rows: dict[str, str] = {}
    without_picture: list[str] = []
    for row in listed:
        name = one_spelling(row)
        stem, _, ending = name.rpartition(".")
        without_ending = stem if f".{ending.lower()}" in PICTURE_SUFFIXES else name
        picture = pictures.get(name, pictures.get(without_ending))
        if picture is None:
            without_picture.append(row)
        elif picture in rows:
            raise DataError(
                f"{path} has two rows for the picture {picture!r} ({rows[picture]} and {row}); keep one, with all its "
                "tags"
            )
        else:
            rows[picture] = row
    if without_row := sorted(set(names) - set(rows)):
        raise DataError(f"{path} has no row for {few(without_row)}; add a row with name and tags for each picture")
    if without_picture:
        without_picture.sort()
        raise DataError(
            f"{path} has rows for pictures that are not there: {few(without_picture)}"
            f"{did_you_mean(without_picture[0], names)}; "
            "remove the rows or add the pictures (names are file names, with or without their endings)"
        )
    return rows


def _pictures_by_spelling(names: Sequence[str]) -> dict[str, str]:
    """The names by :func:`one_spelling`; ``DataError`` where two pictures share it, as no row could tell them apart."""
    pictures: dict[str, str] = {}
    for name in names:
        if pictures.setdefault(one_spelling(name), name) != name:
            raise DataError(
                f"two pictures are called {name!r}, one with its accents in the letters and one with them apart; "
                "rename or remove one"
            )
    return pictures


def names_in_tags_csv(path: Path, split: str | None = None) -> tuple[str, ...]:
    """The picture names a tags file lists, in its order; ``split`` keeps those of one split."""
    return tuple(_rows_by_name(path, split))


def _rows_by_name(path: Path, split: str | None) -> dict[str, str]:
    """Picture name -> its ``tags`` cell."""
    rows: dict[str, str] = {}
    for row in _read_rows(path, split):
        name = _name_in(row)
        if name in rows:
            raise DataError(f"{path} has two rows for the picture {name!r}; keep one, with all its tags")
        rows[name] = row["tags"]
    return rows


def _name_in(row: Mapping[str, str]) -> str:
    return row["name" if "name" in row else "id"].strip()


def _read_rows(path: Path, split: str | None) -> list[dict[str, str]]:
    """The rows with anything in them; each has a name."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            columns = set(reader.fieldnames or ())
            by_line = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise DataError(f"there is no tags file {path}; it needs a header name,tags and one row a picture") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file of tags ({error}); save it as plain UTF-8 CSV") from None
    if "tags" not in columns or not columns & {"name", "id"}:
        raise DataError(f"{path} has the columns {sorted(columns)}; its header must have name (or id) and tags")
    for line, row in by_line:
        if any(cell.strip() for cell in row.pop(None, ())):  # what DictReader finds beyond the header
            raise DataError(
                f"{path} has more cells than its header in line {line}; separate the tags of a picture by {SEPARATOR}"
            )
    # Spreadsheets also save the rows that were emptied.
    by_line = [(line, row) for line, row in by_line if any(cell.strip() for cell in row.values())]
    if nameless := [line for line, row in by_line if not _name_in(row)]:
        raise DataError(f"{path} names no picture in line {nameless[0]}; add the picture's name or remove the row")
    rows = [row for _, row in by_line]
    if split is None:
        return rows
    if "split" not in columns:
        raise DataError(f"{path} has no column split, so the rows of {split!r} cannot be told apart; add the column")
    return [row for row in rows if row["split"].strip() == split]


def _split_tags(cell: str) -> list[str]:
    return _clean(cell.split(SEPARATOR))


def _clean(tags: Iterable[str]) -> list[str]:
    return [one_spelling(tag.strip()) for tag in tags if tag.strip()]


def _class_of_tag(tag: str, name: str, path: Path, label_space: LabelSpace) -> int:
    if tag not in label_space.classes:
        raise DataError(
            f"{path}: the tag {tag!r} of {name!r} is not a class of {label_space.name}"
            f"{did_you_mean(tag, label_space.classes)}; its classes are {', '.join(label_space.classes)}"
        )
    return label_space.classes.index(tag)
