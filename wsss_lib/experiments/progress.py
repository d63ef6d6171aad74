"""Plain lines that say what runs and how long the rest will take."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TextIO

from wsss_lib.training.report import in_words

Say = Callable[[str], None]

say: Say = partial(print, flush=True)
"""To the reader at once, also where standard output is a file or a pipe."""


def time_left(*, done: Sequence[tuple[float, float]], current: tuple[float, float], ahead: Sequence[float]) -> float:
    """Seconds left, from what was expected and how far off those expectations were so far.

    ``done`` holds (expected, measured) seconds of what has run, ``current`` the same of what runs now, ``ahead`` the
    expected seconds of the rest. Example: 60 s took 90 s, so the next 60 s, of which 30 s are over, take 60 s more.
    """
    expected_done = sum(expected for expected, _ in done)
    pace = sum(measured for _, measured in done) / expected_done if expected_done > 0 else 1.0
    expected, elapsed = current
    return max(0.0, pace * expected - elapsed) + pace * sum(ahead)


class Progress:
    """Counts notebooks and time; every line that it reports starts with where the whole run is."""

    def __init__(self, expected_seconds: Mapping[str, float], report: Callable[[str], None]) -> None:
        self._ahead = dict(expected_seconds)
        self._total = len(expected_seconds)
        self._promised = any(expected_seconds.values())
        self._done: list[tuple[float, float]] = []
        self._current = ("", 0.0, 0.0)  # name, expected seconds, start
        self._report = report

    def skip(self, name: str) -> None:
        """The notebook is fresh."""
        self._ahead.pop(name)
        self._say(self._position(), f"{name}: fresh, nothing to do")

    def start(self, name: str, reason: str) -> None:
        """The notebook starts, for the reason given."""
        self._current = (name, self._ahead.pop(name), time.monotonic())
        self._say(self._position_and_time(), f"{name}: runs ({reason})")

    def line(self, text: str) -> None:
        """A line that the running notebook printed."""
        self._say(self._position_and_time(), f"  {text}")

    def finish(self, peak_memory_mb: float) -> None:
        """The running notebook is done."""
        name, expected, start = self._current
        seconds = time.monotonic() - start
        self._done.append((expected, seconds))
        self._current = ("", 0.0, 0.0)
        self._say(self._position(), f"{name}: done in {in_words(seconds)}, {peak_memory_mb / 1000:.1f} GB at most")

    def left(self) -> float:
        """Seconds left for all that is not done yet."""
        name, expected, start = self._current
        elapsed = time.monotonic() - start if name else 0.0
        return time_left(done=self._done, current=(expected, elapsed), ahead=list(self._ahead.values()))

    def _position(self) -> str:
        return f"{self._total - len(self._ahead)}/{self._total}"

    def _position_and_time(self) -> str:
        return f"{self._position()}, {in_words(self.left())} left" if self._promised else self._position()

    def _say(self, where: str, text: str) -> None:
        self._report(f"[{where}] {text}")


class LineWriter:
    """A text stream for papermill that keeps everything in a log and passes on whole lines.

    Of a progress bar, which returns to the start of its line, only the last state is passed on.
    """

    def __init__(self, log: TextIO, on_line: Callable[[str], None] | None = None) -> None:
        self._log = log
        self._on_line = on_line
        self._begun = ""

    def write(self, text: str) -> None:
        """Take the next piece of output."""
        self._log.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            shown = line.rstrip("\r").rpartition("\r")[2].rstrip()
            if shown and self._on_line:
                self._on_line(shown)

    def flush(self) -> None:
        """Let the log be read while the notebook runs."""
        self._log.flush()
