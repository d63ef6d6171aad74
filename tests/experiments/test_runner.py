"""The runner on notebooks of two or three cells; a kernel costs about two seconds, so a test starts one or two."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from wsss_lib.experiments import at_once
from wsss_lib.experiments.freshness import Status
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.places import REPOSITORY, Places
from wsss_lib.experiments.runner import NotebookError, cell_limit, reproduce, run_notebooks
from wsss_lib.vocabulary import SettingsError

# pyzmq and jupyter_client leave sockets and event loops to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(profile="smoke", build=tmp_path / "bu{il}d")  # braces, because papermill fills them in


@pytest.fixture
def said() -> list[str]:
    return []


def notebook(folder: Path, *cells: str, name: str = "01_tiny", parameters: str = "") -> Path:
    made = new_notebook(cells=[new_code_cell(cell) for cell in (parameters, *cells)])
    made.cells[0].metadata["tags"] = ["parameters"]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    made.metadata["wsss"] = {"minutes": {"smoke": 0.1}}
    path = folder / f"{name}.ipynb"
    nbformat.write(made, path)
    return path


def status_of(places: Places, name: str = "01_tiny") -> Status:
    status = Status.load(places.notebooks / f"{name}.json")
    assert status is not None
    return status


def texts(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))


USES_STORE = """
import os, sys
from wsss_lib.experiments import store
from wsss_lib.experiments.places import Places
store.provenance = dict  # saves importing PyTorch
places = Places.from_environment()
artefact = store.Store(places.store).artefact("cams", params={"rounds": rounds}, inputs={}, make=lambda folder: None)
places.tables.mkdir(exist_ok=True)
(places.tables / "verdict.txt").write_text(f"rounds: {rounds}")
print(sys.executable, os.environ["PYTHONHASHSEED"], os.getcwd(), sep="\\n")
"""


def test_runs_in_order_then_finds_everything_fresh_then_runs_what_changed(
    tmp_path: Path, places: Places, said: list[str]
):
    source = notebook(tmp_path, USES_STORE, parameters="rounds = 3")
    reproduce(places, at_once=1, report=said.append, folder=tmp_path)

    status = status_of(places)
    assert status.state == "done"
    assert status.seconds > 0
    assert len(status.artefacts) == 1
    assert status.artefacts[0].startswith("cams/")
    assert list(status.outputs) == ["tables/verdict.txt"]
    assert texts(places.notebooks / "01_tiny.ipynb").splitlines()[-3:] == [sys.executable, "0", str(REPOSITORY)]
    assert sys.executable in (places.notebooks / "01_tiny.log").read_text()
    assert any(line.endswith("  cams: started") and " left]" in line for line in said)
    assert said[-1] == "\nrounds: 3"
    left_behind = {path.name for path in places.notebooks.iterdir()}
    assert left_behind == {"01_tiny.ipynb", "01_tiny.json", "01_tiny.log", ".locks"}

    said.clear()
    start = time.perf_counter()
    reproduce(places, at_once=1, report=said.append, folder=tmp_path)
    assert "[1/1] 01_tiny: fresh, nothing to do" in said
    assert said[-1] == "\nrounds: 3"
    assert time.perf_counter() - start < 1  # no kernel was started
    assert status_of(places) == status

    run_notebooks([source], places, parameters={"rounds": 2}, report=said.append)
    assert any("01_tiny: runs (changed since: parameters)" in line for line in said)
    assert (places.tables / "verdict.txt").read_text() == "rounds: 2"


def test_the_log_is_no_output_of_a_notebook(tmp_path: Path, places: Places, said: list[str]):
    """Every run adds to it, and whoever deletes it has lost no result."""
    logging = "from wsss_lib.experiments.places import Places\nPlaces.from_environment().log.write_text('told')"
    run_notebooks([notebook(tmp_path, logging)], places, report=said.append)
    assert places.log.read_text() == "told"
    assert status_of(places).outputs == {}


def test_stages_are_made_first_unless_every_notebook_is_fresh(
    tmp_path: Path, places: Places, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    """Of finished systems nothing is left to make; with one process, or where one suits, notebooks make their own."""
    notebook(tmp_path, "print('done')", parameters="systems = 'all'")
    calls = []
    expected = (tuple(MAKERS), {"processes": 2, "systems": "none", "report": said.append})
    monkeypatch.setattr(at_once, "make_at_once", lambda names, *_, **options: calls.append((names, options)))
    reproduce(places, systems="finished", at_once=2, report=said.append, folder=tmp_path)
    assert calls == [expected]
    first, then = "profile smoke: stages first, 2 at a time", "then the notebooks, which find them"
    assert said[0] == f"{first}; {then}; all in all at most about 6 s"

    reproduce(places, systems="finished", at_once=2, report=said.append, folder=tmp_path)  # fresh by now
    monkeypatch.setattr(at_once, "sensible_number", lambda: 1)
    reproduce(places, systems="none", report=said.append, folder=tmp_path)
    assert len(calls) == 1
    reproduce(places, systems="none", at_once=2, force=True, report=said.append, folder=tmp_path)
    assert calls[1:] == [expected]


def test_failing_cell_names_cause_and_place_and_keeps_the_copy_from_before(
    tmp_path: Path, places: Places, said: list[str]
):
    places.notebooks.mkdir(parents=True)
    before = places.notebooks / "01_tiny.ipynb"
    before.write_text("the copy from before")
    source = notebook(tmp_path, "print('as far as here')", "1 / 0", "print('not this far')")
    with pytest.raises(NotebookError, match=r"01_tiny failed in cell \[2\] with ZeroDivisionError: division by zero"):
        run_notebooks([source], places, report=said.append)
    assert before.read_text() == "the copy from before"
    assert texts(places.notebooks / "01_tiny.failed.ipynb") == "as far as here\n"
    log = (places.notebooks / "01_tiny.log").read_text()
    assert "ZeroDivisionError" in log
    assert "\x1b" not in log
    assert status_of(places).state == "failed"
    assert "ZeroDivisionError" in status_of(places).error


def test_clear_error_of_the_library_is_passed_on_as_it_is(tmp_path: Path, places: Places, said: list[str]):
    cell = "from wsss_lib.vocabulary import DataError\nraise DataError('camvid is not there; unpack it')"
    with pytest.raises(NotebookError, match=r"^01_tiny stopped in cell \[1\]: camvid is not there; unpack it$"):
        run_notebooks([notebook(tmp_path, cell)], places, report=said.append)


def test_kernel_that_dies_is_no_success(tmp_path: Path, places: Places, said: list[str]):
    last_words = "import os, signal, sys\nprint('last words', file=sys.__stderr__, flush=True)"
    dying = f"{last_words}\nos.kill(os.getpid(), signal.SIGKILL)"
    source = notebook(tmp_path, "print('alive')", dying)
    with pytest.raises(NotebookError, match=r"kernel of 01_tiny died, most often because memory ran out: close other"):
        run_notebooks([source], places, report=said.append)
    assert status_of(places).state == "failed"
    assert "last words" in (places.notebooks / "01_tiny.log").read_text()
    assert not (places.notebooks / "01_tiny.ipynb").exists()


def test_cell_that_takes_too_long_is_stopped(tmp_path: Path, places: Places, said: list[str], monkeypatch):
    monkeypatch.setattr("wsss_lib.experiments.runner.cell_limit", lambda _: 1)
    with pytest.raises(NotebookError, match="a cell of 01_tiny took longer than 1 s"):
        run_notebooks([notebook(tmp_path, "import time\ntime.sleep(60)")], places, report=said.append)
    assert status_of(places).state == "failed"


def test_mistyped_parameter_is_refused_before_anything_starts(tmp_path: Path, places: Places, said: list[str]):
    source = notebook(tmp_path, parameters="rounds = 3")
    with pytest.raises(SettingsError, match=r"'ronds'; did you mean 'rounds'\?"):
        run_notebooks([source], places, parameters={"ronds": 2}, report=said.append)
    assert said == []
    assert not places.build.exists()


def test_results_where_a_file_is(tmp_path: Path, said: list[str]):
    (tmp_path / "build").write_text("")
    with pytest.raises(SettingsError, match="a file is in its way; pass another --build"):
        run_notebooks([notebook(tmp_path)], Places(build=tmp_path / "build"), report=said.append)


def start_in_another_process(source: Path, places: Places, **environment: str) -> subprocess.Popen[str]:
    script = f"""
