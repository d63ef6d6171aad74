"""Training against a bare loop: what the one loop costs, and what it costs to feed a GPU at the paper's sizes."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from wsss_lib.classification.backbones import build_backbone
from wsss_lib.classification.classifier import CamClassifier
from wsss_lib.data.textures import texture
from wsss_lib.experiments.bench.measuring import Row, seconds, speed_up
from wsss_lib.experiments.memory import kept
from wsss_lib.experiments.profiles.paper import PAPER
from wsss_lib.regions.superpixels import SuperpixelConfig, superpixels
from wsss_lib.segmentation.networks import build_network
from wsss_lib.segmentation.pseudo_labels import RegionLabels
from wsss_lib.segmentation.training import SegmentationConfig, pixel_cross_entropy, train_segmentation
from wsss_lib.training.compute import Compute
from wsss_lib.training.loop import TrainingConfig, make_optimizer, start_values, train
from wsss_lib.vocabulary import Image


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


def convolution_rows(
    compute: Compute, size: tuple[int, int] = (321, 225), batch: int = 8, repeats: int = 5
) -> Iterator[Row | str]:
    """Steps of the network that learns CamVid, on pictures of (width, height) ``size``, against the same one with
    PyTorch's own convolutions; on a processor only, elsewhere ours are PyTorch's.
    """
    name = "LargeFOV-MobileNetV2 training: faster than with PyTorch's convolutions"
    if compute.device.type != "cpu":
        yield f"{name}: not measured: a GPU has PyTorch's own"
        return
    config = TrainingConfig(steps=1, batch_size=batch, learning_rate=1e-6)
    values = noise(compute, batch, size, classes=11)
    with start_values(0):
        ours = compute.place(build_network("largefov_mobilenet_v2", 11))
    theirs = deepcopy(ours)
    for layer in theirs.modules():
        if isinstance(layer, nn.Conv2d):
            layer.__class__ = nn.Conv2d

    def step(network: nn.Module) -> list[float]:
        def loss(given: tuple[Tensor, Tensor]) -> Tensor:
            return pixel_cross_entropy(network(given[0]), given[1], label_stride=4)

        return bare_loop(network, values, loss, config, compute)

    times = speed_up(lambda: step(theirs), lambda: step(ours), repeats)
    yield Row(what=name, value=times, unit="times", target=1.5)


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


def full_size_rows(compute: Compute, steps: int = 200, repeats: int = 5) -> Iterator[Row | str]:
    """DeepLab-LargeFOV with VGG16 on Cityscapes as the profile ``paper`` has it; on a GPU only.

    On all threads: how well they feed the GPU is what is asked.
    """
    role, name = PAPER.roles["cityscapes"], "LargeFOV-VGG16 training at the paper's sizes"
    if compute.device.type != "cuda":
        yield f"{name}: not measured: needs a GPU"
        return
    training = replace(role.segmentation.training, steps=steps)
    yield from feeding_rows(name, replace(role.segmentation, training=training), role.source.size, compute, repeats)


def feeding_rows(
    name: str, config: SegmentationConfig, size: tuple[int, int], compute: Compute, repeats: int, count: int = 32
) -> Iterator[Row | str]:
    """``train_segmentation`` on ``count`` pictures of (width, height) ``size`` in memory, against a bare loop that has
    one random batch on the device: the share of its throughput, and what one training reaches and takes.

    Labels come from regions, as ours do. The threads start from nothing in every run, and one batch settles what
    networks have of batch normalisation, so the share of a long training is a little higher than the one measured.
    """
    classes, batch = 19, config.training.batch_size
    training = replace(config.training, learning_rate=1e-6)  # changes no speed, and no loss grows beyond all bounds
    config = replace(config, settling_batches=1, training=training)
    images, labels = textured(size, count, classes)
    with start_values(0):
        network = compute.place(build_network(config.network, classes))
    noisy = noise(compute, batch, config.crop_size, classes)

    def loss(values: tuple[Tensor, Tensor]) -> Tensor:
        return pixel_cross_entropy(network(values[0]), values[1], config.label_stride)

    def ours() -> Any:
        return train_segmentation(network, images.__getitem__, labels, count, config, compute=compute, seed=0)

    times = speed_up(ours, lambda: bare_loop(network, noisy, loss, training, compute), repeats)
    yield Row(what=f"{name}: of a bare loop's throughput", value=100 / times, unit="percent", target=85)
    on_gpu = compute.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(compute.device)
    rate = training.steps * batch / seconds(ours)
    memory = f", {torch.cuda.max_memory_allocated(compute.device) / 1e9:.1f} GB of the GPU at most" if on_gpu else ""
    yield f"{name}: {rate:.0f} pictures per second{memory}"


def noise(compute: Compute, batch: int, size: tuple[int, int], classes: int) -> tuple[Tensor, Tensor]:
    """A batch of (width, height) ``size`` on the device: random pixels 0..255, and a random label for each of them."""
    drawn, (columns, rows) = torch.Generator().manual_seed(0), size
    pixels = compute.tensor(255 * torch.rand(batch, 3, rows, columns, generator=drawn))
    return pixels, compute.tensor(torch.randint(classes, (batch, rows, columns), dtype=torch.uint8, generator=drawn))


def textured(size: tuple[int, int], count: int, classes: int) -> tuple[list[Image], Callable[[int], np.ndarray]]:
    """Pictures of (width, height) ``size``, random textures, and label maps painted from regions with random labels.

    Regions are the superpixels of a quarter of the size, enlarged: as ragged as any, in a twentieth of the time.
    """
    images = [texture(seed, size, [0])[0] for seed in range(count)]
    small = [superpixels(np.ascontiguousarray(image[::4, ::4]), SuperpixelConfig()) for image in images]
    regions = [each.repeat(4, 0).repeat(4, 1)[: size[1], : size[0]] for each in small]
    counts = np.array([int(each.max()) + 1 for each in small])
    labels = np.random.default_rng(0).integers(classes, size=counts.sum()).astype(np.uint8)
    return images, kept(RegionLabels(labels, regions, counts).__getitem__)
