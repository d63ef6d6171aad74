"""What the library never does with other people's files, and that tests do not reach beyond this machine."""

import ast
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import wsss_lib

PACKAGE = Path(wsss_lib.__file__).parent
FORBIDDEN = {"eval", "exec", "pickle.load", "pickle.loads", "yaml.load", "os.system", "os.popen", "tarfile.extractall"}
"""Calls that would run what a file says."""


def calls(tree: ast.Module) -> Iterator[tuple[str, dict[str, object]]]:
    """Name and constant keyword arguments of every call in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = {word.arg: getattr(word.value, "value", None) for word in node.keywords if word.arg}
            yield ast.unparse(node.func), words


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_unpickled_or_run(file: Path):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not imported & {"pickle", "shelve", "marshal", "dill"}
    for name, words in calls(tree):
        assert name not in FORBIDDEN
        assert not words.get("shell")
        assert not words.get("allow_pickle")
        if name == "torch.load":
            assert words.get("weights_only") is True


def test_a_call_that_is_forbidden_would_be_found():
    found = dict(calls(ast.parse("torch.load(path, weights_only=False); subprocess.run(x, shell=True)")))
    assert found == {"torch.load": {"weights_only": False}, "subprocess.run": {"shell": True}}


def test_a_test_that_reaches_out_is_stopped():
    with socket.socket() as outside, pytest.raises(AssertionError, match=r"wants to reach 192\.0\.2\.1"):
        outside.connect(("192.0.2.1", 80))
