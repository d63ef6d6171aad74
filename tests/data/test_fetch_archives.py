"""Unpacking what was fetched: archives that would do harm, damaged ones, and names that no folder can hold."""

import errno
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from wsss_lib.data import fetch as fetching
from wsss_lib.data.fetch import Download, fetch
from wsss_lib.vocabulary import DataError

Unpack = Callable[..., Path]


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(*members: tarfile.TarInfo, content: bytes = b"12345") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return stream.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.fixture
def unpack(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """Fetches an archive of this content, or what is ``inside`` of it, into ``data`` in the test's folder."""
    source = tmp_path_factory.mktemp("elsewhere") / "archive"

    def fetch_it(content: bytes, inside: str = "") -> Path:
        source.write_bytes(content)
        wanted = Download(urls=(source.as_uri(),), target="things", inside=inside)
        monkeypatch.setitem(fetching.DOWNLOADS, "things", wanted)
        return fetch("things", tmp_path / "data", lambda _: None)

    return fetch_it


GOOD = zipped({"top/pictures/a.png": b"a" * 5000, "top/list.txt": b"a", "elsewhere/b": b"b"})


@pytest.mark.parametrize(
    "content",
    [
        zipped({"../evil": b"x"}),
        zipped({"fine/a": b"x", "/abs/evil": b"x"}),
        zipped({"a/../../evil": b"x"}),
        zipped({"C:\\evil": b"x"}),
        tarred(entry("../evil")),
        tarred(entry("ok"), entry("/abs/evil")),
    ],
    ids=["zip above", "zip absolute", "zip through", "zip drive", "tar above", "tar absolute"],
)
def test_an_archive_that_leads_elsewhere_is_refused(tmp_path: Path, unpack: Unpack, content: bytes) -> None:
    with pytest.raises(DataError, match="which leads out of its folder; nothing of it was unpacked"):
        unpack(content)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "data" / "things").exists()


def test_links_and_devices_are_left_out(tmp_path: Path, unpack: Unpack) -> None:
    """A link out of the folder, and then a file that would go through it: the file is an ordinary one."""
    content = tarred(
        entry("folder", tarfile.SYMTYPE, str(tmp_path)), entry("hard", tarfile.LNKTYPE, "/etc/passwd"),
        entry("pipe", tarfile.FIFOTYPE), entry("folder/file"),
    )  # fmt: skip
    folder = unpack(content)
    assert [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()] == ["folder/file"]
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    assert not (tmp_path / "file").exists()


def test_an_archive_that_blows_up_is_refused(tmp_path: Path, unpack: Unpack, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "BLOCK", 1000)
    with pytest.raises(DataError, match="unpacks to far more than it should"):
        unpack(zipped({"zeros": bytes(10_000_000)}))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 20_000


def damaged_inside() -> bytes:
    """A zip whose directory is whole and whose compressed content is not."""
    draws = random.Random(0)
    noise = bytes(draws.randrange(64) for _ in range(5000))
    content = bytearray(zipped({"top/a": noise}))
    content[1000:1040] = bytes(40)
    return bytes(content)


def with_byte(offset: int, value: int, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip with another byte in the header of its only file, and in the directory, where it is two bytes on."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("top/a", b"a" * 5000)
    content = bytearray(stream.getvalue())
    content[offset] = content[content.index(b"PK\x01\x02") + offset + 2] = value
    return bytes(content)


def damaged_stream(method: int) -> bytes:
    """A zip whose compressed content is not what its method needs, right at its beginning."""
    content = bytearray(with_byte(8, method, method))
    content[40:60] = bytes(20)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"no archive", GOOD[:100], b"", damaged_inside(), b"<!DOCTYPE html><title>Log in</title>" + b" " * 2000,
        with_byte(6, 1), with_byte(6, 0x20), with_byte(8, 99), damaged_stream(zipfile.ZIP_BZIP2),
        damaged_stream(zipfile.ZIP_LZMA), tarred(entry("top/a"), content=bytes(range(256)) * 40)[:-300],
    ],
    ids=[
        "none", "broken off", "empty", "damaged inside", "login page", "encrypted", "flag", "method", "bzip2", "lzma",
        "tar broken off",
    ],
)  # fmt: skip
def test_a_damaged_archive_is_removed(tmp_path: Path, unpack: Unpack, content: bytes) -> None:
    """And told in one line; the next fetch begins anew."""
    with pytest.raises(DataError, match=r"^\S+ is a damaged archive, or another file in its place[^\n]*$"):
        unpack(content, inside="top")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and ".locks" not in path.parts] == []
    assert (unpack(GOOD, inside="top") / "list.txt").read_bytes() == b"a"


@pytest.mark.parametrize(
    "names", [("top/a", "top/a/b"), ("top/a/b", "top/a"), ("top/a", "top/a/b/c"), ("top/" + "x" * 300,)]
)
def test_names_that_no_folder_can_hold_are_refused(tmp_path: Path, unpack: Unpack, names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="which is both a file and a folder in it or too long for a disk; it was remov"):
        unpack(zipped(dict.fromkeys(names, b"x")), inside="top")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and ".locks" not in path.parts] == []


def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path: Path, unpack: Unpack, monkeypatch) -> None:
    """What was fetched is kept."""

    def full(_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fetching, "_new_file", full)
    with pytest.raises(DataError, match=r"cannot be written \(No space left on device\); free some space"):
        unpack(GOOD, inside="top")
    assert (tmp_path / "data" / ".downloads" / "things-archive.part").read_bytes() == GOOD


def test_an_archive_without_the_folder_is_refused(tmp_path: Path, unpack: Unpack) -> None:
    with pytest.raises(DataError, match="holds nothing in CamVid"):
        unpack(GOOD, inside="CamVid")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and ".locks" not in path.parts] == []
