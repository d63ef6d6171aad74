"""Curves over steps and rounds."""

from collections.abc import Callable

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
    assert curves["no_center_loss"]["mean"].tolist() == [29.0, 39.0, 49.0]
    assert curves[PAPER]["mean"].tolist() == [3.9, 16.5, 19.1, 19.6]


def test_rounds_figure(full_scores: pd.DataFrame) -> None:
    figure = rounds_curve(full_scores)
    assert [axes.get_title() for axes in figure.axes] == ["class mIoU", "category mIoU"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["here", "here, no center loss", "paper (Table 6)"]
    assert rendered(figure, "svg") == rendered(rounds_curve(full_scores), "svg")


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


def test_rounds_need_scores(rows: Rows) -> None:
    with pytest.raises(DataError, match="run a profile first"):
        rounds_curve(rows([1.0], dataset="voc"))


@pytest.fixture
def history() -> pd.DataFrame:
    steps = np.arange(40)
    return pd.DataFrame({"stage": ["classification"] * 40, "step": steps, "loss": 2.0 + (-1.0) ** steps})


def test_bold_line_is_the_running_mean(history: pd.DataFrame) -> None:
    """The loss alternates 3, 1, 3, 1; over a window of two steps its mean is 2 everywhere but at the first step."""
    axes = training_curves(history).axes[0]
    thin, bold = (line.get_ydata() for line in axes.get_lines())
    assert list(thin[:3]) == [3.0, 1.0, 3.0]
    assert list(bold) == [3.0] + [2.0] * 39
    assert axes.get_title() == "classification"


def test_one_panel_per_stage_and_one_line_per_series(history: pd.DataFrame) -> None:
    stages = [history.assign(stage=f"stage {n}", series=f"seed {s}") for n in range(4) for s in range(2)]
    figure = training_curves(pd.concat(stages, ignore_index=True))
    assert [axes.get_title() for axes in figure.axes] == [f"stage {n}" for n in range(4)]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["seed 0", "seed 1"]


def test_bad_history(history: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="lacks loss"):
        training_curves(history.drop(columns="loss"))
    with pytest.raises(DataError, match="lacks rows"):
        training_curves(history.iloc[:0])
    with pytest.raises(DataError, match="two losses for one step"):
        training_curves(pd.concat([history, history]))
