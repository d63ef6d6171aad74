"""The data check: says what is there, finds each kind of damage, never raises."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from wsss_lib.data import imagenet
from wsss_lib.data.check import Journal, check_data, datasets, findings, journal


@pytest.fixture
def data_root(camvid_root: Path, msrc21_root: Path, simple_root: Path) -> Path:
    """A folder with three data sets, whole."""
    (root,) = {camvid_root.parent, msrc21_root.parent, simple_root.parent}
    return root


def _findings(root: Path, dataset: str, severity: str) -> list[str]:
    return [f.message for f in check_data(root) if (f.dataset, f.severity) == (dataset, severity)]


def test_whole_data_is_all_right_and_counted(data_root: Path) -> None:
    assert not [f for f in check_data(data_root) if f.severity == "error"]
    assert _findings(data_root, "camvid", "warning") == []
    assert _findings(data_root, "camvid", "ok") == [
        "train: 2 pictures can be read (8 x 6), 2 label maps with 2.00 classes on average",
        "val: 1 pictures can be read (8 x 6), 1 label maps with 3.00 classes on average",
        "test: 1 pictures can be read (8 x 6), no label maps, so nothing can be measured on it",
    ]
    assert _findings(data_root, "simple_images", "ok") == ["5 pictures in 4 classes can be read"]
    assert len(_findings(data_root, "msrc21", "ok")) == 3


def test_thin_and_missing_simple_classes_are_named(data_root: Path) -> None:
    thin, camvid_gaps, cityscapes_gaps = _findings(data_root, "simple_images", "warning")
    assert "car 2, grass 1, traffic_light 1, wall 1" in thin
    assert "Sky, Pole, Road" in camvid_gaps
    assert "rider" in cityscapes_gaps


def test_no_folder_and_absent_data_sets(tmp_path: Path, msrc21_root: Path) -> None:
    (finding,) = check_data(tmp_path / "nowhere")
    assert finding.severity == "error"
    absent = [f.dataset for f in check_data(msrc21_root.parent) if "not there: no folder" in f.message]
    assert absent == ["cityscapes", "camvid", "imagenet", "simple_images", "voc2012"]


def test_cityscapes_is_counted_and_compared_with_what_is_published(cityscapes_root: Path) -> None:
    root = cityscapes_root.parent
    assert _findings(root, "cityscapes", "error") == []
    assert _findings(root, "cityscapes", "ok") == [
        "train: 2 pictures can be read (8 x 6), 2 label maps with 2.00 classes on average",
        "train: every frame has the one after it, so there is optical flow",
        "val: 1 pictures can be read (8 x 6), 1 label maps with 2.00 classes on average",
        "test: 1 pictures can be read (8 x 6), no label maps, so nothing can be measured on it",
    ]
    assert _findings(root, "cityscapes", "warning") == [
        "train: 2 pictures; the published data set has 2975",
        "val: 1 pictures; the published data set has 500",
        "test: 1 pictures; the published data set has 1525",
    ]


def test_damage_of_cityscapes_is_found_without_decoding(cityscapes_root: Path) -> None:
    """A picture that breaks off, trainIds called label ids, a frame missing from a sequence, one picture twice."""
    pictures = cityscapes_root / "leftImg8bit"
    ulm = pictures / "train" / "ulm" / "ulm_000002_000019_leftImg8bit.png"
    aachen = pictures / "train" / "aachen" / "aachen_000001_000019_leftImg8bit.png"
    shutil.copyfile(aachen, pictures / "val" / "lindau" / "lindau_000000_000019_leftImg8bit.png")
    ulm.write_bytes(ulm.read_bytes()[:-20])
    (cityscapes_root / "leftImg8bit_sequence/train/ulm/ulm_000002_000020_leftImg8bit.png").unlink()
    labels = cityscapes_root / "gtFine" / "val" / "lindau" / "lindau_000000_000019_gtFine_labelIds.png"
    Pillow.fromarray(np.full((6, 8), 255, np.uint8)).save(labels)
    root = cityscapes_root.parent
    damaged, frames, wrong = _findings(root, "cityscapes", "error")
    assert "1 of 2 train pictures are damaged" in damaged
    assert "ulm_000002_000019_leftImg8bit.png breaks off before its end" in damaged
    assert "1 of 2 frames that follow" in frames
    assert "but holds 255, as trainIds do" in wrong
    assert any("1 pictures are in two splits" in message for message in _findings(root, "cityscapes", "warning"))


def test_voc_is_counted_and_its_further_packages_are_only_warned_of(voc_root: Path) -> None:
    voc_root.rename(voc_root.parent / "voc2012")
    root = voc_root.parent
    assert _findings(root, "voc2012", "error") == []
    assert [message.partition(" can")[0] for message in _findings(root, "voc2012", "ok")] == [
        "train_voc: 1 pictures", "train: 3 pictures", "val: 1 pictures", "test: 1 pictures",
    ]  # fmt: skip
    shutil.rmtree(root / "voc2012" / "benchmark_RELEASE")
    (root / "voc2012/VOCdevkit/VOC2012/ImageSets/Segmentation/test.txt").unlink()
    assert _findings(root, "voc2012", "error") == []
    warnings = " ".join(_findings(root, "voc2012", "warning"))
    assert "training pictures need SBD" in warnings
    assert "there is no list" in warnings


@pytest.mark.parametrize("part", ["cls", "val.txt", "cls/2007_00000d.mat"])
def test_sbd_that_is_partly_there_is_an_error(voc_root: Path, part: str) -> None:
    voc_root.rename(voc_root.parent / "voc2012")
    target = voc_root.parent / "voc2012" / "benchmark_RELEASE" / "dataset" / part
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    (error,) = _findings(voc_root.parent, "voc2012", "error")
    assert error.startswith("train: ")
    assert "get benchmark.tgz" in error


def test_a_test_list_of_voc_without_its_pictures_is_an_error(voc_root: Path) -> None:
    voc_root.rename(voc_root.parent / "voc2012")
    (voc_root.parent / "voc2012/VOCdevkit/VOC2012/JPEGImages/2007_00000t.jpg").unlink()
    (error,) = _findings(voc_root.parent, "voc2012", "error")
    assert error.startswith("test: 1 of 1 pictures")


def test_a_folder_of_voc_without_voc_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "voc2012" / "JPEGimages").mkdir(parents=True)
    (error,) = _findings(tmp_path, "voc2012", "error")
    assert "there is no VOCdevkit" in error
    assert _findings(tmp_path, "voc2012", "warning") == []


def test_imagenet_without_a_picture_of_the_table_is_an_error(tmp_path: Path, paint, photo) -> None:
    paint(tmp_path / "imagenet" / "n01440764" / "tench.JPEG", photo(1))
    (tmp_path / "imagenet" / "n02958343").mkdir()
    (error,) = _findings(tmp_path, "imagenet", "error")
    assert "has no picture of any synset of the table; register at image-net.org" in error


def test_damaged_pictures_of_imagenet_are_found_where_they_would_be_used(
    tmp_path: Path, paint, photo, monkeypatch
) -> None:
    """Two of the five cars are damaged; a church only stands in where there is no building."""
    files = [paint(tmp_path / "imagenet" / "n02958343" / f"{k}.JPEG", photo(k)) for k in range(5)]
    for synset in ("n02913152", "n03028079"):  # building, church
        paint(tmp_path / "imagenet" / synset / "b.JPEG", photo(9))
    (tmp_path / "imagenet" / "n03028079" / "b.JPEG").write_bytes(b"")
    files[1].write_bytes(b"")
    files[4].write_bytes(files[4].read_bytes()[:-40])
    (error,) = _findings(tmp_path, "imagenet", "error")
    assert error.startswith("2 of 6 pictures are damaged: ")
    assert "1.JPEG cannot be read" in error
    assert "4.JPEG cannot be read" in error
    chosen = imagenet.chosen_pictures
    monkeypatch.setattr(imagenet, "chosen_pictures", lambda root, *_: chosen(root, 4))
    (error,) = _findings(tmp_path, "imagenet", "error")
    assert error.startswith("1 of 5 pictures are damaged: ")


def test_classes_of_imagenet_are_counted(tmp_path: Path, paint, photo) -> None:
    for k in range(20):
        paint(tmp_path / "imagenet" / "n02958343" / f"{k}.JPEG", photo(k))
    paint(tmp_path / "imagenet" / "n03028079" / "church.JPEG", photo(1))
    assert [message.partition(" (")[0] for message in _findings(tmp_path, "imagenet", "ok")] == ["car: 20 pictures"]
    warnings = _findings(tmp_path, "imagenet", "warning")
    assert len(warnings) == 19
    assert any(message.startswith("building: 1 pictures") and "stand-ins" in message for message in warnings)


@pytest.mark.parametrize(
    ("dataset", "file", "message"),
    [
        ("camvid", "camvid/train/a.webp", "1 of 2 train pictures are damaged: .*a.webp cannot be read"),
        ("camvid", "camvid/valannot/c.png", "1 of 1 val label maps are damaged: .*c.png cannot be read"),
        ("msrc21", "msrc21/images/2_1_s.jpg", "1 of 1 val pictures are damaged"),
        ("msrc21", "msrc21/tags.csv", "cannot be read as a CSV file of tags"),
        ("simple_images", "simple_images/car/x.jpg", "1 of 5 pictures are damaged: .*x.jpg cannot be read"),
        ("simple_images", "simple_images/manifest.csv", "manifest.csv cannot be read as CSV"),
        ("msrc21", "msrc21/labels/2_1_s.png", "1 of 1 val label maps are damaged"),
        ("camvid", "camvid/train.txt", "list .*train.txt cannot be read"),
    ],
)
def test_damaged_files_are_reported(data_root: Path, dataset: str, file: str, message: str) -> None:
    (data_root / file).write_bytes(b"\xff\xfe\x00 neither picture nor text \x80")
    (error,) = _findings(data_root, dataset, "error")
    with pytest.raises(ValueError, match=message):
        raise ValueError(error)


@pytest.mark.parametrize(
    ("dataset", "path", "message"),
    [
        ("camvid", "camvid/train/a.webp", "train pictures are incomplete: 1 of 2"),
        ("camvid", "camvid/trainannot/b.png", "train: label maps are missing for 1 of 2 names (b)"),
        ("camvid", "camvid/val", "val pictures are missing"),
        ("msrc21", "msrc21/images/3_1_s.jpg", "test: pictures listed in tags.csv are missing for 1 of 1 names (3_1_s)"),
        ("msrc21", "msrc21/labels/1_1_s.png", "train: label maps are missing for 1 of 1 names"),
        ("msrc21", "msrc21/tags.csv", "there is no tags file"),
        ("msrc21", "msrc21/images", "images cannot be listed"),
    ],
)
def test_missing_files_are_reported(data_root: Path, dataset: str, path: str, message: str) -> None:
    target = data_root / path
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert any(message in error for error in _findings(data_root, dataset, "error"))


def test_label_values_sizes_and_tags_that_do_not_fit(data_root: Path, paint) -> None:
    paint(data_root / "camvid" / "valannot" / "c.png", np.full((6, 8), 77))
    paint(data_root / "camvid" / "trainannot" / "b.png", np.zeros((6, 6)))
    sizes, values = _findings(data_root, "camvid", "error")
    assert "c.png holds the label values [77]" in values
    assert sizes == "train: 1 pictures and their label maps differ in proportions (b.webp)"
    tags = data_root / "msrc21" / "tags.csv"
    tags.write_text(tags.read_text().replace("cow", "cwo"))
    (error,) = _findings(data_root, "msrc21", "error")
    assert "(did you mean 'cow'?)" in error


def test_label_maps_that_are_read_at_another_size_may_be_smaller(data_root: Path, paint) -> None:
    """Only CamVid's are: its full pictures come with label maps of half the size. MSRC-21's must be as large."""
    paint(data_root / "camvid" / "trainannot" / "b.png", np.zeros((3, 4)))
    assert not list(_findings(data_root, "camvid", "error"))
    paint(data_root / "msrc21" / "labels" / "1_1_s.png", np.zeros((3, 4)))
    (error,) = _findings(data_root, "msrc21", "error")
    assert "differ in size" in error


def test_left_over_files_are_warned_of(data_root: Path, paint, photo) -> None:
    paint(data_root / "camvid" / "train" / "z.png", photo(11))
    paint(data_root / "camvid" / "trainannot" / "y.png", np.zeros((6, 8)))
    paint(data_root / "msrc21" / "images" / "z.png", photo(12))
    warnings = "\n".join(f.message for f in check_data(data_root) if f.severity == "warning")
    assert "train are not in its list and are not used (z)" in warnings
    assert "trainannot have no picture and are not used (y)" in warnings
    assert "1 pictures have no row in tags.csv and are not used (z)" in warnings


def test_a_picture_in_two_splits_is_found_by_its_contents(data_root: Path) -> None:
    shutil.copy(data_root / "camvid" / "train" / "a.webp", data_root / "camvid" / "test" / "d.webp")
    (warning,) = _findings(data_root, "camvid", "warning")
    assert warning == (
        "1 pictures are in two splits (train/a.webp = test/d.webp); part of what "
        "is trained on is measured on, so better train without them"
    )


def test_a_simple_picture_of_two_classes_is_found_by_its_contents(data_root: Path) -> None:
    shutil.copy(data_root / "simple_images" / "car" / "x.jpg", data_root / "simple_images" / "wall" / "copy.jpg")
    repeated = _findings(data_root, "simple_images", "warning")[0]
    assert repeated.startswith("1 pictures are in two classes (car/x.jpg = wall/copy.jpg)")


def test_real_data_has_nothing_wrong_but_one_picture_in_two_splits(shared_folder: Path, tmp_path: Path) -> None:
    """The smallest data set: CamVid's 701 pictures take seconds, and its own tests read them."""
    (tmp_path / "msrc21").symlink_to(shared_folder / "data" / "msrc21")
    assert [f.message for f in check_data(tmp_path) if f.severity == "error"] == []
    counts = [message.split(" can be read")[0] for message in _findings(tmp_path, "msrc21", "ok")]
    assert counts == ["train: 273 pictures", "val: 45 pictures", "test: 273 pictures"]
    (warning,) = _findings(tmp_path, "msrc21", "warning")
    assert warning.startswith("1 pictures are in two splits (train/1_27_s.jpg = val/9_15_s.jpg)")


