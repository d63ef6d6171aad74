"""What a folder of data sets holds, and what is missing or damaged in it: every file is opened, nothing is changed.

The folder has one folder for each data set: ``camvid/``, ``simple_images/``, ``msrc21/``, ``voc12_mini/``. A finding is
an ``"error"`` if a run on that data would stop or measure the wrong thing, a ``"warning"`` if it would go on but a
reader should know, and ``"ok"`` for what is there.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from wsss_lib.data import camvid, msrc21, simple_images
from wsss_lib.data.disk import few, list_pictures
from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, MSRC21, VOC
from wsss_lib.data.pictures import content_digest, read_image, read_label_map
from wsss_lib.data.tags import names_in_tags_csv, read_tags_csv, tags_from_label_map
from wsss_lib.vocabulary import DataError, LabelMap, LabelSpace, Tags

Severity = Literal["ok", "warning", "error"]
Result = TypeVar("Result")

THIN = 20
"""A simple class with fewer pictures is named: a classifier sees too little of it to be trusted."""


TRAIN_WITHOUT = "part of what is trained on is measured on, so better train without them"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One sentence about one data set."""

    dataset: str
    severity: Severity
    message: str


@dataclass(frozen=True, kw_only=True)
class _Split:
    """Files of one split; ``labels`` is None where the split is not meant to have any."""

    dataset: str
    name: str
    pictures: Mapping[str, Path]
    labels: Mapping[str, Path] | None
    read_labels: Callable[[Path], LabelMap]
    label_space: LabelSpace

    def find(self, severity: Severity, message: str) -> Finding:
        return Finding(dataset=self.dataset, severity=severity, message=f"{self.name}: {message}")


def check_data(root: Path) -> list[Finding]:
    """Findings about every data set under ``root``, data set by data set; damaged files are reported, never raised."""
    if not root.is_dir():
        return [Finding(dataset="data", severity="error", message=f"there is no folder {root}; check the path")]
    findings: list[Finding] = []
    for name, check in CHECKS.items():
        if not (root / name).is_dir():
            message = f"not there: no folder {root / name}; only what uses this data set needs it"
            findings.append(Finding(dataset=name, severity="warning", message=message))
            continue
        try:
            findings.extend(check(root / name))
        except (DataError, OSError) as error:
            findings.append(Finding(dataset=name, severity="error", message=str(error)))
    return findings


def _check_camvid(root: Path) -> Iterator[Finding]:
    files: dict[str, Mapping[str, Path]] = {}
    for split in camvid.SPLITS:
        try:
            files[split] = camvid.find_pictures(root, split)
        except DataError as error:
            yield Finding(dataset="camvid", severity="error", message=str(error))
            continue
        stems = list(files[split])
        labels = camvid.present_labels(root, split, stems)
        annotations = root / f"{split}annot"
        if annotations.is_dir():
            labelled = {stem.removesuffix("_L") for stem in list_pictures(annotations)}
            yield from _left_over("camvid", f"label maps in {annotations} have no picture", labelled - set(stems))
        if (root / split).is_dir():
            unlisted = set(list_pictures(root / split)) - set(stems)
            yield from _left_over("camvid", f"pictures in {root / split} are not in its list", unlisted)
        yield from _check_split(
            _Split(
                dataset="camvid",
                name=split,
                pictures=files[split],
                labels=None if split == "test" and not labels else labels,
                read_labels=camvid.read_camvid_labels,
                label_space=CAMVID,
            )
        )
    yield from _repeated(
        "camvid", "splits", {split: list(pictures.values()) for split, pictures in files.items()}, TRAIN_WITHOUT
    )


def _check_msrc21(root: Path) -> Iterator[Finding]:
    present = list_pictures(root / "images")
    label_files = list_pictures(root / "labels") if (root / "labels").is_dir() else {}
    files: dict[str, list[Path]] = {}
    for split in msrc21.SPLITS:
        names = names_in_tags_csv(root / "tags.csv", split)
        yield from _check_tags("msrc21", root / "tags.csv", names, MSRC21, split)
        yield from _absent("msrc21", f"{split}: pictures listed in tags.csv", names, present)
        pictures = {name: present[name] for name in names if name in present}
        labels = {name: label_files[name] for name in pictures if name in label_files}
        files[split] = list(pictures.values())
        yield from _check_split(
            _Split(
                dataset="msrc21",
                name=split,
                pictures=pictures,
                labels=None if split == "test" and not labels else labels,
                read_labels=msrc21.read_msrc21_labels,
                label_space=MSRC21,
            )
        )
    listed = set(names_in_tags_csv(root / "tags.csv"))
    yield from _left_over("msrc21", "pictures have no row in tags.csv", set(present) - listed)
    yield from _left_over("msrc21", "label maps have no row in tags.csv", set(label_files) - listed)
    yield from _repeated("msrc21", "splits", files, TRAIN_WITHOUT)


def _check_voc(root: Path) -> Iterator[Finding]:
    pictures, labels = list_pictures(root / "images"), list_pictures(root / "labels")
    yield from _check_tags("voc12_mini", root / "tags.csv", list(pictures), VOC)
    yield from _left_over("voc12_mini", "label maps have no picture", set(labels) - set(pictures))
    yield from _check_split(
        _Split(
            dataset="voc12_mini",
            name="all",
            pictures=pictures,
            labels={name: labels[name] for name in pictures if name in labels},
            read_labels=lambda path: read_label_map(path, VOC),
            label_space=VOC,
        )
    )


