"""Toy street scenes: the stand-in for Cityscapes (19 classes) and CamVid (11 classes).

A scene is a straight street of a town (``drives``), laid out (``street``), filled (``population``), lit (``light``) and
painted from back to front (``canvas``). ``test`` shows another town, in other light, through another camera.
"""

from dataclasses import dataclass, replace

import numpy as np

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES
from wsss_lib.data.toy.camera import Camera
from wsss_lib.data.toy.canvas import Canvas, View
from wsss_lib.data.toy.drives import DRIVES, TRAFFIC
from wsss_lib.data.toy.light import Light, develop, sample_light
from wsss_lib.data.toy.population import by_distance, populate
from wsss_lib.data.toy.recipe import Drawn, Recipe, class_indices, drawn_set
from wsss_lib.data.toy.shapes import Thing
from wsss_lib.data.toy.street import Layout, lay_ground, sample_layout
from wsss_lib.vocabulary import IGNORE, LabelSpace, SceneSet

DEFAULT_SIZES = {CITYSCAPES.name: (256, 128), CAMVID.name: (240, 180)}
"""Width and height in the proportions of the real data sets."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Street:
    """A street ready to be painted at any frame."""

    camera: Camera
    light: Light
    layout: Layout
    layers: list[list[Thing]]
    bonnet: float  # rows of the picture that the own car's bonnet takes
    bonnet_color: float


def street_recipe(label_space: LabelSpace, split: str, seed: int, count: int, size: tuple[int, int] | None) -> Recipe:
    """The checked recipe of a set of streets, with the default size of its label space."""
    return Recipe(
        kind="streets",
        label_space=label_space,
        split=split,
        seed=seed,
        count=count,
        size=size or DEFAULT_SIZES.get(label_space.name, (256, 128)),
        spaces=(CITYSCAPES, CAMVID),
    )


def sample_street(rng: np.random.Generator, split: str, size: tuple[int, int]) -> Street:
    """Draw one street of the split's town."""
    drive = DRIVES[split]
    tram = bool(rng.random() < TRAFFIC.train)
    light = sample_light(rng, drive.climate)
    layout = sample_layout(rng, drive, tram=tram)
    camera = drive.camera(rng, size, layout.half_road)
    bonnet, bonnet_color = rng.uniform(*drive.bonnet) * size[1], rng.uniform(0.05, 0.5)
    layers = populate(rng, layout, drive, TRAFFIC, tram=tram)
    return Street(camera=camera, light=light, layout=layout, layers=layers, bonnet=bonnet, bonnet_color=bonnet_color)


def paint_street(street: Street, indices: dict[str, int], *, frame: float = 0.0, speed: float = 0.0) -> View:
    """What is seen of a street after ``frame`` frames at ``speed`` metres per frame."""
    canvas = Canvas(replace(street.camera, z=street.camera.z + frame * speed), street.light, indices)
    lay_ground(canvas, street.layout)
    canvas.draw(list(by_distance(street.layers, frame)))
    view = canvas.view()
    _draw_bonnet(view, street, speed)
    return view


def _draw_bonnet(view: View, street: Street, speed: float) -> None:
    """The own car's bonnet along the lower edge: without class, at rest in the picture, mirroring the sky a little."""
    height, width = view.label_map.shape
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    depth = (rows - height + street.bonnet * (1 - 0.45 * columns**2)) / height
    inside = depth >= 0
    gloss = np.clip(street.bonnet_color + 0.25 * np.exp(-40 * depth), 0, 1)
    view.color[inside] = (gloss[..., None] * street.light.horizon.astype(np.float32))[inside]
    view.inverse_depth[inside] = 1.0
    view.label_map[inside] = IGNORE
    view.velocity[inside] = (0.0, speed)


def toy_streets(
    label_space: LabelSpace,
    split: str,
    *,
    seed: int = 0,
    count: int = 200,
    size: tuple[int, int] | None = None,
    minimum_tag_share: float = 0.0,
) -> SceneSet:
    """Procedural street scenes with label maps and tags; drawn once here, then kept in memory.

    ``label_space`` is ``CITYSCAPES`` or ``CAMVID``; ``split`` is train, val (other scenes of the same town) or test
    (another town); ``size`` is (width, height), by default 256 x 128 or 240 x 180. Picture ``i`` depends on ``seed``,
    ``split``, ``size`` and ``i`` only. ``SettingsError`` for anything else.
    """
    recipe = street_recipe(label_space, split, seed, count, size)
    indices = class_indices(label_space)

    def draw(index: int) -> Drawn:
        street = sample_street(recipe.rng(index), split, recipe.size)
        view = paint_street(street, indices)
        return develop(view.color, view.inverse_depth, street.light, recipe.rng(index, 1)), view.label_map

    return drawn_set(recipe, draw, minimum_tag_share)
