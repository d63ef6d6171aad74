"""Colours and the house style."""

from collections.abc import Callable

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from wsss_lib.reporting.palette import (
    HOUSE_STYLE,
    SERIES_COLORS,
    colorize,
    house_style,
    legend_handles,
    present_classes,
    readable_on,
    unknown_color,
)
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace


def test_colors_come_from_the_label_space(street_space: LabelSpace) -> None:
    colors = colorize(np.array([[0, 2], [1, IGNORE]], np.uint8), street_space)
    assert colors.dtype == np.uint8
    assert colors.tolist() == [[[128, 64, 128], [70, 130, 180]], [[250, 170, 30], [0, 0, 0]]]


def test_unknown_is_told_from_a_black_background() -> None:
    voc = LabelSpace(name="v", classes=("background", "cat"), colors=((0, 0, 0), (64, 0, 0)), background=0)
    assert unknown_color(voc) != (0, 0, 0)
    assert colorize(np.array([[0, IGNORE]], np.uint8), voc).tolist() == [[[0, 0, 0], list(unknown_color(voc))]]


def test_present_classes(street_space: LabelSpace) -> None:
    maps = [np.array([[3, IGNORE]], np.uint8), np.array([[0, 3]], np.uint8)]
    assert present_classes(maps, street_space) == [0, 3]
    assert present_classes([], street_space) == []


def test_a_label_outside_the_space(street_space: LabelSpace) -> None:
    with pytest.raises(DataError, match="holds 4, but street has the classes 0 to 3"):
        colorize(np.array([[4]], np.uint8), street_space)


def test_legend(street_space: LabelSpace) -> None:
    handles = legend_handles(street_space, [2, 0], unknown=True)
    assert [handle.get_label() for handle in handles] == ["sky", "road", "unknown"]
    assert handles[0].get_facecolor()[:3] == (70 / 255, 130 / 255, 180 / 255)


def test_series_are_told_apart_whichever_colours_one_sees(least_difference: Callable[..., float]) -> None:
    colors = [tuple(round(255 * channel) for channel in to_rgb(color)) for color in SERIES_COLORS]
    assert least_difference(colors) > 10


def test_text_on_colors() -> None:
    assert readable_on((220, 220, 0)) == "black"
    assert readable_on((0, 0, 142)) == "white"


def test_style_is_gone_afterwards_even_after_an_error() -> None:
    before = dict(matplotlib.rcParams)
    with house_style():
        assert matplotlib.rcParams["svg.hashsalt"] == HOUSE_STYLE["svg.hashsalt"]
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(ZeroDivisionError), house_style():
        _ = 1 / 0
    assert dict(matplotlib.rcParams) == before


def test_style_does_not_depend_on_the_users_settings() -> None:
    with matplotlib.rc_context({"lines.linewidth": 9.0, "font.size": 40.0}), house_style():
        assert matplotlib.rcParams["lines.linewidth"] == matplotlib.rcParamsDefault["lines.linewidth"]
        assert matplotlib.rcParams["font.size"] == HOUSE_STYLE["font.size"]
