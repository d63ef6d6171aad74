"""Listing folders and replacing files."""

import os
from pathlib import Path

import numpy as np
import pytest

from wsss_lib.data.disk import check_path, few, list_pictures, replacing, write_whole
from wsss_lib.vocabulary import DataError


def test_only_pictures_count_sorted_by_stem(tmp_path: Path, paint) -> None:
    for name in ("b.png", "a.JPG", "a b.c.webp", ".hidden.png"):
        paint(tmp_path / name, np.zeros((1, 1, 3)))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    assert {stem: path.name for stem, path in list_pictures(tmp_path).items()} == {
        "a": "a.JPG",
        "a b.c": "a b.c.webp",
        "b": "b.png",
    }
    assert list(list_pictures(tmp_path)) == ["a", "a b.c", "b"]


def test_two_pictures_of_one_stem_are_refused(tmp_path: Path, paint) -> None:
    paint(tmp_path / "x.png", np.zeros((1, 1, 3)))
    paint(tmp_path / "x.jpg", np.zeros((1, 1, 3)))
    with pytest.raises(DataError, match=r"both x\.jpg and x\.png.*rename or remove"):
        list_pictures(tmp_path)


def test_names_that_are_no_text_are_refused(tmp_path: Path, paint) -> None:
    """They could be read, but no report, table or line of output could name them."""
    paint(tmp_path / "x.png", np.zeros((1, 1, 3)))
    os.rename(tmp_path / "x.png", os.fsencode(tmp_path) + b"/caf\xe9.png")
    with pytest.raises(DataError, match=r"caf\\udce9.png' in .* is not in UTF-8.*rename the picture"):
        list_pictures(tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere cannot be listed"):
        list_pictures(tmp_path / "nowhere")


def test_replacing_makes_folders_and_leaves_one_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "x.txt"
    for text in ("first", "second"):
        with replacing(path) as temporary:
            temporary.write_text(text)
    assert path.read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_write_whole_returns_the_path_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.bin"
    assert write_whole(path, b"one") == path
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_failure_keeps_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise OSError(28, os.strerror(28))

    with pytest.raises(DataError, match=r"x\.txt cannot be written \(No space left on device\); free some space"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_interruption_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupt() -> None:
        with replacing(tmp_path / "x.txt") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert not list(tmp_path.iterdir())


def test_a_file_in_place_of_the_folder_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="choose another folder"), replacing(tmp_path / "file" / "x.txt") as temporary:
        temporary.write_text("never")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "x.txt"
    (tmp_path / "out" / f".x.txt.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match="No space left on device"), replacing(target) as temporary:
        temporary.write_text("anything")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "\u00e9" * 125 + "x.png"])
def test_the_longest_names_can_be_written(tmp_path: Path, name: str) -> None:
    assert len(os.fsencode(name)) == 255
    write_whole(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_long_lists_are_shortened() -> None:
    assert few(["a", "b", "c"]) == "a, b, c"
    assert few(range(7)) == "0, 1, 2 and 4 more"


def test_paths_that_no_disk_has_or_no_line_shows_are_refused() -> None:
    for path in (Path("a b"), Path("\u00e9" * 127), Path("/" + "x/" * 300)):
        assert check_path(path) == path
    with pytest.raises(DataError, match=r"a name of 128 characters .* is too long for a disk"):
        check_path(Path("\u00e9" * 128))  # 256 bytes
    for text in ("a\0b", "a\nb", "\x1b[2J"):
        with pytest.raises(DataError, match="control character"):
            check_path(Path("x") / text)
