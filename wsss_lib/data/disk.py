"""The disk: which pictures a folder holds, writing a file whole or not at all, and long lists in messages."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from wsss_lib.vocabulary import DataError

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
OTHER_PICTURES = (".heic", ".heif", ".avif", ".jp2", ".jxl", ".dng", ".cr2", ".nef", ".arw", ".svg")
"""Endings of pictures that are not read: whoever reads a folder says that they are there."""

_LONGEST_NAME = 255  # bytes, of one file or folder, on every file system in use


def list_pictures(folder: Path) -> dict[str, Path]:
    """The pictures of a folder by stem (name without ending), sorted; folders inside it and hidden files are left out.

    Raises ``DataError`` if the folder is missing, two pictures share a stem or a name is no text.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.suffix.lower() in PICTURE_SUFFIXES)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); give an existing folder of pictures") from None
    pictures: dict[str, Path] = {}
    for path in entries:
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.name.encode(errors="ignore").decode() != path.name:
            raise DataError(
                f"the name {path.name!r} in {folder} is not in UTF-8, as of an old archive; rename the picture"
            )
        if path.stem in pictures:
            raise DataError(
                f"{folder} holds both {pictures[path.stem].name} and {path.name}: pictures are named by what is before "
                "the ending, so rename or remove one"
            )
        pictures[path.stem] = path
    return dict(sorted(pictures.items()))


def unread_pictures(folder: Path) -> list[str]:
    """Names of the pictures of a folder that :func:`list_pictures` leaves out because their format is not read."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in OTHER_PICTURES and not path.name.startswith(".")
    )


def check_path(path: Path) -> Path:
    """The path itself; ``DataError`` if it is too long for any disk, or holds what cannot be shown in one line."""
    if any(ord(character) < ord(" ") for character in str(path)):
        raise DataError(f"{str(path)!r} has a control character in its name; rename it or pass another path")
    if long := [part for part in path.parts if len(os.fsencode(part)) > _LONGEST_NAME]:
        raise DataError(f"a name of {len(long[0])} characters ({long[0][:20]}...) is too long for a disk; pass another")
    return path


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes ``path`` at once when the block ends well, and vanishes otherwise.

    Missing folders are made; a killed run leaves the older file whole. Errors of the disk pass unchanged.
    """
    ending = f".{os.getpid()}.part"
    start = os.fsdecode(os.fsencode(f".{path.name}")[: _LONGEST_NAME - len(ending)])
    temporary = path.with_name(start + ending)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # where nothing could be written there is nothing to remove
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """:func:`aside`, with a full disk or a read-only folder as a ``DataError``."""
    try:
        with aside(path) as temporary:
            yield temporary
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path} cannot be written ({reason}); free some space or choose another folder") from error


def write_whole(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path`` by :func:`replacing`; returns ``path``."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return path


def few(names: Iterable[object], limit: int = 3) -> str:
    """The first names and how many more there are: ``"a, b, c and 4 more"``."""
    every = [str(name) for name in names]
    shown = ", ".join(every[:limit])
    return f"{shown} and {len(every) - limit} more" if len(every) > limit else shown
