"""What a check says, and what is checked in the same way for every data set: damage, gaps, left-overs, repetitions."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from wsss_lib.data.check.journal import Journal
from wsss_lib.data.disk import few
from wsss_lib.data.pictures import content_digest, picture_size, read_image
from wsss_lib.data.tags import read_tags_csv
from wsss_lib.vocabulary import IGNORE, DataError, LabelMap, LabelSpace

Severity = Literal["ok", "warning", "error"]

PNG_END = b"IEND\xaeB`\x82"
"""The last bytes of a whole PNG file."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence about one data set."""

    dataset: str
    severity: Severity
    message: str


@dataclass(frozen=True, kw_only=True)
class Split:
    """Files of one split; ``labels`` is None where the split is not meant to have any.

    ``published`` is how many pictures the data set has. Pictures of a split that is ``glanced`` at are not decoded: PNG
    files are opened, and looked at their end. Label maps of a ``scaled`` one are read at another size, so that it is
    enough if they have their pictures' proportions.
    """

    dataset: str
    name: str
    pictures: Mapping[str, Path]
    labels: Mapping[str, Path] | None
    read_labels: Callable[[Path], LabelMap]
    label_space: LabelSpace
    published: int | None = None
    glanced: bool = False
    scaled: bool = False

    def find(self, severity: Severity, message: str) -> Finding:
        return Finding(dataset=self.dataset, severity=severity, message=f"{self.name}: {message}")


def check_split(split: Split, journal: Journal) -> Iterator[Finding]:
    """Damage in the pictures and label maps of a split, pairs that do not fit, and what is there."""
    look, how = (glance, "glanced at") if split.glanced else (decode, "decoded")
    shapes, problems = journal.attempt_all(how, look, split.pictures.values())
    if split.published not in (None, len(split.pictures)):
        yield split.find("warning", f"{len(split.pictures)} pictures; the published data set has {split.published}")
    yield from damaged(split.dataset, f"{split.name} pictures", problems, len(split.pictures))
    sizes = Counter(f"{width} x {height}" for height, width in shapes.values())
    common = f"{len(shapes)} pictures can be read ({few((size for size, _ in sizes.most_common()), 2)})"
    if split.labels is None:
        yield split.find("ok", f"{common}, no label maps, so nothing can be measured on it")
        return
    yield from absent(split.dataset, f"{split.name}: label maps", list(split.pictures), split.labels)
    labels = f"labels of {split.label_space.name}"
    label_maps, problems = journal.attempt_all(labels, partial(shape_and_classes, split), split.labels.values())
    yield from damaged(split.dataset, f"{split.name} label maps", problems, len(split.labels))
    pairs = [(split.pictures[name], path) for name, path in split.labels.items()]
    both = [(a.name, *shapes[a], *label_maps[b][:2]) for a, b in pairs if a in shapes and b in label_maps]
    if unequal := [name for name, *sizes in both if not _fit(*sizes, scaled=split.scaled)]:
        what = "proportions" if split.scaled else "size"
        yield split.find("error", f"{len(unequal)} pictures and their label maps differ in {what} ({few(unequal)})")
    if label_maps:
        classes = np.mean([count for _, _, count in label_maps.values()])
        common += f", {len(label_maps)} label maps with {classes:.2f} classes on average"
    yield split.find("ok", common)


def _fit(height: int, width: int, label_height: int, label_width: int, *, scaled: bool) -> bool:
    same = (height, width) == (label_height, label_width)
    return same or (scaled and height * label_width == width * label_height)


def decode(path: Path) -> tuple[int, int]:
    """Height and width of a picture that can be read to its end."""
    height, width = read_image(path).shape[:2]
    return height, width


def glance(path: Path) -> tuple[int, int]:
    """Height and width from the header of a PNG file that has its end: a download that broke off has none."""
    width, height = picture_size(path)
    with path.open("rb") as stream:
        stream.seek(-min(len(PNG_END), path.stat().st_size), os.SEEK_END)
        if stream.read() != PNG_END:
            raise DataError(f"{path} breaks off before its end; fetch it again")
    return height, width


def shape_and_classes(split: Split, path: Path) -> tuple[int, int, int]:
    """Height and width of a label map, and how many classes are tags of it."""
    label_map = split.read_labels(path)
    height, width = label_map.shape
    pixels = cv2.calcHist([label_map], [0], None, [IGNORE + 1], [0, IGNORE + 1])  # other threads can run meanwhile
    return height, width, int((pixels[: len(split.label_space)] > 0).sum())


def check_tags(
    dataset: str, tags_csv: Path, names: Sequence[str], label_space: LabelSpace, split: str
) -> Iterator[Finding]:
    try:
        read_tags_csv(tags_csv, names, label_space, split=split)
    except DataError as error:
        yield Finding(dataset=dataset, severity="error", message=str(error))


def damaged(dataset: str, what: str, problems: Mapping[Path, Exception], total: int) -> Iterator[Finding]:
    if problems:
        message = f"{len(problems)} of {total} {what} are damaged: {few(problems.values())}"
        yield Finding(dataset=dataset, severity="error", message=message)


def absent(dataset: str, what: str, wanted: Sequence[str], present: Mapping[str, Path]) -> Iterator[Finding]:
    missing = [name for name in wanted if name not in present]
    if missing:
        message = (
            f"{what} are missing for {len(missing)} of {len(wanted)} names ({few(missing)}); unpack the data again"
        )
        yield Finding(dataset=dataset, severity="error", message=message)


def left_over(dataset: str, what: str, names: set[str]) -> Iterator[Finding]:
    if names:
        message = f"{len(names)} {what} and are not used ({few(sorted(names))})"
        yield Finding(dataset=dataset, severity="warning", message=message)


def repeated(dataset: str, groups: str, files: Mapping[str, Sequence[Path]], remedy: str) -> Iterator[Finding]:
    """Files with the same contents in two of the ``groups``, splits or classes, that should have nothing in common.

    Only files of one length are read to be compared.
    """
    lengths = Counter(path.stat().st_size for paths in files.values() for path in paths)
    first: dict[bytes, tuple[str, Path]] = {}
    repeated: list[str] = []
    for group, paths in files.items():
        for path in (path for path in paths if lengths[path.stat().st_size] > 1):
            other, other_path = first.setdefault(content_digest(path), (group, path))
            if other != group:
                repeated.append(f"{other}/{other_path.name} = {group}/{path.name}")
    if repeated:
        message = f"{len(repeated)} pictures are in two {groups} ({few(repeated)}); {remedy}"
        yield Finding(dataset=dataset, severity="warning", message=message)
