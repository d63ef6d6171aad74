"""Random textures lie where the published data sets lie: their readers take them, at the published sizes."""

from pathlib import Path

import numpy as np
import pytest

from wsss_lib.data.camvid import camvid
from wsss_lib.data.cityscapes import cityscapes, next_frames
from wsss_lib.data.imagenet import imagenet, imagenet_report
from wsss_lib.data.label_spaces import CITYSCAPES
from wsss_lib.data.pictures import read_image
from wsss_lib.data.textures import COUNTS, SIMPLE_PER_CLASS, texture, texture_trees
from wsss_lib.data.voc2012 import voc2012
from wsss_lib.regions.superpixels import superpixels
from wsss_lib.vocabulary import IGNORE, DataError


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return texture_trees(tmp_path_factory.mktemp("textures"))


@pytest.mark.parametrize(
    ("read", "folder", "shapes"),
    [
        (cityscapes, "cityscapes", {(1024, 2048, 3)}),
        (lambda root, split: camvid(root, split, size=None), "camvid", {(720, 960, 3)}),
        (voc2012, "voc2012", {(375, 500, 3), (500, 375, 3)}),
    ],
)
def test_the_readers_take_them(trees, read, folder, shapes):
    for split, count in COUNTS.items():
        scenes = read(trees / folder, split)
        assert len(scenes) == count
        assert {scenes.image(i).shape for i in range(count)} <= shapes
    train = read(trees / folder, "train")
    assert train.tags.sum(1).min() >= 2
    assert all(
        set(np.unique(train.label_map(i))) <= {*range(len(train.label_space)), IGNORE} for i in range(len(train))
    )


def test_every_simple_class_is_there(trees):
    simple = imagenet(trees / "imagenet", CITYSCAPES)
    assert len(simple) == SIMPLE_PER_CLASS * len(simple.classes)
    assert all(report.taken == SIMPLE_PER_CLASS for report in imagenet_report(trees / "imagenet"))


def test_cityscapes_has_its_next_frames(trees):
    train = cityscapes(trees / "cityscapes", "train")
    following = next_frames(trees / "cityscapes", "train", train.names)
    assert following is not None
    assert read_image(following[0]).shape == (1024, 2048, 3)


def test_a_picture_is_as_hard_to_cut_as_a_photograph():
    """Photographs of this size have a few hundred superpixels; noise would have thousands, a flat picture one."""
    image, labels = texture(1, (480, 360), range(5))
    assert 50 < superpixels(image).max() < 1500
    assert set(np.unique(labels)) <= set(range(5))
    assert not np.array_equal(image, texture(2, (480, 360), range(5))[0])


def test_whoever_only_asks_writes_none(trees, tmp_path):
    assert texture_trees(trees, write=False) == trees
    with pytest.raises(DataError, match="are not written yet"):
        texture_trees(tmp_path / "textures", write=False)
    assert not (tmp_path / "textures").exists()


def test_they_are_written_once(trees):
    before = {path: path.stat().st_mtime_ns for path in trees.rglob("*.png")}
    texture_trees(trees)
    assert before == {path: path.stat().st_mtime_ns for path in trees.rglob("*.png")}
