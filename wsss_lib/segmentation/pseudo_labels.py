"""Region labels as label maps: what the segmentation network learns from (paper 3.3)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from wsss_lib.regions.superpixels import paint_regions
from wsss_lib.vocabulary import DataError, LabelMap, RegionMap


def label_maps(labels: UInt8[np.ndarray, "region"], regions: Sequence[RegionMap]) -> list[LabelMap]:
    """One label map per picture from the labels of all regions, picture by picture; unknown stays ``IGNORE``."""
    counts = [int(each.max()) + 1 for each in regions]
    if len(labels) != sum(counts):
        raise DataError(
            f"{len(labels)} region labels for {sum(counts)} regions; labels and superpixels must belong together"
        )
    return [
        paint_regions(part, each) for part, each in zip(np.split(labels, np.cumsum(counts)[:-1]), regions, strict=True)
    ]
