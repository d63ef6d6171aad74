"""What happens on a full or read-only disk, tried on a real one: ``python small_disk.py <where it is mounted>``.

Prints as JSON what became of a stage with so many bytes free, and of commands: exit code and standard error.
"""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from wsss_lib.__main__ import main
from wsss_lib.data.disk import write_whole
from wsss_lib.experiments.files import save_arrays, save_json
from wsss_lib.experiments.freshness import Status
from wsss_lib.experiments.store import Store
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig, train

FREE = (0, 8_000, 100_000, 700_000, 1_500_000, 2_200_000, 2_900_000)


def make(folder: Path) -> None:
    """Checkpoints of 0.8 MB, weights of 0.4 MB, arrays and numbers of 0.5 MB each, bytes of 1 MB."""
    model = torch.nn.Linear(320, 320)
    train(
        model, lambda _: torch.ones(1, 320), lambda batch: model(batch).square().mean(),
        TrainingConfig(steps=3, batch_size=1, learning_rate=0.001, checkpoint_every=1), compute=choose_compute("cpu"),
        seed=0, checkpoint=folder / "training.pt",
    )  # fmt: skip
    save_file(model.state_dict(), folder / "network.safetensors")
    save_arrays(folder / "labels.npz", {"labels": np.zeros(500_000, np.uint8)}, compress=False)
    save_json(folder / "training.json", ["loss"] * 50_000)
    write_whole(folder / "report.html", bytes(1_000_000))


def stage_with(free: int, disk: Path) -> Mapping[str, object]:
    filler = disk / "filler"
    store = Store(disk / "store", report=lambda _: None)
    fill(filler, free)
    try:
        store.artefact("seeds", params={}, inputs={}, make=make)
    except Exception as error:
        outcome = {"error": type(error).__name__, "message": str(error)}
    else:
        outcome = {"error": "", "message": ""}
    filler.unlink()
    unfinished = [path.name for path in disk.rglob("*.part")]
    return {"free": free, **outcome, "shown": len(store.contents()), "unfinished": unfinished}


def fill(filler: Path, free: int) -> None:
    filler.write_bytes(b"")
    space = shutil.disk_usage(filler).free - free
    with filler.open("wb") as file:
        file.write(bytes(space))


def command(*arguments: str) -> Mapping[str, object]:
    said, shown = io.StringIO(), io.StringIO()
    with redirect_stderr(said), redirect_stdout(shown):
        code = main(arguments)
    return {"code": code, "said": said.getvalue()}


def commands(build: Path) -> Mapping[str, object]:
    where = ("--profile", "smoke", "--build", str(build))
    return {name: command(*name.split(), *where) for name in ("reproduce", "run 1", "status")}


def tried(disk: Path) -> Mapping[str, object]:
    stages = [stage_with(free, disk) for free in FREE]
    shutil.rmtree(disk / "store")
    room = stage_with(shutil.disk_usage(disk).free, disk)
    shutil.rmtree(disk / "store")
    notebooks = disk / "smoke" / "notebooks"
    (notebooks / ".locks").mkdir(parents=True)
    (notebooks / ".locks" / "01_imagenet_classifier").touch()
    Status(state="done", stamp={}, started="").save(notebooks / "01_imagenet_classifier.json")
    fill(disk / "filler", 0)
    full = commands(disk / "other")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    return {"stages": stages, "room": room, "full": full, "read-only": commands(disk)}


if __name__ == "__main__":
    print(json.dumps(tried(Path(sys.argv[1]))))
    sys.stdout.flush()
    os._exit(0)
