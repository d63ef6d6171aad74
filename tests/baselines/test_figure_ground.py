"""Figure and ground: prominence by hand, the split of tags with and without a background class, shares by hand."""

from dataclasses import replace

import numpy as np
import pytest

from wsss_lib.baselines.figure_ground import figure_classes, prominence, shares, split_tags
from wsss_lib.vocabulary import LabelSpace


def test_prominence_by_hand():
    """Two pictures of two cells. Class 0 has heat in both, class 1 in the second, class 2 nowhere.

    Picture 0: saliency (0.2, 0.6), heat (1, 3): 0.5 under it, and on average, as no other tag has heat. Picture 1:
    saliency (0, 1); class 0 has heat (1, 0): 0 under it; class 1 (0, 2): 1; on average 0.5. So class 0 has 0.5 / 1 and
    class 1 has 1 / 0.5.
    """
    heat = np.zeros((2, 3, 1, 2), dtype=np.float32)
    heat[0, 0, 0], heat[1, 0, 0], heat[1, 1, 0] = (1, 3), (1, 0), (0, 2)
    saliency = [np.array([[0.2, 0.6]], dtype=np.float32), np.array([[0, 1]], dtype=np.float32)]
    assert prominence(heat.__getitem__, saliency) == pytest.approx([0.5, 2, 1])
    nothing = [np.zeros((4, 4), dtype=np.float32)] * 2
    assert prominence(heat.__getitem__, nothing) == pytest.approx([1, 1, 1])


def test_not_every_class_stands_out_where_borders_are_dark():
    """Saliency and heat stay away from the border: the mean of a whole picture would call both tags figures."""
    saliency = [np.array([[0, 0, 0, 0.6, 1, 0, 0, 0]], dtype=np.float32)]
    heat = np.zeros((1, 2, 1, 8), dtype=np.float32)
    heat[0, 0, 0, 3], heat[0, 1, 0, 4] = 1, 1
    assert prominence(heat.__getitem__, saliency) == pytest.approx([0.75, 1.25])


def test_figures_are_all_but_the_background_or_what_saliency_says(material):
    """Saliency of the car alone, by its heat: the car is a figure, sky and road are not."""
    saliency = [(np.kron(material.heat(i)[2], np.ones((3, 3))) > 0.5).astype(np.float32) for i in range(len(material))]
    assert figure_classes(material, saliency).tolist() == [False, False, True]
    space = material.label_space
    with_background = LabelSpace(name="voc", classes=space.classes, colors=space.colors, background=1)
    assert figure_classes(replace(material, label_space=with_background), saliency).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("tags", "front", "behind"),
    [
        ((1, 1, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0)),
        ((1, 0, 1, 0), (1, 0, 1, 0), (0, 0, 0, 0)),
        ((0, 1, 0, 1), (0, 1, 0, 1), (0, 1, 0, 1)),
        ((1, 1, 1, 1), (1, 0, 1, 0), (0, 1, 0, 1)),
        ((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0)),
    ],
    ids=["both", "no ground", "no figure", "all tags", "no tags"],
)
def test_splitting_tags(tags, front, behind):
    figures = np.array([True, False, True, False])
    got = split_tags(np.array(tags, dtype=bool), figures)
    assert [one.astype(int).tolist() for one in got] == [list(front), list(behind)]


def test_shares_by_hand():
    heat = np.array([[[3, 0]], [[1, 0]], [[9, 9]]], dtype=np.float32)
    assert shares(heat, np.array([True, True, False]))[:, 0].tolist() == [[0.75, 0.5], [0.25, 0.5], [0, 0]]
    assert shares(heat, np.array([False, True, False]))[:, 0].tolist() == [[0, 0], [1, 1], [0, 0]]
    assert not shares(heat, np.zeros(3, dtype=bool)).any()
