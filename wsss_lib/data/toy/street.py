"""The lie of the land: a straight street as road, pavements and blocks of roadside, and the ground between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wsss_lib.data.toy.canvas import Canvas
from wsss_lib.data.toy.drives import BLOCKS, Drive
from wsss_lib.data.toy.textures import Array, Color, Noise, Texture, asphalt, grass, jitter, matte, one_of, slabs

BEGIN, END = -12.0, 130.0
"""Where a street starts (behind the camera) and ends, metres."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A stretch of roadside from ``z0`` to ``z1``; its building line is ``setback`` behind the pavement."""

    kind: str
    z0: float
    z1: float
    setback: float
    ground: str


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of the street: ``sign`` is -1 (left) or +1; ``verge`` metres of grass part road and pavement."""

    sign: int
    verge: float
    walk: float
    blocks: tuple[Block, ...]

    def crosses(self, z: Array) -> Array:
        """Where a side street opens."""
        return np.logical_or.reduce(
            [(z >= b.z0) & (z < b.z1) for b in self.blocks if b.kind == "crossing"] or [z > np.inf]
        )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A street's cross-section, its two sides and its surfaces."""

    half_road: float
    left: Side
    right: Side
    surfaces: dict[str, Texture]
    house_height: float


def sample_layout(rng: np.random.Generator, drive: Drive, *, tram: bool) -> Layout:
    """Draw a street of a drive's town; ``tram`` puts rails on the road."""
    half = rng.uniform(*drive.half_road)
    left, right = (_side(rng, drive, sign) for sign in (-1, 1))
    zebras = [block.z0 - 4.0 for side in (left, right) for block in side.blocks if block.kind == "crossing"]
    if rng.random() < 0.25:
        zebras.append(rng.uniform(8, 40))
    walk = one_of(rng, drive.walk)
    green, dry = jitter(rng, one_of(rng, drive.grass), 0.02), jitter(rng, (0.42, 0.35, 0.22), 0.03)
    pave = slabs(rng, jitter(rng, walk, 0.02, 0.12), rng.uniform(0.4, 1.1), rng.uniform(0.4, 0.9), joint=0.06)
    if rng.random() < 0.35:
        pave = asphalt(rng, jitter(rng, walk, 0.02, 0.12), patches=0.05)
    surfaces = {
        "road": _carriageway(rng, jitter(rng, one_of(rng, drive.road), 0.01, 0.15), half, zebras, tram=tram),
        "sidewalk": _kerbed(pave, half),
        "terrain": grass(rng, green, dry, bare=rng.uniform(-0.2, 0.35)),
        "yard": matte(rng, jitter(rng, walk, 0.03, 0.15), kind="grain", detail=8.0),
    }
    return Layout(
        half_road=half, left=left, right=right, surfaces=surfaces, house_height=3.2 * rng.uniform(*drive.storeys)
    )


def _side(rng: np.random.Generator, drive: Drive, sign: int) -> Side:
    blocks, z = [], BEGIN
    setback = rng.uniform(*drive.setback)
    kinds = [one_of(rng, BLOCKS, drive.blocks) for _ in range(2)]  # a side keeps to few kinds, as a quarter does
    while z < END:
        kind = one_of(rng, kinds) if rng.random() < 0.8 else one_of(rng, BLOCKS, drive.blocks)
        if kind == "crossing" and blocks and blocks[-1].kind == "crossing":
            kind = "houses"
        length = rng.uniform(7, 12) if kind == "crossing" else rng.uniform(16, 55)
        soil = kind in ("park", "field") or (kind != "crossing" and rng.random() < 0.2)
        ground = "road" if kind == "crossing" else ("terrain" if soil else "yard")
        blocks.append(Block(kind=kind, z0=z, z1=z + length, setback=setback, ground=ground))
        z += length
    verge = rng.uniform(0.6, 2.0) if rng.random() < 0.22 else 0.0
    return Side(sign=sign, verge=verge, walk=rng.uniform(1.5, 4.0), blocks=tuple(blocks))


