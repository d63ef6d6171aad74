"""Saliency without labels: what stands out in front of the ground that reaches the border of the picture.

The method is robust background detection (Zhu, Liang, Wei, Sun, "Saliency optimization from robust background
detection", CVPR 2014). A patch is ground if much of the border can be reached from it without a change of colour; an
object differs in colour from patches that are surely ground; a quadratic program makes both one smooth map. Nothing is
learnt. Constants are the paper's (recalled, not read again) unless they are named a choice below.

Choices of our own: patches are our superpixels, cut by a grid of equal cells so that a large one is not a single patch
(published: about equal SLIC patches); the sums of connectivity and contrast count pixels instead of patches; contrast
is a weighted mean in Lab units, and a picture with less than ``FAINT`` of it stays dark instead of being stretched to
full range; the least salient patch is taken as 0. On 30 toy scenes the area under the ROC curve is 0.97; it is 0.84 for
the spectral residual and 0.77 for the fine-grained saliency of OpenCV, and 0.71 for a blob in the middle.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from wsss_lib.regions.superpixels import SuperpixelConfig, in_raster_order, superpixels
from wsss_lib.vocabulary import Image, RegionMap

SIGMA_COLOR = 10.0
"""A path along which the colour changes by so much (Lab units) ends a region; also how alike neighbours must be."""
SIGMA_SPACE = 0.25
"""How far contrast reaches, as a share of the longer side."""
MU = 0.1
"""Smoothness between neighbours of any colour."""
FAINT = 10.0
"""Contrast in Lab units that counts as full: twice the 5 at which two large areas clearly differ (choice)."""
CELLS = 14
"""Cells of the grid along the longer side (choice): with the superpixels 200 to 500 patches, as published."""

Patches = Float[np.ndarray, "patch"]
Pairs = Float[np.ndarray, "patch patch"]


def saliency(image: Image) -> Float32[np.ndarray, "height width"]:
    """How much every pixel stands out, 0..1; 0 everywhere in a picture of one colour.

    Raises ``DataError`` for anything but a uint8 RGB picture of at least 2 x 2 pixels.
    """
    patches = cut(superpixels(image, SuperpixelConfig(scale=100, min_size=200)))
    size = np.bincount(patches.ravel()).astype(float)
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    axes = np.indices(patches.shape)
    color = np.stack([_mean(patches, lab[..., k]) for k in range(3)], axis=1)
    place = np.stack([_mean(patches, axes[k]) for k in range(2)], axis=1) / max(patches.shape)
    apart = _distances(color)
    touching = neighbours(patches)
    border = np.bincount(np.concatenate([patches[0], patches[-1], patches[:, 0], patches[:, -1]]), minlength=len(size))
    ground = background_weights(path_distances(apart, touching, border > 0), size, border)
    figure = background_contrast(apart, _distances(place), ground, size)
    result = optimize(ground, figure, apart, touching)
    return ((result - result.min()) / max(1 - result.min(), 1e-9)).astype(np.float32)[patches]


def cut(regions: RegionMap) -> RegionMap:
    """Superpixels cut along a grid of about square cells, as many to the left as to the right and above as below."""
    side = max(regions.shape) / CELLS
    down, right = (((np.arange(n) + 0.5) / n * max(1, round(n / side))).astype(int) for n in regions.shape)
    cells = down[:, None] * (int(right.max()) + 1) + right
    return in_raster_order(regions * (int(cells.max()) + 1) + cells)


def neighbours(patches: RegionMap) -> Int[np.ndarray, "pair 2"]:
    """Pairs of patches that share an edge, each once, the lower id first."""
    beside = [(patches[:, :-1], patches[:, 1:]), (patches[:-1], patches[1:])]
    pairs = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in beside])
    count = int(patches.max()) + 1
    keys = np.unique((pairs.min(1).astype(np.int64) * count + pairs.max(1))[pairs[:, 0] != pairs[:, 1]])
    return np.stack(np.divmod(keys, count), axis=1)


def path_distances(apart: Pairs, touching: Int[np.ndarray, "pair 2"], at_border: Bool[np.ndarray, "patch"]) -> Pairs:
    """Least sum of colour steps on a path between every two patches.

    All patches at the border are neighbours, so that ground which an object cuts in two stays one. Steps as small as
    the usual one of a patch to its nearest neighbour count as none: texture would add up over a long way.
    """
    rim = np.flatnonzero(at_border)
    along = np.stack([rim[k] for k in np.triu_indices(len(rim), 1)], axis=1)
    first, second = np.unique(np.concatenate([touching, along]), axis=0).T
    nearest = np.full(len(apart), np.inf)
    np.minimum.at(nearest, touching, apart[touching[:, 0], touching[:, 1]][:, None])
    texture = np.median(nearest) if len(touching) else 0.0
    steps = np.maximum(apart[first, second] - texture, 1e-9)  # a weight of exactly 0 would be no edge
    return dijkstra(csr_matrix((steps, (first, second)), shape=apart.shape), directed=False)


def background_weights(path: Pairs, size: Patches, border: Int[np.ndarray, "patch"]) -> Patches:
    """1 - exp(-b^2 / 2) with the boundary connectivity b = border pixels of a patch's region / sqrt(its pixels).

    The region of a patch is soft: patch q belongs to it by exp(-path^2 / (2 sigma^2)) (equations 2 to 4 and 6).
    """
    alike = np.exp(-((path / SIGMA_COLOR) ** 2) / 2)
    return 1 - np.exp(-((alike @ border) ** 2 / (alike @ size)) / 2)


def background_contrast(apart: Pairs, far: Pairs, ground: Patches, size: Patches) -> Patches:
    """Colour distance of every patch to the ground near it, in units of ``FAINT`` and at most 1 (equation 5).

    A mean over all patches near it, in which those that are not ground count as no distance.
    """
    weight = np.exp(-((far / SIGMA_SPACE) ** 2) / 2) * size
    contrast = (weight * apart) @ ground / weight.sum(1) / FAINT
    return contrast / max(1.0, contrast.max())


def optimize(ground: Patches, figure: Patches, apart: Pairs, touching: Int[np.ndarray, "pair 2"]) -> Patches:
    """The s of least sum ground s^2 + figure (s - 1)^2 + smoothness (s_p - s_q)^2, a linear system (equation 9).

    Two patches that do not touch, of ground weight 1 and 0 and figure weight 0 and 1, get 0 and 1.
    """
    smooth = np.zeros_like(apart)
    first, second = touching.T
    smooth[first, second] = np.exp(-((apart[first, second] / SIGMA_COLOR) ** 2) / 2) + MU
    smooth += smooth.T
    system = np.diag(smooth.sum(1) + ground + figure + 1e-6) - smooth  # the last term: a patch that nothing is known of
    return np.linalg.solve(system, figure).clip(0, 1)


def _mean(patches: RegionMap, values: Float[np.ndarray, "height width"] | Int[np.ndarray, "height width"]) -> Patches:
    return np.bincount(patches.ravel(), values.ravel()) / np.bincount(patches.ravel())


def _distances(points: Float[np.ndarray, "patch axis"]) -> Pairs:
    return np.linalg.norm(points[:, None] - points[None], axis=2)
