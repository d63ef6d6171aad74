"""Toy simple scenes: one to three objects over a background without class, the stand-in for VOC."""

import numpy as np

from wsss_lib.data.label_spaces import TOY_SCENES
from wsss_lib.data.toy import roadside
from wsss_lib.data.toy.backdrops import PHOTOGRAPHER, draw_backdrop
from wsss_lib.data.toy.camera import Camera
from wsss_lib.data.toy.canvas import Canvas
from wsss_lib.data.toy.light import develop, sample_light
from wsss_lib.data.toy.recipe import Drawn, Recipe, class_indices, drawn_set
from wsss_lib.data.toy.shapes import Panel, Thing, card, circle, shifted
from wsss_lib.data.toy.simple import SUBJECTS, Subject, detached_house, extent, posed
from wsss_lib.data.toy.textures import Color, Noise, jitter, one_of
from wsss_lib.vocabulary import SceneSet

Rng = np.random.Generator

_BALLS: tuple[Color, ...] = (
    (0.8, 0.35, 0.12),
    (0.75, 0.72, 0.68),
    (0.2, 0.4, 0.7),
    (0.7, 0.15, 0.2),
    (0.3, 0.55, 0.25),
)


def ball(rng: Rng, name: str = "ball") -> Thing:
    """A large ball: a disc that is lit from above, plain or with a band."""
    radius = rng.uniform(0.4, 0.75)
    color, band = (jitter(rng, one_of(rng, _BALLS)) for _ in range(2))
    grain, plain = Noise(rng, "mottle", 12.0), rng.random() < 0.4
    rim = shifted(circle(radius, 16), 0.0, radius)
    # The texture's axes start at the first corner and run along the first edge; the band is turned by as much.

    def texture(s: np.ndarray, t: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        on_band = np.abs(t / radius - 0.9) < (0.0 if plain else 0.28)
        base = np.where(on_band[..., None], np.asarray(band), np.asarray(color))
        shade = 1 - 0.35 * ((s / radius) ** 2 + (t / radius - 1) ** 2) / 2 + 0.06 * grain(s, t, footprint)
        return base * shade[..., None]

    disc = card(rim, color, name)._replace(texture=texture)
    return Thing([disc], shadow=(radius, radius), flat=True)


def _named(thing: Thing, name: str) -> Thing:
    """The same thing with all its panels in one class."""

    def renamed(panel: Panel) -> Panel:
        return panel._replace(name=name, details=tuple(renamed(detail) for detail in panel.details))

    return thing._replace(panels=[renamed(panel) for panel in thing.panels])


OBJECTS: dict[str, Subject] = {
    "car": SUBJECTS["car"],
    "bus": SUBJECTS["bus"],
    "bicycle": SUBJECTS["bicycle"],
    "tree": Subject(build=roadside.tree, yaw=lambda _: 0.0),
    "house": Subject(build=detached_house, yaw=SUBJECTS["building"].yaw),
    "person": SUBJECTS["person"],
    "sign": Subject(build=roadside.sign_post, yaw=lambda _: 0.0),
    "ball": Subject(build=ball, yaw=lambda _: 0.0),
}
"""The object classes of ``TOY_SCENES``."""


def _scene(rng: Rng, size: tuple[int, int], indices: dict[str, int]) -> Canvas:
    width, height = size
    camera = Camera(
        width=width,
        height=height,
        focal=rng.uniform(0.95, 1.3) * width,
        horizon=height * rng.uniform(0.3, 0.55),
        center_x=width / 2,
        y=rng.uniform(0.7, 1.5),
    )
    canvas = Canvas(camera, sample_light(rng, PHOTOGRAPHER), indices)
    objects = [_object(rng, camera) for _ in range(one_of(rng, (1, 2, 3), (0.45, 0.35, 0.2)))]
    draw_backdrop(canvas, rng, max(thing.z for thing in objects), trees=False)  # a tree is an object here
    canvas.draw(sorted(objects, key=lambda thing: thing.z, reverse=True))
    return canvas


def _object(rng: Rng, camera: Camera) -> Thing:
    """An object that spans a fifth to four fifths of the picture's height, somewhere across its width."""
    name = one_of(rng, tuple(OBJECTS))
    yaw = OBJECTS[name].yaw(rng)
    thing = _named(OBJECTS[name].build(rng), name).at(0.0, 0.0, yaw)
    distance = max(2.0, camera.focal * extent(thing, name) / (rng.uniform(0.25, 0.85) * camera.height))
    across = rng.uniform(-0.33, 0.33) * camera.width / camera.focal
    return posed(thing, name, x=across * distance, z=distance, yaw=yaw)


def toy_scenes(
    split: str,
    *,
    seed: int = 0,
    count: int = 200,
    size: tuple[int, int] = (128, 96),
    minimum_tag_share: float = 0.0,
) -> SceneSet:
    """Procedural scenes in ``TOY_SCENES`` (background and 8 objects) with label maps and tags; drawn once here.

    ``split`` is train, val or test: the same kind of scene, other pictures. Picture ``i`` depends on ``seed``,
    ``split``, ``size`` and ``i`` only. ``SettingsError`` for what cannot be drawn.
    """
    recipe = Recipe(
        kind="scenes", label_space=TOY_SCENES, split=split, seed=seed, count=count, size=size, spaces=(TOY_SCENES,)
    )
    indices = class_indices(TOY_SCENES)

    def draw(index: int) -> Drawn:
        canvas = _scene(recipe.rng(index), size, indices)
        view = canvas.view()
        return develop(view.color, view.inverse_depth, canvas.light, recipe.rng(index, 1)), view.label_map

    return drawn_set(recipe, draw, minimum_tag_share)
