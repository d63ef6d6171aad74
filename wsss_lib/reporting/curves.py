"""Curves over training steps and over rounds."""

from collections.abc import Mapping
from itertools import cycle
from textwrap import fill

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from wsss_lib.reporting.canvas import WIDTH, PaperFigure, add_legend, add_title, drawn, legend_height, title_height
from wsss_lib.reporting.cells import CLUSTERING_STAGES, METRICS, cells, table_data
from wsss_lib.reporting.measurements import ROLES, ScoreKey, checked, main_dataset, measure, played_by
from wsss_lib.reporting.palette import PAPER_INK, SERIES_COLORS
from wsss_lib.vocabulary import DataError

PAPER = "the paper"
"""The name of the paper's own curve among the variants."""

NAMES_IN_A_ROW = 4
"""Of the legend of rounds: as many as fit, where each is as long as ``plus without geometry``."""

LETTERS_PER_INCH = 12
"""Of a panel's title, so that it stays over its panel."""

_OUR_PANEL, _PAPER_PANEL = 2.3, 0.85  # inches
_APART = 0.06  # of the distance from round to round
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""One for each of our curves, so that they can be told apart without colour."""


@drawn
def rounds_curve(scores: pd.DataFrame) -> PaperFigure:
    """Class and category mIoU from the seeds to the last round, one curve per variant; below them the paper's Table 6.

    ``scores`` are the tidy scores; the train split of the main data set is drawn. Our axes are cut to our curves, and
    the paper's curve, which is of other data and may lie far away, has axes of its own. Whiskers are one standard
    deviation over seeds. ``DataError`` if the scores hold neither Cityscapes nor CamVid, or no round.
    """
    scores = checked(scores)
    main = main_dataset(scores)
    if main is None or (rounds := _rounds_rows(scores, main)).empty:
        raise DataError(
            "the scores hold no rounds of Cityscapes or CamVid, so there is nothing to draw; run a profile first"
        )
    curves = _rounds_data(scores, main)
    subtitle = f"{played_by(scores, main)}; train; {_counted_seeds(rounds)}"
    below = 0.45 + legend_height(list(curves["variant"].unique()), NAMES_IN_A_ROW)
    height = below + _PAPER_PANEL + 0.25 + _OUR_PANEL + 0.24 + title_height(subtitle)
    figure = PaperFigure(figsize=(WIDTH, height))
    bottoms = (below + _PAPER_PANEL + 0.25, below)
    for left, heading in zip((0.075, 0.575), METRICS, strict=True):
        upper, lower = (
            figure.add_axes((left, bottom / height, 0.41, tall / height))
            for bottom, tall in zip(bottoms, (_OUR_PANEL, _PAPER_PANEL), strict=True)
        )
        _draw_rounds(upper, lower, curves.loc[curves["metric"] == heading], heading)
    drawn_curves = [axes.get_legend_handles_labels()[0] for axes in figure.axes[:2]]
    add_legend(figure, [handle for handles in drawn_curves for handle in handles], NAMES_IN_A_ROW)
    add_title(figure, "Labels of the training pictures, round by round", subtitle)
    figure.data = curves
    return figure


@drawn
def training_curves(history: pd.DataFrame, title: str = "Training loss", subtitle: str = "") -> PaperFigure:
    """Loss per step, one panel per stage: every step thin, the running mean over about a twentieth of them bold.

    ``history`` has the columns ``stage`` (text), ``step`` (int) and ``loss``, and may have ``series`` (text; several
    curves in a panel, such as seeds): one colour each, named below the panels. ``DataError`` if a column or all rows
    are missing, or a step has two losses.
    """
    missing = {"stage", "step", "loss"} - set(history.columns)
    if missing or history.empty:
        raise DataError(
            f"the training history lacks {', '.join(sorted(missing)) or 'rows'}; it needs stage, step and loss"
        )
    history = history.assign(series=history.get("series", ""))
    if history.duplicated(["stage", "series", "step"]).any():
        raise DataError("the training history has two losses for one step; tell the curves apart in a column 'series'")
    stages, series = (list(dict.fromkeys(history[column].astype(str))) for column in ("stage", "series"))
    colors = dict(zip(series, cycle(SERIES_COLORS), strict=False))
    named = [name for name in series if name]
    columns, rows = min(3, len(stages)), -(-len(stages) // 3)
    top, below = title_height(subtitle) + 0.09, legend_height(named)
    height = top + 2.75 * rows + below
    figure = PaperFigure(figsize=(WIDTH, height))
    for number, stage in enumerate(stages):
        row, column = divmod(number, columns)
        width = (WIDTH - 0.1) / columns
        box = (0.72 + column * width, height - top - 2.75 * row - 2.2, width - 0.87, 1.9)
        axes = figure.add_axes((box[0] / WIDTH, box[1] / height, box[2] / WIDTH, box[3] / height))
        _draw_losses(axes, history.loc[history["stage"] == stage], colors)
        axes.set_title(fill(stage, int(box[2] * LETTERS_PER_INCH)), pad=4)
    add_legend(figure, [Line2D([], [], color=colors[name], linewidth=1.8, label=name) for name in named])
    add_title(figure, title, subtitle)
    figure.data = history
    return figure


def _rounds_data(scores: pd.DataFrame, main: str) -> pd.DataFrame:
    """One row per curve and stage: variant, metric, stage, mean, std; the paper's values as variant ``PAPER``.

    A variant without seeds of its own shares those of the default, and so its curve begins where they are.
    """
    paper = [
        {"variant": PAPER, "metric": cell.column, "stage": cell.row[0], "mean": cell.paper, "std": float("nan")}
        for cell in cells(6, main, None)
    ]
    rows = _rounds_rows(scores, main)
    seeded = set(rows.loc[rows["stage"] == "seeds", "variant"])
    variants = dict.fromkeys(variant or "default" for variant in rows["variant"])
    here = [
        {"variant": variant, "metric": heading, "stage": name, "mean": found.mean, "std": found.std}
        for variant in variants
        for heading, metric in METRICS.items()
        for name, stage in CLUSTERING_STAGES.items()
        for found in [
            measure(scores, ScoreKey(dataset=main, split="train", stage=stage, variant=of, metric=metric))
            for of in ["default" if stage == "seeds" and variant not in seeded else variant]
        ]
    ]
    return pd.DataFrame([*here, *paper]).dropna(subset="mean")


def _rounds_rows(scores: pd.DataFrame, main: str) -> pd.DataFrame:
    return scores.loc[(scores["dataset"] == main) & scores["stage"].isin(list(CLUSTERING_STAGES.values()))]


def _counted_seeds(rows: pd.DataFrame) -> str:
    """How many seeds the means are over, in words; what whiskers are, if there are any."""
    counts = sorted({int(count) for count in rows.groupby(["variant", "stage"], observed=True)["seed"].nunique()})
    if counts == [1]:
        return "one seed"
    span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"mean of {span} seeds, whiskers: one standard deviation"


def _draw_rounds(upper: Axes, lower: Axes, curves: pd.DataFrame, heading: str) -> None:
    """Our curves above, beside each other so that whiskers can be told apart; the paper's below."""
    ours = list(dict.fromkeys(curves.loc[curves["variant"] != PAPER, "variant"]))
    for number, variant in enumerate(ours):
        shift = _APART * (number - (len(ours) - 1) / 2)
        color, marker = SERIES_COLORS[number % len(SERIES_COLORS)], _MARKERS[number % len(_MARKERS)]
        _draw_curve(upper, curves.loc[curves["variant"] == variant], shift, color=color, linestyle="-", marker=marker)
    paper = curves.loc[curves["variant"] == PAPER]
    _draw_curve(lower, paper, 0, color=PAPER_INK, linestyle="--", marker="D")
    names = [name.replace("Deep Clustering-", "round ").lower() for name in CLUSTERING_STAGES]
    for axes in (upper, lower):
        axes.set(xticks=range(len(names)), xlim=(-0.35, len(names) - 0.65), ylabel="%")
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    upper.set(title=f"{heading} (axis cut to these curves)", xticklabels=[])
    lower.set(xticklabels=names, ylim=(0, 1.15 * paper["mean"].max()))


