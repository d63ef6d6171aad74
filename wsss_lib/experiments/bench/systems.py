"""Costs of the compared systems and of the toy's drawing, which have no yardstick: their bounds are absolute."""

import statistics
import tracemalloc
from collections.abc import Iterator

import numpy as np
import torch

from wsss_lib.baselines.ccnn import CcnnConfig, project
from wsss_lib.baselines.psa import PUBLISHED_STRIDE, PsaConfig
from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.data.toy import toy_streets
from wsss_lib.experiments.bench.measuring import Row, processor_seconds, seconds
from wsss_lib.regions.random_walk import affinity_at, half_plane_offsets, random_walk, transition_matrix
from wsss_lib.segmentation.networks import grid_of
from wsss_lib.training.loop import TrainingConfig


def system_rows(
    size: tuple[int, int] = (1024, 2048), cells: int = 41, classes: int = 19, batch: int = 8, repeats: int = 5
) -> Iterator[Row]:
    """PSA's random walk on a picture of (height, width) ``size``: largest memory. CCNN's projection of a batch: time.

    There is nothing to compare them with: the bounds are absolute. Memory is what NumPy and SciPy hold at once.
    """
    yield Row(
        what=f"PSA's random walk at {size[1]} x {size[0]}, {classes} classes: memory",
        value=walk_memory(size, classes) / 1e9, unit="GB", target=2, at_least=False,
    )  # fmt: skip
    drawn = torch.Generator().manual_seed(0)
    logits = torch.randn(batch, classes, cells * cells, generator=drawn)
    logits[:, 0] += 6  # nearly all is one class, so every other tag's bound has to be fought for
    tags = torch.rand(batch, classes, generator=drawn) < 0.5
    tags[:, 0] = True
    config = CcnnConfig()
    project(logits, tags, config, None)
    taken = statistics.median(seconds(lambda: project(logits, tags, config, None)) for _ in range(repeats))
    yield Row(
        what=f"CCNN's projection of {cells} x {cells} x {classes}, in a batch of {batch}: a picture",
        value=1000 * taken / batch, unit="ms", target=5, at_least=False,
    )  # fmt: skip


def walk_memory(size: tuple[int, int], classes: int, steps: int = 2) -> int:
    """Bytes that NumPy and SciPy hold at once while transitions are made and walked; their number hardly matters."""
    grid = grid_of(size, PUBLISHED_STRIDE)
    offsets = half_plane_offsets(PsaConfig(training=TrainingConfig(steps=1, batch_size=1, learning_rate=0.1)).radius)
    features = torch.rand(1, 8, *grid, generator=torch.Generator().manual_seed(0))
    affinities = [affinity_at(features, offset)[0] for offset in offsets]
    tracemalloc.start()
    try:
        transitions = transition_matrix(affinities, offsets, grid, beta=8.0)
        random_walk(np.ones((classes, *grid), np.float32), transitions, steps)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def toy_rows(count: int = 20, repeats: int = 3) -> Iterator[Row]:
    """Toy streets of the default size drawn per second, in one process.

    There is nothing to compare with, so processor time counts: what the process waits for others is left out.
    """
    taken = [processor_seconds(lambda: toy_streets(CAMVID, "train", count=count)) for _ in range(repeats)]
    rate = count / statistics.median(taken)
    yield Row(what="toy streets drawn per second, 240 x 180", value=rate, unit="pictures", target=20)
