"""What the notebooks show and keep in pictures: the paper's Figures 1 to 7 and the training curves.

Every function asks the stages for what it shows (they are made where they are missing), has it drawn by ``reporting``,
saves the figure with its data under a fixed name in ``Places.figures``, and returns it. Figures of a role that is not
the profile's main one carry the data set's name at the end of theirs.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from wsss_lib.data.pictures import read_label_map
from wsss_lib.experiments.counting import SEED_STAGES, prediction_confusion
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.profiles import Role
from wsss_lib.experiments.segmentation import OURS, Segmentation
from wsss_lib.localization.cam import normalize_maps
from wsss_lib.localization.patches import LocalizationConfig, class_maps
from wsss_lib.reporting import curves, figures, overview_figure, result_figures
from wsss_lib.reporting.canvas import PaperFigure, save_figure
from wsss_lib.reporting.overlays import ClassHeat, HeatMap
from wsss_lib.reporting.tables import class_iou
from wsss_lib.vocabulary import DataError, Image, LabelMap, SceneSet, SettingsError

SERIES = {"default": "with centre loss", "no_center_loss": "without"}
DEFAULT = "default method"


def classifier_losses(roles: Sequence[Stages]) -> PaperFigure:
    """The classifiers' training losses, a panel per role and a curve per seed."""
    runs = [
        (stages.role.played_by, f"seed {seed}", stages.classifier_training(seed)["losses"])
        for stages in roles
        for seed in stages.role.classifier_seeds
    ]
    figure = curves.training_curves(_history(runs), "Training loss of the classifiers")
    return _kept(roles[0], figure, "training_classifier")


def simple_pictures(stages: Stages, number: int = 0, seed: int = 0) -> PaperFigure:
    """Figure 3: picture ``number`` of every simple class, beside the class activation map of its class."""
    labels = np.array(stages.simple.labels)
    shown = [np.flatnonzero(labels == index) for index in np.unique(labels)]
    chosen = [int(pictures[number % len(pictures)]) for pictures in shown]
    images = [stages.simple.image(index) for index in chosen]
    heats = [_own_heat(stages, image, labels[i], seed) for image, i in zip(images, chosen, strict=True)]
    names = [stages.simple.classes[labels[index]] for index in chosen]
    figure = figures.simple_cams(images, heats, names, _said(stages, [seed]))
    return _kept(stages, figure, "figure03_simple_pictures")


def whole_and_patches(stages: Stages, picture: int = 0, variant: str = "default", seed: int = 0) -> PaperFigure:
    """Figure 4: heat of every tag of a training picture, from every localisation that the role has."""
    scenes, grid = stages.scenes("train"), stages.role.patches
    image = scenes.image(_existing(picture, scenes))
    views = [where for where in SEED_STAGES if getattr(stages.role, where) is not None]
    used = stages.variant(variant).where
    figure = figures.views_of_tags(
        image,
        {where: _heat(stages, picture, where, variant, seed) for where in views},
        stages.tags[picture],
        (grid.rows, grid.columns),
        stages.label_space,
        _said(stages, [seed], f"train, picture {picture}", f"{_method(variant)} takes its seeds from: {used}"),
    )
    return _kept(stages, figure, "figure04_whole_and_patches")


def superpixels_and_seeds(stages: Stages, picture: int = 0, variant: str = "default", seed: int = 0) -> PaperFigure:
    """Superpixels of a training picture, the heat that the variant takes, and the seeds that come of both."""
    scenes = stages.scenes("train")
    figure = figures.superpixels_and_seeds(
        scenes.image(_existing(picture, scenes)),
        stages.regions()[picture],
        heat_of(stages, picture, variant, seed),
        _of_pictures(stages, stages.seeds(variant, seed), [picture])[0],
        stages.label_space,
        _said(stages, [seed], f"train, picture {picture}", _method(variant)),
    )
    return _kept(stages, figure, "superpixels_and_seeds")


