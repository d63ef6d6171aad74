"""Cuttings: an object on ground is outlined, what has no outline of its own is not; a class is cut or taken whole."""

import numpy as np
import pytest

from wsss_lib.regions import cuttings
from wsss_lib.regions.cuttings import LONGEST, Cutting, outline, small, whole_or_cut
from wsss_lib.vocabulary import DataError


def picture_of(box, height=60, width=80, seed=0):
    """A green ground with noise and a red box (top, bottom, left, right) on it."""
    rng = np.random.default_rng(seed)
    image = np.array([60, 140, 60]) + rng.integers(-10, 11, (height, width, 3))
    top, bottom, left, right = box
    red = np.array([200, 40, 40]) + rng.integers(-10, 11, (bottom - top, right - left, 3))
    image[top:bottom, left:right] = red
    mask = np.zeros((height, width), dtype=bool)
    mask[top:bottom, left:right] = True
    return image.clip(0, 255).astype(np.uint8), mask


def test_an_object_is_outlined():
    image, mask = picture_of((20, 45, 25, 60))
    found = outline(image)
    assert (found & mask).sum() / (found | mask).sum() > 0.9


@pytest.mark.parametrize(
    "saliency",
    [
        pytest.param([(slice(29, 31), slice(40, 42))], id="a speck, 4 of 4800 pixels"),
        pytest.param([(slice(5, 55), slice(5, 75))], id="nearly everything, 73 %"),
        pytest.param([(slice(0, 20), slice(0, 40))], id="cut off by the border, 22 % of it"),
        pytest.param([], id="nothing"),
    ],
)
def test_what_has_no_outline_of_its_own(monkeypatch, saliency):
    salient = np.zeros((60, 80), np.float32)
    for part in saliency:
        salient[part] = 0.9
    monkeypatch.setattr(cuttings, "saliency", lambda _: salient)
    found = outline(np.zeros((60, 80, 3), np.uint8))
    assert (found.shape, found.dtype, found.any()) == ((60, 80), bool, False)


@pytest.mark.parametrize("shape", [(300, 1), (1, 300), (2, 2)])
def test_a_line_of_pixels_has_no_outline(shape):
    assert not outline(np.zeros((*shape, 3), np.uint8)).any()


def test_specks_beside_an_object_are_left_out(monkeypatch):
    """Parts of 400, 140 and 100 pixels: the last one has less than three tenths of the first."""
    salient = np.zeros((60, 80), np.float32)
    salient[10:30, 10:30] = salient[40:54, 10:20] = salient[40:50, 50:60] = 0.6
    monkeypatch.setattr(cuttings, "saliency", lambda _: salient)
    found = outline(np.zeros((60, 80, 3), np.uint8))
    assert found.sum() == 540
    assert not found[40:50, 50:60].any()


def test_a_class_of_figures_is_cut_out_with_its_boxes():
    """Two of three pictures have an outline: these are cut, the third is left out."""
    images, masks = zip(*(picture_of(box) for box in ((20, 45, 25, 60), (10, 20, 5, 15))), strict=True)
    nothing = np.zeros((60, 80), dtype=bool)
    found = whole_or_cut([*images, images[0]], [*masks, nothing])
    assert [each.image.shape for each in found] == [(25, 35, 3), (10, 10, 3)]
    assert all(each.mask is not None and each.mask.all() for each in found)
    np.testing.assert_array_equal(found[1].image, images[1][10:20, 5:15])


def test_a_class_of_ground_is_taken_whole():
    image, mask = picture_of((20, 45, 25, 60))
    nothing = np.zeros_like(mask)
    found = whole_or_cut([image] * 3, [mask, nothing, nothing])
    assert [(each.image.shape, each.mask) for each in found] == [((60, 80, 3), None)] * 3
    assert isinstance(found[0], Cutting)
    assert whole_or_cut([], []) == []


def test_large_pictures_become_small_and_small_ones_stay():
    assert small(np.zeros((600, 900, 3), np.uint8)).shape == (200, LONGEST, 3)
    assert small(np.zeros((1, 9000, 3), np.uint8)).shape == (1, LONGEST, 3)
    assert small(np.zeros((64, 48, 3), np.uint8)).shape == (64, 48, 3)


def test_what_is_no_picture_is_refused():
    with pytest.raises(DataError):
        outline(np.zeros((60, 80), np.uint8))
