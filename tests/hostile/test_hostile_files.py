"""Damaged files through every door: the library's own error with what to do, or a valid result; never anything else.

Files are damaged by seeded chance: cut, bits flipped, stretches overwritten, swapped, repeated, begun as another kind.
"""

import signal
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.doors import DOORS
from wsss_lib.vocabulary import WsssError

DAMAGES = ("empty", "cut", "flipped", "overwritten", "swapped", "repeated", "foreign", "text")
SEEDS = range(3)
LIMIT = 20  # seconds
FOREIGN = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"PK\x03\x04", b"%PDF-1.4", b"\x80\x04\x95", b"\xef\xbb\xbf")
WORDS = ("{", "[]", "null", "NaN", '{"a": 1}', "name,tags\n../../x,Road\n", "\x00", "a" * 5000, "nom,étiquettes\n", '"')

CASES = [(door, damage, seed) for door in DOORS for damage in DAMAGES for seed in SEEDS]


def damaged(content: bytes, damage: str, rng: np.random.Generator) -> bytes:
    """``content`` with one kind of damage."""
    data, size = bytearray(content), len(content)
    start = int(rng.integers(size))
    length = int(rng.integers(1, max(2, size // 4)))
    match damage:
        case "empty":
            return b"" if start % 2 else b"\n" * int(rng.integers(1, 9))
        case "cut":
            return content[:start]
        case "flipped":
            for place in rng.integers(size, size=int(rng.integers(1, 12))):
                data[place] ^= 1 << int(rng.integers(8))
        case "overwritten":
            data[start : start + length] = rng.bytes(length)
        case "swapped":
            data = data[start:] + data[:start]
        case "repeated":
            data[start:start] = data[start : start + length] * 3
        case "foreign":
            head = FOREIGN[int(rng.integers(len(FOREIGN)))]
            data[: len(head)] = head
        case _:
            return WORDS[int(rng.integers(len(WORDS)))].encode()
    return bytes(data)


def contents(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """A call that takes longer is a hang."""

    def late(*_: object) -> None:
        raise TimeoutError(f"still reading after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(("door", "damage", "seed"), CASES)
def test_a_damaged_file(tmp_path: Path, door: str, damage: str, seed: int):
    path = DOORS[door].write(tmp_path)
    rng = np.random.default_rng([seed, zlib.crc32(f"{door} {damage}".encode())])
    path.write_bytes(damaged(path.read_bytes(), damage, rng))
    before = contents(tmp_path)
    said = "a sentence of some length, where nothing was refused"
    try:
        with within(LIMIT):
            DOORS[door].read(path)
    except WsssError as error:
        said = str(error).strip()
    assert len(said) > 20
    assert "\n" not in said
    for name in ("copy.pt", "copy.pt.part"):
        (tmp_path / name).unlink(missing_ok=True)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("door", DOORS)
def test_the_healthy_file_passes(tmp_path: Path, door: str):
    assert DOORS[door].read(DOORS[door].write(tmp_path)) is not None


def test_there_are_at_least_three_hundred_of_them():
    assert len(set(CASES)) >= 300
