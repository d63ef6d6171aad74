"""Fetching from a server on this machine and from files: cuts, other addresses, wrong checksums."""

import hashlib
import io
import socketserver
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.data.test_fetch_archives import zipped
from wsss_lib.data import fetch as fetching
from wsss_lib.data.fetch import Download, fetch
from wsss_lib.data.lock import lock
from wsss_lib.vocabulary import DataError, SettingsError


class Server(socketserver.ThreadingTCPServer):
    """Serves ``files``; the first ``cuts`` answers break off in the middle; ``asked`` are the ranges asked for."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str | None] = []
        self.cuts = 0
        self.ranges = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(self.headers.get("Range"))
        content = server.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if start and start >= len(content):
            self.send_error(416)
            return
        if not server.ranges:
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if server.cuts:
            server.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch):
    """Makes ``things`` what can be fetched, from these addresses."""

    def offer(*urls: str, **changed) -> None:
        wanted = Download(**{"urls": urls, "target": "things", **changed})
        monkeypatch.setitem(fetching.DOWNLOADS, "things", wanted)

    return offer


GOOD = zipped({"top/pictures/a.png": b"a" * 5000, "top/list.txt": b"a", "elsewhere/b": b"b"})


def test_an_archive_becomes_a_folder(server: Server, offered, tmp_path: Path) -> None:
    server.files["good.zip"] = GOOD
    offered(f"{server.url}/good.zip", inside="top", digest=f"sha256:{hashlib.sha256(GOOD).hexdigest()}")
    assert fetch("things", tmp_path, lambda _: None) == tmp_path / "things"
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        ".downloads/.locks/things-good.zip", "things/list.txt", "things/pictures/a.png",
    ]  # fmt: skip
    said: list[str] = []
    fetch("things", tmp_path, said.append)
    assert len(server.asked) == 1
    assert "is there already" in said[0]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_connection_goes_on_where_it_broke_off(server: Server, offered, tmp_path: Path, ranges: bool) -> None:
    """Also with a server that can only start from the beginning."""
    server.files["good.zip"], server.cuts, server.ranges = GOOD, 2 if ranges else 1, ranges
    offered(f"{server.url}/good.zip", inside="top", digest=f"md5:{hashlib.md5(GOOD).hexdigest()}")
    fetch("things", tmp_path, lambda _: None)
    half = len(GOOD) // 2
    expected = [None, f"bytes={half}-", f"bytes={half + (len(GOOD) - half) // 2}-"]
    assert server.asked == (expected if ranges else expected[:2])
    assert (tmp_path / "things" / "pictures" / "a.png").read_bytes() == b"a" * 5000


def test_a_broken_encryption_is_tried_again_and_not_blamed_on_the_disk(
    server: Server, offered, tmp_path: Path, monkeypatch
) -> None:
    server.files["good.zip"] = GOOD
    offered(f"{server.url}/good.zip", inside="top")
    answers = [ssl.SSLEOFError(8, "EOF occurred in violation of protocol")]
    ask = urllib.request.urlopen

    def ask_again(*arguments, **named):
        if answers:
            raise answers.pop()
        return ask(*arguments, **named)

    monkeypatch.setattr(urllib.request, "urlopen", ask_again)
    fetch("things", tmp_path, lambda _: None)
    assert (tmp_path / "things" / "list.txt").read_bytes() == b"a"


def test_a_killed_fetch_goes_on_in_the_next_run(server: Server, offered, tmp_path: Path, monkeypatch) -> None:
    server.files["good.zip"], server.cuts = GOOD, 1
    offered(f"{server.url}/good.zip", inside="top")
    monkeypatch.setattr(fetching, "ATTEMPTS", 1)
    with pytest.raises(DataError, match=r"the connection broke off after .* of .* bytes"):
        fetch("things", tmp_path, lambda _: None)
    assert not (tmp_path / "things").exists()
    fetch("things", tmp_path, lambda _: None)
    assert server.asked[1] == f"bytes={len(GOOD) // 2}-"
    assert (tmp_path / "things" / "list.txt").read_bytes() == b"a"


def test_of_two_at_the_same_time_the_second_waits_and_finds_it(server: Server, offered, tmp_path: Path) -> None:
    """Both would append to one file. A second of this process stands for another process: a lock is of an open file."""
    server.files["good.zip"] = GOOD
    offered(f"{server.url}/good.zip", inside="top")
    said: list[str] = []
    held = lock(tmp_path / ".downloads" / ".locks" / "things-good.zip", waiting_for="it", report=said.append)
    with held:
        second = threading.Thread(target=fetch, args=("things", tmp_path, said.append))
        second.start()
        while not said:
            second.join(0.01)
        assert "things: waiting for process" in said[0]
        assert not server.asked
        (tmp_path / "things").mkdir()
    second.join(20)
    assert not second.is_alive()
    assert not server.asked


def test_a_whole_download_is_not_asked_for_again(server: Server, offered, tmp_path: Path) -> None:
    """It was whole when the run was killed, before it was unpacked."""
    server.files["good.zip"] = GOOD
    offered(f"{server.url}/good.zip", inside="top")
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "things-good.zip.part").write_bytes(GOOD)
    fetch("things", tmp_path, lambda _: None)
    assert server.asked == [f"bytes={len(GOOD)}-"]


def test_the_next_address_is_tried(server: Server, offered, tmp_path: Path) -> None:
    """The first is gone, the second holds another file, the third is a file on this machine."""
    server.files["other.zip"] = zipped({"top/x": b"x"})
    (tmp_path / "good.zip").write_bytes(GOOD)
    urls = (f"{server.url}/gone.zip", f"{server.url}/other.zip", (tmp_path / "good.zip").as_uri())
    offered(*urls, inside="top", digest=f"sha256:{hashlib.sha256(GOOD).hexdigest()}")
    fetch("things", tmp_path, lambda _: None)
    assert (tmp_path / "things" / "list.txt").exists()


def test_a_wrong_checksum_leaves_nothing(server: Server, offered, tmp_path: Path) -> None:
    server.files["good.zip"] = GOOD
    offered(f"{server.url}/good.zip", digest="sha256:0000")
    with pytest.raises(DataError, match=r"things cannot be fetched .*the checksum is wrong.*get it by hand from http"):
        fetch("things", tmp_path, lambda _: None)
    assert [path.parent.name for path in tmp_path.rglob("*") if path.is_file()] == [".locks"]


def test_weights_become_safetensors(server: Server, offered, tmp_path: Path) -> None:
    stream = io.BytesIO()
    torch.save({"layer.weight": torch.arange(6.0).view(2, 3).T}, stream)
    server.files["net.pth"], server.files["bad.pth"] = stream.getvalue(), b"no state dict"
    offered(f"{server.url}/net.pth", target="weights/net.safetensors", archive=False)
    state = load_file(fetch("things", tmp_path, lambda _: None))
    assert state["layer.weight"].tolist() == [[0, 3], [1, 4], [2, 5]]
    offered(f"{server.url}/bad.pth", target="weights/bad.safetensors", archive=False)
    with pytest.raises(DataError, match="is not a plain state dict"):
        fetch("things", tmp_path, lambda _: None)


# ---------------------------------------------------------------------------------------------------------- bad input


def test_what_needs_an_account_comes_with_instructions(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cityscapes may not be fetched by a program: register at cityscapes-dataset"):
        fetch("cityscapes", tmp_path)


def test_unknown_names_are_answered_with_the_known(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"'camvids' cannot be fetched \(did you mean 'camvid'\?\); known are camvid"
    ):
        fetch("camvids", tmp_path)


def test_an_address_that_does_not_answer(offered, tmp_path: Path) -> None:
    offered("http://127.0.0.1:9/x.zip")
    with pytest.raises(DataError, match="things cannot be fetched"):
        fetch("things", tmp_path, lambda _: None)


def test_every_download_is_known_by_its_checksum_or_has_none_by_nature() -> None:
    assert [name for name, wanted in fetching.DOWNLOADS.items() if not wanted.digest] == ["camvid"]
