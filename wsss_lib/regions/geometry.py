"""Where a region lies, how it is shaped and which colour it has: what deep features are blind to.

Convolutional features say little about the place in the picture and nothing about the outline of a superpixel, yet sky
is above, road below, and a pole is narrow and upright. No label is needed for any of it.
"""

import cv2
import numpy as np
from jaxtyping import Float32

from wsss_lib.vocabulary import DataError, Image, RegionMap

GEOMETRY = (
    "row", "column", "distance from the middle", "log area", "height", "width", "log height : width", "slant",
    "L", "a", "b", "spread of L", "spread of a", "spread of b",
)  # fmt: skip
"""The columns of :func:`region_geometry`."""

_THINNEST = 1e-5  # variance of places below which a region counts as one line of pixels: a third of 1 pixel in 100


def region_geometry(image: Image, regions: RegionMap) -> Float32[np.ndarray, "region 14"]:
    """Place, shape and colour of every region of a picture, columns as in ``GEOMETRY``.

    Rows and columns run from 0 to 1 over the picture; height and width are standard deviations of the pixels' places,
    slant their covariance; area is a share of the picture. Colours are CIELAB as OpenCV has it for float pictures
    (L 0..100), as mean and standard deviation.

    Raises:
        DataError: picture and regions differ in size.
    """
    if image.shape[:2] != regions.shape:
        raise DataError(f"a picture of {image.shape[:2]} and regions of {regions.shape} pixels do not belong together")
    height, width = regions.shape
    owner = regions.ravel()
    pixels = np.bincount(owner).astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, values.ravel(), len(pixels)) / pixels

    def variance(values: np.ndarray, average: np.ndarray) -> np.ndarray:
        return np.maximum(mean(np.square(values, dtype=np.float64)) - average**2, 0)

    y, x = np.mgrid[:height, :width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    row, column = mean(y), mean(x)
    tall, wide = variance(y, row), variance(x, column)
    ratio = np.log((tall + _THINNEST) / (wide + _THINNEST))
    slant = mean(y * x) - row * column
    place = [row, column, abs(column - 0.5), np.log(pixels / owner.size), np.sqrt(tall), np.sqrt(wide), ratio, slant]
    channels = cv2.split(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))
    colors = [mean(channel) for channel in channels]
    spreads = [np.sqrt(variance(*pair)) for pair in zip(channels, colors, strict=True)]
    return np.stack([*place, *colors, *spreads], axis=1).astype(np.float32)
