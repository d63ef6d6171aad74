"""The sheet that figures are drawn on: a grid of pictures laid out in inches, arrows, legends, and the saved files.

Figures are plain objects: no pyplot, so no global list of open figures that grows in a notebook. A ``PaperFigure``
brings its own PNG for Jupyter, with or without matplotlib's inline mode: as the last expression of a cell it is shown
once.
"""

import hashlib
import io
import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence, Sized
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Patch
from matplotlib.path import Path as Path2D

from wsss_lib.data.disk import write_whole
from wsss_lib.reporting.palette import INK, house_style
from wsss_lib.vocabulary import DataError, Image

WIDTH = 10.0
"""Inches; at matplotlib's 100 dots per inch a figure is 1000 pixels wide on a screen."""

LINE = 0.21
"""Height of a line of legend or title, inches."""

LEGEND_COLUMNS = 7
LegendHandle = Artist | Container
"""What has a label and can stand in a legend."""

REMARK_LETTERS = 90
SUBTITLE_LETTERS = 125
_METADATA: dict[str, dict[str, None]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}
_LARGEST_LIST = 4096

Parameters = ParamSpec("Parameters")


class PaperFigure(Figure):
    """A matplotlib figure that shows itself in Jupyter and carries the ``data`` that it shows."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        FigureCanvasAgg(self)
        self.data: Mapping[str, Any] | pd.DataFrame = {}

    def _repr_png_(self) -> bytes:
        return rendered(self, "png", dpi=100)


def drawn(draw: Callable[Parameters, PaperFigure]) -> Callable[Parameters, PaperFigure]:
    """Decorator: draw under the house style."""

    @wraps(draw)
    def styled(*args: Parameters.args, **kwargs: Parameters.kwargs) -> PaperFigure:
        with house_style():
            return draw(*args, **kwargs)

    return styled


def rendered(figure: Figure, kind: str, dpi: int = 150) -> bytes:
    """The figure as the bytes of a ``"svg"``, ``"png"`` or ``"pdf"`` file: equal figures give equal bytes."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=_METADATA[kind])
    return buffer.getvalue()


def save_figure(
    figure: PaperFigure, folder: Path, name: str, data: Mapping[str, Any] | pd.DataFrame | None = None
) -> list[Path]:
    """Write ``name.svg``, ``.png``, ``.pdf`` and ``.json`` into ``folder`` and return their paths.

    The JSON holds the data behind the figure: ``data``, or what the figure itself carries (``figure.data``). Arrays up
    to 4,096 numbers are written out; of larger ones shape, dtype and SHA-256. The same figure gives the same bytes
    with the same matplotlib. ``DataError`` if the folder cannot be written.
    """
    contents = {f".{kind}": rendered(figure, kind) for kind in _METADATA}
    contents[".json"] = (json.dumps(_plain(figure.data if data is None else data), indent=1) + "\n").encode()
    return [write_whole(Path(folder) / f"{name}{suffix}", content) for suffix, content in contents.items()]


def picture_grid(
    rows: int,
    columns: int,
    shape: tuple[int, ...],
    *,
    title: str,
    subtitle: str = "",
    legend: Sequence[Patch] = (),
    left: float = 0.1,
    gap: float = 0.08,
    over: float = 0.26,
    between: float = 0.26,
    foot: float = 0.0,
) -> tuple[PaperFigure, np.ndarray]:
    """A figure with rows x columns axes for pictures of ``shape`` (height, width, ...), legend below, title above.

    All sizes are inches: ``left`` margin for row names, ``gap`` between columns, ``over`` the first row and
    ``between`` rows for titles, ``foot`` empty below the pictures for what else stands there. The
    figure's height follows from the pictures' shape, so nothing is stretched and no space is empty. Returns the figure
    and an object array rows x columns of axes, all blank.
    """
    width = (WIDTH - left - 0.1 - gap * (columns - 1)) / columns
    height = width * shape[0] / shape[1]
    below = legend_height(legend) + foot
    top = title_height(subtitle) + over
    total = top + rows * height + (rows - 1) * between + below + 0.06
    figure = PaperFigure(figsize=(WIDTH, total))
    axes = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        bottom = total - top - (row + 1) * height - row * between
        box = (left + column * (width + gap)) / WIDTH, bottom / total, width / WIDTH, height / total
        axes[row, column] = blank(figure.add_axes(box))
    add_title(figure, title, subtitle)
    add_legend(figure, legend)
    return figure, axes


