"""Region labels become label maps by hand, picture by picture."""

import numpy as np
import pytest

from wsss_lib.segmentation.pseudo_labels import label_maps
from wsss_lib.vocabulary import IGNORE, DataError

REGIONS = [np.array([[0, 0, 1]], dtype=np.int32), np.array([[0], [2], [1]], dtype=np.int32)]


def test_two_pictures_by_hand():
    """Two regions of the first picture, then three of the second; an open region stays open."""
    first, second = label_maps(np.array([4, IGNORE, 1, 2, 3], np.uint8), REGIONS)
    assert first.tolist() == [[4, 4, IGNORE]]
    assert second.tolist() == [[1], [3], [2]]
    assert first.dtype == second.dtype == np.uint8


def test_pictures_together_are_pictures_one_by_one():
    labels = np.array([4, 0, 1, 2, 3], np.uint8)
    together = label_maps(labels, REGIONS)
    alone = [*label_maps(labels[:2], REGIONS[:1]), *label_maps(labels[2:], REGIONS[1:])]
    assert all(np.array_equal(one, other) for one, other in zip(together, alone, strict=True))


@pytest.mark.parametrize("count", [0, 4, 6])
def test_labels_of_other_superpixels_are_refused(count):
    with pytest.raises(DataError, match=f"{count} region labels for 5 regions; labels and superpixels must belong"):
        label_maps(np.zeros(count, np.uint8), REGIONS)
