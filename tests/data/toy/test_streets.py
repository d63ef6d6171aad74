"""Toy streets: what determines them, what is in them, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, VOC
from wsss_lib.data.tags import tags_from_label_map
from wsss_lib.data.toy import toy_streets
from wsss_lib.vocabulary import IGNORE, LabelSpace, SceneSet, SettingsError

SMALL = (96, 48)


@pytest.fixture(scope="module")
def train() -> SceneSet:
    return toy_streets(CITYSCAPES, "train", count=160, size=(128, 64))


@pytest.fixture(scope="module")
def test_town() -> SceneSet:
    return toy_streets(CITYSCAPES, "test", count=60, size=(128, 64))


def class_shares(scenes: SceneSet) -> np.ndarray:
    """Share of every class among the pixels with a class."""
    counts = sum(np.bincount(scenes.label_map(i).ravel(), minlength=256) for i in range(len(scenes)))
    return counts[: len(scenes.label_space)] / counts[: len(scenes.label_space)].sum()


def mean_color(scenes: SceneSet, class_name: str) -> np.ndarray:
    index = scenes.label_space.index(class_name)
    return np.mean([scenes.image(i)[scenes.label_map(i) == index].mean(axis=0) for i in range(len(scenes))], axis=0)


def test_same_parameters_give_the_same_pictures() -> None:
    one, two = (toy_streets(CITYSCAPES, "train", seed=3, count=3, size=SMALL) for _ in range(2))
    for i in range(3):
        np.testing.assert_array_equal(one.image(i), two.image(i))
        np.testing.assert_array_equal(one.label_map(i), two.label_map(i))
    assert one.fingerprint == two.fingerprint


def test_a_picture_depends_on_its_number_and_not_on_the_count() -> None:
    few, many = toy_streets(CAMVID, "val", count=2, size=SMALL), toy_streets(CAMVID, "val", count=4, size=SMALL)
    for i in range(2):
        np.testing.assert_array_equal(few.image(i), many.image(i))
    assert few.fingerprint != many.fingerprint


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "val"}, {"split": "test"}])
def test_other_seeds_and_splits_show_other_pictures(change: dict) -> None:
    basis = {"split": "train", "seed": 0, "count": 1, "size": SMALL}
    one, other = toy_streets(CITYSCAPES, **basis), toy_streets(CITYSCAPES, **(basis | change))
    assert np.abs(one.image(0).astype(int) - other.image(0)).mean() > 5
    assert one.fingerprint != other.fingerprint


def test_both_label_spaces_show_the_same_streets() -> None:
    """The label space changes the labels only: where CamVid sees a car, Cityscapes sees a vehicle on four wheels."""
    many, few = (toy_streets(space, "train", count=4, size=SMALL) for space in (CITYSCAPES, CAMVID))
    vehicles = [CITYSCAPES.index(name) for name in ("car", "truck", "bus", "train")]
    for i in range(4):
        np.testing.assert_array_equal(many.image(i), few.image(i))
        np.testing.assert_array_equal(np.isin(many.label_map(i), vehicles), few.label_map(i) == CAMVID.index("Car"))


@pytest.mark.parametrize(("space", "size"), [(CITYSCAPES, (256, 128)), (CAMVID, (240, 180))])
def test_default_sizes_and_types(space: LabelSpace, size: tuple[int, int]) -> None:
    scenes = toy_streets(space, "train", count=1)
    assert scenes.image(0).shape == (size[1], size[0], 3)
    assert scenes.label_map is not None
    assert scenes.label_map(0).shape == (size[1], size[0])
    assert scenes.image(0).dtype == scenes.label_map(0).dtype == np.uint8
    assert scenes.names == ("toy_streets_train_00000",)


def test_labels_are_classes_or_a_little_void(train: SceneSet) -> None:
    labels = np.stack([train.label_map(i) for i in range(len(train))])
    assert set(np.unique(labels)) <= {*range(19), IGNORE}
    assert 0.005 < (labels == IGNORE).mean() < 0.12


def test_tags_follow_the_one_rule(train: SceneSet) -> None:
    for i in range(len(train)):
        np.testing.assert_array_equal(train.tags[i], tags_from_label_map(train.label_map(i), 19))


def test_a_higher_tag_share_drops_tags_and_changes_the_fingerprint() -> None:
    all_tags = toy_streets(CITYSCAPES, "train", count=4, size=SMALL)
    fewer = toy_streets(CITYSCAPES, "train", count=4, size=SMALL, minimum_tag_share=0.01)
    assert (fewer.tags <= all_tags.tags).all()
    assert fewer.tags.sum() < all_tags.tags.sum()
    assert fewer.fingerprint != all_tags.fingerprint


def test_about_a_dozen_tags_that_vary(train: SceneSet) -> None:
    per_picture = train.tags.sum(axis=1)
    assert 11 <= per_picture.mean() <= 13
    assert per_picture.std() > 0.7


def test_about_nine_and_a_half_tags_in_camvid() -> None:
    per_picture = toy_streets(CAMVID, "train", count=80, size=(120, 90)).tags.sum(axis=1)
    assert 9 <= per_picture.mean() <= 10.3


def test_every_class_occurs_and_the_tail_is_long(train: SceneSet) -> None:
    frequency = dict(zip(CITYSCAPES.classes, train.tags.mean(axis=0), strict=True))
    assert min(frequency.values()) >= 3 / len(train)
    for common in ("road", "sidewalk", "building", "sky", "pole", "vegetation", "car"):
        assert frequency[common] > 0.8
    for rare in ("train", "bus", "truck", "motorcycle"):
        assert frequency[rare] < 0.3
    shares = np.sort(class_shares(train))
    assert shares[-3:].sum() > 0.5
    assert shares[:8].sum() < 0.05


def test_objects_are_from_large_to_a_few_pixels(train: SceneSet) -> None:
    car = CITYSCAPES.index("car")
    areas = [(train.label_map(i) == car).mean() for i in range(len(train)) if train.tags[i, car]]
    assert max(areas) > 0.2
    assert min(areas) < 0.005


def test_the_test_drive_is_another_town(train: SceneSet, test_town: SceneSet) -> None:
    """More road is seen from higher up, houses are colder in colour; other scenes of the same town differ far less."""
    val = toy_streets(CITYSCAPES, "val", count=60, size=(128, 64))
    here, there, again = (class_shares(scenes) for scenes in (train, test_town, val))
    assert np.abs(here - there).sum() > 1.3 * np.abs(here - again).sum()
    assert there[CITYSCAPES.index("road")] > here[CITYSCAPES.index("road")] + 0.02
    warmth = [
        mean_color(scenes, "building")[0] - mean_color(scenes, "building")[2] for scenes in (train, test_town, val)
    ]
    assert warmth[0] - warmth[1] > 2 * abs(warmth[0] - warmth[2])
    assert warmth[0] - warmth[1] > 5


def test_classes_are_not_colour_coded(train: SceneSet) -> None:
    """Buildings of different streets differ more in colour than the mean building differs from the mean road."""
    building, road = CITYSCAPES.index("building"), CITYSCAPES.index("road")
    spread = [
        np.array([train.image(i)[train.label_map(i) == index].mean(axis=0) for i in range(len(train))])
        .std(axis=0)
        .mean()
        for index in (building, road)
    ]
    distance = np.abs(mean_color(train, "building") - mean_color(train, "road")).mean()
    assert min(spread) > distance


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (300, 64)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    scenes = toy_streets(CITYSCAPES, "test", count=2, size=size)
    assert scenes.image(1).shape == (size[1], size[0], 3)
    assert scenes.tags is not None
    assert scenes.tags.any(axis=1).all()


def test_what_a_reader_does_to_a_picture_stays_with_the_reader() -> None:
    scenes = toy_streets(CITYSCAPES, "train", count=1, size=SMALL)
    before = scenes.image(0)
    scenes.image(0)[:] = 0
    np.testing.assert_array_equal(scenes.image(0), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": "tain"}, r"'tain' is not a split of toy streets.*train"),
        ({"count": 0}, "at least 1"),
        ({"size": (31, 64)}, "at least 32 x 32"),
        ({"seed": -1}, "whole number from 0"),
        ({"label_space": VOC}, "label space 'voc'; use cityscapes or camvid"),
        ({"label_space": replace(VOC, name="mars")}, "label space 'mars'"),
        ({"minimum_tag_share": 2.0}, "minimum_share"),
    ],
)
def test_bad_requests_are_refused_with_a_remedy(change: dict, message: str) -> None:
    request = {"label_space": CITYSCAPES, "split": "train", "count": 1, "size": SMALL} | change
    with pytest.raises(SettingsError, match=message):
        toy_streets(**request)
