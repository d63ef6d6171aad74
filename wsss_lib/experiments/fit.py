"""From a folder of one's own street pictures with tags to a segmentation network, a report and, with labels, numbers.

The result is a folder: ``network.safetensors`` and ``network.json`` (for ``wsss predict --model``), ``report.html``,
``classes.csv``, and ``build/`` with every stage, where a killed run goes on.
"""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from wsss_lib.data.disk import aside, few, list_pictures, unread_pictures, write_whole
from wsss_lib.data.folder import OwnFolders, own_label_space, own_sizes
from wsss_lib.data.label_spaces import did_you_mean
from wsss_lib.data.simple_images import missing_targets
from wsss_lib.data.tags import SEPARATOR
from wsss_lib.evaluation.scores import scores
from wsss_lib.experiments.counting import label_confusion, predicted, prediction_confusion
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.files import writing
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.plates import heat_of, spread
from wsss_lib.experiments.profiles.own import Network, own_profile
from wsss_lib.experiments.profiles.plus import Method
from wsss_lib.experiments.progress import Say, say
from wsss_lib.experiments.segmentation import OURS, Segmentation
from wsss_lib.reporting.rendering import one_decimal
from wsss_lib.reporting.report import Example, report_page
from wsss_lib.vocabulary import DataError, LabelMap, SettingsError

MODEL_FILES = ("network.safetensors", "network.json")
SHOWN = 8
"""Training pictures in the report."""


def fit(
    images: Path,
    tags: Path,
    simple_images: Path,
    out: Path,
    *,
    weights: Path | None = None,
    labels: Path | None = None,
    classes: Sequence[str] = (),
    network: Network = "mobilenet_v2",
    steps: int | None = None,
    method: Method = "paper",
    report: Say = say,
) -> Path:
    """Train on one's own pictures; returns ``out``.

    Args:
        images: Pictures of any names and sizes.
        tags: CSV (``name,tags``, tags separated by ``|``) or JSON (name -> list of tags) about exactly these pictures.
        simple_images: One folder of pictures for each class, named as the tags; others only take heat
            from places that are neither.
        weights: Folder with a torchvision state dict of MobileNetV2; without it torchvision fetches its own.
        labels: Index PNGs of some of the pictures, only to measure with.
        classes: The classes in order; otherwise all that the tags name, sorted.
        network: ``mobilenet_v2``, or ``small``, which starts from nothing.
        steps: Of the segmentation network; otherwise 12 passes over the pictures, at least 200.
        method: ``paper``, or ``plus``, which goes beyond it (``profiles.plus``).

    Raises ``DataError`` or ``SettingsError`` before anything is trained if something is missing or does not fit.
    """
    if steps is not None and steps < 1:
        raise SettingsError(f"a network cannot be trained for {steps} steps; give 1 or more, or leave them out")
    if images.resolve() in (out.resolve(), (out / "build").resolve()):
        raise SettingsError(f"results would lie among the pictures in {images}; give another folder as --out")
    folders = OwnFolders(
        images=images, tags=tags, simple_images=simple_images, labels=labels, label_space=own_label_space(tags, classes)
    )
    profile = own_profile(
        folders, own_sizes(folders), network=network, weights=_weights_file(weights), steps=steps,
        method=method,
    )  # fmt: skip
    places = Places(profile="own", build=out / "build", weights=weights)
    stages = Experiment(places, profile=profile, report=report).main
    _read_everything(stages)
    warnings = _warnings(stages, folders)
    for line in warnings:
        report(f"warning: {line}")
    run = Segmentation(stages=stages, system=stages.role.plus or OURS)
    trained = run.artefact()
    with writing(out):
        for name in MODEL_FILES:
            with aside(out / name) as unfinished:
                shutil.copyfile(trained.folder / name, unfinished)
    found = _class_rows(stages, run)
    write_whole(out / "classes.csv", found.to_csv(index=False, lineterminator="\n").encode())
    page = report_page(
        title="A segmentation network from tags", facts=_facts(stages, run, method), warnings=warnings,
        classes=found, label_space=stages.label_space, examples=_examples(stages, run),
    )  # fmt: skip
    write_whole(out / "report.html", page.encode())
    report(f"the network, classes.csv and report.html are in {out}; to label other pictures:")
    report(f"wsss predict --model {shlex.quote(str(out))} --images <folder> --out <folder>")
    return out


def _weights_file(weights: Path | None) -> str:
    """The one file of weights in the folder; torchvision's own without a folder."""
    if weights is None:
        return "torchvision"
    if not weights.is_dir():
        raise DataError(f"there is no folder of weights {weights}; give another one, or none: torchvision fetches them")
    files = sorted(path.name for path in weights.glob("*") if path.suffix in (".safetensors", ".pth"))
    if len(files) != 1:
        raise DataError(
            f"{weights} holds {len(files)} files of weights ({few(files) or 'none'}); give a folder with one, a "
            "torchvision state dict of MobileNetV2 as .safetensors or .pth"
        )
    return files[0]


