"""Curves over steps and rounds."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from wsss_lib.experiments.profiles import load_profile
from wsss_lib.reporting.canvas import rendered
from wsss_lib.reporting.curves import PAPER, rounds_curve, training_curves
from wsss_lib.vocabulary import DataError

Rows = Callable[..., pd.DataFrame]


def test_rounds_by_hand(full_scores: pd.DataFrame) -> None:
    """Ours is 21, 31, 41, 51 with spread 1, without centre loss 2 less from round 1 on; the paper's is its Table 6."""
    data = rounds_curve(full_scores).data
    curves = dict(iter(data[data["metric"] == "class mIoU"].groupby("variant")))
    assert curves["default"]["mean"].tolist() == [21.0, 31.0, 41.0, 51.0]
    assert curves["default"]["std"].tolist() == [1.0] * 4
    assert curves["no_center_loss"]["mean"].tolist() == [21.0, 29.0, 39.0, 49.0]  # it starts from the same seeds
    assert curves[PAPER]["mean"].tolist() == [3.9, 16.5, 19.1, 19.6]


def test_rounds_figure(full_scores: pd.DataFrame) -> None:
    figure = rounds_curve(full_scores)
    headings = [f"{metric} (axis cut to these curves)" for metric in ("class mIoU", "category mIoU")]
    assert [axes.get_title() for axes in figure.axes] == [headings[0], "", headings[1], ""]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["default", "no centre loss", "paper (Cityscapes)"]
    assert (
        figure.texts[1].get_text() == "toy streets, 4 classes; train; mean of 3 seeds, whiskers: one standard deviation"
    )
    assert rendered(figure, "svg") == rendered(rounds_curve(full_scores), "svg")


def test_whiskers_are_one_standard_deviation(full_scores: pd.DataFrame) -> None:
    """From 20 to 22 around 21, and so on; of the variant without centre loss two less from round 1 on."""
    lines = rounds_curve(full_scores).axes[0].collections
    spans = [[(low[1], high[1]) for low, high in line.get_segments()] for line in lines]
    assert spans == [[(20, 22), (30, 32), (40, 42), (50, 52)], [(20, 22), (28, 30), (38, 40), (48, 50)]]


def test_axes_are_cut_to_our_curves(full_scores: pd.DataFrame) -> None:
    """Ours go from 20 to 52 with whiskers, the paper's from 3.9 to 19.6: it would leave ours half of the axis."""
    ours, paper = rounds_curve(full_scores).axes[:2]
    assert 15 < ours.get_ylim()[0] < 20
    assert 52 < ours.get_ylim()[1] < 57
    assert paper.get_ylim()[0] == 0
    assert list(paper.get_lines()[0].get_ydata()) == [3.9, 16.5, 19.1, 19.6]


def test_one_seed_has_no_whiskers_to_explain(full_scores: pd.DataFrame) -> None:
    figure = rounds_curve(full_scores[full_scores["seed"] == 0])
    assert figure.texts[1].get_text() == "toy streets, 4 classes; train; one seed"


def test_many_long_names_stay_inside_the_figure_and_below_the_axes(full_scores: pd.DataFrame) -> None:
    """In one row the variants of ``camvid-plus`` and the paper are wider than the figure."""
    ours, variants = full_scores[full_scores["variant"] == "default"], load_profile("camvid-plus").main.variants
    figure = rounds_curve(pd.concat([ours.assign(variant=name) for name in variants], ignore_index=True))
    rendered(figure, "png", dpi=100)  # extents are measured with the last renderer
    legend = figure.legends[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == len(variants) + 1
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width
    assert legend.y0 >= 0
    assert all(legend.y1 < axes.get_tightbbox().y0 for axes in figure.axes)


@pytest.mark.parametrize("named", [{"dataset": "voc"}, {"stage": "segmentation", "split": "val"}])
def test_rounds_need_scores(rows: Rows, named: dict[str, str]) -> None:
    with pytest.raises(DataError, match="run a profile first"):
        rounds_curve(rows([1.0], **named))


@pytest.fixture
def history() -> pd.DataFrame:
    steps = np.arange(40)
    return pd.DataFrame({"stage": ["classification"] * 40, "step": steps, "loss": 2.0 + (-1.0) ** steps})


def test_bold_line_is_the_running_mean(history: pd.DataFrame) -> None:
    """The loss alternates 3, 1, 3, 1; over three steps its mean is 7/3, 5/3, ..., but for both ends."""
    axes = training_curves(history).axes[0]
    thin, bold = (line.get_ydata() for line in axes.get_lines())
    assert list(thin[:3]) == [3.0, 1.0, 3.0]
    np.testing.assert_allclose(bold, [np.nan, *[7 / 3, 5 / 3] * 19, np.nan])
    assert axes.get_title() == "classification"


def test_running_mean_of_a_straight_line_is_the_line() -> None:
    """120 steps, windows of 7: a window cut at one side would start below a loss that falls and end above it."""
    falling = pd.DataFrame({"stage": "x", "step": np.arange(120), "loss": np.linspace(5.0, 1.0, 120)})
    thin, bold = (line.get_ydata() for line in training_curves(falling).axes[0].get_lines())
    np.testing.assert_allclose(bold[3:-3], thin[3:-3])
    assert np.isnan([*bold[:3], *bold[-3:]]).all()


def test_no_running_mean_over_one_step(history: pd.DataFrame) -> None:
    """A twentieth of 39 steps is one step: the curve itself is enough, in full colour."""
    (line,) = training_curves(history.iloc[:39]).axes[0].get_lines()
    assert line.get_alpha() is None
    np.testing.assert_array_equal(line.get_ydata(), history["loss"].iloc[:39])


def test_one_panel_per_stage_and_one_line_per_series(history: pd.DataFrame) -> None:
    stages = [history.assign(stage=f"stage {n}", series=f"seed {s}") for n in range(4) for s in range(2)]
    figure = training_curves(pd.concat(stages, ignore_index=True))
    assert [axes.get_title() for axes in figure.axes] == [f"stage {n}" for n in range(4)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seed 0", "seed 1"]


def test_legend_is_below_the_panels_and_a_colour_means_one_series(history: pd.DataFrame) -> None:
    """The second panel lacks the first series; its curve keeps the second colour."""
    both = [history.assign(stage="first", series=f"seed {seed}") for seed in range(2)]
    figure = training_curves(pd.concat([*both, history.assign(stage="second", series="seed 1")]))
    rendered(figure, "png", dpi=100)  # extents are measured with the last renderer
    legend = figure.legends[0]
    assert all(legend.get_window_extent().y1 < axes.get_tightbbox().y0 for axes in figure.axes)
    colors = [line.get_color() for line in legend.get_lines()]
    assert {line.get_color() for line in figure.axes[0].get_lines()} == set(colors)
    assert {line.get_color() for line in figure.axes[1].get_lines()} == {colors[1]}


def test_long_names_of_panels_stay_apart(history: pd.DataFrame) -> None:
    names = [f"{data} 480x360, MobileNetV2 instead of VGG16: the method" for data in ("CamVid", "MSRC-21", "VOC")]
    figure = training_curves(pd.concat([history.assign(stage=name) for name in names]))
    rendered(figure, "png", dpi=100)  # extents are measured with the last renderer
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    assert max(box.y1 for box in boxes) < figure.texts[0].get_window_extent().y0


def test_bad_history(history: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="lacks loss"):
        training_curves(history.drop(columns="loss"))
    with pytest.raises(DataError, match="lacks rows"):
        training_curves(history.iloc[:0])
    with pytest.raises(DataError, match="two losses for one step"):
        training_curves(pd.concat([history, history]))
