"""Figure 2: the whole method on one page.

The paper's own drawing was not at hand (see ``figures``): the stages and their order are from its text.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import FancyBboxPatch, Rectangle

from wsss_lib.reporting.canvas import (
    LINE,
    WIDTH,
    PaperFigure,
    add_legend,
    add_title,
    arrow,
    blank,
    drawn,
    legend_height,
    show,
    title_height,
)
from wsss_lib.reporting.overlays import (
    ClassHeat,
    class_heat_overlay,
    patch_borders,
    region_borders,
    seed_overlay,
    thumbnail,
    visible_heat,
)
from wsss_lib.reporting.palette import INK, legend_handles, present_classes
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace, RegionMap

# Inches. Two lanes of five places; the lower lane has room below it for the way back to the region network.
_PANEL, _GAP, _MARGIN = 1.72, 0.275, 0.15
_HEADS, _FOOT, _BETWEEN, _LOOP = 0.55, 0.1, 0.26, 0.36
_LEFTS = tuple(_MARGIN + column * (_PANEL + _GAP) for column in range(5))
_LOCALISATION, _CLUSTERING, _SEGMENTATION = "#e8f1f4", "#f7ece4", "#edf3e2"


@drawn
def framework(
    simple_images: Sequence[Image],
    image: Image,
    grid: tuple[int, int],
    cam: ClassHeat,
    regions: RegionMap,
    seeds: LabelMap,
    rounds: Sequence[LabelMap],
    prediction: LabelMap,
    label_space: LabelSpace,
    subtitle: str = "",
) -> PaperFigure:
    """Figure 2: the whole method as a flow of one run's real intermediate pictures.

    Upper lane (paper 3.1): simple pictures (the first six) train the classifier, which is applied to ``grid`` = (rows,
    columns) patches of the street picture, (1, 1) for the whole; heat maps (``cam``: class x height x width, 0..1) and
    superpixels give seeds. Lower lane: the region network and its rounds of relabelling (3.2; the last three), then the
    segmentation network (3.3). ``subtitle`` says whose they are. ``DataError`` if maps and picture differ in size.
    """
    skipped, rounds = max(0, len(rounds) - 3), list(rounds)[-3:]
    classes = legend_handles(label_space, present_classes([visible_heat(cam), seeds, *rounds, prediction], label_space))
    height = _PANEL * image.shape[0] / image.shape[1]
    lower = legend_height(classes) + 0.1 + _LOOP
    upper = lower + height + _HEADS + _BETWEEN + _FOOT
    figure = PaperFigure(figsize=(WIDTH, upper + height + _HEADS + 0.04 + title_height(subtitle)))
    _bands(figure, height, lower, upper)
    _panels(figure, height, upper, _localisation(simple_images, image, grid, cam, regions, seeds, label_space), first=0)
    _region_network(figure, height, lower)
    labels = {f"Labels, round {number}": labels for number, labels in enumerate(rounds, skipped + 1)}
    labels["Prediction"] = prediction
    pictures = {name: seed_overlay(image, label_map, label_space) for name, label_map in labels.items()}
    _panels(figure, height, lower, pictures, first=5 - len(pictures))
    _arrows(figure, height, lower, upper, len(rounds))
    add_title(figure, "Overview of the method", subtitle)
    add_legend(figure, classes)
    figure.data = {"grid": list(grid), "regions": regions, "seeds": seeds, "rounds": rounds, "prediction": prediction}
    return figure


def _localisation(
    simple_images: Sequence[Image],
    image: Image,
    grid: tuple[int, int],
    cam: ClassHeat,
    regions: RegionMap,
    seeds: LabelMap,
    label_space: LabelSpace,
) -> dict[str, Image]:
    return {
        "Simple pictures": _mosaic(simple_images, image.shape[0] / image.shape[1]),
        "Scene" if grid == (1, 1) else "Patches of the scene": patch_borders(image, grid),
        "Heat maps": class_heat_overlay(image, cam, label_space),
        "Superpixels": region_borders(image, regions),
        "Seeds": seed_overlay(image, seeds, label_space),
    }


def _mosaic(images: Sequence[Image], proportion: float) -> Image:
    """Up to six thumbnails in two rows, white between them, together as high as wide times ``proportion``."""
    images = images[:6]
    across = -(-len(images) // 2)
    height, width = round(180 * proportion), 360 // across
    mosaic = np.full((2 * height, across * width, 3), 255, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, across)
        cell = mosaic[row * height + 3 : (row + 1) * height - 3, column * width + 3 : (column + 1) * width - 3]
        cell[:] = thumbnail(image, *cell.shape[:2])
    return mosaic


def _panels(figure: PaperFigure, height: float, bottom: float, pictures: dict[str, Image], *, first: int) -> None:
    """Pictures side by side from place ``first`` on, their names above."""
    total = figure.get_figheight()
    for left, (name, picture) in zip(_LEFTS[first:], pictures.items(), strict=False):
        box = left / WIDTH, bottom / total, _PANEL / WIDTH, height / total
        show(blank(figure.add_axes(box)), picture, name)


def _bands(figure: PaperFigure, height: float, lower: float, upper: float) -> None:
    """A tinted band behind each stage, with the stage's name and section in the paper."""
    _band(figure, (0, 5), upper - _FOOT, height + _HEADS + _FOOT, _LOCALISATION)
    _band(figure, (0, 4), lower - _LOOP, height + _HEADS + _LOOP, _CLUSTERING)
    _band(figure, (4, 5), lower - _LOOP, height + _HEADS + _LOOP, _SEGMENTATION)
    names = [
        (0, upper, "Where it might be: classification and localisation (3.1)"),
        (1, lower, "What belongs together: deep clustering (3.2)"),
        (4, lower, "Segmentation (3.3)"),
    ]
    for column, bottom, name in names:
        top = (bottom + height + _HEADS - 0.07) / figure.get_figheight()
        figure.text(_LEFTS[column] / WIDTH, top, name, va="top", fontweight="bold", color=INK)


