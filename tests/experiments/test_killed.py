"""A run that is killed goes on where it was and ends with the very bytes of one that was not.

The uninterrupted run is made by this process, the killed ones by another that hashes texts differently: what is equal
does not depend on the process either.
"""

import itertools
import json
import os
import random
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from wsss_lib.experiments.store import PARTIAL, Store

KILLABLE = Path(__file__).with_name("killable.py")
KILLS = 20
COSTS = {"seconds", "resumed", "peak_memory_mb", "date", "dirty"}


class Server:
    """Starts runs in an instant (``killable.py``)."""

    def __init__(self) -> None:
        environment = {
            **os.environ, "PYTHONHASHSEED": "17", "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": str(torch.get_num_threads()),
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, str(KILLABLE)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin
        assert self._process.stdout
        self._ask, self._answer = self._process.stdin, self._process.stdout

    def run(self, run: str, folder: Path, **killed: float) -> int:
        """Make a run; its exit code."""
        self._ask.write(json.dumps({"run": run, "folder": str(folder), **killed}) + "\n")
        self._ask.flush()
        return int(self._answer.readline())

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def runs() -> dict:
    return runpy.run_path(str(KILLABLE))["RUNS"]


def results(folder: Path) -> dict[str, bytes]:
    """Every file of a run, locks and its log aside; records without what a stage cost and when."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and ".locks" not in path.parts and path.name != "log.txt":
            content = path.read_bytes()
            if path.name == "record.json":
                record = json.loads(content)
                content = json.dumps({name: record[name] for name in record if name not in COSTS}).encode()
            found[str(path.relative_to(folder))] = content
    return found


def assert_same(folder: Path, expected: dict[str, bytes], what: str = "") -> None:
    found = results(folder)
    assert sorted(found) == sorted(expected), what
    assert [name for name in found if found[name] != expected[name]] == [], what
    assert not list(folder.rglob(f"*{PARTIAL}")), what


def test_killed_before_every_single_touch_of_the_disk(server, runs, tmp_path):
    """Between any two steps of writing an artefact, in the middle of every file (also of each checkpoint), between the
    record and the name, while checkpoints are removed.
    """
    runs["one_stage"](tmp_path / "whole")
    expected = results(tmp_path / "whole")
    stage = results(tmp_path / "whole" / "store")
    for moment in itertools.count(1):
        folder = tmp_path / str(moment)
        if server.run("one_stage", folder, touch=moment) == 0:
            break
        if Store(folder / "store").contents():
            assert results(folder / "store") == stage  # what is shown is whole
        assert server.run("one_stage", folder) == 0
        assert_same(folder, expected, f"killed at moment {moment}")
    assert moment > 30


def test_killed_at_20_random_moments(server, runs, tmp_path):
    """All stages, systems, scores, tables, predictions and figures; whenever a run ends in time, another one begins."""
    start = time.monotonic()
    runs["whole_run"](tmp_path / "whole")
    most = 3 * (time.monotonic() - start) / KILLS
    expected = results(tmp_path / "whole")
    assert len(expected) > 100

    chance, kills, number = random.Random(0), 0, 0
    while kills < KILLS:
        code = server.run("whole_run", tmp_path / str(number), seconds=chance.uniform(0, most))
        if code == 0:
            assert_same(tmp_path / str(number), expected)
            number += 1
        else:
            assert code == -9
            kills += 1
    assert server.run("whole_run", tmp_path / str(number)) == 0
    assert_same(tmp_path / str(number), expected)
