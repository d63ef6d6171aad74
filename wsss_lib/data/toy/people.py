"""People on foot and on two wheels. People are cardboard that faces the camera; cycles have a side and an end view."""

import numpy as np

from wsss_lib.data.toy.bodywork import LAMP_RED, LAMP_WHITE, PAINTS, RUBBER, TYRE
from wsss_lib.data.toy.shapes import Panel, Thing, bar, card, circle, profile, shifted
from wsss_lib.data.toy.textures import Array, Color, jitter, one_of

SKINS: tuple[Color, ...] = ((0.78, 0.58, 0.47), (0.62, 0.44, 0.33), (0.36, 0.24, 0.18), (0.85, 0.68, 0.58))
CLOTHES: tuple[Color, ...] = (
    (0.1, 0.1, 0.13),
    (0.15, 0.2, 0.36),
    (0.42, 0.4, 0.38),
    (0.55, 0.14, 0.14),
    (0.75, 0.73, 0.7),
    (0.28, 0.34, 0.22),
    (0.48, 0.36, 0.24),
    (0.7, 0.55, 0.2),
)


def _cloth(rng: np.random.Generator) -> Color:
    return jitter(rng, one_of(rng, CLOTHES), 0.03, 0.2)


def _skin(rng: np.random.Generator) -> Color:
    return jitter(rng, one_of(rng, SKINS), 0.02, 0.08)


def _head(rng: np.random.Generator, name: str, x: float, y: float, radius: float, cap: Color) -> list[Panel]:
    """Face, and hair, hat or helmet over its upper half."""
    face = shifted([(a, 1.25 * b) for a, b in circle(radius)], x, y)
    cover = [(a, b + (0.1 * radius if b > 0 else 0.6 * radius)) for a, b in circle(1.08 * radius)]
    over = shifted([(a, 1.2 * b) for a, b in cover], x, y)
    if rng.random() < 0.45:  # seen from behind: hair only
        over = face
    return [
        card(face, _skin(rng), name),
        card(over, cap, name),
    ]


def person(rng: np.random.Generator, name: str = "person") -> Thing:
    """Somebody standing or walking, sometimes in a skirt or coat or with a bag."""
    tall = rng.uniform(1.5, 1.88) if rng.random() < 0.88 else rng.uniform(1.0, 1.3)
    wide, stride = tall * rng.uniform(0.12, 0.15), tall * rng.uniform(0.02, 0.16)
    hip, shoulder = 0.5 * tall, 0.83 * tall
    trousers, coat, skin = _cloth(rng), _cloth(rng), _skin(rng)
    hem = rng.uniform(0.28, 0.42) * tall if rng.random() < 0.3 else hip - 0.02 * tall
    swing = rng.uniform(0.02, 0.1) * tall
    pieces = [
        (bar((-0.4 * wide, hip), (-stride, 0.04), 0.1 * tall), trousers),
        (bar((0.4 * wide, hip), (stride, 0.04), 0.1 * tall), trousers),
        (shifted([(-0.04, 0.0), (0.07, 0.0), (0.06, 0.06), (-0.04, 0.06)], -stride, 0.0), TYRE),
        (shifted([(-0.04, 0.0), (0.07, 0.0), (0.06, 0.06), (-0.04, 0.06)], stride, 0.0), TYRE),
        (bar((-wide, shoulder), (-wide - swing, 0.45 * tall), 0.065 * tall), coat),
        (bar((wide, shoulder), (wide + swing, 0.45 * tall), 0.065 * tall), coat),
        (
            [
                (-wide, hem),
                (wide, hem),
                (1.05 * wide, shoulder),
                (0.4 * wide, 0.87 * tall),
                (-0.4 * wide, 0.87 * tall),
                (-1.05 * wide, shoulder),
            ],
            coat,
        ),
        (shifted(circle(0.03 * tall, 6), -wide - swing, 0.44 * tall), skin),
        (shifted(circle(0.03 * tall, 6), wide + swing, 0.44 * tall), skin),
    ]
    if rng.random() < 0.25:
        pieces.append(
            (shifted([(-0.16, 0.0), (0.16, 0.0), (0.14, 0.3), (-0.14, 0.3)], wide + swing, 0.3 * tall), _cloth(rng))
        )
    panels = [card(points, color, name) for points, color in pieces]
    hair = jitter(rng, one_of(rng, ((0.1, 0.08, 0.07), (0.3, 0.2, 0.12), (0.55, 0.45, 0.3))))
    panels += _head(rng, name, 0.0, 0.93 * tall, 0.062 * tall, hair)
    return Thing(panels, shadow=(0.3, 0.3), flat=True)


