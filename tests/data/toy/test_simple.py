"""Toy simple pictures: one class each, really there, and unlike the streets."""

import numpy as np
import pytest

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, TOY_SCENES
from wsss_lib.data.toy import toy_simple, toy_streets
from wsss_lib.data.toy.recipe import class_indices
from wsss_lib.data.toy.shapes import Panel, Thing, front
from wsss_lib.data.toy.simple import draw_simple, extent, posed
from wsss_lib.vocabulary import LabelSpace, SettingsError


@pytest.mark.parametrize("space", [CITYSCAPES, CAMVID])
def test_every_class_of_the_space_is_a_simple_class(space: LabelSpace) -> None:
    simple = toy_simple(space, per_class=2)
    assert simple.classes == space.classes
    assert simple.labels == tuple(index for index in range(len(space)) for _ in range(2))
    assert simple.targets == tuple(range(len(space)))
    assert simple.image(len(simple) - 1).shape == (64, 64, 3)


@pytest.mark.parametrize(("space", "name"), [(s, name) for s in (CITYSCAPES, CAMVID) for name in s.classes])
def test_a_simple_picture_shows_its_class_near_the_middle(space: LabelSpace, name: str) -> None:
    indices, middles = class_indices(space), []
    for k in range(8):
        _, labels = draw_simple(np.random.default_rng(k), name, space, (64, 64), indices)
        here = labels == space.index(name)
        assert here.mean() > 0.01
        middles.append(here[16:48, 16:48].mean())
    assert np.median(middles) > 0.04


@pytest.mark.parametrize("name", ["road", "sidewalk", "terrain", "sky", "building", "wall"])
def test_surfaces_fill_most_of_their_pictures(name: str) -> None:
    indices = class_indices(CITYSCAPES)
    shares = []
    for k in range(12):
        _, labels = draw_simple(np.random.default_rng(k), name, CITYSCAPES, (64, 64), indices)
        shares.append((labels == CITYSCAPES.index(name)).mean())
    assert np.mean(shares) > 0.35


def test_same_seed_same_pictures_whatever_the_number_per_class() -> None:
    few, many = (
        toy_simple(CITYSCAPES, seed=5, per_class=1, size=(32, 32)),
        toy_simple(CITYSCAPES, seed=5, per_class=2, size=(32, 32)),
    )
    for index in range(19):
        np.testing.assert_array_equal(few.image(index), many.image(2 * index))
    assert few.fingerprint == toy_simple(CITYSCAPES, seed=5, per_class=1, size=(32, 32)).fingerprint
    assert few.fingerprint != many.fingerprint
    other = toy_simple(CITYSCAPES, seed=6, per_class=1, size=(32, 32))
    assert (few.image(0) != other.image(0)).any()


def test_there_is_a_domain_gap_to_the_streets() -> None:
    """Single pictures are more colourful than frames of a drive."""

    def colorfulness(images: list[np.ndarray]) -> float:
        return float(np.mean([np.ptp(image.astype(float), axis=2).mean() for image in images]))

    simple = toy_simple(CITYSCAPES, per_class=4)
    streets = toy_streets(CITYSCAPES, "train", count=30, size=(96, 48))
    assert colorfulness([simple.image(i) for i in range(len(simple))]) > 1.3 * colorfulness(
        [streets.image(i) for i in range(len(streets))]
    )


def test_posing_puts_the_middle_of_a_class_where_asked() -> None:
    """A panel from x = 1 to 3 turned by a quarter: its middle is at the asked place, and it is 0 m wide from there."""
    thing = Thing([Panel(front(1.0, 3.0, 0.0, 1.0, 0.5), (1.0, 0.0, 0.0), "car")])
    assert extent(thing, "car") == pytest.approx(2.0)
    turned = posed(thing, "car", x=5.0, z=7.0, yaw=np.pi / 2)
    assert extent(turned, "car") == pytest.approx(1.0)  # its height
    middle = thing._replace(x=turned.x, z=turned.z, yaw=turned.yaw)
    cosine, sine = np.cos(middle.yaw), np.sin(middle.yaw)
    assert cosine * 2.0 + sine * 0.5 + middle.x == pytest.approx(5.0)
    assert cosine * 0.5 - sine * 2.0 + middle.z == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_class": 0}, "at least 1"),
        ({"size": (16, 64)}, "at least 32"),
        ({"label_space": TOY_SCENES}, "toy_scenes"),
    ],
)
def test_bad_requests_are_refused(change: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        toy_simple(**({"label_space": CITYSCAPES, "per_class": 1} | change))
