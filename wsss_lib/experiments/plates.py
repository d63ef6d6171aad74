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
from wsss_lib.experiments.counting import prediction_confusion
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.profiles import Role
from wsss_lib.experiments.segmentation import OURS, Segmentation
from wsss_lib.localization.cam import normalize_maps
from wsss_lib.localization.patches import LocalizationConfig, class_maps
from wsss_lib.reporting import curves, figures, overview_figure, result_figures
from wsss_lib.reporting.canvas import PaperFigure, save_figure
from wsss_lib.reporting.overlays import ClassHeat, HeatMap
from wsss_lib.reporting.tables import make_table
from wsss_lib.vocabulary import DataError, Image, LabelMap, SceneSet, SettingsError

SERIES = {"default": "with centre loss", "no_center_loss": "without"}


def classifier_losses(roles: Sequence[Stages]) -> PaperFigure:
    """The classifiers' training losses, a panel per role and a curve per seed."""
    runs = [
        (stages.role.dataset, f"seed {seed}", stages.classifier_training(seed)["losses"])
        for stages in roles
        for seed in stages.role.classifier_seeds
    ]
    return _kept(roles[0], curves.training_curves(_history(runs)), "training_classifier")


def simple_pictures(stages: Stages, number: int = 0, seed: int = 0) -> PaperFigure:
    """Figure 3: picture ``number`` of every simple class, beside the class activation map of its class."""
    labels = np.array(stages.simple.labels)
    shown = [np.flatnonzero(labels == index) for index in np.unique(labels)]
    chosen = [int(pictures[number % len(pictures)]) for pictures in shown]
    images = [stages.simple.image(index) for index in chosen]
    heats = [_own_heat(stages, image, labels[i], seed) for image, i in zip(images, chosen, strict=True)]
    names = [stages.simple.classes[labels[index]] for index in chosen]
    return _kept(stages, figures.simple_cams(images, heats, names), "figure03_simple_pictures")


def whole_and_patches(stages: Stages, picture: int = 0, variant: str = "default", seed: int = 0) -> PaperFigure:
    """Figure 4: heat of every tag of a training picture, from the whole picture and from patches."""
    scenes, grid = stages.scenes("train"), stages.role.patches
    figure = figures.whole_and_patch_cams(
        scenes.image(_existing(picture, scenes)),
        _heat(stages, picture, "whole", variant, seed),
        _heat(stages, picture, "patches", variant, seed),
        stages.tags[picture],
        (grid.rows, grid.columns),
        stages.label_space,
    )
    return _kept(stages, figure, "figure04_whole_and_patches")


def _own_heat(stages: Stages, image: Image, label: int, seed: int) -> HeatMap:
    """The map M_c of the picture's own class, at least 0 and at most 1, at the picture's size."""
    side = stages.role.classifier.input_size
    whole = LocalizationConfig(patch_size=(side, side))
    maps = class_maps(stages.classifier(seed), image, whole, compute=stages.compute)
    own = torch.arange(len(maps)) == label
    return _at_size_of(image, normalize_maps(maps, own).numpy())[label]


def _heat(stages: Stages, picture: int, where: str, variant: str, seed: int) -> ClassHeat:
    image = stages.scenes("train").image(picture)
    return _at_size_of(image, stages.class_maps(where, seed).heat(picture, stages.variant(variant).heat).numpy())


def _at_size_of(image: Image, heat: ClassHeat) -> ClassHeat:
    """Heat from its grid of equal cells to the picture's pixels, bilinear."""
    cells = torch.from_numpy(np.asarray(heat, dtype=np.float32))[None]
    return functional.interpolate(cells, size=image.shape[:2], mode="bilinear")[0].clamp(0, 1).numpy()


def seeds_and_rounds(stages: Stages, rows: int = 3, variant: str = "default", seed: int = 0) -> PaperFigure:
    """Figure 5: seeds and every round's labels beside the ground truth, for training pictures spread over the set."""
    scenes = stages.scenes("train")
    chosen = spread(rows, len(scenes))
    stack = [stages.seeds(variant, seed), *stages.rounds(variant, seed)]
    seeds, *rounds = [_of_pictures(stages, labels, chosen) for labels in stack]
    truths = ground_truths(scenes, chosen)
    if truths is None:
        raise DataError(f"the training pictures of {stages.role.played_by} have no label maps to compare with")
    figure = result_figures.seeds_and_rounds(_images(scenes, chosen), seeds, rounds, truths, stages.label_space)
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
    return _kept(stages, curves.training_curves(_history(runs)), "training_clustering")


def segmentation_losses(roles: Sequence[Stages]) -> PaperFigure:
    """The segmentation networks' training losses, a panel per role and a curve per seed."""
    runs = [
        (stages.role.dataset, f"seed {seed}", Segmentation(stages=stages, seed=seed).losses()["network"])
        for stages in roles
        for seed in stages.role.segmentation_seeds
    ]
    return _kept(roles[0], curves.training_curves(_history(runs)), "training_segmentation")


def segmentation_results(stages: Stages, rows: int = 3, split: str = "val") -> PaperFigure:
    """Figure 6: predictions beside the ground truth, for pictures spread over a split.

    Of our network with every seed; beside a method that goes beyond the paper, of both methods with the first seed.
    """
    scenes, role = stages.scenes(split), stages.role
    chosen = spread(rows, len(scenes))
    seeds, systems = (
        (role.segmentation_seeds[:1], (OURS, role.plus)) if role.plus else (role.segmentation_seeds, (OURS,))
    )
    columns = {
        _column(system, seed, role): _predictions(stages, split, seed, chosen, system)
        for system in systems
        for seed in seeds
    }
    truths = ground_truths(scenes, chosen)
    figure = result_figures.qualitative_results(_images(scenes, chosen), columns, truths, stages.label_space)
    return _kept(stages, figure, f"figure06_{split}")


def failures(experiment: Experiment, scores: pd.DataFrame) -> PaperFigure:
    """Figure 7: IoU of every class on val beside the paper's, and the confusion matrix, both over all seeds."""
    stages = experiment.main
    table = make_table(10, scores, experiment.label_spaces)
    frame = table.frame.iloc[: len(stages.label_space)]  # the last row is the mean
    iou = pd.DataFrame({part: frame[f"IoU, {part}"].astype(float) for part in ("here", "std", "paper")})
    matrices = [
        prediction_confusion(Segmentation(stages=stages, seed=seed), "val") for seed in stages.role.segmentation_seeds
    ]
    known = [matrix[:, : len(stages.label_space)] for matrix in matrices if matrix is not None]
    if not known:
        raise DataError(f"the val pictures of {stages.role.played_by} have no label maps, so nothing can be confused")
    figure = result_figures.failure_analysis(iou, np.sum(known, axis=0), stages.label_space)
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
    scenes, where = stages.scenes("train"), stages.role.variants["default"].where
    stack = [stages.seeds(seed=seed), *stages.rounds(seed=seed)]
    seeds, *rounds = [_of_pictures(stages, labels, [_existing(picture, scenes)])[0] for labels in stack]
    return {
        "image": scenes.image(picture),
        "cam": _heat(stages, picture, where, "default", seed),
        "seeds": seeds,
        "rounds": rounds,
        "prediction": _predictions(stages, "train", seed, [picture])[0],
        "label_space": stages.label_space,
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
