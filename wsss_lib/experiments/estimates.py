"""What every stage of a role costs on this machine: a few steps or pictures of it are run for real, at full size.

Nothing is kept of what they make; what is measured is multiplied by how many the makers ask for (``workload``).
"""

import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from wsss_lib.classification.classifier import build_classifier, train_classifier
from wsss_lib.clustering.collages import PastedRegions
from wsss_lib.clustering.network import RegionNetwork
from wsss_lib.clustering.region_features import MaskedRoi, MeanPooled, blocks, describe
from wsss_lib.clustering.rounds import View, cluster
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.provenance import peak_memory_mb
from wsss_lib.experiments.segmentation import (
    OURS,
    Segmentation,
    beyond_runs,
    full_supervision_runs,
    network_runs,
    our_runs,
    system_runs,
)
from wsss_lib.experiments.workload import Workload
from wsss_lib.localization.patches import class_maps
from wsss_lib.regions.superpixels import superpixels
from wsss_lib.segmentation.networks import build_network
from wsss_lib.segmentation.predict import Segmenter
from wsss_lib.segmentation.training import SegmentationConfig, train_segmentation
from wsss_lib.training.compute import Compute
from wsss_lib.vocabulary import PAPER_NETWORK

TRAININGS = {
    "ccnn": 1.0, "sec": 1.0, "psa": 1.2, "bbf": 2.0, "dsrg": 2.0, "stc": 2.0, "spn": 1.5, "ae_psl": 1.5, "lcem": 1.5,
    "mcof": 3.0,
}  # fmt: skip
"""How many trainings of our network a system costs, by the steps of its own trainings; a rough guide."""

UNPLANNED = ("seeds", "cuttings", "confusion")
"""Stages that are not measured, so their hours come on top: the choice of seeds from class maps and superpixels, the
outlines of simple pictures, and the comparison of what was made with the true label maps. All are the processor's work,
a pass over pictures each.
"""