def blank(axes: Axes) -> Axes:
    """Axes without ticks, frame or background: a place for a picture or for nothing."""
    axes.set_axis_off()
    return axes


def show(axes: Axes, picture: np.ndarray, title: str = "") -> None:
    """A picture (height x width x 3, uint8) filling its axes, thinly framed, with a title above."""
    axes.imshow(picture, aspect="auto")
    axes.set_axis_on()
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.5, color=INK)
    axes.set_title(title, pad=4)


def add_title(figure: Figure, title: str, subtitle: str = "") -> None:
    """The figure's title at its upper left corner; below it in small what tells it from others of the same title."""
    height = figure.get_figheight()
    figure.text(0.1 / WIDTH, 1 - 0.12 / height, title, fontsize=12, fontweight="bold", va="top", color=INK)
    if subtitle:
        lines = _subtitle_lines(subtitle)
        figure.text(0.1 / WIDTH, 1 - 0.37 / height, lines, fontsize=9, va="top", color=INK, linespacing=1.25)


def title_height(subtitle: str = "") -> float:
    """Inches that ``add_title`` needs at the upper edge."""
    return 0.36 + (LINE * (1 + _subtitle_lines(subtitle).count("\n")) if subtitle else 0)


def _subtitle_lines(subtitle: str) -> str:
    return textwrap.fill(subtitle, SUBTITLE_LETTERS)


def legend_height(handles: Sized, columns: int = LEGEND_COLUMNS) -> float:
    """Inches that ``add_legend`` needs at the lower edge."""
    return LINE * math.ceil(len(handles) / columns) + (0.1 if handles else 0.05)


def add_legend(figure: Figure, handles: Sequence[LegendHandle], columns: int = LEGEND_COLUMNS) -> None:
    """A legend without a frame along the lower edge, read row by row; ``columns`` is the most names in a row."""
    if not handles:
        return
    columns = min(columns, len(handles))
    figure.legend(
        handles=_by_rows(list(handles), columns),
        loc="lower center",
        bbox_to_anchor=(0.5, 0.02 / figure.get_figheight()),
        ncols=columns,
        frameon=False,
        borderpad=0.1,
        handlelength=1.3,
        columnspacing=1.4,
        labelspacing=0.45,
    )


def add_remark(figure: Figure, text: str) -> None:
    """A remark at the figure's upper right corner, on the line of the title; one or two lines beside a short title."""
    lines = textwrap.fill(text, REMARK_LETTERS)
    figure.text(1 - 0.1 / WIDTH, 1 - 0.15 / figure.get_figheight(), lines, ha="right", va="top", fontsize=9, color=INK)


def name_row(axes: Axes, name: str, height: float = 0.5) -> None:
    """The name of a row of pictures, upwards at the left of its first picture, centred at ``height`` (0..1) of it."""
    axes.text(-0.03, height, name, transform=axes.transAxes, rotation=90, ha="right", va="center", color=INK)


def arrow(figure: Figure, points: Sequence[tuple[float, float]]) -> None:
    """A line through ``points`` (inches from the figure's lower left corner) that ends in an arrow head."""
    scale = np.array([figure.get_figwidth(), figure.get_figheight()])
    figure.add_artist(
        FancyArrowPatch(
            path=Path2D(np.array(points) / scale),
            transform=figure.transFigure,
            arrowstyle="-|>",
            mutation_scale=13,
            linewidth=1.6,
            facecolor=INK,
            edgecolor=INK,
            fill=False,
            joinstyle="miter",
        )
    )


def require_same_size(image: Image, **maps: np.ndarray) -> None:
    """``DataError`` names the first map whose last two axes are not the picture's height and width."""
    for name, array in maps.items():
        if array.shape[-2:] != image.shape[:2]:
            raise DataError(
                f"{name} is {array.shape[-2:]} but its picture is {image.shape[:2]}; give maps of picture size"
            )


def _by_rows(handles: list[LegendHandle], columns: int) -> list[LegendHandle]:
    """Matplotlib fills legends column by column: the order in which they then read row by row."""
    return [handle for column in range(columns) for handle in handles[column::columns]]


def _plain(value: Any) -> Any:
    """Anything a figure shows as JSON types; numbers that JSON does not know (``nan``) become ``null``."""
    if isinstance(value, pd.DataFrame):
        return {"columns": list(value.columns), "rows": _plain(value.to_numpy(dtype=object).tolist())}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist()) if value.size <= _LARGEST_LIST else _described(value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _described(array: np.ndarray) -> dict[str, Any]:
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": digest}
