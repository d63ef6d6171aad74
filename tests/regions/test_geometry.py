"""Place, shape and colour of regions: pictures of a few pixels by hand, and what must not depend on the size."""

import numpy as np
import pytest

from wsss_lib.regions.geometry import GEOMETRY, region_geometry
from wsss_lib.vocabulary import DataError


def of(image, regions, *names):
    table = region_geometry(image, np.asarray(regions, dtype=np.int32))
    return table[:, [GEOMETRY.index(name) for name in names]]


def grey(height, width, value=128):
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_places_by_hand():
    """Two pixels above one line of two: row, column and share of the picture of each region."""
    found = of(grey(2, 2), [[0, 1], [2, 2]], "row", "column", "distance from the middle", "log area")
    quarter, half = np.log(0.25), np.log(0.5)
    expected = [[0.25, 0.25, 0.25, quarter], [0.25, 0.75, 0.25, quarter], [0.75, 0.5, 0, half]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_shapes_by_hand():
    """A column of four pixels is tall, a line of four wide; either's other side has no spread."""
    tall = of(grey(4, 4), [[0, 1, 1, 1]] * 4, "height", "width", "log height : width")[0]
    wide = of(grey(4, 4), [[0] * 4, *[[1] * 4] * 3], "height", "width", "log height : width")[0]
    spread = np.std([0.125, 0.375, 0.625, 0.875])
    np.testing.assert_allclose(tall[:2], [spread, 0], atol=1e-4)
    np.testing.assert_allclose(wide[:2], [0, spread], atol=1e-4)
    assert tall[2] == pytest.approx(-wide[2], abs=1e-3)
    assert tall[2] > 5


def test_a_falling_diagonal_has_a_positive_slant_and_a_rising_one_a_negative():
    falling = np.eye(5, dtype=np.int32)
    slants = [of(grey(5, 5), regions, "slant")[1, 0] for regions in (falling, falling[::-1])]
    assert slants[0] > 0.05
    assert slants[1] == pytest.approx(-slants[0], abs=1e-6)


def test_colours_are_cielab():
    """White is (100, 0, 0), and a half white half black region has L 50 with a standard deviation of 50."""
    image = grey(2, 4, 255)
    image[:, 3] = 0
    found = of(image, [[0, 0, 1, 1]] * 2, "L", "a", "b", "spread of L", "spread of a", "spread of b")
    np.testing.assert_allclose(found, [[100, 0, 0, 0, 0, 0], [50, 0, 0, 50, 0, 0]], atol=0.05)


def test_nothing_but_thinness_depends_on_the_size_of_the_picture():
    rng = np.random.default_rng(0)
    regions = np.arange(48, dtype=np.int32).reshape(6, 8) // 5
    image = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    larger = region_geometry(image.repeat(10, 0).repeat(10, 1), regions.repeat(10, 0).repeat(10, 1))
    small = region_geometry(image, regions)
    same = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13]
    np.testing.assert_allclose(larger[:, same], small[:, same], atol=2e-3)


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(DataError, match="do not belong together"):
        region_geometry(grey(3, 4), np.zeros((4, 3), dtype=np.int32))
