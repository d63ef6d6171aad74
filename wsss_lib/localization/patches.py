"""Heat maps from patches: the classifier knows simple pictures, so it is shown a street in pieces (paper 3.1)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from wsss_lib.classification.backbones import Backbone
from wsss_lib.classification.classifier import CamClassifier, combine_targets, to_tensor
from wsss_lib.localization.cam import class_activation_maps, normalize_maps
from wsss_lib.training.compute import Compute
from wsss_lib.vocabulary import DataError, Image, SettingsError, Tags

Heat = Literal["maximum", "probability"]
"""What counts as heat. ``maximum``: the map, divided by its maximum per class and picture (specification 1.3).
``probability``: the softmax over all classes of the classifier at each place, so that classes compete, and classes that
only absorb take what belongs to none, so that such places weigh less in the mean of a region; not divided by anything,
so classes stay comparable (choice)."""


BACKGROUND_HEAT = 0.2


@dataclass(frozen=True, kw_only=True)
class LocalizationConfig:
    """How a picture is cut, and at what size the pieces are classified.

    ``columns x rows`` patches without overlap, 4 x 2 for Cityscapes, 4 x 3 for CamVid, 1 x 1 for the whole picture;
    each is resized to ``patch_size`` (width, height). ``scales`` multiply that size and ``mirror`` adds the mirrored
    pieces; the maps of all views are averaged.

    """

    columns: int = 1
    rows: int = 1
    patch_size: tuple[int, int] = (224, 224)
    scales: tuple[float, ...] = (1.0,)
    mirror: bool = False

    def __post_init__(self) -> None:
        if self.columns < 1 or self.rows < 1 or min(self.patch_size) < 16:
            raise SettingsError(f"at least 1 x 1 patches of at least 16 pixels are needed, in {self}")
        if not self.scales or min(self.scales) <= 0:
            raise SettingsError(f"scales must be positive numbers, not {self.scales}")


def cut_patches(image: Image, columns: int, rows: int) -> list[Image]:
    """Patches in reading order; together they cover every pixel once.

    Raises ``DataError`` for a picture with fewer pixels than patches along an axis.
    """
    height, width = image.shape[:2]
    if height < rows or width < columns:
        raise DataError(f"a picture of {width} x {height} pixels cannot be cut into {columns} x {rows} patches")
    down = np.linspace(0, height, rows + 1).round().astype(int)
    right = np.linspace(0, width, columns + 1).round().astype(int)
    return [image[top:bottom, left:end] for top, bottom in pairwise(down) for left, end in pairwise(right)]


def join_patches(
    maps: Float[Tensor, "patch class rows columns"], columns: int
) -> Float[Tensor, "class all_rows all_columns"]:
    """The maps of patches in reading order, laid side by side: the inverse of :func:`cut_patches` on the grid."""
    lines = [torch.cat(list(line), dim=-1) for line in maps.split(columns)]
    return torch.cat(lines, dim=-2)


@torch.no_grad()
def class_maps(
    classifier: CamClassifier, image: Image, config: LocalizationConfig, *, compute: Compute
) -> Float[Tensor, "simple rows columns"]:
    """Raw maps M_c of the classifier's own classes for one picture, on the CPU; the patches of a view in one batch.

    The grid covers the picture in equal cells (half-pixel centres), whatever the backbone's own geometry.
    """
    patches = cut_patches(image, config.columns, config.rows)
    views = []
    for scale in config.scales:
        size = fitting_size(config.patch_size, scale, classifier.backbone)
        batch = to_tensor([_resize(patch, size) for patch in patches])
        for mirrored in (False, True) if config.mirror else (False,):
            with compute.autocast():
                features = classifier.features(compute.tensor(batch.flip(3) if mirrored else batch))
            maps = class_activation_maps(features, classifier.linear.weight.flatten(1))
            if classifier.backbone.align_corners:
                maps = to_half_pixel_cells(maps)
            views.append(join_patches(maps.flip(3) if mirrored else maps, config.columns))
    finest = max((view.shape[-2:] for view in views), key=lambda grid: grid[0] * grid[1])
    same = [functional.interpolate(view[None], finest, mode="bilinear")[0] for view in views]
    return torch.stack(same).mean(0).cpu()


def heat_maps(
    maps: Float[Tensor, "simple rows columns"],
    bias: Float[Tensor, "simple"],
    tags: Tags,
    *,
    targets: tuple[int, ...],
    activation: Literal["softmax", "sigmoid"],
    heat: Heat,
    background: int | None = None,
) -> Float[Tensor, "class rows columns"]:
    """Raw maps of the classifier's classes to heat of the label space's classes; absent tags are 0.

    Several simple classes may stand for one target: it takes their largest map (``maximum``) or the sum of their
    probabilities (``probability``). The bias is no part of a map, but it is of a probability. A background class, which
    no classifier knows, gets a constant heat of 0.2 (``maximum``; PSA, infer_cls.py) or 1 - the largest probability.
    """
    present = torch.from_numpy(tags)
    if heat == "maximum":
        result = normalize_maps(combine_targets(maps, targets, len(tags), "max"), present)
    else:
        logits = maps + bias[:, None, None]
        probability = logits.softmax(0) if activation == "softmax" else logits.sigmoid()
        result = combine_targets(probability, targets, len(tags), "sum") * present[:, None, None]
    if background is not None:
        result[background] = BACKGROUND_HEAT if heat == "maximum" else 1 - result.amax(0).clamp(max=1)
    return result


def fitting_size(size: tuple[int, int], scale: float, backbone: Backbone) -> tuple[int, int]:
    """The size nearest to ``size`` times ``scale`` in which the backbone's cells are where they are taken to be.

    stride * n + 1 where corners of grid and picture must coincide; else stride * n, or the last cell would cover pixels
    that are not there, and all others too few.
    """
    stride, more = backbone.stride, int(backbone.align_corners)
    width, height = (stride * max(1, round((side * scale - more) / stride)) + more for side in size)
    return width, height


def to_half_pixel_cells(
    maps: Float[Tensor, "batch channel rows columns"],
) -> Float[Tensor, "batch channel rows columns"]:
    """Read maps whose corner cells lie on the picture's corners at the centres of equal cells, as many as before."""
    height, width = maps.shape[-2:]
    down = (torch.arange(height, device=maps.device) + 0.5) / height * 2 - 1
    right = (torch.arange(width, device=maps.device) + 0.5) / width * 2 - 1
    y, x = torch.meshgrid(down, right, indexing="ij")
    places = torch.stack([x, y], dim=-1).expand(len(maps), -1, -1, -1)
    return functional.grid_sample(maps, places.to(maps.dtype), mode="bilinear", align_corners=True)


def _resize(image: Image, size: tuple[int, int]) -> Image:
    shrinks = size[0] < image.shape[1] and size[1] < image.shape[0]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
