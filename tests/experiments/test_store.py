"""The store finds what was made, makes what is missing, and never shows what is not whole."""

import errno
import hashlib
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from wsss_lib.experiments.files import save_json
from wsss_lib.experiments.store import Artefact, Store, plain
from wsss_lib.training.together import Together
from wsss_lib.vocabulary import DataError, NoSpaceError, SettingsError, WsssError


@dataclass(frozen=True, kw_only=True)
class Seeds:
    threshold: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Tags:
    threshold: float = 0.5


class Maker:
    """Writes a number and counts how often it was asked to."""

    def __init__(self, number: int = 1) -> None:
        self.number, self.calls = number, 0

    def __call__(self, folder: Path) -> None:
        self.calls += 1
        save_json(folder / "number.json", self.number)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Store:
    return Store(tmp_path / "store", report=said.append)


def make(store: Store, maker=None, *, stage: str = "seeds", params=None, inputs=None) -> Artefact:
    return store.artefact(stage, params=params or {}, inputs=inputs or {}, make=maker or Maker())


def test_made_once_and_found_again(store: Store, said: list[str]):
    maker = Maker()
    first, second = make(store, maker), make(store, maker)
    assert first == second
    assert maker.calls == 1
    assert json.loads((first.folder / "number.json").read_text()) == 1
    assert said[0] == "seeds: started"
    assert said[1].startswith("seeds: done in ")
    assert len(said) == 2


def test_another_store_on_the_same_folder_finds_it(store: Store):
    artefact = make(store)
    again = Maker()
    assert make(Store(store.root), again) == artefact
    assert again.calls == 0


def test_key_known_by_hand(store: Store):
    """The canonical JSON written out; its sha256 from ``printf '%s' '{...}' | sha256sum``."""
    text = '{"inputs":{"data":"abc"},"params":{"a":1,"b":[0.5,true]},"stage":"seeds"}'
    address = store.address("seeds", params={"b": (0.5, True), "a": 1}, inputs={"data": "abc"})
    assert address.key == "acd39b4ece7c8b60"
    assert address.key == hashlib.sha256(text.encode()).hexdigest()[:16]
    assert address.folder == store.root / "seeds" / address.key


def test_everything_that_matters_changes_the_key(store: Store):
    upstream = store.address("cams", params={}, inputs={})
    other = store.address("cams", params={"scale": 2}, inputs={})
    variants = [
        ("seeds", {}, {}),
        ("round_1", {}, {}),
        ("seeds", {"a": 1}, {}),
        ("seeds", {"a": 1.5}, {}),
        ("seeds", {"a": True}, {}),
        ("seeds", {"a": "1"}, {}),
        ("seeds", {"a": Seeds()}, {}),
        ("seeds", {"a": Tags()}, {}),
        ("seeds", {"a": Seeds(threshold=0.4)}, {}),
        ("seeds", {}, {"cams": upstream}),
        ("seeds", {}, {"cams": other}),
        ("seeds", {}, {"data": upstream.key}),
    ]
    keys = {(stage, store.address(stage, params=params, inputs=inputs).key) for stage, params, inputs in variants}
    assert len(keys) == len(variants)


def test_order_and_array_types_do_not_change_the_key(store: Store):
    first = store.address("seeds", params={"a": 1, "b": (0.25, 2)}, inputs={})
    second = store.address("seeds", params={"b": [np.float64(0.25), np.int64(2)], "a": np.int32(1)}, inputs={})
    assert first == second


@pytest.mark.parametrize("value", [Path("data"), {1, 2}, float("nan"), float("inf"), print, {1: "a"}, Seeds, b"x"])
def test_parameters_without_a_value_of_their_own_are_refused(value):
    with pytest.raises(SettingsError, match="cannot be a parameter of a stage"):
        plain({"nested": [value]})


@pytest.mark.parametrize("stage", ["", "../seeds", "Seeds", "a/b", ".locks"])
def test_stage_names_that_would_leave_their_folder(store: Store, stage: str):
    with pytest.raises(SettingsError, match="cannot be the name of a stage"):
        make(store, stage=stage)


