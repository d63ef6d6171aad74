from pathlib import Path

import pytest

from wsss_lib.experiments import doctor
from wsss_lib.experiments.doctor import Finding, examine
from wsss_lib.experiments.places import Places

PROJECT = """
[project]
requires-python = "{python}"
dependencies = ["numpy>={numpy}", "no-such-package-at-all>=1"]
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(build=tmp_path / "build")


def findings(places: Places, tmp_path: Path, *, python: str = ">=3.11", numpy: str = "2") -> dict[str, Finding]:
    (tmp_path / "pyproject.toml").write_text(PROJECT.format(python=python, numpy=numpy))
    return {finding.name: finding for finding in examine(places, tmp_path / "pyproject.toml")}


def test_this_environment_fits_the_project(places: Places):
    packages = [finding for finding in examine(places) if finding.name not in {"memory", "disk"}]
    assert [str(finding) for finding in packages if not finding.fine] == []
    assert {"Python", "torch", "torchvision", "GPU", "processor cores", "bfloat16 on the processor"} <= {
        finding.name for finding in packages
    }


def test_versions_are_compared_with_the_bounds(places: Places, tmp_path: Path):
    found = findings(places, tmp_path, python="<3", numpy="99")
    assert [found[name].fine for name in ("Python", "numpy", "no-such-package-at-all")] == [False] * 3
    assert found["numpy"].needed == ">=99"
    assert found["no-such-package-at-all"].found == "not installed"
    assert findings(places, tmp_path)["numpy"].fine


def test_package_that_does_not_import(places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(_: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    found = findings(places, tmp_path)["import torchvision.ops"]
    assert not found.fine
    assert "nms does not exist" in found.found


def test_build_folder_that_cannot_be_written(places: Places, tmp_path: Path):
    places.build.write_text("a file")
    assert not findings(places, tmp_path)["build folder"].fine


def test_looking_leaves_nothing_behind(places: Places, tmp_path: Path):
    assert findings(places, tmp_path)["build folder"].fine
    assert list(places.build.iterdir()) == []


def test_line():
    assert str(Finding(name="numpy", found="1.0", needed=">=2", fine=False)).split() == [
        "FAIL", "numpy", "1.0", "(needs", ">=2)",
    ]  # fmt: skip


def test_a_limit_on_memory_counts_as_the_machine(tmp_path, monkeypatch):
    """In a container of 2 GB the toy's promise of 4 GB cannot be kept, however large the machine is."""
    monkeypatch.setattr("wsss_lib.experiments.doctor.memory", lambda: (2_000_000_000, 1_000_000_000))
    findings = examine(Places(profile="smoke", build=tmp_path / "build"))
    found = next(finding for finding in findings if finding.name == "memory")
    assert (found.found, found.fine) == ("2.0 GB", False)
