"""From a source to its pictures: the right reader, split and size, and clear words where data are missing."""

import numpy as np
import pytest

from wsss_lib.experiments.inputs import SPLITS, read_flow, read_scenes, read_simple
from wsss_lib.experiments.profiles import Source
from wsss_lib.vocabulary import DataError

STREETS = Source(
    reader="toy_streets", label_space="camvid", size=(64, 48), counts=(3, 2, 1), simple_count=2, simple_size=(40, 32)
)
SCENES = Source(reader="toy_scenes", label_space="toy_scenes", size=(40, 32), counts=(3, 2, 1))


@pytest.mark.parametrize("source", [STREETS, SCENES], ids=["streets", "scenes"])
@pytest.mark.parametrize(("split", "count"), list(zip(SPLITS, (3, 2, 1), strict=True)))
def test_generated_pictures_have_the_sources_count_and_size(source, split, count):
    scenes = read_scenes(source, split, None)
    assert (len(scenes), scenes.split, scenes.label_space.name) == (count, split, source.label_space)
    assert scenes.image(0).shape == (source.size[1], source.size[0], 3)


def test_reading_twice_gives_the_same_pictures():
    first, second = (read_scenes(STREETS, "train", None) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert np.array_equal(first.image(2), second.image(2))


def test_simple_pictures_of_the_toy():
    simple = read_simple(STREETS, None)
    assert np.bincount(simple.labels).tolist() == [2] * len(simple.classes)
    assert simple.image(0).shape == (32, 40, 3)
    assert simple.label_space.name == "camvid"


@pytest.mark.parametrize("reader", ["camvid", "msrc21"])
def test_a_profile_without_its_data_says_how_to_give_them(reader):
    source = Source(reader=reader, label_space=reader, size=(64, 48))
    message = r"real pictures: give their folder, make reproduce \.\.\. DATA=<folder>"
    with pytest.raises(DataError, match=message):
        read_scenes(source, "train", None)
    if reader == "camvid":
        with pytest.raises(DataError, match=message):
            read_simple(source, None)


@pytest.mark.parametrize("reader", ["camvid", "msrc21"])
@pytest.mark.parametrize("nested", [False, True])
def test_an_empty_data_folder_is_named_where_it_was_looked_into(tmp_path, reader, nested):
    folder = tmp_path / "data" if nested else tmp_path
    folder.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=str(folder / reader)):
        read_scenes(Source(reader=reader, label_space=reader, size=(64, 48)), "train", tmp_path)


def test_missing_simple_pictures_are_named(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path / "simple_images")):
        read_simple(Source(reader="camvid", label_space="camvid", size=(64, 48)), tmp_path)


def test_data_may_lie_one_level_deeper(shared_folder):
    source = Source(reader="camvid", label_space="camvid", size=(60, 45))
    outer, inner = (read_scenes(source, "val", folder) for folder in (shared_folder, shared_folder / "data"))
    assert outer.names == inner.names
    assert np.array_equal(outer.image(0), inner.image(0))
    assert outer.image(0).shape == (45, 60, 3)


def test_only_streets_with_a_next_frame_have_flow():
    """The camera drives ahead: what is near and below the horizon moves down and away from the middle."""
    streets = read_scenes(STREETS, "train", None)
    flow = read_flow(STREETS, streets)
    assert flow is not None
    first = flow(0)
    assert first.shape == (48, 64, 2)
    assert first[-8:, :, 1].mean() > 0
    assert flow(0) is first
    assert read_flow(SCENES, read_scenes(SCENES, "train", None)) is None
