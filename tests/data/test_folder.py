"""Any folder of pictures."""

from pathlib import Path

import numpy as np
import pytest

from wsss_lib.data.folder import picture_folder
from wsss_lib.data.label_spaces import CAMVID, VOC
from wsss_lib.vocabulary import DataError


@pytest.fixture
def folder(tmp_path: Path, paint, photo) -> Path:
    root = tmp_path / "holiday"
    for seed, name in enumerate(("Zürich 1.png", "a.b.PNG", "deep/inside.png")):
        paint(root / name, photo(seed, (6 + seed, 8)))
    (root / "notes.txt").write_text("no picture")
    return root


def test_any_names_and_sizes_in_sorted_order(folder: Path, photo) -> None:
    scenes = picture_folder(folder, CAMVID)
    assert scenes.names == ("Zürich 1", "a.b")
    assert (scenes.label_map, scenes.tags) == (None, None)
    np.testing.assert_array_equal(scenes.image(1), photo(1, (7, 8)))


def test_tags_come_from_the_file(folder: Path) -> None:
    tags_csv = folder / "tags.csv"
    tags_csv.write_text("name,tags\na.b,Sky|Road\nZürich 1,Car\n", encoding="utf-8")
    scenes = picture_folder(folder, CAMVID, tags_csv)
    assert scenes.tags is not None
    assert [np.flatnonzero(row).tolist() for row in scenes.tags] == [[CAMVID.index("Car")], [0, CAMVID.index("Road")]]
    assert scenes.fingerprint != picture_folder(folder, CAMVID).fingerprint


def test_tags_must_fit_the_pictures(folder: Path) -> None:
    (folder / "tags.csv").write_text("name,tags\na.b,Sky\n")
    with pytest.raises(DataError, match=r"tags\.csv has no row for Zürich 1"):
        picture_folder(folder, CAMVID, folder / "tags.csv")


def test_two_endings_of_one_name_are_refused(folder: Path, paint, photo) -> None:
    paint(folder / "a.b.jpg", photo(0))
    with pytest.raises(DataError, match=r"both a\.b\.PNG and a\.b\.jpg"):
        picture_folder(folder, CAMVID)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give an existing folder"):
        picture_folder(tmp_path / "nowhere", CAMVID)
    with pytest.raises(DataError, match=r"holds no picture; it needs files that end in \.png"):
        picture_folder(tmp_path, CAMVID)


def test_damaged_picture_raises_when_it_is_read_and_only_then(folder: Path) -> None:
    (folder / "a.b.PNG").write_bytes(b"\x89PNG\r\n")
    scenes = picture_folder(folder, CAMVID)
    assert scenes.image(0).shape == (6, 8, 3)
    with pytest.raises(DataError, match=r"a\.b\.PNG cannot be read as a picture"):
        scenes.image(1)


def test_real_voc_pictures_with_their_tags(shared_folder: Path) -> None:
    root = shared_folder / "data" / "voc12_mini"
    scenes = picture_folder(root / "images", VOC, root / "tags.csv")
    assert len(scenes) == 30
    assert scenes.tags is not None
    assert scenes.tags[scenes.names.index("2007_000762")].tolist() == [
        name in ("background", "bottle", "diningtable", "person") for name in VOC.classes
    ]
