"""What stands beside a road: poles with lamps, signs and lights; fences and walls; trees and hedges; clutter."""

import numpy as np

from wsss_lib.data.toy.bodywork import PAINTS, RUBBER, pick
from wsss_lib.data.toy.shapes import (
    VOID,
    Panel,
    Thing,
    bar,
    box,
    card,
    circle,
    left,
    rectangle,
    right,
    shifted,
    upright,
)
from wsss_lib.data.toy.textures import Array, Color, Noise, Texture, foliage, jitter, matte, slabs

LEAVES: tuple[Color, ...] = (
    (0.2, 0.32, 0.11),
    (0.14, 0.26, 0.1),
    (0.3, 0.38, 0.14),
    (0.42, 0.38, 0.14),
    (0.24, 0.28, 0.2),
)
BARK: Color = (0.24, 0.19, 0.15)
METAL: tuple[Color, ...] = ((0.45, 0.46, 0.47), (0.25, 0.26, 0.27), (0.3, 0.36, 0.32), (0.55, 0.54, 0.5))


def _post(rng: np.random.Generator, height: float, width: float, name: str) -> list[Panel]:
    metal = pick(rng, METAL)
    foot = [(-0.8 * width, 0.0), (0.8 * width, 0.0), (0.7 * width, 0.5), (-0.7 * width, 0.5)]
    shaft = [(-0.5 * width, 0.0), (0.5 * width, 0.0), (0.35 * width, height), (-0.35 * width, height)]
    return [card(shaft, metal, name), card(foot, metal, name)]


def lamp_post(rng: np.random.Generator, name: str = "pole", *, reach: float = 1.5) -> Thing:
    """A tall pole; with an arm over the road (towards +x for ``reach`` > 0) and a lamp, or bare."""
    height, width = rng.uniform(4.5, 8.5), rng.uniform(0.13, 0.22)
    panels = _post(rng, height, width, name)
    if rng.random() < 0.6:
        end = (reach, height + 0.35)
        panels.append(card(bar((0.0, height), end, 0.11), panels[0].color, name))
        panels.append(card(bar((end[0] - 0.3, end[1]), (end[0] + 0.35, end[1]), 0.16), panels[0].color, name))
    return Thing(panels, shadow=(0.15, 0.15), flat=True)


_RED: Color = (0.72, 0.1, 0.1)
_WHITE: Color = (0.85, 0.85, 0.83)
_BLUE: Color = (0.1, 0.24, 0.55)
_YELLOW: Color = (0.85, 0.66, 0.1)
_GREEN: Color = (0.1, 0.36, 0.24)


def sign_plate(rng: np.random.Generator, name: str, height: float, size: float) -> list[Panel]:
    """A traffic sign: one of six boards, border first, then the field, then what is on it."""
    kind = rng.integers(6)
    disc = shifted(circle(size / 2, 12), 0.0, height)
    triangle = [(-0.55 * size, height - 0.4 * size), (0.55 * size, height - 0.4 * size), (0.0, height + 0.55 * size)]
    square = [(-0.45 * size, height - 0.45 * size), (0.45 * size, height - 0.45 * size)]
    square += [(0.45 * size, height + 0.45 * size), (-0.45 * size, height + 0.45 * size)]
    diamond = shifted(circle(0.6 * size, 4), 0.0, height)
    board = [(1.9 * x, y) for x, y in square]
    outline, rim, field, glyph = (
        (disc, _RED, _WHITE, RUBBER),
        (disc, _RED, _RED, _WHITE),
        (triangle, _RED, _WHITE, RUBBER),
        (square, _BLUE, _BLUE, _WHITE),
        (diamond, _WHITE, _YELLOW, _YELLOW),
        (board, _WHITE, _BLUE if rng.random() < 0.5 else _GREEN, _WHITE),
    )[kind]
    middle = np.mean(outline, axis=0)
    inner = [(middle[0] + 0.74 * (x - middle[0]), middle[1] + 0.74 * (y - middle[1])) for x, y in outline]
    mark = bar((-0.25 * size, middle[1]), (0.25 * size, middle[1]), 0.16 * size)
    fade = rng.uniform(0.75, 1.05)
    return [
        card(points, jitter(rng, (color[0] * fade, color[1] * fade, color[2] * fade), 0.02, 0.05), name)
        for points, color in ((outline, rim), (inner, field), (mark, glyph))
    ]


