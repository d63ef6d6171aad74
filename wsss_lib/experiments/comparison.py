"""The systems of a role side by side: what each of them learnt from, and what its network makes of pictures alone.

The paper's tables show one number of a system. Where it lost or won is seen from two more: how good the labels were
that its network learnt from, and how well it knows the pictures that it learnt.
"""

import pandas as pd

from wsss_lib.experiments.counting import MAPS
from wsss_lib.experiments.measure import round_scores
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.profiles import TRUTH
from wsss_lib.experiments.segmentation import FULL_SUPERVISION, OURS, Segmentation
from wsss_lib.reporting.cells import OURS as OURS_PRINTED
from wsss_lib.reporting.cells import printed_names
from wsss_lib.reporting.measurements import NAMING_COLUMNS
from wsss_lib.reporting.rendering import joined_spreads
from wsss_lib.reporting.tables import write_numbers
from wsss_lib.vocabulary import PAPER_NETWORK

LABELS, ON_TRAIN, ON_VAL = "labels, train", "network, train", "network, val"


def systems(stages: Stages, scores: pd.DataFrame) -> pd.DataFrame:
    """A row for every system in ``scores``, for ours, full supervision, and the class maps that all start from.

    How many trainings there are (seeds); mIoU in percent of the label maps that the network learnt from (train, made
    with the tags; a dash where the system makes none, or learnt from the true ones) and of the network, which is told
    no tags (train, val). Also written as ``systems.csv`` and ``.md``, with the data set's name where it is not about
    the main one.
    """
    last = stages.role.variants["default"].clustering.rounds
    ours = round_scores(stages, [("default", seed, last) for seed in stages.role.segmentation_seeds])
    known = with_rounds(scores, ours)
    names = [*stages.role.systems, OURS, FULL_SUPERVISION, MAPS]
    rows = [row for name in names if (row := _row(stages, known, name))["trainings"]]
    numbers = pd.DataFrame(rows)
    shown = joined_spreads(numbers)
    other = "" if stages is stages.experiment.main else f"_{stages.role.dataset}"
    write_numbers(stages.experiment.places.tables, f"systems{other}", numbers, shown)
    return shown


def with_rounds(scores: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    """``scores`` with those of the labels after some rounds, each once: a notebook may have measured them itself."""
    return pd.concat([scores, rounds], ignore_index=True).drop_duplicates([*NAMING_COLUMNS, "seed"])


def labels_of(stages: Stages, scores: pd.DataFrame, system: str) -> pd.DataFrame:
    """Scores of the label maps that a system's networks learnt from: its own, or those of the last round.

    Empty where it makes none, or where they are the true ones.
    """
    rows = scores.loc[scores["dataset"] == stages.role.dataset]
    if system in stages.role.systems:
        return rows.loc[(rows["system"] == system) & (rows["stage"] == "labels")]
    variant = Segmentation(stages=stages, system=system).learns_from
    if variant == TRUTH:
        return rows.iloc[:0]
    last = f"round_{stages.role.variants[variant].clustering.rounds}"
    seeds = list(stages.role.segmentation_seeds)
    own = (rows["system"] == OURS) & (rows["variant"] == variant)
    return rows.loc[own & (rows["stage"] == last) & rows["seed"].isin(seeds)]


def miou_over_seeds(title: str, rows: pd.DataFrame) -> dict[str, float]:
    """Mean and sample standard deviation of the rows' class mIoU, as ``title`` and ``"<title>, std"``.

    ``nan`` for the mean of none, and for the spread of fewer than two.
    """
    values = rows.loc[rows["metric"] == "miou_class", "value"].astype(float)
    return {title: values.mean(), f"{title}, std": values.std()}


def _row(stages: Stages, scores: pd.DataFrame, system: str) -> dict[str, object]:
    """Numbers of one system; of no trainings where ``scores`` have none of its networks."""
    own = (scores["dataset"] == stages.role.dataset) & (scores["system"] == system)
    own &= scores["stage"].isin(["segmentation", "reference"]) & scores["network"].isin(["", PAPER_NETWORK])
    networks = scores.loc[own]
    labels = scores.iloc[:0] if system == MAPS else labels_of(stages, scores, system)
    return {
        "method": _printed(system, sorted({*networks["variant"]} - {"", "default"})),
        "trainings": networks["seed"].nunique(),
        **miou_over_seeds(LABELS, labels),
        **miou_over_seeds(ON_TRAIN, networks.loc[networks["split"] == "train"]),
        **miou_over_seeds(ON_VAL, networks.loc[networks["split"] == "val"]),
    }


def _printed(system: str, variants: list[str]) -> str:
    """As the paper's tables call a system; with what the data did not allow it, and whether it is a reference row."""
    name = OURS_PRINTED if system == OURS else printed_names().get(system, system)
    kind = " (reference row)" if system in (FULL_SUPERVISION, MAPS) else ""
    return ", ".join([name, *variants]) + kind
