"""The speeds that the project promises, measured on this machine.

Both sides of a comparison run in turn, and what is reported is the median of the pairs' ratios: a machine that is busy
slows both, so a ratio holds where a time would not. All but the class maps run on one thread: threads that wait for
each other on a busy machine vary more than what is asked for. Nothing here is a test; a row that misses says so.
"""

import copy
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.baselines.affinity import grid_of
from wsss_lib.baselines.ccnn import CcnnConfig, project
from wsss_lib.baselines.psa import PUBLISHED_STRIDE, PsaConfig
from wsss_lib.classification.backbones import build_backbone
from wsss_lib.classification.classifier import CamClassifier, to_tensor
from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.data.pictures import resize_image
from wsss_lib.data.toy import toy_streets
from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.evaluation.scores import scores
from wsss_lib.experiments.inputs import read_scenes
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Source
from wsss_lib.localization.patches import LocalizationConfig, class_maps, cut_patches
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.regions.random_walk import affinity_at, half_plane_offsets, random_walk, transition_matrix
from wsss_lib.regions.superpixels import SuperpixelConfig, oracle_label_map, superpixels
from wsss_lib.training.compute import Compute, choose_compute
from wsss_lib.training.loop import TrainingConfig, make_optimizer, train
from wsss_lib.vocabulary import Image, RegionMap, SceneSet

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One promise: what was measured, in which unit, and the bound it has to keep."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool = True

    @property
    def kept(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        bound = f"{'>=' if self.at_least else '<='} {self.target:g} {self.unit}"
        return f"{self.what:<78} {self.value:>8.2f} {self.unit:<10} {bound:<16} {'pass' if self.kept else 'MISS'}"


def main(places: Places) -> None:
    """Measure and print everything, a row as soon as it is known; takes about a minute."""
    compute = choose_compute()
    scenes = pictures(places.data)
    print(f"{torch.get_num_threads()} threads, {compute.describe()}, {len(scenes)} pictures")
    print(f"{'what':<78} {'measured':<19} target", flush=True)
    for row in chain(cam_rows(scenes.image(0), compute), on_one_thread(scenes, compute)):
        print(row, flush=True)


def on_one_thread(scenes: SceneSet, compute: Compute) -> Iterator[Row]:
    """All rows that say nothing about threads."""
    with one_thread():
        yield from superpixel_rows(scenes)
        yield from pooling_rows()
        yield from training_rows(compute)
        yield from system_rows()
        yield from toy_rows()


# ---------------------------------------------------------------------------------------------------------- measuring


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, PyTorch and OpenCV compute on one thread."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def seconds(call: Call) -> float:
    """What one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def processor_seconds(call: Call) -> float:
    """What one call takes of the processor: what the process waits for others is left out."""
    start = time.process_time()
    call()
    return time.process_time() - start


def speed_up(slow: Call, fast: Call, repeats: int) -> float:
    """How many times longer ``slow`` takes than ``fast``: median over pairs that run one after the other.

    Both run once before, unmeasured, so that memory and code are warm.
    """
    slow()
    fast()
    return statistics.median(seconds(slow) / seconds(fast) for _ in range(repeats))


# -------------------------------------------------------------------------------------------------------- superpixels


def superpixel_rows(scenes: SceneSet, full_size: tuple[int, int] = (2048, 1024), repeats: int = 3) -> Iterator[Row]:
    """OpenCV against scikit-image with the same parameters: speed, and the best score their regions allow.

    And how long one picture of Cityscapes' size takes; it has no yardstick, so processor time counts.
    """
    ours, reference = SuperpixelConfig(backend="opencv"), SuperpixelConfig(backend="skimage")
    images = [scenes.image(i) for i in range(len(scenes))]

    def cut(config: SuperpixelConfig) -> list[RegionMap]:
        return [superpixels(image, config) for image in images]

    times = speed_up(lambda: cut(reference), lambda: cut(ours), repeats)
    yield Row(what="superpixels: faster than scikit-image", value=times, unit="times", target=2.5)
    difference = abs(oracle_miou(scenes, cut(ours)) - oracle_miou(scenes, cut(reference)))
    what = "superpixels: difference of the oracle mIoU from scikit-image's"
    yield Row(what=what, value=difference, unit="points", target=1, at_least=False)
    large = resize_image(images[0], full_size)
    taken = statistics.median(processor_seconds(lambda: superpixels(large, ours)) for _ in range(repeats))
    what = f"superpixels: a picture of {full_size[0]} x {full_size[1]}"
    yield Row(what=what, value=taken, unit="s", target=1.5, at_least=False)


def oracle_miou(scenes: SceneSet, regions: list[RegionMap]) -> float:
    """mIoU, percent, where every region takes the majority of the true labels inside it."""
    assert scenes.label_map is not None
    maps = [scenes.label_map(i) for i in range(len(scenes))]
    num_classes = len(scenes.label_space)
    best = [oracle_label_map(truth, each, num_classes) for truth, each in zip(maps, regions, strict=True)]
    matrix = confusion_matrix(zip(best, maps, strict=True), num_classes)
    return scores(matrix, scenes.label_space).miou_class


def pictures(data: Path | None) -> SceneSet:
    """Every fortieth training picture of CamVid where there are data, else eight toy streets of its size."""
    size = (480, 360)
    if data is None:
        return read_scenes(
            Source(reader="toy_streets", label_space="camvid", size=size, counts=(8, 0, 0)), "train", None
        )
    return every(read_scenes(Source(reader="camvid", label_space="camvid", size=size), "train", data), 40)


def every(scenes: SceneSet, step: int) -> SceneSet:
    """Every ``step``-th picture of a set."""
    assert scenes.label_map is not None
    image, label_map = scenes.image, scenes.label_map
    return SceneSet(
        label_space=scenes.label_space, split=scenes.split, names=scenes.names[::step], tags=None,
        image=lambda i: image(i * step), label_map=lambda i: label_map(i * step),
        fingerprint=f"{scenes.fingerprint}, every {step}th",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------------ region pooling


def pooling_rows(
    channels: int = 1280, grid: tuple[int, int] = (45, 60), blocks: tuple[int, int] = (24, 36), repeats: int = 5
) -> Iterator[Row]:
    """``mean_pool`` against loops over 864 regions: on the feature grid, and at the picture's resolution.

    The loop on the grid loses regions smaller than a cell and the loop at full resolution is timed on a few regions and
    extrapolated; the upsampling before it is not counted.
    """
    rows, columns = np.indices((360, 480))
    regions = (rows * blocks[0] // 360 * blocks[1] + columns * blocks[1] // 480).astype(np.int32)
    features = torch.rand(channels, *grid, generator=torch.Generator().manual_seed(0))
    count, few = blocks[0] * blocks[1], 8
    name = f"mean pooling of {count} regions x {channels} channels"
    times = speed_up(lambda: loop_on_grid(features, regions), lambda: mean_pool(features, regions), repeats)
    yield Row(what=f"{name}: faster than a loop on the grid", value=times, unit="times", target=4)
    upsampled = functional.interpolate(features[None], regions.shape, mode="bilinear")[0]
    times = speed_up(lambda: loop_on_picture(upsampled, regions, few), lambda: mean_pool(features, regions), repeats=3)
    yield Row(what=f"{name}: than a loop on pixels", value=times * count / few, unit="times", target=100)


def loop_on_grid(features: Float[Tensor, "channel h w"], regions: RegionMap) -> Float[Tensor, "region channel"]:
    """Mean over the grid cells of each region, one by one; 0 for regions that hold no cell's centre."""
    size = (features.shape[2], features.shape[1])
    grid = torch.from_numpy(cv2.resize(regions.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT))
    pooled = torch.zeros(int(regions.max()) + 1, len(features))
    for region in range(len(pooled)):
        mask = grid == region
        if mask.any():
            pooled[region] = features[:, mask].mean(1)
    return pooled


def loop_on_picture(
    upsampled: Float[Tensor, "channel height width"], regions: RegionMap, count: int
) -> Float[Tensor, "count channel"]:
    """Mean over the pixels of each of the first ``count`` regions, one by one."""
    ids = torch.from_numpy(regions)
    return torch.stack([upsampled[:, ids == region].mean(1) for region in range(count)])


# -------------------------------------------------------------------------------------------------------- class maps


def cam_rows(
    image: Image, compute: Compute, backbone: str = "mobilenet_v2", side: int = 224, repeats: int = 5
) -> Iterator[Row | str]:
    """CAMs of all classes on 12 patches in one batch, against torch-cam asked for one class, patch by patch.

    On all threads: that a batch fills them is a part of the gain.
    """
    try:
        from torchcam.methods import CAM
    except ImportError:
        yield "CAMs of 12 patches: not measured, because torch-cam is not installed (pip install torchcam)"
        return
    torch.manual_seed(0)
    classifier = CamClassifier(build_backbone(backbone), 20).eval()
    ours = compute.place(copy.deepcopy(classifier))
    config = LocalizationConfig(columns=4, rows=3, patch_size=(side, side))

    def one_by_one() -> None:
        for patch in cut_patches(image, config.columns, config.rows):
            classifier(to_tensor([resize_image(patch, config.patch_size)]).float())
            extractor(0)

    with CAM(classifier, target_layer=classifier.backbone, fc_layer=classifier.linear) as extractor, torch.no_grad():
        times = speed_up(one_by_one, lambda: class_maps(ours, image, config, compute=compute), repeats)
    what = f"CAMs of 12 patches of {side} px, {backbone}: faster than torch-cam"
    yield Row(what=what, value=times, unit="times", target=2)


# ------------------------------------------------------------------------------------------------------ training loop


def training_rows(compute: Compute, steps: int = 10, repeats: int = 25) -> Iterator[Row]:
    """The training loop against a bare one on the same network and tensors: what the loop itself costs."""
    torch.manual_seed(0)
    model = compute.place(CamClassifier(build_backbone("small"), 11))
    images = compute.tensor(255 * torch.rand(8, 3, 65, 65))
    labels = torch.arange(8, device=compute.device)
    config = TrainingConfig(steps=steps, batch_size=8, learning_rate=1e-4)

    def loss(values: tuple[Tensor, Tensor]) -> Tensor:
        return functional.cross_entropy(model(values[0]), values[1])

    def ours() -> Any:
        return train(model, lambda _: (images, labels), loss, config, compute=compute, seed=0)

    times = speed_up(ours, lambda: bare_loop(model, (images, labels), loss, config, compute), repeats)
    what = "training loop: longer than a bare PyTorch loop"
    yield Row(what=what, value=100 * (times - 1), unit="percent", target=5, at_least=False)


def bare_loop(
    model: nn.Module, values: Any, loss: Callable[[Any], Tensor], config: TrainingConfig, compute: Compute
) -> list[float]:
    """As one would write it by hand, without schedule, checkpoints or progress."""
    optimizer = make_optimizer(model, config)
    model.train()
    losses = []
    for _ in range(config.steps):
        with compute.autocast():
            value = loss(values)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


# ------------------------------------------------------------------------------------------------ compared systems


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


# ---------------------------------------------------------------------------------------------------------------- toy


def toy_rows(count: int = 20, repeats: int = 3) -> Iterator[Row]:
    """Toy streets of the default size drawn per second, in one process.

    There is nothing to compare with, so processor time counts: what the process waits for others is left out.
    """
    taken = [processor_seconds(lambda: toy_streets(CAMVID, "train", count=count)) for _ in range(repeats)]
    rate = count / statistics.median(taken)
    yield Row(what="toy streets drawn per second, 240 x 180", value=rate, unit="pictures", target=20)
