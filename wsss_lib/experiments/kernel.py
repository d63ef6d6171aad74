"""The kernel a notebook runs in: this interpreter, a fixed environment, and its memory watched."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import psutil
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from wsss_lib.experiments.places import Places

KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""Freed memory stays with the process: a training step would otherwise ask the system for a gigabyte of fresh pages
every time (a seventh to a fifth of its seconds, measured). Only glibc reads these, when a process starts."""

_FIRST_ZIP_DATE = "315532800"  # 1980-01-01, the earliest date every archive format can hold


def kernel_environment(places: Places, *, used_log: Path | None = None) -> dict[str, str]:
    """Variables that must be set before a kernel starts, because setting them inside it comes too late."""
    fixed = {
        "PYTHONHASHSEED": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(physical_cores()),
        # Threads that wait by spinning take the processor from those they wait for as soon as the machine is shared.
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
        **KEEP_MEMORY,
        "SOURCE_DATE_EPOCH": _FIRST_ZIP_DATE,
        # "agg" would keep the figures out of the executed copy; this one needs no display either.
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYKERNEL_CELL_NAME": "<cell>",  # the default holds the process id, which then stands in every warning
        "IPYTHONDIR": str(places.build / ".ipython"),  # start-up files of the user would change what a notebook does
    }
    used = {"WSSS_USED_LOG": str(used_log)} if used_log else {}
    return {**fixed, **places.environment(), **used}


def physical_cores() -> int:
    """Cores that this process may use, hardware threads not counted."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or allowed, allowed))


def kernel_manager(environment: Mapping[str, str], errors: TextIO) -> type[AsyncKernelManager]:
    """A kernel manager whose kernel is always the interpreter that runs this line.

    The name ``python3`` alone could lead elsewhere: to a kernel that the user once installed for another project.
    ``errors`` takes what the kernel itself writes to its standard error, its last words among them when it crashes.
    """
    literal = {name: value.replace("$", "$$") for name, value in environment.items()}  # "$NAME" would be filled in
    specification = KernelSpec(**{**get_kernel_dict(), "env": literal})

    class OwnInterpreter(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return specification

        async def start_kernel(self, **options: Any) -> None:
            await super().start_kernel(stderr=errors, **options)

    return OwnInterpreter


class MemoryWatch:
    """Peak resident memory of all processes started from this one, sampled while the ``with`` block runs.

    Pages that worker processes share are counted for each of them, and what rises and falls between two samples is
    not seen.
    """

    def __init__(self, every_seconds: float = 0.5) -> None:
        self.peak_mb = 0.0
        self._every_seconds = every_seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._every_seconds):
            self.peak_mb = max(self.peak_mb, round(_children_memory() / 1e6, 1))


def _children_memory() -> int:
    total = 0
    for child in psutil.Process().children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it ended between the two questions
            continue
    return total
