"""The vocabulary of drawing: flat panels in metres, put together to things.

Outlines are plain lists of (x, y, z): a street has thousands of corners, and lists are quicker to make than arrays.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from wsss_lib.data.toy.textures import Array, Color, Texture

VOID = "void"
"""Class name of what is drawn but has no class."""

Point = tuple[float, float, float]
Outline = Sequence[Point]
Flat = Sequence[tuple[float, float]]
"""Corners of a polygon in two of the three axes."""

Cut = Callable[[Array, Array, Array], Array]
"""Which points of a panel are there, as a texture takes them: ``cut(s, t, footprint) -> bool``."""


class Panel(NamedTuple):
    """A flat polygon of one class. Its first edge is the texture's ``s`` axis; details lie in its plane.

    Seen from outside the outline runs counter-clockwise; from behind it is invisible unless ``two_sided``.
    ``cut`` leaves holes: a hole shows what is behind and has its class too, or the panel's own if ``see_through``
    (railings, spokes: annotators outline the whole).
    """

    outline: Outline
    color: Color
    name: str
    texture: Texture | None = None
    cut: Cut | None = None
    see_through: bool = False
    two_sided: bool = False
    details: tuple["Panel", ...] = ()


class Thing(NamedTuple):
    """Panels in their own axes (x right, y up, z ahead), placed on the ground; metres, metres per frame.

    The panels of a ``flat`` thing are listed from back to front; those of others are sorted by distance when drawn.
    ``shadow`` is half the width and half the length of what it darkens on the ground.
    """

    panels: Sequence[Panel]
    x: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    velocity: tuple[float, float] = (0.0, 0.0)
    shadow: tuple[float, float] | None = None
    flat: bool = False

    def at(self, x: float, z: float, yaw: float = 0.0, velocity: tuple[float, float] = (0.0, 0.0)) -> "Thing":
        """The same thing elsewhere."""
        return self._replace(x=x, z=z, yaw=yaw, velocity=velocity)


def front(x0: float, x1: float, y0: float, y1: float, z: float) -> list[Point]:
    """Upright rectangle that faces back along z, towards a camera that looks ahead."""
    return [(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]


def back(x0: float, x1: float, y0: float, y1: float, z: float) -> list[Point]:
    """Upright rectangle that faces ahead along z."""
    return [(x1, y0, z), (x0, y0, z), (x0, y1, z), (x1, y1, z)]


def left(z0: float, z1: float, y0: float, y1: float, x: float) -> list[Point]:
    """Upright rectangle that faces left."""
    return [(x, y0, z1), (x, y0, z0), (x, y1, z0), (x, y1, z1)]


def right(z0: float, z1: float, y0: float, y1: float, x: float) -> list[Point]:
    """Upright rectangle that faces right."""
    return [(x, y0, z0), (x, y0, z1), (x, y1, z1), (x, y1, z0)]


def upright(points: Flat, z: float = 0.0) -> list[Point]:
    """A polygon from (x, y) pairs at one z: cardboard that faces the camera."""
    return [(x, y, z) for x, y in points]


def lengthwise(points: Flat, x: float = 0.0) -> list[Point]:
    """A polygon from (z, y) pairs at one x."""
    return [(x, y, z) for z, y in points]


def card(points: Flat, color: Color, name: str) -> Panel:
    """Cardboard from (x, y) pairs, seen from both sides."""
    return Panel(upright(points), color, name, two_sided=True)


def profile(points: Flat, color: Color, name: str) -> Panel:
    """Cardboard from (z, y) pairs: a side view, seen from both sides."""
    return Panel(lengthwise(points), color, name, two_sided=True)


def between(start: Point, end: Point, share: float) -> Point:
    """The point at ``share`` of the way."""
    return (
        start[0] + share * (end[0] - start[0]),
        start[1] + share * (end[1] - start[1]),
        start[2] + share * (end[2] - start[2]),
    )


def pane(quad: Outline, color: Color, name: str, u0: float, u1: float, v0: float, v1: float) -> Panel:
    """The part of a quad between shares ``u0..u1`` of its width and ``v0..v1`` of its height, in one colour."""
    corners = []
    for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1)):
        corners.append(between(between(quad[0], quad[1], u), between(quad[3], quad[2], u), v))
    return Panel(corners, color, name)


def circle(radius: float, corners: int = 10) -> list[tuple[float, float]]:
    """Corners of a regular polygon about (0, 0)."""
    angles = [2 * np.pi * k / corners for k in range(corners)]
    return [(float(radius * np.cos(angle)), float(radius * np.sin(angle))) for angle in angles]


def shifted(points: Flat, across: float, up: float) -> list[tuple[float, float]]:
    """Points moved by (``across``, ``up``)."""
    return [(a + across, b + up) for a, b in points]


def rectangle(across0: float, across1: float, up0: float, up1: float) -> list[tuple[float, float]]:
    """Corners of a rectangle, counter-clockwise from the lower left."""
    return [(across0, up0), (across1, up0), (across1, up1), (across0, up1)]


def bar(start: tuple[float, float], end: tuple[float, float], width: float) -> list[tuple[float, float]]:
    """A straight bar between two points."""
    along, up = end[0] - start[0], end[1] - start[1]
    scale = 0.5 * width / max((along**2 + up**2) ** 0.5, 1e-9)
    a, b = -up * scale, along * scale
    return [
        (start[0] - a, start[1] - b),
        (end[0] - a, end[1] - b),
        (end[0] + a, end[1] + b),
        (start[0] + a, start[1] + b),
    ]


def box(
    size: tuple[float, float, float],
    color: Color,
    name: str,
    *,
    bottom: float = 0.0,
    z: float = 0.0,
    texture: Texture | None = None,
    roof: Color | None = None,
) -> list[Panel]:
    """Front, back, left, right and lid of a box of ``size`` (x, y, z) whose centre on the ground is (0, z)."""
    half, top, z0, z1 = size[0] / 2, bottom + size[1], z - size[2] / 2, z + size[2] / 2
    sides = (
        front(-half, half, bottom, top, z0),
        back(-half, half, bottom, top, z1),
        left(z0, z1, bottom, top, -half),
        right(z0, z1, bottom, top, half),
    )
    lid = [(-half, top, z0), (half, top, z0), (half, top, z1), (-half, top, z1)]
    return [*(Panel(side, color, name, texture) for side in sides), Panel(lid, roof or color, name)]