def _check_simple_images(root: Path) -> Iterator[Finding]:
    files = simple_images.find_simple_pictures(root)
    every = [path for paths in files.values() for path in paths]
    _, problems = _attempt_all(read_image, every)
    yield from _damaged("simple_images", "pictures", problems, len(every))
    on_disk = {path for paths in simple_images.files_of_folders(root).values() for path in paths}
    unlisted = {str(path.relative_to(root)) for path in on_disk - set(every)}
    yield from _left_over("simple_images", "pictures are not in the manifest", unlisted)
    yield from _repeated("simple_images", "classes", files, "the classifier learns from both names")
    thin = [f"{name} {len(paths)}" for name, paths in files.items() if len(paths) < THIN]
    if thin:
        message = f"few pictures in {', '.join(thin)}; expect these classes to be found badly"
        yield Finding(dataset="simple_images", severity="warning", message=message)
    for target in (CAMVID, CITYSCAPES):
        reached = {simple_images.target_of(name, target) for name in files}
        gaps = [name for index, name in enumerate(target.classes) if index not in reached]
        if gaps:
            message = f"nothing stands for {', '.join(gaps)} of {target.name}; seeds of it cannot be found"
            yield Finding(dataset="simple_images", severity="warning", message=message)
    message = f"{len(every) - len(problems)} pictures in {len(files)} classes can be read"
    yield Finding(dataset="simple_images", severity="ok", message=message)


CHECKS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "camvid": _check_camvid,
    "simple_images": _check_simple_images,
    "msrc21": _check_msrc21,
    "voc12_mini": _check_voc,
}


def _check_split(split: _Split) -> Iterator[Finding]:
    """Damage in the pictures and label maps of a split, pairs that do not fit, and what is there."""
    shapes, problems = _attempt_all(lambda path: read_image(path).shape[:2], split.pictures.values())
    yield from _damaged(split.dataset, f"{split.name} pictures", problems, len(split.pictures))
    sizes = Counter(f"{width} x {height}" for height, width in shapes.values())
    common = f"{len(shapes)} pictures can be read ({few((size for size, _ in sizes.most_common()), 2)})"
    if split.labels is None:
        yield split.find("ok", f"{common}, no label maps, so nothing can be measured on it")
        return
    yield from _absent(split.dataset, f"{split.name}: label maps", list(split.pictures), split.labels)
    label_maps, problems = _attempt_all(lambda path: _shape_and_tags(split, path), split.labels.values())
    yield from _damaged(split.dataset, f"{split.name} label maps", problems, len(split.labels))
    pairs = [(split.pictures[name], path) for name, path in split.labels.items()]
    unequal = [a.name for a, b in pairs if a in shapes and b in label_maps and shapes[a] != label_maps[b][0]]
    if unequal:
        yield split.find("error", f"{len(unequal)} pictures and their label maps differ in size ({few(unequal)})")
    if label_maps:
        classes = np.mean([tags.sum() for _, tags in label_maps.values()])
        common += f", {len(label_maps)} label maps with {classes:.2f} classes on average"
    yield split.find("ok", common)


def _shape_and_tags(split: _Split, path: Path) -> tuple[tuple[int, int], Tags]:
    label_map = split.read_labels(path)
    height, width = label_map.shape
    return (height, width), tags_from_label_map(label_map, len(split.label_space))


def _check_tags(
    dataset: str, tags_csv: Path, names: Sequence[str], label_space: LabelSpace, split: str | None = None
) -> Iterator[Finding]:
    try:
        read_tags_csv(tags_csv, names, label_space, split=split)
    except DataError as error:
        yield Finding(dataset=dataset, severity="error", message=str(error))


def _attempt_all(
    read: Callable[[Path], Result], paths: Iterable[Path]
) -> tuple[dict[Path, Result], dict[Path, Exception]]:
    """What reading each file gives, and for the others what went wrong."""

    def attempt(path: Path) -> Result | Exception:
        try:
            return read(path)
        except Exception as error:  # a check reports whatever is wrong with a file and goes on to the next
            return error

    files = list(paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding lets other threads run
        outcomes = dict(zip(files, pool.map(attempt, files), strict=True))
    good = {path: outcome for path, outcome in outcomes.items() if not isinstance(outcome, Exception)}
    return good, {path: outcome for path, outcome in outcomes.items() if isinstance(outcome, Exception)}


def _damaged(dataset: str, what: str, problems: Mapping[Path, Exception], total: int) -> Iterator[Finding]:
    if problems:
        message = f"{len(problems)} of {total} {what} are damaged: {few(problems.values())}"
        yield Finding(dataset=dataset, severity="error", message=message)


def _absent(dataset: str, what: str, wanted: Sequence[str], present: Mapping[str, Path]) -> Iterator[Finding]:
    missing = [name for name in wanted if name not in present]
    if missing:
        message = (
            f"{what} are missing for {len(missing)} of {len(wanted)} names ({few(missing)}); unpack the data again"
        )
        yield Finding(dataset=dataset, severity="error", message=message)


def _left_over(dataset: str, what: str, names: set[str]) -> Iterator[Finding]:
    if names:
        message = f"{len(names)} {what} and are not used ({few(sorted(names))})"
        yield Finding(dataset=dataset, severity="warning", message=message)


def _repeated(dataset: str, groups: str, files: Mapping[str, Sequence[Path]], remedy: str) -> Iterator[Finding]:
    """Files with the same contents in two of the ``groups``, splits or classes, that should have nothing in common."""
    first: dict[bytes, tuple[str, Path]] = {}
    repeated: list[str] = []
    for group, paths in files.items():
        for path in paths:
            other, other_path = first.setdefault(content_digest(path), (group, path))
            if other != group:
                repeated.append(f"{other}/{other_path.name} = {group}/{path.name}")
    if repeated:
        message = f"{len(repeated)} pictures are in two {groups} ({few(repeated)}); {remedy}"
        yield Finding(dataset=dataset, severity="warning", message=message)
