"""Fixtures shared by all tests."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """Folder with real data (``data/``) and weights (``weights/``); tests that need it skip where it is absent."""
    folder = Path(os.environ.get("WSSS_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"needs real data: {folder / 'data'} is absent (set WSSS_SHARED to a folder with data/ and weights/)"
        )
    return folder


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """No test reaches beyond this machine; what a test starts as another program is not watched."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"  # a path: a socket of this machine
        if host not in ("localhost", "::1") and not str(host).startswith("127."):
            raise AssertionError(f"a test wants to reach {host}: tests must not need the network")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a notebook's cell two minutes, not five seconds, to send its last output when the machine is busy."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = 120  # nbval fixes it at 5 in the constructor of its items