# ------------------------------------------------------------------------------------------------------------ journal


def test_a_second_check_opens_only_what_has_changed(data_root: Path, tmp_path: Path, monkeypatch) -> None:
    """The findings are the same; a picture that is touched is decoded again, a damaged one every time."""
    opened: list[str] = []
    for name in ("decode", "glance", "shape_and_classes"):
        known = getattr(findings, name)

        def counted(*arguments, known=known):
            opened.append(arguments[-1].name)
            return known(*arguments)

        monkeypatch.setattr(findings, name, counted)
        monkeypatch.setattr(datasets, name, counted, raising=False)
    file = tmp_path / "seen" / "journal.json"
    picture = data_root / "camvid" / "train" / "a.webp"
    first = list(check_data(data_root, Journal(file)))
    assert len(opened) > 10
    assert first == list(check_data(data_root))
    opened.clear()
    assert list(check_data(data_root, Journal(file))) == first
    assert opened == []
    os.utime(picture, ns=(1, 1))
    assert list(check_data(data_root, Journal(file))) == first
    assert opened == [picture.name]
    picture.write_bytes(picture.read_bytes()[:60])
    for _ in range(2):
        opened.clear()
        assert any("damaged" in finding.message for finding in check_data(data_root, Journal(file)))
        assert opened == [picture.name]


