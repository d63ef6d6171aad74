"""Collages: spots by hand, pieces where the seeds say, labels of what was pasted and of nothing else, batches."""

from dataclasses import replace

import numpy as np
import pytest

from wsss_lib.clustering.collages import CollageConfig, PastedRegions, Spot, collage, pasted_labels, spots_of
from wsss_lib.regions.cuttings import Cutting
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

CONFIG = CollageConfig(pieces=1, smallest=0.01)
GREY = np.full((60, 80, 3), 100, np.uint8)


def red(height=20, width=10, mask=True):
    """A red cutting whose mean brightness is that of ``GREY``, so that nothing adapts it."""
    image = np.broadcast_to(np.array([220, 40, 40], np.uint8), (height, width, 3)).copy()
    return Cutting(image, np.ones((height, width), dtype=bool) if mask else None)


def spot(top, left, height, width):
    return Spot(top, left, np.ones((height, width), dtype=bool), GREY.shape[:2])


def pasted(cutting, where, *, seed=0, config=CONFIG, image=GREY):
    """A collage of one class, 3, with one cutting and one spot."""
    return collage(image, {3: [cutting]}, {3: [where]}, config, np.random.default_rng(seed))


def test_spots_by_hand():
    """Class 0 has a part of 6 pixels and one of 2, class 2 one of 4 in another picture; unknown pixels are no spot."""
    one = np.full((4, 6), IGNORE, np.uint8)
    one[0:2, 0:3] = one[3, 4:6] = 0
    other = np.full((4, 6), IGNORE, np.uint8)
    other[1:3, 1:3] = 2
    spots = spots_of([one, other], CollageConfig(smallest=3 / 24))
    assert [(each.top, each.left, each.mask.tolist()) for each in spots[0]] == [(0, 0, [[True] * 3] * 2)]
    assert [(each.top, each.left, each.mask.sum()) for each in spots[2]] == [(1, 1, 4)]
    assert set(spots) == {0, 2}
    assert len(spots_of([one], CollageConfig(smallest=2 / 24))[0]) == 2
    assert spots_of([], CONFIG) == {}


def test_a_part_with_a_hole_keeps_it():
    ring = np.zeros((5, 5), np.uint8)
    ring[2, 2] = 1
    found = spots_of([ring], CollageConfig(smallest=0.0))
    assert found[0][0].mask.tolist() == (ring == 0).tolist()


def test_a_figure_comes_to_the_middle_of_its_spot_with_about_its_area():
    """A spot of 200 pixels, the area of the cutting: the logarithm of its scale is within 0.3."""
    where, areas = spot(20, 30, 10, 20), []
    for seed in range(20):
        image, labels = pasted(red(), where, seed=seed)
        rows, columns = np.nonzero(labels == 3)
        assert abs(rows.mean() - 24.5) < 1.5
        assert abs(columns.mean() - 39.5) < 1.5
        areas.append(len(rows))
        changed = (image != GREY).any(axis=2)
        assert (changed >= (labels == 3)).all()
        assert (labels[labels != 3] == IGNORE).all()
    assert 200 * np.exp(-0.75) < min(areas) < 180
    assert 220 < max(areas) < 200 * np.exp(0.75)
    smaller = [(pasted(red(40, 20), spot(20, 30, 10, 20), seed=seed)[1] == 3).sum() for seed in range(20)]
    assert 200 * np.exp(-0.75) < min(smaller)
    assert 150 < np.mean(smaller) < 260


def test_the_outline_is_pasted_and_what_is_around_it_is_not():
    """An upright bar in the middle of a square cutting: the corners of the square stay grey and unknown."""
    mask = np.zeros((20, 20), dtype=bool)
    mask[:, 8:12] = True
    image, labels = pasted(Cutting(red(20, 20).image, mask), spot(20, 30, 8, 10))
    rows, columns = np.nonzero(labels == 3)
    assert np.ptp(rows) > 3 * np.ptp(columns)
    assert (image[labels == 3][:, 0] > 150).all()
    apart = abs(np.arange(80) - columns.mean()) > 6
    np.testing.assert_array_equal(image[:, apart], GREY[:, apart])


def test_no_figure_is_enlarged_more_than_twice_or_beyond_a_tenth_of_the_picture():
    whole = spot(0, 0, 60, 80)
    for seed in range(5):
        assert (pasted(red(4, 5), whole, seed=seed)[1] == 3).sum() <= 80
        assert (pasted(red(60, 80), whole, seed=seed)[1] == 3).sum() <= 480 * np.exp(0.6) + 60


def test_a_figure_at_the_border_is_cut_off_there():
    image, labels = pasted(red(), spot(0, 0, 2, 100), config=replace(CONFIG, smallest=0.0))
    assert labels.shape == (60, 80)
    assert (labels[0] == 3).any()
    corner = pasted(red(), spot(50, 70, 20, 20))[1]  # its middle is outside, just below the last pixel
    assert (corner[-1, -1], corner[30, 40], image.dtype) == (3, IGNORE, np.uint8)
    outside = pasted(red(), spot(200, 200, 2, 2))
    np.testing.assert_array_equal(outside[0], GREY)
    assert (outside[1] == IGNORE).all()


def test_ground_fills_its_spot_out():
    where = Spot(10, 20, np.tril(np.ones((20, 20), dtype=bool)), GREY.shape[:2])
    image, labels = pasted(red(mask=False), where)
    np.testing.assert_array_equal(labels[10:30, 20:40] == 3, where.mask)
    inner = np.tril(np.ones((20, 20), dtype=bool), -3)
    assert (image[10:30, 20:40][inner][:, 0] > 180).all()
    assert (labels == 3).sum() == where.mask.sum()