def _own_heat(stages: Stages, image: Image, label: int, seed: int) -> HeatMap:
    """The map M_c of the picture's own class, at least 0 and at most 1, at the picture's size."""
    side = stages.role.classifier.input_size
    whole = LocalizationConfig(patch_size=(side, side))
    maps = class_maps(stages.classifier(seed), image, whole, compute=stages.compute)
    own = torch.arange(len(maps)) == label
    return _at_size_of(image, normalize_maps(maps, own).numpy())[label]


def heat_of(stages: Stages, picture: int, variant: str = "default", seed: int = 0) -> ClassHeat:
    """Heat of every class in a training picture, as large as it is, as the variant takes it; 0 for what is no tag."""
    return _heat(stages, picture, stages.variant(variant).where, variant, seed)


def _heat(stages: Stages, picture: int, where: str, variant: str, seed: int) -> ClassHeat:
    image = stages.scenes("train").image(picture)
    return _at_size_of(image, stages.class_maps(where, seed).heat(picture, stages.variant(variant).heat).numpy())


def _at_size_of(image: Image, heat: ClassHeat) -> ClassHeat:
    """Heat from its grid of equal cells to the picture's pixels, bilinear."""
    cells = torch.from_numpy(np.asarray(heat, dtype=np.float32))[None]
    return functional.interpolate(cells, size=image.shape[:2], mode="bilinear")[0].clamp(0, 1).numpy()


def seeds_and_rounds(stages: Stages, rows: int = 3, variant: str = "default", seed: int = 0) -> PaperFigure:
    """Figure 5: seeds and every round's labels beside the ground truth, for training pictures spread over the set.

    Rounds of a second generation start from the labels of the first one, and not from seeds.
    """
    scenes = stages.scenes("train")
    chosen = spread(rows, len(scenes))
    stack = [stages.starting_labels(variant, seed)[0], *stages.rounds(variant, seed)]
    seeds, *rounds = [_of_pictures(stages, labels, chosen) for labels in stack]
    truths = ground_truths(scenes, chosen)
    if truths is None:
        raise DataError(f"the training pictures of {stages.role.played_by} have no label maps to compare with")
    said = _said(stages, [seed], "train", _method(variant))
    start = "First generation" if stages.variant(variant).previous else "Seeds"
    figure = result_figures.seeds_and_rounds(
        _images(scenes, chosen), seeds, rounds, truths, stages.label_space, said, start
    )
    name = "figure05_seeds_and_rounds" + ("" if variant == "default" else f"_{variant}")
    return _kept(stages, figure, name)


def rounds_curve(experiment: Experiment, scores: pd.DataFrame) -> PaperFigure:
    """Class and category mIoU from the seeds to the last round, for every variant, beside the paper's."""
    return _kept(experiment.main, curves.rounds_curve(scores), "rounds")


def clustering_losses(stages: Stages, seed: int = 0) -> PaperFigure:
    """Losses of the region network, phase by phase and round by round, with and without centre loss."""
    trainings = {
        name: stages.clustering_training(variant, seed)
        for variant, name in SERIES.items()
        if variant in stages.role.variants
    }
    runs = [
        (f"round {number}, {phase}", name, each[key])
        for phase, key in (("cross entropy", "losses"), ("second phase", "center_losses"))
        for number in range(1, stages.role.variants["default"].clustering.rounds + 1)
        for name, training in trainings.items()
        for each in [training[number - 1]]
    ]
    figure = curves.training_curves(_history(runs), "Training loss of the region network", _said(stages, [seed]))
    return _kept(stages, figure, "training_clustering")


def segmentation_losses(roles: Sequence[Stages]) -> PaperFigure:
    """The segmentation networks' training losses, a curve per seed; a panel per role, and per method where it has two.

    Different methods may minimise different losses, so their panels are not to be compared in height.
    """
    runs = [
        (_panel(stages.role, system), f"seed {seed}", Segmentation(stages=stages, system=system, seed=seed).losses())
        for stages in roles
        for system in _systems(stages.role)
        for seed in stages.role.segmentation_seeds
    ]
    history = _history((panel, series, losses["network"]) for panel, series, losses in runs)
    figure = curves.training_curves(history, "Training loss of the segmentation networks")
    return _kept(roles[0], figure, "training_segmentation")


