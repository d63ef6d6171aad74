"""Which number stands beside which cell of the paper."""

import math

import numpy as np
import pytest

from wsss_lib.reporting.cells import ROW_HEADERS, cells, system_name
from wsss_lib.reporting.measurements import ScoreKey
from wsss_lib.reporting.paper import TABLE_NUMBERS, paper_table
from wsss_lib.vocabulary import LabelSpace, SettingsError


@pytest.mark.parametrize("number", TABLE_NUMBERS)
def test_every_number_of_the_paper_has_a_cell(number: int) -> None:
    """With the paper's own classes the cells hold exactly the numbers of the CSV."""
    printed = paper_table(number).select_dtypes("number").to_numpy().ravel().tolist()
    given = [cell.paper for cell in cells(number, "cityscapes", None) if not np.isnan(cell.paper)]
    assert sorted(given) == sorted(printed)
    assert all(len(cell.row) == len(ROW_HEADERS[number]) for cell in cells(number, "cityscapes", None))


def test_no_two_cells_share_a_number() -> None:
    """Except that the rounds of Table 6 are the rows with centre loss of Table 7, as in the paper."""
    for number in TABLE_NUMBERS:
        keys = [cell.key for cell in cells(number, "cityscapes", None)]
        assert len(set(keys)) == len(keys), number
    shared = {cell.key for cell in cells(6, "camvid", None)} & {cell.key for cell in cells(7, "camvid", None)}
    assert len(shared) == 6


def test_own_classes_stand_beside_the_papers_names(street_space: LabelSpace) -> None:
    by_row = {cell.row[0]: cell for cell in cells(10, "camvid", street_space)}
    assert list(by_row) == ["road", "traffic light", "sky", "lane", "mean of classes"]
    assert by_row["traffic light"].paper == paper_table(10)["traffic_light"].item()
    assert math.isnan(by_row["lane"].paper)
    assert by_row["sky"].key == ScoreKey(
        dataset="camvid", split="val", stage="segmentation", metric="iou", target="sky"
    )


def test_keys_of_systems_and_networks() -> None:
    assert system_name("AE-PSL") == "ae_psl"
    assert {cell.key.system for cell in cells(4, "", None)} == {"ccnn", "sec", "bbf", "psa", "ours"}
    assert {cell.key.network for cell in cells(9, "camvid", None)} == {"fcn", "drn_d_105", "deeplab_largefov"}
    assert {cell.key.split for cell in cells(8, "", None)} == {"val", "test"}


def test_labels_read_as_sentences() -> None:
    assert cells(7, "camvid", None)[2].label == "Table 7, DC-1, centre loss yes: class mIoU"
    assert cells(1, "", None)[-1].label == "Table 1, Ours: category mIoU"


def test_no_such_table() -> None:
    with pytest.raises(SettingsError, match="no table 11"):
        cells(11, "camvid", None)