def test_record_says_how_it_was_made(store: Store):
    upstream = make(store, stage="cams")
    record = make(store, params={"config": Seeds()}, inputs={"cams": upstream, "data": "abc"}).record
    assert record["stage"] == "seeds"
    assert record["params"] == {"config": {"type": "Seeds", "threshold": 0.5}}
    assert record["inputs"] == {"cams": upstream.key, "data": "abc"}
    assert record["resumed"] is False
    assert record["seconds"] >= 0
    assert record["peak_memory_mb"] > 1
    assert set(record) >= {"commit", "dirty", "versions", "device", "threads", "date"}


def test_interrupted_stage_leaves_nothing_under_its_name_and_finds_its_checkpoint_again(store: Store, said: list[str]):
    def interrupted(folder: Path) -> None:
        (folder / "checkpoint").write_text("epoch 7")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(store, interrupted)
    assert not store.address("seeds", params={}, inputs={}).complete

    found: list[str] = []

    def resumed(folder: Path) -> None:
        found.append((folder / "checkpoint").read_text())
        (folder / "checkpoint").unlink()

    artefact = make(store, resumed)
    assert found == ["epoch 7"]
    assert "seeds: going on after an interruption" in said
    assert [path.name for path in artefact.folder.iterdir()] == ["record.json"]
    assert artefact.record["resumed"] is True
    assert [path.name for path in artefact.folder.parent.iterdir()] == [artefact.key]


def test_killed_stage_goes_on(store: Store):
    """The same with a real kill: no ``finally`` runs, the lock is freed by the operating system."""
    script = f"""
import os, signal
from wsss_lib.experiments.store import Store
def make(folder):
    (folder / "checkpoint").write_text("epoch 7")
    os.kill(os.getpid(), signal.SIGKILL)
Store({str(store.root)!r}).artefact("seeds", params={{}}, inputs={{}}, make=make)
"""
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -9
    assert store.contents() == []
    artefact = make(store)
    assert (artefact.folder / "checkpoint").read_text() == "epoch 7"
    assert artefact.record["resumed"] is True


def test_killed_between_the_record_and_the_name_it_is_whole(store: Store):
    artefact = make(store)
    artefact.folder.rename(artefact.folder.with_name(f"{artefact.key}.partial"))
    assert not store.address("seeds", params={}, inputs={}).complete
    late = Maker()
    assert make(store, late) == artefact
    assert late.calls == 0
    assert [path.name for path in artefact.folder.parent.iterdir()] == [artefact.key]
    assert artefact.record["resumed"] is False


def test_what_a_killed_process_was_writing_does_not_stay(store: Store):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()

    def interrupted(folder: Path) -> None:
        (folder / f".labels.npz.{dead.pid}.part").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(store, interrupted)
    assert sorted(path.name for path in make(store).folder.iterdir()) == ["number.json", "record.json"]


def test_folder_without_record_is_made_again(store: Store):
    artefact = make(store)
    (artefact.folder / "record.json").unlink()
    again = Maker(number=2)
    assert not artefact.complete
    make(store, again)
    assert again.calls == 1
    assert artefact.complete


