"""What a stage makes picture by picture: a file for each, made by one process or by many, read when it is asked for.

A killed run therefore goes on with the next picture, a data set need not fit into memory, and the work can be shared
between processes or machines. Which of them made a file does not change it: every worker uses as many threads as the
process that asks.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast, overload

import numpy as np
import torch
from joblib import Parallel, delayed, parallel_config
from numpy.typing import DTypeLike

from wsss_lib.experiments.files import load_arrays, save_arrays
from wsss_lib.experiments.memory import kept
from wsss_lib.training.report import Clock
from wsss_lib.vocabulary import SettingsError

_TOGETHER = 8  # pictures that a worker is given at once
_PATIENCE = 20  # seconds until a scheduler must have answered


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who makes pictures' files: ``count`` processes of this machine, or the workers of a dask ``cluster``.

    ``cluster`` is the address of its scheduler (``tcp://host:8786``); all machines must see the same data and build
    folders under the same paths. For speed start with ``OMP_NUM_THREADS=1`` where there is a worker for every core.
    """

    count: int = 1
    cluster: str = ""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SettingsError(f"the number of workers must be at least 1, not {self.count}")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Workers":
        """The workers that ``WSSS_WORKERS`` and ``WSSS_CLUSTER`` name; one process, this one, if neither is set."""
        count = environment.get("WSSS_WORKERS") or "1"
        if not count.isdecimal():
            raise SettingsError(f"WSSS_WORKERS is a number of processes, not {count!r}")
        return cls(count=int(count), cluster=environment.get("WSSS_CLUSTER", ""))

    @contextmanager
    def hired(self) -> Iterator[None]:
        """Inside, joblib gives its work to them; ``SettingsError`` if a cluster cannot be reached."""
        if not self.cluster:
            with parallel_config(backend="loky", n_jobs=self.count):
                yield
            return
        with _client(self.cluster) as client, parallel_config(backend="dask", client=client):
            yield


def make_each(
    make: Callable[[int], np.ndarray],
    folder: Path,
    count: int,
    *,
    workers: Workers,
    report: Callable[[str], None],
    compress: bool = False,
) -> None:
    """Write ``make(i)`` for every picture ``i`` below ``count`` whose file is not there yet.

    ``make`` must be picklable where there is more than one worker. ``compress`` pays for maps of whole numbers.
    """
    missing = [i for i in range(count) if not _file(folder, i).is_file()]
    parts = [missing[start : start + _TOGETHER] for start in range(0, len(missing), _TOGETHER)]
    task, done = delayed(_make_some), count - len(missing)
    clock = Clock(count, done)
    with workers.hired():
        finished = Parallel(return_as="generator_unordered")(
            task(make, folder, part, compress, torch.get_num_threads()) for part in parts
        )
        for number in cast("Iterable[int]", finished):
            if (done + number) // 50 > done // 50:
                report(f"picture {done + number}/{count}, {clock.left(done + number)}")
            done += number


class PictureArrays(Sequence[np.ndarray]):
    """The arrays that ``make_each`` wrote, as ``dtype``; as many of them as there is room for stay in memory, as they
    were written: regions then take half as much.
    """

    def __init__(self, folder: Path, count: int, dtype: DTypeLike | None = None) -> None:
        self._count, self._dtype = count, dtype
        self._kept = kept(partial(load_array, folder))

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | Sequence[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        array = self._kept(int(index) % self._count)
        return array if self._dtype is None else array.astype(self._dtype, copy=False)


def save_array(folder: Path, index: int, array: np.ndarray, *, compress: bool = False) -> None:
    """Write the array of one picture into the folder of an artefact."""
    save_arrays(_file(folder, index), {"array": array}, compress=compress)


def load_array(folder: Path, index: int) -> np.ndarray:
    """The array of one picture that ``make_each`` wrote."""
    return load_arrays(_file(folder, index))["array"]


def _file(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.npz"


def _client(address: str) -> AbstractContextManager[object]:
    try:
        from distributed import Client  # not needed by anybody without a cluster
    except ImportError as error:
        raise SettingsError("a cluster needs the package distributed; install it beside wsss_lib") from error
    try:
        return Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SettingsError(f"no dask scheduler answers at {address}; start one there, or leave it out") from error


def _make_some(make: Callable[[int], np.ndarray], folder: Path, part: list[int], compress: bool, threads: int) -> int:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
    for index in part:
        save_array(folder, index, make(index), compress=compress)
    return len(part)
