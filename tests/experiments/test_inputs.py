"""From a source to its pictures: the right reader, split and size, and clear words where data are missing."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from wsss_lib.data.pictures import write_image
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.inputs import SPLITS, check_inputs, playable, read_flow, read_scenes, read_simple
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import CAMVID, PAPER, Source, load_profile
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


REAL = {"camvid": "camvid", "cityscapes": "cityscapes", "msrc21": "msrc21", "voc2012": "voc"}


@pytest.mark.parametrize("reader", REAL)
def test_a_profile_without_its_data_says_how_to_give_them(reader):
    source = Source(reader=reader, label_space=REAL[reader], size=(64, 48))
    message = "real pictures: give their folder, DATA=<folder> to make, --data <folder> to wsss"
    with pytest.raises(DataError, match=message):
        read_scenes(source, "train", None)
    if reader == "camvid":
        with pytest.raises(DataError, match=message):
            read_simple(source, None)


@pytest.mark.parametrize("reader", REAL)
@pytest.mark.parametrize("nested", [False, True])
def test_an_empty_data_folder_is_named_where_it_was_looked_into(tmp_path, reader, nested):
    folder = tmp_path / "data" if nested else tmp_path
    folder.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=str(folder / reader)):
        read_scenes(Source(reader=reader, label_space=REAL[reader], size=(64, 48)), "train", tmp_path)


@pytest.mark.parametrize("tree", ["simple_images", "imagenet"])
def test_missing_simple_pictures_are_named(tmp_path, tree):
    with pytest.raises(DataError, match=str(tmp_path / tree)):
        read_simple(Source(reader="camvid", label_space="camvid", size=(64, 48), simple_pictures=tree), tmp_path)


def test_simple_pictures_from_synset_folders(tmp_path):
    write_image(tmp_path / "imagenet" / "n04096066" / "road.png", np.zeros((8, 8, 3), np.uint8))
    source = Source(reader="camvid", label_space="camvid", size=(64, 48), simple_pictures="imagenet")
    assert read_simple(source, tmp_path).classes == ("road",)


def test_cityscapes_has_flow_where_its_sequences_are(tmp_path):
    """The next frame is the same picture two pixels further right."""
    source = Source(reader="cityscapes", label_space="cityscapes", size=(64, 32))
    street = read_scenes(replace(STREETS, size=(64, 32)), "train", None).image(0)
    root, frame = tmp_path / "cityscapes", "ulm_000000_000019"
    write_image(root / "leftImg8bit" / "train" / "ulm" / f"{frame}_leftImg8bit.png", street)
    road = np.full((32, 64), 7, np.uint8)
    (root / "gtFine" / "train" / "ulm").mkdir(parents=True)
    Pillow.fromarray(road).save(root / "gtFine" / "train" / "ulm" / f"{frame}_gtFine_labelIds.png")
    scenes = read_scenes(source, "train", tmp_path)
    assert read_flow(source, scenes, tmp_path) is None
    sequence = root / "leftImg8bit_sequence" / "train" / "ulm"
    write_image(sequence / "ulm_000000_000020_leftImg8bit.png", np.roll(street, 2, axis=1))
    flow = read_flow(source, scenes, tmp_path)
    assert flow is not None
    assert flow(0).shape == (32, 64, 2)
    assert np.median(flow(0)[..., 0]) > 1
    write_image(sequence / "ulm_000000_000020_leftImg8bit.png", np.roll(street, 1, axis=1))
    other = read_flow(source, scenes, tmp_path)
    assert other is not None
    assert other.fingerprint != flow.fingerprint


def test_data_may_lie_one_level_deeper(shared_folder):
    source = Source(reader="camvid", label_space="camvid", size=(60, 45))
    outer, inner = (read_scenes(source, "val", folder) for folder in (shared_folder, shared_folder / "data"))
    assert outer.names == inner.names
    assert np.array_equal(outer.image(0), inner.image(0))
    assert outer.image(0).shape == (45, 60, 3)


def test_only_streets_with_a_next_frame_have_flow():
    """The camera drives ahead: what is near and below the horizon moves down and away from the middle."""
    streets = read_scenes(STREETS, "train", None)
    flow = read_flow(STREETS, streets, None)
    assert flow is not None
    first = flow(0)
    assert first.shape == (48, 64, 2)
    assert first[-8:, :, 1].mean() > 0
    assert flow(0) is first
    assert read_flow(SCENES, read_scenes(SCENES, "train", None), None) is None


def test_the_paper_profile_plays_what_is_there(tmp_path):
    (tmp_path / "voc2012").mkdir()
    (tmp_path / "camvid").mkdir()
    assert list(playable(PAPER, tmp_path).roles) == ["camvid", "voc"]
    assert playable(CAMVID, tmp_path) is CAMVID


def test_the_paper_profile_without_any_data_set(tmp_path):
    with pytest.raises(DataError, match="none of the folders cityscapes/, camvid/, voc2012/; wsss data fetch"):
        playable(PAPER, tmp_path)


def test_the_rehearsal_writes_its_own_data(tmp_path):
    experiment = Experiment(Places(profile="paper-dry", build=tmp_path), report=lambda _: None)
    assert list(experiment.roles) == ["cityscapes", "camvid", "voc"]
    assert experiment.places.data == tmp_path / "paper-dry" / "textures"
    assert len(experiment.role("voc").scenes("train")) == 4
    assert experiment.role("cityscapes").simple.label_space is experiment.role("cityscapes").label_space


def test_what_a_profile_starts_from_is_looked_for_before_it_starts(tmp_path):
    data, weights = tmp_path / "data", tmp_path / "weights"
    (data / "camvid").mkdir(parents=True)
    with pytest.raises(DataError, match="has no folder msrc21, from which profile camvid starts; wsss data check"):
        check_inputs(CAMVID, data, weights)
    (data / "msrc21").mkdir()
    with pytest.raises(DataError, match=r"starts from the file mobilenet_v2.*: give its folder"):
        check_inputs(CAMVID, data, None)
    weights.mkdir()
    with pytest.raises(DataError, match=r"mobilenet_v2_imagenet1k.safetensors, which is not in .*weights"):
        check_inputs(CAMVID, data, weights)
    (weights / "mobilenet_v2_imagenet1k.safetensors").write_bytes(b"")
    check_inputs(CAMVID, data, weights)


@pytest.mark.parametrize("name", ["smoke", "toy", "paper-dry"])
def test_profiles_that_draw_their_pictures_start_from_nothing(name):
    check_inputs(load_profile(name), None, None)
