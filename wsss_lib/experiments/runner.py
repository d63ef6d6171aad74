"""Runs the notebooks, one or all in order, and never believes that one went well unless it did.

papermill executes; what it leaves open is settled here: unknown parameters are refused before anything starts, every
cell has a time limit, the kernel is this interpreter in a fixed environment, an executed copy appears under its name
only when it is whole, and a notebook whose copy is still fresh is not run again.

For a notebook ``05_segmentation`` the folder ``<build>/<profile>/notebooks`` holds ``05_segmentation.ipynb`` (the
executed copy), ``.log`` (all that it printed), ``.json`` (its ``Status``), and after a failure ``.failed.ipynb``.
"""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from wsss_lib.data.lock import lock
from wsss_lib.experiments.files import sweep, writing
from wsss_lib.experiments.freshness import Stamp, Status, files_since, notebook_stamp, why_stale
from wsss_lib.experiments.inputs import check_inputs
from wsss_lib.experiments.notebooks import all_notebooks, checked_parameters, expected_minutes
from wsss_lib.experiments.places import NOTEBOOKS, REPOSITORY, Places
from wsss_lib.experiments.profiles import load_profile
from wsss_lib.experiments.progress import LineWriter, Progress, Say, say
from wsss_lib.experiments.provenance import SOURCE
from wsss_lib.experiments.segmentation import check_systems
from wsss_lib.experiments.store import plain
from wsss_lib.training.report import in_words
from wsss_lib.vocabulary import WsssError

_VERDICTS = ("verdict.txt", "verdict.md")

_PATIENCE = 10.0  # a cell may take this many times what its whole notebook promises
_SHORTEST_LIMIT = 3600.0
_LIMIT_WITHOUT_PROMISE = 24 * 3600.0
_START_LIMIT = 180  # seconds; a cold disk takes its time to read PyTorch


class NotebookError(WsssError):
    """A notebook that did not reach its end; everything that was finished before is kept."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One notebook with the places and parameters it runs with, and the files that belong to it."""

    notebook: Path
    places: Places
    parameters: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The notebook's name without its suffix."""
        return self.notebook.stem

    def file(self, suffix: str) -> Path:
        """A file of this job beside its executed copy."""
        return self.places.notebooks / f"{self.name}{suffix}"

    @property
    def lock_file(self) -> Path:
        """Held while the notebook runs: two processes do not execute it at once, the second then finds it fresh."""
        return self.places.notebooks / ".locks" / self.name

    @property
    def status(self) -> Status | None:
        """What is known of the last run."""
        return Status.load(self.file(".json"))

    def stamp(self) -> Stamp:
        """What a run of it would depend on."""
        return notebook_stamp(self.notebook, self.places, self.parameters)

    def why_stale(self, stamp: Stamp) -> str:
        """Why it has to run; ``""`` when it has not."""
        reason = why_stale(self.status, stamp, self.places)
        return reason or ("" if self.file(".ipynb").exists() else "its executed copy is gone")


def reproduce(
    places: Places, *, systems: str | None = None, force: bool = False, at_once: int | None = None,
    report: Say = say, folder: Path = NOTEBOOKS,
) -> None:  # fmt: skip
    """Run all notebooks in order, those that are not fresh, and end with the verdict that they wrote.

    ``systems`` is given to the notebooks that have such a parameter. If a notebook is not fresh, ``at_once`` processes
    (unless given, as many as suit the machine) make the stages first, beside each other, and notebooks find them; with
    1 every notebook makes its own.
    """
    given = {} if systems is None else {"systems": systems}
    notebooks = all_notebooks(folder)
    jobs = _jobs(notebooks, places, given, shared=True)
    if jobs and at_once != 1 and (force or any(job.why_stale(job.stamp()) for job in jobs)):
        _make_stages(jobs, given.get("systems", "all"), at_once, report)
    run_notebooks(notebooks, places, parameters=given, shared=True, force=force, report=report)
    verdict = next((places.tables / name for name in _VERDICTS if (places.tables / name).exists()), None)
    report("\n" + verdict.read_text(encoding="utf-8") if verdict else f"no verdict was written to {places.tables}")