def _spokes(s: Array, t: Array, footprint: Array) -> Array:
    """A few bright threads: most of a wheel is air, whose pixels are the wheel's all the same."""
    return ((s * 9.0) % 1.0 < 0.15) & (t > 0) & (footprint > 0)


def _wheel(radius: float, z: float, name: str, tyre: float, *, spokes: bool) -> list[Panel]:
    """A ring of rubber around spokes or a solid disc, side view."""
    outer, inner = shifted(circle(radius, 12), z, radius), shifted(circle(radius - tyre, 12), z, radius)
    disc = profile(outer, (0.3, 0.3, 0.31), name)
    if spokes:
        disc = disc._replace(cut=_spokes, see_through=True)
    return [disc, profile([*outer, outer[0], inner[0], *reversed(inner)], TYRE, name)]


def bicycle(rng: np.random.Generator, name: str = "bicycle") -> Thing:
    """Two thin wheels, a frame of bars, saddle and handlebar; from the end, a narrow upright shape."""
    radius, reach = rng.uniform(0.31, 0.36), rng.uniform(0.5, 0.56)
    paint = jitter(rng, one_of(rng, PAINTS), 0.05)
    saddle, crank, bars = (-0.2, 0.9), (-0.08, 0.3), (0.36, 1.0)
    side = [*_wheel(radius, -reach, name, 0.06, spokes=True), *_wheel(radius, reach, name, 0.06, spokes=True)]
    lines = [
        ((-reach, radius), crank, 0.05),
        ((-reach, radius), saddle, 0.04),
        (crank, saddle, 0.06),
        (crank, (0.33, 0.78), 0.06),
        ((-0.17, 0.78), (0.33, 0.8), 0.05),
        (bars, (reach, radius), 0.05),
        ((0.28, 1.02), (0.42, 1.0), 0.05),
        ((-0.34, 0.92), (-0.08, 0.92), 0.07),
    ]
    for index, (start, end, width) in enumerate(lines):
        color = RUBBER if index >= 6 else paint
        side.append(profile(bar(start, end, width), color, name))
    end_view = [
        card(points, color, name)
        for points, color in (
            ([(-0.04, 0.0), (0.04, 0.0), (0.04, 0.7), (-0.04, 0.7)], TYRE),
            ([(-0.07, 0.7), (0.07, 0.7), (0.05, 0.95), (-0.05, 0.95)], paint),
            ([(-0.28, 0.98), (0.28, 0.98), (0.28, 1.04), (-0.28, 1.04)], RUBBER),
            ([(-0.04, 0.55), (0.04, 0.55), (0.04, 0.62), (-0.04, 0.62)], LAMP_RED),
        )
    ]
    return Thing([*side, *end_view], shadow=(0.2, 0.7), flat=True)


