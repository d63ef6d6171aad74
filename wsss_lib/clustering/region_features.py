"""The pooled features of all regions of a data set, behind one small interface, whatever the pooling.

Mean-pooled features are short enough to be kept (region x channel). Masked RoI features are 49 times longer, so the
feature maps are kept instead and regions are pooled when they are asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from wsss_lib.classification.backbones import Backbone
from wsss_lib.classification.classifier import to_tensor
from wsss_lib.data.pictures import resize_image
from wsss_lib.regions.geometry import region_geometry
from wsss_lib.regions.pooling import RegionShapes, masked_roi_pool, mean_pool
from wsss_lib.training.compute import Compute
from wsss_lib.vocabulary import Image, RegionMap, SettingsError

_PROCESSOR = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class RegionFeatureConfig:
    """What a region is described by.

    Pictures are resized to ``size`` (width, height); ``layers`` are positions in the backbone's trunk whose outputs are
    pooled and put side by side, ``()`` its usual output. ``mean``: mean over the region's pixels; ``masked_roi``: 7 x 7
    RoI max pooling times the region's mask (specification 3.3), of one layer. Behind mean-pooled features stand
    ``geometry_copies`` copies of the region's place, shape and colour (``regions.geometry``; not in the paper): all
    inputs are standardised (``mean_and_scale``), so copies are what gives 14 numbers a say beside more than a thousand.
    """

    size: tuple[int, int]
    layers: tuple[int, ...] = ()
    pooling: Literal["mean", "masked_roi"] = "mean"
    geometry_copies: int = 0

    def __post_init__(self) -> None:
        if self.pooling not in ("mean", "masked_roi"):
            raise SettingsError(f"pooling must be mean or masked_roi, not {self.pooling!r}")
        if self.pooling == "masked_roi" and len(self.layers) > 1:
            raise SettingsError(f"masked RoI pooling takes one layer, not {self.layers}")
        if self.geometry_copies < 0 or (self.geometry_copies and self.pooling != "mean"):
            raise SettingsError(f"geometry_copies must be 0 or more, and 0 without mean pooling, in {self}")


@torch.no_grad()
def describe(
    backbone: Backbone, image: Image, regions: RegionMap, config: RegionFeatureConfig, *, compute: Compute
) -> Float16[np.ndarray, "..."]:
    """What is kept of one picture: region x channel for ``mean``, channel x rows x columns for ``masked_roi``."""
    pixels = compute.tensor(to_tensor([resize_image(image, config.size)]))
    with compute.autocast():
        maps = [each[0].float() for each in backbone.maps(pixels, config.layers)]
    if config.pooling == "masked_roi":
        return maps[0].half().cpu().numpy()
    pooled = [mean_pool(each, regions, align_corners=backbone.align_corners) for each in maps]
    geometry = np.tile(region_geometry(image, regions), config.geometry_copies)
    return np.concatenate([*(each.cpu().numpy() for each in pooled), geometry], axis=1).astype(np.float16)


class RegionFeatures(Protocol):
    """Features of the regions of a list of pictures."""

    @property
    def counts(self) -> Int[np.ndarray, "picture"]:
        """Regions of every picture."""
        ...

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        ...

    def of(self, picture: int, region_ids: Int[np.ndarray, "chosen"]) -> Float[Tensor, "chosen feature"]:
        """Features of some regions of one picture, in the order of the ids."""
        ...


@dataclass(frozen=True)
class MeanPooled:
    """All features in one array, float16, the regions of a picture in one piece."""

    array: Float16[np.ndarray, "region channel"]
    counts: Int[np.ndarray, "picture"]

    @property
    def width(self) -> int:
        return self.array.shape[1]

    def of(self, picture: int, region_ids: Int[np.ndarray, "chosen"]) -> Float[Tensor, "chosen feature"]:
        start, count = int(self.counts[:picture].sum()), int(self.counts[picture])
        return torch.from_numpy(self.array[start : start + count][region_ids]).float()


@dataclass(frozen=True)
class MaskedRoi:
    """Feature maps and region maps of all pictures, which may come from the disk; regions are pooled when asked for.

    A batch takes a few regions of a few pictures, so that a picture is asked hundreds of times: the shapes of its
    regions, which take longer to find than to pool, are found once. Pooling is done on ``device``: maps of Cityscapes
    cost a processor half a second. ``align_corners``: where the cells of the maps are, as in ``regions.pooling``.
    """

    maps: Sequence[Float16[np.ndarray, "channel rows columns"]]
    regions: Sequence[RegionMap]
    counts: Int[np.ndarray, "picture"]
    bins: int = 7
    align_corners: bool = False
    device: torch.device = _PROCESSOR
    _shapes: dict[int, RegionShapes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def width(self) -> int:
        return len(self.maps[0]) * self.bins**2

    def of(self, picture: int, region_ids: Int[np.ndarray, "chosen"]) -> Float[Tensor, "chosen feature"]:
        if picture not in self._shapes:
            self._shapes[picture] = RegionShapes.of(self.regions[picture], self.bins)
        features = torch.from_numpy(self.maps[picture]).to(self.device).float()
        pooled = masked_roi_pool(features, self._shapes[picture], region_ids, align_corners=self.align_corners)
        return pooled.flatten(1)


def blocks(features: RegionFeatures, size: int = 1024) -> Iterator[tuple[int, Float[Tensor, "region feature"]]]:
    """All regions in order, at most ``size`` at a time: (picture, features)."""
    for picture, count in enumerate(features.counts):
        for start in range(0, int(count), size):
            yield picture, features.of(picture, np.arange(start, min(start + size, int(count))))


def mean_and_scale(
    features: RegionFeatures, seed: int, pictures: int = 40
) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
    """Mean per dimension over a sample of regions of at most ``pictures`` pictures, and standard deviation + 0.001.

    So a dimension that hardly varies stays small: a region's slant (0.0004 on CamVid) has a quarter of the others' say.
    A single region has no deviation.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(features.counts))[:pictures]
    sample = torch.cat(
        [
            features.of(int(p), rng.choice(features.counts[p], min(64, features.counts[p]), replace=False))
            for p in chosen
        ]
    )
    deviation = sample.std(0) if len(sample) > 1 else torch.zeros_like(sample[0])
    return sample.mean(0), deviation + 1e-3
