"""The pooled features of all regions of a data set, a table for every picture, whatever the pooling.

A region is pooled once. Masked RoI features are 49 times as long as mean-pooled ones, 50 KB a region for VGG16; but to
pool a few regions for every batch anew costs a step of the region network on Cityscapes more than a second, and the
feature maps that it needs take no less room: 68 MB a picture, against 20 MB for 400 regions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from wsss_lib.classification.backbones import Backbone
from wsss_lib.classification.classifier import to_tensor
from wsss_lib.data.pictures import resize_image
from wsss_lib.regions.geometry import region_geometry
from wsss_lib.regions.pooling import masked_roi_pool, mean_pool
from wsss_lib.training.compute import Compute
from wsss_lib.vocabulary import Image, RegionMap, SettingsError


@dataclass(frozen=True, kw_only=True)
class RegionFeatureConfig:
    """What a region is described by.

    Pictures are resized to ``size`` (width, height); ``layers`` are positions in the backbone's trunk whose outputs are
    pooled and put side by side, ``()`` its usual output. ``mean``: mean over the region's pixels; ``masked_roi``: 7 x 7
    RoI max pooling times the region's mask (specification 3.3), of one layer. Behind mean-pooled features stand
    ``geometry_copies`` copies of the region's place, shape and colour (``regions.geometry``; not in the paper): all
    inputs are standardised, so copies are what gives 14 numbers a say beside more than a thousand.
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
) -> Float16[np.ndarray, "region feature"]:
    """Features of all regions of one picture: channels for ``mean``, channels x 7 x 7 for ``masked_roi``."""
    pixels = compute.tensor(to_tensor([resize_image(image, config.size)]))
    with compute.autocast():
        maps = [each[0].float() for each in backbone.maps(pixels, config.layers)]
    if config.pooling == "masked_roi":
        return masked_roi_pool(maps[0], regions).flatten(1).half().cpu().numpy()
    pooled = [mean_pool(each, regions, align_corners=backbone.align_corners) for each in maps]
    geometry = np.tile(region_geometry(image, regions), config.geometry_copies)
    return np.concatenate([*(each.cpu().numpy() for each in pooled), geometry], axis=1).astype(np.float16)


@dataclass(frozen=True)
class RegionFeatures:
    """Features of the regions of a list of pictures: what ``describe`` gives for each, which may come from the disk."""

    tables: Sequence[Float16[np.ndarray, "region feature"]]
    counts: Int[np.ndarray, "picture"]
    """Regions of every picture."""

    @property
    def width(self) -> int:
        """Length of a feature vector."""
        return self.tables[0].shape[1]

    def of(self, picture: int, region_ids: Int[np.ndarray, "chosen"]) -> Float[Tensor, "chosen feature"]:
        """Features of some regions of one picture, in the order of the ids; ``IndexError`` for one that it has not."""
        return torch.from_numpy(self.tables[picture][region_ids]).float()


def blocks(features: RegionFeatures, size: int = 1024) -> Iterator[tuple[int, Float[Tensor, "region feature"]]]:
    """All regions in order, at most ``size`` at a time: (picture, features)."""
    for picture, count in enumerate(features.counts):
        for start in range(0, int(count), size):
            yield picture, features.of(picture, np.arange(start, min(start + size, int(count))))


def mean_and_scale(
    features: RegionFeatures, seed: int, pictures: int = 40
) -> tuple[Float[Tensor, "feature"], Float[Tensor, "feature"]]:
    """Mean and standard deviation per dimension over a sample of regions of at most ``pictures`` pictures."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(features.counts))[:pictures]
    sample = torch.cat(
        [
            features.of(int(p), rng.choice(features.counts[p], min(64, features.counts[p]), replace=False))
            for p in chosen
        ]
    )
    return sample.mean(0), sample.std(0) + 1e-3
