"""What stays in memory of what was read: pictures, label maps, regions, features, as much as the machine has room for.

Every kind of them has a share of its own, so that the first does not take all. How much is free is asked anew whenever
something more would be kept: other kinds, other processes (``WSSS_WORKERS``) and other programs count by what they
really use. A limit that a container or a scheduler of jobs sets (control groups of Linux) counts as the machine.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

import numpy as np
import psutil

KEPT_BYTES = 4_000_000_000
"""What one kind may take of memory in any case; what is beyond it has to pass ``KEPT_SHARE``."""

KEPT_SHARE = 0.25
"""Of all memory: the most that one kind may take, and what has to stay free for everything else.

The training pictures of Cityscapes are 19 GB and their label maps 6 GB: both stay in memory from 76 GB on.
"""


def kept(read: Callable[[int], np.ndarray]) -> Callable[[int], np.ndarray]:
    """``read``, which remembers what there is room for; several threads may ask at once.

    What is kept stays. Pictures come once a pass, in an order of its own: if the newest took the place of the oldest,
    a store of a fifth of them would find one in fifty again, and none where the order is always the same.
    """
    results: dict[int, np.ndarray] = {}
    taken, lock = 0, Lock()

    def get(index: int) -> np.ndarray:
        nonlocal taken
        if index in results:
            return results[index]
        result = read(index)
        with lock:
            if index not in results and has_room(taken, result.nbytes):
                results[index] = result
                taken += result.nbytes
        return result

    return get


def has_room(taken: int, more: int) -> bool:
    """Whether a kind that takes so many bytes may keep ``more``."""
    if taken + more <= KEPT_BYTES:
        return True
    total, free = memory()
    return taken + more <= KEPT_SHARE * total and free - more >= KEPT_SHARE * total


def memory(root: Path = Path("/")) -> tuple[int, int]:
    """Bytes of memory that this process may use, with all others inside the same limit, and how many of them are free.

    ``root`` is where the system tells of control groups.
    """
    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    for limit, used in _limits(root):
        total, free = min(total, limit), min(free, limit - used)
    return total, free


def _limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of every control group around this process; what the system keeps of files is not counted."""
    groups = _text(root / "proc" / "self" / "cgroup")
    for number, controllers, path in (line.split(":", 2) for line in groups.splitlines()):
        top = root / "sys" / "fs" / "cgroup"
        limit, used, cache = "memory.max", "memory.current", "inactive_file"
        if number != "0":  # the first version of control groups
            if "memory" not in controllers.split(","):
                continue
            top, limit, used, cache = top / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", f"total_{cache}"
        inner = top / path.lstrip("/")
        for folder in (inner, *(each for each in inner.parents if each.is_relative_to(top))):
            found, taken = _text(folder / limit).strip(), _text(folder / used).strip()
            if found.isdecimal() and taken.isdecimal():  # "max" is no limit
                files = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
                yield int(found), int(taken) - int(files.get(cache, 0))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:  # another system, or a group that is not shown to us
        return ""
