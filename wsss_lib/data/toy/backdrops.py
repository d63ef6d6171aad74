"""Places that are no street: meadow, sand, yard, parking lot, studio. What is behind a simple picture's subject."""

from collections.abc import Callable, Mapping

import numpy as np

from wsss_lib.data.toy import roadside
from wsss_lib.data.toy.canvas import Canvas
from wsss_lib.data.toy.light import Climate
from wsss_lib.data.toy.shapes import VOID, Panel, Thing, front
from wsss_lib.data.toy.textures import Color, Texture, asphalt, foliage, grass, jitter, matte, one_of, slabs

Rng = np.random.Generator

PHOTOGRAPHER = Climate(
    weather=(0.55, 0.25, 0.08, 0.12),
    warmth_spread=0.1,
    exposure=1.12,
    exposure_spread=0.18,
    noise=(0.003, 0.014),
    blur=(0.35, 0.9),
    saturation=(0.9, 1.5),
)
"""The light of single pictures: brighter, more colourful, less noisy and less alike than a drive's."""

_GRASS: tuple[Color, ...] = ((0.26, 0.42, 0.1), (0.36, 0.48, 0.18), (0.5, 0.48, 0.22), (0.2, 0.36, 0.16))
_STONES: tuple[Color, ...] = ((0.62, 0.58, 0.52), (0.5, 0.5, 0.52), (0.66, 0.5, 0.4), (0.4, 0.37, 0.35))
_PAINT: tuple[Color, ...] = (
    (0.78, 0.77, 0.74),
    (0.35, 0.45, 0.55),
    (0.6, 0.35, 0.3),
    (0.5, 0.55, 0.42),
    (0.25, 0.25, 0.28),
)


def meadow_texture(rng: Rng) -> Texture:
    """Lush to dry grass."""
    dry = jitter(rng, (0.5, 0.42, 0.26), 0.04)
    return grass(rng, jitter(rng, one_of(rng, _GRASS), 0.03), dry, bare=rng.uniform(-0.3, 0.2))


def paving_texture(rng: Rng) -> Texture:
    """Flagstones or small setts."""
    size = rng.uniform(0.25, 0.9)
    return slabs(rng, jitter(rng, one_of(rng, _STONES), 0.03), 1.5 * size, size, contrast=0.14)


def _everywhere(canvas: Canvas, texture: Texture, name: str) -> None:
    canvas.lay(np.ones(canvas.ground[1].shape, bool), texture, name)


def _screen(canvas: Canvas, distance: float, height: float, color: Color, texture: Texture, name: str) -> None:
    """Something flat that closes the view at a distance."""
    canvas.draw(
        [
            Thing([Panel(front(-4 * distance, 4 * distance, 0.0, height, 0.0), color, name, texture)]).at(
                0.0, canvas.camera.z + distance
            )
        ]
    )


def _meadow(canvas: Canvas, rng: Rng, distance: float, trees: bool) -> None:
    _everywhere(canvas, meadow_texture(rng), "terrain")
    if trees and rng.random() < 0.5:
        _treeline(canvas, rng, distance)


def _sand(canvas: Canvas, rng: Rng, distance: float, _: bool) -> None:
    _everywhere(canvas, matte(rng, jitter(rng, (0.76, 0.66, 0.48)), kind="grain", detail=9.0), VOID)
    if rng.random() < 0.6:
        water = jitter(rng, (0.25, 0.42, 0.5))
        _screen(
            canvas, 1.6 * distance + 6, rng.uniform(0.1, 0.9), water, matte(rng, water, detail=2.0, strength=0.1), VOID
        )


def _yard(canvas: Canvas, rng: Rng, distance: float, trees: bool) -> None:
    _everywhere(canvas, paving_texture(rng), "sidewalk")
    if rng.random() < 0.6:
        color = jitter(rng, one_of(rng, _PAINT))
        cover = slabs(rng, color, 0.5, 0.2) if rng.random() < 0.5 else matte(rng, color, kind="cloud", detail=9.0)
        _screen(canvas, distance + rng.uniform(1.5, 6), rng.uniform(2.0, 6.0), color, cover, "wall")
    elif trees:
        _treeline(canvas, rng, distance)


def _lot(canvas: Canvas, rng: Rng, distance: float, trees: bool) -> None:
    _everywhere(canvas, asphalt(rng, jitter(rng, (0.45, 0.44, 0.43), 0.02, 0.2), patches=0.12), "road")
    if trees and rng.random() < 0.7:
        _treeline(canvas, rng, distance)


def _studio(canvas: Canvas, rng: Rng, distance: float, _: bool) -> None:
    color = jitter(rng, one_of(rng, _PAINT), 0.08)
    _everywhere(canvas, matte(rng, jitter(rng, color, 0.02), kind="cloud", detail=20.0, strength=0.04), VOID)
    _screen(
        canvas,
        distance + rng.uniform(2, 5),
        60.0,
        color,
        matte(rng, color, kind="cloud", detail=12.0, strength=0.05),
        VOID,
    )


def _treeline(canvas: Canvas, rng: Rng, distance: float) -> None:
    far = distance + rng.uniform(5, 25)
    color = jitter(rng, one_of(rng, roadside.LEAVES))
    if rng.random() < 0.4:
        _screen(canvas, far, rng.uniform(1.0, 4.0), color, foliage(rng, color, detail=5.0), "vegetation")
        return
    for _ in range(int(rng.integers(2, 6))):
        grown = roadside.tree(rng, height=rng.uniform(3, 9))
        canvas.draw([grown.at(rng.uniform(-0.7, 0.7) * far, canvas.camera.z + far + rng.uniform(0, 5))])


Backdrop = Callable[[Canvas, Rng, float, bool], None]
"""``backdrop(canvas, rng, distance, trees)`` draws ground and, behind a subject ``distance`` metres away, the rest."""

BACKDROPS: Mapping[str, Backdrop] = {"meadow": _meadow, "sand": _sand, "yard": _yard, "lot": _lot, "studio": _studio}


_CHANCES = (0.28, 0.14, 0.22, 0.16, 0.2)


def draw_backdrop(canvas: Canvas, rng: Rng, distance: float, *, trees: bool = True) -> None:
    """One of ``BACKDROPS``, with trees in it or without."""
    BACKDROPS[one_of(rng, tuple(BACKDROPS), _CHANCES)](canvas, rng, distance, trees)
