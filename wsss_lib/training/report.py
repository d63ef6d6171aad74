"""Who hears how a long computation goes: a reader gets a few lines with the time left, a log gets every line."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def _nobody(_: str) -> None: ...


@dataclass(frozen=True)
class Report:
    """Called with a line, it tells it to the reader and to the log; ``log`` alone is for what would tire a reader."""

    show: Callable[[str], None] = _nobody
    log: Callable[[str], None] = _nobody

    def __call__(self, line: str) -> None:
        self.show(line)
        self.log(line)

    def about(self, what: str) -> "Report":
        """The same with ``what`` in front of every line."""
        return Report(lambda line: self.show(f"  {what}: {line}"), lambda line: self.log(f"{what}: {line}"))


SILENT = Report()


class Clock:
    """Time left of ``total`` equal pieces of work, of which ``done`` were there already when it was started."""

    def __init__(self, total: int, done: int = 0) -> None:
        self._total, self._before, self._start = total, done, time.monotonic()

    def left(self, done: int) -> str:
        """In words, from the pace of what was done since the start: "4.0 min left"; "" as long as nothing was."""
        if done <= self._before:
            return ""
        pace = (time.monotonic() - self._start) / (done - self._before)
        return f"{in_words(pace * (self._total - done))} left"


def in_words(seconds: float) -> str:
    """``42`` -> "42 s", ``150`` -> "2.5 min", ``7200`` -> "2.0 h"."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3570 else f"{seconds / 3600:.1f} h"
