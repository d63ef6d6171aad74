"""Cars, lorries, buses and trains: extruded profiles and boxes with glass, wheels and lamps, heading along +z."""

import itertools
from collections.abc import Sequence

import numpy as np

from wsss_lib.data.toy.bodywork import (
    LAMP_RED,
    LIVERIES,
    PAINTS,
    RUBBER,
    end_marks,
    flanks,
    pick,
    tinted_glass,
    underside,
    wheels,
)
from wsss_lib.data.toy.shapes import Panel, Thing, box, front, pane
from wsss_lib.data.toy.textures import Color, matte, one_of


def car(rng: np.random.Generator, name: str = "car") -> Thing:
    """A saloon, hatchback or van: a body as wide as the wheels, and a narrower cabin of glass on it."""
    kind = one_of(rng, (0, 1, 2), (0.45, 0.35, 0.2))
    length = (rng.uniform(4.2, 4.9), rng.uniform(3.5, 4.2), rng.uniform(4.4, 5.2))[kind]
    height = (rng.uniform(1.38, 1.5), rng.uniform(1.45, 1.65), rng.uniform(1.8, 2.1))[kind]
    tail, roof_start, roof_end, cowl = ((0.16, 0.3, 0.55, 0.7), (0.01, 0.13, 0.52, 0.7), (0.0, 0.05, 0.62, 0.8))[kind]
    half = rng.uniform(0.84, 0.95)
    skirt, belt = 0.22, height * rng.uniform(0.56, 0.64)
    paint, glass = pick(rng, PAINTS), tinted_glass(rng)

    def along(share: float) -> float:
        return (share - 0.5) * length

    # (z, y, half width) from the rear bumper over the roof to the front bumper
    stations = [
        (along(0.0), skirt, half),
        (along(0.0), belt, half),
        (along(tail), belt, half),
        (along(roof_start), height, 0.78 * half),
        (along(roof_end), height, 0.78 * half),
        (along(cowl), belt, half),
        (along(0.99), 0.9 * belt, half),
        (along(1.0), skirt, half),
    ]
    panels: list[Panel] = []
    for (z_a, y_a, w_a), (z_b, y_b, w_b) in itertools.pairwise(stations):
        outline = [(-w_a, y_a, z_a), (w_a, y_a, z_a), (w_b, y_b, z_b), (-w_b, y_b, z_b)]
        panels.append(Panel(outline, paint, name))
    rear, _, rear_window, _, windshield, _, nose = panels
    panels[0] = rear._replace(details=end_marks(rear.outline, name, rear=True, tall=False))
    panels[6] = nose._replace(details=end_marks(nose.outline[::-1], name, rear=False, tall=False))
    for index, panel in ((2, rear_window), (4, windshield)):
        panels[index] = panel._replace(details=(pane(panel.outline, glass, name, 0.08, 0.92, 0.08, 0.9),))
    gap = along(0.45)
    door = ([(gap, skirt), (gap + 0.03, skirt), (gap + 0.03, belt), (gap, belt)], RUBBER)
    profile = [(z, y) for z, y, _ in reversed(stations) if y <= belt]
    panels += flanks(profile, half, paint, name, [door, *wheels((along(0.19), along(0.81)), rng.uniform(0.29, 0.34))])
    panels += _cabin_sides(stations[2:6], paint, glass, name)
    panels += underside(half, length, skirt, name)
    return Thing(panels, shadow=(half, length / 2))


def _cabin_sides(stations: Sequence[tuple[float, float, float]], paint: Color, glass: Color, name: str) -> list[Panel]:
    """Both leaning sides of a cabin with two panes each; stations are tail, roof start, roof end, cowl."""
    tail, start, end, cowl = ((half, y, z) for z, y, half in stations)
    sides = []
    for mirror, corners in ((1, (tail, cowl, end, start)), (-1, (cowl, tail, start, end))):
        outline = [(mirror * x, y, z) for x, y, z in corners]
        panes = (pane(outline, glass, name, 0.08, 0.47, 0.08, 0.85), pane(outline, glass, name, 0.52, 0.93, 0.08, 0.85))
        sides.append(Panel(outline, paint, name, details=panes))
    return sides


