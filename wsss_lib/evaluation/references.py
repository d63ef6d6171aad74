"""What a number means: predictors that see almost nothing, scored as rows beside every system.

* A constant predictor gives every pixel one class: a network that collapsed scores the same.
* The (row, column, colour) table knows, with full supervision, the most frequent class of every colour in every part
  of the picture: what layout and colour alone give on driving scenes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from jaxtyping import Int, Int64, UInt8

from wsss_lib.evaluation.confusion import ConfusionMatrix
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, SettingsError


def label_histogram(label_maps: Iterable[LabelMap], num_classes: int) -> Int64[np.ndarray, "class"]:
    """Pixels of every class over all label maps; unknown pixels are left out."""
    counts = np.zeros(256, dtype=np.int64)
    for label_map in label_maps:
        counts += np.bincount(label_map.ravel(), minlength=256)
    outside = np.flatnonzero(counts[num_classes:IGNORE])
    if outside.size:
        raise DataError(
            f"label {num_classes + outside[0]} found where {num_classes} classes are known; "
            f"allowed are 0 to {num_classes - 1} and {IGNORE} (unknown)"
        )
    return counts[:num_classes]


def constant_matrix(histogram: Int64[np.ndarray, "class"], index: int) -> ConfusionMatrix:
    """Confusion matrix, class x class, of predicting class ``index`` everywhere; needs the labels' histogram only.

    Its class mean is (share of the class among known pixels) / (number of classes in the labels): histogram [3, 1] and
    class 0 give [[3, 0], [1, 0]], IoU 75 and 0.
    """
    if not 0 <= index < len(histogram):
        raise SettingsError(f"class {index} is not one of the {len(histogram)} classes of the histogram")
    matrix = np.zeros((len(histogram), len(histogram)), dtype=np.int64)
    matrix[:, index] = histogram
    return matrix


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """How finely the table sees: cells along the picture's height and width, and bins per RGB channel.

    Only every ``stride``-th pixel along both directions is used for fitting; neighbours add no news.
    """

    rows: int = 12
    columns: int = 12
    color_bins: int = 8
    stride: int = 2

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "color_bins", "stride"):
            if getattr(self, name) < 1:
                raise SettingsError(f"table setting {name} is {getattr(self, name)}; it must be at least 1")
        if self.color_bins > 256:
            raise SettingsError(f"table setting color_bins is {self.color_bins}; a channel has 256 values only")


@dataclass(frozen=True, kw_only=True)
class ColorPositionTable:
    """Class of every (row, column, colour) cell; colour counts red first, blue fastest."""

    labels: UInt8[np.ndarray, "row column color"]
    config: TableConfig = field(default_factory=TableConfig)


def fit_table(
    images: Iterable[Image], label_maps: Iterable[LabelMap], num_classes: int, config: TableConfig | None = None
) -> ColorPositionTable:
    """Count classes per cell and keep the most frequent one (full supervision: a reference, not a competitor).

    A cell without a pixel takes the label of the next coarser one that has any: (row, column, colour), then
    (row, colour), then (row), then the whole set. Ties go to the lower class.
    """
    config = config or TableConfig()
    shape = (config.rows, config.columns, config.color_bins**3, num_classes)
    counts = np.zeros(np.prod(shape), dtype=np.int64)
    for image, label_map in zip_longest(images, label_maps):
        if image is None or label_map is None:
            raise DataError("the table needs one label map per picture; one list is longer than the other")
        cells, labels = _cells_and_labels(image, label_map, num_classes, config)
        counts += np.bincount(cells * num_classes + labels, minlength=counts.size)
    if not counts.any():
        raise DataError("the table found no labelled pixel; give at least one picture with a label map")
    return ColorPositionTable(labels=_most_frequent_with_back_off(counts.reshape(shape)), config=config)


def predict_table(table: ColorPositionTable, image: Image) -> LabelMap:
    """Look every pixel up; pictures of any size."""
    return table.labels.ravel()[_cells(image, table.config)]


def _cells_and_labels(
    image: Image, label_map: LabelMap, num_classes: int, config: TableConfig
) -> tuple[Int[np.ndarray, "pixel"], Int[np.ndarray, "pixel"]]:
    """Cell and label of every labelled pixel on the grid of ``stride``."""
    if image.shape[:2] != label_map.shape:
        raise DataError(
            f"a picture is {image.shape[1]} x {image.shape[0]} but its label map is "
            f"{label_map.shape[1]} x {label_map.shape[0]}; resize one to the other"
        )
    sampled = label_map[:: config.stride, :: config.stride]
    known = sampled != IGNORE
    labels = sampled[known].astype(np.int64)
    if labels.size and labels.max() >= num_classes:
        raise DataError(f"label {labels.max()} found where {num_classes} classes are known; check the label space")
    return _cells(image[:: config.stride, :: config.stride], config)[known], labels


def _cells(image: Image, config: TableConfig) -> Int[np.ndarray, "height width"]:
    """Index of every pixel's (row, column, colour) cell in the flattened table."""
    height, width = image.shape[:2]
    row = np.arange(height) * config.rows // height
    column = np.arange(width) * config.columns // width
    red, green, blue = np.moveaxis(image.astype(np.int64) * config.color_bins // 256, -1, 0)
    color = (red * config.color_bins + green) * config.color_bins + blue
    return (row[:, None] * config.columns + column) * config.color_bins**3 + color


def _most_frequent_with_back_off(
    counts: Int64[np.ndarray, "row column color class"],
) -> UInt8[np.ndarray, "row column color"]:
    """Most frequent class per cell, each empty cell from the finest coarser view that is not empty."""
    labels = np.full(counts.shape[:-1], IGNORE, dtype=np.uint8)
    for merged_axes in ((), (1,), (1, 2), (0, 1, 2)):
        merged = counts.sum(axis=merged_axes, keepdims=True)
        best = np.where(merged.any(axis=-1), merged.argmax(axis=-1), IGNORE)
        labels = np.where(labels == IGNORE, best, labels).astype(np.uint8)
    return labels
