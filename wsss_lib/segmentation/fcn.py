"""FCN-8s on VGG16, and its skips on other backbones (Long, Shelhamer, Darrell, CVPR 2015; specification 5.2).

Coarse scores are brought to the grid of an earlier, finer layer by a fixed bilinear deconvolution, the scores of that
layer are added, and so on. All score layers start at zero.

Choices, where the published network (``shelhamer/fcn.berkeleyvision.org:voc-fcn8s``) does something else:

- Padding 1 at conv1_1 and 3 at fc6 instead of 100 and 0, as the specification proposes for driving scenes;
  ``fcn8s(..., padding=100)`` is the published layout, whose crops at 5, 9 and 31 follow from where the cells are.
- Scores beyond the border of a map are those of its edge; the published deconvolution fades them to zero there.
- The deconvolutions have no state: their kernels follow from the grids. The published file stores them class by class.
- Trained at once in the loop of all networks. The published network was trained in three stages (32s, 16s, 8s), or at
  once with pool4 and pool3 scaled by 0.01 and 0.0001, for features of Caffe's pictures (0..255);
  the features of torchvision's weights, which see pictures of unit variance, are left as they are.
- fc6 and fc7 take the weights of torchvision's classifier, the published ones those of Caffe's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone, build_backbone, load_weights, vgg16_trunk
from wsss_lib.segmentation.base import SegmentationNetwork
from wsss_lib.training.compute import without_autocast
from wsss_lib.vocabulary import SettingsError


class Grid(NamedTuple):
    """Where the cells of a map are: cell i is centred on pixel ``first + stride * i`` of the picture, on both axes."""

    stride: int
    first: float = 0.0


PIXELS = Grid(1)
"""The grid of the picture itself."""


# ------------------------------------------------------------------------------------------------- from grid to grid


def bilinear_kernel(factor: int, *, meeting: bool, like: Tensor) -> Float[Tensor, "side side"]:
    """Weights max(0, 1 - d/factor) of a coarse cell for the fine cells at distance d, one axis times the other.

    ``meeting``: every coarse cell lies on a fine one (side 2 factor - 1), else between two (side 2 factor). Factor 2
    has 1/2, 1, 1/2 and 1/4, 3/4, 3/4, 1/4. The published kernels are of the second kind, 4 and 16 wide.
    """
    side = 2 * factor - meeting
    distances = (torch.arange(side, device=like.device, dtype=like.dtype) - (side - 1) / 2).abs()
    weights = 1 - distances / factor
    return weights[:, None] * weights


def deconvolve(
    scores: Float[Tensor, "batch class r c"], coarse: Grid, fine: Grid, size: tuple[int, int]
) -> Float[Tensor, "batch class rows columns"]:
    """Scores brought from a coarse grid to the (rows, columns) ``size`` cells of a finer one, in float32.

    A transposed convolution with a fixed bilinear kernel, each class for itself, cropped to the cells that are asked
    for. Scores beyond the coarse map are those of its edge.
    """
    factor = coarse.stride // fine.stride
    start = (coarse.first - fine.first) / fine.stride  # where coarse cell 0 lies among the fine ones
    before = max(0, math.ceil(start / factor))
    below, right = (
        max(0, math.ceil((cells - 1 - start) / factor) - (given - 1))
        for cells, given in zip(size, scores.shape[-2:], strict=True)
    )
    padded = functional.pad(scores.float(), (before, right, before, below), mode="replicate")
    kernel = bilinear_kernel(factor, meeting=start.is_integer(), like=padded)
    top = left = round((len(kernel) - 1) / 2 + factor * before - start)
    with without_autocast(padded):  # fixed weights gain nothing from bfloat16
        full = functional.conv_transpose2d(
            padded, kernel.expand(scores.shape[1], 1, -1, -1), stride=factor, groups=scores.shape[1]
        )
    return full[..., top : top + size[0], left : left + size[1]]


def fuse(
    scores: Sequence[Float[Tensor, "batch class r c"]], grids: Sequence[Grid]
) -> Float[Tensor, "batch class rows columns"]:
    """The sum of score maps on the grid of the last: each is deconvolved to the next finer grid and added there."""
    total = scores[0].float()
    for finer, (coarse, fine) in zip(scores[1:], pairwise(grids), strict=True):
        total = finer + deconvolve(total, coarse, fine, (finer.shape[-2], finer.shape[-1]))
    return total


# ------------------------------------------------------------------------------------------------------- the network


@dataclass(frozen=True, kw_only=True)
class Skip:
    """An earlier layer of the trunk that is scored too: its position, channels and cells."""

    layer: int
    channels: int
    grid: Grid


class FCN(SegmentationNetwork):
    """Scores of the last features and of earlier ones, fused from coarse to fine.

    Logits are on the grid of the last skip, or on the pixels themselves where its corners are not the picture's.
    """

    def __init__(self, backbone: Backbone, num_classes: int, grid: Grid, skips: Sequence[Skip]) -> None:
        """``grid``: of the backbone's features; ``skips``: from late to early layers of the trunk."""
        super().__init__()
        self.backbone, self.skips = backbone, tuple(skips)
        self.grids = (grid, *(skip.grid for skip in skips))
        channels = (backbone.channels, *(skip.channels for skip in skips))
        self.scores = nn.ModuleList(nn.Conv2d(each, num_classes, 1) for each in channels)
        for parameter in self.scores.parameters():
            nn.init.zeros_(parameter)

    @property
    def head(self) -> list[nn.Module]:
        return list(self.scores)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class rows columns"]:
        layers = [skip.layer for skip in reversed(self.skips)]
        *early, last = self.backbone.maps(images, [*layers, len(self.backbone.trunk) - 1])
        features = [self.backbone.neck(last), *reversed(early)]
        # In bfloat16 and with two threads, PyTorch 2.15 writes the gradient of fc7's 4096 channels to fewer than 16
        # classes beyond its memory on a processor: the program dies, or worse.
        with without_autocast(images):
            scores = [score(each.float()) for score, each in zip(self.scores, features, strict=True)]
        logits = fuse(scores, self.grids)
        if self.grids[-1].first == 0:
            return logits
        return deconvolve(logits, self.grids[-1], PIXELS, (images.shape[-2], images.shape[-1]))


