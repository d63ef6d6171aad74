"""Toy scenes: one to three objects over background."""

import numpy as np
import pytest

from wsss_lib.data.label_spaces import TOY_SCENES
from wsss_lib.data.tags import tags_from_label_map
from wsss_lib.data.toy import toy_scenes
from wsss_lib.vocabulary import SceneSet, SettingsError


@pytest.fixture(scope="module")
def scenes() -> SceneSet:
    return toy_scenes("train", count=120)


def test_one_to_three_objects_over_background(scenes: SceneSet) -> None:
    assert scenes.tags is not None
    assert scenes.tags[:, 0].all()
    objects = scenes.tags[:, 1:].sum(axis=1)
    assert objects.min() >= 1
    assert objects.max() == 3
    assert 0.5 < np.mean([(scenes.label_map(i) == 0).mean() for i in range(len(scenes))]) < 0.95


def test_every_object_class_occurs_often(scenes: SceneSet) -> None:
    assert scenes.tags is not None
    assert (scenes.tags.sum(axis=0) >= 8).all()


def test_labels_and_tags_fit(scenes: SceneSet) -> None:
    for i in range(len(scenes)):
        assert scenes.label_map(i).max() < len(TOY_SCENES)
        np.testing.assert_array_equal(scenes.tags[i], tags_from_label_map(scenes.label_map(i), len(TOY_SCENES)))


def test_same_seed_same_scenes_and_other_splits_differ(scenes: SceneSet) -> None:
    again, val = toy_scenes("train", count=2), toy_scenes("val", count=2)
    np.testing.assert_array_equal(again.image(1), scenes.image(1))
    np.testing.assert_array_equal(again.label_map(1), scenes.label_map(1))
    assert (val.image(1) != scenes.image(1)).any()
    assert val.fingerprint != again.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [({"split": "trainval"}, "not a split"), ({"count": -2}, "at least 1"), ({"size": (128, 20)}, "at least 32")],
)
def test_bad_requests_are_refused(change: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        toy_scenes(**({"split": "train", "count": 1} | change))
