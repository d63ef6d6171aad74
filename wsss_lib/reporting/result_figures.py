"""Figures 5 to 7: what came out, in pictures and plots.

As in ``figures``, the content of Figures 5 to 7 is reconstructed from the paper's text and stated in each docstring.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import seaborn
from jaxtyping import Int64
from matplotlib.axes import Axes

from wsss_lib.reporting.canvas import (
    WIDTH,
    PaperFigure,
    add_title,
    drawn,
    picture_grid,
    require_same_size,
    show,
    title_height,
)
from wsss_lib.reporting.cells import table_data
from wsss_lib.reporting.measurements import ROLES
from wsss_lib.reporting.overlays import seed_overlay
from wsss_lib.reporting.palette import INK, PAPER_INK, SERIES_COLORS, colorize, legend_handles, present_classes
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, LabelSpace


@drawn
def seeds_and_rounds(
    images: Sequence[Image],
    seeds: Sequence[LabelMap],
    rounds: Sequence[Sequence[LabelMap]],
    ground_truths: Sequence[LabelMap],
    label_space: LabelSpace,
    subtitle: str = "",
    start: str = "Seeds",
) -> PaperFigure:
    """Figure 5: one row per picture: the picture, its seeds, its labels after every round, the ground truth.

    ``rounds[r][i]`` are the labels of picture i after round r. Where a label is unknown the pale picture shows.
    ``subtitle`` says whose they are: data, split, method, seed; ``start`` what stands in place of seeds.
    """
    columns = {start: seeds} | {f"Round {number}": maps for number, maps in enumerate(rounds, 1)}
    titles = {"title": "From seeds to labels", "subtitle": subtitle}
    figure = _picture_table(images, columns, ground_truths, label_space, **titles)
    figure.data = {
        "seeds": list(seeds),
        "rounds": [list(maps) for maps in rounds],
        "ground_truths": list(ground_truths),
    }
    return figure


@drawn
def qualitative_results(
    images: Sequence[Image],
    predictions: Mapping[str, Sequence[LabelMap]],
    ground_truths: Sequence[LabelMap] | None,
    label_space: LabelSpace,
    subtitle: str = "",
) -> PaperFigure:
    """Figure 6: one row per picture: the picture, the prediction of every system, the ground truth (if there is any).

    ``predictions`` maps a column's name (``"Ours"``) to one label map per picture, in the order of the columns.
    ``subtitle`` says whose they are, as far as the columns do not: data, split, method, seed.
    """
    titles = {"title": "Segmentation results", "subtitle": subtitle}
    figure = _picture_table(images, predictions, ground_truths, label_space, **titles)
    figure.data = {"predictions": dict(predictions), "ground_truths": list(ground_truths or [])}
    return figure


@drawn
def collages(
    images: Sequence[Image], pasted: Sequence[LabelMap], label_space: LabelSpace, subtitle: str = ""
) -> PaperFigure:
    """One row per collage: the picture with its pieces, and what of it was pasted, in the colours of its classes.

    ``pasted`` is ``IGNORE`` where nothing was. ``subtitle`` says whose they are. Not a figure of the paper.
    """
    titles = {"title": "Simple pictures pasted into streets", "subtitle": subtitle}
    figure = _picture_table(images, {"What was pasted": pasted}, None, label_space, **titles)
    figure.data = {"pasted": list(pasted)}
    return figure


@drawn
def failure_analysis(
    iou: pd.DataFrame,
    confusion: Int64[np.ndarray, "truth prediction"],
    label_space: LabelSpace,
    subtitle: str = "",
) -> PaperFigure:
    """Figure 7: IoU of every class beside the paper's, and which class its pixels are taken for.

    ``iou`` has one row per class in index order with the columns ``here``, ``std`` and ``paper`` (percent, ``nan``
    where there is none; ``tables.class_iou`` makes it). ``subtitle`` says whose they are. ``confusion`` counts
    pixels, class x class, truth in rows; each row is shown as shares of the class's true pixels. ``DataError`` if the
    sizes do not fit the label space.
    """
    size = len(label_space)
    if len(iou) != size or confusion.shape != (size, size):
        raise DataError(f"{label_space.name} has {size} classes: give {size} rows of IoU and a {size} x {size} matrix")
    height = 1.0 + 0.3 * size + title_height(subtitle) + 0.39
    figure = PaperFigure(figsize=(WIDTH, height))
    bottom, tall = 1.0 / height, 0.3 * size / height
    bars = figure.add_axes((0.125, bottom, 0.29, tall))
    matrix = figure.add_axes((0.55, bottom, 0.41, tall))
    _class_bars(bars, iou, label_space)
    _confusion_map(matrix, confusion, label_space)
    add_title(figure, "Where it succeeds and where it fails", subtitle)
    figure.data = {"classes": list(label_space.classes), "iou": iou, "confusion": confusion}
    return figure


def _picture_table(
    images: Sequence[Image],
    columns: Mapping[str, Sequence[LabelMap]],
    ground_truths: Sequence[LabelMap] | None,
    label_space: LabelSpace,
    *,
    title: str,
    subtitle: str,
) -> PaperFigure:
    maps = [label_map for column in [*columns.values(), ground_truths or []] for label_map in column]
    void = any((label_map == IGNORE).any() for label_map in ground_truths or [])
    legend = legend_handles(label_space, present_classes(maps, label_space), unknown=void)
    width = 1 + len(columns) + (ground_truths is not None)
    figure, axes = picture_grid(
        len(images), width, images[0].shape, title=title, subtitle=subtitle, legend=legend, between=0.08
    )
    for row, image in enumerate(images):
        pictures = {"Picture": image}
        pictures |= {name: seed_overlay(image, column[row], label_space) for name, column in columns.items()}
        if ground_truths is not None:
            require_same_size(image, ground_truth=ground_truths[row])
            pictures["Ground truth"] = colorize(ground_truths[row], label_space)
        for place, (name, picture) in zip(axes[row], pictures.items(), strict=True):
            show(place, picture, "" if row else name)
    return figure


def _class_bars(axes: Axes, iou: pd.DataFrame, label_space: LabelSpace) -> None:
    """Horizontal bars in class order from the top, one standard deviation as a whisker, the paper's value as a mark."""
    places = np.arange(len(label_space))
    whiskers = {"elinewidth": 1, "ecolor": INK}
    axes.barh(
        places, iou["here"], xerr=iou["std"], error_kw=whiskers, height=0.62, color=SERIES_COLORS[0], label="here"
    )
    mark = {"marker": "D", "markersize": 6, "markeredgecolor": "white", "markeredgewidth": 0.7, "linestyle": "none"}
    mark |= {"clip_on": False, "zorder": 3}  # not cut at 0 %
    if not np.isnan(iou["paper"]).all():
        axes.plot(iou["paper"], places, color=SERIES_COLORS[1], label=f"paper ({ROLES[table_data(10)]})", **mark)
    for place in places[iou["here"].isna()]:
        beside = 1 if np.isnan(iou["paper"].iloc[place]) else iou["paper"].iloc[place] + 3  # not over the paper's mark
        axes.text(beside, place, "not in the data", va="center", fontsize=8, color=PAPER_INK)
    axes.set(yticks=places, yticklabels=label_space.classes, ylim=(len(places) - 0.5, -0.5), xlim=(0, 100))
    alone = np.isnan(iou["std"]).all()
    axes.set_xlabel("IoU, %" + ("" if alone else " (mean; whiskers: one standard deviation over seeds)"))
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, frameon=False, borderpad=0, columnspacing=1.4)


def _confusion_map(axes: Axes, confusion: np.ndarray, label_space: LabelSpace) -> None:
    """Share of each class's true pixels (row) that every class is predicted for (column); written out from 1 % on."""
    pixels = confusion.sum(axis=1, keepdims=True)
    shares = np.where(pixels > 0, 100 * confusion / np.maximum(pixels, 1), np.nan)
    marks = np.array([[f"{share:.0f}" if share >= 1 else "" for share in row] for row in shares])
    seaborn.heatmap(
        shares,
        ax=axes,
        vmin=0,
        vmax=100,
        cmap="Blues",
        annot=marks,
        fmt="",
        annot_kws={"fontsize": 8 if len(label_space) <= 13 else 6.5},
        linewidths=0.4,
        linecolor="#eeeeee",
        cbar=False,
        xticklabels=label_space.classes,
        yticklabels=label_space.classes,
    )
    axes.tick_params(length=0)
    axes.set_xticklabels(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    axes.set_title("pixels of each class (row) by predicted class, %; blank: below 1 %", pad=6)