Value = TypeVar("Value")
GIGA = 1e9
_SLOW = 20.0  # seconds of a training of one step, beyond which two must do
_QUICK = 2.0  # seconds of one below which twenty more cost little, and tell a step from the jitter of starting
_CLEAR = 0.25  # the share of a training of one step that further steps must take to be told from its jitter
_MOST_STEPS = 64  # are enough, clear or not
_PATIENCE = 120.0  # seconds after which nothing is measured more often


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The cost of one stage of a role: ``units`` steps or pictures of ``seconds`` each, ``disk`` bytes in all.

    ``pictures`` are those that one unit looks at: 1, or the batch of a step. ``memory``: most bytes in use while it was
    measured, of the GPU where there is one, else of the process.
    """

    role: str
    stage: str
    units: float
    unit: str
    seconds: float
    pictures: int = 1
    disk: float = 0.0
    memory: int = 0

    @property
    def hours(self) -> float:
        return self.units * self.seconds / 3600

    def __str__(self) -> str:
        work = f"{self.units:,.0f} {self.unit}"
        return (
            f"{self.role:<11}{self.stage:<32}{work:>20}{self.seconds:>10.3f} s{self.hours:>9.2f} h"
            f"{self.disk / GIGA:>9.2f} GB{self.memory / GIGA:>8.1f} GB"
        )

    @property
    def per_second(self) -> float:
        """Pictures per second; ``nan`` for what was too quick to be measured."""
        return self.pictures / self.seconds if self.seconds else float("nan")


def estimates(stages: Stages, counts: tuple[int, int, int]) -> Iterator[Estimate]:
    """Every stage of a role but the ``UNPLANNED``, in the order in which they run; ``counts``: train, val, test.

    As often as the makers ask for it, rounds from halves of the simple pictures and networks on true label maps
    included. The systems that the paper compares with are guessed (``TRAININGS``), not measured one by one.
    """
    work = Workload(stages, counts)
    yield from _classifier(stages, work)
    yield from _localisation(stages, work)
    yield from _clustering(stages, work)
    yield from _networks(stages, counts)


def _classifier(stages: Stages, work: Workload) -> Iterator[Estimate]:
    config, pictures, compute = stages.role.classifier, stages.pictures, stages.compute

    def run(steps: int) -> None:
        short = replace(config, training=replace(config.training, steps=steps))
        train_classifier(build_classifier(config, len(pictures.classes)), pictures, short, compute=compute, seed=0)

    seconds, memory = _per_step(run, compute)
    steps, batch = config.training.steps * len(work.take("classifier")), config.training.batch_size
    yield _estimate(stages, "classifier", steps, "steps", seconds, memory, pictures=batch)


def _localisation(stages: Stages, work: Workload) -> Iterator[Estimate]:
    role, image, compute = stages.role, stages.scenes("train").image(0), stages.compute
    regions, seconds, memory = _timed(lambda: superpixels(image, role.superpixels), compute)
    units = work.pictures(work.take("superpixels"))
    disk = units * len(zlib.compress(regions.astype(np.uint16).tobytes()))
    yield _estimate(stages, "superpixels", units, "pictures", seconds, memory, disk)
    classifier = compute.place(build_classifier(role.classifier, len(stages.pictures.classes))).eval()
    for where in ("whole", "patches", "dense"):
        config = getattr(role, where)
        if config is not None and (asked := work.take("class_maps", config=config)):
            maps, seconds, memory = _timed(
                lambda config=config: class_maps(classifier, image, config, compute=compute), compute
            )
            units = work.pictures(asked)
            yield _estimate(
                stages, f"class maps, {where}", units, "pictures", seconds, memory, units * maps.numel() * 2
            )


def _clustering(stages: Stages, work: Workload) -> Iterator[Estimate]:
    role, compute = stages.role, stages.compute
    backbone = compute.place(build_classifier(role.classifier, len(stages.pictures.classes))).eval().backbone
    image = stages.scenes("train").image(0)
    regions = superpixels(image, role.superpixels)
    count = int(regions.max()) + 1
    seeds = np.random.default_rng(0).integers(len(stages.label_space), size=2 * count).astype(np.uint8)
    everything = np.ones((2, len(stages.label_space)), dtype=bool)
    for name, variant in role.variants.items():
        views = []
        for number, config in enumerate(variant.described_by, 1):
            kept, seconds, memory = _timed(
                lambda config=config: describe(backbone, image, regions, config, compute=compute), compute
            )
            if units := work.pictures(work.take("region_features", config=config)):
                disk = units * kept.nbytes
                yield _estimate(stages, f"region features, {config.pooling}", units, "pictures", seconds, memory, disk)
            if units := work.pictures(work.take("collages", config=variant.collages, features=config)):
                _, more, _ = _timed(lambda: superpixels(image, role.superpixels), compute)  # its own; to paste is quick
                seconds, title = seconds + more, f"collages, {name}" + (f", view {number}" if number > 1 else "")
                yield _estimate(stages, title, units, "pictures", seconds, memory, units * kept.nbytes)
            twice = np.array([count, count])
            features = (
                MaskedRoi([kept, kept], [regions, regions], twice, device=compute.device)
                if config.pooling == "masked_roi"
                else MeanPooled(np.concatenate([kept, kept]), twice)
            )
            pasted = variant.collages and PastedRegions(kept, seeds[:count], variant.collages)
            views.append(View(features, pasted))

        def run(steps: int, views=tuple(views), settings=variant.clustering) -> None:
            short = replace(
                settings, rounds=1, center_steps=1, certain=(1.0,), training=replace(settings.training, steps=steps)
            )
            sure = np.ones(2 * count, dtype=np.float32)
            list(cluster(views, seeds, sure, everything, stages.label_space, short, compute=compute, seed=0))

        seconds, memory = _per_step(run, compute)
        asked, rounds = work.take("clustering", variant=variant), variant.clustering.rounds
        steps = len(asked) * rounds * (variant.clustering.training.steps + variant.clustering.center_steps)
        batch = variant.clustering.pictures_per_batch
        yield _estimate(stages, f"clustering, {name}", steps, "steps", seconds, memory, pictures=batch)
        hidden, dropout = variant.clustering.hidden, variant.clustering.dropout
        networks = [
            compute.place(RegionNetwork(view.features.width, hidden, len(stages.label_space), dropout)).eval()
            for view in views
        ]
        _, seconds, memory = _timed(lambda given=(networks, views): _scored(*given, compute), compute)
        yield _estimate(stages, f"relabelling, {name}", rounds * work.pictures(asked), "pictures", seconds / 2, memory)


@torch.no_grad()
def _scored(networks: Sequence[RegionNetwork], views: Sequence[View], compute: Compute) -> None:
    for network, view in zip(networks, views, strict=True):
        for _, pooled in blocks(view.features):
            with compute.autocast():
                network(pooled.to(compute.device))


def _networks(stages: Stages, counts: tuple[int, int, int]) -> Iterator[Estimate]:
    """What several of them have in common is measured once."""
    role, measured = stages.role, cache(partial(_network, stages))
    runs: dict[str, list[Segmentation]] = {}
    for run in [*our_runs(stages), *network_runs(stages), *full_supervision_runs(stages), *beyond_runs(stages)]:
        runs.setdefault(_title(run), []).append(run)
    for title, alike in runs.items():
        yield from _scaled(title, measured(alike[0].config), len(alike), len(alike), counts)
    if systems := system_runs(stages):
        config = role.compared or role.segmentation
        whole = replace(config, crop_size=config.input_size, scale_range=(1.0, 1.0))
        trainings = sum(TRAININGS[run.system] for run in systems)
        yield from _scaled("compared systems, roughly", measured(whole), trainings, len(systems), counts)


def _title(run: Segmentation) -> str:
    if run.system != OURS:
        return run.system
    return "segmentation" if run.network == PAPER_NETWORK else run.network


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """One training of a network, and one picture that it predicts."""

    training: Estimate
    prediction: Estimate


def _scaled(
    name: str, one: _Measured, trainings: float, predicted: int, counts: tuple[int, int, int]
) -> Iterator[Estimate]:
    yield replace(one.training, stage=name, units=one.training.units * trainings)
    units = sum(counts) * predicted
    yield replace(one.prediction, stage=f"predictions, {name}", units=units, disk=one.prediction.disk * units)


def _network(stages: Stages, config: SegmentationConfig) -> _Measured:
    compute, space, scenes = stages.compute, stages.label_space, stages.scenes("train")
    network = build_network(config.network, len(space))

    def run(steps: int) -> None:
        short = replace(config, settling_batches=1, training=replace(config.training, steps=steps))
        labels = scenes.image(0)[..., 0] % len(space)
        train_segmentation(network, lambda _: scenes.image(0), lambda _: labels, 1, short, compute=compute, seed=0)

    seconds, memory = _per_step(run, compute)
    steps, batch = config.training.steps, config.training.batch_size
    training = _estimate(stages, config.network, steps, "steps", seconds, memory, pictures=batch)
    segmenter = Segmenter(
        network=network.eval(), network_name=config.network, label_space=space, input_size=config.input_size,
        longest_side=stages.role.source.longest_side, compute=compute,
    )  # fmt: skip
    labels, seconds, memory = _timed(lambda: segmenter.predict(scenes.image(0)), compute)
    disk = len(cv2.imencode(".png", labels)[1])
    return _Measured(
        training=training, prediction=_estimate(stages, config.network, 1, "pictures", seconds, memory, disk)
    )


def _per_step(run: Callable[[int], None], compute: Compute) -> tuple[float, int]:
    """Seconds of a step, from the difference of two trainings, so that what comes before and after does not count.

    A first one, where it is not slow, warms up: on a GPU it also chooses and loads what all later ones have. Where most
    of a training is not its steps, their number grows until they can be told from its jitter.
    """
    _, short, _ = _timed(lambda: run(1), compute, warm=False)
    if short <= _SLOW:
        _, short, _ = _timed(lambda: run(1), compute, warm=False)
    more, spent = 1 if short > _SLOW else 4 if short > _QUICK else 20, short
    while True:
        _, long, memory = _timed(lambda more=more: run(1 + more), compute, warm=False)
        gained, spent = max(long - short, 0.0), spent + long
        if gained >= _CLEAR * short or more >= _MOST_STEPS or spent >= _PATIENCE:
            return gained / more, memory
        more *= 4


def _timed(call: Callable[[], Value], compute: Compute, *, warm: bool = True) -> tuple[Value, float, int]:
    """What ``call`` gives, its seconds (of a second call if ``warm``), and the most memory in use meanwhile."""
    if warm:
        call()
    _forget_peak(compute)
    start = time.perf_counter()
    result = call()
    if compute.device.type == "cuda":
        torch.cuda.synchronize(compute.device)
    return result, time.perf_counter() - start, _peak(compute)


def _forget_peak(compute: Compute) -> None:
    if compute.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(compute.device)
        return
    switch = Path("/proc/self/clear_refs")  # Linux: 5 sets the high-water mark of the process back
    if switch.exists():
        switch.write_text("5")


def _peak(compute: Compute) -> int:
    if compute.device.type == "cuda":
        return torch.cuda.max_memory_allocated(compute.device)
    return round(1e6 * peak_memory_mb())


def _estimate(
    stages: Stages, stage: str, units: float, unit: str, seconds: float, memory: int, disk: float = 0.0,
    pictures: int = 1,
) -> Estimate:  # fmt: skip
    return Estimate(
        role=stages.role.dataset, stage=stage, units=units, unit=unit, seconds=seconds, pictures=pictures, disk=disk,
        memory=memory,
    )  # fmt: skip
