"""Seeds that are imitated (SEC, DSRG, LCEM), and a field that smooths what a network says (SEC, DSRG; spec. 6.2, 6.10).

SEC and DSRG work on the 41 x 41 cells of a 321 x 321 picture at stride 8, and so do the constants of their field.
Choices for other grids: logits on a finer grid than ``grid_stride`` pixels per cell are brought to it before any loss
is taken (the exact field needs the square of the number of cells), and the standard deviations of the field, kept here
in pixels of the network's input, are divided by the pixels per cell of the grid at hand. At stride 16 the field reaches
as many pixels as published, which is half as many cells.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

from wsss_lib.baselines.skeleton import Cues
from wsss_lib.segmentation.crf import CrfConfig, scaled, small_crf
from wsss_lib.training.compute import without_autocast
from wsss_lib.vocabulary import SettingsError

FLOOR = 1e-4
"""What every probability is raised by (or to) so that its logarithm stays finite; both publications."""

PUBLISHED_CRF = CrfConfig(bilateral_xy=8 * 80 / 12, gaussian_xy=8 * 3 / 12)
"""80 / 12 and 3 / 12 cells of 8 pixels, in pixels of the network's input; the rest as at test (spec. section 7)."""

PUBLISHED_STRIDE = 8


def check_grid_stride(stride: int) -> None:
    if stride < 1:
        raise SettingsError(f"grid_stride is in pixels per cell and must be at least 1, not {stride}")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A batch on the cells that a loss is taken on; ``cell`` is their distance in pixels of the network's input."""

    logits: Float[Tensor, "batch class rows columns"]
    seeds: Int[Tensor, "batch rows columns"]
    images: Float[Tensor, "batch 3 rows columns"]
    cell: float


def on_grid(logits: Float[Tensor, "batch class r c"], cues: Cues, stride: int) -> Grid:
    """Logits and cues on the grid of the logits, or on one of ``stride`` pixels per cell if theirs is finer.

    Corners coincide, so nine cells on 33 pixels become five for stride 8: every second one.
    """
    sides = cues.images.shape[-2:]
    rows, columns = (
        min(cells, round((side - 1) / stride) + 1) for side, cells in zip(sides, logits.shape[-2:], strict=True)
    )
    if (rows, columns) != tuple(logits.shape[-2:]):
        logits = functional.interpolate(logits, (rows, columns), mode="bilinear", align_corners=True)
    return Grid(
        logits=logits.float(),
        seeds=cues.seeds_on(logits),
        images=cues.images_on(logits),
        cell=(sides[1] - 1) / max(1, columns - 1),
    )


def floored_softmax(logits: Float[Tensor, "batch class r c"]) -> Float[Tensor, "batch class r c"]:
    """q = softmax(f), then (q + 1e-4) / sum(q + 1e-4): both publications."""
    q = logits.float().softmax(1) + FLOOR
    return q / q.sum(1, keepdim=True)


def seed_sums(
    q: Float[Tensor, "batch class r c"], seeds: Int[Tensor, "batch r c"]
) -> tuple[Float[Tensor, "batch class"], Int[Tensor, "batch class"]]:
    """Sum of log q_u(c) over the seeds S_c of every picture and class, and their number |S_c|."""
    of_class = seeds[:, None] == torch.arange(q.shape[1], device=seeds.device)[:, None, None]
    return (q.log() * of_class).sum((2, 3)), of_class.sum((2, 3))


def seed_loss(q: Float[Tensor, "batch class r c"], seeds: Int[Tensor, "batch r c"]) -> Tensor:
    """- sum_{c, u in S_c} log q_u(c) / sum_c |S_c| per picture, then the mean over pictures (SEC, section 3.1).

    A picture without seeds, where the published quotient is 0 / 0, adds 0 to the mean (choice).
    """
    sums, counts = seed_sums(q, seeds)
    return -(sums.sum(1) / counts.sum(1).clamp(min=1)).mean()


@torch.no_grad()
def smoothed(
    unary: Float[Tensor, "batch class r c"], images: Float[Tensor, "batch 3 r c"], crf: CrfConfig, cell: float
) -> Float[Tensor, "batch class r c"]:
    """Q: mean field on the grid, values below 1e-4 raised and renormalised. Nothing is sent back through it.

    ``crf`` has its distances in pixels of the network's input, ``cell`` is the distance of two cells in them. Picture
    by picture, so that memory does not grow with the batch; in float32, because ten rounds of weights 10 and 3 amplify
    what half precision rounds away.
    """
    on_grid = scaled(crf, 1 / cell)
    pairs = zip(unary.float().split(1), images.float().split(1), strict=True)
    with without_autocast(unary):
        q = torch.cat([small_crf(each, image, on_grid) for each, image in pairs]).clamp(min=FLOOR)
    return q / q.sum(1, keepdim=True)


def constrain_loss(
    q: Float[Tensor, "batch class r c"],
    target: Float[Tensor, "batch class r c"],
    ratios: tuple[float, float] | None = None,
) -> Tensor:
    """(1/n) sum_u sum_c Q_u(c) log(Q_u(c) / q_u(c)), Q the ``target``, without a gradient for Q (SEC, section 3.3).

    ``ratios`` bounds Q / q, as DSRG does: a cell beyond a bound has no gradient.
    """
    target = target.detach()
    ratio = target / q if ratios is None else (target / q).clamp(*ratios)
    return (target * ratio.log()).sum(1).mean()
