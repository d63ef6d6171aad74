"""Looking numbers up in the tidy scores."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from wsss_lib.reporting.measurements import (
    HELD_BACK,
    NOT_MEASURED,
    NOT_RUN,
    ScoreKey,
    casting,
    checked,
    main_dataset,
    measure,
    space_of,
    stands_in,
)
from wsss_lib.vocabulary import DataError, LabelSpace, SettingsError

Rows = Callable[..., pd.DataFrame]
ROUND_1 = ScoreKey(dataset="cityscapes", split="train", stage="round_1")
FINAL = ScoreKey(dataset="cityscapes", split="val", stage="segmentation")


def test_mean_and_sample_standard_deviation(rows: Rows) -> None:
    """10, 12 and 17: mean 13, squared deviations 9 + 1 + 16 = 26, divided by 2 is 13."""
    measured = measure(checked(rows([10.0, 12.0, 17.0])), ROUND_1)
    assert (measured.mean, len(measured.by_seed), measured.status) == (13.0, 3, "")
    assert measured.std == pytest.approx(math.sqrt(13))


def test_one_seed_has_no_spread(rows: Rows) -> None:
    measured = measure(checked(rows([10.0])), ROUND_1)
    assert measured.mean == 10.0
    assert math.isnan(measured.std)


def test_a_class_absent_in_one_run_is_left_out_of_the_mean(rows: Rows) -> None:
    measured = measure(checked(rows([10.0, np.nan])), ROUND_1)
    assert (measured.mean, len(measured.by_seed)) == (10.0, 1)


def test_seeds_come_in_order_and_variants_apart(rows: Rows) -> None:
    scores = checked(
        pd.concat([rows([3.0, 1.0], seeds=[7, 2]), rows([9.0], variant="no_center_loss"), rows([8.0], split="val")])
    )
    assert measure(scores, ROUND_1).by_seed.to_dict() == {2: 1.0, 7: 3.0}
    assert list(measure(scores, ROUND_1).by_seed.index) == [2, 7]


def test_no_variant_counts_as_the_default(rows: Rows) -> None:
    assert measure(checked(rows([3.0], variant="")), ROUND_1).by_seed.tolist() == [3.0]


def test_the_papers_network_is_meant_where_there_are_several(rows: Rows) -> None:
    final = {"stage": "segmentation", "split": "val"}
    scores = checked(pd.concat([rows([1.0], network="fcn", **final), rows([2.0], network="deeplab_largefov", **final)]))
    assert measure(scores, FINAL).by_seed.tolist() == [2.0]
    only = scores[scores["network"] == "fcn"]
    assert measure(only, FINAL).by_seed.tolist() == [1.0]
    with pytest.raises(DataError, match="drn_d_105, fcn"):
        measure(checked(pd.concat([only, rows([3.0], network="drn_d_105", **final)])), FINAL)


def test_why_there_is_no_number(rows: Rows) -> None:
    final = {"stage": "segmentation", "network": "deeplab_largefov"}
    scores = checked(pd.concat([rows([1.0], split="val", **final), rows([2.0], split="train", **final)]))
    test_key = ScoreKey(dataset="cityscapes", split="test", stage="segmentation")
    assert measure(scores, test_key).status == HELD_BACK
    by_category = ScoreKey(dataset="cityscapes", split="val", stage="segmentation", metric="miou_category")
    assert measure(scores, by_category).status == NOT_MEASURED
    assert measure(scores, ROUND_1).status == NOT_RUN
    other = ScoreKey(dataset="cityscapes", split="val", stage="segmentation", network="fcn")
    assert measure(scores, other).status == NOT_RUN


def test_scores_read_back_from_csv_are_the_same(rows: Rows, tmp_path) -> None:
    """An empty cell comes back as ``nan``; it must still mean "no network"."""
    scores = rows([1.0, 2.0])
    scores.to_csv(tmp_path / "scores.csv", index=False)
    again = checked(pd.read_csv(tmp_path / "scores.csv"))
    pd.testing.assert_series_equal(measure(again, ROUND_1).by_seed, measure(checked(scores), ROUND_1).by_seed)


def test_checking_leaves_the_callers_frame_alone(rows: Rows) -> None:
    scores = rows([1.0], network=None)
    before = scores.copy()
    checked(scores)
    pd.testing.assert_frame_equal(scores, before)


def test_main_dataset(rows: Rows, no_scores: pd.DataFrame) -> None:
    camvid, voc = rows([1.0], dataset="camvid"), rows([1.0], dataset="voc")
    assert main_dataset(pd.concat([camvid, rows([1.0])])) == "cityscapes"
    assert main_dataset(pd.concat([voc, camvid])) == "camvid"
    assert main_dataset(voc) is None
    assert main_dataset(checked(no_scores)) is None


def test_stand_ins_are_called_so(rows: Rows) -> None:
    assert stands_in("voc", "MSRC-21")
    assert not stands_in("camvid", "CamVid 480x360")
    scores = pd.concat([rows([1.0]), rows([1.0], dataset="camvid", played_by="CamVid 480x360")])
    assert casting(checked(scores)) == (
        "Cityscapes is played by a stand-in: toy streets, 4 classes. CamVid: CamVid 480x360. "
        "No data set plays PASCAL VOC 2012 here."
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda scores: scores.drop(columns=["seed", "value"]), "lack the columns seed, value"),
        (lambda scores: scores.assign(dataset="kitti"), "'kitti'.*cityscapes, camvid, voc"),
        (lambda scores: pd.concat([scores, scores]), "two values for"),
        (lambda scores: scores.assign(value=130.0), r"130\.0.*percent"),
        (lambda scores: scores.assign(value=-1.0), r"-1\.0.*percent"),
    ],
)
def test_malformed_scores(rows: Rows, damage: Callable, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(damage(rows([1.0])))


def test_label_space_of_a_role_must_be_given(street_space: LabelSpace) -> None:
    assert space_of({"camvid": street_space}, "camvid") is street_space
    with pytest.raises(SettingsError, match="'cityscapes'"):
        space_of({"camvid": street_space}, "cityscapes")


def test_a_system_that_ran_as_another_variant_alone_says_so(rows: Rows) -> None:
    """BBF without videos: its row with zero flow is another one, and the paper's row tells why it is empty."""
    scores = checked(rows([30.0], system="bbf", stage="segmentation", split="val", variant="zero flow"))
    key = ScoreKey(dataset="cityscapes", split="val", stage="segmentation", system="bbf")
    assert measure(scores, key).status == "only zero flow"
    assert measure(scores, ScoreKey(**{**vars(key), "variant": "zero flow"})).mean == 30.0
    assert measure(scores, ScoreKey(**{**vars(key), "variant": "no_center_loss"})).status == NOT_RUN
    assert measure(scores, ScoreKey(**{**vars(key), "system": "sec"})).status == NOT_RUN