# ------------------------------------------------------------------------------------------------------------- VGG16


def vgg16_grids(padding: int) -> tuple[Grid, Grid, Grid]:
    """The cells of fc7, pool4 and pool3: 2x2 pools centre a cell between its pixels, padding moves the first one out.

    An fc6 that is not padded sees 7 cells at once from the fourth on: it starts 3 cells later.
    """
    fc7, pool4, pool3 = (Grid(stride, (stride - 1) / 2 + 1 - padding) for stride in (32, 16, 8))
    return (fc7 if padding == 1 else Grid(32, fc7.first + 3 * 32), pool4, pool3)


def vgg16_fcn(padding: int = 1, width: int = 4096) -> Backbone:
    """VGG16 with five 2x2 pools and its fully connected layers as convolutions: fc6 7x7, fc7 1x1, dropout 0.5.

    They are part of the trunk, because pretrained weights exist for them.
    """
    if padding not in (1, 100):
        raise SettingsError(f"conv1_1 is padded by 1 or, as published, by 100, not by {padding}")
    trunk = vgg16_trunk(tuple(nn.MaxPool2d(2, 2, ceil_mode=True) for _ in range(5)))  # Caffe rounds up
    trunk[0] = nn.Conv2d(3, 64, 3, padding=padding)
    fc6 = nn.Conv2d(512, width, 7, padding=3 if padding == 1 else 0)
    trunk.extend([fc6, nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Dropout(0.5)])
    return Backbone("vgg16_fcn", trunk, nn.Identity(), channels=width, stride=32, align_corners=False)


def fcn8s(num_classes: int, weights: str | Path = "none", *, padding: int = 1) -> FCN:
    """FCN-8s on VGG16: scores of fc7, pool4 and pool3, logits for every pixel. Padding 100 is the published layout."""
    fc7, pool4, pool3 = vgg16_grids(padding)
    skips = (Skip(layer=23, channels=512, grid=pool4), Skip(layer=16, channels=256, grid=pool3))
    return FCN(load_weights(vgg16_fcn(padding), weights), num_classes, fc7, skips)


# ---------------------------------------------------------------------------------------------------- other backbones


def fcn8s_mobilenet_v2(num_classes: int, weights: str | Path = "none") -> FCN:
    """The same skips on MobileNetV2: strides 16, 8 and 4 instead of 32, 16 and 8; logits at stride 4.

    The 1280 channels in front of its classifier stand for fc7, without new layers or dropout; the skips are the last
    block at each stride. Strided 3x3 layers centre cells on pixels, so the deconvolutions are 3 wide instead of 4, and
    the corners of every grid are the picture's: the last step needs no kernel of its own.
    """
    skips = (Skip(layer=6, channels=32, grid=Grid(8)), Skip(layer=3, channels=24, grid=Grid(4)))
    return FCN(build_backbone("mobilenet_v2", weights), num_classes, Grid(16), skips)


def fcn8s_small(num_classes: int, weights: str | Path = "none") -> FCN:
    """The same on the toy's small backbone: its last layer and its first at stride 4, then its last at stride 2.

    The first skip is on the grid of the last layer (nothing is dilated there yet), so one deconvolution is left;
    logits at stride 2.
    """
    skips = (Skip(layer=8, channels=32, grid=Grid(4)), Skip(layer=5, channels=32, grid=Grid(2)))
    return FCN(build_backbone("small", weights), num_classes, Grid(4), skips)
