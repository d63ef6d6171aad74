"""Cityscapes on a miniature tree with the names, folders and encodings of the real one."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from wsss_lib.data.cityscapes import city_of, cityscapes, next_frames, read_cityscapes_labels
from wsss_lib.data.label_spaces import CITYSCAPES, CITYSCAPES_IDS
from wsss_lib.data.pictures import read_image
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

AACHEN = "aachen_000001_000019"


def label_file(root: Path, frame: str = AACHEN, ending: str = "labelIds") -> Path:
    return root / "gtFine" / "train" / frame.partition("_")[0] / f"{frame}_gtFine_{ending}.png"


def test_frames_of_all_cities_with_labels_in_train_ids(cityscapes_root: Path) -> None:
    """Void and the bridge are unknown, road (7) is 0, car (26) is 13."""
    train = cityscapes(cityscapes_root, "train")
    assert train.names == (AACHEN, "ulm_000002_000019")
    assert train.label_map is not None
    labels = train.label_map(0)
    assert (labels[:3] == IGNORE).all()
    assert (labels[3:].ravel()[:-1] == CITYSCAPES.index("road")).all()
    assert labels[5, 7] == CITYSCAPES.index("car")
    file = cityscapes_root / "leftImg8bit" / "train" / "aachen" / f"{AACHEN}_leftImg8bit.png"
    np.testing.assert_array_equal(train.image(0), read_image(file))


def test_tags_are_the_evaluated_classes(cityscapes_root: Path) -> None:
    tags = cityscapes(cityscapes_root, "train").tags
    assert tags is not None
    assert [np.array(CITYSCAPES.classes)[row].tolist() for row in tags] == [["road", "car"]] * 2
    shares = cityscapes(cityscapes_root, "train", minimum_tag_share=0.1).tags
    assert shares is not None
    assert np.flatnonzero(shares[0]).tolist() == [CITYSCAPES.index("road")]


def test_every_id_becomes_its_train_id(tmp_path: Path, paint) -> None:
    """All 34 ids in one file: the 19 evaluated ones in order, the other 15 unknown."""
    file = paint(tmp_path / f"{AACHEN}_gtFine_labelIds.png", np.arange(34)[None])
    found = read_cityscapes_labels(file)[0]
    assert found[list(CITYSCAPES_IDS)].tolist() == list(range(19))
    assert (np.delete(found, CITYSCAPES_IDS) == IGNORE).all()


@pytest.mark.parametrize(
    ("label_id", "name"),
    [(12, "wall"), (13, "fence"), (19, "traffic light"), (20, "traffic sign"), (24, "person"), (25, "rider")],
)
def test_ids_of_classes_that_are_easily_mistaken(tmp_path: Path, paint, label_id: int, name: str) -> None:
    """By name, from the table of cityscapesScripts: a table that is its own answer may be in any order."""
    file = paint(tmp_path / f"{AACHEN}_gtFine_labelIds.png", np.full((1, 1), label_id))
    assert CITYSCAPES.classes[read_cityscapes_labels(file)[0, 0]] == name


def test_test_labels_are_placeholders_and_not_read(cityscapes_root: Path) -> None:
    test = cityscapes(cityscapes_root, "test")
    assert test.names == ("bonn_000003_000019",)
    assert test.label_map is None
    assert test.tags is None


def test_a_smaller_size(cityscapes_root: Path) -> None:
    train = cityscapes(cityscapes_root, "train", size=(4, 3))
    assert train.label_map is not None
    assert train.image(0).shape == (3, 4, 3)
    assert train.label_map(0).shape == (3, 4)
    assert train.fingerprint != cityscapes(cityscapes_root, "train").fingerprint


def test_maps_of_train_ids_are_read_where_there_are_no_ids(cityscapes_root: Path, paint) -> None:
    expected = read_cityscapes_labels(label_file(cityscapes_root))
    paint(label_file(cityscapes_root, ending="labelTrainIds"), expected)
    label_file(cityscapes_root).unlink()
    found = cityscapes(cityscapes_root, "train")
    assert found.label_map is not None
    np.testing.assert_array_equal(found.label_map(0), expected)


def test_the_frame_after_every_labelled_one(cityscapes_root: Path) -> None:
    frames = cityscapes(cityscapes_root, "train").names
    following = next_frames(cityscapes_root, "train", frames)
    assert following is not None
    folder = cityscapes_root / "leftImg8bit_sequence" / "train" / "ulm"
    assert following[1] == folder / "ulm_000002_000020_leftImg8bit.png"
    assert next_frames(cityscapes_root, "val", ["lindau_000000_000019"]) is None


@pytest.mark.parametrize(
    ("name", "city"),
    [
        (AACHEN, "aachen"),
        ("bad-honnef_000001_000019", "bad-honnef"),
        ("aachen_1_19", None),
        ("aachen_000001_000019_x", None),
        ("../evil_000001_000019", None),
    ],
)
def test_names_of_frames(name: str, city: str | None) -> None:
    assert city_of(name) == city


# ---------------------------------------------------------------------------------------------------------- bad input


def test_train_ids_under_the_name_of_label_ids_are_found_out(cityscapes_root: Path, paint) -> None:
    paint(label_file(cityscapes_root), np.tile([0, 13, 255, 0], (6, 2)))
    with pytest.raises(DataError, match=r"is called a map of label ids \(0..33\) but holds 255, as trainIds do"):
        cityscapes(cityscapes_root, "train")


def test_other_numbers_are_no_label_ids(cityscapes_root: Path, paint) -> None:
    paint(label_file(cityscapes_root), np.full((6, 8), 99))
    with pytest.raises(DataError, match=r"0..33\) but holds 99"):
        cityscapes(cityscapes_root, "train")


def test_label_ids_under_the_name_of_train_ids_are_found_out(cityscapes_root: Path) -> None:
    label_file(cityscapes_root).rename(label_file(cityscapes_root, ending="labelTrainIds"))
    with pytest.raises(DataError, match=r"labelTrainIds\.png holds the label values .*26"):
        cityscapes(cityscapes_root, "train")


def test_colour_pictures_are_no_label_maps(cityscapes_root: Path, paint, photo) -> None:
    paint(label_file(cityscapes_root), photo(1))
    with pytest.raises(DataError, match="not an index map; give a grey or palette PNG whose values are"):
        cityscapes(cityscapes_root, "train")


def test_a_split_with_a_missing_label_map_is_refused(cityscapes_root: Path) -> None:
    label_file(cityscapes_root).unlink()
    with pytest.raises(DataError, match=rf"1 of 2 label maps of Cityscapes' train split are missing \({AACHEN}\)"):
        cityscapes(cityscapes_root, "train")


def test_no_pictures_and_renamed_pictures_are_refused(cityscapes_root: Path) -> None:
    folder = cityscapes_root / "leftImg8bit" / "train"
    (folder / "ulm" / "ulm_000002_000019_leftImg8bit.png").rename(folder / "ulm" / "mine_leftImg8bit.png")
    with pytest.raises(DataError, match=r"1 of 2 pictures are not called <city>_.*mine_leftImg8bit.png"):
        cityscapes(cityscapes_root, "train")
    shutil.rmtree(folder)
    with pytest.raises(DataError, match=r"train pictures are missing.*gtFine_trainvaltest\.zip"):
        cityscapes(cityscapes_root, "train")


def test_a_gap_in_the_sequences_is_refused(cityscapes_root: Path) -> None:
    (cityscapes_root / "leftImg8bit_sequence" / "train" / "ulm" / "ulm_000002_000020_leftImg8bit.png").unlink()
    with pytest.raises(DataError, match=r"1 of 2 frames that follow .*ulm_000002_000020"):
        next_frames(cityscapes_root, "train", [AACHEN, "ulm_000002_000019"])


def test_an_unknown_split_is_answered_with_the_known(cityscapes_root: Path) -> None:
    with pytest.raises(SettingsError, match=r"'vall' is not a split of Cityscapes \(did you mean 'val'\?\)"):
        cityscapes(cityscapes_root, "vall")
