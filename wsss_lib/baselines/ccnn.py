"""CCNN: train towards the nearest distribution that the tags allow (Pathak et al., ICCV 2015; specification 6.1).

In every step, and for every picture alone, P is the distribution over pixel labels that is closest to the network's
output Q in KL(P || Q) and fulfils linear constraints made from the tags; then the network learns to predict P. There
is nothing in it that knows where a class is, except what the network itself already believes.

What is not as published (each a choice):

- Without a background class its pair of constraints is dropped; every tag keeps its lower bound.
- Bounds that no distribution can fulfil are scaled down before solving: the lower bounds of the (foreground) tags to an
  equal share of what the background leaves free. Published is a warning after solving. ``ccnn`` reports how many.
- The dual is divided by N and its variables are lambda / N: the shift of a class's logits. Bounds of the variables and
  step sizes then do not depend on the size of the picture. The published first step, 1e5, becomes 1e5 / N = 59 for
  41 x 41 pixels; ours is 2, which is sure to lower the dual, as its curvature along one constraint is at most 1/4
  and along any direction at most 1/2 without a background, and below 1 with its pair of constraints.
- Newton's step in place of the gradient's is the default: about ten steps instead of hundreds, to the same P.
- It ends when no constraint's projected gradient, a share of the picture, is above 1e-6 (published: 1e-8, but of what
  is not known here; at a gradient of 1e-8 a float64 can hardly tell values of the dual apart), or when no step lowers
  the dual any more.
- A slack of 1e10 ("none") is one of 500: a class is at most exp(500) times likelier, which float64 can still hold.
- The loss is taken on the network's own grid. Network, picture size, steps, rates and mirroring are those of our own
  segmentation (published: fc6 as a 4 x 4 convolution of dilation 4, 35,000 steps of one picture, rate 1e-6, momentum
  0.99); no random field at test (published: one).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from wsss_lib.baselines.skeleton import Cues, Material, Outcome, Run, train_on_cues
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import DataError, SettingsError

Weights = Float64[Tensor, "batch class pixel"]
PerConstraint = Float64[Tensor, "batch constraint"]
PerPicture = Float64[Tensor, "batch"]

_FARTHEST = 500.0
"""The largest difference and shift of logits: exp(500 + 500) overflows, but no product here has both."""

_SHORTEST, _LONGEST = 1e-12, 1e9
"""A picture that needs shorter steps is as good as rounding allows. Longer ones of Newton's would divide by rounding
errors where the dual is flat (bounds that sum to exactly 1)."""


@dataclass(frozen=True, kw_only=True)
class CcnnConfig:
    """The constraints on the share of a class, s_l = mean over pixels of P(l), and the solver. Defaults: CCNN's code.

    Every foreground tag has s_l >= ``minimum_share``; with ``reference_tags`` (8 in specification 6.1) the bound is
    ``minimum_share * reference_tags / T`` for T foreground tags, so that many tags do not ask for equal shares:
    the specification asks for a second row by that bound, which no profile has (every table has CCNN's own bound).
    ``slack`` is the weight of a violation and so the largest shift of a class's logits; ``tolerance`` is the projected
    gradient, a share of the picture, at which a picture is solved; ``steps`` limits the solver.
    """

    minimum_share: float = 0.05
    reference_tags: int | None = None
    slack: float = 2.0
    background_minimum: float = 0.3
    background_maximum: float = 0.7
    background_slack: float = 1e10
    solver: Literal["newton", "gradient"] = "newton"
    tolerance: float = 1e-6
    steps: int = 3000

    def __post_init__(self) -> None:
        if not (0 <= self.minimum_share <= 1 and 0 <= self.background_minimum <= self.background_maximum <= 1):
            raise SettingsError(
                f"shares must be between 0 and 1, the background's minimum below its maximum, in {self}"
            )
        if self.background_maximum == 0:
            raise SettingsError("background_maximum must be above 0, since every picture has background")
        if self.reference_tags is not None and self.reference_tags < 1:
            raise SettingsError(f"reference_tags must be at least 1 or None, not {self.reference_tags}")
        if not (min(self.slack, self.background_slack) >= 0 and self.tolerance > 0 and self.steps >= 1):
            raise SettingsError(f"slacks >= 0, tolerance > 0 and steps >= 1 are needed, in {self}")
        if self.solver not in ("newton", "gradient"):
            raise SettingsError(f"solver must be newton or gradient, not {self.solver!r}")


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """``signs`` @ shares >= ``bounds`` for every picture; the rows are the lower bounds, then the background's upper.

    ``ceiling`` is the largest value of the dual variable, 0 for a constraint that a picture does not have. ``scaled``
    marks the pictures whose bounds could not be fulfilled and were scaled down.
    """

    signs: Float64[Tensor, "constraint class"]
    bounds: PerConstraint
    ceiling: PerConstraint
    scaled: Bool[Tensor, "batch"]


@dataclass(frozen=True, kw_only=True)
class Solution:
    """The dual variables of a batch, their projected gradients' largest, and how many steps were taken."""

    forces: PerConstraint
    residual: PerPicture
    steps: int


def constraints(tags: Bool[Tensor, "batch class"], config: CcnnConfig, background: int | None) -> Constraints:
    """The constraints of pictures with these tags, feasible for every one of them.

    Lower bounds are feasible exactly if they sum to at most 1: 20 tags of 0.05 without a background, 14 beside 0.3.
    The background's upper bound is dropped in a picture without a foreground tag, as published.
    """
    foreground = tags.clone()
    signs = torch.eye(tags.shape[1], dtype=torch.float64, device=tags.device)
    free = torch.ones(len(tags), dtype=torch.float64, device=tags.device)
    if background is not None:
        foreground[:, background] = False
        free -= config.background_minimum * tags[:, background].double()
    count = foreground.sum(1).clamp(min=1).double()
    wanted = config.minimum_share * (1.0 if config.reference_tags is None else config.reference_tags / count)
    scaled = wanted * count > free + 1e-9
    bounds = torch.where(scaled, free / count, wanted)[:, None] * foreground
    ceiling = min(config.slack, _FARTHEST) * foreground.double()
    if background is not None:
        hardness = min(config.background_slack, _FARTHEST)
        bounds[:, background] = config.background_minimum
        ceiling[:, background] = hardness * tags[:, background]
        upper = tags[:, background] & foreground.any(1)
        signs = torch.cat([signs, -signs[background, None]])
        bounds = torch.cat([bounds, torch.full_like(bounds[:, :1], -config.background_maximum)], 1)
        ceiling = torch.cat([ceiling, hardness * upper[:, None]], 1)
    return Constraints(signs=signs, bounds=bounds, ceiling=ceiling, scaled=scaled)


def project(
    logits: Float[Tensor, "batch class pixel"],
    tags: Bool[Tensor, "batch class"],
    config: CcnnConfig,
    background: int | None,
) -> Float[Tensor, "batch class pixel"]:
    """The P closest to softmax(logits) in KL(P || Q) that the tags allow; absent classes are exactly 0.

    It is a constant to automatic differentiation. A class that cannot reach its bound within the slack stays below it.
    Raises ``DataError`` for a picture without a tag, for which there is no distribution.
    """
    weights = tag_weights(logits, tags)
    limits = constraints(tags, config, background)
    return _posterior(weights, solve(weights, limits, config).forces, limits).to(logits.dtype)


@torch.no_grad()
def tag_weights(logits: Float[Tensor, "batch class pixel"], tags: Bool[Tensor, "batch class"]) -> Weights:
    """exp(logits), divided by the largest of each pixel's tags; 0 for absent classes, which removes them for good.

    In float64, because the solver compares values of the dual that differ by less than a float32 can tell; the
    exponentials are computed once, since the dual needs nothing but their products with one factor per class.
    """
    if not tags.any(1).all():
        raise DataError("a picture without any tag has no allowed distribution; give every picture at least one tag")
    present = logits.detach().double().masked_fill(~tags[:, :, None], -torch.inf)
    present = present - present.amax(1, keepdim=True)
    return present.clamp(min=-_FARTHEST).exp() * tags[:, :, None]


def solve(weights: Weights, limits: Constraints, config: CcnnConfig) -> Solution:
    """Minimise the dual of every picture over 0 <= forces <= ceiling, from 0 and with a step size of its own.

    A step is taken if the dual falls, and the next one is longer, else shorter: by 1.1 and 0.5 along the gradient, as
    published; by 10 and 0.1 for Newton's step, which turns into the gradient's as it gets shorter.
    """
    newton = config.solver == "newton"
    first, longer, shorter = (1e3, 10.0, 0.1) if newton else (2.0, 1.1, 0.5)
    sizes = weights.new_full((len(weights),), first)
    forces = torch.zeros_like(limits.bounds)
    value, gradient = _dual(weights, forces, limits)
    residual = _residual(forces, gradient, limits)
    step = 0
    while step < config.steps:
        waiting = (residual > config.tolerance) & (sizes > _SHORTEST)
        if not waiting.any():
            break
        along_gradient = sizes[:, None] * gradient
        direction = _newton_direction(weights, forces, gradient, sizes, limits) if newton else along_gradient
        trial = _within(forces - direction, limits)
        trial_value, trial_gradient = _dual(weights, trial, limits)
        better = waiting & (trial_value < value)
        forces = torch.where(better[:, None], trial, forces)
        gradient = torch.where(better[:, None], trial_gradient, gradient)
        value = torch.where(better, trial_value, value)
        sizes = (sizes * torch.where(better, longer, shorter)).clamp(_SHORTEST, _LONGEST)
        residual = _residual(forces, gradient, limits)
        step += 1
    return Solution(forces=forces, residual=residual, steps=step)


def _dual(weights: Weights, forces: PerConstraint, limits: Constraints) -> tuple[PerPicture, PerConstraint]:
    """g / N = mean over pixels of log sum_l weights(l) exp(shift_l) - forces . bounds, and its gradient: two products.

    shift = forces @ signs; the gradient is the signed share of each constraint's class minus its bound.
    """
    factors = (forces @ limits.signs).exp()
    total = (factors[:, None] @ weights)[:, 0]
    share = factors * (weights @ total.reciprocal()[:, :, None])[:, :, 0] / weights.shape[2]
    value = total.log().mean(1) - (forces * limits.bounds).sum(1)
    return value, share @ limits.signs.T - limits.bounds


def _posterior(weights: Weights, forces: PerConstraint, limits: Constraints) -> Weights:
    """P_i(l) = weights_i(l) exp(shift_l), normalised over the classes."""
    shifted = weights * (forces @ limits.signs).exp()[:, :, None]
    return shifted / shifted.sum(1, keepdim=True)


def _within(forces: PerConstraint, limits: Constraints) -> PerConstraint:
    return torch.minimum(forces.clamp(min=0), limits.ceiling)


def _residual(forces: PerConstraint, gradient: PerConstraint, limits: Constraints) -> PerPicture:
    """The largest projected gradient of a picture: 0 exactly where the dual is least."""
    return (forces - _within(forces - gradient, limits)).abs().amax(1)


def _newton_direction(
    weights: Weights, forces: PerConstraint, gradient: PerConstraint, sizes: PerPicture, limits: Constraints
) -> PerConstraint:
    """(H + 1 / size)^-1 gradient over the forces that may move; H = signs (diag(share) - mean of P P^T) signs^T.

    A force at its limit that the gradient presses against the limit stays there (Bertsekas 1982, projected Newton).
    """
    posterior = _posterior(weights, forces, limits)
    curvature = torch.diag_embed(posterior.mean(2)) - posterior @ posterior.mT / posterior.shape[2]
    held = ((forces <= 0) & (gradient > 0)) | ((forces >= limits.ceiling) & (gradient < 0))
    free = (~held).double()
    matrix = (limits.signs @ curvature @ limits.signs.T) * free[:, :, None] * free[:, None]
    matrix = matrix + torch.diag_embed(1 / sizes[:, None] + held)
    return torch.linalg.solve(matrix, gradient * free)


def projection_loss(
    logits: Float[Tensor, "batch class pixel"], target: Float[Tensor, "batch class pixel"]
) -> Float[Tensor, ""]:
    """KL(P || Q) / N, averaged over the batch; its gradient at the logits of a picture is (Q - P) / N."""
    return (torch.xlogy(target, target) - target * logits.log_softmax(1)).sum(1).mean()


def ccnn(material: Material, settings: SegmentationConfig, config: CcnnConfig, run: Run) -> Outcome:
    """Train end to end from tags alone; no seeds and no heat are used. Raises ``DataError`` for unusable tags.

    Reports for how many pictures the bounds were scaled down. The paper's CCNN on CamVid (2.9 / 2.4) is as good as one
    class everywhere (specification 10): look at the predicted shares beside the score.
    """
    background = material.label_space.background
    tags = torch.from_numpy(material.tags)
    if not tags.any(1).all() or (background is not None and not tags[:, background].all()):
        raise DataError("CCNN needs at least one tag in every picture, and the background's where the data have one")
    scaled = int(constraints(tags, config, background).scaled.sum())
    run.report(f"ccnn: bounds were scaled down in {scaled} of {len(tags)} pictures, whose tags ask for too much")

    def loss(logits: Float[Tensor, "batch class rows columns"], cues: Cues) -> Tensor:
        flat = logits.flatten(2).float()
        return projection_loss(flat, project(flat, cues.tags, config, background))

    network = material.network(settings.network)
    losses = train_on_cues(network, material, settings, loss, run)
    return Outcome(network=network, network_name=settings.network, losses={"network": losses})
