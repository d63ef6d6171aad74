"""Any folder of one's own pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.data.test_tags import APART, TOGETHER
from wsss_lib.data.folder import OwnFolders, own_label_space, own_scenes
from wsss_lib.data.label_spaces import CAMVID, VOC
from wsss_lib.vocabulary import DataError, LabelSpace, SceneSet, SettingsError


def scenes_of(images: Path, tags: Path, label_space: LabelSpace = CAMVID) -> SceneSet:
    return own_scenes(OwnFolders(images=images, tags=tags, simple_images=images / "simple", label_space=label_space))


@pytest.fixture
def folder(tmp_path: Path, paint, photo) -> Path:
    root = tmp_path / "holiday"
    for seed, name in enumerate(("Zürich 1.png", "a.b.PNG", "deep/inside.png")):
        paint(root / name, photo(seed, (6 + seed, 8)))
    (root / "notes.txt").write_text("no picture")
    return root


@pytest.fixture
def tags(folder: Path) -> Path:
    path = folder / "tags.csv"
    path.write_text("name,tags\na.b,Sky|Road\nZürich 1,Car\n", encoding="utf-8")
    return path


def test_any_names_and_sizes_in_sorted_order(folder: Path, tags: Path, photo) -> None:
    scenes = scenes_of(folder, tags)
    assert scenes.names == ("Zürich 1", "a.b")
    assert scenes.label_map is None
    np.testing.assert_array_equal(scenes.image(1), photo(1, (7, 8)))


def test_tags_come_from_the_file(folder: Path, tags: Path) -> None:
    scenes = scenes_of(folder, tags)
    assert [np.flatnonzero(row).tolist() for row in scenes.tags] == [[CAMVID.index("Car")], [0, CAMVID.index("Road")]]
    tags.write_text("name,tags\na.b,Sky\nZürich 1,Car\n", encoding="utf-8")
    assert scenes_of(folder, tags).fingerprint != scenes.fingerprint


def test_tags_must_fit_the_pictures(folder: Path, tags: Path) -> None:
    tags.write_text("name,tags\na.b,Sky\n")
    with pytest.raises(DataError, match=r"tags\.csv has no row for Zürich 1"):
        scenes_of(folder, tags)


def test_two_endings_of_one_name_are_refused(folder: Path, tags: Path, paint, photo) -> None:
    paint(folder / "a.b.jpg", photo(0))
    with pytest.raises(DataError, match=r"both a\.b\.PNG and a\.b\.jpg"):
        scenes_of(folder, tags)


def test_missing_and_empty_folders_are_refused(tmp_path: Path, tags: Path) -> None:
    with pytest.raises(DataError, match="give an existing folder"):
        scenes_of(tmp_path / "nowhere", tags)
    with pytest.raises(DataError, match=r"holds no picture; it needs files that end in \.png"):
        scenes_of(tmp_path, tags)


def test_damaged_picture_raises_when_it_is_read_and_only_then(folder: Path, tags: Path) -> None:
    (folder / "a.b.PNG").write_bytes(b"\x89PNG\r\n")
    scenes = scenes_of(folder, tags)
    assert scenes.image(0).shape == (6, 8, 3)
    with pytest.raises(DataError, match=r"a\.b\.PNG cannot be read as a picture"):
        scenes.image(1)


@pytest.mark.parametrize(
    ("file", "content", "count"),
    [
        ("tags.csv", "name,tags\na,\nb,\n", 0),
        ("tags.csv", 'name,tags\n"a,road|sky\nb,car\n', 0),  # the quote swallows all that follows
        ("tags.csv", "name,tags\na,road\n", 1),
        ("tags.json", '{"a": [], "b": []}', 0),
    ],
)
def test_too_few_tags_are_told_with_their_file(tmp_path: Path, file: str, content: str, count: int) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(SettingsError, match=rf"{file} names {count} classes; .* every quote is closed"):
        own_label_space(tmp_path / file)


def test_too_few_given_classes_are_not_laid_to_the_file(tags: Path) -> None:
    with pytest.raises(SettingsError, match=r"^the list of classes names 1 classes; .*: give another list"):
        own_label_space(tags, ("Sky",))


def test_given_classes_meet_tags_in_either_spelling(tmp_path: Path) -> None:
    for listed, given in ((TOGETHER, APART), (APART, TOGETHER)):
        (tmp_path / "tags.csv").write_text(f"name,tags\na,{listed}|road\n", encoding="utf-8")
        assert own_label_space(tmp_path / "tags.csv", (given, "road")).classes == (TOGETHER, "road")
        assert own_label_space(tmp_path / "tags.csv").classes == (TOGETHER, "road")


def _with_labels(folder: Path, tags: Path) -> SceneSet:
    labels = folder.parent / "labels"
    return own_scenes(OwnFolders(images=folder, tags=tags, simple_images=folder, label_space=CAMVID, labels=labels))


@pytest.mark.parametrize(("picture", "listed", "label"), [(APART, TOGETHER, TOGETHER), (TOGETHER, APART, APART)])
def test_tags_and_label_maps_meet_pictures_in_either_spelling(
    tmp_path: Path, paint, photo, picture: str, listed: str, label: str
) -> None:
    """The name of the scene is that of its file."""
    paint(tmp_path / "images" / f"{picture}.png", photo(0))
    paint(tmp_path / "labels" / f"{label}.png", np.full((6, 8), 3))
    (tmp_path / "tags.csv").write_text(f"name,tags\n{listed}.png,Road\n", encoding="utf-8")
    scenes = _with_labels(tmp_path / "images", tmp_path / "tags.csv")
    assert scenes.names == (picture,)
    assert scenes.label_map is not None
    assert (scenes.label_map(0) == 3).all()


def test_label_maps_that_are_no_png_are_refused(folder: Path, tags: Path) -> None:
    """JPEG changes the numbers of the classes at every border."""
    (folder.parent / "labels").mkdir()
    Pillow.fromarray(np.zeros((6, 8), np.uint8)).save(folder.parent / "labels" / "Zürich 1.jpg")
    with pytest.raises(DataError, match=r"labels has label maps that are no PNG \(Zürich 1\.jpg\).*save them as index"):
        _with_labels(folder, tags)


@pytest.mark.parametrize("shape", [(8, 6), (12, 16), (6, 7)])
def test_label_maps_of_another_size_are_refused(folder: Path, tags: Path, paint, shape: tuple[int, int]) -> None:
    """Resizing would hide it: the label map would be stretched over its picture, of 6 x 8 pixels."""
    paint(folder.parent / "labels" / "Zürich 1.png", np.zeros(shape))
    scenes = _with_labels(folder, tags)
    assert scenes.label_map is not None
    with pytest.raises(DataError, match=r"labels.Zürich 1\.png is not as large as its picture .*; give a pair of one"):
        scenes.label_map(0)


def test_real_voc_pictures_with_their_tags(shared_folder: Path) -> None:
    root = shared_folder / "data" / "voc12_mini"
    scenes = scenes_of(root / "images", root / "tags.csv", VOC)
    assert len(scenes) == 30
    assert scenes.tags[scenes.names.index("2007_000762")].tolist() == [
        name in ("background", "bottle", "diningtable", "person") for name in VOC.classes
    ]
