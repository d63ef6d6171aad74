"""Training a segmentation network on the clustered labels (paper 3.3); unknown pixels are left out of the loss."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Int
from torch import Tensor

from wsss_lib.classification.classifier import to_tensor
from wsss_lib.data.pictures import part_of_resized, under_centers
from wsss_lib.segmentation.networks import SegmentationNetwork, upsample
from wsss_lib.training.compute import Compute
from wsss_lib.training.loop import TrainingConfig, settle_batch_norm, train
from wsss_lib.training.report import SILENT, Report
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, SettingsError


@dataclass(frozen=True, kw_only=True)
class SegmentationConfig:
    """The network, the size it works at, and how it learns.

    ``input_size`` (width, height) is what pictures are resized to; crops of ``crop_size`` are cut from them after a
    random scaling within ``scale_range`` and a random mirror. Sizes of stride * n + 1 make corners coincide.
    Labels are compared every ``label_stride`` pixels: DeepLab-LargeFOV takes its output stride, 8 (specification 5.1).
    ``reverse`` is the weight of reverse cross entropy in the loss (:func:`pixel_cross_entropy`), 0 for none.
    After training, batch normalisation takes its statistics from ``settling_batches`` more batches.
    """

    network: str
    weights: str = "none"
    input_size: tuple[int, int]
    crop_size: tuple[int, int]
    scale_range: tuple[float, float] = (1.0, 1.0)
    label_stride: int = 8
    reverse: float = 0.0
    settling_batches: int = 32
    training: TrainingConfig

    def __post_init__(self) -> None:
        if min(*self.input_size, *self.crop_size) < 17 or min(self.label_stride, self.settling_batches) < 1:
            raise SettingsError(
                f"input_size and crop_size of at least 17, label_stride and settling_batches of at least 1, in {self}"
            )
        if not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise SettingsError(f"scale_range must be two positive numbers in order, not {self.scale_range}")
        if not 0 <= self.reverse <= 1:
            raise SettingsError(f"reverse must be a weight within 0..1, not {self.reverse}")

    def with_steps(self, steps: float) -> Self:
        """The same settings for other ``steps``, rounded and at least one; the schedule ends with them."""
        return replace(self, training=replace(self.training, steps=max(1, round(steps))))


LOG_OF_ZERO = -4.0
"""What reverse cross entropy takes for the logarithm of the probability 0 that a label gives to all other classes."""


def train_segmentation(
    network: SegmentationNetwork,
    images: Callable[[int], Image],
    labels: Callable[[int], LabelMap],
    count: int,
    config: SegmentationConfig,
    *,
    compute: Compute,
    seed: int,
    checkpoint: Path | None = None,
    report: Report = SILENT,
) -> list[float]:
    """Train in place with :func:`pixel_cross_entropy` on ``count`` pictures; returns the loss of every step.

    ``labels(i)`` has the size of ``images(i)``; ``IGNORE`` pixels do not count. Every picture comes once per pass, each
    pass in an order of its own. Raises ``DataError`` if there is no picture.
    """
    if count < 1:
        raise DataError("there is no picture to train a segmentation network on")
    compute.place(network)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        first = step * config.training.batch_size
        chosen = [picture_at(first + k, count, seed) for k in range(config.training.batch_size)]
        rng = np.random.default_rng([seed, step, 3])
        pairs = [augment(images(i), labels(i), config, rng) for i in chosen]
        truth = torch.from_numpy(np.stack([label for _, label in pairs]))
        return compute.tensor(to_tensor([image for image, _ in pairs])), compute.tensor(truth)

    def loss(values: tuple[Tensor, Tensor]) -> Tensor:
        pixels, truth = values
        return pixel_cross_entropy(network(pixels), truth, config.label_stride, config.reverse)

    losses = train(
        network, batch, loss, config.training, compute=compute, seed=seed, head=network.head, checkpoint=checkpoint,
        epoch=count, report=report,
    )  # fmt: skip
    last = config.training.steps
    settling = (batch(step)[0] for step in range(last, last + config.settling_batches))
    settle_batch_norm(network, settling, compute=compute, seed=seed)
    return losses


def pixel_cross_entropy(
    logits: Float[Tensor, "batch class rows columns"],
    truth: Int[Tensor, "batch height width"],
    label_stride: int,
    reverse: float = 0.0,
) -> Tensor:
    """Mean cross entropy over known pixels; labels are taken every ``label_stride`` pixels from pixel (0, 0).

    With ``reverse`` = w above 0 it is the symmetric one, (1 - w) (-log p_y) + w (-A) (1 - p_y) with A = ``LOG_OF_ZERO``
    and p_y the probability of the label: what the second term can gain at a pixel is bounded, so a network that is sure
    of another class gives in to a wrong label less (Wang et al., "Symmetric cross entropy for robust learning with
    noisy labels", ICCV 2019, with weights of sum 1). 0 with a gradient of 0 if no pixel is known.
    """
    sampled = truth[:, ::label_stride, ::label_stride].long()
    if logits.shape[-2:] != sampled.shape[-2:]:
        logits = upsample(logits, (sampled.shape[-2], sampled.shape[-1]))
    reduction = "none" if reverse else "sum"
    loss = functional.cross_entropy(logits, sampled, ignore_index=IGNORE, reduction=reduction)
    if reverse:  # unknown pixels have a loss of 0 and stay there
        loss = (1 - reverse) * loss - reverse * LOG_OF_ZERO * (1 - (-loss).exp())
    return loss.sum() / (sampled != IGNORE).sum().clamp(min=1)


def picture_at(position: int, count: int, seed: int) -> int:
    """Which picture comes at a position of the endless shuffled sequence: a new permutation for every pass."""
    turn, place = divmod(position, count)
    return int(_order(turn, count, seed)[place])


@lru_cache(maxsize=4)  # threads that prepare batches are at most two passes apart; shuffling would hold the others up
def _order(turn: int, count: int, seed: int) -> Int[np.ndarray, "count"]:
    return np.random.default_rng([seed, turn, 4]).permutation(count)


def augment(
    image: Image, label_map: LabelMap, config: SegmentationConfig, rng: np.random.Generator
) -> tuple[Image, LabelMap]:
    """A random scaling, crop and mirror of a picture and its labels; what lies outside the picture is unknown.

    Only the crop is scaled: the paper's is a twentieth of a picture of Cityscapes.
    """
    factor = np.exp(rng.uniform(*np.log(config.scale_range)))
    width, height = (max(2, round(side * factor)) for side in config.input_size)
    columns, rows = config.crop_size
    below, right = max(0, rows - height), max(0, columns - width)
    top, left = (int(rng.integers(size + 1)) for size in (height + below - rows, width + right - columns))
    down, across = slice(top, top + rows - below), slice(left, left + columns - right)
    image = part_of_resized(image, (width, height), down, across)
    # OpenCV's nearest neighbour is off by up to a pixel.
    seen = under_centers(label_map.shape[0], height, down), under_centers(label_map.shape[1], width, across)
    label_map = label_map.take(seen[0], 0).take(seen[1], 1)
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(124, 116, 104))
        label_map = cv2.copyMakeBorder(label_map, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(IGNORE,))
    if rng.random() < 0.5:  # copied by OpenCV: stacking a view that runs backwards takes 30 times as long
        image, label_map = cv2.flip(image, 1), cv2.flip(label_map, 1)
    return image, label_map
