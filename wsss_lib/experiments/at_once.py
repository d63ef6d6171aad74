"""Several stages made at the same time, each by a process of its own, on one machine.

One training leaves most of a large GPU, or the other cores of a processor, idle; several trainings beside each other do
not. They find each other's results in the store, and whoever needs what another one is making waits for it. Compare
``shared``, where several processes train one network together.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context

from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.kernel import physical_cores
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Profile
from wsss_lib.vocabulary import SettingsError, WsssError

Task = tuple[str, str, int]
"""A name in ``MAKERS``, a data set, and which of its tasks."""


def make_at_once(names: Sequence[str], places: Places, *, processes: int, profile: Profile | None = None) -> None:
    """Make stages of every role, up to ``processes`` at a time. ``profile``: one that has no name in the list.

    What fails with a clear error does not hold up the others; the first such error is raised when all are done. Unless
    ``OMP_NUM_THREADS`` says otherwise, the processes divide the cores between them. ``SettingsError`` for an unknown
    name, fewer processes than one, or more than there are cores (two always go).
    """
    for name in names:
        check_name("stage", name, MAKERS)
    most = max(2, os.cpu_count() or 1)
    if not 1 <= processes <= most:
        raise SettingsError(
            f"the number of stages at once must be between 1 and {most} on this machine, not {processes}"
        )
    roles = Experiment(places, profile=profile, report=None).roles
    tasks = [
        (name, dataset, number)
        for name in names
        for dataset, stages in roles.items()
        for number in range(len(MAKERS[name](stages)))
    ]
    size = min(processes, max(1, len(tasks)))
    with _threads_each(processes), get_context("spawn").Pool(size, _open, (places, profile)) as pool:
        errors = [error for error in pool.imap_unordered(_do, tasks) if error]
    if errors:
        more = f" ({len(errors)} stages failed; this is the first)" if len(errors) > 1 else ""
        raise WsssError(errors[0] + more)


@contextmanager
def _threads_each(processes: int) -> Iterator[None]:
    """Inside, a process that is started takes its share of the cores, unless the user has said how many."""
    given = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = given or str(max(1, physical_cores() // processes))
    try:
        yield
    finally:
        if given is None:
            del os.environ["OMP_NUM_THREADS"]


_experiments: list[Experiment] = []
"""What a worker has open: reading the data anew for every task would cost more than many a task."""


def _open(places: Places, profile: Profile | None) -> None:
    _experiments[:] = [Experiment(places, profile=profile)]


def _do(task: Task) -> str:
    """Make it; the sentence of a clear error, or ""."""
    name, dataset, number = task
    try:
        MAKERS[name](_experiments[0].role(dataset))[number]()
    except WsssError as error:
        return str(error)
    return ""