def sign_post(rng: np.random.Generator, sign: str = "traffic sign", pole: str = "pole") -> Thing:
    """One or two traffic signs on a pole."""
    height, size = rng.uniform(2.1, 2.8), rng.uniform(0.6, 0.9)
    panels = [*_post(rng, height + 0.4, 0.1, pole), *sign_plate(rng, sign, height, size)]
    if rng.random() < 0.3:
        panels += sign_plate(rng, sign, height - 1.05 * size, 0.8 * size)
    return Thing(panels, shadow=(0.15, 0.15), flat=True)


def light_head(rng: np.random.Generator, name: str, height: float, x: float = 0.0) -> list[Panel]:
    """A traffic light: a dark box with three lenses, one of them lit."""
    size = rng.uniform(0.8, 1.1)
    case = [
        (-0.19 * size, -0.5 * size),
        (0.19 * size, -0.5 * size),
        (0.19 * size, 0.5 * size),
        (-0.19 * size, 0.5 * size),
    ]
    lit = rng.integers(3)
    lenses: tuple[Color, ...] = ((0.98, 0.18, 0.12), (0.98, 0.7, 0.15), (0.25, 0.95, 0.6))
    panels = [card(shifted(case, x, height), jitter(rng, (0.1, 0.11, 0.1), 0.02), name)]
    for index, color in enumerate(lenses):
        glow = 1.0 if index == lit else 0.22
        lens = shifted(circle(0.125 * size, 8), x, height + (0.31 - 0.31 * index) * size)
        panels.append(card(lens, (color[0] * glow, color[1] * glow, color[2] * glow), name))
    return panels


def light_post(
    rng: np.random.Generator, light: str = "traffic light", pole: str = "pole", *, reach: float = 0.0
) -> Thing:
    """A traffic light on a pole, and with ``reach`` a second one on an arm over the road."""
    height = rng.uniform(2.6, 3.2)
    tall = 5.2 if reach else height + 0.7
    panels = _post(rng, tall, 0.14, pole)
    if reach:
        panels.append(card(bar((0.0, tall), (reach, tall), 0.12), panels[0].color, pole))
        panels += light_head(rng, light, tall - 0.3, reach)
    panels += light_head(rng, light, height)
    return Thing(panels, shadow=(0.15, 0.15), flat=True)


def barrier(length: float, height: float, thick: float, color: Color, name: str, texture: Texture) -> Thing:
    """A long upright slab along z from 0 to ``length``: wall or hedge."""
    return Thing(box((thick, height, length), color, name, z=length / 2, texture=texture))


def wall(rng: np.random.Generator, length: float, name: str = "wall") -> Thing:
    """A free-standing wall of brick, stone or concrete."""
    base = pick(rng, ((0.46, 0.26, 0.2), (0.5, 0.48, 0.44), (0.6, 0.58, 0.54), (0.42, 0.38, 0.33)))
    height = rng.uniform(1.3, 2.8)
    texture = (
        matte(rng, base, kind="cloud", detail=10.0, strength=0.12)
        if rng.random() < 0.3
        else slabs(rng, base, rng.uniform(0.3, 0.9), rng.uniform(0.14, 0.4), contrast=0.16)
    )
    return barrier(length, height, 0.35, base, name, texture)


def hedge(rng: np.random.Generator, length: float, name: str = "vegetation") -> Thing:
    """A clipped hedge."""
    base = pick(rng, LEAVES)
    return barrier(length, rng.uniform(0.8, 2.0), 0.9, base, name, foliage(rng, base, detail=14.0))