def _make_stages(jobs: Sequence[Job], systems: str, at_once: int | None, report: Say) -> None:
    """What the notebooks will ask for; of systems that are finished nothing is left to make."""
    from wsss_lib.experiments.at_once import check_number, make_at_once, sensible_number
    from wsss_lib.experiments.makers import MAKERS

    places = jobs[0].places
    _check(places, systems)
    processes = sensible_number() if at_once is None else at_once
    check_number(processes)
    if processes == 1:
        return
    expected = _expected(_promised(jobs))
    report(
        f"profile {places.profile}: stages first, {processes} at a time; then the notebooks, which find them; all in"
        f" all {expected}"
    )
    with writing(places.build):
        places.store.mkdir(parents=True, exist_ok=True)  # where nothing can be written, one error instead of many
        wanted = "none" if systems == "finished" else systems
        make_at_once(tuple(MAKERS), places, processes=processes, systems=wanted, report=report)


def _jobs(notebooks: Sequence[Path], places: Places, given: Mapping[str, Any], *, shared: bool) -> list[Job]:
    return [
        Job(notebook=path, places=places, parameters=checked_parameters(path, given, shared=shared))
        for path in notebooks
    ]


def _promised(jobs: Sequence[Job]) -> dict[str, float]:
    """Seconds that every notebook promises to take if it has to make all that it needs; 0 if it promises nothing."""
    return {job.name: 60 * (expected_minutes(job.notebook, job.places.profile) or 0.0) for job in jobs}


def _expected(promised: Mapping[str, float]) -> str:
    return f"at most about {in_words(sum(promised.values()))}" if any(promised.values()) else "time not known"


def _check(places: Places, systems: str) -> None:
    """Refuse missing data and unknown systems before anything starts."""
    profile = load_profile(places.profile)
    check_inputs(profile, places.data, places.weights)
    check_systems(profile.roles.values(), systems)


def run_notebooks(
    notebooks: Sequence[Path],
    places: Places,
    *,
    parameters: Mapping[str, Any] | None = None,
    shared: bool = False,
    force: bool = False,
    report: Say = say,
) -> None:
    """Run the given notebooks in order, those that are not fresh (or all, with ``force``).

    Every notebook gets the ``parameters``, or, if they are ``shared``, those of them that it has. ``NotebookError`` at
    the first that fails, ``SettingsError`` for an unknown parameter, before anything has started.
    """
    given = parameters or {}
    jobs = _jobs(notebooks, places, given, shared=shared)
    promised = _promised(jobs)
    _check(places, str(given.get("systems", "all")))
    report(f"profile {places.profile}, notebooks: {len(jobs)}, {_expected(promised)}; results go to {places.folder}")
    progress = Progress(promised, report)
    for job in jobs:
        limit = cell_limit(promised[job.name])
        with writing(places.build), lock(job.lock_file, waiting_for=job.name, report=report):
            _run_if_stale(job, limit=limit, force=force, progress=progress)


def cell_limit(promised_seconds: float) -> float:
    """Seconds a cell may take in a notebook that promises to take ``promised_seconds`` (0: promises nothing)."""
    if not promised_seconds:
        return _LIMIT_WITHOUT_PROMISE
    return max(_SHORTEST_LIMIT, _PATIENCE * promised_seconds)


def _run_if_stale(job: Job, *, limit: float, force: bool, progress: Progress) -> None:
    stamp = job.stamp()
    reason = "asked for" if force else job.why_stale(stamp)
    if not reason:
        progress.skip(job.name)
        return
    progress.start(job.name, reason)
    status = Status(
        state="running", stamp=stamp, started=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=plain(job.parameters), source=SOURCE,
    )  # fmt: skip
    status.save(job.file(".json"))
    try:
        _execute(job, status, limit=limit, on_line=progress.line)
        status.state = "done"
    except NotebookError as error:
        status.state, status.error = "failed", str(error)
        raise
    except BaseException:
        status.state = "interrupted"
        raise
    finally:
        with suppress(OSError):  # on a full disk the error on its way says more than this one
            status.save(job.file(".json"))
    progress.finish(status.peak_memory_mb)


