"""SEC: seed, expand and constrain (Kolesnikov, Lampert, ECCV 2016; specification 6.2; ``repo kolesman/SEC``).

Three losses of equal weight train one segmentation network end to end: imitate sparse seeds, let every tagged class
cover a reasonable area and no other class appear, and stay close to what a dense random field makes of the own logits.

Choices, where the publication says nothing or its setting does not fit:

- Seeds are ours (paper 4.3). One cell has one class; the published cues may give a cell to none, one or several.
- Driving scenes have no background: the loss has no background term, and every class has the decay of foreground.
- Decays belong to 1681 cells. On n cells a decay is d^(1681 / n), so that the last cell weighs as little: d^n is kept.
- The field and its grid: see ``seed_losses``. Nothing is sent back through it; the published layer adds the gradient of
  log Q, taken as (1 - Q) times what reaches Q (``pylayers.py``), which turns part of the constrain loss around.
- A picture without foreground tag, with all classes tagged, or without seeds drops the term that is 0 / 0.
- Pictures are mirrored at random, and network, picture size, steps and rates are those of our own segmentation
  (published: no mirror, 321 x 321, 8,000 steps of 15 pictures, rate 0.001, divided by 10 every 2,000).
- No random field at test.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsss_lib.baselines.seed_losses import (
    PUBLISHED_CRF,
    PUBLISHED_STRIDE,
    check_grid_stride,
    constrain_loss,
    floored_softmax,
    on_grid,
    seed_loss,
    smoothed,
)
from wsss_lib.baselines.skeleton import Cues, Material, Outcome, Run, train_on_cues
from wsss_lib.segmentation.crf import CrfConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import SettingsError

PUBLISHED_CELLS = 41 * 41


@dataclass(frozen=True, kw_only=True)
class SecConfig:
    """Decays of rank pooling on 41 x 41 cells, and the field of the constrain loss; all values as published.

    ``grid_stride``: pixels per cell of the finest grid that the losses are taken on. ``crf``: distances in pixels of
    the network's input.
    """

    decay: float = 0.996
    background_decay: float = 0.999
    grid_stride: int = PUBLISHED_STRIDE
    crf: CrfConfig = PUBLISHED_CRF

    def __post_init__(self) -> None:
        if not (0 <= self.decay <= 1 and 0 <= self.background_decay <= 1):
            raise SettingsError(
                f"decays lie between 0 (maximum) and 1 (mean), not {self.decay} and {self.background_decay}"
            )
        check_grid_stride(self.grid_stride)


def rank_pooling(q: Float[Tensor, "*batch cell"], decay: float) -> Float[Tensor, "*batch"]:
    """G(d) = (1/Z) sum_j d^(j-1) q_(j), values from high to low, Z = sum_j d^(j-1) (SEC, section 3.2).

    The maximum for d = 0, the mean for d = 1; for d = 0.5 the values 0.2, 0.6, 0.4 give (0.6 + 0.2 + 0.05) / 1.75.
    """
    weights = q.new_tensor(decay) ** torch.arange(q.shape[-1], device=q.device)
    return (q.sort(-1, descending=True).values * weights).sum(-1) / weights.sum()


def expand_loss(
    q: Float[Tensor, "batch class rows columns"],
    tags: Bool[Tensor, "batch class"],
    background: int | None,
    config: SecConfig,
) -> Tensor:
    """L_e = - mean_{c in T} log G_c(d) - mean_{c not in T} log(1 - max_u q_u(c)) - log G_bg(d_bg), mean over pictures.

    T are the tags without the background, and "not in T" are classes without the background. A mean over no class is
    0. Decays are adapted to the number of cells.
    """
    flat = q.flatten(2)
    longer = PUBLISHED_CELLS / flat.shape[-1]
    objects = torch.ones_like(tags)
    if background is not None:
        objects[:, background] = False
    present = _mean_over(-rank_pooling(flat, config.decay**longer).log(), tags & objects)
    absent = _mean_over(-(1 - flat.amax(-1)).clamp(min=1e-6).log(), ~tags & objects)
    if background is None:
        return (present + absent).mean()
    behind = -rank_pooling(flat[:, background], config.background_decay**longer).log()
    return (present + absent + behind).mean()


def _mean_over(values: Float[Tensor, "batch class"], chosen: Bool[Tensor, "batch class"]) -> Float[Tensor, "batch"]:
    """Mean of the chosen classes of every picture, 0 where none is."""
    return (values * chosen).sum(1) / chosen.sum(1).clamp(min=1)


def sec_loss(logits: Float[Tensor, "batch class r c"], cues: Cues, background: int | None, config: SecConfig) -> Tensor:
    """Seed + expand + constrain, weights 1. The unary of the field is minus the raw logits, as in ``kolesman/SEC``."""
    grid = on_grid(logits, cues, config.grid_stride)
    q = floored_softmax(grid.logits)
    target = smoothed(-grid.logits, grid.images, config.crf, grid.cell)
    return seed_loss(q, grid.seeds) + expand_loss(q, cues.tags, background, config) + constrain_loss(q, target)


def sec(material: Material, settings: SegmentationConfig, config: SecConfig, run: Run) -> Outcome:
    """The segmentation network of ``settings`` trained with the three losses from tags and our seeds."""
    network = material.network(settings.network)
    background = material.label_space.background

    def loss(logits: Tensor, cues: Cues) -> Tensor:
        return sec_loss(logits, cues, background, config)

    losses = train_on_cues(network, material, settings, loss, run, "sec")
    return Outcome(network=network, network_name=settings.network, losses={"seed, expand, constrain": losses})
