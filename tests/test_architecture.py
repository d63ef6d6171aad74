"""Imports go down the list of floors only, and only reporting draws; and the contract that says so has teeth."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_library_keeps_its_contract():
    answer = lint_imports(REPOSITORY)
    assert answer.returncode == 0, answer.stdout


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The floors of the library and the systems of the comparison, empty."""
    folder = tmp_path_factory.mktemp("skeleton")
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    for pattern in ("*/__init__.py", "baselines/*.py"):
        for name in [path.relative_to(REPOSITORY) for path in (REPOSITORY / "wsss_lib").glob(pattern)]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
    for name in ("__init__", "__main__", "vocabulary"):
        (folder / "wsss_lib" / f"{name}.py").touch()
    return folder


def test_empty_floors_keep_it(skeleton: Path):
    assert lint_imports(skeleton).returncode == 0


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vocabulary", "import wsss_lib.data"),
        ("training/loop", "import wsss_lib.clustering"),
        ("localization/cam", "import wsss_lib.regions"),
        ("regions/pooling", "import wsss_lib.localization"),
        ("baselines/sec", "import wsss_lib.baselines.psa"),
        ("evaluation/scores", "import matplotlib.pyplot"),
        ("experiments/pipeline", "import seaborn"),
        ("utils", ""),
    ],
    ids=[
        "vocabulary imports",
        "upwards",
        "sideways",
        "sideways back",
        "one system from another",
        "drawing",
        "drawing above",
        "no floor",
    ],
)
def test_breaking_it_is_noticed(skeleton: Path, module: str, source: str):
    added = skeleton / "wsss_lib" / f"{module}.py"
    before = added.read_text() if added.exists() else None
    added.write_text(source)
    try:
        assert "BROKEN" in lint_imports(skeleton).stdout
    finally:
        added.unlink() if before is None else added.write_text(before)


def test_every_stage_of_the_package_docstring_is_a_floor_in_that_order():
    import wsss_lib

    listed = re.findall(r"^    (\w+)  ", wsss_lib.__doc__ or "", flags=re.MULTILINE)
    assert set(listed) == {path.parent.name for path in (REPOSITORY / "wsss_lib").glob("*/__init__.py")}