def segmentation_results(stages: Stages, rows: int = 3, split: str = "val") -> PaperFigure:
    """Figure 6: predictions beside the ground truth, for pictures spread over a split.

    Of our network with every seed; beside a method that goes beyond the paper, of both methods with the first seed.
    """
    scenes, role = stages.scenes(split), stages.role
    chosen = spread(rows, len(scenes))
    seeds = role.segmentation_seeds[:1] if role.plus else role.segmentation_seeds
    columns = {
        _column(system, seed, role): _predictions(stages, split, seed, chosen, system)
        for system in _systems(role)
        for seed in seeds
    }
    truths = ground_truths(scenes, chosen)
    said = _said(stages, seeds, split, *([] if role.plus else [DEFAULT]))  # where there are two, columns name them
    figure = result_figures.qualitative_results(_images(scenes, chosen), columns, truths, stages.label_space, said)
    return _kept(stages, figure, f"figure06_{split}")


def collages(stages: Stages, rows: int = 3) -> PaperFigure:
    """Collages that the method beyond the paper learns from, of training pictures spread over the set.

    ``SettingsError`` if the role has no such method, or it no collages.
    """
    role, seed = stages.role, stages.role.clustering_seeds[0]
    made = stages.collages(role.beyond[role.plus].labels, seed) if role.plus else []
    if not made:
        raise SettingsError(f"nothing learns from collages of {role.played_by}; METHOD=plus does")
    images, pasted = zip(*map(made[0].collage_of, spread(rows, len(stages.scenes("train")))), strict=True)
    said = _said(stages, [seed], "train", _method(role.plus, role.plus))
    return _kept(stages, result_figures.collages(images, pasted, stages.label_space, said), "collages")


def failures(experiment: Experiment, scores: pd.DataFrame) -> PaperFigure:
    """Figure 7: IoU of every class on val beside the paper's, and the confusion matrix, both over all seeds.

    Of the profile's own method: our network, or what goes beyond the paper.
    """
    stages = experiment.main
    system, seeds = stages.role.plus or OURS, stages.role.segmentation_seeds
    iou = class_iou(scores, stages.label_space, stages.role.dataset, system)
    matrices = [prediction_confusion(Segmentation(stages=stages, system=system, seed=seed), "val") for seed in seeds]
    known = [matrix[:, : len(stages.label_space)] for matrix in matrices if matrix is not None]
    if not known:
        raise DataError(f"the val pictures of {stages.role.played_by} have no label maps, so nothing can be confused")
    said = _said(stages, seeds, "val", _method(system, stages.role.plus))
    figure = result_figures.failure_analysis(iou, np.sum(known, axis=0), stages.label_space, said)
    return _kept(stages, figure, "figure07_failures")


def teaser(stages: Stages, picture: int = 0, seed: int = 0) -> PaperFigure:
    """Figure 1: one training picture from its tags to its segmentation."""
    way = _way(stages, picture, seed)
    return _kept(stages, figures.teaser(tags=stages.tags[picture], **way), "figure01_teaser")


def framework(stages: Stages, picture: int = 0, seed: int = 0) -> PaperFigure:
    """Figure 2: the whole method, drawn with what every stage makes of one training picture."""
    way, labels = _way(stages, picture, seed), np.array(stages.simple.labels)
    firsts = [int(np.argmax(labels == index)) for index in spread(6, len(stages.simple.classes))]
    cut = stages.class_maps(stages.role.variants["default"].where).config
    figure = overview_figure.framework(
        simple_images=[stages.simple.image(index) for index in firsts],
        grid=(cut.rows, cut.columns),
        regions=stages.regions()[picture],
        **way,
    )
    return _kept(stages, figure, "figure02_framework")


