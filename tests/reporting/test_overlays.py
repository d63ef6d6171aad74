"""What is laid over pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

from wsss_lib.reporting.overlays import (
    class_heat_overlay,
    grey_picture,
    heat_overlay,
    heat_scale,
    patch_borders,
    region_borders,
    seed_overlay,
    thumbnail,
)
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace


def test_grey_and_pale() -> None:
    image = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8)
    assert grey_picture(image)[0, :, 0].tolist() == [255, 0, 76]  # 0.299 * 255 = 76.2
    assert grey_picture(image, paleness=0.5)[0, 1].tolist() == [127, 127, 127]


def test_hotter_is_brighter_and_heat_is_clipped() -> None:
    image = np.full((1, 4, 3), 60, np.uint8)
    overlay = heat_overlay(image, np.array([[0.0, 0.5, 1.0, 7.0]], np.float32))
    brightness = overlay.sum(axis=-1)[0]
    assert brightness[0] < brightness[1] < brightness[2] == brightness[3]


def test_class_heat_shows_the_hottest_class(street: SimpleNamespace, street_space: LabelSpace) -> None:
    overlay = class_heat_overlay(street.image, street.cam, street_space)
    assert overlay[20, 10].tolist() == [128, 64, 128]
    assert overlay[5, 21].tolist() == [250, 170, 30]
    assert len(set(overlay[0, 0].tolist())) == 1  # no heat at all: grey


def test_seeds_over_a_pale_picture(street: SimpleNamespace, street_space: LabelSpace) -> None:
    overlay = seed_overlay(street.image, street.seeds, street_space)
    assert overlay[3, 5].tolist() == [70, 130, 180]
    unknown = street.seeds == IGNORE
    np.testing.assert_array_equal(overlay[unknown], grey_picture(street.image, paleness=0.55)[unknown])


def test_region_borders_by_hand() -> None:
    image = np.zeros((2, 4, 3), np.uint8)
    marked = region_borders(image, np.array([[0, 0, 1, 1], [0, 0, 2, 2]], np.int32)).any(axis=-1)
    assert marked.tolist() == [[False, True, True, True], [False, True, False, False]]


def test_patch_borders_lie_between_patches_and_leave_the_picture_alone() -> None:
    image = np.zeros((6, 8, 3), np.uint8)
    marked = patch_borders(image, (2, 4)).any(axis=-1)
    assert np.flatnonzero(marked.all(axis=1)).tolist() == [3]
    assert np.flatnonzero(marked.all(axis=0)).tolist() == [2, 4, 6]
    assert not image.any()
    assert not patch_borders(image, (1, 1)).any()


def test_thumbnail_is_the_middle() -> None:
    image = np.zeros((2, 6, 3), np.uint8)
    image[:, 2:4] = 200
    assert (thumbnail(image, 4, 4) == 200).all()
    np.testing.assert_array_equal(thumbnail(image, 2, 6), image)


def test_sizes_must_agree(street: SimpleNamespace, street_space: LabelSpace) -> None:
    with pytest.raises(DataError, match="heat is"):
        heat_overlay(street.image, np.zeros((3, 3), np.float32))
    with pytest.raises(DataError, match="seeds is"):
        seed_overlay(street.image, street.seeds[:5], street_space)


def test_scale_of_heat_shows_what_the_overlay_shows() -> None:
    """A grey picture as hot as 0, 1/2 and 1 has the colours of the scale's left end, middle and right end."""
    grey = np.full((1, 3, 3), 128, np.uint8)
    np.testing.assert_array_equal(heat_scale(3), heat_overlay(grey, np.array([[0, 0.5, 1]], np.float32)))
    assert heat_scale().shape == (1, 256, 3)
