"""Colours and type: class colours come from the ``LabelSpace``, everything else from one house style.

The style is applied around drawing and around saving (``house_style``), never to matplotlib's global state.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import matplotlib.style
import numpy as np
from matplotlib.patches import Patch

from wsss_lib.data.label_spaces import UNKNOWN_COLOR
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, LabelSpace

HOUSE_STYLE = {
    "font.family": "DejaVu Sans",  # the font that every matplotlib brings along: the same letters everywhere
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "figure.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "pdf.fonttype": 42,
    "svg.hashsalt": "wsss",  # without it the ids inside an SVG are random
}
INK = "#222222"
PAPER_INK = "#8a8a8a"
"""The colour of the paper's own numbers in every plot."""

SERIES_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#222222", "#56b4e9")
"""Colours of curves and bars, told apart by colour-blind readers too (Okabe and Ito, "Color universal design", 2008).
Label maps have the colours of their data sets, which are not; they come with a legend."""

HEAT_COLORS = "inferno"
VOC_VOID = (224, 224, 192)


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save under the house style whatever the user's settings are; they are back afterwards."""
    with matplotlib.style.context(HOUSE_STYLE, after_reset=True):
        yield


def unknown_color(label_space: LabelSpace) -> tuple[int, int, int]:
    """Black, or VOC's pale void colour where the background class is black already."""
    return UNKNOWN_COLOR if label_space.background is None else VOC_VOID


def colorize(label_map: LabelMap, label_space: LabelSpace) -> Image:
    """The label map in the colours of its label space: uint8, height x width x 3.

    ``DataError`` if the map holds a value that is neither a class index nor ``IGNORE``.
    """
    present_classes([label_map], label_space)
    table = np.zeros((256, 3), np.uint8)
    table[: len(label_space)] = label_space.colors
    table[IGNORE] = unknown_color(label_space)
    return table[label_map]


def present_classes(label_maps: Iterable[LabelMap], label_space: LabelSpace) -> list[int]:
    """Class indices that occur in any of the maps, increasing; ``DataError`` for a value outside the label space."""
    values = sorted({int(value) for label_map in label_maps for value in np.unique(label_map)} - {IGNORE})
    if values and values[-1] >= len(label_space):
        raise DataError(
            f"a label map holds {values[-1]}, but {label_space.name} has the classes 0 to {len(label_space) - 1}"
            f" (and {IGNORE} for unknown); draw it with the label space it was made for"
        )
    return values


def fraction(color: Sequence[int]) -> tuple[float, float, float]:
    """0..255 to matplotlib's 0..1."""
    red, green, blue = (channel / 255 for channel in color)
    return red, green, blue


def readable_on(color: Sequence[int]) -> str:
    """Black or white, whichever can be read on ``color`` (0..255; Rec. 601 luma)."""
    red, green, blue = color
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def legend_handles(label_space: LabelSpace, classes: Iterable[int], *, unknown: bool = False) -> list[Patch]:
    """One coloured patch per class index, in the given order, and one for unknown pixels if asked."""
    colored = [(label_space.classes[index], label_space.colors[index]) for index in classes]
    colored += [("unknown", unknown_color(label_space))] if unknown else []
    return [Patch(facecolor=fraction(color), edgecolor=INK, linewidth=0.4, label=name) for name, color in colored]
