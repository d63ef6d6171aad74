"""AffinityNet: features that are alike where two cells show the same class (Ahn and Kwak, CVPR 2018; spec. 6.3).

Maps of three depths of a backbone, brought to one grid, each through a 1x1 convolution, group normalisation and ELU;
then side by side through one more 1x1 convolution and ELU. Start values of the new layers as in the released program
(``jiwoon-ahn/psa``, network/vgg16_aff.py): Kaiming, and Xavier with gain 4 for the last.

Choices: the published third depth is fc7 of its own classifier, which our segmentation backbones do not have; the table
below takes conv3 instead, and other backbones have layers of the same roles. The narrower backbones get a quarter of
the published widths, because comparing 34 pairs per cell would otherwise cost more than the network below.
"""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wsss_lib.classification.backbones import Backbone
from wsss_lib.regions.random_walk import affinity_at, half_plane_offsets, pairs_at
from wsss_lib.segmentation.networks import grid_of
from wsss_lib.vocabulary import IGNORE, SettingsError

EPSILON = 1e-5
"""Inside the logarithms and in the counts of the loss, as in the released program."""
GROUP = 8
"""Channels of one group of the normalisation: 64, 128 and 256 channels in 8, 16 and 32 groups, as published."""


@dataclass(frozen=True, kw_only=True)
class Depths:
    """Positions in a backbone's trunk to compare features of, their channels, the new channels for each, and how many
    first layers stay. The published program keeps conv1 and conv2; elsewhere it is what is as shallow (choice).
    """

    layers: tuple[int, int, int]
    channels: tuple[int, int, int]
    widths: tuple[int, int, int]
    frozen: int


DEPTHS = {
    # conv3_3, conv4_3 and conv5_3
    "vgg16_largefov": Depths(layers=(15, 22, 29), channels=(256, 512, 512), widths=(64, 128, 256), frozen=10),
    # the last blocks with 32, 96 and 320 channels, at strides 8, 16 and 16
    "mobilenet_v2": Depths(layers=(6, 13, 17), channels=(32, 96, 320), widths=(16, 32, 64), frozen=4),
    # the third, fifth and seventh convolution; there are no pretrained weights, so all of it learns
    "small": Depths(layers=(8, 14, 20), channels=(32, 64, 96), widths=(16, 32, 64), frozen=0),
}


class AffinityNetwork(nn.Module):
    """RGB pictures with values 0..255 to features on a grid whose cell (i, j) lies on pixel (stride i, stride j)."""

    def __init__(self, backbone: Backbone, stride: int) -> None:
        super().__init__()
        if backbone.name not in DEPTHS:
            raise SettingsError(f"no depths are known for the backbone {backbone.name!r}; known: {', '.join(DEPTHS)}")
        self.backbone, self.stride, self.depths = backbone, stride, DEPTHS[backbone.name]
        backbone.trunk[: self.depths.frozen].requires_grad_(False)
        self.reduce = nn.ModuleList(
            nn.Conv2d(channels, width, 1, bias=False)
            for channels, width in zip(self.depths.channels, self.depths.widths, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(width // GROUP, width) for width in self.depths.widths)
        width = sum(self.depths.widths)
        self.mix = nn.Conv2d(width, width, 1, bias=False)
        for layer in self.reduce:
            nn.init.kaiming_normal_(layer.weight)  # pyright: ignore[reportArgumentType]
        nn.init.xavier_uniform_(self.mix.weight, gain=4)

    @property
    def head(self) -> list[nn.Module]:
        """The new layers, without the normalisations, as published."""
        return [*self.reduce, self.mix]

    def train(self, mode: bool = True) -> Self:
        """As always, but the layers that stay keep the statistics of their normalisation too."""
        super().train(mode)
        self.backbone.trunk[: self.depths.frozen].eval()
        return self

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channel rows columns"]:
        grid = grid_of((images.shape[-2], images.shape[-1]), self.stride)
        maps = [
            functional.interpolate(depth, grid, mode="bilinear", align_corners=self.backbone.align_corners)
            for depth in self.backbone.maps(images, self.depths.layers)
        ]
        parts = [
            functional.elu(norm(reduce(depth)))
            for depth, reduce, norm in zip(maps, self.reduce, self.norms, strict=True)
        ]
        return functional.elu(self.mix(torch.cat(parts, 1))).float()


def affinity_loss(
    features: Float[Tensor, "batch channel rows columns"],
    labels: Int[Tensor, "batch rows columns"],
    radius: int,
    background: int | None,
) -> Tensor:
    """1/2 mean of -log(1 - W) over different pairs + 1/2 mean of -log W over equal pairs of known cells.

    With a background class the second half is 1/4 for pairs of background and 1/4 for pairs of objects, as published;
    driving scenes have none (choice, spec. 6.3). A kind without pairs adds 0. Each offset's differences are computed
    again in the backward pass: kept, they would need 34 times the memory of the features.
    """
    equal_kinds = 1 if background is None else 2
    sums = [features.new_zeros(()) for _ in range(1 + equal_kinds)]
    counts = [features.new_zeros(()) for _ in sums]
    for offset in half_plane_offsets(radius):
        here, there = pairs_at(labels, offset)
        if not here.numel():
            continue
        affinity = checkpoint(affinity_at, features, offset, use_reentrant=False, preserve_rng_state=False)
        apart, together = -(1 + EPSILON - affinity).log(), -(affinity + EPSILON).log()
        known = (here != IGNORE) & (there != IGNORE)
        equal = known & (here == there)
        kinds = [(known & ~equal, apart)]
        if background is None:
            kinds += [(equal, together)]
        else:
            kinds += [(equal & (here == background), together), (equal & (here != background), together)]
        for kind, (pairs, cost) in enumerate(kinds):
            sums[kind] = sums[kind] + (cost * pairs).sum()
            counts[kind] = counts[kind] + pairs.sum()
    apart, *together = (total / (count + EPSILON) for total, count in zip(sums, counts, strict=True))
    return apart / 2 + torch.stack(together).mean() / 2