def test_two_at_once_make_it_once(store: Store, said: list[str]):
    """Threads with a store each, because their locks exclude each other just as those of processes do."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: Path) -> None:
        inside.set()
        assert go_on.wait(10)

    waiting = Store(store.root, report=lambda line: (said.append(line), go_on.set()))
    late = Maker()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(make, store, slow)
        assert inside.wait(10)
        second = pool.submit(make, waiting, late)
    assert first.result() == second.result()
    assert late.calls == 0
    assert said[1].startswith("seeds: waiting for process ")


class Pair:
    """Two threads in the place of two processes that train together, with a store each on one folder.

    ``made`` lists who has called ``make``; ``second_is_here`` when the second one has, or listens to the first.
    """

    def __init__(self, root: Path, report=lambda _: None) -> None:
        self.said, self.made, self.second_is_here = Queue(), [], threading.Event()
        self.stores = [
            Store(root, report=report, together=Together(fabric=_Wire(self, rank), rank=rank, size=2))
            for rank in (0, 1)
        ]

    def make(self, rank: int, folder: Path) -> None:
        self.made.append(rank)
        self.second_is_here.set()
        save_json(folder / "maker.json", rank)

    def ask(self, rank: int, stage: str = "clustering", make=None, *, shared: bool = True) -> Artefact:
        given = {"params": {}, "inputs": {}, "make": make or partial(self.make, rank), "shared": shared}
        return self.stores[rank].artefact(stage, **given)

    def both(self) -> Artefact:
        """The second asks before the first, who alone could tell it that there is nothing to make."""
        with ThreadPoolExecutor(2) as pool:
            second = pool.submit(self.ask, 1)
            assert self.second_is_here.wait(10)
            first = pool.submit(self.ask, 0)
        assert first.result() == second.result()
        return first.result()


class _Wire:
    def __init__(self, pair: Pair, rank: int) -> None:
        self.pair, self.rank = pair, rank

    def broadcast(self, value: object, *, src: int) -> object:
        if self.rank == src:
            self.pair.said.put(value)
            return value
        self.pair.second_is_here.set()
        return self.pair.said.get(timeout=10)


def test_of_two_that_train_together_both_make_what_is_missing_and_the_first_writes(store: Store):
    pair = Pair(store.root)
    artefact = pair.both()
    assert sorted(pair.made) == [0, 1]
    assert json.loads((artefact.folder / "maker.json").read_text()) == 0
    assert pair.both() == artefact
    assert sorted(pair.made) == [0, 1]
    assert pair.said.empty()


def test_of_two_that_train_together_none_makes_what_was_killed_before_its_name(store: Store):
    """A second one that began to train would wait for the first for ever."""
    artefact = make(store, stage="clustering")
    artefact.folder.rename(artefact.folder.with_name(f"{artefact.key}.partial"))
    pair = Pair(store.root)
    assert pair.both() == artefact
    assert pair.made == []


def test_of_two_that_train_together_none_makes_what_another_run_makes_meanwhile(store: Store):
    inside, go_on = threading.Event(), threading.Event()

    def slow(_: Path) -> None:
        inside.set()
        assert go_on.wait(10)

    pair = Pair(store.root, report=lambda _: go_on.set())  # the first one says that it waits
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(make, store, slow, stage="clustering")
        assert inside.wait(10)
        assert pair.both() == other.result()
    assert pair.made == []


def test_what_the_first_looks_up_while_it_makes_something_alone_is_told_to_nobody(store: Store):
    """The second is not there to hear it, and would take it for the answer to its next question."""
    pair = Pair(store.root)
    needed, found = pair.both(), []
    pair.ask(0, "seeds", lambda _: found.append(pair.ask(0)), shared=False)
    assert found == [needed]
    assert pair.said.empty()


def test_what_is_trained_together_is_refused_inside_what_the_first_makes_alone(store: Store):
    pair = Pair(store.root)
    with pytest.raises(WsssError, match="clustering is trained by several processes together; ask for it before"):
        pair.ask(0, "seeds", lambda _: pair.ask(0), shared=False)
    assert pair.said.empty()


def test_contents_missing_and_used(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "used"
    monkeypatch.setenv("WSSS_USED_LOG", str(log))
    cams = make(store, stage="cams")
    seeds = make(store, inputs={"cams": cams})
    make(store, stage="cams")
    assert store.used == [cams, seeds]
    names = log.read_text().split()
    assert names == [f"cams/{cams.key}", f"seeds/{seeds.key}"]
    assert store.missing([*names, "seeds/0123"]) == ["seeds/0123"]
    assert store.contents() == [cams, seeds]
    assert store.contents("seeds") == [seeds]


def test_full_disk_while_a_stage_writes(store: Store):
    def fill(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoSpaceError, match="no space is left"):
        make(store, fill)
    assert store.contents() == []
    assert not store.address("seeds", params={}, inputs={}).complete


def test_store_where_a_file_is(tmp_path: Path):
    (tmp_path / "store").write_text("")
    with pytest.raises(SettingsError, match="a file is in its way"):
        make(Store(tmp_path / "store"))


def test_errors_of_a_stage_pass_unchanged(store: Store):
    def fail(_: Path) -> None:
        raise DataError("a.png is no picture; replace it")

    with pytest.raises(DataError, match=r"^a.png is no picture; replace it$"):
        make(store, fail)
