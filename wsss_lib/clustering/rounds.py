"""Rounds of deep clustering: features -> train -> relabel, alternating "theta given y" and "y given theta" (paper 3.2).

A round trains a fresh region network in two phases, cross entropy, then cross entropy + lambda * centre loss
(equation 3), and gives every region a new label among the tags of its picture. Joint training with the centre loss from
the start pulls everything to the large classes (paper 4.2), hence two phases.

Regions may be described in several ways (not in the paper): then every view of them has a network of its own, and a
region takes the label for which the mean of their scores is highest, which is that of the geometric mean of their
probabilities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Float32, Int, UInt8
from torch import Tensor

from wsss_lib.clustering.center_loss import CenterLoss, class_means
from wsss_lib.clustering.collages import PastedRegions
from wsss_lib.clustering.network import RegionNetwork
from wsss_lib.clustering.region_features import RegionFeatures, blocks, mean_and_scale
from wsss_lib.clustering.relabel import by_classifier, closeness
from wsss_lib.clustering.seeds import most_certain
from wsss_lib.training.compute import Compute
from wsss_lib.training.loop import TrainingConfig, start_values, train
from wsss_lib.training.report import SILENT, Report
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace, SettingsError, TagTable

_FAR = 1e6
"""In every dimension: farther than any feature, and its square is still a float32."""

Labels = UInt8[np.ndarray, "region"]
Certainty = Float32[np.ndarray, "region"]


@dataclass(frozen=True, kw_only=True)
class ClusteringConfig:
    """The region network, its two phases and the rounds.

    A batch is ``training.batch_size`` regions with a label, rounded down to equally many from each of
    ``pictures_per_batch`` pictures. Within a picture a region of class c is drawn with a chance proportional to
    (regions of class c in all pictures)^-balance: balance 0 is uniform; 1 stands in for the specification's "equal
    chance per class present", which counts in the picture alone (choice: a class that is rare in the data is drawn more
    often than the others of its picture); 0.5 lies between.
    Round k trains on the ``certain[k]`` surest share of every class's regions (the last value holds for later rounds):
    the paper starts from few sure seeds and ends with all regions labelled. ``center_weight`` is the paper's 0.001; 0
    keeps the second phase with cross entropy alone, so that the ablation compares equally long training. The second
    phase has a tenth of the first phase's learning rate, where its step schedule ended.
    """

    hidden: int = 512
    dropout: float = 0.5
    rounds: int = 3
    balance: float = 0.5
    pictures_per_batch: int = 8
    certain: tuple[float, ...] = (1.0,)
    training: TrainingConfig
    center_steps: int = 100
    center_weight: float = 0.001
    center_alpha: float = 0.5
    relabel: Literal["classifier", "nearest_center"] = "classifier"

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.center_steps < 1 or self.pictures_per_batch < 1:
            raise SettingsError(f"rounds, center_steps and pictures_per_batch must be at least 1, in {self}")
        if self.hidden < 1 or not (0 <= self.dropout < 1 and 0 < self.center_alpha <= 1):
            raise SettingsError(f"hidden of at least 1, dropout within 0..1 and center_alpha up to 1, in {self}")
        if self.center_weight < 0 or not 0 <= self.balance <= 1:
            raise SettingsError(f"center_weight must be >= 0 and balance between 0 and 1, in {self}")
        if not self.certain or not all(0 < share <= 1 for share in self.certain):
            raise SettingsError(f"certain must hold shares above 0 and up to 1, not {self.certain}")
        if self.relabel not in ("classifier", "nearest_center"):
            raise SettingsError(f"relabel must be classifier or nearest_center, not {self.relabel!r}")

    def center_training(self) -> TrainingConfig:
        """The second phase as a training of its own."""
        rate = 0.1 * self.training.learning_rate
        return replace(self.training, steps=self.center_steps, learning_rate=rate, schedule="constant")


@dataclass(frozen=True)
class View:
    """One way to describe all regions: their features, and those of the regions of collages, if there are any.

    Pasted regions (not in the paper; ``collages``) teach the network beside those of the streets; they have no centre
    and are not relabelled.
    """

    features: RegionFeatures
    pasted: PastedRegions | None = None


@dataclass(frozen=True)
class Round:
    """What a round leaves behind: label and certainty (0..1) of every region, and the losses of both phases, each the
    mean over the views.
    """

    labels: Labels
    certainty: Certainty
    losses: list[float]
    center_losses: list[float]


def cluster(
    views: Sequence[View],
    seeds: Labels,
    certainty: Certainty,
    tags: TagTable,
    label_space: LabelSpace,
    config: ClusteringConfig,
    *,
    compute: Compute,
    seed: int,
    folder: Path | None = None,
    report: Report = SILENT,
) -> Iterator[Round]:
    """The rounds, one by one as they are done.

    Args:
        views: one or more descriptions of the same regions.
        seeds: first label of every region of all pictures, ``IGNORE`` where unknown.
        certainty: how sure each seed is, 0..1.
        tags: of every picture; regions are relabelled among them.
        folder: where unfinished training is kept, so that a killed run goes on.

    Raises:
        DataError: no region has a label, or a picture has no tag.
    """
    if untagged := np.flatnonzero(~tags.any(1)).tolist():
        raise DataError(f"{len(untagged)} pictures have no tag, first number {untagged[0]}; leave them out")
    labels, after = seeds, "the seeds"
    for number in range(1, config.rounds + 1):
        _warn(labels, tags, label_space, after, report)
        checkpoint = None if folder is None else folder / f"round_{number}"
        share = config.certain[min(number, len(config.certain)) - 1]
        known = most_certain(labels, certainty, share)
        done = _round(views, known, tags, config, compute, [seed, number], checkpoint, report)
        labels, certainty, after = done.labels, done.certainty, f"round {number}"
        yield done
    _warn(labels, tags, label_space, after, report)


def _warn(labels: Labels, tags: TagTable, label_space: LabelSpace, after: str, report: Report) -> None:
    if lost := classes_without_regions(labels, tags, label_space):
        report(f"warning: after {after} no region is labelled {', '.join(lost)}: nothing can be learnt about that")


def classes_without_regions(labels: Labels, tags: TagTable, label_space: LabelSpace) -> list[str]:
    """Classes that are tags of some picture but the label of no region: nothing can be learnt about them."""
    present = set(np.unique(labels).tolist())
    return [name for index, name in enumerate(label_space.classes) if tags[:, index].any() and index not in present]


def _round(
    views: Sequence[View],
    labels: Labels,
    tags: TagTable,
    config: ClusteringConfig,
    compute: Compute,
    seed: list[int],
    checkpoint: Path | None,
    report: Report,
) -> Round:
    learnt = []
    for number, view in enumerate(views):
        own_seed = [*seed, number] if number else seed  # with further views the first one stays as it is alone
        kept = checkpoint and checkpoint / f"view_{number + 1}"
        learnt.append(_learn(view, labels, tags.shape[1], config, compute, own_seed, kept, report))
    labels, certainty = _relabel(views, learnt, tags, config, compute)
    phases = zip(*(each.losses for each in learnt), strict=True)
    return Round(labels, certainty, *(np.mean(phase, axis=0).tolist() for phase in phases))


@dataclass(frozen=True)
class _Learnt:
    """What a round learnt from one view."""

    network: RegionNetwork
    center: CenterLoss
    losses: tuple[list[float], list[float]]


def _learn(
    view: View,
    labels: Labels,
    num_classes: int,
    config: ClusteringConfig,
    compute: Compute,
    seed: list[int],
    checkpoint: Path | None,
    report: Report,
) -> _Learnt:
    """A fresh network on one view, in both phases."""
    features, pasted = view.features, view.pasted
    sampler = RegionSampler(features, labels, config, seed)
    torch_seed = int(np.random.default_rng(seed).integers(2**31))
    with start_values(torch_seed):
        network = RegionNetwork(features.width, config.hidden, num_classes, config.dropout)
    network.mean, network.scale = mean_and_scale(features, seed[0])
    compute.place(network)

    def batch(step: int) -> tuple[Tensor, ...]:
        """Features and labels of a street's regions; behind them those of pasted ones, which are drawn apart."""
        return *sampler.batch(step), *(pasted.batch([*seed, step, 1]) if pasted else ())

    def cross_entropy(batch: tuple[Tensor, ...]) -> Tensor:
        pooled, truth, *more = (value.to(compute.device) for value in batch)
        return functional.cross_entropy(network(pooled), truth) + _of_pasted(network, pasted, more)

    losses = train(
        network, batch, cross_entropy, config.training, compute=compute, seed=torch_seed,
        head=[network.scores], checkpoint=_named(checkpoint, "phase_1"), report=report,
    )  # fmt: skip
    center = CenterLoss(_start_centers(network, sampler, compute), config.center_alpha).to(compute.device)

    def with_centers(batch: tuple[Tensor, ...]) -> Tensor:
        pooled, truth, *more = (value.to(compute.device) for value in batch)
        x = network.features(pooled).float()
        loss = functional.cross_entropy(network.classify(x), truth) + config.center_weight * center(x, truth)
        center.update(x, truth)
        return loss + _of_pasted(network, pasted, more)

    # Phase 2 is short; it starts over after a kill, because the centres are not part of the network's checkpoint, and
    # every process goes through all of it, because centres that saw different regions would drift apart.
    center_losses = train(
        network, lambda step: batch(config.training.steps + step), with_centers, config.center_training(),
        compute=compute.alone(), seed=torch_seed + 1, head=[network.scores], report=report,
    )  # fmt: skip
    return _Learnt(network, center, (losses, center_losses))


