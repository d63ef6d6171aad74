"""Segmentation networks by name, and their logits on the pixels of a picture (specification 5)."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from wsss_lib.segmentation.aspp import aspp_mobilenet_v2, aspp_small, deeplab_aspp
from wsss_lib.segmentation.base import SegmentationNetwork
from wsss_lib.segmentation.drn import drn_d_22, drn_d_105, drn_small
from wsss_lib.segmentation.fcn import fcn8s, fcn8s_mobilenet_v2, fcn8s_small
from wsss_lib.segmentation.largefov import LargeFOV, deeplab_largefov, largefov_mobilenet_v2, largefov_small
from wsss_lib.segmentation.two_stream import two_stream_largefov, two_stream_mobilenet_v2, two_stream_small
from wsss_lib.vocabulary import SettingsError

__all__ = ["NETWORKS", "LargeFOV", "SegmentationNetwork", "build_network", "predict_logits", "upsample"]

NETWORKS: dict[str, Callable[[int, str | Path], SegmentationNetwork]] = {
    "deeplab_largefov": deeplab_largefov,
    "largefov_mobilenet_v2": largefov_mobilenet_v2,
    "largefov_small": largefov_small,
    "fcn8s": fcn8s,
    "fcn8s_mobilenet_v2": fcn8s_mobilenet_v2,
    "fcn8s_small": fcn8s_small,
    "drn_d_105": drn_d_105,
    "drn_d_22": drn_d_22,
    "drn_small": drn_small,
    "two_stream_largefov": two_stream_largefov,
    "two_stream_mobilenet_v2": two_stream_mobilenet_v2,
    "two_stream_small": two_stream_small,
    "deeplab_aspp": deeplab_aspp,
    "aspp_mobilenet_v2": aspp_mobilenet_v2,
    "aspp_small": aspp_small,
}


def build_network(name: str, num_classes: int, weights: str | Path = "none") -> SegmentationNetwork:
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


def grid_of(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """(rows, columns) of the cells on every ``stride``-th pixel, from pixel (0, 0), of a picture of (height, width)."""
    return (size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1


def predict_logits(
    network: SegmentationNetwork, image: Float[Tensor, "1 3 height width"], size: tuple[int, int]
) -> Float[Tensor, "class out_height out_width"]:
    """Logits of one prepared picture at (height, width) ``size``."""
    with torch.no_grad():
        return upsample(network(image), size)[0]
