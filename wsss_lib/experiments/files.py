"""JSON and arrays on disk, written whole or not at all, and disk trouble said in one sentence."""

import errno
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from wsss_lib.data.disk import aside
from wsss_lib.vocabulary import DataError, SettingsError, WsssError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}
_LEAST_SPACE = 1 << 20  # bytes; PyTorch and safetensors report a full disk as errors of their own, without an errno


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Inside, a full disk becomes ``DataError``, and a ``folder`` that cannot be written becomes ``SettingsError``.

    Other errors pass unchanged, also those of files outside ``folder``, for instance unreadable data.
    """
    try:
        yield
    except WsssError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in _FULL or _free_space(folder) < _LEAST_SPACE:
            raise DataError(
                f"no space is left on the disk of {folder}; free some or pass --build with a folder on another disk,"
                " then run the same command again: what is finished is kept"
            ) from error
        if code in _FORBIDDEN and _is_inside(error, folder):
            raise SettingsError(f"{folder} cannot be written to; pass --build with a folder of yours") from error
        if code in _NO_FOLDER and any(place.is_file() for place in (folder, *folder.parents)):
            raise SettingsError(
                f"{folder} cannot be a folder because a file is in its way; pass another --build"
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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read ({error}); delete its folder and run the same command again") from error


def _is_inside(error: Exception, folder: Path) -> bool:
    named = getattr(error, "filename", None)
    return isinstance(named, str) and (Path(named).is_relative_to(folder) or folder.is_relative_to(named))


def _free_space(folder: Path) -> int:
    """Bytes free on the disk that holds ``folder`` or would hold it."""
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(nearest).free