import signal
from pathlib import Path
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.runner import run_notebooks
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
run_notebooks([Path({str(source)!r})], Places(profile="smoke", build=Path({str(places.build)!r})))
"""
    return subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **environment}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def kernel_of(child: subprocess.Popen[str]) -> int:
    """Process id of a notebook's kernel, which the notebook prints."""
    assert child.stdout
    return next(int(line.rpartition(" ")[2]) for line in child.stdout if "  pid " in line)


SLOW = """
import os, time
from wsss_lib.data.disk import aside
with aside(places.tables / "table.csv") as unfinished:
    unfinished.write_text("1,2")
    print("pid", os.getpid())
    time.sleep(float(os.environ.get("SECONDS", 0)))
"""


def test_a_killed_run_goes_on_and_two_at_once_wait_for_each_other(tmp_path: Path, places: Places, said: list[str]):
    """Only the runner is killed: its kernel ends by itself. Then two run at once: one works, the other waits."""
    source = notebook(tmp_path, USES_STORE, SLOW, parameters="rounds = 3")
    killed = start_in_another_process(source, places, SECONDS="60")
    kernel = kernel_of(killed)
    killed.kill()
    killed.communicate()
    assert status_of(places).state == "running"
    (record,) = places.store.glob("cams/*/record.json")
    before = record.stat()
    psutil.wait_procs([psutil.Process(kernel)] if psutil.pid_exists(kernel) else [], timeout=20)
    assert list(places.tables.glob(".table.csv.*.part"))

    first = start_in_another_process(source, places, SECONDS="2")
    kernel_of(first)
    run_notebooks([source], places, report=said.append)
    first.communicate(timeout=60)
    assert said[1:] == [
        f"01_tiny: waiting for process {first.pid}, which is making it", "[1/1] 01_tiny: fresh, nothing to do"
    ]  # fmt: skip
    assert first.returncode == 0
    assert record.stat() == before  # the stage that was done before the kill was found again
    assert sorted(path.name for path in places.tables.iterdir()) == ["table.csv", "verdict.txt"]
    left_behind = {path.name for path in places.notebooks.iterdir()}
    assert left_behind == {"01_tiny.ipynb", "01_tiny.json", "01_tiny.log", ".locks"}
    status = status_of(places)
    assert (status.state, list(status.outputs)) == ("done", ["tables/table.csv", "tables/verdict.txt"])


def test_interrupt_stops_the_kernel_and_is_remembered(tmp_path: Path, places: Places):
    """Ctrl-C on the command: exit code 130, no process left, and the notebook counts as interrupted."""
    source = notebook(tmp_path, "import os, time\nprint('pid', os.getpid())\ntime.sleep(60)")
    child = start_in_another_process(source, places)
    kernel = kernel_of(child)
    child.send_signal(2)
    child.communicate(timeout=20)
    assert child.returncode != 0
    assert status_of(places).state == "interrupted"
    assert not psutil.pid_exists(kernel)


@pytest.mark.parametrize(("promised", "limit"), [(0, 86400), (60, 3600), (3600, 36000)])
def test_cell_limit(promised: float, limit: float):
    assert cell_limit(promised) == limit


def test_figures_are_in_the_executed_copy_whatever_backend_the_user_set(
    tmp_path: Path, places: Places, said: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MPLBACKEND", "agg")
    source = notebook(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    run_notebooks([source], places, report=said.append)
    executed = json.loads((places.notebooks / "01_tiny.ipynb").read_text())
    shown = [output for cell in executed["cells"] for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert os.environ["MPLBACKEND"] == "agg"
