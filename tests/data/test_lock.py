import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wsss_lib.data.lock import is_held, lock

HOLD = """
import sys
from pathlib import Path
from wsss_lib.data.lock import lock
with lock(Path(sys.argv[1]), waiting_for="child", report=print):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold_in_another_process(path: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def test_held_only_inside(tmp_path: Path):
    path = tmp_path / "locks" / "a"
    assert not is_held(path)
    with lock(path, waiting_for="a", report=print):
        assert is_held(path)
        assert path.read_text() == str(os.getpid())
    assert not is_held(path)


def test_second_waits_says_so_once_and_then_goes_on(tmp_path: Path):
    child = hold_in_another_process(tmp_path / "a")
    told, said, order = threading.Event(), [], []

    def second() -> None:
        def report(line: str) -> None:
            said.append(line)
            told.set()

        with lock(tmp_path / "a", waiting_for="seeds", report=report):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    assert told.wait(10)
    assert said == [f"seeds: waiting for process {child.pid}, which is making it"]
    order.append("first lets go")
    child.communicate("\n")
    thread.join(10)
    assert order == ["first lets go", "second"]
    assert child.returncode == 0


def test_lock_of_a_killed_process_is_free(tmp_path: Path):
    child = hold_in_another_process(tmp_path / "a")
    child.kill()
    child.communicate()
    said: list[str] = []
    with lock(tmp_path / "a", waiting_for="seeds", report=said.append):
        assert said == []


def test_whether_a_lock_is_held_can_be_asked_without_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As in a read-only folder."""
    (tmp_path / "a").touch()
    opened = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode="r": opened.append(mode) or real(self, mode))
    assert not is_held(tmp_path / "a")
    assert opened == ["r"]
