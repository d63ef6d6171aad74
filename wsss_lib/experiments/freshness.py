"""Is the executed copy of a notebook still what running it again would give? And if not, why not?

Compared are the parts that decide what a notebook makes: its own source, its parameters, the library, the environment,
the input folders and the notebooks before it. Data are compared by name, size and time of their files: reading them
all would take longer than the run itself may. A file that was merely touched costs a run of the notebook, in which the
store finds every stage.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from stat import S_ISREG
from typing import Any, Literal

from wsss_lib.data.pictures import fingerprint_of_files
from wsss_lib.experiments.code import versions
from wsss_lib.experiments.files import is_unfinished, load_json, save_json
from wsss_lib.experiments.places import REPOSITORY, Places
from wsss_lib.experiments.store import Store, plain
from wsss_lib.vocabulary import DataError, SettingsError

State = Literal["running", "done", "failed", "interrupted"]
Stamp = dict[str, str]

_SOURCE_FILES = {".py", ".csv", ".md"}


@dataclass(kw_only=True)
class Status:
    """What the runner knows of one notebook, beside its executed copy; papermill's own metadata are not trusted.

    ``parameters`` are those it was given, ``source`` the commit that ran it and whether files differed from it,
    ``outputs`` the files that it wrote, by their path in the profile's folder, with their checksums.
    """

    state: State
    stamp: Stamp
    started: str
    parameters: dict[str, Any] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    error: str = ""
    artefacts: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the status, atomically."""
        save_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Status | None":
        """The status at ``path``; ``None`` where there is none, or one that cannot be read."""
        try:
            found = cls(**load_json(path)) if path.exists() else None
        except (DataError, TypeError):
            return None
        return found if found and isinstance(found.outputs, dict) else None  # earlier versions kept no checksums


def notebook_stamp(notebook: Path, places: Places, parameters: Mapping[str, Any]) -> Stamp:
    """A hash for each part that decides what ``notebook`` makes.

    One that shows whatever has been trained depends on that, too.
    """
    stamp = {
        "notebook": _hash([json.dumps(_cells(notebook))]),
        "parameters": _hash([json.dumps(plain(parameters), sort_keys=True)]),
        "library": code_fingerprint("wsss_lib"),
        "environment": _hash([_lock_file(), sys.version, json.dumps(versions())]),
        "data": folder_fingerprint(places.data),
        "weights": folder_fingerprint(places.weights),
        "earlier notebooks": _hash(_earlier(notebook, places)),
    }
    if parameters.get("systems") == "finished":
        stamp["trained networks"] = _hash(_trained(places))
    return stamp


def why_stale(status: Status | None, stamp: Stamp, places: Places) -> str:
    """Why the notebook has to run, in words; ``""`` when its executed copy is fresh."""
    if status is None:
        return "has not run yet"
    if status.state != "done":
        return {"failed": "failed last time"}.get(status.state, "was interrupted")
    changed = [name for name, value in stamp.items() if status.stamp.get(name) != value]
    if changed:
        return f"changed since: {', '.join(changed)}"
    if Store(places.store).missing(status.artefacts):
        return "a stage that it uses is no longer in the store"
    for name, checksum in status.outputs.items():
        path = places.folder / name
        if not path.is_file():
            return "a file that it made is gone"
        if fingerprint_of_files([path]) != checksum:
            return f"{name} is not as it wrote it"
    return ""


def code_fingerprint(*modules: str) -> str:
    """Hash of the source of modules or whole packages (dotted names), with the tables they carry."""
    return _hash(part for module in modules for part in _source(module))


def folder_fingerprint(folder: Path | None) -> str:
    """Hash of the names, sizes and times of all files in ``folder``; linked folders within it count as one file."""
    if folder is None:
        return ""
    return _hash(_listing(folder))


def files_since(folder: Path, moment: float, *, within: Iterable[Path]) -> dict[str, str]:
    """Files below ``within`` written at or after ``moment`` (seconds since 1970): path within ``folder``, and checksum.

    Another process may be at work there: what it is still writing is none of them, and may vanish meanwhile.
    """
    found = {}
    for path in sorted(path for each in within for path in each.rglob("*")):
        if is_unfinished(path):
            continue
        with suppress(FileNotFoundError):
            facts = path.stat()
            if S_ISREG(facts.st_mode) and facts.st_mtime >= moment:
                found[str(path.relative_to(folder))] = fingerprint_of_files([path])
    return found


def _cells(notebook: Path) -> list[tuple[str, str]]:
    """Type and source of every cell: what a notebook is, without what it showed."""
    content = load_json(notebook)
    return [(cell["cell_type"], "".join(cell["source"])) for cell in content["cells"]]


def _earlier(notebook: Path, places: Places) -> Iterable[str]:
    """Stamps of the notebooks before this one: what they wrote for the reader, this one may read."""
    for path in sorted(places.notebooks.glob("*.json")):
        status = Status.load(path) if path.stem < notebook.stem else None
        if status:
            yield json.dumps([path.stem, status.stamp], sort_keys=True)


def _trained(places: Places) -> Iterable[str]:
    store, stages = Store(places.store), ("clustering", "segmentation", "full_supervision", "system")
    return sorted(each.name for stage in stages for each in store.contents(stage))


@cache
def _source(module: str) -> tuple[str, ...]:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise SettingsError(f"there is no module {module!r} to take the fingerprint of")
    origin = Path(spec.origin)
    files = sorted(origin.parent.rglob("*")) if spec.submodule_search_locations else [origin]
    sources = [file for file in files if file.suffix in _SOURCE_FILES]
    return tuple(f"{file.relative_to(origin.parent)}\n{file.read_text(encoding='utf-8')}" for file in sources)


def _lock_file() -> str:
    path = REPOSITORY / "requirements.lock"
    return path.read_text() if path.exists() else ""


def _listing(folder: Path) -> Iterable[str]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        linked = [name for name in folders if Path(parent, name).is_symlink()]
        for name in sorted(files) + linked:
            path = Path(parent, name)
            facts = path.stat() if path.exists() else path.lstat()
            yield f"{path.relative_to(folder)} {facts.st_size} {facts.st_mtime_ns}"


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()[:16]
