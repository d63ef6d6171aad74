"""Collages: cuttings of simple pictures pasted into street pictures, where they have a label that is known.

Seeds say what the classifier makes of a street, and rounds cannot tell what it gets wrong everywhere: they learn it. A
car that was pasted is a car whatever the classifier makes of it, among real surroundings, in the light and at the size
of a street. Its regions teach the region network beside those of the streets (``PastedRegions``); they are described
like all others, by features of the picture that they were pasted into.

Source of the idea: Dwibedi, Misra, Hebert, "Cut, paste and learn", ICCV 2017, where masks come from a network that has
learnt from true ones. Here nobody has drawn any: outlines are saliency's (``regions.cuttings``), and places and sizes
those of the connected parts of the seeds. All numbers are choices; of the smallest spot two were tried, of the weight
and the size of a batch three, on CamVid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float16, Float32, Int, UInt8
from torch import Tensor

from wsss_lib.data.pictures import resize_image
from wsss_lib.regions.cuttings import Cutting
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, RegionMap, SettingsError

_SCALES = (-0.3, 0.3)
"""Logarithm of what a figure is larger or smaller than its spot."""
_ZOOMS = (0.0, 0.5)
"""Logarithm of what ground is enlarged by beyond filling its spot."""
_LARGEST_SCALE = 2.0
"""No figure is enlarged by more: it would be a blur among sharp things."""
_LARGEST = 0.1
_STRIPE = 0.25
"""A spot with more than a tenth of the picture counts as one of a tenth for figures, ground fills a stripe of a
quarter's width.
"""
_PURE = 0.7
"""Share of a region's pixels that must have been pasted with one label."""
_EDGE = 0.7
"""Standard deviation, in pixels, of what softens an edge."""


@dataclass(frozen=True, kw_only=True)
class CollageConfig:
    """How much is pasted, and how much it counts.

    ``pieces`` are pasted into every training picture, the class of each drawn at equal chance. A spot has at least
    ``smallest`` of the picture's pixels. Every batch of the region network gets ``batch_size`` pasted regions, classes
    at equal chance, with ``weight`` as the weight of their loss beside that of the streets' regions.
    """

    pieces: int = 12
    smallest: float = 1 / 600
    batch_size: int = 128
    weight: float = 0.5

    def __post_init__(self) -> None:
        if min(self.pieces, self.batch_size) < 1 or not 0 <= self.smallest < 1 or self.weight <= 0:
            raise SettingsError(
                f"pieces and batch_size of at least 1, smallest within 0..1 and a weight above 0, in {self}"
            )


