"""VOC 2012 with SBD: a miniature tree of the real layout and encodings, and 30 real pictures."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from wsss_lib.data.label_spaces import VOC
from wsss_lib.data.pictures import read_image
from wsss_lib.data.voc2012 import read_voc_labels, voc2012
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

KIT = Path("VOCdevkit") / "VOC2012"


def ids(letters: str) -> tuple[str, ...]:
    return tuple(f"2007_00000{letter}" for letter in letters)


def test_train_is_voc_and_what_sbd_adds_without_val(voc_root: Path) -> None:
    """VOC's a keeps its own label map (cat, border unknown); c and d are SBD's (dog), and b is held out."""
    train = voc2012(voc_root, "train")
    assert train.names == ids("acd")
    assert train.label_map is not None
    assert [sorted(np.unique(train.label_map(i)).tolist()) for i in range(3)] == [[0, 8, IGNORE], [0, 12], [0, 12]]
    np.testing.assert_array_equal(train.image(1), read_image(voc_root / KIT / "JPEGImages" / "2007_00000c.jpg"))


def test_tags_are_objects_and_the_background(voc_root: Path) -> None:
    tags = voc2012(voc_root, "train").tags
    assert tags is not None
    named = [np.array(VOC.classes)[row].tolist() for row in tags]
    assert named == [["background", "cat"], ["background", "dog"], ["background", "dog"]]


def test_the_other_splits(voc_root: Path) -> None:
    assert voc2012(voc_root, "train_voc").names == ids("a")
    assert voc2012(voc_root, "val").names == ids("b")
    test = voc2012(voc_root, "test")
    assert (test.names, test.label_map, test.tags) == (ids("t"), None, None)


def test_the_development_kit_itself_may_be_given(voc_root: Path) -> None:
    for given in (voc_root / "VOCdevkit", voc_root / KIT):
        assert voc2012(given, "train").fingerprint == voc2012(voc_root, "train").fingerprint


def test_converted_label_maps_of_sbd(voc_root: Path, paint) -> None:
    shutil.rmtree(voc_root / "benchmark_RELEASE")
    for name in ids("abcd"):
        paint(voc_root / KIT / "SegmentationClassAug" / f"{name}.png", np.full((6, 8), 12))
    train = voc2012(voc_root, "train")
    assert train.names == ids("acd")
    assert train.label_map is not None
    assert train.label_map(1).tolist() == [[12] * 8] * 6


def test_a_picture_whose_map_shows_no_background_has_its_tag(voc_root: Path, paint) -> None:
    paint(voc_root / KIT / "SegmentationClass" / "2007_00000b.png", np.full((6, 8), 8))
    tags = voc2012(voc_root, "val").tags
    assert tags is not None
    assert np.array(VOC.classes)[tags[0]].tolist() == ["background", "cat"]


def test_converted_label_maps_come_before_the_files_of_sbd(voc_root: Path, paint) -> None:
    """Of what is both there, and VOC's own map comes before either."""
    for name in ids("acd"):
        paint(voc_root / KIT / "SegmentationClassAug" / f"{name}.png", np.full((6, 8), 15))
    train = voc2012(voc_root, "train")
    assert train.label_map is not None
    assert [sorted(np.unique(train.label_map(i)).tolist()) for i in range(3)] == [[0, 8, IGNORE], [15], [15]]


def test_a_folder_without_converted_label_maps_does_not_stand_for_sbd(voc_root: Path) -> None:
    (voc_root / KIT / "SegmentationClassAug").mkdir()
    assert voc2012(voc_root, "train").names == ids("acd")
    shutil.rmtree(voc_root / "benchmark_RELEASE")
    with pytest.raises(DataError, match="need SBD"):
        voc2012(voc_root, "train")


def test_hidden_files_are_no_label_maps(voc_root: Path, paint) -> None:
    """A Mac leaves one beside every file."""
    for name in ids("acd"):
        paint(voc_root / KIT / "SegmentationClassAug" / f"{name}.png", np.full((6, 8), 12))
        (voc_root / KIT / "SegmentationClassAug" / f"._{name}.png").write_bytes(b"Mac OS X")
    assert voc2012(voc_root, "train").names == ids("acd")


def test_real_label_maps(shared_folder: Path) -> None:
    """Of 30 real pictures: classes of the label space, borders, and the tags that the list gives."""
    labels = sorted((shared_folder / "data" / "voc12_mini" / "labels").glob("*.png"))
    assert len(labels) == 30
    maps = [read_voc_labels(path) for path in labels]
    assert all((each[each != IGNORE] < 21).all() for each in maps)
    assert sum(IGNORE in each for each in maps) >= 25


# ---------------------------------------------------------------------------------------------------------- bad input


def test_without_sbd_the_large_split_is_missing_but_not_the_others(voc_root: Path) -> None:
    shutil.rmtree(voc_root / "benchmark_RELEASE")
    with pytest.raises(DataError, match=r"the 10,582 training pictures need SBD.*benchmark\.tgz"):
        voc2012(voc_root, "train")
    assert len(voc2012(voc_root, "train_voc")) == 1


