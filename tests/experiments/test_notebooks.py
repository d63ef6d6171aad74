from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from wsss_lib.experiments.notebooks import all_notebooks, checked_parameters, expected_minutes, find_notebook
from wsss_lib.vocabulary import SettingsError

METADATA = {
    "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
    "wsss": {"minutes": {"toy": 1.5}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cell = new_code_cell("rounds = 3\nrate = 0.5\nname = 'cam'\nlimit = None\nflags = [True]")
    cell.metadata["tags"] = ["parameters"]
    for name in ("02_cam", "05_segmentation", "notes"):
        notebook = new_notebook(cells=[new_markdown_cell("#"), cell], metadata=METADATA)
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    return tmp_path


def test_only_numbered_ones_count_and_in_order(folder: Path):
    assert [path.name for path in all_notebooks(folder)] == ["02_cam.ipynb", "05_segmentation.ipynb"]


@pytest.mark.parametrize("name", ["5", "05", "05_segmentation", "05_segmentation.ipynb"])
def test_number_or_name(folder: Path, name: str):
    assert find_notebook(name, folder) == folder / "05_segmentation.ipynb"


@pytest.mark.parametrize(
    ("name", "message"),
    [("05_segmentatoin", "did you mean '05_segmentation'"), ("9", "known: 02_cam, 05_seg"), ("../x", "no notebook")],
)
def test_unknown_notebook(folder: Path, name: str, message: str):
    with pytest.raises(SettingsError, match=message):
        find_notebook(name, folder)


def test_folder_without_notebooks(tmp_path: Path):
    with pytest.raises(SettingsError, match="no numbered notebooks"):
        all_notebooks(tmp_path)


def test_minutes_of_a_profile(folder: Path):
    assert expected_minutes(folder / "02_cam.ipynb", "toy") == 1.5
    assert expected_minutes(folder / "02_cam.ipynb", "smoke") is None


@pytest.mark.parametrize("given", [{}, {"rounds": 1, "rate": 1, "name": "x", "limit": "y", "flags": []}])
def test_parameters_that_fit(folder: Path, given: dict):
    assert checked_parameters(folder / "02_cam.ipynb", given) == given


def test_parameters_of_several_notebooks_reach_those_that_have_them(folder: Path):
    notebook = folder / "02_cam.ipynb"
    assert checked_parameters(notebook, {"rounds": 1, "systems": "none"}, shared=True) == {"rounds": 1}
    with pytest.raises(SettingsError, match="default 3, got 'many'"):
        checked_parameters(notebook, {"rounds": "many"}, shared=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ronds": 1}, "no parameter of 02_cam named 'ronds'; did you mean 'rounds'"),
        ({"rounds": 1.0}, "default 3, got 1.0"),
        ({"rounds": True}, "default 3, got True"),
        ({"rate": "fast"}, "default 0.5, got 'fast'"),
        ({"name": 5}, "default 'cam', got 5"),
    ],
)
def test_parameters_that_do_not(folder: Path, given: dict, message: str):
    with pytest.raises(SettingsError, match=message):
        checked_parameters(folder / "02_cam.ipynb", given)