def _draw_curve(axes: Axes, curve: pd.DataFrame, shift: float, color: str, linestyle: str, marker: str) -> None:
    order = list(CLUSTERING_STAGES)
    axes.errorbar(
        [order.index(stage) + shift for stage in curve["stage"]],
        curve["mean"],
        yerr=curve["std"],
        markersize=5,
        capsize=3,
        label=_curve_name(str(curve["variant"].iloc[0])),
        color=color,
        linestyle=linestyle,
        marker=marker,
    )


def _curve_name(variant: str) -> str:
    return f"paper ({ROLES[table_data(6)]})" if variant == PAPER else variant_name(variant)


def variant_name(variant: str) -> str:
    """A variant as readers see it: ``"no_center_loss"`` is ``"no centre loss"``."""
    return variant.replace("_", " ").replace("center", "centre")


def _draw_losses(axes: Axes, history: pd.DataFrame, colors: Mapping[str, str]) -> None:
    """Every loss, and over it its running mean, where a twentieth of the steps is more than one.

    Where the window would reach past the first or last step there is no mean: one of a window that is cut at one side
    would start below a loss that falls.
    """
    for name, curve in history.groupby("series", sort=False):
        color, half = colors[str(name)], len(curve) // 40
        marker = "o" if len(curve) == 1 else ""  # a single step makes no line
        width, alpha = (0.6, 0.35) if half else (1.2, None)
        axes.plot(curve["step"], curve["loss"], color=color, marker=marker, linewidth=width, alpha=alpha)
        if half:
            mean = curve["loss"].rolling(2 * half + 1, center=True).mean()
            axes.plot(curve["step"], mean, color=color, linewidth=1.8)
    axes.set(xlabel="step", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
