"""From things in metres to outlines in pixels, all panels of a picture at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from wsss_lib.data.toy.camera import NEAR, Camera, Points, clip_near
from wsss_lib.data.toy.shapes import Panel, Thing

SUBPIXEL = 4
"""Bits of fraction in the integer corners that ``cv2.fillPoly`` takes."""

_EDGE_ON = 1e-3  # metres from a panel's plane at which the panel is only a line
_DETAIL_PIXELS = 5.0  # a panel smaller than this shows no details


@dataclass(frozen=True, kw_only=True, eq=False)
class Assembly:
    """All panels of some things, details after their panel, with their corners relative to the camera.

    ``parent`` is the panel that gives a detail its plane (itself for a panel); ``first`` its first corner.
    """

    panels: Sequence[Panel]
    thing: Int[np.ndarray, "panel"]
    parent: Int[np.ndarray, "panel"]
    first: Int[np.ndarray, "panel"]
    corners: Float64[np.ndarray, "corner 3"]
    normal: Float64[np.ndarray, "panel 3"]
    facing: Float64[np.ndarray, "panel"]


def assemble(things: Sequence[Thing], camera: Camera) -> Assembly:
    """Place the panels of all things before the camera."""
    panels: list[Panel] = []
    owner: list[int] = []
    parent: list[int] = []
    for index, thing in enumerate(things):
        for panel in thing.panels:
            here = len(panels)
            panels += (panel, *panel.details)
            parent += [here] * (1 + len(panel.details))
        owner += [index] * (len(panels) - len(owner))
    count = np.array([len(panel.outline) for panel in panels])
    corners = np.array([corner for panel in panels for corner in panel.outline], float)
    place = np.array([(t.x - camera.x, t.z - camera.z, np.cos(t.yaw), np.sin(t.yaw)) for t in things])
    x0, z0, cosine, sine = place[np.repeat(owner, count)].T
    x, y, z = corners.T
    corners = np.stack([cosine * x + sine * z + x0, y - camera.y, cosine * z - sine * x + z0], axis=1)
    first = np.cumsum(count) - count
    parents = np.array(parent)
    start = first[parents]
    normal = _cross(corners[start + 2] - corners[start], corners[start + 1] - corners[start])
    normal /= np.maximum(np.sqrt((normal**2).sum(axis=1, keepdims=True)), 1e-12)
    return Assembly(
        panels=panels,
        thing=np.array(owner),
        parent=parents,
        first=first,
        corners=corners,
        normal=normal,
        facing=-(normal * corners[start]).sum(axis=1),  # metres from the plane to the camera, on the outside
    )


def _cross(a: Points, b: Points) -> Points:
    """Cross product by rows; the world's axes are left-handed, so outside is where corners run counter-clockwise."""
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Outlines:
    """Corners of every panel in pixels, which of them can be seen, and the order of painting."""

    pixels: Float64[np.ndarray, "corner 2"]
    low: Float64[np.ndarray, "panel 2"]
    high: Float64[np.ndarray, "panel 2"]
    near: Bool[np.ndarray, "panel"]
    order: Int[np.ndarray, "visible"]


def outline(assembly: Assembly, things: Sequence[Thing], camera: Camera) -> Outlines:
    """Project an assembly; leave out what faces away, is out of the picture or too small for its details."""
    corners, first, parent = assembly.corners, assembly.first, assembly.parent
    pixels = camera.project(corners)
    low, high = np.minimum.reduceat(pixels, first), np.maximum.reduceat(pixels, first)
    nearest, farthest = (reduce.reduceat(corners[:, 2], first) for reduce in (np.minimum, np.maximum))
    two_sided = np.array([panel.two_sided for panel in assembly.panels])
    seen = (assembly.facing > _EDGE_ON) | (two_sided[parent] & (assembly.facing < -_EDGE_ON))
    seen &= farthest > NEAR
    near = nearest < NEAR  # to be clipped: its pixels are not final
    seen &= near | ((high >= 0).all(axis=1) & (low < (camera.width, camera.height)).all(axis=1))
    is_detail = parent != np.arange(len(parent))
    large = ((high - low).max(axis=1) > _DETAIL_PIXELS) | near
    seen &= ~is_detail | large[parent]
    distance = _distance(assembly, things)
    order = np.lexsort((np.arange(len(parent)), -distance[parent], assembly.thing))
    return Outlines(pixels=pixels, low=low, high=high, near=near & seen, order=order[seen[order]])


def _distance(assembly: Assembly, things: Sequence[Thing]) -> Float[np.ndarray, "panel"]:
    """Distance of every panel's middle; 0 in flat things, whose panels keep their order."""
    count = np.diff(np.append(assembly.first, len(assembly.corners)))
    middle = np.add.reduceat(assembly.corners, assembly.first) / count[:, None]
    flat = np.array([thing.flat for thing in things])
    return np.where(flat[assembly.thing], 0.0, np.sqrt((middle**2).sum(axis=1)))


def fixed_point(pixels: np.ndarray) -> np.ndarray:
    """Pixels with a fraction as the integers that ``cv2.fillPoly`` takes; far outside is brought near."""
    return np.round(np.clip(pixels, -8000, 8000) * (1 << SUBPIXEL)).astype(np.int32)


def clipped_pixels(assembly: Assembly, panel: int, camera: Camera) -> np.ndarray:
    """Pixels of the part of a panel that lies before the camera."""
    start = assembly.first[panel]
    corners = assembly.corners[start : start + len(assembly.panels[panel].outline)]
    return camera.project(clip_near(corners))
