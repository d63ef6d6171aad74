"""Dense conditional random field: labels that follow the colours (Kraehenbuehl, Koltun, NeurIPS 2011; spec. section 7).

E(x) = sum_i u_i(x_i) + sum_{i<j} [x_i != x_j] k(i, j) with
k(i, j) = w1 exp(-|p_i - p_j|^2 / (2 a^2) - |I_i - I_j|^2 / (2 b^2)) + w2 exp(-|p_i - p_j|^2 / (2 g^2)),
solved by mean field with symmetrically normalised kernels, as pydensecrf does by default.

:func:`small_crf` looks at every pair of cells, for grids in training; :func:`dense_crf` is for whole pictures and
filters the bilateral kernel through a permutohedral lattice. Both solve the same problem. Choices: the spatial kernel
is exact up to its cut-off (pydensecrf has a lattice for it too), and the bilateral lattice is wider and symmetric (see
``lattice.py``).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from wsss_lib.segmentation.lattice import Lattice, build_lattice
from wsss_lib.vocabulary import DataError, Image, SettingsError

Planes = Float32[np.ndarray, "class height width"]

FLOOR = 1e-5
"""Least score or probability before the logarithm, as in SEC's and PSA's programs (specification section 7)."""

_NOTHING = -60.0
"""No exponent of a kernel is below this: e^-60 beside row sums of at least 1 is nothing, but as a denormal number it
would make the products with the kernel sixty times slower on a processor (measured)."""


@dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """w1, a (pixels), b (colour values), w2, g (pixels) and mean-field steps. Defaults: PSA on activation maps."""

    bilateral_weight: float = 10.0
    bilateral_xy: float = 80.0
    bilateral_rgb: float = 13.0
    gaussian_weight: float = 3.0
    gaussian_xy: float = 3.0
    steps: int = 10

    def __post_init__(self) -> None:
        if min(self.bilateral_xy, self.bilateral_rgb, self.gaussian_xy) <= 0 or self.steps < 1:
            raise SettingsError(f"standard deviations above 0 and at least one step are needed, in {self}")


DEEPLAB_V2 = CrfConfig(bilateral_weight=4.0, bilateral_xy=49.0, bilateral_rgb=5.0)
"""On a network's predictions (``xmojiao/deeplab_v2:voc2012/run_densecrf.sh``): for the whole picture."""

PSA_CAM = CrfConfig()
"""PSA on class activation maps (``psa:tool/imutils.py``), SEC and DSRG at test: for the whole picture."""


def scaled(config: CrfConfig, factor: float) -> CrfConfig:
    """The configuration for a grid that is ``factor`` times as fine: distances in pixels grow, colours stay.

    ``scaled(PSA_CAM, 60 / 480)`` is for a grid of 60 cells over pictures 480 pixels wide.
    """
    if not factor > 0:
        raise SettingsError(f"the factor from one grid to another is {factor}; it must be above 0")
    return replace(config, bilateral_xy=config.bilateral_xy * factor, gaussian_xy=config.gaussian_xy * factor)


def small_crf(
    unary: Float[Tensor, "batch class rows columns"], images: Float[Tensor, "batch 3 rows columns"], config: CrfConfig
) -> Float[Tensor, "batch class rows columns"]:
    """Probabilities after mean field with every pair of pixels: exact, for grids of a few thousand cells.

    ``unary`` is minus the log probability up to a constant per pixel; ``images`` have values 0..255. Needs
    (rows * columns)^2 floats per picture.
    """
    rows, columns = unary.shape[-2:]
    alike = _bilateral_exponent(images.to(unary), config).clamp_(min=_NOTHING).exp_()
    scale = alike.sum(2).rsqrt()[:, None]
    down, across = (_normalized_taps(cells, config.gaussian_xy).to(unary) for cells in (rows, columns))
    flat = unary.flatten(2)
    q = (-flat).softmax(1)
    for _ in range(config.steps):
        bilateral = ((q * scale) @ alike) * scale
        gaussian = (down @ q.unflatten(2, (rows, columns)) @ across).flatten(2)
        q = (config.bilateral_weight * bilateral + config.gaussian_weight * gaussian - flat).softmax(1)
    return q.unflatten(2, (rows, columns))


