"""Cells whose class is sure: what AffinityNet learns from (PSA, stage 1; spec. 6.3). Pure functions, see ``psa.py``."""

import math

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsss_lib.segmentation.crf import FLOOR, CrfConfig, scaled, small_crf
from wsss_lib.segmentation.networks import grid_of
from wsss_lib.vocabulary import IGNORE


def to_cells(values: Float[Tensor, "channel height width"], stride: int) -> Float[Tensor, "channel rows columns"]:
    """Mean over the pixels around every ``stride``-th pixel (an odd window), at the borders over those there are."""
    half = stride // 2
    return functional.avg_pool2d(values[None], 2 * half + 1, stride, half, count_include_pad=False)[0]


def class_scores(
    heat: Float[Tensor, "class height width"], background: int | None, alpha: float
) -> Float[Tensor, "class height width"]:
    """What the CRF and the walk start from: the heat as it is, or the published M_c and b with a background class."""
    if background is None:
        return heat
    scores = heat.clone()
    scores[background] = 0
    scores /= scores.amax((1, 2), keepdim=True) + FLOOR
    scores[background] = (1 - scores.amax(0)) ** alpha
    return scores


def sure_with_background(
    low: Float[Tensor, "class rows columns"], high: Float[Tensor, "class rows columns"], background: int
) -> Int[Tensor, "rows columns"]:
    """The published rule: objects from the CRF with much background, background from the one with little."""
    labels = low.argmax(0)
    labels[labels == background] = IGNORE
    labels[high.argmax(0) == background] = background
    return labels


def sure_without_background(
    heat: Float[Tensor, "class rows columns"],
    refined: Float[Tensor, "class rows columns"],
    minimum_heat: float,
    minimum_margin: float,
) -> Int[Tensor, "rows columns"]:
    """The best class after the CRF where the heat before it is large enough and no other class is close."""
    best, second = refined.topk(2, 0).values
    unsure = (heat.amax(0) < minimum_heat) | (best - second < minimum_margin)
    return refined.argmax(0).masked_fill(unsure, IGNORE)


def refine(
    scores: Float[Tensor, "class height width"],
    image: Float[Tensor, "3 height width"],
    tags: Bool[np.ndarray, "class"],
    crf: CrfConfig,
    stride: int,
    most_cells: int,
) -> Float[Tensor, "class rows columns"]:
    """Probabilities on the grid of ``stride`` after a dense CRF over the tags; 0 for the others.

    Where that grid has more than ``most_cells`` cells the CRF runs on one of two, three, ... times its stride.
    """
    size = (image.shape[-2], image.shape[-1])
    grid, wide = grid_of(size, stride), stride
    while math.prod(grid_of(size, wide)) > most_cells:
        wide += stride
    present = torch.from_numpy(tags).to(scores.device)
    unary = -to_cells(scores[present], wide).clamp(min=FLOOR).log()
    result = scores.new_zeros(len(scores), *grid)
    probability = small_crf(unary[None], to_cells(image, wide)[None], scaled(crf, 1 / wide))
    result[present] = _at_cells(probability, stride / wide, grid)[0]
    return result


def _at_cells(
    values: Float[Tensor, "1 class r c"], step: float, grid: tuple[int, int]
) -> Float[Tensor, "1 class rows columns"]:
    """Bilinear values at every ``step``-th of a cell from the first one; the last ones may lie beyond the last cell."""
    down, right = (
        2 * step * torch.arange(cells, device=values.device) / max(1, there - 1) - 1
        for cells, there in zip(grid, values.shape[-2:], strict=True)
    )
    places = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1)[None]
    return functional.grid_sample(values, places, mode="bilinear", padding_mode="border", align_corners=True)
