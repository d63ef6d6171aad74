"""Segmentation networks: DeepLab-LargeFOV as published on VGG16, and its head on other backbones (spec. 5.1)."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone, build_backbone
from wsss_lib.vocabulary import SettingsError


class LargeFOV(nn.Module):
    """fc6 as a dilated 3x3 convolution with a large field of view, fc7 and fc8 as 1x1 convolutions, on a backbone.

    Takes RGB pictures with values 0..255, returns logits on the backbone's grid.
    """

    def __init__(self, backbone: Backbone, num_classes: int, width: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.fc6 = nn.Conv2d(backbone.channels, width, 3, padding=dilation, dilation=dilation)
        self.fc7 = nn.Conv2d(width, width, 1)
        self.fc8 = nn.Conv2d(width, num_classes, 1)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # these convolutions have a bias
        nn.init.normal_(self.fc8.weight, std=0.01)
        nn.init.zeros_(self.fc8.bias)  # pyright: ignore[reportArgumentType]

    @property
    def head(self) -> list[nn.Module]:
        """The layers without pretrained weights, trained ten times faster."""
        return [self.fc6, self.fc7, self.fc8]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class rows columns"]:
        x = self.dropout(self.fc6(self.backbone(images)).relu())
        return self.fc8(self.dropout(self.fc7(x).relu())).float()


def deeplab_largefov(num_classes: int, weights: str | Path = "none") -> LargeFOV:
    """DeepLab-LargeFOV on VGG16: stride 8, 1024 channels, dilation 12, dropout 0.5; exactly as published."""
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


NETWORKS: dict[str, Callable[[int, str | Path], LargeFOV]] = {
    "deeplab_largefov": deeplab_largefov,
    "largefov_mobilenet_v2": largefov_mobilenet_v2,
    "largefov_small": largefov_small,
}


def build_network(name: str, num_classes: int, weights: str | Path = "none") -> LargeFOV:
    """A segmentation network by name; ``SettingsError`` names the known ones."""
    if name not in NETWORKS:
        raise SettingsError(f"unknown segmentation network {name!r}; known are {', '.join(NETWORKS)}")
    return NETWORKS[name](num_classes, weights)


def upsample(
    logits: Float[Tensor, "batch class rows columns"], size: tuple[int, int]
) -> Float[Tensor, "batch class height width"]:
    """Logits on the grid, bilinearly brought to (height, width) with aligned corners, as DeepLab does.

    Strided 3x3 layers with padding 1 centre cell (i, j) on pixel (stride * i, stride * j), so the corners coincide for
    sizes of stride * n + 1; half-pixel interpolation would shift everything by half a cell.
    """
    return functional.interpolate(logits, size, mode="bilinear", align_corners=True)


def predict_logits(
    network: LargeFOV, image: Float[Tensor, "1 3 height width"], size: tuple[int, int]
) -> Float[Tensor, "class out_height out_width"]:
    """Logits of one prepared picture at (height, width) ``size``."""
    with torch.no_grad():
        return upsample(network(image), size)[0]
