"""The words every floor shares: label spaces, picture sets, array types and errors.

This file imports nothing of ours, so every other module may import it.

Axis order and ranges, used everywhere under these names:

============  =======================================  ==========================================
name          type                                     meaning
============  =======================================  ==========================================
``image``     uint8, height x width x 3                RGB, 0..255
``label_map`` uint8, height x width                    class index, ``IGNORE`` (255) = unknown
``regions``   int32, height x width                    superpixel ids 0..N-1, contiguous
``tags``      bool, class                              which classes are somewhere in the picture
``cam``       float32, class x height x width          heat, >= 0, each tagged class has maximum 1
``logits``    float32, (batch x) class x height x width  unnormalised log-probabilities
============  =======================================  ==========================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int32, UInt8

Image = UInt8[np.ndarray, "height width 3"]
LabelMap = UInt8[np.ndarray, "height width"]
RegionMap = Int32[np.ndarray, "height width"]
Tags = Bool[np.ndarray, "class"]
TagTable = Bool[np.ndarray, "picture class"]

IGNORE = 255
"""The label of a pixel (or a superpixel) whose class is not known: never trained on, never counted."""

PAPER_NETWORK = "deeplab_largefov"
"""The paper's default segmentation network (section 3.3), which is meant where no network is named.

Here also the one that carries its head on another backbone.
"""


class WsssError(Exception):
    """Base of all errors raised on purpose: one sentence with what, where and what to do."""


class DataError(WsssError):
    """A picture, label map, tag or weights file that is missing, damaged or does not fit."""


class NoSpaceError(WsssError):
    """The disk is full: whatever else is tried will fail as well."""


class SettingsError(WsssError, ValueError):
    """A parameter, profile or name outside what is allowed."""


@dataclass(frozen=True, kw_only=True)
class LabelSpace:
    """The classes of a data set, their colours, and how they group into categories.

    ``categories`` maps a category name to class indices; every class is in exactly one category, or the mapping is
    empty. ``paper_columns`` maps a class name to the class name that the paper's tables use for it, if they do.
    ``background`` is the index of the background class where the data set has one (VOC, not driving scenes).
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    categories: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    paper_columns: Mapping[str, str] = field(default_factory=dict)
    background: int | None = None

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.colors):
            raise SettingsError(
                f"label space {self.name!r} has {len(self.classes)} classes, {len(self.colors)} colours; give one each"
            )
        grouped = sorted(index for members in self.categories.values() for index in members)
        if self.categories and grouped != list(range(len(self.classes))):
            raise SettingsError(f"the categories of label space {self.name!r} must hold every class exactly once")

    def __len__(self) -> int:
        return len(self.classes)

    def index(self, class_name: str) -> int:
        """Index of a class; ``SettingsError`` names the known classes otherwise."""
        try:
            return self.classes.index(class_name)
        except ValueError:
            raise SettingsError(
                f"{class_name!r} is not a class of {self.name}; its classes are {', '.join(self.classes)}"
            ) from None


@dataclass(frozen=True, kw_only=True)
class SceneSet:
    """Pictures with tags, and label maps where there are any: one split of a data set.

    ``label_map`` is ``None`` where the split has no labels; ``tags`` is ``None`` where it has no tags either.
    Reading is lazy: ``image(i)`` and ``label_map(i)`` read or draw picture ``i`` on every call.
    ``fingerprint`` changes whenever any picture or tag of the set changes, and any label map that tags or the truth are
    learnt from; ``measured_with`` when label maps change that are only measured with.
    """

    label_space: LabelSpace
    split: str
    names: tuple[str, ...]
    image: Callable[[int], Image]
    label_map: Callable[[int], LabelMap] | None
    tags: TagTable | None
    fingerprint: str
    measured_with: str = ""

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class SimpleSet:
    """Pictures with one class each (the paper's ImageNet pictures).

    ``classes`` are the simple classes (more may exist than the target has); ``labels[i]`` indexes them.
    ``targets[s]`` is the target label-space index that simple class ``s`` stands for, or ``IGNORE`` for a class that
    only absorbs what is none of the targets.
    """

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    targets: tuple[int, ...]
    label_space: LabelSpace
    image: Callable[[int], Image]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)
