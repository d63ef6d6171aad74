"""The artefact store: what is made once is found again, by what it was made from.

An artefact is a folder, ``<root>/<stage>/<key>/``, whose key is a hash of the stage's name, its parameters and the keys
of its inputs. Changing a parameter changes the keys of everything after it, so nothing stale can be found and nothing
that is still right is made again.

A stage works in ``<key>.partial/``, which gets its record when all is there and is then renamed to ``<key>/``. A killed
run therefore leaves a partial folder; the next run hands that same folder to the stage, which may go on from a
checkpoint in it.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from wsss_lib.data.lock import lock
from wsss_lib.experiments.files import load_json, save_json, sweep, writing
from wsss_lib.experiments.provenance import Stopwatch, peak_memory_mb, provenance
from wsss_lib.training.together import Together
from wsss_lib.vocabulary import SettingsError, WsssError

RECORD = "record.json"
PARTIAL = ".partial"
_GLANCE = 0.1  # seconds between two looks for what another process makes
_KEY_LENGTH = 16  # hexadecimal digits: 64 bits, no collision among any number of artefacts a disk can hold


@dataclasses.dataclass(frozen=True, kw_only=True)
class Artefact:
    """A finished stage: its name, its key and the folder with its files."""

    stage: str
    key: str
    folder: Path

    @property
    def name(self) -> str:
        """``stage/key``, as lists of what was used name it."""
        return f"{self.stage}/{self.key}"

    @property
    def record(self) -> dict[str, Any]:
        """Parameters, inputs, cost and provenance, as written when the artefact was made."""
        return load_json(self.folder / RECORD)

    @property
    def complete(self) -> bool:
        """Whether it is there, and whole."""
        return (self.folder / RECORD).is_file()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """An artefact that a run would ask for: where it is or would be, and what its key is made from."""

    artefact: Artefact
    params: dict[str, Any]
    inputs: dict[str, str]


class Store:
    """Artefacts under one folder.

    ``together``: this is one of several processes that make them together; only the first of them writes.
    ``used`` lists the artefacts asked for so far, in order. With the environment variable ``WSSS_USED_LOG`` they are
    also appended to that file, which is how the notebook runner learns what a notebook depends on.
    """

    def __init__(self, root: Path, *, report: Callable[[str], None] = print, together: Together | None = None) -> None:
        self.root = Path(root).resolve()
        self._together = together
        self._making = False
        self.used: list[Artefact] = []
        self._report = report
        self._asked: list[Wanted] | None = None

    @contextmanager
    def asking(self) -> Iterator[list["Wanted"]]:
        """Inside, nothing is made or looked for: every artefact that is asked for goes into the list that is given."""
        before, self._asked = self._asked, []
        try:
            yield self._asked
        finally:
            self._asked = before

    def artefact(
        self,
        stage: str,
        *,
        params: Mapping[str, Any],
        inputs: Mapping[str, Artefact | str],
        make: Callable[[Path], None],
        shared: bool = False,
    ) -> Artefact:
        """Return the artefact of ``stage``; where it is missing, call ``make(folder)`` first to fill its folder.

        ``params`` holds plain values and configurations (dataclasses); ``inputs`` holds artefacts and fingerprints of
        data. When two processes ask for the same artefact, one makes it and the other waits. Of processes that train
        together the first one does; if it is ``shared``, the others call ``make`` as well, with a folder to throw away,
        once the first one has found that it must be made. They must ask for the same things in the same order, and for
        a shared one that is missing not inside ``make`` (``WsssError``): it may run in the first of them only.
        """
        artefact = self.address(stage, params=params, inputs=inputs)
        if self._asked is not None:
            self._asked.append(Wanted(artefact=artefact, params=plain(params), inputs=_keys(inputs)))
            return artefact
        together = self._among_others(artefact) if shared else None
        if self._together is None or self._together.first:
            self._provide(artefact, together, params=params, inputs=inputs, make=make)
        else:
            self._assist(artefact, together, make)
        self._remember(artefact)
        return artefact

    def address(self, stage: str, *, params: Mapping[str, Any], inputs: Mapping[str, Artefact | str]) -> Artefact:
        """Where the artefact is or would be; makes nothing."""
        if not re.fullmatch(r"[a-z][a-z0-9_]*", stage):
            raise SettingsError(f"{stage!r} cannot be the name of a stage: use small letters, digits and _")
        content = {"stage": stage, "params": plain(params), "inputs": _keys(inputs)}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        key = hashlib.sha256(text.encode()).hexdigest()[:_KEY_LENGTH]
        return Artefact(stage=stage, key=key, folder=self.root / stage / key)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` (``stage/key``, as in ``WSSS_USED_LOG``) that are not there."""
        return [name for name in names if not (self.root / name / RECORD).is_file()]

    def contents(self, stage: str = "*") -> Sequence[Artefact]:
        """All complete artefacts, or those of one stage, the oldest first."""
        records = sorted(self.root.glob(f"{stage}/*/{RECORD}"), key=lambda record: record.stat().st_mtime)
        folders = [record.parent for record in records if record.parent.suffix != PARTIAL]
        return [Artefact(stage=folder.parent.name, key=folder.name, folder=folder) for folder in folders]

    def _lock(self, artefact: Artefact):
        path = self.root / ".locks" / f"{artefact.stage}-{artefact.key}"
        return lock(path, waiting_for=artefact.stage, report=self._report)

    def _among_others(self, artefact: Artefact) -> Together | None:
        """Who hears whether a shared artefact must be made; nobody does while one is made.

        Looking things up there depends on what each process happens to have in memory, so not all may be listening.
        """
        if self._together is None or not self._making:
            return self._together
        if not artefact.complete:
            raise WsssError(
                f"{artefact.stage} is trained by several processes together; ask for it before the stage that needs it"
            )
        return None

    def _provide(
        self,
        artefact: Artefact,
        together: Together | None,
        *,
        params: Mapping[str, Any],
        inputs: Mapping[str, Artefact | str],
        make: Callable[[Path], None],
    ) -> None:
        """Make it if it is missing. Whether it is, is decided under the lock and told to those ``together``."""
        if artefact.complete:
            _tell(together, False)
            return
        with writing(self.root), self._lock(artefact):
            # another process may have made it while this one waited
            missing = not artefact.complete and not _named(artefact)
            _tell(together, missing)
            if missing:
                self._make(artefact, params=params, inputs=inputs, make=make)

    def _assist(self, artefact: Artefact, together: Together | None, make: Callable[[Path], None]) -> None:
        """Do one's share of what is made ``together``, and wait until the first process has written it."""
        if together and together.of_first(None):
            with TemporaryDirectory() as folder, self._inside():
                make(Path(folder))
        while not artefact.complete:
            time.sleep(_GLANCE)

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Inside, an artefact is being made."""
        before, self._making = self._making, True
        try:
            yield
        finally:
            self._making = before

    def _make(
        self,
        artefact: Artefact,
        *,
        params: Mapping[str, Any],
        inputs: Mapping[str, Artefact | str],
        make: Callable[[Path], None],
    ) -> None:
        partial = _partial(artefact)
        resumed = partial.is_dir() and any(partial.iterdir())
        partial.mkdir(parents=True, exist_ok=True)
        self._report(f"{artefact.stage}: {'going on after an interruption' if resumed else 'started'}")
        stopwatch = Stopwatch()
        with self._inside():
            make(partial)
        sweep(partial)
        record = {
            "stage": artefact.stage,
            "params": plain(params),
            "inputs": _keys(inputs),
            "seconds": round(stopwatch.seconds, 3),
            "resumed": resumed,
            "peak_memory_mb": peak_memory_mb(),
            "processes": self._together.size if self._together else 1,
            **provenance(),
        }
        save_json(partial / RECORD, record)
        _publish(partial, artefact.folder)
        self._report(f"{artefact.stage}: done in {stopwatch.seconds:.1f} s")

    def _remember(self, artefact: Artefact) -> None:
        if artefact in self.used:
            return
        self.used.append(artefact)
        if log := os.environ.get("WSSS_USED_LOG"):
            with Path(log).open("a") as file:
                file.write(f"{artefact.name}\n")


def _partial(artefact: Artefact) -> Path:
    return artefact.folder.with_name(artefact.key + PARTIAL)


def _named(artefact: Artefact) -> bool:
    """Whether all was there but its name, which it gets: a run was killed between the record and the name."""
    partial = _partial(artefact)
    if not (partial / RECORD).is_file():
        return False
    _publish(partial, artefact.folder)
    return True


def _tell(together: Together | None, missing: bool) -> None:
    """The other processes hear whether to help."""
    if together:
        together.of_first(missing)


def _publish(partial: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what is there without a record is damaged
    partial.rename(folder)


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: a configuration becomes its fields and its type's name, a tuple a list.

    ``SettingsError`` for what has no value of its own (a path, a function, a set, nan): it would make a key that
    depends on the machine or on chance.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case np.generic():
            return plain(value.item())
        case Mapping() if all(isinstance(name, str) for name in value):
            return {name: plain(part) for name, part in value.items()}
        case list() | tuple():
            return [plain(part) for part in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return {"type": type(value).__name__, **fields}
    raise SettingsError(
        f"{value!r} ({type(value).__name__}) cannot be a parameter of a stage; use numbers, words, lists, mappings by"
        " name or a configuration, and give files as inputs by their fingerprint"
    )


def _keys(inputs: Mapping[str, Artefact | str]) -> dict[str, str]:
    return {name: given if isinstance(given, str) else given.key for name, given in inputs.items()}
