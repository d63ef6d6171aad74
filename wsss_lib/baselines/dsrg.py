"""DSRG: deep seeded region growing (Huang et al., CVPR 2018; specification 6.10; ``repo speedinghzl/DSRG``).

A seed grows over connected cells to which the network, smoothed by a dense random field, gives its class with
certainty. Every step grows the original seeds anew, imitates what has grown, and keeps the network close to the field
(boundary loss). Then the training pictures are labelled by that network, and it learns on from those labels.

Choices, where the publication says nothing or its setting does not fit:

- Seeds are ours (published: class activation maps for objects, saliency below 0.06 for background).
- Driving scenes have no background: no class has the threshold 0.99. The published seed loss keeps the background from
  outweighing the objects by a mean of its own; without one, every class of the picture has its own, and the loss is the
  mean of these. With one mean over all seeds, road or grass outweighs what is small, and what has grown lets it vanish:
  on MSRC-21 the grown network then finds fewer of the tags (``figures/tried.csv``).
- ``crf_unary``: the published code hands *probabilities* to the field where minus log probabilities belong, a flaw:
  an evidence of at most 1 stands against weights of 13, so that neighbours and colours decide. The default hands
  logits, as SEC does; ``probability`` is what the published numbers are from. It was the default here for as long as
  the seed loss was one mean over all seeds: with logits every step then made the network surer of what it said, the
  grown seeds and the boundary loss taught it that, and it ended in one class. With a mean for every class it does not
  on real data: on CamVid every class keeps its place in the grown labels, on MSRC-21 the grown network shows more of
  its pictures' tags than with probabilities. From seeds as poor as the toy's it still runs away, there towards
  building; what ``dsrg`` reports of its labels shows it. Scores had been seen when this was changed
  (``figures/README.md``).
- ``scale_crf``: the weights 10 and 3 of the field are multiplied by C / 21 for C < 21 classes. Near the uniform q = 1/C
  a mean-field step on probabilities multiplies a deviation by up to 13 / C. That is 0.6 with VOC's 21 classes, so an
  undecided network grows nothing, but above 1 with the 11 of CamVid: the ten steps amplify chance, and with few classes
  growing starts from it. The factor is the same whatever the unary. SEC, where nothing grows, keeps the weights.
- ``seeds_first``: the first quarter of the steps imitates the seeds and lets nothing grow (published: growing from the
  first step, at a twentieth of our learning rate). Growing believes the network, and the network is new. On CamVid one
  step makes the field sure of a single class, 35 % of the cells become 88 %, and the network learns what it just said:
  after eight steps it gives every pixel one class, and its loss on the seeds themselves is three times the 2.4 of a
  uniform guess. A quarter of the rate leads to the same. With seeds first that loss falls to 0.7 in 30 steps, growing
  starts from a network that knows the large classes, and its own loss stays below 0.8 for the next 35 steps. Small
  classes were lost to it with one mean over all seeds; with one for every class CamVid's grown labels are better than
  the seeds (``figures/README.md``).
- The published field sends back (1 - Q) times the gradient, as SEC's does; ours sends back nothing in either.
- The field and its grid: see ``seed_losses``. It runs once per step, for growing and for the boundary loss.
- Steps: those of ``settings`` for seeds and growing together and again for retraining, each phase with a whole schedule
  (published: 8,000 of 20 pictures and 20,000 of 10): the network that is measured learns from labels for as long as
  our own does.
- Labels for retraining: one scale, without a field (published: three scales with one), restricted to the tags.
- No scales and no field at test.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from wsss_lib.baselines.seed_losses import (
    PUBLISHED_CRF,
    PUBLISHED_STRIDE,
    check_grid_stride,
    constrain_loss,
    floored_softmax,
    on_grid,
    seed_sums,
    smoothed,
)
from wsss_lib.baselines.skeleton import (
    Cues,
    Material,
    Outcome,
    Run,
    predicted_labels,
    train_on_cues,
    train_on_labels,
)
from wsss_lib.segmentation.crf import CrfConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import IGNORE, LabelMap, LabelSpace, SettingsError, Tags

PUBLISHED_CLASSES = 21

PYRAMIDS = {
    "deeplab_largefov": "deeplab_aspp",
    "largefov_mobilenet_v2": "aspp_mobilenet_v2",
    "largefov_small": "aspp_small",
}
"""The published head on the backbone of our own network."""


@dataclass(frozen=True, kw_only=True)
class DsrgConfig:
    """Thresholds of growing, the bounds of Q / q in the boundary loss (all as published), and what is trained.

    ``network``: empty for the published head on the backbone of ``settings.network``, or a name in ``NETWORKS``.
    ``crf``: distances in pixels of the network's input. ``grid_stride``: pixels per cell of the finest grid that the
    losses are taken on. ``seeds_first``: the share of the steps before anything grows. ``retrain``: whether the network
    learns on from the labels that growing led to.
    """

    network: str = ""
    foreground_threshold: float = 0.85
    background_threshold: float = 0.99
    ratios: tuple[float, float] = (0.05, 20.0)
    crf_unary: Literal["logits", "probability"] = "logits"
    crf: CrfConfig = PUBLISHED_CRF
    scale_crf: bool = True
    grid_stride: int = PUBLISHED_STRIDE
    seeds_first: float = 0.25
    retrain: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.foreground_threshold <= 1 and 0 <= self.background_threshold <= 1):
            raise SettingsError(
                "thresholds are probabilities between 0 and 1, "
                f"not {self.foreground_threshold} and {self.background_threshold}"
            )
        if not 0 < self.ratios[0] <= 1 <= self.ratios[1]:
            raise SettingsError(f"ratios must be a positive number up to 1 and one from 1 on, not {self.ratios}")
        if self.crf_unary not in ("logits", "probability"):
            raise SettingsError(f"crf_unary must be logits or probability, not {self.crf_unary!r}")
        if not 0 <= self.seeds_first < 1:
            raise SettingsError(f"seeds_first must be a share from 0 up to but not 1, not {self.seeds_first}")
        check_grid_stride(self.grid_stride)


def grow(
    seeds: Int[np.ndarray, "rows columns"],
    probability: Float[np.ndarray, "class rows columns"],
    tags: Tags,
    thresholds: Float[np.ndarray, "class"],
) -> Int[np.ndarray, "rows columns"]:
    """The seeds and what has grown from them, ``IGNORE`` elsewhere (DSRG, section 3.2, and ``pylayers.py``).

    A cell is a candidate of its most probable tagged class if the probability is above the threshold of the class.
    Seeds overwritten by candidates fall into 8-connected components of one class each; a component that contains a
    seed of its class is added to it, except cells that are seeds of another class.
    """
    likely = np.where(tags[:, None, None], probability, -1)
    best = likely.argmax(0)
    labels = np.where(likely.max(0) > thresholds[best], best, seeds)
    grown = seeds.copy()
    for c in np.flatnonzero(tags):
        components, _ = ndimage.label(labels == c, structure=np.ones((3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
        rooted = np.unique(components[(seeds == c) & (labels == c)])
        grown[np.isin(components, rooted) & (labels == c) & (seeds == IGNORE)] = c
    return grown


def grow_batch(
    seeds: Int[Tensor, "batch r c"],
    probability: Float[Tensor, "batch class r c"],
    tags: Bool[Tensor, "batch class"],
    background: int | None,
    config: DsrgConfig,
) -> Int[Tensor, "batch r c"]:
    """:func:`grow` for every picture of a batch; the background always counts as tagged."""
    thresholds = np.full(probability.shape[1], config.foreground_threshold)
    known = tags.cpu().numpy().copy()
    if background is not None:
        thresholds[background] = config.background_threshold
        known[:, background] = True
    grown = map(grow, seeds.cpu().numpy(), probability.cpu().numpy(), known, [thresholds] * len(known))
    return torch.from_numpy(np.stack(list(grown))).to(seeds.device)


def balanced_seed_loss(
    q: Float[Tensor, "batch class r c"], seeds: Int[Tensor, "batch r c"], background: int | None
) -> Tensor:
    """Mean of -log q over background seeds plus mean over all others, per picture, then the mean over pictures.

    Without a background class, the mean over the seeded classes of a picture of the mean over the seeds of each. A mean
    over no seed is 0, as with the published floor of 1e-4 on the counts.
    """
    sums, counts = seed_sums(q, seeds)
    if background is None:
        seeded = (counts > 0).sum(1)
        return -((sums / counts.clamp(min=1)).sum(1) / seeded.clamp(min=1)).mean()
    behind, number = sums[:, background], counts[:, background]
    objects = (sums.sum(1) - behind) / (counts.sum(1) - number).clamp(min=1)
    return -(behind / number.clamp(min=1) + objects).mean()


def for_classes(crf: CrfConfig, num_classes: int) -> CrfConfig:
    """The field with weights that leave a uniform prediction as stable as 21 classes do."""
    factor = min(1.0, num_classes / PUBLISHED_CLASSES)
    return replace(crf, bilateral_weight=crf.bilateral_weight * factor, gaussian_weight=crf.gaussian_weight * factor)


def dsrg_loss(
    logits: Float[Tensor, "batch class r c"],
    cues: Cues,
    background: int | None,
    config: DsrgConfig,
    *,
    growing: bool = True,
) -> Tensor:
    """Balanced loss of the grown seeds (or of the seeds, without ``growing``) plus boundary loss, weights 1."""
    grid = on_grid(logits, cues, config.grid_stride)
    q = floored_softmax(grid.logits)
    unary = -(grid.logits if config.crf_unary == "logits" else q)
    crf = for_classes(config.crf, q.shape[1]) if config.scale_crf else config.crf
    refined = smoothed(unary, grid.images, crf, grid.cell)
    seeds = grow_batch(grid.seeds, refined, cues.tags, background, config) if growing else grid.seeds
    return balanced_seed_loss(q, seeds, background) + constrain_loss(q, refined, config.ratios)


def dsrg(material: Material, settings: SegmentationConfig, config: DsrgConfig, run: Run) -> Outcome:
    """A network trained on seeds, on growing seeds, then (``config.retrain``) on its own labels of the pictures."""
    name = config.network or pyramid_of(settings.network)
    network = material.network(name)
    background = material.label_space.background

    def learn(phase: str, steps: int, *, growing: bool) -> list[float]:
        def loss(logits: Tensor, cues: Cues) -> Tensor:
            return dsrg_loss(logits, cues, background, config, growing=growing)

        return train_on_cues(network, material, settings.with_steps(steps), loss, run, f"dsrg_{phase}")

    steps = settings.training.steps
    early = int(config.seeds_first * steps)
    losses = {"seeds": learn("seeds", early, growing=False)} if early else {}
    losses["growing"] = learn("growing", steps - early, growing=True)
    if not config.retrain:
        return Outcome(network=network, network_name=name, losses=losses)

    labels = predicted_labels(network, material, settings, run)
    run.report(f"labels for retraining: {shares(labels, material.label_space)}")
    losses["retraining"] = train_on_labels(network, material, settings, labels, run, "dsrg_retraining")
    return Outcome(network=network, network_name=name, losses=losses, labels=labels)


def pyramid_of(network: str) -> str:
    """The published head on the backbone of a network; ``SettingsError`` if there is none."""
    if network not in PYRAMIDS:
        raise SettingsError(
            f"no network of DSRG stands beside {network!r} (only beside {', '.join(PYRAMIDS)}); name one as network"
        )
    return PYRAMIDS[network]


def shares(labels: list[LabelMap], space: LabelSpace) -> str:
    """How many percent of all pixels each class has: a network that has collapsed shows it here."""
    counts = sum(np.bincount(label_map.ravel(), minlength=256)[: len(space)] for label_map in labels)
    return ", ".join(f"{name} {share:.0%}" for name, share in zip(space.classes, counts / np.sum(counts), strict=True))