def _execute(job: Job, status: Status, *, limit: float, on_line: Callable[[str], None]) -> None:
    """Execute the notebook; fill in what it cost, used and made."""
    from wsss_lib.experiments.kernel import MemoryWatch

    unfinished, used_log = job.file(".running.ipynb"), job.file(".used")
    for leftover in (unfinished, used_log, job.file(".failed.ipynb")):
        leftover.unlink(missing_ok=True)
    sweep(job.places.folder, skip=job.places.store)
    start, watch = time.time(), MemoryWatch()
    try:
        with watch, job.file(".log").open("w", encoding="utf-8") as log:
            _papermill(job, unfinished, used_log, limit=limit, log=log, on_line=on_line)
        os.replace(unfinished, job.file(".ipynb"))
    except NotebookError:
        if unfinished.exists():
            os.replace(unfinished, job.file(".failed.ipynb"))
        raise
    finally:
        status.seconds, status.peak_memory_mb = round(time.time() - start, 1), watch.peak_mb
        status.artefacts = list(dict.fromkeys(used_log.read_text().split())) if used_log.exists() else []
        used_log.unlink(missing_ok=True)
        places = job.places
        within = (places.tables, places.figures, places.predictions)
        status.outputs = files_since(places.folder, start, within=within)


def _papermill(
    job: Job, output: Path, used_log: Path, *, limit: float, log: TextIO, on_line: Callable[[str], None]
) -> None:
    """papermill with its loose ends tied, and its exceptions turned into one sentence each."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from wsss_lib.experiments.kernel import kernel_environment, kernel_manager

    see = f"its output is in {job.file('.log')}"
    try:
        papermill.execute_notebook(
            _escaped(job.notebook),
            _escaped(output),
            parameters=dict(job.parameters),
            kernel_name="python3",
            kernel_manager_class=kernel_manager(kernel_environment(job.places, used_log=used_log), log),
            cwd=REPOSITORY,
            execution_timeout=limit,
            start_timeout=_START_LIMIT,
            progress_bar=False,
            stdout_file=LineWriter(log, on_line),
            stderr_file=LineWriter(log),
        )
    except PapermillExecutionError as error:
        log.write(re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback)) + "\n")  # without colours
        raise NotebookError(_failure(job, error.exec_count, error.ename, error.evalue)) from error
    except DeadKernelError as error:
        raise NotebookError(
            f"the kernel of {job.name} died, most often because memory ran out: close other programs or take a smaller"
            f" profile, then run the same command again, finished stages are kept ({see})"
        ) from error
    except CellTimeoutError as error:
        raise NotebookError(
            f"a cell of {job.name} took longer than {in_words(limit)} and was stopped; run the same command again to go"
            f" on from the last finished stage ({see})"
        ) from error
    except RuntimeError as error:
        raise NotebookError(f"the kernel of {job.name} did not start ({error}); run `wsss doctor`") from error


def _failure(job: Job, cell: int | None, kind: str, message: str) -> str:
    """One sentence for an exception in a cell: ours are already written for the reader, others need the traceback."""
    ours = {error.__name__ for error in WsssError.__subclasses__()}
    if kind in ours:
        return f"{job.name} stopped in cell [{cell}]: {message}"
    return (
        f"{job.name} failed in cell [{cell}] with {kind}: {message} (traceback at the end of {job.file('.log')},"
        f" executed as far as it went in {job.file('.failed.ipynb')})"
    )


def _escaped(path: Path) -> str:
    """papermill fills in ``{name}`` in paths; ours are meant as they are."""
    return str(path).replace("{", "{{").replace("}", "}}")
