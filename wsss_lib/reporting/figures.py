"""Figures 1, 3 and 4: what the method sees, in pictures of one run (Figure 2 is ``overview_figure``).

The text of the paper was at hand for this project, its figures were not. What each figure shows here is therefore
reconstructed from the text and stated in its docstring; none is a copy of the paper's drawing.

Every function takes plain arrays and returns a ``PaperFigure`` (shown once as the last expression of a notebook cell)
that carries the data behind it. ``DataError`` if maps and pictures differ in size or a label is not in the label space.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from wsss_lib.reporting.canvas import (
    WIDTH,
    PaperFigure,
    add_remark,
    arrow,
    blank,
    drawn,
    name_row,
    picture_grid,
    show,
)
from wsss_lib.reporting.overlays import (
    ClassHeat,
    HeatMap,
    class_heat_overlay,
    heat_overlay,
    heat_scale,
    patch_borders,
    region_borders,
    seed_overlay,
    thumbnail,
    visible_heat,
)
from wsss_lib.reporting.palette import INK, fraction, legend_handles, present_classes, readable_on
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace, RegionMap, Tags

SCALE_HEIGHT = 0.3
"""Inches that the scale of heat needs below the pictures."""


@drawn
def teaser(
    image: Image,
    tags: Tags,
    cam: ClassHeat,
    seeds: LabelMap,
    rounds: Sequence[LabelMap],
    prediction: LabelMap,
    label_space: LabelSpace,
    subtitle: str = "",
) -> PaperFigure:
    """Figure 1: one picture from its tags to its segmentation.

    Panels: picture, tags, heat maps (the hottest class of each pixel), seeds, the labels after every round,
    the segmentation network's prediction. ``cam`` is class x height x width, 0..1; all maps are of the picture's size.
    ``subtitle`` says whose they are.
    """
    panels = [
        ("Picture", image),
        ("Image tags", None),
        ("Heat maps of the tags", class_heat_overlay(image, cam, label_space)),
        ("Seeds", seed_overlay(image, seeds, label_space)),
        *((f"Round {number}", seed_overlay(image, labels, label_space)) for number, labels in enumerate(rounds, 1)),
        ("Segmentation", seed_overlay(image, prediction, label_space)),
    ]
    shown = present_classes([visible_heat(cam), seeds, *rounds, prediction], label_space)
    figure, axes = picture_grid(
        -(-len(panels) // 4),
        4,
        image.shape,
        title="From image tags to a segmentation",
        subtitle=subtitle,
        legend=legend_handles(label_space, shown),
        gap=0.28,
        between=0.32,
    )
    for number, ((name, picture), place) in enumerate(zip(panels, axes.flat, strict=False)):
        if picture is None:
            _write_tags(figure, place, tags, label_space, name)
        else:
            show(place, picture, name)
        if number % 4 and number < len(panels):
            _arrow_into(figure, place, 0.28)
    figure.data = {
        "tags": _tag_names(tags, label_space),
        "seeds": seeds,
        "rounds": list(rounds),
        "prediction": prediction,
    }
    return figure


@drawn
def simple_cams(
    images: Sequence[Image], heats: Sequence[HeatMap], classes: Sequence[str], subtitle: str = ""
) -> PaperFigure:
    """Figure 3: simple pictures, one per class, each beside the class activation map of its class.

    ``heats[i]`` (0..1, of the picture's size) is the map of ``classes[i]`` in ``images[i]``; the middle square of
    both is shown. ``subtitle`` says whose they are.
    """
    figure, axes = picture_grid(
        -(-len(images) // 4),
        4,
        (1, 2),
        title="Simple pictures and their class activation maps",
        subtitle=subtitle,
        gap=0.14,
        foot=SCALE_HEIGHT,
    )
    for place, image, heat, name in zip(axes.flat, images, heats, classes, strict=False):
        show(
            place,
            np.hstack([thumbnail(picture, 160, 160) for picture in (image, heat_overlay(image, heat))]),
            name.replace("_", " "),
        )
    _add_heat_scale(figure)
    figure.data = {"classes": list(classes), "heats": [np.asarray(heat) for heat in heats]}
    return figure


@drawn
def views_of_tags(
    image: Image,
    views: Mapping[str, ClassHeat],
    tags: Tags,
    grid: tuple[int, int],
    label_space: LabelSpace,
    subtitle: str = "",
) -> PaperFigure:
    """Figure 4: for every tag of a street picture, its heat map from every view of the picture, one below the other.

    ``views`` maps a view's name (``"whole"``, ``"patches"``, ``"dense"``) to class x height x width, 0..1; ``grid`` =
    (rows, columns) of the patches. Maps of classes that are not in the tags are removed, and the figure names these
    classes. ``subtitle`` says whose they are.
    """
    present = [index for index in range(len(label_space)) if tags[index]]
    absent = [name for name, tagged in zip(label_space.classes, tags, strict=True) if not tagged]
    stacks = [[patch_borders(image, grid) if name == "patches" else image for name in views]]
    stacks += [[heat_overlay(image, heat[index]) for heat in views.values()] for index in present]
    pictures = [_stack(stack) for stack in stacks]
    figure, axes = picture_grid(
        -(-len(pictures) // 6),
        6,
        pictures[0].shape,
        title="Heat maps of the tags",
        subtitle=subtitle,
        left=0.3,
        between=0.3,
        foot=SCALE_HEIGHT,
    )
    for place, picture, index in zip(axes.flat, pictures, [None, *present], strict=False):
        show(place, picture, "Picture" if index is None else "")
        if index is not None:
            _name_in_color(place, label_space, index)
    for place in axes[:, 0]:
        for row, name in enumerate(views):
            name_row(place, name, 1 - (row + 0.5) / len(views))
    _add_heat_scale(figure)
    if absent:
        add_remark(figure, f"not tagged, removed: {', '.join(absent)}")
    figure.data = {"tags": _tag_names(tags, label_space), **{name: heat[present] for name, heat in views.items()}}
    return figure


@drawn
def superpixels_and_seeds(
    image: Image, regions: RegionMap, cam: ClassHeat, seeds: LabelMap, label_space: LabelSpace, subtitle: str = ""
) -> PaperFigure:
    """How a superpixel comes to its first label: superpixels, heat (the hottest class of each pixel), seeds.

    ``cam`` is class x height x width, 0..1; where a superpixel has no label the pale picture shows. ``subtitle`` says
    whose they are. Not a figure of the paper.
    """
    panels = {
        "Superpixels": region_borders(image, regions),
        "Heat: the hottest tag": class_heat_overlay(image, cam, label_space),
        "Seeds: the first labels": seed_overlay(image, seeds, label_space),
    }
    figure, axes = picture_grid(
        1, 3, image.shape, title="From heat to first labels", subtitle=subtitle,
        legend=legend_handles(label_space, present_classes([visible_heat(cam), seeds], label_space)),
    )  # fmt: skip
    for place, (name, picture) in zip(axes.flat, panels.items(), strict=True):
        show(place, picture, name)
    figure.data = {"regions": regions, "seeds": seeds}
    return figure


def _add_heat_scale(figure: PaperFigure) -> None:
    """The colours of heat from 0 to 1 along the lower edge."""
    height = figure.get_figheight()
    axes = blank(figure.add_axes((0.4, 0.1 / height, 0.2, 0.13 / height)))
    axes.imshow(heat_scale(), aspect="auto")
    axes.text(-0.02, 0.5, "heat 0", transform=axes.transAxes, ha="right", va="center", fontsize=9, color=INK)
    axes.text(1.02, 0.5, "1", transform=axes.transAxes, ha="left", va="center", fontsize=9, color=INK)


def _stack(pictures: Sequence[Image]) -> Image:
    """One picture below the other, a white line between."""
    line = np.full((max(2, len(pictures[0]) // 40), pictures[0].shape[1], 3), 255, np.uint8)
    return np.vstack([part for picture in pictures for part in (line, picture)][1:])


def _tag_names(tags: Tags, label_space: LabelSpace) -> list[str]:
    return [name for name, tagged in zip(label_space.classes, tags, strict=True) if tagged]


def _write_tags(figure: PaperFigure, axes: Axes, tags: Tags, label_space: LabelSpace, title: str) -> None:
    """The names of the tagged classes on chips of their colours, in two or three columns."""
    names = _tag_names(tags, label_space)
    columns = 2 if len(names) <= 12 else 3
    width, height = 1 / columns, 1 / max(5, -(-len(names) // columns))
    size = _chip_font_size(figure, axes, names, width, height)
    for number, name in enumerate(names):
        line, column = divmod(number, columns)
        left, bottom = column * width, 1 - (line + 1) * height
        color = label_space.colors[label_space.index(name)]
        axes.add_patch(Rectangle((left, bottom), 0.96 * width, 0.86 * height, facecolor=fraction(color)))
        middle = left + 0.48 * width, bottom + 0.42 * height
        axes.text(*middle, name, ha="center", va="center", fontsize=size, color=readable_on(color))
    axes.set_title(title, pad=4)


def _chip_font_size(figure: PaperFigure, axes: Axes, names: list[str], width: float, height: float) -> float:
    """The largest size, up to 9 points, at which every name fits a chip of this share of the axes.

    A DejaVu Sans letter is about 0.62 times as wide as its size and a line takes 1.4 times its size.
    """
    across, upright = 72 * axes.get_position().size * figure.get_size_inches()  # the axes in points
    letters = max(map(len, names), default=1)
    return min(9.0, across * width * 0.96 / (0.62 * letters), upright * height * 0.86 / 1.4)


def _name_in_color(axes: Axes, label_space: LabelSpace, index: int) -> None:
    color = label_space.colors[index]
    axes.set_title(
        label_space.classes[index],
        pad=5,
        color=readable_on(color),
        bbox={"facecolor": fraction(color), "edgecolor": "none", "pad": 1.6},
    )


def _arrow_into(figure: PaperFigure, axes: Axes, gap: float) -> None:
    """An arrow that fills the gap to the left of ``axes``."""
    box, height = axes.get_position(), figure.get_figheight()
    middle = (box.y0 + box.y1) / 2 * height
    arrow(figure, [(box.x0 * WIDTH - gap + 0.04, middle), (box.x0 * WIDTH - 0.03, middle)])
