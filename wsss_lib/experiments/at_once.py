"""Several stages made at the same time, each by a process of its own, on one machine.

One training leaves most of a large GPU, or the other cores of a processor, idle: a step of a small network is hardly
faster with two threads (1.0 to 1.25 times, measured on the toy), while two trainings beside each other take two cores.
They find each other's results in the store, and whoever needs what another one is making waits for it. Compare
``shared``, where several processes train one network together.
"""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

import torch

from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.kernel import KEEP_MEMORY, physical_cores
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Profile
from wsss_lib.experiments.progress import Say, say
from wsss_lib.training.report import in_words
from wsss_lib.vocabulary import NoSpaceError, SettingsError, WsssError

Task = tuple[str, str, int]
"""A name in ``MAKERS``, a data set, and which of its tasks."""

_PAUSE = 30.0
"""Seconds between two lines of how many are made: stages found in the store would tell hundreds at once."""


def sensible_number() -> int:
    """How many stages at once suit any machine: two on the cores of a processor, one on a GPU or a single core.

    More need as many times the memory, which only the user knows.
    """
    return 1 if torch.cuda.is_available() or physical_cores() == 1 else 2


def check_number(processes: int) -> None:
    """``SettingsError`` for fewer stages at once than one, or more than there are cores (two always go)."""
    most = max(2, os.cpu_count() or 1)
    if not 1 <= processes <= most:
        raise SettingsError(
            f"the number of stages at once must be between 1 and {most} on this machine, not {processes}"
        )


def make_at_once(
    names: Sequence[str],
    places: Places,
    *,
    processes: int,
    systems: str = "all",
    profile: Profile | None = None,
    report: Say = say,
) -> None:
    """Make stages of every role, up to ``processes`` at a time, for the ``systems`` that notebooks are asked for
    (``segmentation.chosen_systems``). ``profile``: one that has no name in the list. ``report`` hears now and then how
    many are made.

    What fails with a clear error does not hold up the others; the first such error is raised when all are done (of a
    full disk at once). Unless ``OMP_NUM_THREADS`` says otherwise, the processes divide the cores between them.
    ``SettingsError`` for an unknown name or number (:func:`check_number`), ``WsssError`` if a process died.
    """
    for name in names:
        check_name("stage", name, MAKERS)
    check_number(processes)
    roles = Experiment(places, profile=profile, report=None).roles
    tasks = [
        (name, dataset, number)
        for name in names
        for dataset, stages in roles.items()
        for number in range(len(MAKERS[name](stages, systems)))
    ]
    if errors := _made(tasks, processes, (places, systems, profile), report):
        more = f" ({len(errors)} stages failed; this is the first)" if len(errors) > 1 else ""
        raise WsssError(errors[0] + more)


def _made(
    tasks: Sequence[Task], processes: int, opened: tuple[Places, str, Profile | None], report: Say = say
) -> list[str]:
    """Do all tasks in their order; the sentences of those that failed. No process outlives this."""
    others, size = set(active_children()), min(processes, max(1, len(tasks)))
    with _environment_of_workers(processes):
        executor = ProcessPoolExecutor(size, get_context("spawn"), initializer=_open, initargs=opened)
        try:
            futures = [executor.submit(_do, task) for task in tasks]
            return [error for done in _told(as_completed(futures), len(tasks), report) if (error := done.result())]
        except BaseException as error:
            for child in set(active_children()) - others:  # after Ctrl-C nobody waits for what they make
                child.terminate()
            if isinstance(error, BrokenProcessPool):
                raise WsssError(
                    "a process that made a stage died, most often because memory ran out: close other programs, or run"
                    " the same command again with --at-once 1; finished stages are kept"
                ) from error
            raise
        finally:
            executor.shutdown(cancel_futures=True)


def _told(finished: Iterable[Future[str]], total: int, report: Say) -> Iterator[Future[str]]:
    """Pass them on, and tell how many there were, but not more often than a reader wants to know."""
    start = told = time.monotonic()
    for number, each in enumerate(finished, 1):
        yield each
        now = time.monotonic()
        if now - told >= _PAUSE or number == total:
            told = now
            report(f"stages: {number} of {total} done after {in_words(now - start)}")


@contextmanager
def _environment_of_workers(processes: int) -> Iterator[None]:
    """Inside, a process that is started takes its share of the cores and keeps the memory that it frees, unless the
    user has said otherwise."""
    ours = {"OMP_NUM_THREADS": str(max(1, physical_cores() // processes)), **KEEP_MEMORY}
    added = {name: value for name, value in ours.items() if not os.environ.get(name)}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


_open_here: list[tuple[Experiment, str]] = []
"""What a worker has open, and for which systems: reading the data anew for every task would cost more than a task."""


def _open(places: Places, systems: str, profile: Profile | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the one that was started answers it
    Thread(target=_end_with_parent, daemon=True).start()
    _open_here[:] = [(Experiment(places, profile=profile), systems)]


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for tasks for ever, with all its memory."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _do(task: Task) -> str:
    """Make it; the sentence of a clear error, or "". On a full disk the others would fail as well, hours later."""
    name, dataset, number = task
    experiment, systems = _open_here[0]
    try:
        MAKERS[name](experiment.role(dataset), systems)[number]()
    except NoSpaceError:
        raise
    except WsssError as error:
        return str(error)
    return ""
