"""Self-training: what a trained network says of the training pictures, for a fresh network to learn from.

Not in the paper. A network that learns from labelled superpixels comes out better than they are (Table 10), because it
cannot learn by heart the mistakes that follow no rule. Its own predictions, among the tags of a picture and averaged
over several views of it, are therefore labels for a next generation. Each class keeps the surest share of its pixels
and the others become unknown: one threshold for all would empty the classes that are never sure (class-balanced
self-training, Zou et al., ECCV 2018). Nothing but pictures and tags is used.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from wsss_lib.segmentation.predict import Segmenter, tagged_softmax
from wsss_lib.training.report import SILENT, Report
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, SettingsError, Tags, TagTable

Certainty = UInt8[np.ndarray, "height width"]
_LEVELS = 255  # a certainty of 0..1 is kept in this many steps: a byte a pixel, for all pictures at once


@dataclass(frozen=True, kw_only=True)
class SelfTrainingConfig:
    """The views that a picture is labelled from, and the share of every class's pixels that is learnt from.

    ``scales`` multiply the network's input size (rounded to 16 n + 1); ``mirror`` adds the mirrored views.
    """

    kept: float = 0.7
    scales: tuple[float, ...] = (0.75, 1.0, 1.5)
    mirror: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.kept <= 1:
            raise SettingsError(f"kept must be a share above 0 and up to 1, not {self.kept}")
        if not self.scales or min(self.scales) <= 0:
            raise SettingsError(f"scales must be positive numbers, not {self.scales}")


def own_labels(
    segmenter: Segmenter,
    image: Callable[[int], Image],
    tags: TagTable,
    config: SelfTrainingConfig,
    *,
    report: Report = SILENT,
) -> list[LabelMap]:
    """Label maps of all pictures, as large as they are, ``IGNORE`` where the network is not sure enough.

    Every picture needs a tag (``DataError``). Labels and certainties of all pictures are in memory at once, two bytes a
    pixel.
    """
    if untagged := np.flatnonzero(~tags.any(1)).tolist():
        raise DataError(f"{len(untagged)} pictures have no tag, first number {untagged[0]}; leave them out")
    labels, certainties = [], []
    for index in range(len(tags)):
        certainty, label_map = tagged_probability(segmenter, image(index), tags[index], config).max(0)
        labels.append(label_map.cpu().numpy().astype(np.uint8))
        certainties.append((certainty * _LEVELS).round().cpu().numpy().astype(np.uint8))
        if (index + 1) % 50 == 0:
            report(f"own labels, picture {index + 1}/{len(tags)}")
    return surest(labels, certainties, config.kept)


def tagged_probability(
    segmenter: Segmenter, image: Image, tags: Tags, config: SelfTrainingConfig
) -> Float[Tensor, "class height width"]:
    """Softmax over the tags, mean over the views, at the picture's size on the network's device; absent tags 0."""
    views = [
        tagged_softmax(
            segmenter.network, image, tags, size=scaled_size(segmenter.input_size, scale), compute=segmenter.compute,
            mirrored=mirrored,
        )
        for scale in config.scales
        for mirrored in ((False, True) if config.mirror else (False,))
    ]  # fmt: skip
    return torch.stack(views).mean(0)


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(width, height) times the scale, brought to 16 n + 1, where the corners of grid and picture coincide."""
    width, height = (max(1, round((side - 1) * scale / 16)) * 16 + 1 for side in size)
    return width, height


def surest(labels: list[LabelMap], certainties: list[Certainty], share: float) -> list[LabelMap]:
    """The labels of the surest ``share`` of every class's pixels over all pictures; the others become ``IGNORE``.

    Pixels as sure as the last one that is kept are kept too, so no class that has a pixel loses all of them.
    """
    size = (IGNORE + 1, _LEVELS + 1)
    counts = np.zeros(size, dtype=np.int64)
    for label_map, certainty in zip(labels, certainties, strict=True):
        both = np.ravel_multi_index((label_map.ravel(), certainty.ravel()), size)
        counts += np.bincount(both, minlength=counts.size).reshape(size)
    from_above = counts[:, ::-1].cumsum(1)[:, ::-1]  # pixels of a class that are at least as sure as each level
    wanted = np.maximum(1, np.ceil(share * counts.sum(1)))[:, None]
    lowest = (from_above >= wanted).sum(1) - 1  # the highest level that still keeps as many as are wanted
    return [
        np.where(certainty >= lowest[label_map], label_map, IGNORE).astype(np.uint8)
        for label_map, certainty in zip(labels, certainties, strict=True)
    ]
