"""Region labels as label maps: what the segmentation network learns from (paper 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from jaxtyping import Int, UInt8

from wsss_lib.regions.superpixels import paint_regions
from wsss_lib.vocabulary import DataError, LabelMap, RegionMap


@dataclass(frozen=True)
class RegionLabels(Sequence[LabelMap]):
    """The labels of all regions, picture by picture, seen as label maps; unknown stays ``IGNORE``.

    A map is painted when it is asked for, so neither the maps nor the superpixels of a data set need to fit into
    memory. ``counts``: regions of every picture. ``DataError`` if there are not as many labels as regions.
    """

    labels: UInt8[np.ndarray, "region"]
    regions: Sequence[RegionMap]
    counts: Int[np.ndarray, "picture"]

    def __post_init__(self) -> None:
        if len(self.labels) != self.counts.sum() or len(self.regions) != len(self.counts):
            raise DataError(
                f"{len(self.labels)} region labels for {self.counts.sum()} regions; labels and superpixels must belong"
                " together"
            )

    def __len__(self) -> int:
        return len(self.counts)

    @overload
    def __getitem__(self, picture: int) -> LabelMap: ...
    @overload
    def __getitem__(self, picture: slice) -> list[LabelMap]: ...
    def __getitem__(self, picture: int | slice) -> LabelMap | list[LabelMap]:
        if isinstance(picture, slice):
            return [self[i] for i in range(*picture.indices(len(self)))]
        regions = self.regions[picture]
        start = int(self.counts[:picture].sum())
        return paint_regions(self.labels[start : start + self.counts[picture]], regions)
