"""Short toy drives: a camera that moves through a street with moving traffic, and the true optical flow."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32

from wsss_lib.data.toy.camera import NEAR, Camera
from wsss_lib.data.toy.canvas import View
from wsss_lib.data.toy.light import develop
from wsss_lib.data.toy.recipe import class_indices
from wsss_lib.data.toy.streets import paint_street, sample_street, street_recipe
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace, SettingsError

Flow = Float32[np.ndarray, "height width 2"]
"""Where each pixel of a frame moves in the next one: (columns to the right, rows down)."""

SPEEDS = (0.25, 0.9)
"""Slowest and fastest drive, metres per frame."""


@dataclass(frozen=True, kw_only=True)
class ToySequence:
    """Consecutive frames of one drive. ``flows[t]`` leads from frame ``t`` to frame ``t + 1``; there is one fewer.

    A pixel's flow is where its point of the world goes, also if something hides that point in the next frame.
    """

    label_space: LabelSpace
    split: str
    name: str
    images: tuple[Image, ...]
    label_maps: tuple[LabelMap, ...]
    flows: tuple[Flow, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.images)


def true_flow(view: View, camera: Camera, speed: float) -> Flow:
    """Optical flow of a view when the camera goes ``speed`` metres ahead and everything moves by its velocity.

    A point at depth Z on the ray (x, y, 1) is at (x Z, y Z, Z); after the step at (x Z + vx, y Z, Z + vz - speed). The
    sky is at infinity and stays.
    """
    across, up = camera.rays()
    inverse = view.inverse_depth
    # Depth and displacement in units of the old depth, so that the sky (inverse depth 0) needs no special case.
    step = (view.velocity - np.array([0.0, speed], np.float32)) * inverse[..., None]
    depth = np.maximum(1 + step[..., 1], NEAR * inverse)
    right = (across + step[..., 0]) / depth - across
    down = up - up / depth
    return np.stack([right, down], axis=-1).astype(np.float32) * np.float32(camera.focal)


def next_street_frame(
    label_space: LabelSpace, split: str, *, seed: int = 0, size: tuple[int, int] | None = None
) -> Callable[[int], Image]:
    """For picture ``i`` of ``toy_streets`` with the same arguments: the next frame of that street, without labels.

    The street is at frame 0 of a drive, at a speed of its own. Drawn anew on every call.
    """
    recipe = street_recipe(label_space, split, seed, 1, size)
    indices = class_indices(label_space)

    def draw(index: int) -> Image:
        street, speed = sample_street(recipe.rng(index), split, recipe.size), recipe.rng(index, 3).uniform(*SPEEDS)
        view = paint_street(street, indices, frame=1, speed=speed)
        return develop(view.color, view.inverse_depth, street.light, recipe.rng(index, 2))

    return draw


def toy_sequence(
    label_space: LabelSpace,
    split: str,
    *,
    seed: int = 0,
    drive: int = 0,
    length: int = 8,
    size: tuple[int, int] | None = None,
) -> ToySequence:
    """Drive number ``drive`` of a split: ``length`` frames with label maps and the flow between them.

    Depends on ``seed``, ``split``, ``size`` and ``drive`` only: a longer sequence starts with the shorter one's frames.
    ``SettingsError`` for what cannot be drawn.
    """
    if length < 2:
        raise SettingsError(f"a sequence of {length} frames has no motion; ask for a length of at least 2")
    if drive < 0:
        raise SettingsError(f"there is no drive number {drive}; drives count from 0")
    streets = street_recipe(label_space, split, seed, length, size)
    recipe = replace(streets, kind="sequences")
    rng = recipe.rng(drive)
    street, speed = sample_street(rng, split, recipe.size), rng.uniform(*SPEEDS)
    indices = class_indices(label_space)
    views = [paint_street(street, indices, frame=frame, speed=speed) for frame in range(length)]
    return ToySequence(
        label_space=label_space,
        split=split,
        name=f"toy_drive_{split}_{drive:04d}",
        images=tuple(
            develop(view.color, view.inverse_depth, street.light, recipe.rng(drive, 1, frame))
            for frame, view in enumerate(views)
        ),
        label_maps=tuple(view.label_map for view in views),
        flows=tuple(true_flow(view, street.camera, speed) for view in views[:-1]),
        fingerprint=recipe.fingerprint(drive),
    )
