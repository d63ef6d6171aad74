"""Which tags stand in front and which are the ground behind them: what systems that learn from saliency need.

STC and AE-PSL were published for VOC: every object is in front of one background class. Without such a class (driving
scenes, MSRC-21) nobody says which classes are objects. Choice: a class is a figure if, over all pictures with its tag,
there is more saliency under its heat than under that of the pictures' tags on average; so a cow is, and the grass below
it is not. Only heat and saliency decide. (The mean over whole pictures is no measure: neither saliency nor heat reaches
their borders, so that nearly every class would stand out.)
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from wsss_lib.baselines.skeleton import Heat, Material
from wsss_lib.vocabulary import Tags

Saliency = Float32[np.ndarray, "height width"]
Classes = Bool[np.ndarray, "class"]


def figure_classes(material: Material, saliency: Sequence[Saliency]) -> Classes:
    """Every class but the background; without one, the classes whose :func:`prominence` is above 1."""
    if material.label_space.background is not None:
        return np.arange(len(material.label_space)) != material.label_space.background
    return prominence(material.heat, saliency) > 1


def prominence(heat: Callable[[int], Heat], saliency: Sequence[Saliency]) -> Float[np.ndarray, "class"]:
    """sum over pictures of the saliency under a class's heat / sum, over the same, of its mean over all tags with heat.

    One picture of two cells, saliency (0.2, 0.6), and two tags with heat (1, 3) and (1, 0): (0.2 + 3 * 0.6) / 4 = 0.5
    and 0.2 are under them, 0.35 on average, so they have 0.5 / 0.35 and 0.2 / 0.35. A class without heat, one that is
    always alone, and every class where nothing is salient, has 1: nothing is known of it.
    """
    under, usual = 0.0, 0.0
    for i, one in enumerate(saliency):
        warm = heat(i)
        total = warm.sum((1, 2))
        small = cv2.resize(one, warm.shape[:0:-1], interpolation=cv2.INTER_AREA)
        here = np.divide((warm * small).sum((1, 2)), total, out=np.zeros_like(total), where=total > 0)
        under = under + here
        usual = usual + here.sum() / max(1, np.count_nonzero(total)) * (total > 0)
    under, usual = np.asarray(under, dtype=float), np.asarray(usual, dtype=float)
    return np.divide(under, usual, out=np.ones_like(usual), where=usual > 0)


def split_tags(tags: Tags, figures: Classes) -> tuple[Classes, Classes]:
    """The tags that salient pixels may have, and those of the others (none: such pixels are unknown).

    A picture without any figure has nothing that could stand out: all its tags are both.
    """
    front = tags & figures
    return (front, tags & ~figures) if front.any() else (tags, tags)


def shares(heat: Heat, members: Classes) -> Heat:
    """Of every cell the share of each member's heat in that of all members; equal where there is none.

    Heat (3, 1) of two members is (0.75, 0.25), heat (0, 0) is (0.5, 0.5), and one member has 1 everywhere.
    """
    warm = heat * members[:, None, None]
    total = warm.sum(0)
    equal = (members / max(1, members.sum()))[:, None, None] * np.ones_like(heat)
    return np.where(total > 0, warm / np.where(total > 0, total, 1), equal).astype(np.float32)
