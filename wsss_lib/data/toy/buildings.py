"""Houses: a box of storeys with windows, under a flat or a pitched roof."""

from collections.abc import Sequence

import numpy as np

from wsss_lib.data.toy.bodywork import pick
from wsss_lib.data.toy.shapes import Panel, Thing, box
from wsss_lib.data.toy.textures import Color, facade, matte, slabs

ROOFS: tuple[Color, ...] = ((0.42, 0.2, 0.15), (0.24, 0.23, 0.24), (0.34, 0.26, 0.22), (0.4, 0.38, 0.36))


def house(
    rng: np.random.Generator,
    size: tuple[float, float, float],
    palette: Sequence[Color],
    name: str = "building",
    *,
    pitched: bool | None = None,
) -> Thing:
    """A house of ``size`` (width in x, height in y up to the eaves, length in z) centred on its own origin."""
    width, height, length = size
    color = pick(rng, palette)
    brick = rng.random() < 0.4
    cover = slabs(rng, color, 0.5, 0.2, contrast=0.08) if brick else matte(rng, color, kind="cloud", detail=8.0)
    texture = facade(
        rng,
        cover,
        storey=rng.uniform(2.8, 3.7),
        spacing=rng.uniform(1.6, 3.4),
        height=height,
        shop=rng.random() < 0.35,
    )
    if pitched is None:
        pitched = height < 14 and rng.random() < 0.6
    panels = box(size, color, name, texture=texture, roof=(0.35, 0.35, 0.36))
    if pitched:
        panels[-1:] = _roof(rng, width, height, length, color, name)
    return Thing(panels)


def _roof(rng: np.random.Generator, width: float, height: float, length: float, gable: Color, name: str) -> list[Panel]:
    """Two slopes with the ridge along z, and the gables under it."""
    half, rise, reach, over = width / 2, rng.uniform(0.25, 0.5) * width, length / 2, 0.3
    tiles = slabs(rng, pick(rng, ROOFS), 0.4, 0.35, contrast=0.1)
    eaves, ridge = height - 0.1, height + rise
    slopes = [
        [(half + over, eaves, -reach), (half + over, eaves, reach), (0, ridge, reach), (0, ridge, -reach)],
        [(-half - over, eaves, reach), (-half - over, eaves, -reach), (0, ridge, -reach), (0, ridge, reach)],
    ]
    gables = [
        [(-half, height, -reach), (half, height, -reach), (0, ridge, -reach)],
        [(half, height, reach), (-half, height, reach), (0, ridge, reach)],
    ]
    panels = [Panel(slope, ROOFS[0], name, tiles) for slope in slopes]
    return panels + [Panel(end, gable, name) for end in gables]
