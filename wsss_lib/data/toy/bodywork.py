"""Parts that road vehicles share: paints, wheels, flanks, front and rear faces. Vehicles head along +z."""

from collections.abc import Sequence

import numpy as np

from wsss_lib.data.toy.shapes import Flat, Outline, Panel, back, circle, front, lengthwise, pane, shifted
from wsss_lib.data.toy.textures import Color, jitter, one_of

PAINTS: tuple[Color, ...] = (
    (0.82, 0.82, 0.81),
    (0.58, 0.59, 0.61),
    (0.32, 0.33, 0.35),
    (0.09, 0.09, 0.1),
    (0.12, 0.17, 0.32),
    (0.5, 0.08, 0.08),
    (0.45, 0.42, 0.36),
    (0.16, 0.26, 0.2),
    (0.72, 0.6, 0.2),
)
"""Colours of cars: mostly without colour, as in the street."""

LIVERIES: tuple[Color, ...] = (
    (0.72, 0.16, 0.12),
    (0.82, 0.78, 0.7),
    (0.75, 0.58, 0.14),
    (0.16, 0.32, 0.55),
    (0.2, 0.42, 0.28),
    (0.66, 0.67, 0.68),
)
"""Colours of buses, trains and lorries."""

TYRE: Color = (0.07, 0.07, 0.075)
RIM: Color = (0.42, 0.42, 0.44)
RUBBER: Color = (0.13, 0.13, 0.14)
LAMP_RED: Color = (0.75, 0.08, 0.06)
LAMP_WHITE: Color = (0.95, 0.95, 0.88)
PLATE: Color = (0.85, 0.84, 0.74)

Mark = tuple[Flat, Color]
"""A polygon in (z, y) on the side of a body, and its colour."""


def pick(rng: np.random.Generator, colors: Sequence[Color]) -> Color:
    """One of the colours, varied."""
    return jitter(rng, one_of(rng, colors), 0.03, 0.12)


def tinted_glass(rng: np.random.Generator) -> Color:
    """Window panes from near black to sky grey."""
    return jitter(rng, (0.2, 0.23, 0.27), 0.02, 0.35)


def wheels(places: Sequence[float], radius: float) -> list[Mark]:
    """Tyres and rims at ``places`` along z."""
    tyres: list[Mark] = [(shifted(circle(radius), z, radius), TYRE) for z in places]
    return [*tyres, *((shifted(circle(0.55 * radius, 8), z, radius), RIM) for z in places)]


def flanks(profile: Flat, half: float, color: Color, name: str, marks: Sequence[Mark]) -> list[Panel]:
    """Both sides of a body: a profile in (z, y), counter-clockwise seen from the right, at x = -half and +half."""
    sides = []
    for x, points in ((-half, profile[::-1]), (half, profile)):
        details = tuple(Panel(lengthwise(mark, x), paint, name) for mark, paint in marks)
        sides.append(Panel(lengthwise(points, x), color, name, details=details))
    return sides


def underside(half: float, length: float, clearance: float, name: str) -> list[Panel]:
    """Tyres and darkness below the rear and the front."""
    reach = length / 2 - 0.35
    ends = (front(-half, half, 0.0, clearance, -reach), back(-half, half, 0.0, clearance, reach))
    panels = []
    for end in ends:
        tyres = (pane(end, TYRE, name, 0.02, 0.16, 0, 1), pane(end, TYRE, name, 0.84, 0.98, 0, 1))
        panels.append(Panel(end, (0.1, 0.1, 0.1), name, details=tyres))
    return panels


def end_marks(quad: Outline, name: str, *, rear: bool, tall: bool) -> tuple[Panel, ...]:
    """Bumper, lamps, number plate, and a car's grille; low down on the end of a ``tall`` vehicle."""
    lamp = LAMP_RED if rear else LAMP_WHITE
    scale = 0.3 if tall else 1.0
    marks = [
        pane(quad, RUBBER, name, 0.0, 1.0, 0.0, 0.3 * scale),
        pane(quad, lamp, name, 0.03, 0.2, 0.5 * scale, 0.88 * scale),
        pane(quad, lamp, name, 0.8, 0.97, 0.5 * scale, 0.88 * scale),
        pane(quad, PLATE, name, 0.37, 0.63, 0.34 * scale, 0.58 * scale),
    ]
    if not rear and not tall:
        marks.append(pane(quad, RUBBER, name, 0.28, 0.72, 0.62, 0.85))
    return tuple(marks)
