"""STC, "A simple to complex framework for weakly-supervised semantic segmentation" (Wei et al., PAMI 2017; spec. 6.5).

Three networks in sequence, each taught by the one before it: the Initial one by the saliency of simple pictures, the
Enhanced one by the Initial's masks of the simple pictures, the Powerful one by the Enhanced's masks of all pictures.

Choices besides those of :mod:`wsss_lib.baselines.figure_ground` and :mod:`wsss_lib.regions.saliency` (instead of DRFI):

- There are no pictures from the web. Simple are the training pictures with at most ``simple_tags`` tags beside the
  ground, which is the background class or, without one, one tag more. A class with fewer than ``least`` simple pictures
  lends those with the fewest tags: a class that the Initial network never sees is lost for all three.
- In a picture with several figures they share the salient pixels by their heat, as several grounds share the others.
  Where a picture without background class has only figures, what is not salient is unknown.
- The Powerful network has the steps of the segmentation settings, as our own, the two before it half of them each, and
  each one goes on with the weights of the one before it (published: all start from ImageNet, with the full schedule).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from wsss_lib.baselines.figure_ground import Classes, Saliency, figure_classes, shares, split_tags
from wsss_lib.baselines.skeleton import (
    Heat,
    Material,
    Outcome,
    Run,
    predicted_labels,
    train_on_cues,
    train_on_labels,
)
from wsss_lib.regions.saliency import saliency
from wsss_lib.segmentation.networks import grid_of, upsample
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import SettingsError, Tags, TagTable


@dataclass(frozen=True, kw_only=True)
class StcConfig:
    """Which pictures are simple, and how many steps each network has (all values: choice).

    ``shares`` are shares of ``SegmentationConfig.training.steps`` for the Initial, Enhanced and Powerful network.
    """

    simple_tags: int = 1
    least: int = 8
    shares: tuple[float, float, float] = (0.5, 0.5, 1.0)

    def __post_init__(self) -> None:
        if self.simple_tags < 1 or self.least < 1:
            raise SettingsError(f"simple_tags and least must be at least 1, in {self}")
        if len(self.shares) != 3 or min(self.shares) <= 0 or sum(self.shares) > 2:
            raise SettingsError(f"shares must be three positive numbers with a sum of at most 2, not {self.shares}")


def stc(material: Material, settings: SegmentationConfig, config: StcConfig, run: Run) -> Outcome:
    """The Powerful network; its label maps are the Enhanced network's, restricted to the tags."""
    run.report("saliency of all pictures")
    salient = [saliency(material.image(i)) for i in range(len(material))]
    figures = figure_classes(material, salient)
    simple = simple_pictures(material.tags, material.label_space.background, config)
    front = ", ".join(np.array(material.label_space.classes)[figures])
    run.report(f"{len(simple)} of {len(material)} pictures are simple; figures are {front or 'none'}")
    network = material.network(settings.network)
    initial, enhanced, powerful = (settings.with_steps(share * settings.training.steps) for share in config.shares)

    width, height = settings.input_size
    grid = grid_of((height, width), settings.label_stride)
    chosen = only(
        material, simple, lambda i: soft_targets(material.heat(i), salient[i], material.tags[i], figures, grid)
    )
    losses = {
        "initial": train_on_cues(
            network, chosen, initial, lambda logits, cues: soft_cross_entropy(logits, cues.heat), run, "initial"
        )
    }
    labels = predicted_labels(network, chosen, settings, run)
    losses["enhanced"] = train_on_labels(network, chosen, enhanced, labels, run, "enhanced")
    labels = predicted_labels(network, material, settings, run)
    losses["powerful"] = train_on_labels(network, material, powerful, labels, run, "powerful")
    return Outcome(network=network, network_name=settings.network, losses=losses, labels=labels)


def simple_pictures(tags: TagTable, background: int | None, config: StcConfig) -> list[int]:
    """The pictures with few tags, and for every class the ``least`` ones with the fewest, in their order."""
    counts = tags.sum(1)
    simple = (counts <= config.simple_tags + 1) & (counts > (background is not None))
    for column in np.delete(tags, [] if background is None else background, axis=1).T:
        missing = config.least - int((simple & column).sum())
        others = np.flatnonzero(column & ~simple)
        simple[others[np.argsort(counts[others], kind="stable")][: max(0, missing)]] = True
    return np.flatnonzero(simple).tolist()


def soft_targets(
    heat: Heat, salient: Saliency, tags: Tags, figures: Classes, grid: tuple[int, int]
) -> Float32[np.ndarray, "class rows columns"]:
    """The probability that every cell of a (rows, columns) grid on the picture's corners has each class.

    Saliency s of a cell is divided among the figures, 1 - s among the grounds. One figure t and a background are the
    published targets: s for t and 1 - s for the background.
    """
    front, behind = split_tags(tags, figures)
    warm = np.stack([on_grid(one, grid, centers=True) for one in heat])
    stands_out = on_grid(salient, grid)
    return stands_out * shares(warm, front) + (1 - stands_out) * shares(warm, behind)


def soft_cross_entropy(
    logits: Float[Tensor, "batch class rows columns"], target: Float[Tensor, "batch class r c"]
) -> Tensor:
    """- sum over cells and classes of target * log softmax, divided by the sum of the targets; 0 if that is 0.

    Logits are brought to the targets' grid. With targets that add up to 1 in every cell it is the mean over cells.
    """
    logits = upsample(logits, (target.shape[-2], target.shape[-1]))
    return -(target * logits.log_softmax(1)).sum() / target.sum().clamp(min=1e-6)


def only(material: Material, chosen: list[int], targets: Callable[[int], Heat]) -> Material:
    """Some of the pictures, with targets in the place of their heat: so they are batched and mirrored like it."""
    return replace(
        material,
        image=lambda k: material.image(chosen[k]),
        tags=material.tags[chosen],
        seeds=lambda k: material.seeds(chosen[k]),
        regions=lambda k: material.regions(chosen[k]),
        heat=lambda k: targets(chosen[k]),
        flow=None,
    )


def on_grid(
    values: Float[np.ndarray, "height width"], grid: tuple[int, int], *, centers: bool = False
) -> Float32[np.ndarray, "rows columns"]:
    """A map read at the cells of a (rows, columns) grid whose corners are the map's; bilinear, 0..1.

    A picture's map is first averaged over areas of about a cell. ``centers``: the values are those of equal cells.
    """
    rows, columns = grid
    if not centers and values.shape[0] >= rows and values.shape[1] >= columns:
        values = cv2.blur(values, (max(1, values.shape[1] // columns), max(1, values.shape[0] // rows)))
    shift = 0.5 if centers else 0.0
    height, width = values.shape
    down = np.linspace(-shift, height - 1 + shift, rows, dtype=np.float32)
    right = np.linspace(-shift, width - 1 + shift, columns, dtype=np.float32)
    x, y = np.meshgrid(right, down)
    return cv2.remap(values.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
