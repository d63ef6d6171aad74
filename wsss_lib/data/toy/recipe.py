"""What determines a toy data set, down to the last pixel: its kind, label space, split, seed and size.

Picture ``i`` depends on the recipe and on ``i`` alone, never on how many pictures are drawn or in which order.
"""

import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, TOY_SCENES, did_you_mean
from wsss_lib.data.tags import tags_from_label_map
from wsss_lib.data.toy.shapes import VOID
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace, SceneSet, SettingsError

Drawn = tuple[Image, LabelMap]

GENERATOR_VERSION = 1
"""Part of every fingerprint: raise it with every change that moves a pixel, or caches keep the old pictures."""

SPLITS = ("train", "val", "test")
SMALLEST_SIDE = 32

_CAMVID_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "Sky": ("sky",),
    "Building": ("building", "wall"),
    "Pole": ("pole",),
    "Road": ("road",),
    "Pavement": ("sidewalk",),
    "Tree": ("vegetation", "terrain"),
    "SignSymbol": ("traffic sign", "traffic light"),
    "Fence": ("fence",),
    "Car": ("car", "truck", "bus", "train"),
    "Pedestrian": ("person",),
    "Bicyclist": ("rider", "bicycle", "motorcycle"),
}
"""Which drawn classes CamVid's 11 classes hold, after SegNet's grouping of the 32 original ones."""

_SCENERY = ("background", "sky", "terrain", "sidewalk", "road", "wall", "vegetation", VOID)

MEMBERS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    CITYSCAPES.name: {name: (name,) for name in CITYSCAPES.classes},
    CAMVID.name: _CAMVID_MEMBERS,
    TOY_SCENES.name: {name: (name,) for name in TOY_SCENES.classes} | {"background": _SCENERY},
}
"""Per label space: the classes, and the names under which the generator draws what belongs to them."""


def class_indices(label_space: LabelSpace) -> dict[str, int]:
    """Index in the label space of every name that the generator draws; names without a class are missing."""
    members = MEMBERS[label_space.name]
    return {drawn: label_space.index(name) for name, names in members.items() for drawn in names}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a toy data set depends on; ``SettingsError`` for what cannot be drawn.

    ``size`` is (width, height) in pixels; ``spaces`` are the label spaces that this kind of picture knows.
    """

    kind: str
    label_space: LabelSpace
    split: str
    seed: int
    count: int
    size: tuple[int, int]
    spaces: tuple[LabelSpace, ...]

    def __post_init__(self) -> None:
        known = [space.name for space in self.spaces]
        if self.label_space.name not in known:
            raise SettingsError(
                f"toy {self.kind} cannot be drawn in label space {self.label_space.name!r}; use {' or '.join(known)}"
            )
        if self.split not in SPLITS:
            hint = did_you_mean(self.split, SPLITS)
            raise SettingsError(
                f"{self.split!r} is not a split of toy {self.kind}{hint}; there are {', '.join(SPLITS)}"
            )
        if self.count < 1:
            raise SettingsError(f"toy {self.kind} of {self.count} pictures cannot be drawn; ask for at least 1")
        if self.seed < 0:
            raise SettingsError(f"the seed of toy {self.kind} is {self.seed}; give a whole number from 0")
        if min(self.size) < SMALLEST_SIDE:
            raise SettingsError(
                f"toy {self.kind} of {self.size[0]} x {self.size[1]} pixels are too small to show anything; "
                f"give at least {SMALLEST_SIDE} x {SMALLEST_SIDE}"
            )

    def rng(self, index: int, *purpose: int) -> np.random.Generator:
        """The chance of picture ``index``; ``purpose``, from 1, opens further independent streams for the same picture.

        (0 would open the first one again: NumPy fills up with zeros.)
        """
        source = zlib.crc32(f"{self.kind}/{self.split}".encode())
        return np.random.default_rng(np.random.SeedSequence((source, self.seed, index, *purpose)))

    def fingerprint(self, *more: object) -> str:
        """Hash of the recipe, of ``more`` parameters and of the generator's version."""
        parts = (
            GENERATOR_VERSION,
            self.kind,
            self.label_space.name,
            self.split,
            self.seed,
            self.count,
            self.size,
            *more,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


def drawn_set(recipe: Recipe, draw: Callable[[int], Drawn], minimum_tag_share: float) -> SceneSet:
    """A ``SceneSet`` of all pictures of a recipe, drawn once and kept in memory as bytes."""
    width, height = recipe.size
    images = np.empty((recipe.count, height, width, 3), np.uint8)
    label_maps = np.empty((recipe.count, height, width), np.uint8)
    for index in range(recipe.count):
        images[index], label_maps[index] = draw(index)
    space = recipe.label_space
    return SceneSet(
        label_space=space,
        split=recipe.split,
        names=tuple(f"toy_{recipe.kind}_{recipe.split}_{index:05d}" for index in range(recipe.count)),
        image=lambda index: images[index].copy(),
        label_map=lambda index: label_maps[index].copy(),
        tags=np.stack([tags_from_label_map(label_map, len(space), minimum_tag_share) for label_map in label_maps]),
        fingerprint=recipe.fingerprint(minimum_tag_share),
    )
