"""Tables: the paper's rows, our numbers, the difference, and why a number is missing."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from wsss_lib.data.label_spaces import CAMVID, VOC
from wsss_lib.reporting import tables
from wsss_lib.reporting.cells import cells
from wsss_lib.reporting.claims import verdict
from wsss_lib.reporting.measurements import HELD_BACK, NOT_RUN
from wsss_lib.reporting.paper import TABLE_NUMBERS, paper_value
from wsss_lib.reporting.tables import Table, class_iou, make_table, write_table
from wsss_lib.vocabulary import DataError, LabelSpace, SettingsError

Rows = Callable[..., pd.DataFrame]


def row_of(table: Table, *names: str) -> pd.Series:
    frame = table.frame
    for column, name in zip(frame.columns, names, strict=False):
        frame = frame[frame[column] == name]
    assert len(frame) == 1, names
    return frame.iloc[0]


@pytest.fixture
def spaces(street_space: LabelSpace) -> dict[str, LabelSpace]:
    return {"cityscapes": street_space}


def test_rounds_by_hand(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    """Round 2: 40, 41, 42 with centre loss, mean 41, standard deviation 1; the paper has 19.1."""
    row = row_of(make_table(6, full_scores, spaces), "Deep Clustering-2")
    paper, here, std, difference, status = row[[f"class mIoU, {part}" for part in tables.PARTS]]
    assert (paper, here, std, status) == (19.1, 41.0, 1.0, "")
    assert difference == pytest.approx(21.9)
    assert row["category mIoU, here"] == 46.0


def test_center_loss_rows(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    table = make_table(7, full_scores, spaces)
    here = [
        row_of(table, f"DC-{number}", answer)["class mIoU, here"] for number in (1, 2, 3) for answer in ("no", "yes")
    ]
    assert here == [29.0, 31.0, 39.0, 41.0, 49.0, 51.0]


def test_classes_beside_the_papers(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    """Class number 1 has 10, 11, 12; the paper's traffic light 3.4 and 10.3."""
    row = row_of(make_table(5, full_scores, spaces), "traffic light")
    assert [row[f"{kind}, {part}"] for kind in ("whole image", "image patches") for part in ("paper", "here")] == [
        3.4,
        11.0,
        10.3,
        11.0,
    ]
    lane = row_of(make_table(10, full_scores, spaces), "lane")
    assert lane["IoU, here"] == 31.0
    assert math.isnan(lane["IoU, paper"])
    assert math.isnan(lane["IoU, difference"])


