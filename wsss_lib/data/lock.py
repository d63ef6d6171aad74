"""One process at a time: a lock that the operating system lets go of when its holder dies, however it dies.

A lock file with a process id in it would have to be judged when it is found: is that process still alive, and is it
still the same one? ``flock`` needs no judging; the process id in the file only serves the message to those who wait.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock(path: Path, *, waiting_for: str, report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock ``path``; while another process holds it, say once what is waited for, and wait.

    The file stays when the lock is released: removing it would let a third process lock a new file of the same name
    while the second still waits for the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not _taken(file.fileno()):
            file.seek(0)
            report(f"{waiting_for}: waiting for process {file.read().strip() or '?'}, which is making it")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            # A forked worker may have inherited this open file: unlock, do not only close.
            fcntl.flock(file, fcntl.LOCK_UN)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock ``path`` now; writes nothing, the folder may be read-only."""
    if not path.exists():
        return False
    with path.open() as file:
        return not _taken(file.fileno())


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
