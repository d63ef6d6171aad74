"""Atrous spatial pyramid pooling of DeepLab v2, the head of DSRG's network (Chen et al., PAMI 2018; spec. 6.10).

As in ``largefov``, fc6 and fc7 start from random values and learn as fast as fc8 (choice).
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone, build_backbone
from wsss_lib.segmentation.base import SegmentationNetwork
from wsss_lib.segmentation.largefov import LargeFOVHead


class PyramidBranch(LargeFOVHead):
    """One scale of the pyramid: LargeFOV's layers with a dilation of their own."""

    def forward(self, features: Float[Tensor, "batch channel r c"]) -> Float[Tensor, "batch class r c"]:
        return self.logits(features)


class AtrousPyramid(SegmentationNetwork):
    """Parallel branches of rising dilation on one backbone; their logits are summed."""

    def __init__(
        self, backbone: Backbone, num_classes: int, width: int, dilations: tuple[int, ...], dropout: float
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.branches = nn.ModuleList(
            PyramidBranch(backbone.channels, num_classes, width, dilation, dropout) for dilation in dilations
        )

    @property
    def head(self) -> list[nn.Module]:
        return list(self.branches)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class rows columns"]:
        features = self.backbone(images)
        return torch.stack([branch(features) for branch in self.branches]).sum(0)


def deeplab_aspp(num_classes: int, weights: str | Path = "none") -> AtrousPyramid:
    """DeepLab v2's ASPP-L on VGG16, as in DSRG: stride 8, four branches of 1024 channels, dropout 0.5."""
    backbone = build_backbone("vgg16_largefov", weights)
    return AtrousPyramid(backbone, num_classes, width=1024, dilations=(6, 12, 18, 24), dropout=0.5)


def aspp_mobilenet_v2(num_classes: int, weights: str | Path = "none") -> AtrousPyramid:
    """The same head on MobileNetV2: dilations halved because the stride is 16 instead of 8.

    Four branches of 128 channels need twice the multiplications of the one of 256 in ``largefov_mobilenet_v2``, for a
    sixth more of a training step (2.1 instead of 1.8 s for 8 pictures of 481 x 369 on one core); published are 1024.
    """
    backbone = build_backbone("mobilenet_v2", weights)
    return AtrousPyramid(backbone, num_classes, width=128, dilations=(3, 6, 9, 12), dropout=0.1)


def aspp_small(num_classes: int, weights: str | Path = "none") -> AtrousPyramid:
    """The same head on the toy's small backbone: stride 4, dilations around the 4 of ``largefov_small``, 32 channels.

    A third of the published dilations, because the toy's pictures have only a few dozen cells a side.
    """
    return AtrousPyramid(build_backbone("small", weights), num_classes, width=32, dilations=(2, 4, 6, 8), dropout=0.1)