def motorcycle(rng: np.random.Generator, name: str = "motorcycle") -> Thing:
    """Two thick wheels, engine, tank and seat; from the end, a wide bar with mirrors above a fat tyre."""
    radius, reach = rng.uniform(0.28, 0.33), rng.uniform(0.6, 0.72)
    paint = jitter(rng, one_of(rng, PAINTS), 0.05)
    side = [*_wheel(radius, -reach, name, 0.13, spokes=False), *_wheel(radius, reach, name, 0.13, spokes=False)]
    engine: Color = (0.26, 0.26, 0.27)
    pieces = [
        ([(-0.4, 0.25), (0.35, 0.22), (0.4, 0.6), (-0.45, 0.6)], engine),
        ([(-0.75, 0.62), (0.1, 0.55), (0.15, 0.78), (-0.8, 0.85)], RUBBER),
        ([(0.0, 0.6), (0.5, 0.6), (0.45, 0.95), (0.05, 0.85)], paint),
        (bar((0.4, 1.05), (reach, radius), 0.1), engine),
        (bar((0.25, 1.08), (0.45, 1.02), 0.07), RUBBER),
        ([(-0.95, 0.55), (-0.6, 0.55), (-0.6, 0.75), (-0.95, 0.72)], paint),
        (bar((-0.7, 0.32), (0.0, 0.28), 0.1), (0.6, 0.6, 0.61)),
    ]
    side += [profile(points, color, name) for points, color in pieces]
    end_view = [
        card(points, color, name)
        for points, color in (
            ([(-0.09, 0.0), (0.09, 0.0), (0.09, 0.6), (-0.09, 0.6)], TYRE),
            ([(-0.22, 0.35), (0.22, 0.35), (0.2, 0.85), (-0.2, 0.85)], paint),
            ([(-0.38, 0.98), (0.38, 0.98), (0.38, 1.06), (-0.38, 1.06)], RUBBER),
            ([(-0.1, 0.66), (0.1, 0.66), (0.1, 0.78), (-0.1, 0.78)], LAMP_RED if rng.random() < 0.5 else LAMP_WHITE),
        )
    ]
    return Thing([*side, *end_view], shadow=(0.35, 0.95), flat=True)


def _rider(rng: np.random.Generator, name: str, *, motor: bool) -> list[Panel]:
    """The human part of a cyclist or motorcyclist, once from the side and once from the end."""
    seat, lean = (0.8, 0.25) if motor else (0.92, 0.32)
    top, wide = seat + rng.uniform(0.52, 0.62), rng.uniform(0.19, 0.25)
    coat, trousers, foot = _cloth(rng), _cloth(rng), 0.25
    helmet = jitter(rng, one_of(rng, ((0.8, 0.8, 0.78), (0.1, 0.1, 0.1), (0.7, 0.15, 0.1), (0.25, 0.17, 0.1))))
    knee = 0.5 * (seat + foot) + 0.08
    radius = 0.14 if motor else 0.12
    side = [
        (bar((-0.2, seat), (0.22, knee), 0.17), trousers),
        (bar((0.22, knee), (0.0, foot), 0.13), trousers),
        (bar((-0.2, seat - 0.05), (lean - 0.15, top), 0.3), coat),
        (bar((lean - 0.15, top - 0.08), (0.36, 1.03), 0.1), coat),
        (shifted(circle(radius), lean - 0.05, top + 0.15), helmet),
    ]
    end = [
        (bar((-0.08, seat), (-0.25, knee), 0.16), trousers),
        (bar((-0.25, knee), (-0.15, foot), 0.12), trousers),
        (bar((0.08, seat), (0.22, knee + 0.08), 0.16), trousers),
        (bar((0.22, knee + 0.08), (0.15, foot + 0.2), 0.12), trousers),
        (bar((-wide, top - 0.06), (-0.33, 1.02), 0.1), coat),
        (bar((wide, top - 0.06), (0.33, 1.02), 0.1), coat),
        ([(-0.16, seat - 0.05), (0.16, seat - 0.05), (wide, top), (-wide, top)], coat),
    ]
    panels = [profile(points, color, name) for points, color in side]
    panels += [card(points, color, name) for points, color in end]
    return [*panels, *_head(rng, name, 0.0, top + 0.14, radius, helmet)]


def cyclist(rng: np.random.Generator, rider: str = "rider", cycle: str = "bicycle") -> Thing:
    """A rider on a bicycle."""
    machine = bicycle(rng, cycle)
    return machine._replace(panels=[*machine.panels, *_rider(rng, rider, motor=False)])


def motorcyclist(rng: np.random.Generator, rider: str = "rider", cycle: str = "motorcycle") -> Thing:
    """A rider on a motorcycle."""
    machine = motorcycle(rng, cycle)
    return machine._replace(panels=[*machine.panels, *_rider(rng, rider, motor=True)])
