"""What the notebooks show of what goes beyond the paper: every part on and off, and class by class beside the ceiling.

Both tables are also written as CSV and Markdown. Means over seeds with their sample standard deviation.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from wsss_lib.data.pictures import read_label_map
from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.evaluation.scores import group_iou
from wsss_lib.experiments.comparison import LABELS, ON_TRAIN, ON_VAL, labels_of, miou_over_seeds, with_rounds
from wsss_lib.experiments.measure import round_scores
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.profiles import TRUTH
from wsss_lib.experiments.segmentation import OURS, Segmentation, beyond_runs, our_runs
from wsss_lib.reporting.rendering import NO_NUMBER, joined_spreads, one_decimal, signed, with_spread
from wsss_lib.reporting.tables import write_numbers

TRAININGS_AGREE, HALVES_AGREE = "trainings agree on test, %", "halves agree on train, mIoU"
PAPER = "the paper's method"
"""What the tables call our own network on the paper's labels."""

_NETWORKS = ("segmentation", "ablation", "reference")  # stages of scores


def parts(stages: Stages, scores: pd.DataFrame, systems: str = "finished") -> pd.DataFrame:
    """A row for the paper's method and for each of what goes beyond it, as far as it is in ``scores``.

    mIoU of the labels (train; of the last round) and of the network (train, val), percent; and, without any label, how
    many percent of the pixels of the test pictures trainings with different random seeds agree on, and how well labels
    from two halves of the simple pictures agree (:func:`agreement_of_halves`): the halves are made for ``systems``
    "all", shown if they are there for "finished", and left out otherwise. A network is shown once it is trained with
    every seed. Where no network learnt from labels that differ from those of the rows above, the row has only them; a
    column that no row has is left out. Also written as ``beyond.csv`` and ``.md``.
    """
    scores, methods = with_rounds(scores, round_scores(stages)), [OURS, *stages.role.beyond]
    learnt = pd.Series([Segmentation(stages=stages, system=method).learns_from for method in methods])
    halves = {variant: _halves(stages, variant, systems) for variant in learnt.unique()}
    numbers = pd.DataFrame([_row(stages, scores, method) for method in methods])
    numbers[HALVES_AGREE] = learnt.map(halves)
    repeated = learnt.duplicated()
    trained, labelled = numbers[ON_TRAIN].notna(), numbers[LABELS].notna()
    numbers = numbers.loc[trained | (labelled & ~repeated)].reset_index(drop=True)
    shown = joined_spreads(numbers)
    for column in (TRAININGS_AGREE, HALVES_AGREE):
        shown[column] = [one_decimal(value) for value in numbers[column]]
    shown = shown.loc[:, (shown != NO_NUMBER).any()]
    write_numbers(stages.experiment.places.tables, "beyond", numbers, shown)
    return shown


def classes(stages: Stages, scores: pd.DataFrame, split: str = "val") -> pd.DataFrame:
    """IoU of every class on a split: the paper's method, what goes beyond it, and the ceilings; and the gain.

    Also written as ``beyond_classes.csv`` and ``.md``.
    """
    role = stages.role
    ceilings = [name for name, each in role.beyond.items() if each.labels == TRUTH]
    found = {PAPER: OURS, role.plus: role.plus, **{name: name for name in ceilings}}
    numbers = pd.DataFrame({"class": [*stages.label_space.classes, "mean"]})
    shown = numbers.copy()
    for title, system in found.items():
        rows = _of(scores, stages, system, split)
        per_seed = rows.loc[rows["metric"] == "iou"].pivot_table(index="target", columns="seed", values="value")
        if per_seed.empty:
            continue
        per_seed = per_seed.reindex(list(stages.label_space.classes))
        values = pd.DataFrame(np.vstack([per_seed.to_numpy(), per_seed.mean().to_numpy()]))
        means, spreads = values.mean(axis=1, skipna=False), values.std(axis=1, skipna=False)
        numbers[title] = means
        shown[title] = [with_spread(mean, std) for mean, std in zip(means, spreads, strict=True)]
    if {PAPER, role.plus} <= set(numbers.columns):
        numbers["gain"] = numbers[role.plus] - numbers[PAPER]
        shown["gain"] = [signed(value) for value in numbers["gain"]]
    write_numbers(stages.experiment.places.tables, "beyond_classes", numbers, shown)
    return shown


