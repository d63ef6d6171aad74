"""The drawing surface: flat coloured pieces in metres in, picture and label map with one and the same outline out.

Painting from back to front only notes which surface each pixel shows and whose class it has. Colour, texture, depth and
class are then looked up for the pixels that stayed visible, so label map and optical flow are exact, and nothing hidden
costs time. The lens blur comes later and touches the picture only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import mul
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from wsss_lib.data.toy.camera import Camera, clip_near
from wsss_lib.data.toy.geometry import SUBPIXEL, Assembly, assemble, clipped_pixels, fixed_point, outline
from wsss_lib.data.toy.light import Light, sky
from wsss_lib.data.toy.shapes import Panel, Thing
from wsss_lib.data.toy.textures import Array, Texture
from wsss_lib.vocabulary import IGNORE, LabelMap

_CONTACT_SHADE = 0.6
_SHADOWS_END = 50.0  # metres ahead up to which things darken the ground
_FEW_PIXELS = 3  # a surface of no more pixels than this shows its mean colour instead of its texture


class View(NamedTuple):
    """What the camera sees: light, inverse depth (1 / metres, 0 in the sky), classes, and velocity (x, z) of pixels."""

    color: Float32[np.ndarray, "height width 3"]
    inverse_depth: Float32[np.ndarray, "height width"]
    label_map: LabelMap
    velocity: Float32[np.ndarray, "height width 2"]


Triple = Sequence[float]


class Surface(NamedTuple):
    """A plane with its look. ``inverse`` gives 1 / depth as a linear form of the ray (x / z, y / z, 1)."""

    color: Triple
    lit: Triple
    inverse: Triple
    origin: Triple
    along: Triple
    up: Triple
    label: int
    velocity: tuple[float, float]

    def coordinates(self, ray_x: Array, ray_y: Array, depth: Array) -> tuple[Array, Array]:
        """Metres from ``origin`` along both axes of the plane, of the points at ``depth`` on the rays."""
        s, t = (
            depth * (axis[0] * ray_x + axis[1] * ray_y + axis[2]) - sum(map(mul, axis, self.origin))
            for axis in (self.along, self.up)
        )
        return s, t


_SKY = Surface((0, 0, 0), (1, 1, 1), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), IGNORE, (0, 0))
_UP = np.array([0.0, 1.0, 0.0])
_INVERSE_RANGE = (1e-4, 2.0)
"""Bounds of the inverse depth: pixels on an outline may graze the plane and would lie behind or beyond everything."""


class Canvas:
    """Collects surfaces, and per pixel the number of the surface it shows and of the one that gives its class."""

    def __init__(self, camera: Camera, light: Light, indices: Mapping[str, int]) -> None:
        self.camera, self.light, self.indices = camera, light, indices
        self.shown = np.zeros((camera.height, camera.width, 2), np.int32)  # surface, surface of the class
        self.surfaces = [_SKY._replace(label=self.index("sky"))]
        self.textures: dict[int, Texture] = {}
        self.ground_shade = np.zeros((camera.height, camera.width), np.uint8)  # 1 in the sun's shade, 2 under things
        self.ground_surfaces = 0
        self.across, self.up = camera.rays()

    def index(self, name: str) -> int:
        """Index of a drawn class in the label space, ``IGNORE`` where it has none."""
        return self.indices.get(name, IGNORE)

    @cached_property
    def ground(self) -> tuple[int, Array, Array]:
        """First row of the ground, and world ``x`` (rows x width) and ``z`` (rows) of its pixels, metres."""
        first = int(np.clip(np.floor(self.camera.horizon) + 1, 0, self.camera.height))
        depth = self.camera.y / np.maximum(-self.up[first:], 1e-6)
        return first, self.across * depth + self.camera.x, depth[:, 0] + self.camera.z

    def lay(self, where: Bool[Array, "row width"], texture: Texture, name: str) -> None:
        """Cover the ground ``where`` (rows below the horizon) with a texture in world ``x``, ``z``."""
        surface = Surface(
            color=(0.4, 0.4, 0.4),
            lit=self.light.on(_UP).tolist(),
            inverse=(0.0, -1.0 / self.camera.y, 0.0),
            origin=(-self.camera.x, -self.camera.y, -self.camera.z),
            along=(1.0, 0.0, 0.0),
            up=(0.0, 0.0, 1.0),
            label=self.index(name),
            velocity=(0.0, 0.0),
        )
        self.textures[len(self.surfaces)] = texture
        self.shown[self.ground[0] :][where] = len(self.surfaces)
        self.surfaces.append(surface)
        self.ground_surfaces = len(self.surfaces)

    def shade_ground(self, where: Bool[Array, "row width"]) -> None:
        """Put ground (rows below the horizon) in the shade of the sun."""
        self.ground_shade[self.ground[0] :][where] = 1

    def draw(self, things: Sequence[Thing]) -> None:
        """Draw things in the given order, over all that was drawn before."""
        if not things:
            return
        assembly = assemble(things, self.camera)
        outlines = outline(assembly, things, self.camera)
        corners = fixed_point(outlines.pixels)
        self._cast_shadows(things)
        lit = self.light.on_all(assembly.normal * np.sign(assembly.facing)[:, None]).tolist()
        planes = _planes(assembly)
        for number in outlines.order.tolist():
            panel, parent = assembly.panels[number], int(assembly.parent[number])
            start = assembly.first[number]
            polygon = corners[start : start + len(panel.outline)]
            if outlines.near[number]:
                polygon = fixed_point(clipped_pixels(assembly, number, self.camera))
            thing = things[int(assembly.thing[number])]
            surface = Surface(panel.color, lit[parent], *planes(parent), self.index(panel.name), thing.velocity)
            self._paint(panel, surface, polygon)

    def _paint(self, panel: Panel, surface: Surface, polygon: Array) -> None:
        number = len(self.surfaces)
        self.surfaces.append(surface)
        if panel.texture is not None:
            self.textures[number] = panel.texture
        if panel.cut is None:
            cv2.fillPoly(self.shown, [polygon], (number, number), shift=SUBPIXEL)
            return
        left, top = np.maximum((polygon.min(axis=0) >> SUBPIXEL) - 1, 0).tolist()
        right, bottom = np.maximum((polygon.max(axis=0) >> SUBPIXEL) + 2, 0).tolist()
        shown = self.shown[top:bottom, left:right]
        if shown.size == 0:
            return
        inside = np.zeros(shown.shape[:2], np.uint8)
        cv2.fillPoly(inside, [polygon - (np.array([left, top]) << SUBPIXEL)], 1, shift=SUBPIXEL)
        ray_x, ray_y = self.across[:, left:right], self.up[top:bottom]
        depth = 1 / np.clip(
            surface.inverse[0] * ray_x + surface.inverse[1] * ray_y + surface.inverse[2], *_INVERSE_RANGE
        )
        s, t = surface.coordinates(ray_x, ray_y, depth)
        there = inside.view(bool) & panel.cut(s, t, depth / self.camera.focal)
        shown[there] = number
        if panel.see_through:
            shown[inside.view(bool), 1] = number

    def _cast_shadows(self, things: Iterable[Thing]) -> None:
        """Darken the ground under things."""
        angle = np.arange(8) * (np.pi / 4)
        for thing in things:
            if thing.shadow is None or not 0 < thing.z - self.camera.z < _SHADOWS_END:
                continue
            cosine, sine = np.cos(thing.yaw), np.sin(thing.yaw)
            x, z = 1.15 * thing.shadow[0] * np.cos(angle), 1.08 * thing.shadow[1] * np.sin(angle)
            rim = np.stack([cosine * x + sine * z + thing.x, 0 * x, cosine * z - sine * x + thing.z], axis=1)
            ground = clip_near(rim - self.camera.position)
            if len(ground) > 2:
                cv2.fillPoly(self.ground_shade, [fixed_point(self.camera.project(ground))], 2, shift=SUBPIXEL)

    def view(self) -> View:
        """Look up what every pixel shows."""
        shape = self.ground_shade.shape
        order = np.argsort(self.shown[..., 0].astype(np.uint16), axis=None, kind="stable")  # 16 bits: radix sort
        shown = self.shown[..., 0].ravel()[order]
        ray_x, ray_y = (np.broadcast_to(rays, shape).ravel()[order] for rays in (self.across, self.up))
        column = {
            field: np.array(values, np.float32)
            for field, values in zip(Surface._fields, zip(*self.surfaces, strict=True), strict=True)
        }
        linear = column["inverse"][shown]
        inverse_depth = np.clip(linear[:, 0] * ray_x + linear[:, 1] * ray_y + linear[:, 2], *_INVERSE_RANGE)
        seen = self._textured(column["color"][shown], shown, ray_x, ray_y, 1 / inverse_depth) * column["lit"][shown]
        color, depth = np.empty_like(seen), np.empty_like(inverse_depth)
        color[order], depth[order] = seen, inverse_depth
        view = View(
            color.reshape(*shape, 3),
            depth.reshape(shape),
            column["label"].astype(np.uint8)[self.shown[..., 1]],
            column["velocity"][self.shown[..., 0]],
        )
        self._add_sky(view)
        self._add_shade(view)
        return view

    def _textured(self, color: Array, shown: Array, ray_x: Array, ray_y: Array, depth: Array) -> Array:
        """Replace the colours of textured surfaces; pixels are sorted by surface."""
        bounds = np.searchsorted(shown, np.arange(len(self.surfaces) + 1)).tolist()
        for number, texture in self.textures.items():
            span = slice(bounds[number], bounds[number + 1])
            if span.stop - span.start <= _FEW_PIXELS:
                continue
            s, t = self.surfaces[number].coordinates(ray_x[span], ray_y[span], depth[span])
            slant = 2.0 if number < self.ground_surfaces else 1.0  # the ground is seen at a flat angle
            color[span] = texture(s, t, depth[span] * np.float32(slant / self.camera.focal))
        return color

    def _add_sky(self, view: View) -> None:
        rows, columns = np.nonzero(self.shown[..., 0] == 0)
        view.color[rows, columns] = sky(self.light, self.across[0, columns], self.up[rows, 0])
        view.inverse_depth[rows, columns] = 0.0

    def _add_shade(self, view: View) -> None:
        on_ground = (self.shown[..., 0] > 0) & (self.shown[..., 0] < self.ground_surfaces)
        view.color[on_ground & (self.ground_shade == 1)] *= self.light.shadow().astype(np.float32)
        view.color[on_ground & (self.ground_shade == 2)] *= np.float32(_CONTACT_SHADE)


def _planes(assembly: Assembly) -> Callable[[int], tuple[Triple, Triple, Triple, Triple]]:
    """Function of the panel: inverse depth, origin and both axes of its plane."""
    start = assembly.first
    origin = assembly.corners[start]
    along = _unit(assembly.corners[start + 1] - origin)
    up = assembly.corners[start + 2] - origin
    up = _unit(up - (up * along).sum(axis=1, keepdims=True) * along)
    with np.errstate(divide="ignore", invalid="ignore"):  # planes through the camera are never drawn
        inverse = -assembly.normal / assembly.facing[:, None]
    inverses, origins, alongs, ups = (array.tolist() for array in (inverse, origin, along, up))
    return lambda panel: (inverses[panel], origins[panel], alongs[panel], ups[panel])


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(np.sqrt((vectors**2).sum(axis=1, keepdims=True)), 1e-12)
