"""A promise as a row, and how speeds are measured: in turns, in pairs, the median."""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import torch

Call = Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One promise: what was measured, in which unit, and the bound it has to keep."""

    what: str
    value: float
    unit: str
    target: float
    at_least: bool = True

    @property
    def kept(self) -> bool:
        return self.value >= self.target if self.at_least else self.value <= self.target

    def __str__(self) -> str:
        bound = f"{'>=' if self.at_least else '<='} {self.target:g} {self.unit}"
        return f"{self.what:<78} {self.value:>8.2f} {self.unit:<10} {bound:<16} {'pass' if self.kept else 'MISS'}"


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, PyTorch and OpenCV compute on one thread."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def seconds(call: Call) -> float:
    """What one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def processor_seconds(call: Call) -> float:
    """What one call takes of the processor: what the process waits for others is left out."""
    start = time.process_time()
    call()
    return time.process_time() - start


def speed_up(slow: Call, fast: Call, repeats: int) -> float:
    """How many times longer ``slow`` takes than ``fast``: median over pairs that run one after the other.

    Both run once before, unmeasured, so that memory and code are warm.
    """
    slow()
    fast()
    return statistics.median(seconds(slow) / seconds(fast) for _ in range(repeats))