def test_missing_files_are_counted(voc_root: Path) -> None:
    (voc_root / "benchmark_RELEASE" / "dataset" / "cls" / "2007_00000d.mat").unlink()
    with pytest.raises(
        DataError, match=r"1 of 2 label maps of SBD .* are missing \(2007_00000d\.mat\); get benchmark\.tgz"
    ):
        voc2012(voc_root, "train")
    (voc_root / KIT / "SegmentationClass" / "2007_00000b.png").unlink()
    (voc_root / "benchmark_RELEASE" / "dataset" / "cls" / "2007_00000b.mat").unlink()
    with pytest.raises(DataError, match=r"val split are missing \(2007_00000b\.png\); get VOCtrainval"):
        voc2012(voc_root, "val")
    (voc_root / KIT / "JPEGImages" / "2007_00000b.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 1 pictures of VOC's val split are missing \(2007_00000b.jpg\)"):
        voc2012(voc_root, "val")
    (voc_root / KIT / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"there is no list .*val\.txt"):
        voc2012(voc_root, "val")
    with pytest.raises(DataError, match=r"no VOCdevkit/VOC2012/JPEGImages in .*VOCtrainval_11-May-2012\.tar"):
        voc2012(voc_root / "elsewhere", "val")


def test_labels_of_sbd_do_not_stand_for_those_that_scores_are_published_on(voc_root: Path, paint) -> None:
    own = sorted((voc_root / KIT / "SegmentationClass").glob("*.png"))
    for path in own:
        paint(voc_root / KIT / "SegmentationClassAug" / path.name, np.full((6, 8), 15))
        path.unlink()
    for split in ("val", "train"):
        with pytest.raises(DataError, match=rf"label maps of VOC's {split} split are missing \("):
            voc2012(voc_root, split)


def test_what_is_missing_of_a_further_package_names_that_package(voc_root: Path) -> None:
    (voc_root / "benchmark_RELEASE" / "dataset" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"there is no list .*val\.txt; get benchmark\.tgz"):
        voc2012(voc_root, "train")
    (voc_root / KIT / "JPEGImages" / "2007_00000t.jpg").unlink()
    with pytest.raises(DataError, match=r"VOC's test split are missing \(2007_00000t\.jpg\); .*VOC2012test\.tar"):
        voc2012(voc_root, "test")
    (voc_root / KIT / "ImageSets" / "Segmentation" / "test.txt").unlink()
    with pytest.raises(DataError, match=r"there is no list .*test\.txt; .*VOC2012test\.tar"):
        voc2012(voc_root, "test")


@pytest.mark.parametrize("ending", ["mat", "png"])
def test_a_label_map_of_another_size_than_its_picture_is_refused(voc_root: Path, paint, ending: str) -> None:
    wrong = np.full((5, 9), 12, dtype=np.uint8)
    if ending == "mat":
        file = voc_root / "benchmark_RELEASE" / "dataset" / "cls" / "2007_00000c.mat"
        scipy.io.savemat(file, {"GTcls": {"Segmentation": wrong}})
    else:
        for name in ids("cd"):
            paint(voc_root / KIT / "SegmentationClassAug" / f"{name}.png", wrong)
    with pytest.raises(DataError, match=rf"00000c\.jpg is 8 x 6 but its label map .*00000c\.{ending} is 9 x 5; they"):
        voc2012(voc_root, "train")


@pytest.mark.parametrize("lines", ["../../etc/passwd\n", "/abs\n", "\n"])
def test_lists_that_name_no_pictures_are_refused(voc_root: Path, lines: str) -> None:
    (voc_root / KIT / "ImageSets" / "Segmentation" / "val.txt").write_text(lines)
    with pytest.raises(DataError, match=r"which is no picture id|is empty"):
        voc2012(voc_root, "val")


@pytest.mark.parametrize(
    "values", [np.full((6, 8), 21), np.full((6, 8), 0.5), np.zeros((2, 2, 2)), np.full((6, 8), -1)]
)
def test_files_of_sbd_with_other_contents_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    scipy.io.savemat(tmp_path / "x.mat", {"GTcls": {"Segmentation": values}})
    with pytest.raises(DataError, match=r"x\.mat holds no map of the classes 0\.\.20; get benchmark\.tgz"):
        read_voc_labels(tmp_path / "x.mat")


def test_damaged_files_of_sbd_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mat").write_bytes(b"no MATLAB file")
    scipy.io.savemat(tmp_path / "y.mat", {"GTinst": 1})
    for name in ("x", "y"):
        with pytest.raises(DataError, match=rf"{name}\.mat cannot be read as a label map of SBD"):
            read_voc_labels(tmp_path / f"{name}.mat")


def test_coloured_label_pictures_are_refused(voc_root: Path, paint, photo) -> None:
    paint(voc_root / KIT / "SegmentationClass" / "2007_00000b.png", photo(1))
    with pytest.raises(DataError, match="mode RGB, not an index map"):
        voc2012(voc_root, "val")


def test_an_unknown_split_is_answered_with_the_known(voc_root: Path) -> None:
    with pytest.raises(SettingsError, match=r"'train_aug' is not a split of VOC 2012.*train, train_voc, val, test"):
        voc2012(voc_root, "train_aug")
