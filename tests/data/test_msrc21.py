"""MSRC-21 on a miniature tree and on the real pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from wsss_lib.data.label_spaces import MSRC21
from wsss_lib.data.msrc21 import msrc21
from wsss_lib.data.pictures import read_image
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError


def test_labels_are_shifted_and_void_is_unknown(msrc21_root: Path) -> None:
    train = msrc21(msrc21_root, "train")
    assert train.names == ("1_1_s",)
    assert train.label_map is not None
    rows = train.label_map(0)[:4, 0].tolist()
    assert rows == [IGNORE, MSRC21.index("building"), MSRC21.index("grass"), MSRC21.index("boat")]
    np.testing.assert_array_equal(train.image(0), read_image(msrc21_root / "images" / "1_1_s.jpg"))


def test_tags_are_those_of_the_file_not_of_the_labels(msrc21_root: Path) -> None:
    train = msrc21(msrc21_root, "train")
    assert train.tags is not None
    assert np.flatnonzero(train.tags[0]).tolist() == [MSRC21.index("building"), MSRC21.index("grass")]


def test_test_split_has_tags_but_no_labels(msrc21_root: Path) -> None:
    test = msrc21(msrc21_root, "test")
    assert test.label_map is None
    assert test.tags is not None
    assert np.flatnonzero(test.tags[0]).tolist() == [MSRC21.index("cow")]


def test_fingerprint_sees_a_changed_tag(msrc21_root: Path) -> None:
    first = msrc21(msrc21_root, "train").fingerprint
    tags = msrc21_root / "tags.csv"
    tags.write_text(tags.read_text().replace("building|grass", "building"))
    assert msrc21(msrc21_root, "train").fingerprint != first


def test_unknown_split_is_refused(msrc21_root: Path) -> None:
    with pytest.raises(SettingsError, match=r"'vall' is not a split of MSRC-21 \(did you mean 'val'\?\)"):
        msrc21(msrc21_root, "vall")


@pytest.mark.parametrize("folder", ["images", "labels"])
def test_half_unpacked_data_is_counted(msrc21_root: Path, folder: str) -> None:
    shutil.rmtree(msrc21_root / folder)
    with pytest.raises(DataError, match=rf"1 of 1 files are missing in .*{folder} \(1_1_s\); unpack MSRC-21 again"):
        msrc21(msrc21_root, "train")


def test_missing_or_foreign_tags_are_refused(msrc21_root: Path) -> None:
    tags = msrc21_root / "tags.csv"
    tags.write_text("name,split,tags\n1_1_s,train,gras\n")
    with pytest.raises(DataError, match=r"'gras' of '1_1_s' is not a class of msrc21 \(did you mean 'grass'\?\)"):
        msrc21(msrc21_root, "train")
    with pytest.raises(DataError, match="lists no picture of the split 'val'"):
        msrc21(msrc21_root, "val")
    tags.unlink()
    with pytest.raises(DataError, match=r"there is no tags file .*tags\.csv"):
        msrc21(msrc21_root, "train")


def test_label_of_another_size_is_no_pair(msrc21_root: Path, paint) -> None:
    paint(msrc21_root / "labels" / "1_1_s.png", np.ones((8, 6)))
    with pytest.raises(DataError, match=r"1_1_s\.jpg is 8 x 6 but its label map .* is 6 x 8"):
        msrc21(msrc21_root, "train")


def test_label_value_outside_the_label_space_is_named(msrc21_root: Path, paint) -> None:
    paint(msrc21_root / "labels" / "1_1_s.png", np.full((6, 8), 24))
    train = msrc21(msrc21_root, "train")
    assert train.label_map is not None
    with pytest.raises(DataError, match=r"1_1_s\.png holds the label values \[24\].*known are 0\.\.23, 255"):
        train.label_map(0)


def test_real_splits(shared_folder: Path) -> None:
    splits = {split: msrc21(shared_folder / "data" / "msrc21", split) for split in ("train", "val", "test")}
    assert {split: len(scenes) for split, scenes in splits.items()} == {"train": 273, "val": 45, "test": 273}
    assert [scenes.label_map is None for scenes in splits.values()] == [False, False, True]
    assert all(scenes.tags is not None and scenes.tags.any(axis=1).all() for scenes in splits.values())
    train = splits["train"]
    assert train.label_map is not None
    for i in range(0, 273, 39):
        assert train.label_map(i).shape == train.image(i).shape[:2]
