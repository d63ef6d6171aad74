"""What a result was made with: enough to explain why two runs differ, nothing that names a machine or user."""

import importlib
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import wsss_lib
from wsss_lib.experiments.places import REPOSITORY
from wsss_lib.vocabulary import DataError

_STATUS = Path("/proc/self/status")
_PACKAGES = ("torch", "torchvision", "numpy")
OPENCV = "opencv-contrib-python-headless"
_MAKES_RESULTS = ("wsss_lib", "notebooks", "requirements.lock", "pyproject.toml")
"""What of a clone decides about results: published tables, documents and tests may differ from the commit."""


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.perf_counter() - self._start


def provenance() -> dict[str, Any]:
    """Commit, versions, device, threads, platform and date, ready for JSON.

    ``commit`` is ``None`` outside a git clone; ``dirty`` says whether files that decide about results differed from it.
    Both are of the moment at which the library was loaded: who commits while it trains does not change what the trained
    network is said to be made by.
    """
    import torch

    return {
        **SOURCE,
        "versions": {"wsss_lib": wsss_lib.__version__, **{name: installed(name) for name in _PACKAGES}},
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def source_state(repository: Path = REPOSITORY) -> dict[str, Any]:
    """``commit`` and ``dirty`` of the clone at ``repository``; both ``None`` where it is none.

    Dirty makes what decides about results (``_MAKES_RESULTS``), nothing else.
    """
    if not (repository / ".git").exists():  # git itself would go on to search the folders above
        return {"commit": None, "dirty": None}
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "HEAD")
    changes = _git(repository, "status", "--porcelain", "--", *_MAKES_RESULTS)
    return {"commit": commit or None, "dirty": None if changes is None else bool(changes)}


def uncommitted(repository: Path, *, but: Sequence[str] = ()) -> list[str]:
    """Files of a clone that differ from its commit, ``but`` what lies below those paths; none where it is no clone.

    ``DataError`` where git does not tell.
    """
    if not (repository / ".git").exists():
        return []
    changes = _git(repository, "status", "--porcelain", "--", ".", *(f":(exclude){path}" for path in but))
    if changes is None:
        raise DataError(f"git does not tell what has changed in {repository}; run git status there and do what it says")
    return [line.split(maxsplit=1)[1] for line in changes.splitlines()]


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    if _STATUS.exists():  # Linux; its getrusage would also count the process that started this one
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) * 1024 / 1e6, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    in_bytes = peak if sys.platform == "darwin" else peak * 1024
    return round(in_bytes / 1e6, 1)


def _git(repository: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def installed(package: str) -> str | None:
    """The version of a package that is installed, by its name on PyPI; ``None`` if it is not.

    OpenCV is asked itself: conda registers the same library under another name.
    """
    try:
        return importlib.import_module("cv2").__version__ if package == OPENCV else version(package)
    except (PackageNotFoundError, ImportError):
        return None


@cache
def _processor() -> str:
    """Name of the processor's model, as far as the system tells it."""
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if models:
            return models[0]
    return platform.processor() or platform.machine()


SOURCE = source_state()
"""Of this library, when it was loaded."""