def truck(rng: np.random.Generator, name: str = "truck") -> Thing:
    """A lorry: a cab ahead of a higher load box."""
    length, height, half = rng.uniform(5.5, 9.0), rng.uniform(2.7, 3.6), rng.uniform(1.1, 1.25)
    cab_length, cab_height, floor = rng.uniform(1.6, 2.1), rng.uniform(2.1, 2.6), 0.85
    load, paint, glass = pick(rng, (*LIVERIES, *PAINTS[:3])), pick(rng, (*LIVERIES, *PAINTS)), tinted_glass(rng)
    split = length / 2 - cab_length
    size = (2 * half, height - floor, split + length / 2 - 0.2)
    cloth = matte(rng, load, kind="cloud", detail=14.0, strength=0.05)
    rear, *body = box(size, load, name, bottom=floor, z=(split - length / 2) / 2, texture=cloth)
    doors = (
        pane(rear.outline, RUBBER, name, 0.49, 0.51, 0.0, 1.0),
        pane(rear.outline, RUBBER, name, 0.0, 1.0, 0.0, 0.07),
        pane(rear.outline, LAMP_RED, name, 0.02, 0.14, 0.01, 0.06),
        pane(rear.outline, LAMP_RED, name, 0.86, 0.98, 0.01, 0.06),
    )
    cab = box((1.9 * half, cab_height - 0.4, cab_length), paint, name, bottom=0.4, z=split + cab_length / 2)
    nose = cab[1].outline
    face = (pane(nose, glass, name, 0.06, 0.94, 0.5, 0.92), *end_marks(nose, name, rear=False, tall=True))
    cab[1] = cab[1]._replace(details=face)
    for index in (2, 3):
        cab[index] = cab[index]._replace(details=(pane(cab[index].outline, glass, name, 0.25, 0.75, 0.52, 0.9),))
    axles = wheels((-length / 2 + 1.0, -length / 2 + 1.9, length / 2 - 0.9), 0.48)
    frame = [(-length / 2, 0.45), (length / 2 - 0.1, 0.45), (length / 2 - 0.1, floor), (-length / 2, floor)]
    chassis = flanks(frame, 0.97 * half, RUBBER, name, axles)
    panels = [*underside(half, length, floor, name), *chassis, rear._replace(details=doors), *body, *cab]
    return Thing(panels, shadow=(half, length / 2))


def bus(rng: np.random.Generator, name: str = "bus") -> Thing:
    """A city bus on two axles; one in four is a double-decker."""
    length = rng.uniform(9.0, 12.5)
    height = rng.uniform(2.9, 3.2) if rng.random() < 0.75 else rng.uniform(3.8, 4.2)
    half = rng.uniform(1.2, 1.28)
    shell = _coach(rng, name, half=half, length=length, height=height, floor=0.35, window=1.5, taper=1.0)
    axles = wheels((-length / 2 + 2.2, length / 2 - 2.4), 0.48)
    sill = [(-length / 2, 0.3), (length / 2, 0.3), (length / 2, 0.4), (-length / 2, 0.4)]
    chassis = flanks(sill, half + 0.01, RUBBER, name, axles)
    return Thing([*shell, *chassis, *underside(half, length, 0.4, name)], shadow=(half, length / 2))


def train(rng: np.random.Generator, name: str = "train") -> Thing:
    """A tram: long, skirted almost to the ground, with tapering ends and a current collector on the roof."""
    length, height, half = rng.uniform(18.0, 30.0), rng.uniform(3.2, 3.6), rng.uniform(1.2, 1.3)
    taper = rng.uniform(0.6, 0.9)
    shell = _coach(rng, name, half=half, length=length, height=height, floor=0.2, window=1.9, taper=taper)
    bars = (front(-0.06, 0.06, height, height + 0.8, 0.0), front(-0.7, 0.7, height + 0.7, height + 0.85, 0.0))
    collector = [Panel(outline, RUBBER, name, two_sided=True) for outline in bars]
    return Thing([*shell, *collector], shadow=(half, length / 2))


def _coach(
    rng: np.random.Generator,
    name: str,
    *,
    half: float,
    length: float,
    height: float,
    floor: float,
    window: float,
    taper: float,
) -> list[Panel]:
    """A long box with a stripe, a band of windows about ``window`` metres apart, and ends narrowed by ``taper``."""
    paint, stripe, glass = pick(rng, LIVERIES), pick(rng, (*LIVERIES, *PAINTS)), tinted_glass(rng)
    low, high = rng.uniform(0.42, 0.5), rng.uniform(0.78, 0.86)
    faces = box((2 * half, height - floor, length), paint, name, bottom=floor)
    count = round(length / window)
    for index in (2, 3):
        side = faces[index].outline
        details = [pane(side, stripe, name, 0.0, 1.0, 0.0, 0.22)]
        for k in range(count):
            sill = 0.06 if k % 4 == 1 else low  # every fourth pane is a door
            details.append(pane(side, glass, name, (k + 0.08) / count, (k + 0.92) / count, sill, high))
        faces[index] = faces[index]._replace(details=tuple(details))
    for index, rear in ((0, True), (1, False)):
        end = [(x * (taper if corner < 2 else 1.0), y, z) for corner, (x, y, z) in enumerate(faces[index].outline)]
        details = (
            pane(end, glass, name, 0.08, 0.92, low, high + 0.04),
            pane(end, stripe, name, 0.0, 1.0, 0.0, 0.22),
            *end_marks(end, name, rear=rear, tall=True),
            pane(end, (0.12, 0.1, 0.08), name, 0.2, 0.8, 0.88, 0.97),
            pane(end, (0.9, 0.6, 0.15), name, 0.35, 0.65, 0.9, 0.95),
        )
        faces[index] = faces[index]._replace(outline=end, details=details)
    return faces