def test_a_check_that_breaks_off_goes_on(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(journal, "_SAVED_EVERY", 0.0)
    files = [tmp_path / f"{i}.png" for i in range(40)]
    for file in files:
        file.write_bytes(b"x")
    kept, read = tmp_path / "journal.json", []

    def interrupted(path: Path) -> tuple[int, ...]:
        if path == files[30]:
            raise KeyboardInterrupt
        return (1, 2)

    with pytest.raises(KeyboardInterrupt):
        Journal(kept).attempt_all("read", interrupted, files)

    def counted(path: Path) -> tuple[int, ...]:
        read.append(path)
        return (1, 2)

    good, bad = Journal(kept).attempt_all("read", counted, files)
    assert (len(good), bad) == (40, {})
    assert len(read) <= 10
    assert Journal(kept).attempt_all("read otherwise", lambda _: (3,), files)[0][files[0]] == (3,)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["1"]}', '{"a": [1.5]}', "null", "\x00"])
def test_a_damaged_journal_is_begun_anew(tmp_path: Path, text: str) -> None:
    kept, file = tmp_path / "journal.json", tmp_path / "a"
    file.write_bytes(b"x")
    kept.write_text(text)
    assert Journal(kept).attempt_all("read", lambda _: (7,), [file]) == ({file: (7,)}, {})
    assert list(json.loads(kept.read_text()).values()) == [[7]]
