"""JSON and arrays on disk, written whole or not at all, and disk trouble said in one sentence."""

import errno
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from wsss_lib.data.disk import aside
from wsss_lib.vocabulary import DataError, NoSpaceError, SettingsError, WsssError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_OPTION = "--build (fit and predict: --out)"
_UNFINISHED = ".part"
_DAMAGED = (OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, struct.error)
_LEAST_SPACE = 1 << 20  # bytes
_FULL_IN_WORDS = ("No space left on device", "Disk quota exceeded", "unexpected pos", "PytorchStreamWriter failed")
"""How safetensors and PyTorch report a full disk: as errors of their own, without an errno. By the time that they are
caught the half-written file is gone, and the disk has space again."""


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Inside, a full disk becomes ``NoSpaceError``, and a ``folder`` that cannot be written becomes ``SettingsError``.

    Other errors pass unchanged, also those of files outside ``folder``, for instance unreadable data.
    """
    try:
        yield
    except WsssError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in _FORBIDDEN and _is_inside(error, folder):
            raise SettingsError(f"{folder} cannot be written to; pass {_OPTION} with a folder of yours") from error
        if code in _NO_FOLDER and (file := _in_the_way(error, folder)):
            raise SettingsError(
                f"no folder can be made at {file} because a file is in its way; pass another {_OPTION}"
            ) from error
        if code in _FULL or any(words in str(error) for words in _FULL_IN_WORDS) or free_space(folder) < _LEAST_SPACE:
            raise NoSpaceError(
                f"no space is left on the disk of {folder}; free some or pass {_OPTION} with a folder on another disk,"
                " then run the same command again: what is finished is kept"
            ) from error
        raise


def save_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path`` as indented JSON, atomically."""
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with aside(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def load_json(path: Path) -> Any:
    """Content of a JSON file; ``DataError`` when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it and run the same command again") from error


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, compress: bool = True) -> None:
    """Write named arrays to ``path`` (``.npz``), atomically; half-precision numbers hardly become smaller."""
    save = np.savez_compressed if compress else np.savez
    with aside(path) as unfinished, unfinished.open("wb") as file:
        save(file, allow_pickle=False, **dict(arrays))


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays that ``save_arrays`` wrote; ``DataError`` when the file is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (*_DAMAGED, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); delete its folder and run the same command again") from error


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill; it takes the place of ``folder`` when the block ends well, and vanishes otherwise."""
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}{_UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)  # in a container a killed process may have had the same id
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sweep(folder: Path, *, skip: Path | None = None) -> None:
    """Remove what killed processes left half-written in ``folder``, outside ``skip``; of running ones nothing.

    The names are those of ``disk.aside`` and :func:`whole_folder`, with the process id in them.
    """
    for left in [*folder.rglob(f".*{_UNFINISHED}")]:
        owner = left.name.removesuffix(_UNFINISHED).rpartition(".")[2]
        if (skip and left.is_relative_to(skip)) or not owner.isdecimal() or _is_running(int(owner)):
            continue
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether a file is one that some process is still writing, or was when it was killed."""
    return path.suffix == _UNFINISHED


def _is_running(process: int) -> bool:
    """Not so for a killed process that nobody has waited for, as happens in containers."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_inside(error: Exception, folder: Path) -> bool:
    named = getattr(error, "filename", None)
    return isinstance(named, str) and (Path(named).is_relative_to(folder) or folder.is_relative_to(named))


def _in_the_way(error: Exception, folder: Path) -> Path | None:
    """The file where a folder was to be: inside ``folder``, ``folder`` itself or above it."""
    inside = [Path(getattr(error, "filename", ""))] if _is_inside(error, folder) else []
    return next((place for place in (*inside, folder, *folder.parents) if place.is_file()), None)


def free_space(folder: Path) -> int:
    """Bytes that are free on the disk that holds ``folder`` or would hold it."""
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(nearest).free