def fence(rng: np.random.Generator, length: float, name: str = "fence") -> Thing:
    """Railings, planks or mesh: the gaps show what is behind, the class covers the whole outline."""
    height, gap = rng.uniform(0.9, 1.9), rng.uniform(0.14, 0.4)
    color = pick(rng, (*METAL, (0.4, 0.29, 0.2), (0.75, 0.74, 0.7), (0.2, 0.3, 0.22)))
    solid, post = rng.uniform(0.3, 0.85), rng.uniform(2.0, 3.0)

    def bars(s: Array, t: Array, footprint: Array) -> Array:
        rails = (np.abs(t / height - 0.92) < 0.06) | (np.abs(t / height - 0.12) < 0.05) | (s % post < 0.14)
        phase = s / np.maximum(gap, 2.0 * footprint)  # no finer than the pixels
        return rails | (phase % 1.0 < solid)

    paint = matte(rng, color, detail=8.0, strength=0.1)
    sides = (left(0.0, length, 0.0, height, 0.0), right(0.0, length, 0.0, height, 0.0))
    return Thing([Panel(side, color, name, paint, cut=bars, see_through=True) for side in sides])


def tree(rng: np.random.Generator, name: str = "vegetation", *, height: float | None = None) -> Thing:
    """A trunk and a crown of ragged lobes, broad or narrow; leafy to the ground for bushes below 2.5 m."""
    tall = rng.uniform(4.5, 10.0) if height is None else height
    wide = tall * rng.uniform(0.22, 0.4)
    clear = 0.05 if tall < 2.5 else rng.uniform(0.22, 0.4)
    base, detail = pick(rng, LEAVES), rng.uniform(6.0, 12.0)
    leaves = foliage(rng, base, detail=detail, depth=rng.uniform(0.22, 0.38))
    trunk, middle, reach = 0.03 * tall, tall * (1 + clear) / 2, tall * (1 - clear) / 2
    stem = [(-trunk, 0.0), (trunk, 0.0), (0.6 * trunk, 0.7 * tall), (-0.6 * trunk, 0.7 * tall)]
    panels = [card(stem, jitter(rng, BARK, 0.02), name), crown(rng, (0.0, middle), (wide, reach), base, leaves, name)]
    for _ in range(int(3 * rng.random())):
        angle = rng.uniform(0, 2 * np.pi)
        center = (0.5 * wide * np.cos(angle), middle + 0.45 * reach * np.sin(angle))
        radii = (wide * rng.uniform(0.5, 0.75), reach * rng.uniform(0.45, 0.6))
        panels.append(crown(rng, center, radii, base, leaves, name))
    return Thing(panels, shadow=(0.8 * wide, 0.8 * wide), flat=True)


def crown(
    rng: np.random.Generator,
    center: tuple[float, float],
    radii: tuple[float, float],
    color: Color,
    leaves: Texture,
    name: str,
) -> Panel:
    """A ragged ellipse of leaves that faces the camera, lighter above than below."""
    edge = Noise(rng, "mottle", 18.0 / max(radii))
    reach_x, reach_y = 1.35 * radii[0], 1.35 * radii[1]

    def ragged(s: Array, t: Array, footprint: Array) -> Array:
        return ((s - reach_x) / radii[0]) ** 2 + ((t - reach_y) / radii[1]) ** 2 + 0.3 * edge(
            s, t, 0.3 * footprint
        ) < 1.0

    def lit(s: Array, t: Array, footprint: Array) -> Array:
        return leaves(s, t, footprint) * (0.75 + 0.2 * t / reach_y)[..., None]

    outline = rectangle(center[0] - reach_x, center[0] + reach_x, center[1] - reach_y, center[1] + reach_y)
    return Panel(upright(outline), color, name, lit, cut=ragged, two_sided=True)


def clutter(rng: np.random.Generator, name: str = VOID) -> Thing:
    """Street clutter without a class: a bin, a cabinet, a container."""
    size = (rng.uniform(0.5, 1.6), rng.uniform(0.8, 1.4), rng.uniform(0.5, 1.2))
    color = pick(rng, ((0.2, 0.3, 0.24), (0.55, 0.5, 0.4), (0.15, 0.2, 0.3), *PAINTS[1:3]))
    return Thing(box(size, color, name), shadow=(size[0] / 2, size[2] / 2))