def _read_everything(stages: Stages) -> None:
    """A damaged picture or label map is to be found now, not after an hour of training."""
    scenes, simple = stages.scenes("train"), stages.simple
    for i in range(len(scenes)):
        height, width = scenes.image(i).shape[:2]
        if min(height, width) < 2:
            raise DataError(f"{scenes.names[i]} is worked on at {width} x {height} pixels, too few; leave it out")
        if scenes.label_map is not None:
            scenes.label_map(i)
    for i in range(len(simple)):
        simple.image(i)


def _warnings(stages: Stages, folders: OwnFolders) -> list[str]:
    """What is possible but bad; ``DataError`` if nothing can be learnt at all."""
    space, tags = stages.label_space, stages.tags
    unknown = missing_targets(stages.simple)
    if len(unknown) == len(space):
        raise DataError(
            f"no folder of simple pictures is called as a class ({few(stages.simple.classes)}, but the classes are "
            f"{few(space.classes)}); rename the folders or the tags (tags are separated by {SEPARATOR})"
        )
    found = [
        f"no simple picture shows {name}{did_you_mean(name, stages.simple.classes)}: it cannot be found"
        f" ({count} pictures have the tag)"
        for name, count in zip(space.classes, tags.sum(0).tolist(), strict=True)
        if name in unknown
    ]
    found += [f"{name} is a tag of no picture: it cannot be learnt" for name in np.array(space.classes)[~tags.any(0)]]
    everywhere = np.array(space.classes)[tags.all(0)] if len(tags) > 1 else []
    found += [f"{name} is a tag of every picture: its tag says nothing" for name in everywhere]
    if untagged := sorted(set(list_pictures(folders.images)) - set(stages.scenes("train").names)):
        found.append(f"{len(untagged)} pictures have no tag and are not learnt from ({few(untagged)})")
    for folder in (folders.images, *sorted(filter(Path.is_dir, folders.simple_images.iterdir()))):
        if unread := unread_pictures(folder):
            found.append(f"{few(unread)} in {folder}: this format is not read; save as PNG or JPEG")
    return found


def _class_rows(stages: Stages, run: Segmentation) -> pd.DataFrame:
    """One row a class: pictures, simple pictures, shares of the pixels in percent, and IoU where there are labels."""
    space, simple = stages.label_space, stages.simple
    standing = np.array([simple.targets[label] for label in simple.labels])
    rows = pd.DataFrame(
        {
            "class": space.classes,
            "pictures with the tag": stages.tags.sum(0),
            "simple pictures": [int((standing == index).sum()) for index in range(len(space))],
            "labelled, %": _shares(run.labels() or [], len(space)),
            "predicted, %": _shares(list(_predictions(stages, run)), len(space)),
        }
    )
    if (matrix := prediction_confusion(run, "train")) is not None:
        iou = {"labels": label_confusion(stages, stages.rounds(run.learns_from)[-1]), "prediction": matrix}
        for name, counted in iou.items():
            rows[f"IoU of the {name}, %"] = np.round(scores(counted, space).class_iou, 1)
    return rows


def _shares(maps: Sequence[LabelMap], count: int) -> np.ndarray:
    counts = sum((np.bincount(each.ravel(), minlength=256)[:count] for each in maps), np.zeros(count))
    return np.round(100 * counts / max(1.0, counts.sum()), 1)


def _predictions(stages: Stages, run: Segmentation):
    return predicted(stages, run.predictions("train"), stages.scenes("train"))


def _facts(stages: Stages, run: Segmentation, method: Method) -> list[str]:
    config, scenes, count = run.config, stages.scenes("train"), len(stages.label_space)
    width, height = config.input_size
    facts = [
        f"{len(scenes)} pictures with {stages.tags.sum(1).mean():.1f} tags on average, of {count} classes",
        f"{len(stages.simple)} simple pictures",
        "method: the paper's" if method == "paper" else "method: plus, which goes beyond the paper",
        f"network: {config.network}, working at {width} x {height}, {config.training.steps} steps",
    ]
    if (matrix := prediction_confusion(run, "train")) is not None:
        mean = scores(matrix, stages.label_space).miou_class
        facts.append(f"mean IoU of its predictions on the labelled pictures: {one_decimal(mean)} %")
    return facts


def _examples(stages: Stages, run: Segmentation) -> list[Example]:
    """Pictures evenly spread over the set."""
    scenes, labels, predictions = stages.scenes("train"), run.labels() or [], list(_predictions(stages, run))
    seeds, classes = stages.label_maps(stages.seeds()), np.array(stages.label_space.classes)
    return [
        Example(
            name=scenes.names[i], tags=classes[stages.tags[i]].tolist(), image=scenes.image(i),
            heat=heat_of(stages, i), seeds=seeds[i], labels=labels[i], prediction=predictions[i],
        )
        for i in spread(SHOWN, len(scenes))
    ]  # fmt: skip