def _bilateral_exponent(
    images: Float[Tensor, "batch 3 rows columns"], config: CrfConfig
) -> Float[Tensor, "batch pixel pixel"]:
    """-|f_i - f_j|^2 / 2 with f place and colour in standard deviations, as one product of matrices.

    That is f_i f_j - |f_i|^2 / 2 - |f_j|^2 / 2; features are centred, so that the three are small and little cancels.
    """
    rows, columns = images.shape[-2:]
    ys, xs = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([xs, ys]).to(images).expand(len(images), -1, -1, -1) / config.bilateral_xy
    features = torch.cat([places, images / config.bilateral_rgb], 1).flatten(2)
    features = features - features.mean(2, keepdim=True)
    half = -features.square().sum(1, keepdim=True) / 2
    one = torch.ones_like(half)
    return torch.cat([features, half, one], 1).transpose(1, 2) @ torch.cat([features, one, half], 1)


def _normalized_taps(cells: int, deviation: float) -> Float[Tensor, "cell cell"]:
    """One axis of the normalised spatial kernel, in double precision.

    The kernel over both axes is the product of one over each, and so are its row sums.
    """
    places = torch.arange(cells, dtype=torch.float64)
    kernel = (-(places[:, None] - places).square() / (2 * deviation**2)).clamp(min=_NOTHING).exp()
    scale = kernel.sum(1).rsqrt()
    return kernel * scale[:, None] * scale


def dense_crf(
    unary: Float[np.ndarray, "class height width"] | Float[Tensor, "class height width"],
    image: Image,
    config: CrfConfig,
) -> Float32[np.ndarray, "class height width"]:
    """Probabilities after mean field for a whole picture, on the CPU.

    ``unary`` is minus the log probability up to a constant per pixel; floor probabilities before the logarithm (PSA:
    1e-5). About a second for 480 x 360 pixels, 11 classes and 10 steps on one core.
    """
    planes = _checked_planes(unary, image)
    height, width = image.shape[:2]
    lattice = _bilateral_lattice(image, config)
    spatial = _normalized_gaussian(height, width, config.gaussian_xy)
    q = (-planes).softmax(0)
    for _ in range(config.steps):
        alike = torch.from_numpy(lattice.filtered(q.flatten(1).T.contiguous().numpy())).T.unflatten(1, (height, width))
        near = torch.from_numpy(spatial(q.numpy()))
        q = (config.bilateral_weight * alike + config.gaussian_weight * near - planes).softmax(0)
    return q.numpy()


def _checked_planes(
    unary: Float[np.ndarray, "class height width"] | Float[Tensor, "class height width"], image: Image
) -> Float32[Tensor, "class height width"]:
    """The unary as a tensor on the CPU, once it is known to fit the picture."""
    array = unary.detach().cpu().float().numpy() if isinstance(unary, Tensor) else np.asarray(unary, np.float32)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(
            f"a dense CRF needs a uint8 RGB picture, height x width x 3, but got {image.dtype} of shape {image.shape}"
        )
    if array.ndim != 3 or array.shape[1:] != image.shape[:2] or array.size == 0:
        raise DataError(
            f"the unary has shape {array.shape} but the picture {image.shape}; give class x height x width of its size"
        )
    if not np.isfinite(array).all():
        raise DataError("the unary has values that are not finite; floor probabilities (1e-5) before the logarithm")
    return torch.from_numpy(np.array(array, order="C"))


def _bilateral_lattice(image: Image, config: CrfConfig) -> Lattice:
    """The normalised lattice over place and colour."""
    height, width = image.shape[:2]
    ys, xs = np.mgrid[:height, :width]
    places = np.stack([xs, ys], axis=-1) / config.bilateral_xy
    features = np.concatenate([places, image / config.bilateral_rgb], axis=-1)
    return build_lattice(features.reshape(-1, 5)).normalized()


def _normalized_gaussian(height: int, width: int, deviation: float) -> Callable[[Planes], Planes]:
    """Filters planes with the normalised spatial kernel, cut off at 6 standard deviations (1.5e-8 of its peak)."""
    radius = math.ceil(6 * deviation)
    taps = np.exp(-np.square(np.arange(-radius, radius + 1) / deviation) / 2)

    def blurred(plane: Float32[np.ndarray, "height width"]) -> np.ndarray:
        return cv2.sepFilter2D(plane, -1, taps, taps, borderType=cv2.BORDER_CONSTANT)  # zero outside the picture

    scale = 1 / np.sqrt(blurred(np.ones((height, width), np.float32)))
    return lambda planes: np.stack([scale * blurred(scale * plane) for plane in planes])
