"""The speeds that the project promises, measured on this machine.

Both sides of a comparison run in turn, and what is reported is the median of the pairs' ratios: a machine that is busy
slows both, so a ratio holds where a time would not. All but the class maps and the training at full size run on one
thread: threads that wait for each other on a busy machine vary more than what is asked for. Nothing here is a test; a
row that misses says so.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import torch

from wsss_lib.experiments.bench.measuring import Row, one_thread
from wsss_lib.experiments.bench.stages import cam_rows, pooling_rows, superpixel_rows
from wsss_lib.experiments.bench.systems import system_rows, toy_rows
from wsss_lib.experiments.bench.training import convolution_rows, full_size_rows, training_rows
from wsss_lib.experiments.inputs import read_scenes
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Source
from wsss_lib.training.compute import Compute, choose_compute
from wsss_lib.vocabulary import SceneSet


def main(places: Places) -> None:
    """Measure and print everything, a row as soon as it is known; takes about a minute, with a GPU three."""
    compute = choose_compute()
    scenes = pictures(places.data)
    print(f"{torch.get_num_threads()} threads, {compute.describe()}, {len(scenes)} pictures")
    print(f"{'what':<78} {'measured':<19} target", flush=True)
    many_threads = chain(cam_rows(scenes.image(0), compute), full_size_rows(compute))
    for row in chain(many_threads, on_one_thread(scenes, compute)):
        print(row, flush=True)


def on_one_thread(scenes: SceneSet, compute: Compute) -> Iterator[Row | str]:
    """All rows that say nothing about threads."""
    with one_thread():
        yield from superpixel_rows(scenes)
        yield from pooling_rows()
        yield from training_rows(compute)
        yield from convolution_rows(compute)
        yield from system_rows()
        yield from toy_rows()


def pictures(data: Path | None) -> SceneSet:
    """Every fortieth training picture of CamVid where there are data, else eight toy streets of its size."""
    size = (480, 360)
    if data is None:
        return read_scenes(
            Source(reader="toy_streets", label_space="camvid", size=size, counts=(8, 0, 0)), "train", None
        )
    return every(read_scenes(Source(reader="camvid", label_space="camvid", size=size), "train", data), 40)


def every(scenes: SceneSet, step: int) -> SceneSet:
    """Every ``step``-th picture of a set."""
    assert scenes.label_map is not None
    image, label_map = scenes.image, scenes.label_map
    return SceneSet(
        label_space=scenes.label_space, split=scenes.split, names=scenes.names[::step], tags=None,
        image=lambda i: image(i * step), label_map=lambda i: label_map(i * step),
        fingerprint=f"{scenes.fingerprint}, every {step}th",
    )  # fmt: skip
