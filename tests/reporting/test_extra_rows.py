"""Rows that the paper does not have."""

from collections.abc import Callable

import pandas as pd

from wsss_lib.reporting.cells import COMPARISONS, cells
from wsss_lib.reporting.extra_rows import extra_cells
from wsss_lib.reporting.measurements import checked

Rows = Callable[..., pd.DataFrame]


def names(number: int, scores: pd.DataFrame) -> list[str]:
    role = COMPARISONS[number].dataset if number in COMPARISONS else "cityscapes"
    extra = extra_cells(number, checked(scores), role, cells(number, role, None))
    return list(dict.fromkeys(cell.row[0] for cell in extra))


def test_what_the_paper_has_is_not_repeated(full_scores: pd.DataFrame) -> None:
    assert [names(number, full_scores) for number in range(1, 11)] == [[]] * 10


def test_reference_rows_and_other_runs(full_scores: pd.DataFrame, rows: Rows) -> None:
    reference = {"split": "val", "stage": "reference", "variant": "", "seeds": [-1]}
    final = {"split": "val", "stage": "segmentation"}
    scores = pd.concat(
        [
            full_scores,
            rows([2.0], system="constant: road", **reference),
            rows([9.0], network="deeplab_largefov", variant="masked_roi", **final),
            rows([8.0], network="fcn", **final),
            rows([8.5], network="drn_x", **final),
            rows([7.0], system="dsrg", **final),
            rows([6.0], variant="paper_seeds", stage="seeds"),
            rows([5.0], variant="paper_rules", stage="round_3"),
        ]
    )
    common = ["constant: road (reference row)", "Ours, masked_roi (not in the paper)"]
    assert names(1, scores) == [*common, "DSRG (not in the paper)"]  # our other networks belong to Table 9
    assert names(9, scores) == [*common, "Ours, drn_x (not in the paper)"]  # FCN is a row of the paper's Table 9
    assert names(2, scores) == []  # nothing of this was scored on test
    literal = "Deep Clustering-3, paper_rules (reference row)"
    assert names(6, scores) == ["Seeds, paper_seeds (not in the paper)", literal]
    assert names(10, scores) == []
