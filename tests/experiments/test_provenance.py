import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import wsss_lib
from wsss_lib.experiments.places import REPOSITORY
from wsss_lib.experiments.provenance import OPENCV, SOURCE, Stopwatch, installed, provenance, source_state, uncommitted


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def test_says_what_it_ran_with():
    facts = provenance()
    assert torch.__version__.startswith(facts["versions"]["torch"])
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["versions"]["wsss_lib"] == wsss_lib.__version__
    assert facts["threads"] == torch.get_num_threads()
    assert facts["device"]
    assert set(facts) >= {"commit", "dirty", "platform", "date"}


def test_opencv_is_asked_itself_because_conda_registers_another_name(monkeypatch: pytest.MonkeyPatch):
    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("wsss_lib.experiments.provenance.version", unknown)
    assert installed(OPENCV) == cv2.__version__
    assert installed("numpy") is None


def test_names_no_folder_of_this_machine():
    text = json.dumps(provenance())
    assert str(REPOSITORY) not in text
    assert str(Path.home()) not in text or Path.home() == Path("/")


def test_commit_and_dirty_follow_the_clone(tmp_path: Path):
    assert source_state(tmp_path) == {"commit": None, "dirty": None}
    git(tmp_path, "init", "--quiet")
    assert source_state(tmp_path) == {"commit": None, "dirty": False}
    code = tmp_path / "wsss_lib" / "a.py"
    code.parent.mkdir()
    code.write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    clean = source_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "README.md").write_text("what publishing writes decides about no result")
    assert source_state(tmp_path) == clean
    code.write_text("2")
    assert source_state(tmp_path) == {"commit": clean["commit"], "dirty": True}


def test_a_result_is_of_the_commit_that_the_library_was_loaded_at(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wsss_lib.experiments.provenance.source_state", lambda *_: {"commit": "later", "dirty": True})
    facts = provenance()
    assert {name: facts[name] for name in SOURCE} == SOURCE
    assert facts["commit"] != "later"


def test_a_folder_inside_another_clone_is_not_that_clone(tmp_path: Path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "unpacked").mkdir()
    assert source_state(tmp_path / "unpacked")["commit"] is None


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_state(tmp_path) == {"commit": None, "dirty": None}


def test_peak_memory_grows_by_what_is_held():
    script = """
import numpy
from wsss_lib.experiments.provenance import peak_memory_mb
before = peak_memory_mb()
numpy.ones(25_000_000 // 8)
print(peak_memory_mb() - before)
"""
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert float(answer) == pytest.approx(25, abs=5)  # MB


def test_stopwatch_runs_on():
    stopwatch = Stopwatch()
    first = stopwatch.seconds
    assert 0 <= first < stopwatch.seconds


def test_uncommitted_files_are_named_but_for_those_that_are_allowed(tmp_path: Path):
    assert uncommitted(tmp_path) == []
    git(tmp_path, "init", "--quiet")
    (tmp_path / "figures").mkdir()
    for name in ("a.py", "README.md", "figures/x.csv"):
        (tmp_path / name).write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    for name in ("README.md", "figures/x.csv", "figures/new.csv"):
        (tmp_path / name).write_text("2")
    assert uncommitted(tmp_path, but=["figures", "README.md"]) == []
    assert uncommitted(tmp_path) == ["README.md", "figures/x.csv", "figures/new.csv"]
    (tmp_path / "a.py").write_text("2")
    (tmp_path / "b.py").write_text("new")
    assert uncommitted(tmp_path, but=["figures", "README.md"]) == ["a.py", "b.py"]
