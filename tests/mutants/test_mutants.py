"""A gate with teeth: with a constant or a sign of the method changed, tests, checked notebook cells or verdict go red.

Mutants are tried on a copy of the repository's code, one at a time, in a process of their own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mutants.table import MUTANTS, NOTEBOOK_MUTANTS, QUICK, VERDICT_MUTANTS, Mutant
from wsss_lib.reporting.claims import HOLDS

REPOSITORY = Path(__file__).resolve().parents[2]
ALL = bool(os.environ.get("WSSS_MUTANTS"))
FIRST = [next(mutant for mutant in MUTANTS if mutant.file == file) for file in QUICK]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library, its tests and its notebooks, to be spoilt."""
    folder = tmp_path_factory.mktemp("mutants")
    for name in ("wsss_lib", "tests", "notebooks"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock", "environment.yml", "README.md"):
        shutil.copy(REPOSITORY / name, folder / name)
    return folder


def outcome(copy: Path, tests: str) -> int:
    """pytest's exit code for a file of tests or a notebook of the copy: 0 is green, 1 is red."""
    notebook = tests.endswith(".ipynb")
    what = ["--nbval-lax", "--nbval-current-env", f"notebooks/{tests}"] if notebook else [f"tests/{tests}"]
    environment = {**os.environ, "PYTHONPATH": str(copy), "WSSS_PROFILE": "smoke", "WSSS_BUILD": str(copy / "build")}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:randomly", *what]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False).returncode


def patches_claim(copy: Path, build: Path) -> str:
    """What the verdict says of the claim that patches beat the whole picture, on a run of the copy."""
    command = [sys.executable, "-m", "tests.mutants.patches_claim", str(build)]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


@contextmanager
def spoilt(mutant: Mutant, copy: Path) -> Iterator[None]:
    """Inside, the copy has the mutant."""
    file = copy / "wsss_lib" / mutant.file
    healthy = file.read_text(encoding="utf-8")
    file.write_text(healthy.replace(mutant.source, mutant.instead), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(healthy, encoding="utf-8")


def test_the_readme_counts_them():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"spoil {len(MUTANTS)} constants and signs" in readme


@pytest.mark.parametrize("mutant", [*MUTANTS, *NOTEBOOK_MUTANTS, *VERDICT_MUTANTS], ids=str)
def test_a_mutant_changes_exactly_one_place(mutant: Mutant):
    healthy = (REPOSITORY / "wsss_lib" / mutant.file).read_text(encoding="utf-8")
    assert healthy.count(mutant.source) == 1
    assert mutant.source != mutant.instead
    assert (REPOSITORY / ("notebooks" if mutant.tests.endswith(".ipynb") else "tests") / mutant.tests).is_file()


@pytest.mark.parametrize("tests", sorted({mutant.tests for mutant in (MUTANTS if ALL else FIRST)}))
def test_the_healthy_copy_is_green(tests: str, copy: Path):
    assert outcome(copy, tests) == 0


@pytest.mark.parametrize("mutant", MUTANTS if ALL else FIRST, ids=str)
def test_a_mutant_is_noticed(mutant: Mutant, copy: Path):
    with spoilt(mutant, copy):
        assert outcome(copy, mutant.tests) == 1


@pytest.mark.skipif(not ALL, reason="executes two notebooks four times: make mutants")
@pytest.mark.parametrize("mutant", NOTEBOOK_MUTANTS, ids=str)
def test_a_checked_cell_notices(mutant: Mutant, copy: Path):
    assert outcome(copy, mutant.tests) == 0
    with spoilt(mutant, copy):
        assert outcome(copy, mutant.tests) == 1


@pytest.mark.skipif(not ALL, reason="trains and localises twice: make mutants")
@pytest.mark.parametrize("mutant", VERDICT_MUTANTS, ids=str)
def test_the_verdict_notices(mutant: Mutant, copy: Path, tmp_path: Path):
    assert patches_claim(copy, tmp_path / "healthy") == HOLDS
    with spoilt(mutant, copy):
        assert patches_claim(copy, tmp_path / "spoilt") != HOLDS