def _carriageway(
    rng: np.random.Generator, color: Color, half: float, zebras: Sequence[float], *, tram: bool
) -> Texture:
    """Asphalt or setts with worn tracks, lane lines, zebra crossings and rails."""
    base = slabs(rng, color, 0.3, 0.2, contrast=0.12) if rng.random() < 0.15 else asphalt(rng, color)
    paint, gone = rng.uniform(0.25, 0.55) * (rng.random() < 0.85), Noise(rng, "cloud", 8.0)
    dash, line = rng.uniform(2.0, 4.0), rng.uniform(0.06, 0.1)
    edges = rng.random() < 0.4

    def stripe(x: Array, center: float, width: float, footprint: Array) -> Array:
        return np.clip((width - np.abs(x - center)) / np.maximum(footprint, 0.02) + 0.5, 0.0, 1.0)

    def texture(x: Array, z: Array, footprint: Array) -> Array:
        tracks = np.abs(np.abs(np.abs(x) - half / 2) - 0.75) < 0.3
        road = base(x, z, footprint) * (1 - 0.05 * tracks)[..., None]
        lines = stripe(x, 0.0, line, footprint) * (z % (3 * dash) < dash)
        if edges:
            lines = np.maximum(lines, stripe(np.abs(x), half - 0.3, line, footprint))
        for start in zebras:
            lines = np.maximum(lines, (z > start) & (z < start + 3.0) & (x % 1.0 < 0.5) & (np.abs(x) < half))
        road += (paint * lines * np.clip(1 - 0.3 * gone(x, z), 0.2, 1.0))[..., None]
        if tram:
            rails = stripe(np.abs(x + half / 2), 0.72, 0.05, footprint)
            road *= (1 - 0.5 * rails)[..., None]
        return road

    return texture


def _kerbed(pave: Texture, half: float) -> Texture:
    """Paving with a kerb: a bright edge towards the road and its dark foot."""

    def texture(x: Array, z: Array, footprint: Array) -> Array:
        beyond = np.abs(x) - half
        edge = 1 + 0.18 * (beyond < 0.25) - 0.35 * (beyond < 0.06)
        return pave(x, z, footprint) * edge[..., None]

    return texture


def lay_ground(canvas: Canvas, layout: Layout) -> None:
    """Draw road, pavements, verges and yards, then the shade of the houses on them."""
    _, x, row_z = canvas.ground
    zone = np.zeros(x.shape, np.uint8)  # index into names
    names = ("road", "sidewalk", "terrain", "yard")
    for side in (layout.left, layout.right):
        beyond = side.sign * x - layout.half_road
        open_rows = side.crosses(row_z)[:, None]
        pavement = side.verge + side.walk
        zone[(beyond > 0) & ~open_rows] = 1
        zone[(beyond > 0) & (beyond < side.verge) & ~open_rows] = 2
        outer = np.full(row_z.shape, 3, np.uint8)
        for block in side.blocks:
            outer[(row_z >= block.z0) & (row_z < block.z1)] = names.index(block.ground)
        outside = beyond > pavement
        zone[outside] = np.broadcast_to(outer[:, None], x.shape)[outside]
    for index, name in enumerate(names):
        canvas.lay(zone == index, layout.surfaces[name], "sidewalk" if name == "yard" else name)
    _shade(canvas, layout)


def _shade(canvas: Canvas, layout: Layout) -> None:
    """The shade that houses on the sunny side throw across the street."""
    sun = canvas.light.sun
    side = layout.right if sun[0] > 0 else layout.left
    _, x, row_z = canvas.ground
    reach = layout.house_height * abs(sun[0]) / sun[1]
    in_shade = np.zeros(x.shape, bool)
    for block in side.blocks:
        if block.kind == "houses":
            line = layout.half_road + side.verge + side.walk + block.setback
            in_shade |= (side.sign * x > line - reach) & ((row_z >= block.z0) & (row_z < block.z1))[:, None]
    canvas.shade_ground(in_shade)


def beside(layout: Layout, side: Side, distance: float) -> float:
    """The ``x`` that lies ``distance`` metres outside the kerb of a side."""
    return side.sign * (layout.half_road + distance)


def building_line(layout: Layout, side: Side, block: Block) -> float:
    """The ``x`` of a block's front."""
    return beside(layout, side, side.verge + side.walk + block.setback)
