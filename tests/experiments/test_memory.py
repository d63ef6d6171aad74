"""What stays in memory: shares of a machine that is made up here, and limits of control groups in made-up files."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wsss_lib.experiments import memory as module
from wsss_lib.experiments.memory import KEPT_BYTES, has_room, kept, memory

GB = 1_000_000_000


@pytest.fixture
def machine(monkeypatch):
    """A machine of 100 GB, of which 60 are free."""
    found = SimpleNamespace(total=100 * GB, available=60 * GB)
    monkeypatch.setattr(module.psutil, "virtual_memory", lambda: found)
    return found


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("taken", "free", "room"),
    [
        (3.9, 1, True),  # 4 GB in any case
        (4.0, 60, True),
        (24.8, 60, True),
        (24.95, 60, False),  # more than a quarter of the machine
        (10.0, 25.2, True),
        (10.0, 25.05, False),  # a quarter would not stay free
    ],
)
def test_a_kind_has_a_share_of_the_machine(machine, monkeypatch, taken, free, room):
    machine.available = free * GB
    monkeypatch.setattr(module, "_limits", lambda _: [])
    assert has_room(round(taken * GB), GB // 10) is room


def test_the_least_share_asks_nobody(monkeypatch):
    monkeypatch.setattr(module, "memory", lambda: pytest.fail("the machine was asked"))
    assert has_room(KEPT_BYTES - 8, 8)


def test_what_is_kept_stays(monkeypatch):
    """Two of three pictures fit: in passes in the same order these two are read once, and the third in each."""
    read = []
    monkeypatch.setattr(module, "has_room", lambda taken, more: taken + more <= 16)
    get = kept(lambda index: read.append(index) or np.array([index]))
    assert [int(get(index)[0]) for index in (0, 1, 2) * 3] == [0, 1, 2] * 3
    assert read == [0, 1, 2, 2, 2]


def test_threads_get_the_same(monkeypatch):
    monkeypatch.setattr(module, "has_room", lambda taken, more: taken + more <= 160)
    get = kept(lambda index: np.array([index]))
    asked = [index % 50 for index in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        assert [int(each[0]) for each in pool.map(get, asked)] == asked


@pytest.mark.usefixtures("machine")
def test_without_control_groups_the_machine_counts(tmp_path):
    assert memory(tmp_path) == (100 * GB, 60 * GB)


@pytest.mark.usefixtures("machine")
def test_a_limit_around_the_process_counts(tmp_path):
    """A job of 40 GB that holds 30, 5 of them files that can be dropped, in a group without a limit: 15 are free."""
    write(tmp_path / "proc/self/cgroup", "0::/jobs/7/step\n")
    job = tmp_path / "sys/fs/cgroup/jobs/7"
    write(job / "step/memory.max", "max\n")
    write(job / "step/memory.current", f"{30 * GB}\n")
    write(job / "memory.max", f"{40 * GB}\n")
    write(job / "memory.current", f"{30 * GB}\n")
    write(job / "memory.stat", f"anon {25 * GB}\ninactive_file {5 * GB}\n")
    assert memory(tmp_path) == (40 * GB, 15 * GB)


@pytest.mark.usefixtures("machine")
def test_a_limit_in_the_first_version_of_control_groups(tmp_path):
    """Seen from inside a container: the path is the host's, and the limit lies at the top."""
    write(tmp_path / "proc/self/cgroup", "5:devices:/docker/a\n4:cpu,memory:/docker/a\n0::/\n")
    top = tmp_path / "sys/fs/cgroup/memory"
    write(top / "memory.limit_in_bytes", f"{8 * GB}\n")
    write(top / "memory.usage_in_bytes", f"{3 * GB}\n")
    write(top / "memory.stat", f"inactive_file 0\ntotal_inactive_file {GB}\n")
    assert memory(tmp_path) == (8 * GB, 6 * GB)


def test_this_machine_has_memory():
    total, free = memory()
    assert 0 < free <= total
