"""Seeds: both rules by hand, and never a class without a tag."""

import numpy as np
import pytest

from wsss_lib.clustering.seeds import SeedConfig, choose_seeds, most_certain
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

BOTH = np.array([True, True])
HOTTEST = SeedConfig(rule="hottest", threshold=0.5)
EVERY = SeedConfig(rule="every_region")


def labels(heat, tags, rule):
    return choose_seeds(heat, tags, rule)[0].tolist()


def test_the_hottest_rule_by_hand():
    """The example of the docstring: 0.4 < 0.5 * 0.9, so the second superpixel stays open."""
    heat = np.array([[0.9, 0.1], [0.4, 0.3], [0.2, 0.8]])
    assert labels(heat, BOTH, HOTTEST) == [0, IGNORE, 1]
    assert labels(heat, BOTH, EVERY) == [0, 0, 1]


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.0, [0, 0, 1]), (0.44, [0, 0, 1]), (0.45, [0, IGNORE, 1]), (1.0, [0, IGNORE, 1])],
)
def test_the_threshold_is_relative_to_the_hottest_superpixel_of_the_class(threshold, expected):
    heat = np.array([[0.9, 0.1], [0.4, 0.3], [0.2, 0.8]])
    assert labels(heat, BOTH, SeedConfig(threshold=threshold)) == expected


def test_a_class_that_is_hottest_nowhere_gets_no_seed():
    """Class 1 is a tag, but class 0 is hotter in every superpixel."""
    heat = np.array([[0.9, 0.8], [0.7, 0.6]])
    for rule in (HOTTEST, EVERY):
        assert labels(heat, BOTH, rule) == [0, 0]


def test_without_any_heat_the_hottest_rule_is_silent_and_the_other_is_not():
    heat = np.zeros((3, 2))
    assert labels(heat, BOTH, HOTTEST) == [IGNORE] * 3
    assert labels(heat, np.array([False, True]), EVERY) == [1] * 3


def test_a_picture_without_tags_has_no_seeds():
    for rule in (HOTTEST, EVERY):
        assert labels(np.ones((3, 2)), np.array([False, False]), rule) == [IGNORE] * 3


@pytest.mark.parametrize("rule", [HOTTEST, EVERY, SeedConfig(threshold=0.0)])
def test_absent_tags_are_never_given_however_hot(rule):
    rng = np.random.default_rng(0)
    for _ in range(50):
        heat, tags = rng.random((30, 5)), rng.random(5) < 0.5
        heat[:, ~tags] += 10
        given, certainty = choose_seeds(heat, tags, rule)
        assert set(given.tolist()) <= {*np.flatnonzero(tags).tolist(), IGNORE}
        assert (given.dtype, certainty.dtype) == (np.uint8, np.float32)
        assert certainty.min() >= 0
        assert certainty.max() <= 1


def test_seeds_do_not_depend_on_the_scale_of_the_heat():
    heat = np.random.default_rng(1).random((40, 2))
    for whole, scaled in zip(choose_seeds(heat, BOTH, HOTTEST), choose_seeds(heat * 0.01, BOTH, HOTTEST), strict=True):
        np.testing.assert_allclose(whole, scaled, rtol=1e-6)


def test_certainty_is_the_share_of_the_heat_of_the_tags_by_hand():
    """0.9 of 1.0, 0.4 of 0.7, 0.8 of 1.0; heat of the absent third class does not count, and what is no seed is 0."""
    heat = np.array([[0.9, 0.1, 5.0], [0.4, 0.3, 5.0], [0.2, 0.8, 5.0]])
    tags = np.array([True, True, False])
    np.testing.assert_allclose(choose_seeds(heat, tags, EVERY)[1], [0.9, 0.4 / 0.7, 0.8], rtol=1e-6)
    np.testing.assert_allclose(choose_seeds(heat, tags, HOTTEST)[1], [0.9, 0, 0.8], rtol=1e-6)


def test_the_surest_half_of_every_class_by_hand():
    """Class 0 keeps two of four regions, class 1 the surer of two however unsure; what was open stays open."""
    seeds = np.array([0, 0, 0, 0, 1, 1, IGNORE], np.uint8)
    certainty = np.array([0.9, 0.6, 0.8, 0.7, 0.1, 0.2, 0.95], np.float32)
    assert most_certain(seeds, certainty, 0.5).tolist() == [0, IGNORE, 0, IGNORE, IGNORE, 1, IGNORE]
    assert most_certain(seeds, certainty, 1.0).tolist() == seeds.tolist()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_no_class_loses_all_its_regions(share):
    rng = np.random.default_rng(2)
    seeds, certainty = rng.integers(0, 5, 200).astype(np.uint8), rng.random(200).astype(np.float32)
    kept = most_certain(seeds, certainty, share)
    for index in range(5):
        members = seeds == index
        count = int((kept == index).sum())
        assert count == pytest.approx(share * members.sum(), abs=1)
        assert count >= 1
        assert certainty[kept == index].min() == np.sort(certainty[members])[-count]


def test_regions_that_are_equally_sure_are_all_kept():
    seeds = np.zeros(6, np.uint8)
    assert most_certain(seeds, np.full(6, 0.5, np.float32), 0.2).tolist() == [0] * 6


def test_wrong_number_of_tags_is_refused():
    with pytest.raises(DataError, match="heat of 2 classes and 3 tags"):
        choose_seeds(np.zeros((4, 2)), np.array([True, True, True]), HOTTEST)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "coldest"}, "hottest or every_region, not 'coldest'"),
        ({"threshold": 1.5}, "between 0 and 1, not 1.5"),
        ({"threshold": float("nan")}, "between 0 and 1, not nan"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        SeedConfig(**settings)
