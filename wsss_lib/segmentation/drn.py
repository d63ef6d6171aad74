"""Dilated residual networks of type D (Yu, Koltun, Funkhouser, CVPR 2017; specification 5.3).

Nine levels: a 7x7 convolution, two plain levels, residual levels of which the first two reduce the grid and the later
ones are dilated instead, and two plain levels that remove the traces of dilation. Batch normalisation everywhere, no
bias in these convolutions, He-normal start values by the outgoing connections as in ``fyu/drn:drn.py``.

Choices, where the published segmentation network (``fyu/drn:segment.py``) does something else:

- Logits are returned at the backbone's stride and brought to the picture by ``networks.upsample``, bilinearly with
  the corners aligned. The published transposed convolution (kernel 16, stride 8, padding 4) is bilinear too, but puts
  cell i on pixel 8 i + 3.5, while strided 3x3 layers centre it on 8 i.
- Pictures are normalised with ImageNet's mean and deviation, as for every backbone here; the authors take those of
  Cityscapes (0.290, 0.328, 0.287 and 0.183, 0.187, 0.184). The batch normalisation behind the first layer takes up most
  of the difference.
- No start weights are at hand. A file must be made for exactly this network and name its tensors as ``fyu/drn`` does
  (``layer3.0.conv1.weight``), which is how the trunk names them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from wsss_lib.classification.backbones import Backbone, load_weights
from wsss_lib.segmentation.base import SegmentationNetwork


@dataclass(frozen=True)
class Level:
    """Layers of one width: plain convolutions, or residual blocks of two or (bottleneck) three convolutions.

    ``channels`` are inside a block; a bottleneck returns four times as many. Only the first layer is strided.
    """

    kind: Literal["plain", "basic", "bottleneck"]
    channels: int
    count: int = 1
    stride: int = 1
    dilation: int = 1


DRN_D_105 = (
    Level("plain", 16),
    Level("plain", 16),
    Level("plain", 32, stride=2),
    Level("bottleneck", 64, 3, stride=2),
    Level("bottleneck", 128, 4, stride=2),
    Level("bottleneck", 256, 23, dilation=2),
    Level("bottleneck", 512, 3, dilation=4),
    Level("plain", 512, dilation=2),
    Level("plain", 512, dilation=1),
)

DRN_D_22 = (
    *DRN_D_105[:3],
    Level("basic", 64, 2, stride=2),
    Level("basic", 128, 2, stride=2),
    Level("basic", 256, 2, dilation=2),
    Level("basic", 512, 2, dilation=4),
    *DRN_D_105[7:],
)

DRN_SMALL = (
    Level("plain", 8),
    Level("plain", 8),
    Level("plain", 16, stride=2),
    Level("basic", 32, stride=2),
    Level("basic", 48),
    Level("basic", 48, dilation=2),
    Level("basic", 64, dilation=4),
    Level("plain", 64, dilation=2),
    Level("plain", 64, dilation=1),
)


def drn_backbone(name: str, levels: Sequence[Level]) -> Backbone:
    """The levels as a trunk, ``layer0`` to ``layer8``; positions in ``Backbone.maps`` are levels."""
    trunk, before, stride = OrderedDict[str, nn.Module](), 3, 1
    for number, level in enumerate(levels):
        layers: list[nn.Module] = []
        for k in range(level.count):
            step = level.stride if k == 0 else 1
            if level.kind == "plain":
                layers += _plain(before, level, step, side=7 if number == 0 else 3)
            else:
                layers.append(_residual(before, level, step))
            before = level.channels * (Bottleneck.expansion if level.kind == "bottleneck" else 1)
        trunk[f"layer{number}"] = nn.Sequential(*layers)
        stride *= level.stride
    for layer in (each for part in trunk.values() for each in part.modules()):
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return Backbone(name, nn.Sequential(trunk), nn.Identity(), channels=before, stride=stride)


def _plain(before: int, level: Level, stride: int, side: int) -> list[nn.Module]:
    padding = (side - 1) // 2 * level.dilation
    convolution = nn.Conv2d(before, level.channels, side, stride, padding, level.dilation, bias=False)
    return [convolution, nn.BatchNorm2d(level.channels), nn.ReLU()]


def _residual(before: int, level: Level, stride: int) -> nn.Module:
    """torchvision's block, whose 3x3 convolutions are dilated; it reduces the grid in the first of them."""
    kind = Bottleneck if level.kind == "bottleneck" else BasicBlock
    after, shortcut = level.channels * kind.expansion, None
    if stride != 1 or before != after:
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
    block = kind(before, level.channels, stride, shortcut)
    for layer in block.modules():  # afterwards, because torchvision's basic block refuses to be built dilated
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            layer.dilation = layer.padding = (level.dilation, level.dilation)
    return block


class DRN(SegmentationNetwork):
    """A dilated residual network and one 1x1 convolution to the classes, with a bias that starts at zero."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.score = nn.Conv2d(backbone.channels, num_classes, 1)
        nn.init.kaiming_normal_(self.score.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.score.bias)  # pyright: ignore[reportArgumentType]  # this convolution has a bias

    @property
    def head(self) -> list[nn.Module]:
        return [self.score]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class rows columns"]:
        return self.score(self.backbone(images)).float()


def drn_d_105(num_classes: int, weights: str | Path = "none") -> DRN:
    """DRN-D-105, the paper's third network: 33 bottlenecks, stride 8."""
    return DRN(load_weights(drn_backbone("drn_d_105", DRN_D_105), weights), num_classes)


def drn_d_22(num_classes: int, weights: str | Path = "none") -> DRN:
    """DRN-D-22, the smallest published one: 8 blocks of two convolutions, stride 8."""
    return DRN(load_weights(drn_backbone("drn_d_22", DRN_D_22), weights), num_classes)


def drn_small(num_classes: int, weights: str | Path = "none") -> DRN:
    """The same scheme for the toy: one block per level, few channels, level 4 not strided, so stride 4."""
    return DRN(load_weights(drn_backbone("drn_small", DRN_SMALL), weights), num_classes)
