"""DeepLab-LargeFOV as published on VGG16, and its head on other backbones (specification 5.1)."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone, build_backbone
from wsss_lib.classification.convolutions import WideConv2d
from wsss_lib.segmentation.base import SegmentationNetwork


class LargeFOVHead(nn.Module):
    """fc6 as a dilated 3x3 convolution with a large field of view, fc7 and fc8 as 1x1 convolutions."""

    def __init__(self, channels: int, num_classes: int, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.fc6 = WideConv2d(channels, width, 3, padding=dilation, dilation=dilation)
        self.fc7 = nn.Conv2d(width, width, 1)
        self.fc8 = nn.Conv2d(width, num_classes, 1)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(self.fc8.weight, std=0.01)
        for layer in (self.fc6, self.fc7, self.fc8):
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # these convolutions have a bias

    def logits(self, features: Float[Tensor, "batch channel r c"]) -> Float[Tensor, "batch class r c"]:
        """Scores of the classes in every cell, in float32."""
        x = self.dropout(self.fc6(features).relu())
        return self.fc8(self.dropout(self.fc7(x).relu())).float()


class LargeFOV(LargeFOVHead, SegmentationNetwork):
    """The head on a backbone."""

    def __init__(self, backbone: Backbone, num_classes: int, width: int, dilation: int, dropout: float) -> None:
        super().__init__(backbone.channels, num_classes, width, dilation, dropout)
        self.backbone = backbone

    @property
    def head(self) -> list[nn.Module]:
        return [self.fc6, self.fc7, self.fc8]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class rows columns"]:
        return self.logits(self.backbone(images))


def deeplab_largefov(num_classes: int, weights: str | Path = "none") -> LargeFOV:
    """DeepLab-LargeFOV on VGG16: stride 8, 1024 channels, dilation 12, dropout 0.5; its layers exactly as published.

    fc6 and fc7 start from random values and learn as fast as fc8 (choice; published: cut out of ImageNet's, and ten
    times slower than fc8).
    """
    backbone = build_backbone("vgg16_largefov", weights)
    return LargeFOV(backbone, num_classes, width=1024, dilation=12, dropout=0.5)


def largefov_mobilenet_v2(num_classes: int, weights: str | Path = "none") -> LargeFOV:
    """The same head on MobileNetV2 at stride 16: dilation 6 sees as far as 12 at stride 8; 256 channels, dropout 0.1.

    Narrower than the published head because it would otherwise cost more than the network below it.
    """
    backbone = build_backbone("mobilenet_v2", weights)
    return LargeFOV(backbone, num_classes, width=256, dilation=6, dropout=0.1)


def largefov_small(num_classes: int, weights: str | Path = "none") -> LargeFOV:
    """The same head on the toy's small backbone: stride 4, dilation 4, 64 channels."""
    return LargeFOV(build_backbone("small", weights), num_classes, width=64, dilation=4, dropout=0.1)
