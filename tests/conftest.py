"""Fixtures shared by all tests."""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2lab

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


_SEEN = (
    np.eye(3),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
)
"""What linear RGB looks like with all cones, in deuteranopia and in protanopia: Machado, Oliveira, Fernandes, IEEE TVCG
15 (2009)."""


@pytest.fixture(scope="session")
def least_difference() -> Callable[[Sequence[Sequence[int]]], float]:
    """Colours (0..255) -> the least difference of two of them in CIE L*a*b*, whoever looks; 2 is just seen."""

    def least(colors: Sequence[Sequence[int]]) -> float:
        values = np.array(colors) / 255
        linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
        found = []
        for seen in _SEEN:
            shown = np.clip(linear @ np.array(seen).T, 0, 1)
            back = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
            found += [np.linalg.norm(one - other) for one, other in combinations(rgb2lab(back[None])[0], 2)]
        return float(min(found))

    return least
