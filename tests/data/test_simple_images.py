"""Simple pictures in class folders and what their classes stand for."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.data.test_tags import APART, TOGETHER
from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES, VOC
from wsss_lib.data.pictures import read_image
from wsss_lib.data.simple_images import (
    TARGETS,
    find_simple_pictures,
    half_of,
    missing_targets,
    simple_images,
    target_of,
)
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace


def test_folders_become_classes_and_empty_ones_are_left_out(simple_root: Path) -> None:
    simple = simple_images(simple_root, CAMVID)
    assert simple.classes == ("car", "grass", "traffic_light", "wall")
    assert simple.labels == (0, 0, 1, 2, 3)
    assert simple.targets == (CAMVID.index("Car"), IGNORE, CAMVID.index("SignSymbol"), CAMVID.index("Building"))
    np.testing.assert_array_equal(simple.image(1), read_image(simple_root / "car" / "y.jpg"))


def test_manifest_says_what_belongs_to_the_set(simple_root: Path) -> None:
    (simple_root / "manifest.csv").write_text("file,class,kind\nwall/x.jpg,wall,full\ncar/y.jpg,truck,crop\n")
    simple = simple_images(simple_root, CAMVID)
    assert simple.classes == ("truck", "wall")
    assert simple.labels == (0, 1)
    np.testing.assert_array_equal(simple.image(0), read_image(simple_root / "car" / "y.jpg"))


@pytest.mark.parametrize(
    ("simple_class", "camvid_class", "cityscapes_class"),
    [
        ("building", "Building", "building"),
        ("wall", "Building", "wall"),
        ("sidewalk", "Pavement", "sidewalk"),
        ("sign", "SignSymbol", "traffic sign"),
        ("traffic_light", "SignSymbol", "traffic light"),
        ("car", "Car", "car"),
        ("truck", "Car", "truck"),
        ("bus", "Car", "bus"),
        ("person", "Pedestrian", "person"),
        ("rider", "Bicyclist", "rider"),
        ("bicycle", "Bicyclist", "bicycle"),
        ("motorcycle", "Bicyclist", "motorcycle"),
        ("tree", "Tree", "vegetation"),
        ("grass", None, "terrain"),
        ("train", None, "train"),
        ("bridge", "Building", None),
        ("submarine", None, None),
    ],
)
def test_what_a_simple_class_stands_for(
    simple_class: str, camvid_class: str | None, cityscapes_class: str | None
) -> None:
    for space, name in ((CAMVID, camvid_class), (CITYSCAPES, cityscapes_class)):
        assert target_of(simple_class, space) == (IGNORE if name is None else space.index(name))


def test_own_classes_are_met_by_folders_of_the_same_name_or_with_underscores_for_spaces() -> None:
    space = LabelSpace(name="own", classes=("traffic_light", "traffic sign", "road"), colors=((0, 0, 0),) * 3)
    folders = ("traffic_light", "traffic_sign", "traffic sign", "road", "traffic light")
    assert [target_of(name, space) for name in folders] == [0, 1, 1, 2, IGNORE]


def _own_space() -> LabelSpace:
    return LabelSpace(name="own", classes=("road", TOGETHER), colors=((0, 0, 0), (1, 1, 1)))


@pytest.mark.parametrize("folder", [TOGETHER, APART])
def test_class_folders_are_met_in_either_spelling_of_their_accents(tmp_path: Path, paint, photo, folder: str) -> None:
    file = paint(tmp_path / folder / f"{folder}.png", photo(0))
    simple = simple_images(tmp_path, _own_space())
    assert (simple.classes, simple.targets) == ((TOGETHER,), (1,))
    assert missing_targets(simple) == ("road",)
    assert target_of(folder, _own_space()) == 1
    np.testing.assert_array_equal(simple.image(0), read_image(file))


def test_one_class_in_two_spellings_is_one_class(tmp_path: Path, paint, photo) -> None:
    for seed, folder in enumerate((TOGETHER, APART)):
        paint(tmp_path / folder / "x.png", photo(seed))
    simple = simple_images(tmp_path, _own_space())
    assert (simple.classes, simple.labels) == ((TOGETHER,), (0, 0))


@pytest.mark.parametrize(("listed", "on_disk"), [(TOGETHER, APART), (APART, TOGETHER)])
def test_manifest_meets_files_in_either_spelling(tmp_path: Path, paint, photo, listed: str, on_disk: str) -> None:
    """A row of each spelling names one file; the path is the one on disk."""
    file = paint(tmp_path / on_disk / f"{on_disk}.png", photo(0))
    rows = "".join(f"{name}/{name}.png,{name}\n" for name in (listed, on_disk))
    (tmp_path / "manifest.csv").write_text(f"file,class\n{rows}", encoding="utf-8")
    assert find_simple_pictures(tmp_path) == {TOGETHER: [file]}
    (tmp_path / "manifest.csv").write_text(f"file,class\n{listed}/gone.png,road\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"1 of 1 pictures listed in .* are missing \(.*gone\.png\)"):
        find_simple_pictures(tmp_path)


@pytest.mark.parametrize("space", [CAMVID, CITYSCAPES])
def test_tables_send_classes_only_where_there_are_classes(space) -> None:
    assert set(TARGETS[space.name].values()) <= set(space.classes)


def test_gaps_are_listed_without_the_background(simple_root: Path) -> None:
    assert missing_targets(simple_images(simple_root, CAMVID)) == (
        *("Sky", "Pole", "Road", "Pavement", "Tree", "Fence", "Pedestrian", "Bicyclist"),
    )
    gaps = missing_targets(simple_images(simple_root, VOC))
    assert "background" not in gaps
    assert "car" not in gaps
    assert len(gaps) == 19


def test_fingerprint_follows_pictures_classes_and_target(simple_root: Path) -> None:
    first = simple_images(simple_root, CAMVID).fingerprint
    assert simple_images(simple_root, CAMVID).fingerprint == first
    assert simple_images(simple_root, CITYSCAPES).fingerprint != first
    (simple_root / "car" / "x.jpg").rename(simple_root / "wall" / "y.jpg")
    assert simple_images(simple_root, CAMVID).fingerprint != first


def test_simple_set_can_be_sent_to_another_process(simple_root: Path) -> None:
    simple = simple_images(simple_root, CAMVID)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(simple)).image(0), simple.image(0))


def test_halves_have_every_second_picture_of_every_class(tmp_path: Path) -> None:
    """Three cars and two skies: cars 0 and 2 and sky 0 in the first half, car 1 and sky 1 in the second."""
    for number, name in enumerate(("car/a", "car/b", "car/c", "sky/a", "sky/b")):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(exist_ok=True)
        Pillow.fromarray(np.full((4, 4, 3), number, dtype=np.uint8)).save(path)
    simple = simple_images(tmp_path, CAMVID)
    for number, (labels, shown) in enumerate((((0, 0, 1), [0, 2, 3]), ((0, 1), [1, 4]))):
        half = pickle.loads(pickle.dumps(half_of(simple, number)))
        assert half.labels == labels
        assert [int(half.image(i)[0, 0, 0]) for i in range(len(half))] == shown
        assert (half.classes, half.targets) == (simple.classes, simple.targets)
    prints = {simple.fingerprint, half_of(simple, 0).fingerprint, half_of(simple, 1).fingerprint}
    assert len(prints) == 3


def test_the_only_picture_of_a_class_is_in_both_halves(simple_root: Path) -> None:
    """Two cars, and one picture of each of the other three classes."""
    for number in (0, 1):
        assert half_of(simple_images(simple_root, CAMVID), number).labels == (0, 1, 2, 3)


def test_missing_and_empty_folders_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*one folder of pictures for each class"):
        simple_images(tmp_path / "nowhere", CAMVID)
    with pytest.raises(DataError, match="holds no pictures in class folders"):
        simple_images(tmp_path, CAMVID)


def test_manifest_of_missing_pictures_counts_them(simple_root: Path) -> None:
    (simple_root / "manifest.csv").write_text("file,class\ncar/x.jpg,car\ncar/gone.jpg,car\n")
    with pytest.raises(DataError, match=r"1 of 2 pictures listed in .*manifest\.csv are missing \(.*gone\.jpg\)"):
        simple_images(simple_root, CAMVID)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"file,class\n", b"\xef\xbb\xbffile,class\r\n"])
def test_empty_manifest_is_told_from_empty_folders(simple_root: Path, content: bytes) -> None:
    (simple_root / "manifest.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.csv is empty.*; restore it, or remove it to take the class"):
        simple_images(simple_root, CAMVID)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", r"cannot be read as CSV"),
        (b"path,label\ncar/x.jpg,car\n", r"has rows without a value for file or class"),
        (b"file,class\ncar/x.jpg\n", r"has rows without a value for file or class"),
    ],
)
def test_unreadable_manifest_says_what_to_do(simple_root: Path, content: bytes, message: str) -> None:
    (simple_root / "manifest.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"manifest\.csv {message}.*; restore it, or remove it"):
        simple_images(simple_root, CAMVID)


def test_real_simple_pictures(shared_folder: Path) -> None:
    root = shared_folder / "data" / "simple_images"
    simple = simple_images(root, CAMVID)
    assert (len(simple), len(simple.classes)) == (1229, 18)
    assert simple.labels.count(simple.classes.index("bus")) == 8
    assert missing_targets(simple) == ()
    absorbing = [name for name, target in zip(simple.classes, simple.targets, strict=True) if target == IGNORE]
    assert absorbing == ["grass", "train"]
    assert missing_targets(simple_images(root, CITYSCAPES)) == ("rider",)
    assert simple.image(0).ndim == 3
