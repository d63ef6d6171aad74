"""Rows that stand in a table although the paper does not have them, each saying so in its name.

They tell a reader what a number means: constant predictors, the colour and position table, full supervision, the
paper's literal rules where the default method departs from them (all "reference row"), and our method with other
variants and networks ("not in the paper").
"""

from collections.abc import Mapping

import pandas as pd

from wsss_lib.reporting.cells import (
    CLUSTERING_STAGES,
    COMPARISONS,
    OURS,
    ROW_HEADERS,
    Cell,
    cells,
    printed_names,
    system_name,
)
from wsss_lib.reporting.measurements import ScoreKey, of_run
from wsss_lib.vocabulary import PAPER_NETWORK

LITERAL_RULES = "paper_rules"
"""The variant that follows the paper's rules to the letter."""


def extra_cells(number: int, scores: pd.DataFrame, role: str, known: list[Cell]) -> list[Cell]:
    """Cells for what was scored on the data of table ``number`` but is not among its ``known`` cells.

    ``role`` is the data set of the table. Tables 5, 7 and 10 get no extra rows: they are about one system only. Tables
    of systems leave our other networks to Table 9, which in turn leaves the other systems to them.
    """
    if number in (5, 7, 10):
        return []
    stages = list(CLUSTERING_STAGES.values()) if number == 6 else ["segmentation", "reference"]
    covered = [*known, *(cells(7, role, None) if number == 6 else [])]
    rows = scores.loc[
        (scores["dataset"] == role)
        & scores["stage"].isin(stages)
        & scores["split"].isin([cell.key.split for cell in known])
        & scores["metric"].isin([cell.key.metric for cell in known])
    ]
    ours = rows["system"] == system_name(OURS)
    if number in COMPARISONS:
        rows = rows.loc[~ours | rows["network"].isin(["", PAPER_NETWORK])]
    elif number == 9:
        rows = rows.loc[ours | (rows["stage"] == "reference")]
    for cell in covered:
        rows = rows.drop(of_run(scores, cell.key).index, errors="ignore")
    runs = rows[["stage", "system", "variant", "network"]].drop_duplicates().to_dict("records")
    pattern = {(cell.column, cell.key.split, cell.key.metric) for cell in known}
    return [
        Cell(
            table=number,
            row=(_extra_name(run), *[""] * (len(ROW_HEADERS[number]) - 1)),
            column=column,
            paper=float("nan"),
            key=ScoreKey(dataset=role, split=split, metric=metric, **{str(name): str(run[name]) for name in run}),
        )
        for run in runs
        for column, split, metric in sorted(pattern)
    ]


def _extra_name(run: Mapping) -> str:
    if run["stage"] == "reference":
        return f"{run['system']} (reference row)"
    stages = {stage: name for name, stage in CLUSTERING_STAGES.items()}
    system = stages.get(run["stage"]) or printed_names().get(run["system"], str(run["system"]))
    details = [text for text in (run["variant"], run["network"]) if text not in ("", "default", PAPER_NETWORK)]
    kind = "reference row" if run["variant"] == LITERAL_RULES else "not in the paper"
    return f"{', '.join([system, *details])} ({kind})"
