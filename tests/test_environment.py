"""One environment, said three times: pyproject.toml is the source, the lock and environment.yml must agree with it."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
LOCK = (REPOSITORY / "requirements.lock").read_text()
CONDA = yaml.safe_load((REPOSITORY / "environment.yml").read_text())

BUILD = PROJECT["build-system"]["requires"]
DECLARED = PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]
PYTHONS = ("3.11", "3.12", "3.13")

CONDA_NAMES = {
    "torch": "pytorch",
    "opencv-contrib-python-headless": "py-opencv",  # conda-forge builds OpenCV with contrib and without a window
    "matplotlib": "matplotlib-base",  # without Qt
    "jupyter-client": "jupyter_client",
}
ONLY_FROM_PIP = {"lightning-fabric", "torchcam"}


def bounds(lines: list[str]) -> dict[str, SpecifierSet]:
    """Package name to version bounds; conda's ``name >=1`` and pip's ``name>=1`` read alike."""
    requirements = [Requirement(line) for line in lines]
    return {requirement.name: requirement.specifier for requirement in requirements}


def pins(python: str, system: str = "linux") -> dict[str, str]:
    """Exact version of every package that the lock gives to one Python on one system."""
    environment = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": system}
    found: dict[str, str] = {}
    for line in re.findall(r"^[a-z0-9][^\\\n]*", LOCK, flags=re.MULTILINE):
        requirement = Requirement(line.strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in found, f"{requirement.name} is locked twice for Python {python}"
            found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def test_conda_environment_has_the_same_packages_with_the_same_bounds():
    conda = bounds([line for line in CONDA["dependencies"] if isinstance(line, str)])
    from_pip = bounds(next(line["pip"] for line in CONDA["dependencies"] if isinstance(line, dict)))
    declared = bounds(DECLARED)
    expected = {CONDA_NAMES.get(name, name): bound for name, bound in declared.items() if name not in ONLY_FROM_PIP}
    expected |= {"python": SpecifierSet(PROJECT["project"]["requires-python"]), "pip": SpecifierSet(), **bounds(BUILD)}
    assert conda == expected
    assert from_pip == {name: declared[name] for name in ONLY_FROM_PIP}


def test_conda_environment_uses_conda_forge_only():
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]


@pytest.mark.parametrize("python", PYTHONS)
def test_lock_satisfies_every_bound_on_every_python(python: str):
    locked = pins(python)
    unfit = {
        name: locked.get(name, "absent")
        for name, bound in bounds(DECLARED + BUILD).items()
        if name not in locked or not bound.contains(locked[name])
    }
    assert unfit == {}


def test_pythons_are_those_that_the_project_names():
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    assert [minor for minor in range(8, 20) if supported.contains(f"3.{minor}.0")] == [11, 12, 13]


def test_lock_has_a_hash_for_every_package():
    entries = re.split(r"\n(?=[a-z0-9])", LOCK)[1:]
    assert len(entries) > len(DECLARED)
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["requirements.lock", "environment.yml", "pyproject.toml", "Makefile"])
def test_no_address_of_an_index_is_written_down(name: str):
    found = re.findall(r"https?://|git\+|(?:--|-)(?:extra-)?index-url|--find-links", (REPOSITORY / name).read_text())
    assert found == []


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What make looks at, without an environment."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A make of its own, also when the tests run inside one: it would add its lines about entering folders."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_fresh_clone_installs_from_the_lock_before_it_runs(clone: Path):
    steps = make(clone, "--dry-run", "reproduce").stdout
    in_order = ["-m venv", "uv pip sync --python .venv/bin/python --require-hashes requirements.lock", "--editable ."]
    places = [steps.index(step) for step in [*in_order, "python -m wsss_lib reproduce --profile toy"]]
    assert places == sorted(places)


def test_installs_again_after_an_edit_but_not_after_a_touch(clone: Path):
    stamp = re.findall(r"touch (\S+)", make(clone, "--dry-run", "status").stdout)[-1]
    (clone / ".venv").mkdir()
    (clone / stamp).touch()
    only_the_command = [".venv/bin/python -m wsss_lib status --profile toy"]
    (clone / "requirements.lock").touch()
    assert make(clone, "--dry-run", "status").stdout.splitlines() == only_the_command
    with (clone / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert "uv pip sync" in make(clone, "--dry-run", "status").stdout


def test_settings_are_passed_on(clone: Path):
    steps = make(clone, "--dry-run", "reproduce", "PROFILE=camvid", "DATA=my data", "WEIGHTS=w").stdout
    assert steps.splitlines()[-1].endswith('reproduce --profile camvid --data "my data" --weights "w"')


def test_the_method_beyond_the_paper_is_a_profile_of_its_own_without_its_ablations(clone: Path):
    steps = make(clone, "--dry-run", "reproduce", "PROFILE=camvid", "METHOD=plus").stdout
    assert steps.splitlines()[-1].endswith("reproduce --profile camvid-plus --systems none")
    steps = make(clone, "--dry-run", "reproduce", "METHOD=plus", "SYSTEMS=all").stdout
    assert steps.splitlines()[-1].endswith("reproduce --profile toy-plus --systems all")
    steps = make(clone, "--dry-run", "reproduce", "AT_ONCE=1").stdout
    assert steps.splitlines()[-1].endswith("reproduce --profile toy --at-once 1")
    wrong = make(clone, "--dry-run", "reproduce", "METHOD=minus")
    assert wrong.returncode != 0
    assert "METHOD is paper or plus, not minus" in wrong.stderr


def test_python_that_does_not_fit_is_named(clone: Path):
    answer = make(clone, "reproduce", "PYTHON=false")
    assert answer.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13, and false is none of them" in answer.stdout
    assert not (clone / ".venv").exists()
