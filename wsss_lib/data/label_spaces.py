"""The label spaces of every data set: class names, official colours, categories.

Sources: Cityscapes from cityscapesScripts ``helpers/labels.py`` (trainIds 0..18), CamVid from the SegNet tutorial
(11 classes, colours of its demo script), VOC from the development kit, MSRC-21 from version 2 of its labels.
"""

import difflib
from collections.abc import Iterable

from wsss_lib.vocabulary import LabelSpace, SettingsError

Color = tuple[int, int, int]

UNKNOWN_COLOR: Color = (0, 0, 0)
"""How a pixel of unknown class (``IGNORE``) is drawn; no class of a driving data set is black."""

CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""The label id of every trainId, in order: what ``*_labelIds.png`` stores and the server expects."""


def voc_palette(count: int) -> tuple[Color, ...]:
    """First ``count`` colours of the VOC palette: bits 3k, 3k+1, 3k+2 of the index become bit 7-k of red, green, blue.

    Source: ``VOClabelcolormap.m`` of the VOC development kit.
    """

    def channel(index: int, offset: int) -> int:
        return sum(((index >> (3 * k + offset)) & 1) << (7 - k) for k in range(8))

    return tuple((channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(count))


_DISTINCT: tuple[Color, ...] = (
    (0, 114, 178), (213, 94, 0), (0, 158, 115), (240, 228, 66), (204, 121, 167), (86, 180, 233), (0, 0, 255),
    (170, 255, 170), (0, 0, 85), (85, 43, 0), (213, 255, 255), (0, 85, 213), (85, 43, 85), (0, 213, 85), (0, 0, 170),
    (85, 43, 43),
)  # fmt: skip
"""The first six are Okabe and Ito's; every other one is that of a coarse grid which differs most from those before it
and from black, whichever of the three kinds of cones one has."""


def distinct_colors(count: int) -> tuple[Color, ...]:
    """Colours for classes that have none of their own: 16 that colour-blind readers can tell apart, then VOC's."""
    others = [color for color in voc_palette(256)[1:] if color not in _DISTINCT]
    return (*_DISTINCT, *others)[:count]


def _space(
    name: str,
    table: dict[str, Color],
    *,
    categories: dict[str, tuple[str, ...]] | None = None,
    paper_columns: dict[str, str] | None = None,
    background: str | None = None,
) -> LabelSpace:
    """A label space from class names: ``table`` maps names to colours, in index order."""
    classes = tuple(table)
    return LabelSpace(
        name=name,
        classes=classes,
        colors=tuple(table.values()),
        categories={
            category: tuple(classes.index(member) for member in members)
            for category, members in (categories or {}).items()
        },
        paper_columns=paper_columns or {},
        background=None if background is None else classes.index(background),
    )


_CITYSCAPES_COLORS: dict[str, Color] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}

CITYSCAPES = _space(
    "cityscapes",
    _CITYSCAPES_COLORS,
    categories={
        "flat": ("road", "sidewalk"),
        "construction": ("building", "wall", "fence"),
        "object": ("pole", "traffic light", "traffic sign"),
        "nature": ("vegetation", "terrain"),
        "sky": ("sky",),
        "human": ("person", "rider"),
        "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
    },
    paper_columns={name: name.replace(" ", "_") for name in _CITYSCAPES_COLORS},
)
"""The 19 evaluated classes, indexed by trainId, and the 7 evaluated categories."""

CAMVID = _space(
    "camvid",
    {
        "Sky": (128, 128, 128),
        "Building": (128, 0, 0),
        "Pole": (192, 192, 128),
        "Road": (128, 64, 128),
        "Pavement": (60, 40, 222),
        "Tree": (128, 128, 0),
        "SignSymbol": (192, 128, 128),
        "Fence": (64, 64, 128),
        "Car": (64, 0, 128),
        "Pedestrian": (64, 64, 0),
        "Bicyclist": (0, 128, 192),
    },
    categories={
        "flat": ("Road", "Pavement"),
        "construction": ("Building", "Fence"),
        "object": ("Pole", "SignSymbol"),
        "nature": ("Tree",),
        "sky": ("Sky",),
        "human": ("Pedestrian", "Bicyclist"),
        "vehicle": ("Car",),
    },
    paper_columns={
        "Sky": "sky",
        "Building": "building",
        "Pole": "pole",
        "Road": "road",
        "Pavement": "sidewalk",
        "Tree": "vegetation",
        "Fence": "fence",
        "Car": "car",
        "Pedestrian": "person",
    },
)
"""SegNet's 11 classes. CamVid has no categories of its own: these follow Cityscapes by analogy.

The paper has no number for the two that join what Cityscapes scores apart, and no part of which is nearly all:
Bicyclist is rider, bicycle and motorcycle, SignSymbol signs and traffic lights. Building with its few walls or Car with
its few buses have one.
"""

_MSRC21_CLASSES = (
    *("building", "grass", "tree", "cow", "horse", "sheep", "sky", "mountain", "aeroplane", "water", "face", "car"),
    *("bicycle", "flower", "sign", "bird", "book", "chair", "road", "cat", "dog", "body", "boat"),
)

# Version 2 follows the VOC palette up to "chair" and goes its own way after it.
_MSRC21_COLORS = (
    *voc_palette(19)[1:],
    *((128, 64, 128), (0, 192, 128), (128, 192, 128), (64, 64, 0), (192, 64, 0)),
)

MSRC21 = _space("msrc21", dict(zip(_MSRC21_CLASSES, _MSRC21_COLORS, strict=True)))
"""The 23 classes of MSRC-21 v2 (horse and mountain, rare, included): index = file value - 1, void is ``IGNORE``."""

_VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

VOC = _space("voc", dict(zip(_VOC_CLASSES, voc_palette(21), strict=True)), background="background")
"""PASCAL VOC: background and 20 objects."""

TOY_SCENES = _space(
    "toy_scenes",
    {
        "background": (0, 0, 0),
        "car": (0, 0, 142),
        "bus": (0, 110, 160),
        "bicycle": (160, 40, 60),
        "tree": (107, 142, 35),
        "house": (150, 90, 50),
        "person": (220, 20, 60),
        "sign": (220, 220, 0),
        "ball": (250, 140, 30),
    },
    background="background",
)
"""One to three objects over a background: the drawn stand-in for VOC."""

LABEL_SPACES: dict[str, LabelSpace] = {space.name: space for space in (CITYSCAPES, CAMVID, MSRC21, VOC, TOY_SCENES)}


def label_space(name: str) -> LabelSpace:
    """The label space called ``name``; ``SettingsError`` lists the known names and suggests the nearest."""
    if name in LABEL_SPACES:
        return LABEL_SPACES[name]
    raise SettingsError(
        f"{name!r} is not a label space{did_you_mean(name, LABEL_SPACES)}; known are {', '.join(LABEL_SPACES)}"
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint ``" (did you mean 'car'?)"`` for the known word nearest to ``word``, case aside, or nothing."""
    by_lower_case = {candidate.lower(): candidate for candidate in known}
    nearest = difflib.get_close_matches(word.lower(), by_lower_case, n=1)
    return f" (did you mean {by_lower_case[nearest[0]]!r}?)" if nearest else ""
