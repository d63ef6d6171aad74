"""What surfaces look like: the colour of a point as a function of its place on the surface, in metres.

A texture is sampled where a pixel's ray meets the surface, so it shrinks with distance and stays on its object when the
camera moves. All noise comes from a few periodic tiles that are drawn once; an object takes its own window of a tile.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

Array = np.ndarray
Choice = TypeVar("Choice")
Color = tuple[float, float, float]
"""Reflectance of red, green and blue, 0..1."""

Texture = Callable[[Array, Array, Array], Array]
"""``texture(s, t, footprint)``: colours (... x 3) at ``s`` metres along and ``t`` metres up the surface.

``footprint`` is the size of one pixel on the surface in metres: detail smaller than it is left out."""

TILE = 256
ROUGHNESS = {"grain": 0.3, "mottle": 1.0, "cloud": 1.7}
"""Spectral exponent of each tile: its amplitude falls as 1 / frequency**exponent (0 is white noise)."""

_TILE_SEED = 1919
"""Seed of the tiles. They are raw material like a font, not part of a picture's chance: every picture uses the same."""


@lru_cache(maxsize=len(ROUGHNESS))
def noise_tile(kind: str) -> Float32[Array, "256 256"]:
    """Periodic noise of zero mean and unit variance: white noise with its spectrum bent to ``ROUGHNESS[kind]``."""
    white = np.random.default_rng((_TILE_SEED, sorted(ROUGHNESS).index(kind))).standard_normal((TILE, TILE))
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.fftfreq(TILE)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.ifft2(np.fft.fft2(white) * frequency ** -ROUGHNESS[kind]).real
    return (noise / noise.std()).astype(np.float32)


class Noise:
    """A window of a noise tile laid on a surface, ``detail`` texels to the metre."""

    def __init__(self, rng: np.random.Generator, kind: str, detail: float) -> None:
        self.tile = noise_tile(kind)
        self.detail = detail
        self.row, self.column = int(TILE * rng.random()), int(TILE * rng.random())

    def __call__(self, s: Array, t: Array, footprint: Array | float = 0.0) -> Array:
        """Noise at the points; it fades once a pixel covers more than one texel."""
        columns = (s * self.detail).astype(np.int32) + self.column
        rows = (t * self.detail).astype(np.int32) + self.row
        return self.tile[rows & (TILE - 1), columns & (TILE - 1)] / np.maximum(1.0, self.detail * footprint)


def tint(base: Color, factor: Array) -> Array:
    """A colour times a field of factors: ... x 3."""
    return np.asarray(base, np.float32) * factor[..., None]


def jitter(rng: np.random.Generator, base: Color, spread: float = 0.06, brightness: float = 0.15) -> Color:
    """A colour near ``base``: every channel moves by ``spread``, all of them together by the factor ``brightness``."""
    common, red, green, blue = rng.standard_normal(4).tolist()
    factor = 1 + brightness * common
    return (
        min(1.0, max(0.02, base[0] * factor + spread * red)),
        min(1.0, max(0.02, base[1] * factor + spread * green)),
        min(1.0, max(0.02, base[2] * factor + spread * blue)),
    )


def one_of(rng: np.random.Generator, choices: Sequence[Choice], chances: Sequence[float] | None = None) -> Choice:
    """One of the choices, by their chances (which sum to 1) or evenly; much quicker than ``rng.choice``."""
    if chances is None:
        return choices[int(rng.random() * len(choices))]
    ladder = list(accumulate(chances))
    return choices[min(bisect(ladder, rng.random()), len(choices) - 1)]


def matte(
    rng: np.random.Generator, base: Color, *, kind: str = "mottle", detail: float = 6.0, strength=0.08
) -> Texture:
    """One colour with blotches: plaster, concrete, paint, cloth."""
    noise = Noise(rng, kind, detail)
    return lambda s, t, footprint: tint(base, 1 + strength * noise(s, t, footprint))


def asphalt(rng: np.random.Generator, base: Color, *, patches: float = 0.08) -> Texture:
    """Grainy grey with large patches where it was repaired or is worn."""
    grain, wear = Noise(rng, "grain", 14.0), Noise(rng, "cloud", 3.0)
    repair = Noise(rng, "cloud", 1.2)

    def texture(s: Array, t: Array, footprint: Array) -> Array:
        factor = 1 + 0.09 * grain(s, t, footprint) + patches * wear(s, t, footprint)
        factor -= 0.10 * (repair(s, t) > 1.4)
        return tint(base, factor)

    return texture


