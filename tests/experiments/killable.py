"""Runs to be killed: forked from a process that has imported everything already, so that they are at work at once.

``python killable.py`` reads a line of JSON for each run, with the name of the run and its folder, and answers with its
exit code when it has ended. With "seconds" it is killed after these. With "touch" n it kills itself just before it
touches the disk for the n-th time: opens a file to write, makes, renames or removes one. What it was to rename is cut
to half its length then, as if it had been killed while it wrote it.
"""

import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from safetensors.torch import save_file

from wsss_lib.data.disk import write_whole
from wsss_lib.experiments import pages, plates, store
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.files import save_arrays, save_json, sweep, whole_folder
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import SMOKE, Profile
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig, train

TOUCHES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}
SMALL = (65, 49)


def whole_run(folder: Path) -> None:
    """Every stage, systems of each kind among them, then scores, tables, predictions and a figure."""
    streets, scenes = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["tiny_role"](), SMOKE.roles["voc"]
    scenes = replace(scenes, source=replace(scenes.source, size=(64, 48), counts=(3, 2, 2)))
    kept = ("psa", "mcof")  # an affinity network; a region network in every round
    scenes = replace(scenes, systems={name: scenes.systems[name] for name in kept})
    streets = replace(streets, systems={"ccnn": streets.systems["ccnn"]})
    roles = {role.dataset: often_saved(role) for role in (streets, scenes)}
    profile = Profile(name="tiny", summary="tests", needs_data=False, roles=roles)
    experiment = Experiment(Places(profile="tiny", build=folder), profile=profile, report=lambda _: None)
    sweep(experiment.places.folder, skip=experiment.places.store)  # as the runner does before a notebook
    scores = pages.scores(experiment)
    pages.table(experiment, scores, 8)
    pages.write_predictions(list(experiment.roles.values()))
    plates.segmentation_losses(list(experiment.roles.values()))


def often_saved(value: Any) -> Any:
    """Settings with three steps in every training and a checkpoint after each, and small pictures."""
    if isinstance(value, TrainingConfig):
        return replace(value, steps=3, batch_size=min(value.batch_size, 8), checkpoint_every=1)
    if isinstance(value, dict):
        return {name: often_saved(part) for name, part in value.items()}
    if not is_dataclass(value) or isinstance(value, type):
        return value
    if isinstance(value, SegmentationConfig):
        value = replace(value, input_size=SMALL, crop_size=SMALL, settling_batches=2)
    return replace(value, **{field.name: often_saved(getattr(value, field.name)) for field in fields(value)})


def one_stage(folder: Path) -> None:
    """A stage with a checkpoint, weights, arrays and JSON, then a file and a folder for the reader."""

    def make(partial: Path) -> None:
        torch.manual_seed(3)
        model = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Dropout(), torch.nn.Linear(8, 2))
        losses = train(
            model, lambda step: torch.full((4, 2), step + 1.0), lambda batch: model(batch).square().mean(),
            TrainingConfig(steps=3, batch_size=4, learning_rate=0.1, checkpoint_every=1), compute=choose_compute("cpu"),
            seed=1, checkpoint=partial / "training.pt",
        )  # fmt: skip
        save_file(model.state_dict(), partial / "network.safetensors")
        save_arrays(partial / "labels.npz", {"labels": np.arange(4)})
        save_json(partial / "training.json", losses)
        (partial / "training.pt").unlink(missing_ok=True)

    sweep(folder, skip=folder / "store")
    with patch.object(store, "provenance", dict):  # it asks git, which takes longer than all the rest
        stage = store.Store(folder / "store", report=lambda _: None).artefact("stage", params={}, inputs={}, make=make)
    write_whole(folder / "tables" / "losses.txt", (stage.folder / "training.json").read_bytes())
    with whole_folder(folder / "predictions") as unfinished:
        save_arrays(unfinished / "a.npz", {"labels": np.arange(4)})


RUNS: dict[str, Callable[[Path], None]] = {"whole_run": whole_run, "one_stage": one_stage}


def die_at(touch: int) -> None:
    """Let this process kill itself before it touches the disk for the ``touch``-th time."""
    left = touch

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not (writes or event in TOUCHES):
            return
        left -= 1
        if left == 0:
            if event == "os.rename" and os.path.isfile(arguments[0]):
                os.truncate(arguments[0], os.path.getsize(arguments[0]) // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def serve() -> None:
    for line in sys.stdin:
        wanted = json.loads(line)
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if "touch" in wanted:
                die_at(wanted["touch"])
            RUNS[wanted["run"]](Path(wanted["folder"]))
            os._exit(0)
        if "seconds" in wanted:
            time.sleep(wanted["seconds"])
            os.kill(child, signal.SIGKILL)  # if it has ended, nothing happens: its id is its own until it is waited for
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
