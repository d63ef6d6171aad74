"""Superpixels: which neighbouring pixels belong together (paper sections 3.1 and 3.2).

The method is the graph segmentation of Felzenszwalb and Huttenlocher, "Efficient Graph-Based Image Segmentation"
(IJCV 59, 2004). An edge of weight w (RGB distance of two neighbouring pixels after smoothing) merges the components
A and B on its two sides if

    w <= min( Int(A) + k / |A|,  Int(B) + k / |B| )

where Int is the largest weight already inside a component; afterwards every component below a minimum size joins its
most similar neighbour. The paper names the method and gives no parameter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Int, UInt8
from skimage.segmentation import felzenszwalb

from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, RegionMap, SettingsError

FOUR_NEIGHBOUR_SLACK = 1.2
"""Factor from scikit-image's ``scale`` to OpenCV's ``k``.

Both programs measure colour distances on a 0..255 scale (scikit-image divides ``scale`` by 255 because its pictures
are 0..1), so the units agree. But OpenCV joins a pixel to its 4 neighbours and scikit-image to all 8, and with fewer
edges fewer regions merge: at equal slack OpenCV makes 7 to 10 % more regions on CamVid (scale 50 to 200). The factor
was chosen by bringing the numbers of regions together, without looking at labels; the oracle scores then agree too.
"""


@dataclass(frozen=True, kw_only=True)
class SuperpixelConfig:
    """How coarse the superpixels are; defaults chosen at 480 x 360, where they give about 400 regions per picture.

    ``scale`` is k above, in units of 0..255 colour distance times pixels. ``sigma`` is the standard deviation of the
    smoothing in pixels. ``min_size`` is the smallest region in pixels for a picture of ``reference_pixels`` pixels;
    it grows with the picture (x4 at 960 x 720), while scale and sigma stay.
    """

    scale: float = 100.0
    sigma: float = 0.5
    min_size: int = 50
    reference_pixels: int = 480 * 360
    backend: str = "opencv"

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise SettingsError(f"superpixel backend {self.backend!r} is unknown; choose one of {', '.join(BACKENDS)}")
        for name in ("scale", "sigma", "min_size", "reference_pixels"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"superpixel setting {name} is {getattr(self, name)}; it must be above 0")

    def min_size_for(self, pixels: int) -> int:
        """Smallest region, in pixels, for a picture of so many pixels; at least 1."""
        return max(1, round(self.min_size * pixels / self.reference_pixels))


def superpixels(image: Image, config: SuperpixelConfig | None = None) -> RegionMap:
    """Cut a picture into superpixels.

    Ids count up in raster order of each region's first pixel, so they do not depend on how a library sorts its
    edges. Raises ``DataError`` for anything but a uint8 RGB picture of at least 2 x 2 pixels.
    """
    config = config or SuperpixelConfig()
    _check_picture(image)
    min_size = config.min_size_for(image.shape[0] * image.shape[1])
    return in_raster_order(BACKENDS[config.backend](image, config, min_size))


def in_raster_order(ids: Int[np.ndarray, "height width"]) -> RegionMap:
    """Rename ids (>= 0, gaps allowed) to 0..N-1 as they first appear: [[7, 3], [3, 7]] -> [[0, 1], [1, 0]]."""
    flat = ids.ravel()
    first_pixel = np.full(int(flat.max()) + 1, flat.size)
    first_pixel[flat[::-1]] = np.arange(flat.size)[::-1]  # of several values for one index NumPy keeps the last
    rank = np.empty(len(first_pixel), dtype=np.int32)
    rank[np.argsort(first_pixel)] = np.arange(len(first_pixel), dtype=np.int32)  # unused ids sort behind all others
    return rank[ids]


def region_class_counts(label_map: LabelMap, regions: RegionMap, num_classes: int) -> Int[np.ndarray, "region class"]:
    """Pixels of each class in each region; pixels without a label (``IGNORE``) are left out."""
    if label_map.shape != regions.shape:
        raise DataError(
            f"the label map is {_size(label_map)} but the region map is {_size(regions)}; resize one to the other"
        )
    known = label_map != IGNORE
    labels = label_map[known].astype(np.int64)
    if labels.size and labels.max() >= num_classes:
        raise DataError(
            f"label {labels.max()} found where {num_classes} classes are known; allowed are 0 to {num_classes - 1} "
            f"and {IGNORE} (unknown)"
        )
    num_regions = int(regions.max()) + 1
    cells = regions[known].astype(np.int64) * num_classes + labels
    return np.bincount(cells, minlength=num_regions * num_classes).reshape(num_regions, num_classes)


def region_majority(label_map: LabelMap, regions: RegionMap, num_classes: int) -> UInt8[np.ndarray, "region"]:
    """Most frequent label of each region; the lowest class at ties, ``IGNORE`` where a region has no labelled pixel."""
    counts = region_class_counts(label_map, regions, num_classes)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), IGNORE).astype(np.uint8)


def paint_regions(labels: UInt8[np.ndarray, "region"], regions: RegionMap) -> LabelMap:
    """Give every pixel the label of its region: the way back from regions to pixels."""
    num_regions = int(regions.max()) + 1
    if len(labels) != num_regions:
        raise DataError(f"{len(labels)} labels given for {num_regions} regions; give exactly one label per region")
    return np.asarray(labels, dtype=np.uint8)[regions]


def oracle_label_map(label_map: LabelMap, regions: RegionMap, num_classes: int) -> LabelMap:
    """The best labels these superpixels allow: every region carries the majority of the true labels inside it."""
    return paint_regions(region_majority(label_map, regions, num_classes), regions)


def _opencv(image: Image, config: SuperpixelConfig, min_size: int) -> np.ndarray:
    segmenter = cv2.ximgproc.segmentation.createGraphSegmentation(
        sigma=config.sigma, k=FOUR_NEIGHBOUR_SLACK * config.scale, min_size=min_size
    )
    return segmenter.processImage(np.ascontiguousarray(image))


def _skimage(image: Image, config: SuperpixelConfig, min_size: int) -> np.ndarray:
    return felzenszwalb(image, scale=config.scale, sigma=config.sigma, min_size=min_size)


BACKENDS: dict[str, Callable[[Image, SuperpixelConfig, int], np.ndarray]] = {"opencv": _opencv, "skimage": _skimage}
"""Programs to choose from: ``skimage`` is the reference, ``opencv`` is several times faster."""


def _check_picture(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(
            f"superpixels need a uint8 RGB picture, height x width x 3, but got {image.dtype} of shape {image.shape}"
        )
    if min(image.shape[:2]) < 2:
        raise DataError(f"a picture of {_size(image)} pixels is too small for superpixels; give at least 2 x 2 pixels")


def _size(array: np.ndarray) -> str:
    """Width x height, as picture sizes are usually written."""
    return f"{array.shape[1]} x {array.shape[0]}"
