"""Toy simple pictures: one subject each, the stand-in for the paper's ImageNet pictures of the driving classes.

The same kinds of things as in the streets, seen by somebody else: closer, centred, from any side, on a meadow or before
a studio wall, in other light. Surfaces (road, pavement, grass, sky) fill most of their pictures and keep some context.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES
from wsss_lib.data.toy import people, roadside, vehicles
from wsss_lib.data.toy.backdrops import PHOTOGRAPHER, draw_backdrop, meadow_texture, paving_texture
from wsss_lib.data.toy.buildings import house
from wsss_lib.data.toy.camera import Camera
from wsss_lib.data.toy.canvas import Canvas
from wsss_lib.data.toy.light import develop, sample_light
from wsss_lib.data.toy.recipe import MEMBERS, Recipe, class_indices
from wsss_lib.data.toy.shapes import Thing
from wsss_lib.data.toy.textures import Color, asphalt, jitter, one_of
from wsss_lib.vocabulary import Image, LabelMap, LabelSpace, SimpleSet

Rng = np.random.Generator

HOUSE_PAINTS: tuple[Color, ...] = (
    (0.72, 0.68, 0.6),
    (0.55, 0.3, 0.22),
    (0.8, 0.78, 0.75),
    (0.62, 0.5, 0.3),
    (0.45, 0.48, 0.52),
    (0.6, 0.42, 0.4),
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """How to build a subject, from which sides it is shown, and the range of its size in picture sides."""

    build: Callable[[Rng], Thing]
    yaw: Callable[[Rng], float]
    fill: tuple[float, float] = (0.7, 1.15)


def _any_side(rng: Rng) -> float:
    return rng.uniform(-np.pi, np.pi)


def _from_the_side(rng: Rng) -> float:
    return one_of(rng, (-1.0, 1.0)) * np.pi / 2 + 0.5 * rng.standard_normal()


def _facing(_: Rng) -> float:
    return 0.0


def detached_house(rng: Rng, name: str = "building") -> Thing:
    """A house on its own."""
    size = (rng.uniform(7, 13), rng.uniform(4, 13), rng.uniform(8, 16))
    return house(rng, size, HOUSE_PAINTS, name)


def _greenery(rng: Rng) -> Thing:
    return roadside.hedge(rng, 8.0) if rng.random() < 0.25 else roadside.tree(rng)


SUBJECTS: Mapping[str, Subject] = {
    "building": Subject(build=detached_house, yaw=_any_side, fill=(0.9, 1.6)),
    "wall": Subject(build=lambda rng: roadside.wall(rng, 12.0), yaw=_from_the_side, fill=(2.5, 5.0)),
    "fence": Subject(build=lambda rng: roadside.fence(rng, 12.0), yaw=_from_the_side, fill=(3.0, 6.0)),
    "pole": Subject(build=roadside.lamp_post, yaw=_facing, fill=(1.3, 3.5)),
    "traffic light": Subject(build=roadside.light_post, yaw=_facing, fill=(0.3, 0.9)),
    "traffic sign": Subject(build=roadside.sign_post, yaw=_facing, fill=(0.3, 0.9)),
    "vegetation": Subject(build=_greenery, yaw=_facing, fill=(0.8, 1.4)),
    "person": Subject(build=people.person, yaw=_facing, fill=(0.7, 1.2)),
    "rider": Subject(
        build=lambda rng: (people.cyclist if rng.random() < 0.6 else people.motorcyclist)(rng), yaw=_any_side
    ),
    "car": Subject(build=vehicles.car, yaw=_any_side),
    "truck": Subject(build=vehicles.truck, yaw=_any_side),
    "bus": Subject(build=vehicles.bus, yaw=_any_side),
    "train": Subject(build=vehicles.train, yaw=_any_side, fill=(0.8, 1.6)),
    "motorcycle": Subject(build=people.motorcycle, yaw=_from_the_side),
    "bicycle": Subject(build=people.bicycle, yaw=_from_the_side),
}


def bounds(thing: Thing, name: str) -> np.ndarray:
    """Lowest and highest corner (2 x 3), in its own axes, of a thing's panels of one class."""
    corners = np.array([corner for panel in thing.panels if panel.name == name for corner in panel.outline])
    return np.stack([corners.min(axis=0), corners.max(axis=0)])


def extent(thing: Thing, name: str) -> float:
    """Height or apparent width of a thing's panels of one class, whichever is larger, turned as it is; metres."""
    size = np.diff(bounds(thing, name), axis=0)[0]
    width = abs(np.cos(thing.yaw)) * size[0] + abs(np.sin(thing.yaw)) * size[2]
    return float(max(size[1], width))


def posed(thing: Thing, name: str, *, x: float, z: float, yaw: float) -> Thing:
    """The thing turned and placed so that the middle of its panels of one class is at ``x``, ``z``."""
    middle = bounds(thing, name).mean(axis=0)
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return thing.at(x - cosine * middle[0] - sine * middle[2], z - cosine * middle[2] + sine * middle[0], yaw)