def _of_pasted(network: RegionNetwork, pasted: PastedRegions | None, batch: Sequence[Tensor]) -> Tensor | float:
    """Weighted mean cross entropy of pasted regions, given as features and labels; 0 where there are none."""
    if pasted is None:
        return 0.0
    features, labels = batch
    return pasted.config.weight * functional.cross_entropy(network(features), labels)


class RegionSampler:
    """step -> features and labels of a batch of labelled regions; a pure function of (seed, step)."""

    def __init__(self, features: RegionFeatures, labels: Labels, config: ClusteringConfig, seed: list[int]) -> None:
        self.features, self.config, self.seed = features, config, seed
        count = np.bincount(labels[labels != IGNORE], minlength=256).astype(float)
        if not count.any():
            raise DataError("no superpixel has a label: there is nothing to cluster; lower the seed threshold")
        chance = np.where(labels != IGNORE, np.maximum(count, 1)[labels] ** -config.balance, 0.0)
        ends = np.cumsum(features.counts)[:-1]
        self.labels, self.chance = np.split(labels, ends), np.split(chance, ends)
        self.pictures = np.flatnonzero([part.any() for part in self.chance])
        self.classes = np.flatnonzero(count[:IGNORE]).tolist()

    def batch(self, step: int) -> tuple[Float[Tensor, "batch feature"], Int[Tensor, "batch"]]:
        rng = np.random.default_rng([*self.seed, step])
        share = max(1, self.config.training.batch_size // self.config.pictures_per_batch)
        pooled, truth = [], []
        for picture in rng.choice(self.pictures, self.config.pictures_per_batch):
            chance = self.chance[picture]
            chosen = rng.choice(len(chance), share, p=chance / chance.sum())
            pooled.append(self.features.of(int(picture), chosen))
            truth.append(torch.from_numpy(self.labels[picture][chosen].astype(np.int64)))
        return torch.cat(pooled), torch.cat(truth)

    def of_class(self, label: int, most: int = 64) -> tuple[Float[Tensor, "region feature"], Int[Tensor, "region"]]:
        """Features and labels of the first ``most`` regions of a class."""
        pooled, left = [], most
        for picture, labels in enumerate(self.labels):
            if len(chosen := np.flatnonzero(labels == label)[:left]):
                pooled.append(self.features.of(picture, chosen))
                left -= len(chosen)
        return torch.cat(pooled), torch.full((most - left,), label)


@torch.no_grad()
def _start_centers(
    network: RegionNetwork, sampler: RegionSampler, compute: Compute, batches: int = 20
) -> Float[Tensor, "class feature"]:
    """Class means of the features at the end of phase 1, over a few batches and, of a class that is in none of them,
    over a few of its regions; far away where no region taught a class.

    Such a class has no feature to be pulled to its centre, and no region may be nearest to it.
    """
    parts = [sampler.batch(step) for step in range(batches)]
    drawn = set(torch.cat([truth for _, truth in parts]).tolist())
    parts += [sampler.of_class(label) for label in sampler.classes if label not in drawn]
    pooled, truth = (torch.cat([part[i] for part in parts]).to(compute.device) for i in (0, 1))
    centers = class_means(network.features(pooled), truth, network.scores.out_features)
    taught = torch.from_numpy(np.isin(np.arange(len(centers)), sampler.classes)).to(centers.device)
    return centers.masked_fill(~taught[:, None], _FAR)


@torch.no_grad()
def _relabel(
    views: Sequence[View], learnt: Sequence[_Learnt], tags: TagTable, config: ClusteringConfig, compute: Compute
) -> tuple[Labels, Certainty]:
    """New labels among the tags; certainty is the softmax over the tags of the scores, the mean over the views."""
    labels, certainty = [], []
    for same_regions in zip(*(blocks(view.features) for view in views), strict=True):
        scores = torch.stack(
            [_scores(each, pooled, config, compute) for each, (_, pooled) in zip(learnt, same_regions, strict=True)]
        ).mean(0)
        picture = same_regions[0][0]
        allowed = torch.from_numpy(tags[picture]).to(compute.device).expand(len(scores), -1)
        chosen = by_classifier(scores, allowed)
        sure = scores.masked_fill(~allowed, -torch.inf).softmax(1).gather(1, chosen[:, None])[:, 0]
        labels.append(chosen)
        certainty.append(sure)
    return torch.cat(labels).cpu().numpy().astype(np.uint8), torch.cat(certainty).cpu().numpy()


def _scores(
    learnt: _Learnt, pooled: Float[Tensor, "region feature"], config: ClusteringConfig, compute: Compute
) -> Float[Tensor, "region class"]:
    """Class scores of the network, or how close the regions are to its centres."""
    network = learnt.network.eval()
    with compute.autocast():
        x = network.features(pooled.to(compute.device))
        scores = network.classify(x)
    return scores if config.relabel == "classifier" else closeness(x.float(), learnt.center.centers)


def _named(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.pt"