def test_rows_of_systems_that_were_not_run_stay(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    table = make_table(1, full_scores, spaces)
    assert table.frame["method"].tolist() == ["CCNN", "SEC", "PSA", "Ours"]
    assert table.frame["class mIoU, status"].tolist() == [NOT_RUN, NOT_RUN, NOT_RUN, ""]
    assert table.shown["class mIoU, here"].tolist() == ["not run", "not run", "not run", "61.0 ± 1.0"]
    assert table.shown["class mIoU, difference"].iloc[-1] == "+36.8"


def test_a_baseline_that_was_run_fills_its_row(full_scores: pd.DataFrame, rows: Rows, spaces: dict) -> None:
    psa = rows([20.0, 22.0], system="psa", stage="segmentation", split="val", network="deeplab_largefov")
    table = make_table(1, pd.concat([full_scores, psa]), spaces)
    assert row_of(table, "PSA")["class mIoU, here"] == 21.0
    assert "n = 2 to 3 seeds" in table.note


def test_reference_rows_are_labelled(full_scores: pd.DataFrame, rows: Rows, spaces: dict) -> None:
    road = rows([2.0], seeds=[-1], system="constant: road", stage="reference", variant="", split="val")
    table = make_table(1, pd.concat([full_scores, road]), spaces)
    row = row_of(table, "constant: road (reference row)")
    assert row["class mIoU, here"] == 2.0
    assert math.isnan(row["class mIoU, paper"])
    assert "n = 3 seeds" in table.note  # a row without chance is not counted among the seeds


def test_stand_in_in_title_and_note(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    table = make_table(1, full_scores, spaces)
    assert table.title.endswith("(here: toy streets, 4 classes, a stand-in for Cityscapes)")
    assert "from other data" in table.note


def test_no_data_set_in_the_role(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    table = make_table(8, full_scores, spaces)
    assert "No data set plays PASCAL VOC 2012" in table.note
    assert set(table.frame["val mIoU, status"]) == {NOT_RUN}
    assert len(table.frame) == 9


def test_no_scores_at_all_leaves_the_papers_numbers(no_scores: pd.DataFrame) -> None:
    for table in (make_table(number, no_scores, {}) for number in TABLE_NUMBERS):
        assert "No data set plays" in table.note
    assert row_of(make_table(10, no_scores, {}), "traffic_light")["IoU, paper"] == 3.4


def test_labels_held_back(full_scores: pd.DataFrame, street_space: LabelSpace) -> None:
    camvid = full_scores[full_scores["split"] != "test"].assign(dataset="camvid", played_by="CamVid 480x360")
    table = make_table(4, camvid, {"camvid": street_space})
    assert row_of(table, "Ours")["class mIoU, status"] == HELD_BACK
    assert table.shown["class mIoU, here"].iloc[-1] == "not measured (labels held back)"
    assert "Labels held back" in table.note
    assert table.title == "Comparison on CamVid test (here: CamVid 480x360)"
    assert "prints this table for Cityscapes" in make_table(6, camvid, {"camvid": street_space}).note


def test_one_seed(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    table = make_table(6, full_scores[full_scores["seed"] == 0], spaces)
    assert table.shown["class mIoU, here"].tolist() == ["20.0", "30.0", "40.0", "50.0"]
    assert "one seed" in table.note


def test_written_csv_reads_back(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace], tmp_path: Path) -> None:
    table = make_table(7, full_scores, spaces)
    paths = write_table(table, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["table07.csv", "table07.md", "table07.tex"]
    again = pd.read_csv(paths[0])
    assert again["class mIoU, here"].tolist() == table.frame["class mIoU, here"].tolist()
    assert again["class mIoU, paper"].iloc[1] == paper_value(7, "miou_class", stage="DC-1", center_loss="yes")


def test_written_numbers_have_one_decimal(full_scores: pd.DataFrame, spaces: dict, tmp_path: Path) -> None:
    csv, markdown, latex = (path.read_text() for path in write_table(make_table(10, full_scores, spaces), tmp_path))
    sky = "50.4", "21.0", "1.0", "-29.4"
    assert f"sky,{','.join(sky)},\n" in csv
    assert "| sky | 50.4 | 21.0 ± 1.0 | \N{MINUS SIGN}29.4 |" in markdown
    assert r"sky & 50.4 & 21.0 $\pm$ 1.0 & $-$29.4 \\" in latex
    assert "| lane | \N{EN DASH} | 31.0 ± 1.0 | \N{EN DASH} |" in markdown
    assert r"lane & -- & 31.0 $\pm$ 1.0 & -- \\" in latex
    assert pd.read_csv(io.StringIO(csv))["IoU, paper"].isna().tolist() == [False, False, False, True, False]


def test_shown_in_a_notebook_and_in_a_terminal(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace]) -> None:
    table = make_table(8, full_scores, spaces)
    assert table._repr_markdown_().startswith("**Table 8. Comparison on PASCAL VOC 2012**\n\n| method |")
    assert str(table).startswith("Table 8. ")
    for each in (make_table(number, full_scores, spaces) for number in TABLE_NUMBERS):
        assert max(map(len, str(each).splitlines())) <= 110


def test_bad_input(full_scores: pd.DataFrame, spaces: dict[str, LabelSpace], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no table 12"):
        make_table(12, full_scores, spaces)
    with pytest.raises(SettingsError, match="no label space"):
        make_table(5, full_scores, {})
    with pytest.raises(DataError, match="lack the columns"):
        make_table(5, full_scores.drop(columns="seed"), spaces)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        write_table(make_table(6, full_scores, spaces), tmp_path / "file")


def test_a_collapsed_network_is_marked_at_its_number(
    full_scores: pd.DataFrame, spaces: dict[str, LabelSpace], rows: Rows
) -> None:
    """99.5 % of the pixels in one class is a collapse, 98 % is not; only tables of networks say so."""
    run = {"system": "ccnn", "stage": "segmentation", "split": "val", "network": "deeplab_largefov"}
    shares = [rows([share], metric="predicted_share", target="road", **run) for share in (99.5, 98.0)]
    mean = rows([2.0], **run)
    collapsed, sound = (make_table(1, pd.concat([full_scores, mean, share]), spaces) for share in shares)
    ccnn, others = collapsed.shown["class mIoU, here"][0], collapsed.shown["class mIoU, here"][1:]
    assert (collapsed.shown["method"][0], ccnn) == ("CCNN", "2.0 (seed 0 collapsed to road)")
    assert collapsed.frame["class mIoU, here"][0] == 2.0  # programs still find the number
    assert not others.str.contains("collapsed").any()
    assert "Collapsed: more than 99 % of the pixels" in collapsed.note
    assert "ollapsed" not in f"{sound}"
    two = pd.concat([full_scores, rows([2.0, 12.0], seeds=[0, 1], **run), shares[0]])  # of two seeds one collapsed
    assert make_table(1, two, spaces).shown["class mIoU, here"][0] == "7.0 ± 7.1 (seed 0 collapsed to road)"
    assert "ollapsed" not in f"{make_table(6, pd.concat([full_scores, mean, shares[0]]), spaces)}"


def test_full_supervision_that_collapsed_is_marked_and_a_constant_predictor_is_not(
    full_scores: pd.DataFrame, spaces: dict[str, LabelSpace], rows: Rows
) -> None:
    common = {"stage": "reference", "split": "val", "metric": "predicted_share", "target": "road"}
    frames = [full_scores]
    for system, network in (("full supervision", "deeplab_largefov"), ("constant: road", "")):
        run = {"system": system, "network": network}
        frames += [rows([2.0], stage="reference", split="val", **run), rows([100.0], **common, **run)]
    shown = make_table(1, pd.concat(frames), spaces).shown.set_index("method")["class mIoU, here"]
    assert shown["full supervision (reference row)"] == "2.0 (seed 0 collapsed to road)"
    assert shown["constant: road (reference row)"] == "2.0"


def test_iou_of_classes_by_system(full_scores: pd.DataFrame, street_space: LabelSpace) -> None:
    """Ours: class c has 10 c plus the seed, so the means are 1, 11, 21, 31; the other system has 5 more."""
    other = full_scores[full_scores["stage"] == "segmentation"].assign(system="plus")
    scores = pd.concat([full_scores, other.assign(value=other["value"] + 5)], ignore_index=True)
    ours, plus = (class_iou(scores, street_space, "cityscapes", system) for system in ("ours", "plus"))
    assert ours["here"].tolist() == [1.0, 11.0, 21.0, 31.0]
    assert plus["here"].tolist() == [6.0, 16.0, 26.0, 36.0]
    assert ours["std"].tolist() == [1.0] * 4
    assert ours["paper"].tolist()[:3] == plus["paper"].tolist()[:3] == [57.1, 3.4, 50.4]
    assert math.isnan(ours["paper"].iloc[3])


def test_paper_has_no_number_for_a_class_that_is_another_one(rows: Rows) -> None:
    """CamVid's Bicyclist holds bicycles and motorcycles, its SignSymbol traffic lights; its Car is nearly all cars."""
    runs = {"dataset": "camvid", "split": "val", "stage": "segmentation", "metric": "iou"}
    iou = class_iou(rows([50.0], target="Car", **runs), CAMVID, "camvid").set_index(pd.Index(CAMVID.classes))
    assert iou.index[iou["paper"].isna()].tolist() == ["SignSymbol", "Bicyclist"]
    assert iou.loc["Car"].tolist()[0] == 50.0
    assert iou.loc["Car", "paper"] == 63.4
    scores = rows([50.0], target="Bicyclist", **runs)
    table = make_table(10, scores, {"camvid": CAMVID})
    assert row_of(table, "Bicyclist")["IoU, here"] == 50.0
    assert math.isnan(row_of(table, "Bicyclist")["IoU, paper"])
    assert "Classes without a number of the paper are no class of its own" in table.note
    assert not verdict(scores, {"camvid": CAMVID})["claim"].str.contains("Bicyclist").any()


def test_a_class_of_voc_is_none_of_cityscapes_by_its_name() -> None:
    by_class = [cell for cell in cells(10, "voc", VOC) if cell.key.target]
    assert "car" in [cell.key.target for cell in by_class]
    assert all(math.isnan(cell.paper) for cell in by_class)


def test_every_class_of_the_paper_has_its_number(no_scores: pd.DataFrame) -> None:
    for number in (5, 10):
        assert "no class of its own" not in make_table(number, no_scores, {}).note
