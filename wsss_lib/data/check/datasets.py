"""What a folder of data sets holds, and what is missing or damaged in it; nothing is changed.

Every picture and label map that a run would read is opened. Of Cityscapes' sequences it is only seen that they are
there.

The folder has one folder for each data set, named as in ``CHECKS``. A finding is an ``"error"`` if a run on that data
would stop or measure the wrong thing, a ``"warning"`` if it would go on but a reader should know, and ``"ok"`` for what
is there.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from wsss_lib.data import camvid, cityscapes, imagenet, msrc21, simple_images, voc2012
from wsss_lib.data.check.findings import (
    Finding,
    Split,
    absent,
    check_split,
    check_tags,
    damaged,
    decode,
    left_over,
    repeated,
)
from wsss_lib.data.check.journal import Journal
from wsss_lib.data.disk import list_pictures
from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, MSRC21, VOC
from wsss_lib.data.tags import names_in_tags_csv
from wsss_lib.vocabulary import DataError

THIN = 20
"""A simple class with fewer pictures is named: a classifier sees too little of it to be trusted."""


TRAIN_WITHOUT = "part of what is trained on is measured on, so better train without them"


def check_data(root: Path, journal: Journal | None = None) -> Iterator[Finding]:
    """Findings about every data set under ``root``, as soon as they are known; damage is reported, never raised.

    Files that the ``journal`` knows, and that have not changed, are not opened again.
    """
    journal = journal or Journal()
    if not root.is_dir():
        yield Finding(dataset="data", severity="error", message=f"there is no folder {root}; check the path")
        return
    for name, check in CHECKS.items():
        if not (root / name).is_dir():
            message = f"not there: no folder {root / name}; only what uses this data set needs it"
            yield Finding(dataset=name, severity="warning", message=message)
            continue
        try:
            yield from check(root / name, journal)
        except (DataError, OSError) as error:
            yield Finding(dataset=name, severity="error", message=str(error))


def _check_camvid(root: Path, journal: Journal) -> Iterator[Finding]:
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
            yield from left_over("camvid", f"label maps in {annotations} have no picture", labelled - set(stems))
        if (root / split).is_dir():
            unlisted = set(list_pictures(root / split)) - set(stems)
            yield from left_over("camvid", f"pictures in {root / split} are not in its list", unlisted)
        yield from check_split(
            Split(
                dataset="camvid",
                name=split,
                pictures=files[split],
                labels=None if split == "test" and not labels else labels,
                read_labels=camvid.read_camvid_labels,
                label_space=CAMVID,
                scaled=True,
            ),
            journal,
        )
    yield from repeated(
        "camvid", "splits", {split: list(pictures.values()) for split, pictures in files.items()}, TRAIN_WITHOUT
    )


def _check_msrc21(root: Path, journal: Journal) -> Iterator[Finding]:
    present = list_pictures(root / "images")
    label_files = list_pictures(root / "labels") if (root / "labels").is_dir() else {}
    files: dict[str, list[Path]] = {}
    for split in msrc21.SPLITS:
        names = names_in_tags_csv(root / "tags.csv", split)
        yield from check_tags("msrc21", root / "tags.csv", names, MSRC21, split)
        yield from absent("msrc21", f"{split}: pictures listed in tags.csv", names, present)
        pictures = {name: present[name] for name in names if name in present}
        labels = {name: label_files[name] for name in pictures if name in label_files}
        files[split] = list(pictures.values())
        yield from check_split(
            Split(
                dataset="msrc21",
                name=split,
                pictures=pictures,
                labels=None if split == "test" and not labels else labels,
                read_labels=msrc21.read_msrc21_labels,
                label_space=MSRC21,
            ),
            journal,
        )
    listed = set(names_in_tags_csv(root / "tags.csv"))
    yield from left_over("msrc21", "pictures have no row in tags.csv", set(present) - listed)
    yield from left_over("msrc21", "label maps have no row in tags.csv", set(label_files) - listed)
    yield from repeated("msrc21", "splits", files, TRAIN_WITHOUT)


def _check_simple_images(root: Path, journal: Journal) -> Iterator[Finding]:
    files = simple_images.find_simple_pictures(root)
    every = [path for paths in files.values() for path in paths]
    _, problems = journal.attempt_all("decoded", decode, every)
    yield from damaged("simple_images", "pictures", problems, len(every))
    on_disk = {path for paths in simple_images.files_of_folders(root).values() for path in paths}
    unlisted = {str(path.relative_to(root)) for path in on_disk - set(every)}
    yield from left_over("simple_images", "pictures are not in the manifest", unlisted)
    yield from repeated("simple_images", "classes", files, "the classifier learns from both names")
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


def _check_cityscapes(root: Path, journal: Journal) -> Iterator[Finding]:
    """Pictures are glanced at: decoding 5,000 of 2048 x 1024 takes minutes. Label maps are read."""
    files: dict[str, list[Path]] = {}
    for split, count in cityscapes.COUNTS.items():
        try:
            pictures = cityscapes.find_pictures(root, split)
        except DataError as error:
            yield Finding(dataset="cityscapes", severity="error", message=str(error))
            continue
        files[split] = list(pictures.values())
        labels = None if split == "test" else cityscapes.present_labels(root, split, list(pictures))
        yield from check_split(
            Split(
                dataset="cityscapes", name=split, pictures=pictures, labels=labels, label_space=CITYSCAPES,
                read_labels=cityscapes.read_cityscapes_labels, published=count, glanced=True,
            ),
            journal,
        )  # fmt: skip
        yield from _check_sequences(root, split, list(pictures))
    yield from repeated("cityscapes", "splits", files, TRAIN_WITHOUT)


def _check_sequences(root: Path, split: str, frames: list[str]) -> Iterator[Finding]:
    try:
        there = cityscapes.next_frames(root, split, frames) is not None
    except DataError as error:
        yield Finding(dataset="cityscapes", severity="error", message=f"{split}: {error}")
        return
    if there:
        message = f"{split}: every frame has the one after it, so there is optical flow"
        yield Finding(dataset="cityscapes", severity="ok", message=message)


def _check_voc2012(root: Path, journal: Journal) -> Iterator[Finding]:
    voc2012.devkit(root)  # without it no split says more than that it is not there
    files: dict[str, list[Path]] = {}
    for split in ("train_voc", "train", "val", "test"):
        try:
            names = voc2012.find_names(root, split)
            pictures = voc2012.find_pictures(root, split, names)
            labels = [] if split == "test" else voc2012.find_labels(root, split, names)
        except DataError as error:  # SBD and the test pictures are further packages, which may be left out whole
            severity = "error" if voc2012.is_begun(root, split) else "warning"
            yield Finding(dataset="voc2012", severity=severity, message=f"{split}: {error}")
            continue
        if split != "train_voc":
            files[split] = pictures
        yield from check_split(
            Split(
                dataset="voc2012", name=split, pictures=dict(zip(names, pictures, strict=True)), label_space=VOC,
                labels=dict(zip(names, labels, strict=True)) if labels else None,
                read_labels=voc2012.read_voc_labels, published=voc2012.COUNTS[split],
            ),
            journal,
        )  # fmt: skip
    yield from repeated("voc2012", "splits", files, TRAIN_WITHOUT)


def _check_imagenet(root: Path, journal: Journal) -> Iterator[Finding]:
    """Pictures that the classifier learns from are decoded, at most 1,300 of a class; the others are counted."""
    used = [path for paths in imagenet.chosen_pictures(root).values() for path in paths]
    _, problems = journal.attempt_all("decoded", decode, used)
    yield from damaged("imagenet", "pictures", problems, len(used))
    for report in imagenet.imagenet_report(root):
        severity = "ok" if report.taken >= THIN and not report.stand_in else "warning"
        yield Finding(dataset="imagenet", severity=severity, message=str(report))


CHECKS: dict[str, Callable[[Path, Journal], Iterator[Finding]]] = {
    "cityscapes": _check_cityscapes,
    "camvid": _check_camvid,
    "imagenet": _check_imagenet,
    "simple_images": _check_simple_images,
    "msrc21": _check_msrc21,
    "voc2012": _check_voc2012,
}
