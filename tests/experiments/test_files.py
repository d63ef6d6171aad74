import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wsss_lib.experiments import files
from wsss_lib.experiments.files import load_arrays, load_json, save_arrays, save_json, sweep, whole_folder, writing
from wsss_lib.vocabulary import DataError, NoSpaceError, SettingsError


def test_json_there_and_back(tmp_path: Path):
    content = {"miou": 37.25, "tags": ["sky", "Straße"], "none": None}
    save_json(tmp_path / "a.json", content)
    assert load_json(tmp_path / "a.json") == content


def test_arrays_there_and_back(tmp_path: Path):
    arrays = {"regions": np.array([[0, 1]], dtype=np.int32), "centers": np.eye(2, dtype=np.float32)}
    save_arrays(tmp_path / "a.npz", arrays)
    loaded = load_arrays(tmp_path / "a.npz")
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(loaded[name], array, strict=True)


def test_failed_save_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path):
    save_arrays(tmp_path / "a.npz", {"x": np.zeros(1)})
    with pytest.raises(ValueError, match="pickle"):
        save_arrays(tmp_path / "a.npz", {"x": np.array([object()])})
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert load_arrays(tmp_path / "a.npz")["x"] == 0


@pytest.mark.parametrize(("name", "load"), [("a.json", load_json), ("a.npz", load_arrays)])
@pytest.mark.parametrize("content", [None, b"", b"{1", b"PK\x03\x04 cut off"])
def test_missing_or_damaged_file(tmp_path: Path, name: str, load, content: bytes | None):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        load(tmp_path / name)


def test_full_disk_in_one_sentence(tmp_path: Path):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, a disk that is always full")
    with pytest.raises(NoSpaceError, match=r"no space is left on the disk of .*; free some"), writing(tmp_path):
        full.write_text("more than nothing")


def test_full_disk_told_without_an_error_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "free_space", lambda _: 0)
    with pytest.raises(NoSpaceError, match="no space is left"), writing(tmp_path):
        raise RuntimeError("write failed")


def test_full_disk_told_in_words_when_there_is_space_again(tmp_path: Path):
    """As safetensors does it: the file that had no room is removed before anybody can ask how full the disk is."""
    with pytest.raises(NoSpaceError, match="no space is left"), writing(tmp_path):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_read_only_folder_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """To free space would not help."""
    monkeypatch.setattr(files, "free_space", lambda _: 0)
    with pytest.raises(SettingsError, match="cannot be written to"), writing(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "x"))


def test_read_only_folder_in_one_sentence(tmp_path: Path):
    with pytest.raises(SettingsError, match=r"to; pass --build .* with a folder of yours"), writing(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "x"))


def test_a_file_where_the_folder_should_be(tmp_path: Path):
    (tmp_path / "build").write_text("")
    folder = tmp_path / "build" / "toy"
    with pytest.raises(SettingsError, match="a file is in its way"), writing(folder):
        folder.mkdir(parents=True)
    inside = tmp_path / "out" / "overlays"
    inside.parent.mkdir()
    inside.write_text("")
    with pytest.raises(SettingsError, match=r"at .*overlays because a file is in its way"), writing(tmp_path / "out"):
        inside.mkdir(exist_ok=True)


def test_other_errors_pass_unchanged(tmp_path: Path):
    with pytest.raises(PermissionError), writing(tmp_path / "build"):
        raise PermissionError(errno.EACCES, "denied", str(tmp_path / "data" / "a.png"))
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        (tmp_path / "absent").read_text()
    with pytest.raises(KeyError), writing(tmp_path):
        raise KeyError("a bug")


def test_a_folder_takes_the_place_of_the_old_one_whole(tmp_path: Path):
    folder = tmp_path / "predictions" / "val"
    for content in ("old", "new"):
        with whole_folder(folder) as unfinished:
            assert [path.name for path in folder.parent.glob("val/*")] == (["old"] if content == "new" else [])
            (unfinished / content).touch()
    assert [path.name for path in folder.iterdir()] == ["new"]
    with pytest.raises(KeyError), whole_folder(folder):
        raise KeyError
    assert [path.name for path in folder.parent.rglob("*")] == ["val", "new"]


def test_a_folder_that_a_killed_process_of_the_same_id_left(tmp_path: Path):
    (tmp_path / f".val.{os.getpid()}.part").mkdir()
    (tmp_path / f".val.{os.getpid()}.part" / "half").touch()
    with whole_folder(tmp_path / "val") as unfinished:
        (unfinished / "whole").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["val", "whole"]


def test_only_what_dead_processes_left_is_swept_away(tmp_path: Path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    tables = tmp_path / "tables"
    (tables / f".val.{dead.pid}.part").mkdir(parents=True)
    kept = [f".a.csv.{os.getpid()}.part", ".hidden.part", f"a.csv.{dead.pid}.part", "a.csv"]
    for name in (*kept, f".a.csv.{dead.pid}.part", f".val.{dead.pid}.part/half"):
        (tables / name).touch()
    elsewhere = tmp_path / "store" / f".a.npz.{dead.pid}.part"
    elsewhere.parent.mkdir()
    elsewhere.touch()
    sweep(tmp_path, skip=tmp_path / "store")
    assert sorted(path.name for path in tables.iterdir()) == sorted(kept)
    assert elsewhere.exists()
