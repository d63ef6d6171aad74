"""Two processes that train one network together give what one process gives."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig, train
from wsss_lib.training.together import Together, _every, _shape, launch, shared_statistics, world_size
from wsss_lib.vocabulary import DataError, SettingsError, WsssError

CPU = choose_compute("cpu", "float32")
CONFIG = TrainingConfig(steps=12, batch_size=4, learning_rate=0.05, checkpoint_every=5)


def run(together: Together | None, folder: Path, steps: int = 12) -> list[float]:
    """Losses and weights of a small network on batches of four; written by the first process."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))

    def batch(step: int) -> tuple[torch.Tensor, list[int]]:
        rng = np.random.default_rng(step)
        inputs = rng.normal(size=(4, 3))
        return torch.from_numpy(inputs).float(), (inputs.sum(1) > 0).astype(int).tolist()

    def loss(values: tuple[torch.Tensor, list[int]]) -> torch.Tensor:
        return functional.cross_entropy(model(values[0]), torch.tensor(values[1]))

    checkpoint = folder / "checkpoint.pt"
    losses = train(
        model, batch, loss, replace(CONFIG, steps=steps), compute=replace(CPU, together=together), seed=1,
        checkpoint=checkpoint if together is None or together.first else folder / "elsewhere.pt",
    )  # fmt: skip
    if together is None or together.first:
        weights = torch.cat([each.detach().flatten() for each in model.parameters()]).tolist()
        (folder / "result.json").write_text(json.dumps([losses, weights]))
    return losses


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process finds this file as a module of the repository."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])


def two(together: Together, folder: Path) -> None:
    assert together.size == 2
    run(together, folder)


def result(folder: Path) -> tuple[list[float], list[float]]:
    return tuple(json.loads((folder / "result.json").read_text()))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], list[float]]:
    folder = tmp_path_factory.mktemp("alone")
    run(None, folder)
    return result(folder)


def test_two_processes_give_the_losses_and_weights_of_one(alone, tmp_path):
    launch(two, tmp_path, processes=2, device="cpu")
    assert result(tmp_path)[0] == pytest.approx(alone[0], abs=1e-6)
    assert result(tmp_path)[1] == pytest.approx(alone[1], abs=1e-6)


def test_they_go_on_from_the_first_ones_checkpoint(tmp_path):
    """Seven steps alone leave the checkpoint of step 5; the second process has no file of its own."""
    run(None, tmp_path, steps=7)
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert len(state["losses"]) == 5
    launch(two, tmp_path, processes=2, device="cpu")
    losses = result(tmp_path)[0]
    assert losses[:5] == state["losses"]
    assert len(losses) == CONFIG.steps


TORCHRUN = """
import json, sys
from pathlib import Path
from wsss_lib.training.together import launch

def task(together, folder):
    told = together.of_first(f"from {together.rank}")
    (folder / f"{together.rank}.json").write_text(json.dumps([together.size, told]))

launch(task, Path(sys.argv[1]), processes=1, device="cpu")
"""


def test_the_processes_of_torchrun_are_taken_whatever_is_asked_for(tmp_path):
    """One is asked for, torchrun has started two: each hears what the first one has."""
    script, told = tmp_path / "script.py", tmp_path / "told"
    script.write_text(TORCHRUN)
    told.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", script, told]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    found = {file.stem: json.loads(file.read_text()) for file in told.iterdir()}
    assert found == {"0": [2, "from 0"], "1": [2, "from 0"]}


def torchrun(monkeypatch: pytest.MonkeyPatch, here: int, everywhere: int) -> None:
    """The environment that torchrun gives to its processes."""
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", here), ("WORLD_SIZE", everywhere)):
        monkeypatch.setenv(name, str(value))


def test_several_machines_of_torchrun(monkeypatch):
    """Two machines with four processes each; without torchrun, as many as are asked for on this machine."""
    assert (world_size(3), _shape(3)) == (3, (3, 1))
    torchrun(monkeypatch, here=4, everywhere=8)
    assert (world_size(1), _shape(1)) == (8, (4, 2))


def test_machines_of_torchrun_that_differ_are_refused(monkeypatch):
    torchrun(monkeypatch, here=2, everywhere=5)
    with pytest.raises(SettingsError, match="torchrun started 2 of 5 processes on this machine; start as many on ev"):
        launch(two, Path(), processes=1, device="cpu")


@dataclass(frozen=True)
class Pair:
    images: torch.Tensor
    flow: torch.Tensor | None


def test_parts_of_a_batch_by_hand():
    batch = (torch.arange(4), [5, 6, 7, 8], Pair(torch.arange(2), None))
    part = _every(batch, 1, 2)
    assert part[0].tolist() == [1, 3]
    assert part[1] == [6, 8]
    assert part[2].images.tolist() == [1]
    assert part[2].flow is None


def test_a_batch_that_cannot_be_divided():
    with pytest.raises(SettingsError, match="a batch of 5 cannot be divided between 2 processes; change batch_size"):
        _every(torch.zeros(5), 0, 2)
    with pytest.raises(SettingsError, match="a batch of type str cannot be divided"):
        _every("abcd", 0, 2)


def stops(together: Together) -> None:
    if together.rank == 1:
        raise DataError("picture 7 is damaged; fetch it again")
    time.sleep(60)  # as one that waits for the other


def test_a_clear_error_of_one_process_ends_all_with_its_sentence():
    with pytest.raises(WsssError, match=r"^picture 7 is damaged; fetch it again$"):
        launch(stops, processes=2, device="cpu")


def test_no_process_at_all():
    with pytest.raises(SettingsError, match="0 processes were asked for"):
        launch(two, Path(), processes=0, device="cpu")


def test_statistics_are_shared_inside_and_the_layers_put_back():
    inner = nn.Sequential(nn.BatchNorm2d(2))
    model = nn.Sequential(nn.Conv2d(1, 2, 1), inner)
    norm = inner[0]
    with shared_statistics(model):
        assert isinstance(inner[0], nn.SyncBatchNorm)
        assert inner[0].weight is norm.weight  # what the optimiser holds
        inner[0].running_mean += 3
    assert inner[0] is norm
    assert norm.running_mean.tolist() == [3, 3]
