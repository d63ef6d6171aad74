"""LCEM (Li et al., Neurocomputing 2018; specification 6.8): expectation-maximisation with localisation clues.

A network is first trained on clues (seeds) only. Then every batch alternates

* E step: y_u = argmax over the tags of log q_u(c) + b_c + kappa M_c(u), with the network's softmax q and the heat M;
* M step: one step on the cross entropy with y plus SEC's seed loss on the clues.

The structure is the specification's reconstruction (a choice as a whole: only the abstract's outline is confirmed).
Further choices:

* both steps of a batch share one forward pass, with dropout, as in DeepLab's EM-Fixed;
* the losses are on the grid of ``SegmentationConfig.label_stride``, on which our own network learns;
* the first training takes ``clue_share`` of the steps and the second all, so both cost 1.5 times our own training;
* without a background class all tags have the same bias, which then has no effect;
* a picture without a tag has no E step; a picture without a seed has seed loss 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsss_lib.baselines.seed_losses import floored_softmax, seed_loss
from wsss_lib.baselines.skeleton import Cues, Material, Outcome, Run, train_on_cues
from wsss_lib.segmentation.networks import grid_of, upsample
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import IGNORE, SettingsError


@dataclass(frozen=True, kw_only=True)
class LcemConfig:
    """The E step and the shares of the steps.

    ``background_bias``, ``foreground_bias``: b_c of EM-Fixed, 3 and 5 (specification 6.8, unconfirmed); only their
    difference matters, because absent tags are never chosen. ``kappa``: weight of the heat (specification, choice).
    ``seed_weight``: of the seed loss in the M step, 1 as in SEC. ``clue_share``: share of the steps before EM.
    """

    background_bias: float = 3.0
    foreground_bias: float = 5.0
    kappa: float = 2.0
    seed_weight: float = 1.0
    clue_share: float = 0.5

    def __post_init__(self) -> None:
        if min(self.kappa, self.seed_weight) < 0:
            raise SettingsError(f"kappa and seed_weight must be >= 0, in {self}")
        if not 0 < self.clue_share <= 1:
            raise SettingsError(f"clue_share must be above 0 and at most 1, not {self.clue_share}")


def lcem(material: Material, settings: SegmentationConfig, config: LcemConfig, run: Run) -> Outcome:
    """One network, first on the clues, then by expectation-maximisation."""
    background = material.label_space.background
    network = material.network(settings.network)
    first = settings.with_steps(config.clue_share * settings.training.steps)
    on_clues, on_estimates = _clue_loss(settings), _em_loss(settings, config, background)
    run.report("LCEM, clues only")
    clues = train_on_cues(network, material, first, on_clues, run, "lcem_clues")
    run.report("LCEM, expectation-maximisation")
    estimates = train_on_cues(network, material, settings, on_estimates, run, "lcem_em")
    return Outcome(network=network, network_name=settings.network, losses={"clues": clues, "em": estimates})


def estimate_labels(
    logits: Float[Tensor, "batch class rows columns"],
    heat: Float[Tensor, "batch class rows columns"],
    tags: Bool[Tensor, "batch class"],
    config: LcemConfig,
    background: int | None,
) -> Int[Tensor, "batch rows columns"]:
    """E step: y_u = argmax over the tags of log q_u(c) + b_c + kappa M_c(u); ``IGNORE`` in a picture without a tag.

    q = (0.8, 0.2), heat (0, 1), kappa 2, no background: log 0.8 = -0.22 against log 0.2 + 2 = 0.39, so class 1.
    """
    bias = logits.new_full((logits.shape[1],), config.foreground_bias)
    if background is not None:
        bias[background] = config.background_bias
    value = logits.detach().log_softmax(1) + bias[:, None, None] + config.kappa * heat
    best = value.masked_fill(~tags[:, :, None, None], -torch.inf).argmax(1)
    return best.masked_fill(~tags.any(1)[:, None, None], IGNORE)


def em_loss(
    logits: Float[Tensor, "batch class rows columns"],
    seeds: Int[Tensor, "batch rows columns"],
    estimate: Int[Tensor, "batch rows columns"],
    seed_weight: float,
) -> Tensor:
    """M step: mean cross entropy with the estimated labels plus the seed loss."""
    total = functional.cross_entropy(logits, estimate, ignore_index=IGNORE, reduction="sum")
    return total / (estimate != IGNORE).sum().clamp(min=1) + seed_weight * seed_loss(floored_softmax(logits), seeds)


def on_label_grid(
    logits: Float[Tensor, "batch class r c"], cues: Cues, label_stride: int
) -> Float[Tensor, "batch class rows columns"]:
    """Logits at every ``label_stride``-th pixel, from pixel (0, 0): where our own network is compared with labels."""
    height, width = cues.images.shape[-2:]
    grid = grid_of((height, width), label_stride)
    return logits if logits.shape[-2:] == grid else upsample(logits, grid)


CueLoss = Callable[[Tensor, Cues], Tensor]


def _clue_loss(settings: SegmentationConfig) -> CueLoss:
    def loss(logits: Tensor, cues: Cues) -> Tensor:
        logits = on_label_grid(logits, cues, settings.label_stride)
        return seed_loss(floored_softmax(logits), cues.seeds_on(logits))

    return loss


def _em_loss(settings: SegmentationConfig, config: LcemConfig, background: int | None) -> CueLoss:
    def loss(logits: Tensor, cues: Cues) -> Tensor:
        logits = on_label_grid(logits, cues, settings.label_stride)
        estimate = estimate_labels(logits, cues.heat_on(logits), cues.tags, config, background)
        return em_loss(logits, cues.seeds_on(logits), estimate, config.seed_weight)

    return loss