def _portrait(rng: Rng, name: str, size: tuple[int, int], indices: Mapping[str, int]) -> Canvas:
    """A picture of one subject: the camera steps back until it fills its share, and looks at its middle."""
    subject = SUBJECTS[name]
    yaw = subject.yaw(rng)
    thing = subject.build(rng).at(0.0, 0.0, yaw)
    width, height = size
    focal = rng.uniform(1.0, 1.6) * width
    distance = max(1.6, focal * extent(thing, name) / (rng.uniform(*subject.fill) * min(size)))
    depth = np.diff(bounds(thing, name), axis=0)[0]
    distance += 0.5 * float(abs(np.sin(yaw)) * depth[0] + abs(np.cos(yaw)) * depth[2])
    eye = rng.uniform(0.7, 1.9)
    middle = float(bounds(thing, name)[:, 1].mean())
    camera = Camera(
        width=width,
        height=height,
        focal=focal,
        horizon=height * rng.uniform(0.44, 0.56) + focal * (middle - eye) / distance,
        center_x=width * rng.uniform(0.42, 0.58),
        y=eye,
    )
    canvas = Canvas(camera, sample_light(rng, PHOTOGRAPHER), indices)
    draw_backdrop(canvas, rng, distance)
    canvas.draw([posed(thing, name, x=0.0, z=distance, yaw=yaw)])
    return canvas


def _surface(rng: Rng, name: str, size: tuple[int, int], indices: Mapping[str, int]) -> Canvas:
    """A picture of ground or sky: the class fills most of it, with a border of something else and things far off."""
    width, height = size
    horizon = rng.uniform(0.8, 1.1) if name == "sky" else rng.uniform(-0.1, 0.35)
    camera = Camera(
        width=width,
        height=height,
        focal=rng.uniform(0.9, 1.5) * width,
        horizon=horizon * height,
        center_x=width * rng.uniform(0.3, 0.7),
        y=rng.uniform(1.2, 3.0),
    )
    canvas = Canvas(camera, sample_light(rng, PHOTOGRAPHER), indices)
    _, x, _ = canvas.ground
    edge = rng.uniform(-4.0, -1.2) if name != "terrain" else rng.uniform(-6.0, -2.0)
    mirrored = one_of(rng, (-1.0, 1.0)) * x
    textures = {
        "road": asphalt(rng, jitter(rng, (0.42, 0.41, 0.41), 0.02, 0.2)),
        "sidewalk": paving_texture(rng),
        "terrain": meadow_texture(rng),
    }
    name_below = name if name in textures else one_of(rng, ("terrain", "terrain", "road"))
    beside = one_of(rng, [other for other in textures if other != name_below])
    canvas.lay(mirrored > edge, textures[name_below], name_below)
    canvas.lay(mirrored <= edge, textures[beside], beside)
    if name == "road" and rng.random() < 0.7:
        paint = np.float32(rng.uniform(0.6, 0.9))
        middle = np.abs(x - rng.uniform(0.5, 3.0)) < 0.08
        canvas.lay(middle, lambda s, t, footprint: np.full((*np.shape(s + t + footprint), 3), paint), "road")
    far = 40.0 if name == "sky" else 25.0
    for _ in range(int(rng.integers(0, 4))):
        built = detached_house(rng) if rng.random() < 0.4 else roadside.tree(rng)
        canvas.draw([built.at(rng.uniform(-0.5, 0.5) * far, far + rng.uniform(0, 15))])
    return canvas


def draw_simple(
    rng: Rng, class_name: str, label_space: LabelSpace, size: tuple[int, int], indices: Mapping[str, int]
) -> tuple[Image, LabelMap]:
    """A simple picture of a class, and the label map that nobody trains on."""
    name = one_of(rng, MEMBERS[label_space.name][class_name])
    canvas = (_portrait if name in SUBJECTS else _surface)(rng, name, size, indices)
    view = canvas.view()
    return develop(view.color, view.inverse_depth, canvas.light, rng), view.label_map


def toy_simple(
    label_space: LabelSpace, *, seed: int = 0, per_class: int = 80, size: tuple[int, int] = (64, 64)
) -> SimpleSet:
    """Simple pictures, ``per_class`` of every class of ``CITYSCAPES`` or ``CAMVID``, sorted by class.

    The simple classes are the label space's own. Picture ``k`` of a class depends on ``seed``, ``size``, the class and
    ``k`` only. ``size`` is (width, height). ``SettingsError`` for what cannot be drawn.
    """
    recipe = Recipe(
        kind="simple",
        label_space=label_space,
        split="train",
        seed=seed,
        count=per_class,
        size=size,
        spaces=(CITYSCAPES, CAMVID),
    )
    indices = class_indices(label_space)
    images = [
        draw_simple(recipe.rng(k, index), class_name, label_space, size, indices)[0]
        for index, class_name in enumerate(label_space.classes)
        for k in range(per_class)
    ]
    return SimpleSet(
        classes=label_space.classes,
        labels=tuple(index for index in range(len(label_space)) for _ in range(per_class)),
        targets=tuple(range(len(label_space))),
        label_space=label_space,
        image=lambda index: images[index].copy(),
        fingerprint=recipe.fingerprint(),
    )
