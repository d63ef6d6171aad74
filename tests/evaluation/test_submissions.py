"""Archives for the test servers: what is in them, and every kind of archive that a server would turn down."""

import io
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from wsss_lib.data.label_spaces import CITYSCAPES, VOC
from wsss_lib.evaluation.submissions import (
    VOC_FOLDER,
    cityscapes_problems,
    voc_problems,
    write_cityscapes_submission,
    write_voc_submission,
)
from wsss_lib.vocabulary import DataError

FRAMES = ("berlin_000000_000019", "bonn_000001_000019")


def png(values: object, mode: str | None = None) -> bytes:
    stream = io.BytesIO()
    picture = Pillow.fromarray(np.asarray(values, dtype=np.uint8))
    (picture if mode is None else picture.convert(mode)).save(stream, format="PNG")
    return stream.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


# ---------------------------------------------------------------------------------------------------------- Cityscapes


def test_cityscapes_gets_label_ids_at_full_size(tmp_path: Path) -> None:
    """All 19 trainIds side by side, half as large as the pictures: a zip of 2048 x 1024 with the 19 ids."""
    half = np.tile((np.arange(1024) * 19 // 1024).astype(np.uint8), (512, 1))
    path = write_cityscapes_submission(tmp_path / "test.zip", [(frame, half) for frame in FRAMES])
    assert cityscapes_problems(path, FRAMES) == []
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [f"{frame}.png" for frame in FRAMES]
        found = np.asarray(Pillow.open(io.BytesIO(archive.read(archive.namelist()[0]))))
    assert found.shape == (1024, 2048)
    assert np.unique(found).tolist() == [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    for name, label_id in (("road", 7), ("wall", 12), ("traffic light", 19), ("person", 24), ("bicycle", 33)):
        column = 2 * int(np.flatnonzero(half[0] == CITYSCAPES.index(name))[0])
        assert found[0, column] == label_id


FULL = np.full((1024, 2048), 7)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({}, r"2 of 2 pictures are missing \(berlin_000000_000019, bonn_000001_000019\)"),
        ({FRAMES[0]: png(FULL)}, r"1 of 2 pictures are missing \(bonn"),
        ({FRAMES[0]: png(FULL), f"{FRAMES[0]}_copy": png(FULL)}, "berlin_000000_000019 is there 2 times"),
        ({"aachen_000000_000019": png(FULL)}, "aachen_000000_000019.png belongs to no picture of the test split"),
        ({"readme": b"?"}, "readme.png belongs to no picture"),
        ({FRAMES[0]: png(FULL[:512])}, "is 2048 x 512, not 2048 x 1024"),
        ({FRAMES[0]: png(np.zeros((1024, 2048)))}, "holds the values 0, which look like trainIds, not label ids"),
        ({FRAMES[0]: png(np.full((1024, 2048), 255))}, "255, which look like trainIds"),
        ({FRAMES[0]: png(np.full((1024, 2048), 34))}, "holds the values 34, not label ids"),
        ({FRAMES[0]: png(FULL, "RGB")}, "has mode RGB, not one number a pixel"),
        ({FRAMES[0]: b"no picture"}, "cannot be read as a PNG"),
        ({FRAMES[0]: png(FULL)[:2000]}, "cannot be read as a PNG"),
    ],
)
def test_what_the_cityscapes_server_rejects(tmp_path: Path, members: dict[str, bytes], problem: str) -> None:
    path = zipped(tmp_path / "test.zip", {f"{name}.png": content for name, content in members.items()})
    assert re.search(problem, "\n".join(cityscapes_problems(path, FRAMES)))


# ----------------------------------------------------------------------------------------------------------------- VOC


def test_voc_gets_palette_pictures_in_its_folder(tmp_path: Path) -> None:
    cat = np.full((6, 8), VOC.index("cat"), np.uint8)
    path = write_voc_submission(tmp_path / "results.tar.gz", [("2008_000006", cat), ("2008_000011", cat.T)])
    assert voc_problems(path, {"2008_000006": (8, 6), "2008_000011": (6, 8)}) == []
    with tarfile.open(path) as archive:
        assert archive.getnames() == [
            "results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png",
            "results/VOC2012/Segmentation/comp6_test_cls/2008_000011.png",
        ]
        stream = archive.extractfile(archive.getnames()[0])
        assert stream is not None
        picture = Pillow.open(io.BytesIO(stream.read()))
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), cat)
    assert picture.convert("RGB").getpixel((0, 0)) == VOC.colors[VOC.index("cat")]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        (f"{VOC_FOLDER}/x.png", png(np.full((6, 8), 21)), "holds the values 21, not classes 0..20"),
        (f"{VOC_FOLDER}/x.png", png(np.full((6, 8), 255)), "holds the values 255"),
        (f"{VOC_FOLDER}/x.png", png(np.zeros((8, 6))), "is 6 x 8, not 8 x 6"),
        ("comp6_test_cls/x.png", png(np.zeros((6, 8))), "belongs to no picture of the test split"),
        (f"{VOC_FOLDER}/x.jpg", png(np.zeros((6, 8))), "belongs to no picture of the test split"),
        (f"{VOC_FOLDER}/x.png", png(np.zeros((6, 8)), "RGB"), "has mode RGB"),
    ],
)
def test_what_the_voc_server_rejects(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    found = voc_problems(tarred(tmp_path / "results.tar.gz", {name: content}), {"x": (8, 6)})
    assert problem in found[0]


def test_archives_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"neither")
    for found in (cityscapes_problems(tmp_path / "x", FRAMES), voc_problems(tmp_path / "gone", {"x": (8, 6)})):
        assert len(found) == 1
        assert "cannot be read as an archive" in found[0]


def test_archives_that_are_damaged_inside(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 64, 5000, dtype=np.uint8).tobytes()
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", noise)
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[1000:1040] = bytes(40)
    (tmp_path / "x.zip").write_bytes(content)
    (found,) = cityscapes_problems(tmp_path / "x.zip", FRAMES)
    assert "cannot be read as an archive" in found


@pytest.mark.parametrize("write", [write_cityscapes_submission, write_voc_submission])
def test_unknown_pixels_are_refused_and_nothing_is_left(tmp_path: Path, write) -> None:
    with pytest.raises(DataError, match="the prediction for a leaves pixels unknown"):
        write(tmp_path / "out", [("a", np.full((4, 4), 255, np.uint8))])
    assert list(tmp_path.iterdir()) == []