def test_a_spot_is_where_it_was_in_a_picture_of_another_shape():
    """One's own pictures may be upright or not: pixels of one may be outside the other."""
    height, width = GREY.shape[:2]
    upright = Spot(height * 2 - 20, 10, np.ones((20, 10), dtype=bool), (height * 2, width // 2))
    assert upright.within((height * 2, width // 2)) is upright
    labels = pasted(red(mask=False), upright)[1]
    np.testing.assert_array_equal(np.argwhere(labels == 3)[[0, -1]], [[height - 10, 20], [height - 1, 39]])
    thin = Spot(0, 0, np.eye(60, dtype=bool), (600, 600)).within((6, 6))
    assert (thin.mask.shape, thin.mask.any()) == ((1, 1), True)


def test_ground_fills_no_more_than_a_stripe_of_a_large_spot():
    for seed in range(5):
        labels = pasted(red(mask=False), spot(0, 0, 60, 80), seed=seed)[1]
        columns = np.flatnonzero((labels == 3).any(axis=0))
        assert (len(columns), np.ptp(columns)) == (20, 19)


def test_pieces_come_nearer_to_the_brightness_of_the_picture():
    """A white piece in a dark picture is anywhere between white and dark, but never darker than that."""
    dark = np.full((60, 80, 3), 20, np.uint8)
    white = Cutting(np.full((10, 10, 3), 250, np.uint8), np.ones((10, 10), dtype=bool))
    shades = []
    for seed in range(30):
        image, labels = pasted(white, spot(20, 30, 10, 10), seed=seed, image=dark)
        shades.append(np.median(image[labels == 3]))
    assert min(shades) < 80
    assert max(shades) > 200
    assert min(shades) >= 20


def test_pieces_are_mirrored_half_of_the_time():
    """The left half of a cutting is red, the right half blue, both of the same brightness."""
    image = red(20, 20).image
    image[:, 10:] = [40, 40, 220]
    for mask in (np.ones((20, 20), dtype=bool), None):
        turned = 0
        for seed in range(40):
            made, labels = pasted(Cutting(image, mask), spot(20, 30, 20, 20), seed=seed)
            columns = np.flatnonzero((labels == 3).any(axis=0))
            left = made[30, columns[: len(columns) // 2]].mean(axis=0)
            turned += left[2] > left[0]
        assert 10 < turned < 30


def test_classes_come_at_equal_chance_and_only_where_both_are_known():
    cuttings = {0: [red()] * 50, 1: [red()], 5: [red()]}
    spots = {0: [spot(5, 5, 5, 5)], 1: [spot(40, 60, 5, 5)] * 50, 7: [spot(0, 0, 5, 5)]}
    config, seen = replace(CONFIG, pieces=1), []
    for seed in range(60):
        labels = collage(GREY, cuttings, spots, config, np.random.default_rng(seed))[1]
        seen += np.setdiff1d(labels, [IGNORE]).tolist()
    assert set(seen) == {0, 1}
    assert 18 < seen.count(0) < 42
    with pytest.raises(DataError, match="leave collages out"):
        collage(GREY, {0: [red()]}, {7: [spot(0, 0, 5, 5)]}, CONFIG, np.random.default_rng(0))


def test_the_picture_that_is_pasted_into_stays_as_it_was():
    image = GREY.copy()
    pasted(red(), spot(20, 30, 10, 20), image=image)
    np.testing.assert_array_equal(image, GREY)


def test_labels_of_regions_by_hand():
    """Four regions of ten pixels: 7, 6 and 10 pasted of class 1, and 7 of class 0; the second is not pure."""
    regions = np.repeat(np.arange(4, dtype=np.int32), 10).reshape(4, 10)
    labels = np.full((4, 10), IGNORE, np.uint8)
    labels[0, :7] = labels[1, :6] = labels[2] = 1
    labels[3, :7] = 0
    assert pasted_labels(labels, regions).tolist() == [1, IGNORE, 1, 0]


def test_batches_have_classes_at_equal_chance_and_depend_on_the_seed_alone():
    labels = np.array([0] * 98 + [4, 6], np.uint8)
    regions = PastedRegions(np.arange(100, dtype=np.float16)[:, None], labels, CollageConfig(batch_size=300))
    features, truth = regions.batch([0, 1])
    assert (features.shape, truth.shape) == ((300, 1), (300,))
    np.testing.assert_array_equal(labels[features[:, 0].long().numpy()], truth.numpy())
    assert np.bincount(truth, minlength=7)[[0, 4, 6]].min() > 70
    again, other = regions.batch([0, 1])[0], regions.batch([0, 2])[0]
    assert features.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize("counts", [(0, 0), (3, 2)])
def test_regions_and_labels_must_belong_together(counts):
    features, labels = np.zeros((counts[0], 2), np.float16), np.zeros(counts[1], np.uint8)
    with pytest.raises(DataError, match="one for each"):
        PastedRegions(features, labels, CONFIG)


@pytest.mark.parametrize(
    "wrong", [{"pieces": 0}, {"batch_size": 0}, {"smallest": 1.0}, {"smallest": -0.1}, {"weight": 0.0}]
)
def test_settings_outside_their_range(wrong):
    with pytest.raises(SettingsError, match="pieces"):
        CollageConfig(**wrong)