def _band(figure: PaperFigure, places: tuple[int, int], bottom: float, height: float, color: str) -> None:
    first, last = places
    width = (last - first) * _PANEL + (last - first - 1) * _GAP + 0.2
    total = figure.get_figheight()
    corner = ((_LEFTS[first] - 0.1) / WIDTH, bottom / total)
    figure.add_artist(
        FancyBboxPatch(
            corner,
            width / WIDTH,
            height / total,
            boxstyle="square,pad=0",
            transform=figure.transFigure,
            facecolor=color,
            edgecolor="none",
            zorder=-1,
        )
    )


def _region_network(figure: PaperFigure, height: float, bottom: float) -> None:
    """A card for the region network, which has no picture of its own."""
    total = figure.get_figheight()
    axes = blank(figure.add_axes((_LEFTS[0] / WIDTH, bottom / total, _PANEL / WIDTH, height / total)))
    axes.add_patch(Rectangle((0, 0), 1, 1, facecolor="white", edgecolor=INK, linewidth=0.8, clip_on=False))
    axes.text(0.5, 0.5 + 0.23 / height, "Region network", ha="center", fontweight="bold", color=INK)
    lines = "a feature per superpixel;\ncross entropy, then\nwith centre loss"
    axes.text(0.5, 0.5 + 0.12 / height, lines, ha="center", va="top", fontsize=9, color=INK)


def _arrows(figure: PaperFigure, height: float, lower: float, upper: float, rounds: int) -> None:
    """Along both lanes, from the seeds down to the region network, and back to it after every round but the last."""
    first = 4 - rounds
    steps = [(upper, column, column + 1) for column in range(4)]
    steps += [(lower, 0, first), *((lower, column, column + 1) for column in range(first, 4))]
    for bottom, start, end in steps:
        middle = bottom + height / 2
        arrow(figure, [(_LEFTS[start] + _PANEL + 0.03, middle), (_LEFTS[end] - 0.03, middle)])
    middles = [left + _PANEL / 2 for left in _LEFTS]
    aisle = upper - _FOOT - _BETWEEN / 2
    arrow(
        figure,
        [(middles[4], upper - 0.02), (middles[4], aisle), (middles[0], aisle), (middles[0], lower + height + 0.03)],
    )
    for column in range(first, 3):
        way_back = lower - 0.17
        arrow(
            figure,
            [
                (middles[column], lower - 0.02),
                (middles[column], way_back),
                (middles[0], way_back),
                (middles[0], lower - 0.03),
            ],
        )
    if rounds > 1:
        where = (_LEFTS[1] - _GAP / 2) / WIDTH, (lower - 0.17 - LINE / 2) / figure.get_figheight()
        figure.text(*where, "train again on the new labels", ha="center", va="center", fontsize=9, color=INK)
