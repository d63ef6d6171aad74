"""Curves over training steps and over rounds."""

import pandas as pd
from matplotlib.axes import Axes

from wsss_lib.reporting.canvas import WIDTH, PaperFigure, add_legend, add_title, drawn, legend_height
from wsss_lib.reporting.cells import CLUSTERING_STAGES, METRICS, cells
from wsss_lib.reporting.measurements import ScoreKey, checked, main_dataset, measure
from wsss_lib.reporting.palette import PAPER_INK, SERIES_COLORS
from wsss_lib.vocabulary import DataError

PAPER = "the paper"
"""The name of the paper's own curve among the variants."""

NAMES_IN_A_ROW = 4
"""Of the legend of rounds: as many as fit, where each is as long as ``here, plus without geometry``."""


@drawn
def rounds_curve(scores: pd.DataFrame) -> PaperFigure:
    """Class and category mIoU from the seeds to the last round, one curve per variant, beside the paper's Table 6.

    ``scores`` are the tidy scores; the train split of the main data set is drawn. Whiskers are one standard deviation
    over seeds. ``DataError`` if the scores hold neither Cityscapes nor CamVid.
    """
    scores = checked(scores)
    main = main_dataset(scores)
    if main is None:
        raise DataError(
            "the scores hold neither Cityscapes nor CamVid, so there are no rounds to draw; run a profile first"
        )
    curves = _rounds_data(scores, main)
    names = list(curves["variant"].unique())
    below = 0.45 + legend_height(names, NAMES_IN_A_ROW)
    height = below + 3.05
    figure = PaperFigure(figsize=(WIDTH, height))
    places = [figure.add_axes((left, below / height, 0.41, 2.45 / height)) for left in (0.075, 0.575)]
    for place, heading in zip(places, METRICS, strict=True):
        _draw_rounds(place, curves.loc[curves["metric"] == heading], heading)
    add_legend(figure, places[0].get_legend_handles_labels()[0], NAMES_IN_A_ROW)
    add_title(figure, "Labels of the training pictures, round by round")
    figure.data = curves
    return figure


@drawn
def training_curves(history: pd.DataFrame) -> PaperFigure:
    """Loss per step, one panel per stage: every step thin, the running mean over a twentieth of the steps bold.

    ``history`` has the columns ``stage`` (text), ``step`` (int) and ``loss``, and may have ``series`` (text; several
    curves in a panel, such as seeds). ``DataError`` if a column or all rows are missing, or a step has two losses.
    """
    missing = {"stage", "step", "loss"} - set(history.columns)
    if missing or history.empty:
        raise DataError(
            f"the training history lacks {', '.join(sorted(missing)) or 'rows'}; it needs stage, step and loss"
        )
    history = history.assign(series=history.get("series", ""))
    if history.duplicated(["stage", "series", "step"]).any():
        raise DataError("the training history has two losses for one step; tell the curves apart in a column 'series'")
    stages = list(dict.fromkeys(history["stage"]))
    columns, rows = min(3, len(stages)), -(-len(stages) // 3)
    height = 0.45 + 2.75 * rows
    figure = PaperFigure(figsize=(WIDTH, height))
    for number, stage in enumerate(stages):
        row, column = divmod(number, columns)
        width = (WIDTH - 0.1) / columns
        box = (0.6 + column * width, height - 0.45 - 2.75 * row - 2.2, width - 0.75, 1.95)
        axes = figure.add_axes((box[0] / WIDTH, box[1] / height, box[2] / WIDTH, box[3] / height))
        _draw_losses(axes, history.loc[history["stage"] == stage], str(stage))
    add_title(figure, "Training loss")
    figure.data = history
    return figure


def _rounds_data(scores: pd.DataFrame, main: str) -> pd.DataFrame:
    """One row per curve and stage: variant, metric, stage, mean, std; the paper's values as variant ``PAPER``."""
    paper = [
        {"variant": PAPER, "metric": cell.column, "stage": cell.row[0], "mean": cell.paper, "std": float("nan")}
        for cell in cells(6, main, None)
    ]
    rows = scores[(scores["dataset"] == main) & scores["stage"].isin(list(CLUSTERING_STAGES.values()))]
    variants = dict.fromkeys(variant or "default" for variant in rows["variant"])
    here = [
        {"variant": variant, "metric": heading, "stage": name, "mean": found.mean, "std": found.std}
        for variant in variants
        for heading, metric in METRICS.items()
        for name, stage in CLUSTERING_STAGES.items()
        for found in [
            measure(scores, ScoreKey(dataset=main, split="train", stage=stage, variant=variant, metric=metric))
        ]
    ]
    return pd.DataFrame([*here, *paper]).dropna(subset="mean")


def _draw_rounds(axes: Axes, curves: pd.DataFrame, heading: str) -> None:
    order = list(CLUSTERING_STAGES)
    for number, (variant, curve) in enumerate(curves.groupby("variant", sort=False)):
        paper = variant == PAPER
        shift = 0 if paper else 0.05 * number  # whiskers beside each other, not on top of each other
        axes.errorbar(
            [order.index(stage) + shift for stage in curve["stage"]],
            curve["mean"],
            yerr=curve["std"],
            color=PAPER_INK if paper else SERIES_COLORS[number % len(SERIES_COLORS)],
            linestyle="--" if paper else "-",
            marker="D" if paper else "o",
            markersize=5,
            capsize=3,
            label=_curve_name(str(variant)),
        )
    names = [name.replace("Deep Clustering-", "round ").lower() for name in order]
    axes.set(xticks=range(len(order)), xticklabels=names, ylabel="%", title=heading, ylim=(0, None))
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def _curve_name(variant: str) -> str:
    if variant == PAPER:
        return "paper (Table 6)"
    return "here" if variant == "default" else f"here, {variant.replace('_', ' ')}"


def _draw_losses(axes: Axes, history: pd.DataFrame, stage: str) -> None:
    for color, (name, curve) in zip(SERIES_COLORS * 9, history.groupby("series", sort=False), strict=False):
        window = max(1, len(curve) // 20)
        axes.plot(curve["step"], curve["loss"], color=color, linewidth=0.6, alpha=0.35)
        mean = curve["loss"].rolling(window, min_periods=1, center=True).mean()
        marker = "o" if len(curve) == 1 else ""  # a single step makes no line
        axes.plot(curve["step"], mean, marker=marker, color=color, linewidth=1.8, label=str(name))
    axes.set_title(stage, pad=4)
    axes.set(xlabel="step", ylabel="loss")
    axes.grid(color="#dddddd", linewidth=0.6)
    if len(set(history["series"])) > 1:
        axes.legend(frameon=False)