def _way(stages: Stages, picture: int, seed: int) -> dict[str, Any]:
    """What the stages make of one training picture, by the names that Figures 1 and 2 give it."""
    scenes = stages.scenes("train")
    stack = [stages.seeds(seed=seed), *stages.rounds(seed=seed)]
    seeds, *rounds = [_of_pictures(stages, labels, [_existing(picture, scenes)])[0] for labels in stack]
    return {
        "image": scenes.image(picture),
        "cam": heat_of(stages, picture, seed=seed),
        "seeds": seeds,
        "rounds": rounds,
        "prediction": _predictions(stages, "train", seed, [picture])[0],
        "label_space": stages.label_space,
        "subtitle": _said(stages, [seed], f"train, picture {picture}", DEFAULT),
    }


def spread(count: int, total: int) -> list[int]:
    """``count`` of the numbers 0..total-1 (all, if there are fewer), the middles of equal parts: 2 of 8 are 2 and 6.

    Neighbouring pictures of a drive look alike, so a choice by place shows more than the first few.
    """
    if count < 1:
        raise SettingsError(f"at least one picture must be shown, not {count}")
    count = min(count, total)
    return [int((place + 0.5) * total / count) for place in range(count)]


def ground_truths(scenes: SceneSet, pictures: Sequence[int]) -> list[LabelMap] | None:
    """Label maps of some pictures, ``None`` where the split has none."""
    return None if scenes.label_map is None else [scenes.label_map(index) for index in pictures]


def _existing(picture: int, scenes: SceneSet) -> int:
    if not 0 <= picture < len(scenes):
        raise SettingsError(f"there is no {scenes.split} picture {picture}; choose one from 0 to {len(scenes) - 1}")
    return picture


def _images(scenes: SceneSet, pictures: Sequence[int]) -> list[Image]:
    return [scenes.image(index) for index in pictures]


def _of_pictures(stages: Stages, labels: np.ndarray, pictures: Sequence[int]) -> list[LabelMap]:
    maps = stages.label_maps(labels)
    return [maps[index] for index in pictures]


def _systems(role: Role) -> tuple[str, ...]:
    """Our network, and beside it what goes beyond the paper where the role has that."""
    return (OURS, role.plus) if role.plus else (OURS,)


def _said(stages: Stages, seeds: Sequence[int], *details: str) -> str:
    """What tells a figure from others with its title: the data, then the split, the method or the like, the seeds.

    These are called random seeds, for seeds are also the first labels of superpixels.
    """
    named = f"random seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return "; ".join([stages.role.played_by, *details, named])


def _method(name: str, plus: str = "") -> str:
    """A variant or system in the words of a subtitle."""
    if name in ("default", OURS):
        return DEFAULT
    return f"method {name}" if name == plus else f"variant {curves.variant_name(name)}"


def _panel(role: Role, system: str) -> str:
    """What a panel of training losses is called; the method is named only where there are two."""
    return f"{role.played_by}: {_method(system, role.plus)}" if role.plus else role.played_by


def _column(system: str, seed: int, role: Role) -> str:
    """What a column of Figure 6 is called; a seed is named only where there are several."""
    if role.plus:
        return "The paper's method" if system == OURS else system.capitalize()
    return "Ours" if len(role.segmentation_seeds) == 1 else f"Ours, seed {seed}"


def _predictions(stages: Stages, split: str, seed: int, pictures: Sequence[int], system: str = OURS) -> list[LabelMap]:
    run = Segmentation(stages=stages, system=system, seed=seed)
    folder, names = run.predictions(split).folder, stages.scenes(split).names
    return [read_label_map(folder / f"{names[index]}.png", stages.label_space) for index in pictures]


def _history(runs: Iterable[tuple[str, str, Sequence[float]]]) -> pd.DataFrame:
    """(panel, curve, losses) as the long table that ``training_curves`` draws."""
    frames = [
        pd.DataFrame({"stage": stage, "series": series, "step": np.arange(1, len(losses) + 1), "loss": losses})
        for stage, series, losses in runs
    ]
    return pd.concat(frames, ignore_index=True)


def _kept(stages: Stages, figure: PaperFigure, name: str) -> PaperFigure:
    experiment = stages.experiment
    own = name if stages is experiment.main else f"{name}_{stages.role.dataset}"
    save_figure(figure, experiment.places.figures, own)
    return figure