class Spot(NamedTuple):
    """A connected part of one class in a label map of ``shape``: where some of that class may be, and how large."""

    top: int
    left: int
    mask: Bool[np.ndarray, "height width"]
    shape: tuple[int, int]

    def within(self, shape: tuple[int, int]) -> "Spot":
        """The same place in a picture of another (height, width)."""
        if shape == self.shape:
            return self
        down, across = (new / old for new, old in zip(shape, self.shape, strict=True))
        height, width = (max(1, round(side * by)) for side, by in zip(self.mask.shape, (down, across), strict=True))
        mask = cv2.resize(self.mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        return Spot(round(self.top * down), round(self.left * across), mask if mask.any() else ~mask, shape)


def spots_of(label_maps: Sequence[LabelMap], config: CollageConfig) -> dict[int, list[Spot]]:
    """Class -> its connected parts in all label maps that are not too small; a class without any is left out."""
    spots: dict[int, list[Spot]] = {}
    for label_map in label_maps:
        for label in np.setdiff1d(label_map, [IGNORE]).tolist():
            _, part, stats, _ = cv2.connectedComponentsWithStats((label_map == label).astype(np.uint8), connectivity=4)
            for number, (left, top, width, height, area) in enumerate(stats):
                if number and area >= config.smallest * label_map.size:
                    box = part[top : top + height, left : left + width]
                    spots.setdefault(label, []).append(Spot(int(top), int(left), box == number, label_map.shape))
    return spots


def collage(
    image: Image,
    cuttings: Mapping[int, Sequence[Cutting]],
    spots: Mapping[int, Sequence[Spot]],
    config: CollageConfig,
    rng: np.random.Generator,
) -> tuple[Image, LabelMap]:
    """A picture with pieces pasted in, and their labels; what is left of the picture is ``IGNORE``.

    A figure comes to the middle of a spot of its class, with about its area; ground fills a spot out. Either is
    mirrored half of the time and brought nearer to the picture's brightness, by a random part of the way. A later piece
    may cover an earlier one. ``cuttings`` and ``spots`` are by class; ``DataError`` if no class has both.
    """
    classes = sorted(cuttings.keys() & spots.keys())
    if not classes:
        raise DataError(
            "no class has both a simple picture to paste and a place among the seeds; add simple pictures of the tags,"
            " or leave collages out"
        )
    height, width, _ = image.shape
    picture, labels = image.astype(np.float32), np.full((height, width), IGNORE, np.uint8)
    for label in rng.choice(classes, config.pieces).tolist():
        cutting = cuttings[label][int(rng.integers(len(cuttings[label])))]
        spot = spots[label][int(rng.integers(len(spots[label])))].within((height, width))
        piece = (
            _ground(cutting, spot, labels.shape, rng)
            if cutting.mask is None
            else _figure(cutting, spot, labels.size, rng)
        )
        _paste(picture, labels, label, *piece, float(rng.random()))
    return picture.round().astype(np.uint8), labels


Piece = tuple[Image, Float32[np.ndarray, "height width"], int, int]
"""A picture, how much of every pixel covers what is below, and the row and column of its first pixel."""


def _figure(cutting: Cutting, spot: Spot, pixels: int, rng: np.random.Generator) -> Piece:
    mask = np.asarray(cutting.mask, dtype=np.float32)
    area = min(spot.mask.sum(), _LARGEST * pixels)
    scale = min(_LARGEST_SCALE, np.sqrt(area / mask.sum()) * np.exp(rng.uniform(*_SCALES)))
    height, width = (max(2, round(side * scale)) for side in mask.shape)
    opaque = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    image = resize_image(cutting.image, (width, height))
    if rng.random() < 0.5:
        image, opaque = image[:, ::-1], opaque[:, ::-1]
    row, column = (int(axis.mean()) for axis in np.nonzero(spot.mask))
    return image, opaque, spot.top + row - height // 2, spot.left + column - width // 2


def _ground(cutting: Cutting, spot: Spot, shape: tuple[int, ...], rng: np.random.Generator) -> Piece:
    mask, left = spot.mask, spot.left
    if mask.sum() > _LARGEST * np.prod(shape):
        stripe = max(2, round(_STRIPE * shape[1]))
        start = int(rng.integers(max(1, mask.shape[1] - stripe + 1)))
        mask, left = mask[:, start : start + stripe], left + start
    height, width = mask.shape
    fit = max(height / cutting.image.shape[0], width / cutting.image.shape[1]) * np.exp(rng.uniform(*_ZOOMS))
    rows, columns = (
        max(least, round(side * fit)) for least, side in zip(mask.shape, cutting.image.shape[:2], strict=True)
    )
    top, first = (int(rng.integers(more + 1)) for more in (rows - height, columns - width))
    image = resize_image(cutting.image, (columns, rows))[top : top + height, first : first + width]
    if rng.random() < 0.5:
        image = image[:, ::-1]
    return image, cv2.GaussianBlur(mask.astype(np.float32), (0, 0), _EDGE), spot.top, left


def _paste(
    picture: Float32[np.ndarray, "height width 3"],
    labels: LabelMap,
    label: int,
    image: Image,
    opaque: Float32[np.ndarray, "rows columns"],
    top: int,
    left: int,
    adapted: float,
) -> None:
    """Paste in place what of a piece is inside the picture; ``adapted`` of 1 gives it the picture's mean brightness."""
    bottom, right = min(labels.shape[0], top + opaque.shape[0]), min(labels.shape[1], left + opaque.shape[1])
    here = np.s_[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    inside = np.s_[max(0, -top) : max(0, bottom - top), max(0, -left) : max(0, right - left)]
    image, opaque = image[inside].astype(np.float32), opaque[inside]
    shown = opaque > 0.5
    if not shown.any():
        return
    image = np.clip(image + adapted * (picture.mean() - image[shown].mean()), 0, 255)
    picture[here] += opaque[..., None] * (image - picture[here])
    labels[here][shown] = label


def pasted_labels(labels: LabelMap, regions: RegionMap) -> UInt8[np.ndarray, "region"]:
    """Label of every region of a collage of which seven tenths were pasted with one label, else ``IGNORE``."""
    pixels = np.bincount(regions.ravel())
    count = np.zeros((len(pixels), IGNORE + 1), np.int64)
    np.add.at(count, (regions.ravel(), labels.ravel()), 1)
    likeliest = count.argmax(1)
    return np.where(count.max(1) >= _PURE * pixels, likeliest, IGNORE).astype(np.uint8)


@dataclass(frozen=True)
class PastedRegions:
    """Features and labels of everything that was pasted, and how it is drawn. ``DataError`` if nothing was."""

    features: Float16[np.ndarray, "region feature"]
    labels: UInt8[np.ndarray, "region"]
    config: CollageConfig

    def __post_init__(self) -> None:
        if not len(self.labels) or len(self.labels) != len(self.features):
            raise DataError(
                f"{len(self.labels)} labels for {len(self.features)} pasted regions; there must be one for each, and"
                " at least one"
            )

    @cached_property
    def _members(self) -> list[Int[np.ndarray, "chosen"]]:
        """The regions of every class that was pasted."""
        return [np.flatnonzero(self.labels == label) for label in np.unique(self.labels)]

    def batch(self, seed: Sequence[int]) -> tuple[Float[Tensor, "batch feature"], Int[Tensor, "batch"]]:
        """Features and labels of a batch, every class that was pasted at equal chance; a function of ``seed``."""
        rng = np.random.default_rng(seed)
        classes = rng.integers(len(self._members), size=self.config.batch_size)
        chosen = np.array([rng.choice(self._members[one]) for one in classes])
        return torch.from_numpy(self.features[chosen]).float(), torch.from_numpy(self.labels[chosen].astype(np.int64))
