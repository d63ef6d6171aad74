"""Figures 5 to 7."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wsss_lib.reporting.canvas import PaperFigure, rendered
from wsss_lib.reporting.overlays import seed_overlay
from wsss_lib.reporting.palette import colorize
from wsss_lib.reporting.result_figures import collages, failure_analysis, qualitative_results, seeds_and_rounds
from wsss_lib.vocabulary import DataError, LabelSpace


def titles(figure: PaperFigure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def says(figure: PaperFigure, text: str) -> bool:
    return text in [shown.get_text() for shown in figure.texts]


def test_subtitles_tell_figures_of_one_title_apart(
    iou: pd.DataFrame, street: SimpleNamespace, street_space: LabelSpace
) -> None:
    said, pictures, maps = "CamVid; val; seed 1", [street.image], [street.truth]
    assert says(seeds_and_rounds(pictures, maps, [], maps, street_space, said), said)
    assert says(qualitative_results(pictures, {"Ours": maps}, None, street_space, said), said)
    assert says(collages(pictures, maps, street_space, said), said)
    assert says(failure_analysis(iou, np.eye(4, dtype=np.int64), street_space, said), said)


def test_seeds_and_rounds(street: SimpleNamespace, street_space: LabelSpace) -> None:
    pair = [street.truth, street.seeds]
    figure = seeds_and_rounds(
        [street.image] * 2, [street.seeds] * 2, [pair, pair[::-1]], [street.truth, street.seeds], street_space
    )
    assert titles(figure) == ["Picture", "Seeds", "Round 1", "Round 2", "Ground truth"]
    shown = [axes.get_images()[0].get_array() for axes in figure.axes]
    assert len(shown) == 10
    overlay = seed_overlay(street.image, street.seeds, street_space)
    np.testing.assert_array_equal(shown[1], overlay)
    np.testing.assert_array_equal(shown[5 + 2], overlay)  # second picture, round 1
    np.testing.assert_array_equal(shown[4], colorize(street.truth, street_space))
    np.testing.assert_array_equal(shown[5 + 4], colorize(street.seeds, street_space))
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "unknown"
    np.testing.assert_array_equal(figure.data["rounds"][1][0], street.seeds)
    maps = [street.seeds]
    later = seeds_and_rounds([street.image], maps, [maps], [street.truth], street_space, start="First generation")
    assert titles(later) == ["Picture", "First generation", "Round 1", "Ground truth"]


def test_results_with_and_without_ground_truth(street: SimpleNamespace, street_space: LabelSpace) -> None:
    predictions = {"Ours": [street.truth], "Constant": [np.zeros_like(street.truth)]}
    with_truth = qualitative_results([street.image], predictions, [street.truth], street_space)
    assert titles(with_truth) == ["Picture", "Ours", "Constant", "Ground truth"]
    without = qualitative_results([street.image], predictions, None, street_space)
    assert titles(without) == ["Picture", "Ours", "Constant"]
    assert [text.get_text() for text in without.legends[0].get_texts()] == ["road", "traffic light", "sky"]


def test_collages_show_the_picture_and_what_was_pasted(street: SimpleNamespace, street_space: LabelSpace) -> None:
    figure = collages([street.image] * 2, [street.seeds, street.truth], street_space)
    assert titles(figure) == ["Picture", "What was pasted"]
    shown = [axes.get_images()[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[2], street.image)
    np.testing.assert_array_equal(shown[1], seed_overlay(street.image, street.seeds, street_space))
    np.testing.assert_array_equal(figure.data["pasted"][1], street.truth)


@pytest.fixture
def iou() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "here": [50.0, 10.0, 80.0, np.nan],
            "std": [1.0, np.nan, 2.0, np.nan],
            "paper": [57.1, 3.4, 50.4, np.nan],
        }
    )


def test_failures_by_hand(iou: pd.DataFrame, street_space: LabelSpace) -> None:
    """Road: 6 of 8 pixels right and 2 taken for sky is 75 and 25 percent; nobody labelled a lane."""
    confusion = np.array([[6, 0, 2, 0], [1, 1, 0, 0], [0, 0, 5, 0], [0, 0, 0, 0]], np.int64)
    figure = failure_analysis(iou, confusion, street_space)
    bars, matrix = figure.axes
    assert [bar.get_width() for bar in bars.patches[:3]] == [50.0, 10.0, 80.0]
    assert [label.get_text() for label in bars.get_yticklabels()] == list(street_space.classes)
    assert "not in the data" in [text.get_text() for text in bars.texts]
    assert [text.get_text() for text in bars.get_legend().get_texts()] == ["paper (Cityscapes)", "here"]
    assert "whiskers: one standard deviation" in bars.get_xlabel()
    marks = [text.get_text() for text in matrix.texts if text.get_text()]
    assert marks == ["75", "25", "50", "50", "100"]
    assert "blank: below 1 %" in matrix.get_title()
    assert figure.data["confusion"] is confusion


def test_no_paper_and_no_spread_are_not_named(iou: pd.DataFrame, street_space: LabelSpace) -> None:
    """Classes that the paper does not have, one seed."""
    alone = iou.assign(paper=np.nan, std=np.nan)
    bars = failure_analysis(alone, np.eye(4, dtype=np.int64), street_space).axes[0]
    assert [text.get_text() for text in bars.get_legend().get_texts()] == ["here"]
    assert bars.get_xlabel() == "IoU, %"


def test_figures_twice_are_the_same(iou: pd.DataFrame, street: SimpleNamespace, street_space: LabelSpace) -> None:
    def draw() -> list[bytes]:
        results = qualitative_results([street.image], {"Ours": [street.truth]}, None, street_space)
        failures = failure_analysis(iou, np.eye(4, dtype=np.int64), street_space)
        return [rendered(results, "svg"), rendered(failures, "svg"), rendered(failures, "pdf")]

    assert draw() == draw()


def test_bad_input(iou: pd.DataFrame, street: SimpleNamespace, street_space: LabelSpace) -> None:
    with pytest.raises(DataError, match="4 x 4 matrix"):
        failure_analysis(iou, np.eye(3, dtype=np.int64), street_space)
    with pytest.raises(DataError, match="ground_truth is"):
        qualitative_results([street.image], {}, [street.truth[1:]], street_space)
