"""What a check has found whole, kept in a file: a check that was broken off goes on, and a second one is quick."""

import json
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from wsss_lib.data.disk import write_whole

Outcome = tuple[int, ...]
"""What reading a file told, in whole numbers: height, width, ..."""

_SAVED_EVERY = 5.0  # seconds


class Journal:
    """Outcomes by file, as long as its length and the time of its last change stay. Without a ``path`` none are kept.

    A journal that cannot be read is begun anew: it holds nothing that the files do not tell again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, list[int]] = {}
        if path is not None:
            with suppress(OSError, ValueError):
                known = json.loads(path.read_text(encoding="utf-8"))
                self._known = known if _fits(known) else {}

    def attempt_all(
        self, what: str, read: Callable[[Path], Outcome], paths: Iterable[Path]
    ) -> tuple[dict[Path, Outcome], dict[Path, Exception]]:
        """What reading each file gives, and for the others what went wrong; ``what`` tells readings apart."""
        good: dict[Path, Outcome] = {}
        bad: dict[Path, Exception] = {}

        def attempt(path: Path) -> Outcome | Exception:
            try:
                key = _key(what, path)
                if key not in self._known:
                    self._known[key] = list(read(path))
                return tuple(self._known[key])
            except Exception as error:  # a check reports whatever is wrong with a file and goes on to the next
                return error

        files, saved = list(paths), time.monotonic()
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoding lets other threads run
            for path, outcome in zip(files, pool.map(attempt, files), strict=True):
                if isinstance(outcome, Exception):
                    bad[path] = outcome
                else:
                    good[path] = outcome
                if time.monotonic() - saved > _SAVED_EVERY:
                    self._save()
                    saved = time.monotonic()
        self._save()
        return good, bad

    def _save(self) -> None:
        if self._path is not None:
            write_whole(self._path, json.dumps(dict(self._known)).encode())


def _fits(known: object) -> bool:
    """Whether this is what a journal writes."""
    return isinstance(known, dict) and all(
        isinstance(value, list) and all(type(number) is int for number in value) for value in known.values()
    )


def _key(what: str, path: Path) -> str:
    told = path.stat()
    return f"{what}: {path.resolve()}, {told.st_size} bytes, changed at {told.st_mtime_ns}"
