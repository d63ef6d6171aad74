"""Region labels become label maps by hand, picture by picture."""

import numpy as np
import pytest

from wsss_lib.segmentation.pseudo_labels import RegionLabels
from wsss_lib.vocabulary import IGNORE, DataError

REGIONS = [np.array([[0, 0, 1]], dtype=np.int32), np.array([[0], [2], [1]], dtype=np.int32)]
COUNTS = np.array([2, 3])


def test_two_pictures_by_hand():
    """Two regions of the first picture, then three of the second; an open region stays open."""
    first, second = RegionLabels(np.array([4, IGNORE, 1, 2, 3], np.uint8), REGIONS, COUNTS)
    assert first.tolist() == [[4, 4, IGNORE]]
    assert second.tolist() == [[1], [3], [2]]
    assert first.dtype == second.dtype == np.uint8


def test_pictures_together_are_pictures_one_by_one():
    labels = np.array([4, 0, 1, 2, 3], np.uint8)
    together = RegionLabels(labels, REGIONS, COUNTS)
    alone = [*RegionLabels(labels[:2], REGIONS[:1], COUNTS[:1]), *RegionLabels(labels[2:], REGIONS[1:], COUNTS[1:])]
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))


@pytest.mark.parametrize("count", [0, 4, 6])
def test_labels_of_other_superpixels_are_refused(count):
    with pytest.raises(DataError, match=f"{count} region labels for 5 regions; labels and superpixels must belong"):
        RegionLabels(np.zeros(count, np.uint8), REGIONS, COUNTS)


def test_labels_of_other_pictures_are_refused():
    with pytest.raises(DataError, match="must belong together"):
        RegionLabels(np.zeros(5, np.uint8), REGIONS[:1], COUNTS)


def test_maps_are_painted_one_at_a_time_and_in_ranges():
    class Counted(list):
        asked = 0

        def __getitem__(self, index):
            Counted.asked += 1
            return super().__getitem__(index)

    maps = RegionLabels(np.arange(5, dtype=np.uint8), Counted(REGIONS), COUNTS)
    assert (len(maps), Counted.asked) == (2, 0)
    assert maps[-1].tolist() == maps[1].tolist() == [[2], [4], [3]]
    assert Counted.asked == 2
    assert [each.tolist() for each in maps[:1]] == [[[0, 0, 1]]]
    with pytest.raises(IndexError):
        maps[2]