def agreement(runs: Sequence[Segmentation], split: str = "test") -> float:
    """Percent of a split's pixels on which two networks agree, mean over all pairs; ``nan`` for a single one.

    It asks for no label: networks that differ by chance alone and disagree have not settled what a pixel is.
    """
    if len(runs) < 2:
        return float("nan")
    stages, folders, shares = runs[0].stages, [run.predictions(split).folder for run in runs], []
    for name in stages.scenes(split).names:
        maps = [read_label_map(folder / f"{name}.png", stages.label_space) for folder in folders]
        shares += [np.mean(one == other) for one, other in combinations(maps, 2)]
    return float(100 * np.mean(shares))


def agreement_of_halves(stages: Stages, variant: str) -> float:
    """Mean IoU of the classes, percent, between the labels of the last round from either half of the simple pictures.

    It asks for no label of the target. The halves share nothing but the ImageNet network, so what they agree on is not
    what a method makes of single pictures. One division decides little: on CamVid another one moved the number by up to
    five points (``figures/halves``). Rounds that are missing are made. ``nan`` for ``TRUTH``, for a second generation,
    for which each half would need networks of its own, and where there are no halves.
    """
    if not _has_halves(stages, variant):
        return float("nan")
    seed = stages.role.clustering_seeds[0]
    one, other = (stages.label_maps(half.rounds(variant, seed)[-1]) for half in stages.halves)
    pairs = ((one[picture], other[picture]) for picture in range(len(one)))
    matrix = confusion_matrix(pairs, len(stages.label_space))  # neither is the truth: a class that one has counts
    return float(np.nanmean([group_iou(matrix, [index]) for index in range(len(matrix))]))


def _halves(stages: Stages, variant: str, systems: str) -> float:
    """What :func:`parts` shows of the halves for ``systems``; ``nan`` for nothing."""
    if systems != "all" and (systems != "finished" or not _halves_are_made(stages, variant)):
        return float("nan")
    return agreement_of_halves(stages, variant)


def _has_halves(stages: Stages, variant: str) -> bool:
    return variant != TRUTH and stages.role.variants[variant].previous is None and bool(stages.halves)


def _halves_are_made(stages: Stages, variant: str) -> bool:
    with stages.experiment.store.asking() as asked:
        for half in stages.halves if _has_halves(stages, variant) else ():
            half.clustering_artefact(variant, stages.role.clustering_seeds[0])
    return all(each.artefact.complete for each in asked)


def _row(stages: Stages, scores: pd.DataFrame, system: str) -> dict[str, object]:
    """Numbers of one method; ``nan`` for what was not measured."""
    if {*_of(scores, stages, system, "train")["seed"]} != {*stages.role.segmentation_seeds}:
        scores = scores.loc[~scores["stage"].isin(_NETWORKS) | (scores["system"] != system)]  # some seeds alone
    network = _of(scores, stages, system, "train")
    row: dict[str, object] = {"method": PAPER if system == OURS else system}
    row |= miou_over_seeds(LABELS, labels_of(stages, scores, system))
    row |= miou_over_seeds(ON_TRAIN, network) | miou_over_seeds(ON_VAL, _of(scores, stages, system, "val"))
    runs = our_runs(stages) if system == OURS else [run for run in beyond_runs(stages) if run.system == system]
    return row | {TRAININGS_AGREE: float("nan") if network.empty else agreement(runs)}


def _of(scores: pd.DataFrame, stages: Stages, system: str, split: str) -> pd.DataFrame:
    """Scores of a network on a split, whether it learnt from tags or is a ceiling."""
    rows = scores.loc[(scores["dataset"] == stages.role.dataset) & (scores["split"] == split)]
    return rows.loc[(rows["system"] == system) & rows["stage"].isin(_NETWORKS)]
