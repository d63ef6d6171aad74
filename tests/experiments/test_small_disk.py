"""A full disk and a read-only one end a command in one sentence, and leave nothing that looks whole.

``small_disk.py`` tries it on a real disk of 8 MB, in a process that has a view of the mounted disks of its own.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SMALL_DISK = Path(__file__).with_name("small_disk.py")
MOUNTED = 'mount -t tmpfs -o size=8m tmpfs "$1" && exec "${@:2}"'


def on_small_disk(disk: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that sees a small empty disk at ``disk``; only Linux can, and not every container may."""
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "bash", "-c", MOUNTED, "bash", str(disk), *command],
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> dict:
    disk = tmp_path_factory.mktemp("disk")
    try:
        possible = on_small_disk(disk, "true").returncode == 0
    except OSError:
        possible = False
    if not possible:
        pytest.skip("needs a Linux on which a user may mount a disk of his own (unshare --map-root-user --mount)")
    done = on_small_disk(disk, sys.executable, str(SMALL_DISK), str(disk))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_stage_on_a_full_disk_says_so_and_shows_nothing(tried):
    """However much is free: the checkpoint, weights, arrays, numbers or the report is the first that has no room."""
    *full, enough = tried["stages"]
    for stage in full:
        assert stage["error"] in ("NoSpaceError", "DataError"), stage  # of a stage, of the report
        assert "No space left" in stage["message"] or "no space is left on the disk of" in stage["message"], stage
        assert "free some" in stage["message"]
        assert stage["shown"] == 0
        assert stage["unfinished"] == []
    for stage in (enough, tried["room"]):
        assert stage["error"] == ""
        assert stage["shown"] == 1


@pytest.mark.parametrize("command", ["reproduce", "run 1"])
def test_a_command_on_a_full_disk(tried, command):
    found = tried["full"][command]
    assert found["code"] == 2
    assert found["said"].count("\n") == 1
    assert found["said"].startswith("wsss: no space is left on the disk of ")
    assert re.search(r"/other(/smoke/store)?; free some or pass --build", found["said"])
    assert "stages failed" not in found["said"]


@pytest.mark.parametrize("command", ["reproduce", "run 1"])
def test_a_command_in_a_read_only_folder(tried, command):
    """Also when its disk is full: to free space would be no help."""
    found = tried["read-only"][command]
    assert found["code"] == 2
    assert found["said"].count("\n") == 1
    assert "cannot be written to; pass --build" in found["said"]


@pytest.mark.parametrize("disk", ["full", "read-only"])
def test_what_is_there_can_still_be_asked(tried, disk):
    assert tried[disk]["status"] == {"code": 0, "said": ""}
