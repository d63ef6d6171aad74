"""Files appear whole or not at all."""

import os
import tempfile
from pathlib import Path

from wsss_lib.vocabulary import DataError


def write_atomically(path: Path, content: bytes) -> Path:
    """Write ``content`` to a temporary neighbour of ``path``, then rename it: a killed run leaves the old file or none.

    Missing folders are made. ``DataError`` if the disk is full or the folder cannot be written; the temporary file is
    removed then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; choose a folder that can be written") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)  # mkstemp keeps its files private
        temporary.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; make room or choose another folder") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path
