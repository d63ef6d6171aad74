"""Cutting what stands out of a simple picture, without labels: the outline is the picture's own saliency.

A picture of a car shows a car and the ground it stands on; saliency tells one from the other. A picture of a road has
nothing that stands out, and all of it is road. Which of both a class is, its pictures decide (:func:`whole_or_cut`);
for systems that know streets alone, ``baselines.figure_ground`` asks saliency and heat of the streets instead. All
numbers are choices, the first ones tried. By the rule buildings are figures; taken whole they scored nearly the same
(``figures/README.md``), and the rule was kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from wsss_lib.data.pictures import bounded, resize_image
from wsss_lib.regions.saliency import saliency
from wsss_lib.vocabulary import Image

LONGEST = 300
"""Longer side, in pixels, that a picture is brought down to: what is pasted into a street is smaller still."""
_SALIENT = 0.5
_PARTS = 0.3
"""Parts of an outline are at least so large as a share of the largest one: what is smaller is a speck."""
_AREA = (0.03, 0.6)
_AT_BORDER = 0.15
"""Share of the picture that an outline may have, and of its border: what goes on outside is cut off, not outlined."""
_FIGURES = 2 / 3

Mask = Bool[np.ndarray, "height width"]


@dataclass(frozen=True)
class Cutting:
    """A picture of one class and which of its pixels show it; ``mask`` is ``None`` where all of them do."""

    image: Image
    mask: Mask | None


def small(image: Image) -> Image:
    """The picture, its longer side at most ``LONGEST`` pixels."""
    return resize_image(image, bounded((image.shape[1], image.shape[0]), LONGEST))


def outline(image: Image) -> Mask:
    """The pixels of what stands out of a picture; all false where nothing with an outline of its own does, or no pixel
    has neighbours on all sides.

    The salient parts of the picture, specks left out, if together they have 3 to 60 % of its pixels and less than 15 %
    of those at its border. Raises ``DataError`` for what :func:`~wsss_lib.regions.saliency.saliency` refuses.
    """
    if min(image.shape[:2]) < 3:
        return np.zeros(image.shape[:2], dtype=bool)
    found, part, stats, _ = cv2.connectedComponentsWithStats((saliency(image) > _SALIENT).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if found < 2:
        return np.zeros(image.shape[:2], dtype=bool)
    mask = np.isin(part, 1 + np.flatnonzero(areas >= _PARTS * areas.max()))
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if _AREA[0] < mask.mean() < _AREA[1] and border.mean() < _AT_BORDER:
        return mask
    return np.zeros_like(mask)


def whole_or_cut(images: Sequence[Image], masks: Sequence[Mask]) -> list[Cutting]:
    """The cuttings of the pictures of one class.

    If something stands out in two thirds of them, the class is a figure: those are cut out, each with its box, and the
    others left out. Else the class is ground and every picture is taken whole.
    """
    outlined = [mask.any() for mask in masks]
    if sum(outlined) < _FIGURES * len(masks):
        return [Cutting(image, None) for image in images]
    return [_boxed(image, mask) for image, mask, seen in zip(images, masks, outlined, strict=True) if seen]


def _boxed(image: Image, mask: Mask) -> Cutting:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Cutting(image[box], mask[box])