def slabs(
    rng: np.random.Generator,
    base: Color,
    width: float,
    height: float,
    *,
    joint: float = 0.08,
    stagger: bool = True,
    contrast: float = 0.10,
) -> Texture:
    """Rectangular stones in rows with joints: paving, bricks, blocks; joints vanish where a pixel covers a stone."""
    shade, stain = Noise(rng, "grain", 1.0), Noise(rng, "mottle", 4.0)

    def texture(s: Array, t: Array, footprint: Array) -> Array:
        row = np.floor(t / height)
        along = s / width + (0.5 * (row % 2) if stagger else 0.0)
        visible = np.clip(1.5 - footprint / height, 0.0, 1.0)
        in_joint = ((along % 1.0) < joint) | ((t / height) % 1.0 < 1.5 * joint)
        factor = 1 + visible * contrast * shade(np.floor(along), row) + 0.07 * stain(s, t, footprint)
        return tint(base, factor - 0.25 * visible * in_joint)

    return texture


def grass(rng: np.random.Generator, base: Color, second: Color, *, bare: float = 0.0) -> Texture:
    """Two colours mixed in drifts with clumps over them: lawn, meadow, soil; ``bare`` adds more of the second one."""
    drift, clump = Noise(rng, "cloud", 2.5), Noise(rng, "mottle", 12.0)

    def texture(s: Array, t: Array, footprint: Array) -> Array:
        share = np.clip(0.35 + bare + 0.3 * drift(s, t), 0.0, 1.0)[..., None]
        mixed = np.asarray(base, np.float32) * (1 - share) + np.asarray(second, np.float32) * share
        return mixed * (1 + 0.16 * clump(s, t, footprint))[..., None]

    return texture


def foliage(rng: np.random.Generator, base: Color, *, detail: float = 9.0, depth: float = 0.3) -> Texture:
    """Leaves in clumps of light and shade."""
    clump, leaf = Noise(rng, "cloud", detail), Noise(rng, "grain", 2.0 * detail)
    return lambda s, t, footprint: tint(
        base, np.clip(1 + depth * clump(s, t, 0.5 * footprint) + 0.5 * depth * leaf(s, t, footprint), 0.15, 1.9)
    )


def facade(
    rng: np.random.Generator, wall: Texture, *, storey: float, spacing: float, height: float, shop: bool
) -> Texture:
    """Rows of windows in a wall; a shop front below if ``shop``. Panes differ: dark, curtained or mirroring the sky."""
    pane_share = rng.uniform(0.3, 0.65)
    low, high = 0.25, 0.25 + rng.uniform(0.35, 0.6)
    frame = np.asarray(jitter(rng, (0.75, 0.74, 0.7) if rng.random() < 0.7 else (0.3, 0.26, 0.24)), np.float32)
    pane, dirt = Noise(rng, "grain", 1.0), Noise(rng, "mottle", 5.0)
    glass = np.asarray(jitter(rng, (0.2, 0.24, 0.3), 0.03, 0.35), np.float32)
    shop_color = np.asarray(jitter(rng, (0.28, 0.25, 0.24), 0.08), np.float32)

    def texture(s: Array, t: Array, footprint: Array) -> Array:
        color = wall(s, t, footprint)
        column, floor = s / spacing, t / storey
        across, up = np.abs(column % 1.0 - 0.5) * 2, floor % 1.0
        inside = (across < pane_share) & (up > low) & (up < high) & (t < height - 0.4)
        framed = (across < pane_share + 0.14) & (up > low - 0.06) & (up < high + 0.06) & (t < height - 0.3)
        visible = np.clip(2.0 - 2.0 * footprint / spacing, 0.25, 1.0)[..., None]
        color = np.where((framed & ~inside)[..., None], color + visible * (frame - color), color)
        light = np.clip(1 + 0.45 * pane(np.floor(column), np.floor(floor)), 0.3, 2.4)[..., None]
        color = np.where(inside[..., None], color + visible * (glass * light - color), color)
        if shop:
            front = (t < 0.85 * storey) & (t > 0.15) & (np.abs((s / (2 * spacing)) % 1.0 - 0.5) < 0.44)
            color = np.where(front[..., None], shop_color * (0.6 + light * 0.5), color)
        return color * (1 + 0.04 * dirt(s, t, footprint))[..., None]

    return texture
