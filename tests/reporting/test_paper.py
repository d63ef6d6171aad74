"""The paper's tables as package data."""

import math

import pytest

from wsss_lib.reporting.paper import TABLE_NUMBERS, paper_table, paper_value
from wsss_lib.vocabulary import SettingsError


def test_rows_and_columns_as_printed() -> None:
    shapes = {number: paper_table(number).shape for number in TABLE_NUMBERS}
    assert shapes == {
        1: (4, 5),
        2: (5, 5),
        3: (3, 4),
        4: (5, 4),
        5: (2, 21),
        6: (4, 3),
        7: (6, 4),
        8: (9, 4),
        9: (3, 3),
        10: (1, 21),
    }


def test_arithmetic_checks_of_the_readme() -> None:
    """The means of 19 entries that the README works out: 2.31, 3.92 and 24.18."""
    seeds, final = paper_table(5), paper_table(10)
    classes = [name for name in final.columns if name not in ("method", "miou")]
    assert len(classes) == 19
    assert seeds[classes].mean(axis=1).round(2).tolist() == [2.31, 3.92]
    assert final[classes].mean(axis=1).round(2).tolist() == [24.18]
    assert paper_value(1, "miou_class", method="Ours") == paper_value(10, "miou", method="Ours (DeepLab-LargeFOV)")


def test_one_cell() -> None:
    assert paper_value(6, "miou_category", stage="Deep Clustering-3") == 38.3
    assert math.isnan(paper_value(5, "zeppelin", classifier_input="whole image"))


def test_empty_text_is_text() -> None:
    assert paper_table(1)["venue"].tolist() == ["ICCV 2015", "ECCV 2016", "CVPR 2018", ""]


def test_every_caller_gets_a_copy() -> None:
    mine = paper_table(6)
    mine.loc[:, "miou_class"] = 0.0
    assert paper_value(6, "miou_class", stage="Seeds") == 3.9


@pytest.mark.parametrize("number", [0, 11, "five"])
def test_no_such_table(number: int) -> None:
    with pytest.raises(SettingsError, match="1 to 10"):
        paper_table(number)


def test_a_row_must_be_named_exactly() -> None:
    with pytest.raises(SettingsError, match="2 rows"):
        paper_value(7, "miou_class", stage="DC-1")
    with pytest.raises(SettingsError, match="0 rows"):
        paper_value(7, "miou_class", stage="DC-4")
