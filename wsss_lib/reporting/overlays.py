"""What is laid over a picture: heat, seeds, superpixel borders, patch borders. Pictures in, pictures out."""

import matplotlib
import numpy as np
from jaxtyping import Float32

from wsss_lib.reporting.canvas import require_same_size
from wsss_lib.reporting.palette import HEAT_COLORS, colorize
from wsss_lib.vocabulary import IGNORE, Image, LabelMap, LabelSpace, RegionMap

HeatMap = Float32[np.ndarray, "height width"]
ClassHeat = Float32[np.ndarray, "class height width"]

_GREY = np.array([0.299, 0.587, 0.114])  # Rec. 601 luma
_BORDER = np.array([255, 230, 60], np.uint8)
_VISIBLE = 0.2  # heat below which a colour is too pale to be told from others


def grey_picture(image: Image, *, paleness: float = 0.0) -> Image:
    """The picture in grey (uint8, three equal channels), mixed with white by ``paleness`` 0..1."""
    grey = (image @ _GREY) * (1 - paleness) + 255 * paleness
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def heat_overlay(image: Image, heat: HeatMap) -> Image:
    """Heat (0..1) as colour over the grey picture: cold stays the picture, hot glows."""
    require_same_size(image, heat=heat)
    heat = np.clip(heat, 0, 1)[..., None]
    colors = 255 * matplotlib.colormaps[HEAT_COLORS](heat[..., 0])[..., :3]
    opacity = 0.30 + 0.55 * heat
    return (grey_picture(image) * (1 - opacity) + colors * opacity).astype(np.uint8)


def heat_scale(width: int = 256) -> Image:
    """One row of pixels: how ``heat_overlay`` shows heat from 0 at the left to 1 at the right, over a middle grey."""
    return heat_overlay(np.full((1, width, 3), 128, np.uint8), np.linspace(0, 1, width, dtype=np.float32)[None])


def class_heat_overlay(image: Image, cam: ClassHeat, label_space: LabelSpace) -> Image:
    """The hottest class of every pixel in its colour, as strong as its heat (0..1), over the pale grey picture."""
    require_same_size(image, cam=cam)
    colors = colorize(cam.argmax(axis=0).astype(np.uint8), label_space)
    opacity = np.clip(cam.max(axis=0), 0, 1)[..., None]
    return (grey_picture(image, paleness=0.45) * (1 - opacity) + colors * opacity).astype(np.uint8)


def visible_heat(cam: ClassHeat) -> LabelMap:
    """The hottest class of every pixel where :func:`class_heat_overlay` shows its colour, else ``IGNORE``."""
    return np.where(cam.max(axis=0) < _VISIBLE, IGNORE, cam.argmax(axis=0)).astype(np.uint8)


def seed_overlay(image: Image, seeds: LabelMap, label_space: LabelSpace) -> Image:
    """Labelled pixels in class colours; where the label is unknown, the picture, pale and grey."""
    require_same_size(image, seeds=seeds)
    known = (seeds != IGNORE)[..., None]
    return np.where(known, colorize(seeds, label_space), grey_picture(image, paleness=0.55))


def region_borders(image: Image, regions: RegionMap) -> Image:
    """The picture with a line, one pixel wide, wherever a superpixel meets its right or lower neighbour."""
    require_same_size(image, regions=regions)
    border = np.zeros(regions.shape, bool)
    border[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    border[:-1] |= regions[:-1] != regions[1:]
    return np.where(border[..., None], _BORDER, image)


def patch_borders(image: Image, grid: tuple[int, int]) -> Image:
    """The picture with the borders of ``grid`` = (rows, columns) equal patches drawn in."""
    height, width = image.shape[:2]
    thickness = max(1, width // 160)
    result = image.copy()
    for row in range(1, grid[0]):
        middle = row * height // grid[0]
        result[middle - thickness // 2 : middle + (thickness + 1) // 2] = _BORDER
    for column in range(1, grid[1]):
        middle = column * width // grid[1]
        result[:, middle - thickness // 2 : middle + (thickness + 1) // 2] = _BORDER
    return result


def thumbnail(image: Image, height: int, width: int) -> Image:
    """The largest middle part of the picture with these proportions, sampled at this size by nearest neighbour."""
    scale = min(image.shape[0] / height, image.shape[1] / width)
    rows = (image.shape[0] - scale * height) / 2 + scale * (np.arange(height) + 0.5)
    columns = (image.shape[1] - scale * width) / 2 + scale * (np.arange(width) + 0.5)
    return image[np.ix_(rows.astype(int), columns.astype(int))]
