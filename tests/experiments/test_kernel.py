import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from wsss_lib.experiments.kernel import MemoryWatch, kernel_environment, kernel_manager, physical_cores
from wsss_lib.experiments.places import Places


def test_environment_names_the_places_and_fixes_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    places = Places(profile="smoke", build=tmp_path)
    environment = kernel_environment(places, used_log=tmp_path / "used")
    assert Places.from_environment(environment) == places
    assert environment["PYTHONHASHSEED"] == "0"
    assert environment["OMP_NUM_THREADS"] == str(physical_cores())
    assert environment["WSSS_USED_LOG"] == str(tmp_path / "used")
    assert "WSSS_USED_LOG" not in kernel_environment(places)


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted and glibc is used on Linux only")
def test_memory_that_a_step_frees_is_not_asked_for_again(tmp_path: Path):
    """Ten rounds of 40 MB: 10,000 pages each time without the setting, and next to none with it."""
    script = """
import resource
def fill():
    b"x" * 40_000_000
fill()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    fill()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    environment = {**os.environ, **kernel_environment(Places(build=tmp_path))}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1000


def test_a_thread_count_of_the_user_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert kernel_environment(Places(build=tmp_path))["OMP_NUM_THREADS"] == "3"


def test_cores_are_at_most_those_allowed():
    assert 1 <= physical_cores() <= (os.cpu_count() or 1)


def test_python3_is_this_interpreter_whatever_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    other = tmp_path / "kernels" / "python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text('{"argv": ["/elsewhere/python"], "display_name": "x", "language": "python"}')
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    specification = kernel_manager({"PRICE": "5$"}, sys.stderr)(kernel_name="python3").kernel_spec
    assert specification.argv[0] == sys.executable
    assert specification.env == {"PRICE": "5$$"}


def test_memory_watch_sees_what_a_child_holds():
    script = "held = bytearray(80_000_000); print('ready', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        held = psutil.Process(child.pid).memory_info().rss / 1e6
        with MemoryWatch(every_seconds=0.01) as watch:
            while watch.peak_mb == 0:
                pass
        child.communicate(b"\n")
    assert held > 80
    assert watch.peak_mb >= np.floor(held)
