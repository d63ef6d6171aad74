"""The notebooks stay thin, stripped and checkable.

The rules are tried on good and bad notebooks made here, then applied to ours.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

NAMES = [
    "01_imagenet_classifier",
    "02_patch_vs_whole_cam",
    "03_iterative_clustering",
    "04_center_loss_ablation",
    "05_segmentation",
    "06_pascal_voc",
    "07_failure_analysis",
]

HEADINGS = ("Goal", "Paper section", "Needs", "Makes", "Cost")
CHECK = "NBVAL_CHECK_OUTPUT"
LONGEST_DEFINITION = 10
FEWEST_CHECKED_CELLS = 1
PROMISED_PROFILES = ("toy", "camvid")
KEPT_METADATA = {"kernelspec", "language_info", "wsss"}

ABSOLUTE_PATH = re.compile(r"^(/\w|~[/\\]|[A-Za-z]:[/\\])")
ABSOLUTE_PATH_IN_PROSE = re.compile(r"(?<![\w./:>])(~/\w|/(home|Users|mnt|tmp|root|opt|var|work|data)/)")


def complaints(notebook: Any) -> list[str]:
    """Everything about a notebook that breaks a rule, in words; an empty list for a good one."""
    rules = (_metadata, _header, _parameters, _definitions, _paths, _outputs)
    return [complaint for rule in rules for complaint in rule(notebook)]


def _metadata(notebook: Any) -> Iterator[str]:
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "the kernel must be named python3"
    minutes = notebook.metadata.get("wsss", {}).get("minutes", {})
    for profile in PROMISED_PROFILES:
        if not minutes.get(profile, 0) > 0:
            yield f"the metadata promise no minutes for {profile}"
    if extra := set(notebook.metadata) - KEPT_METADATA:
        yield f"metadata of a run were left: {', '.join(sorted(extra))}"
    for number, cell in enumerate(notebook.cells, 1):
        if "papermill" in cell.metadata or "execution" in cell.metadata:
            yield f"cell {number}: metadata of a run were left"


def _header(notebook: Any) -> Iterator[str]:
    first = notebook.cells[0]
    if first.cell_type != "markdown" or not first.source.startswith("# "):
        yield "the first cell must be the header, with a title"
    for heading in HEADINGS:
        if f"**{heading}" not in first.source:
            yield f"the header says nothing under **{heading}**"


def _parameters(notebook: Any) -> Iterator[str]:
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1 or code[0] is not tagged[0]:
        yield "the first code cell, and no other, must be tagged parameters"
        return
    for statement in _parsed(tagged[0]).body:
        if not _is_plain_assignment(statement):
            yield f"parameters: {ast.unparse(statement)!r} is not a name = plain literal that papermill can read"


def _is_plain_assignment(statement: ast.stmt) -> bool:
    """papermill reads ``name = literal`` only, and stumbles over "=" in a text."""
    if not (isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets)):
        return False
    try:
        value = ast.literal_eval(statement.value)
    except ValueError:
        return False
    texts = [value] if isinstance(value, str) else []
    return isinstance(value, int | float | str | list | tuple | None) and not any("=" in text for text in texts)


def _definitions(notebook: Any) -> Iterator[str]:
    for number, tree in _trees(notebook):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_DEFINITION:
                    yield f"cell {number}: {node.name} has {length} lines; it belongs into the library"


def _paths(notebook: Any) -> Iterator[str]:
    for number, tree in _trees(notebook):
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        yield from (f"cell {number}: path {text!r}" for text in texts if ABSOLUTE_PATH.match(text))
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "markdown" and (found := ABSOLUTE_PATH_IN_PROSE.search(cell.source)):
            yield f"cell {number}: path {found.group()!r}"


def _outputs(notebook: Any) -> Iterator[str]:
    """Outputs are for checking only. nbval skips a cell without a count, so a checked one must have kept its own."""
    live = 0
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        if CHECK not in cell.source:
            if cell.outputs:
                yield f"cell {number}: outputs are kept in cells with # {CHECK} only"
        elif not cell.outputs or cell.execution_count is None:
            yield f"cell {number}: is to be checked but has no output or no count, so nothing would be compared"
        elif not all(set(output.get("data", {})) <= {"text/plain"} for output in cell.outputs):
            yield f"cell {number}: only text can be checked; print the numbers behind a picture"
        else:
            live += 1
    if live < FEWEST_CHECKED_CELLS:
        yield f"{live} checked cells, at least {FEWEST_CHECKED_CELLS} needed"


def _trees(notebook: Any) -> Iterator[tuple[int, ast.Module]]:
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code":
            yield number, _parsed(cell)


def _parsed(cell: Any) -> ast.Module:
    try:
        return ast.parse(cell.source)
    except SyntaxError as error:
        raise AssertionError(f"not plain Python: {cell.source!r}") from error


def good_notebook() -> Any:
    """The smallest notebook that breaks no rule."""
    header = "# 1. Title\n\n" + "\n".join(f"**{heading}.** Some." for heading in HEADINGS)
    parameters = new_code_cell("rounds = 3  # how often labels are made again\nname = 'toy'")
    parameters.metadata["tags"] = ["parameters"]
    output = new_output("stream", name="stdout", text="4\n")
    checked = new_code_cell(f"# {CHECK}\nprint(2 + 2)", execution_count=2, outputs=[output])
    notebook = new_notebook(cells=[new_markdown_cell(header), parameters, checked])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.metadata["wsss"] = {"minutes": {"toy": 1.0, "camvid": 12}}
    return notebook


def test_good_notebook_passes():
    nbformat.validate(good_notebook())
    assert complaints(good_notebook()) == []


def _append(source: str) -> Callable[[Any], None]:
    return lambda notebook: notebook.cells.append(new_code_cell(source))


def _parameters_are(source: str) -> Callable[[Any], None]:
    return lambda notebook: notebook.cells[1].update(source=source)


BAD: dict[str, tuple[Callable[[Any], Any], str]] = {
    "other kernel": (lambda n: n.metadata.kernelspec.update(name="my-env"), "named python3"),
    "no minutes": (lambda n: n.metadata.wsss.minutes.pop("camvid"), "no minutes for camvid"),
    "metadata of papermill": (lambda n: n.metadata.update(papermill={}), "left: papermill"),
    "cell metadata of papermill": (lambda n: n.cells[2].metadata.update(papermill={}), "cell 3: metadata of a run"),
    "no header": (lambda n: n.cells.insert(0, new_markdown_cell("hello")), "must be the header"),
    "header without cost": (lambda n: n.cells[0].update(source="# T\n**Goal** **Needs**"), r"nothing under \*\*Cost"),
    "no parameters": (lambda n: n.cells.pop(1), "tagged parameters"),
    "two parameter cells": (lambda n: n.cells.append(n.cells[1]), "tagged parameters"),
    "code before parameters": (lambda n: n.cells.insert(1, new_code_cell("1")), "tagged parameters"),
    "computed parameter": (_parameters_are("rounds = 1 + n"), r"'rounds = 1 \+ n' is not"),
    "import among parameters": (_parameters_are("import os"), "'import os' is not"),
    "equals sign in a parameter": (_parameters_are("name = 'a=b'"), "papermill can read"),
    "mapping as parameter": (_parameters_are("sizes = {'a': 1}"), "papermill can read"),
    "long function": (_append("def f():\n" + "    x = 1\n" * 10), "f has 11 lines"),
    "long class": (_append("class A:\n" + "    x = 1\n" * 10), "A has 11 lines"),
    "absolute path": (_append("open('/home/me/data.csv')"), "path '/home/me"),
    "path of a home": (_append("open('~/data.csv')"), "path '~/data"),
    "path with a drive": (_append("open('C:/data.csv')"), "path 'C:/data"),
    "path in prose": (lambda n: n.cells.append(new_markdown_cell("see `/home/me/x`")), "path '/home/'"),
    "output of an unchecked cell": (lambda n: n.cells[2].update(source="print(4)"), "outputs are kept in cells"),
    "checked cell without count": (lambda n: n.cells[2].update(execution_count=None), "nothing would be compared"),
    "checked cell without output": (lambda n: n.cells[2].update(outputs=[]), "nothing would be compared"),
    "checked picture": (
        lambda n: n.cells[2].update(outputs=[new_output("display_data", data={"image/png": "x"})]),
        "only text can be checked",
    ),
    "nothing checked": (lambda n: n.cells.pop(2), "0 checked cells"),
}


@pytest.mark.parametrize(("spoil", "complaint"), BAD.values(), ids=BAD)
def test_bad_notebook_is_named(spoil: Callable[[Any], Any], complaint: str):
    notebook = good_notebook()
    spoil(notebook)
    assert re.search(complaint, "\n".join(complaints(notebook)))


def test_magic_is_no_plain_python():
    notebook = good_notebook()
    notebook.cells.append(new_code_cell("%matplotlib inline"))
    with pytest.raises(AssertionError, match="not plain Python"):
        complaints(notebook)


@pytest.mark.parametrize("length", [9, 10])
def test_short_function_may_stay(length: int):
    notebook = good_notebook()
    notebook.cells.append(new_code_cell("def f():\n" + "    x = 1\n" * (length - 1)))
    assert complaints(notebook) == []


def test_nbval_as_we_call_it_notices_a_changed_number(tmp_path: Path):
    """The gate itself: the same call as in the Makefile, on a notebook that is right and one that is not."""
    right, wrong = good_notebook(), good_notebook()
    wrong.cells[2].outputs[0].text = "5\n"
    for name, notebook in {"right": right, "wrong": wrong}.items():
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    answer = subprocess.run([*command, "-rf", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    failed = [line for line in answer.stdout.splitlines() if line.startswith("FAILED")]
    assert [line.split("::")[0] for line in failed] == ["FAILED wrong.ipynb"], answer.stdout
    assert "1 failed, 3 passed" in answer.stdout


def test_all_seven_are_there():
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_our_notebooks_keep_the_rules(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert complaints(notebook) == []
