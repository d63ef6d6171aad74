"""Simple pictures in class folders: one main class each, the stand-in for the paper's ImageNet pictures (paper 4.1).

Layout: ``<class>/<file>``, perhaps with a ``manifest.csv`` (columns ``file`` and ``class``), which then says what
belongs to the set. The folders' classes are finer than some targets and wider than others, so a table sends each of
them to a class of the target label space or to none: such a class stays in the classifier as one that only absorbs
what is none of the targets. Names are compared by ``tags.one_spelling``.
"""

import csv
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lib.data.disk import few, list_pictures
from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES
from wsss_lib.data.pictures import fingerprint_of_files, image_reader
from wsss_lib.data.tags import one_spelling
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelSpace, SimpleSet

MANIFEST = "manifest.csv"

_REPAIR_MANIFEST = "restore it, or remove it to take the class folders as they are"

TARGETS: dict[str, Mapping[str, str]] = {
    CAMVID.name: {
        "sky": "Sky",
        "building": "Building",
        "wall": "Building",
        "bridge": "Building",
        "pole": "Pole",
        "road": "Road",
        "sidewalk": "Pavement",
        "tree": "Tree",
        "sign": "SignSymbol",
        "traffic_light": "SignSymbol",
        "fence": "Fence",
        "car": "Car",
        "truck": "Car",
        "bus": "Car",
        "person": "Pedestrian",
        "rider": "Bicyclist",
        "bicycle": "Bicyclist",
        "motorcycle": "Bicyclist",
    },
    CITYSCAPES.name: {"grass": "terrain", "tree": "vegetation", "sign": "traffic sign"},
}
"""Simple class -> target class, by label space, where the names differ. CamVid has no grass and no train."""


def simple_images(root: Path, target: LabelSpace) -> SimpleSet:
    """The simple pictures of a folder, with the class of ``target`` that each simple class stands for.

    Classes are sorted by name, pictures by class and file. A simple class goes where ``TARGETS`` sends it, else to the
    target class of the same name (``_`` for a space), else nowhere (``IGNORE``). A class that no folder shows, as
    Cityscapes' rider where the pictures are not ImageNet's, is listed by ``missing_targets``.
    """
    return simple_set(find_simple_pictures(root), target)


def simple_set(files: Mapping[str, Sequence[Path]], target: LabelSpace) -> SimpleSet:
    """The set of these pictures, simple class -> files; classes are sorted by name."""
    classes = tuple(sorted(files))
    labels = tuple(label for label, name in enumerate(classes) for _ in files[name])
    paths = [path for name in classes for path in files[name]]
    targets = tuple(target_of(name, target) for name in classes)
    return SimpleSet(
        classes=classes,
        labels=labels,
        targets=targets,
        label_space=target,
        image=image_reader(paths),
        fingerprint=fingerprint_of_files(paths, classes, labels, targets, target.name),
    )


def half_of(simple: SimpleSet, number: int) -> SimpleSet:
    """Every second picture of every class: the first, third, ... for 0, the second, fourth, ... for 1.

    Two halves are two sets of evidence for the same classes. The only picture of a class is in both.
    """
    labels = np.array(simple.labels)
    of_class = [np.flatnonzero(labels == label) for label in range(len(simple.classes))]
    parts = [pictures[number::2] if len(pictures) > 1 else pictures for pictures in of_class]
    chosen = np.sort(np.concatenate(parts)).tolist()
    return replace(
        simple,
        labels=tuple(simple.labels[index] for index in chosen),
        image=partial(_chosen, simple.image, chosen),
        fingerprint=f"{simple.fingerprint}, half {number}",
    )


def _chosen(image: Callable[[int], Image], chosen: Sequence[int], index: int) -> Image:
    return image(chosen[index])


def target_of(simple_class: str, target: LabelSpace) -> int:
    """Index of the target class that a simple class stands for, ``IGNORE`` for none.

    By the table of the label space, else by the name as it is, else with spaces for underscores.
    """
    table, simple_class = TARGETS.get(target.name, {}), one_spelling(simple_class)
    names = (table[simple_class],) if simple_class in table else (simple_class, simple_class.replace("_", " "))
    return next((target.classes.index(name) for name in names if name in target.classes), IGNORE)


def missing_targets(simple: SimpleSet) -> tuple[str, ...]:
    """The target classes, background aside, that no simple picture stands for: the classifier cannot learn them."""
    space = simple.label_space
    reached = {simple.targets[label] for label in simple.labels} | {space.background}
    return tuple(name for index, name in enumerate(space.classes) if index not in reached)


def find_simple_pictures(root: Path) -> dict[str, list[Path]]:
    """Simple class -> its picture files, both sorted; from the manifest where there is one, else from the folders.

    Classes are in one spelling, whatever their folders are in; paths are those on disk.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; give the folder that holds one folder of pictures for each class")
    manifest = root / MANIFEST
    files = _files_of_manifest(manifest) if manifest.is_file() else files_of_folders(root)
    if not files:
        raise DataError(f"{root} holds no pictures in class folders; unpack the data again, one folder a class")
    merged: dict[str, list[Path]] = {}
    for name, paths in files.items():
        merged.setdefault(one_spelling(name), []).extend(paths)
    return {name: sorted(merged[name]) for name in sorted(merged)}


def files_of_folders(root: Path) -> dict[str, list[Path]]:
    folders = [entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    listed = {folder.name: list(list_pictures(folder).values()) for folder in folders}
    return {name: pictures for name, pictures in listed.items() if pictures}


def _files_of_manifest(manifest: Path) -> dict[str, list[Path]]:
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as stream:
            rows = [(row.get("class"), row.get("file")) for row in csv.DictReader(stream)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{manifest} cannot be read as CSV ({error}); {_REPAIR_MANIFEST}") from None
    if not rows:
        raise DataError(f"{manifest} is empty, so it lists no picture; {_REPAIR_MANIFEST}")
    pairs = {(name, manifest.parent / file) for name, file in rows if name and file}
    if not all(name and file for name, file in rows):
        raise DataError(f"{manifest} has rows without a value for file or class; {_REPAIR_MANIFEST}")
    on_disk = _spelt_as_on_disk(manifest.parent, {path for _, path in pairs})
    if absent := sorted(path for _, path in pairs if path not in on_disk):
        raise DataError(
            f"{len(absent)} of {len(pairs)} pictures listed in {manifest} are missing ({few(absent)}); "
            "unpack the data again, or remove the manifest to take the class folders as they are"
        )
    files: dict[str, list[Path]] = {}
    for name, path in {(one_spelling(name), on_disk[path]) for name, path in pairs}:
        files.setdefault(name, []).append(path)
    return files


def _spelt_as_on_disk(folder: Path, paths: Set[Path]) -> dict[Path, Path]:
    """Path -> the file in the folder that it names, perhaps in another spelling; without those that are not there."""
    found = {path: path for path in paths if path.is_file()}
    if len(found) < len(paths):
        files = {one_spelling(str(file)): file for file in folder.rglob("*") if file.is_file()}
        found |= {path: files[name] for path in paths - found.keys() if (name := one_spelling(str(path))) in files}
    return found
