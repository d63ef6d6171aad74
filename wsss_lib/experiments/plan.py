"""What a profile will cost on this machine: hours, disk and memory of its stages, before anything starts.

Of every stage but the choice of seeds, the outlines of simple pictures and the comparison with true label maps, which
come on top (``UNPLANNED``). A few steps or pictures of every stage are run for real,
at full size, and multiplied by how many there will be. Where the profile ``paper`` is given no data folder, pictures
are random textures of the real size, as many as published.
It can also be kept, as ``plan.csv`` and a Markdown table for every role.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch

from wsss_lib.data.disk import write_whole
from wsss_lib.experiments.estimates import GIGA, Estimate, estimates
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.files import free_space
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Profile, load_profile
from wsss_lib.experiments.profiles.paper import PICTURES
from wsss_lib.experiments.profiles.schema import Role
from wsss_lib.experiments.provenance import provenance
from wsss_lib.reporting.rendering import markdown_table, one_decimal
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.compute import Compute

HEADER = f"{'role':<11}{'stage':<32}{'work':>20}{'one takes':>12}{'in all':>11}{'disk':>12}{'memory':>11}"


def plan_lines(places: Places, out: Path | None = None) -> Iterator[str]:
    """The plan line by line, as it is measured; the sum last. ``out``: a folder that keeps it (:func:`write_plan`)."""
    profile = _without_weights(places)
    rooms = Path(tempfile.mkdtemp(prefix="wsss_plan_"))
    try:
        experiment = Experiment(replace(places, build=rooms), profile=profile, report=lambda _: None)
        yield f"{places.profile} on {_device(experiment.compute)}; {torch.get_num_threads()} threads"
        yield HEADER
        found = []
        for stages in experiment.roles.values():
            for estimate in estimates(stages, picture_counts(stages, places)):
                found.append(estimate)
                yield str(estimate)
            if out is not None:
                write_plan(found, experiment.compute, out)
        yield summary(found, places)
    finally:
        shutil.rmtree(rooms, ignore_errors=True)


def write_plan(found: list[Estimate], compute: Compute, folder: Path) -> None:
    """``plan.csv`` with every number, and ``plan_<role>.md`` for the reader, with the device and the commit below."""
    numbers = pd.DataFrame([
        {
            "role": each.role, "stage": each.stage, "units": each.units, "unit": each.unit, "seconds": each.seconds,
            "pictures per second": each.per_second, "hours": each.hours, "disk, GB": each.disk / GIGA,
            "memory, GB": each.memory / GIGA,
        }
        for each in found
    ])  # fmt: skip
    text = numbers.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    write_whole(folder / "plan.csv", text.encode())
    made = provenance()
    where = f"Measured on {_device(compute)}, {made['threads']} threads, PyTorch {made['versions']['torch']}"
    note = f"{where}, commit {(made['commit'] or 'unknown')[:10]}. Memory: of the GPU where there is one."
    for role, rows in numbers.groupby("role", sort=False):
        shown = pd.DataFrame({
            "stage": rows["stage"],
            "how many": [f"{units:,.0f} {unit}" for units, unit in zip(rows["units"], rows["unit"], strict=True)],
            "pictures, per second": rows["pictures per second"].map(one_decimal),
            "memory, GB": rows["memory, GB"].map(one_decimal),
            "in all, hours": rows["hours"].map("{:.2f}".format),
            "disk, GB": rows["disk, GB"].map(one_decimal),
        })  # fmt: skip
        write_whole(folder / f"plan_{role}.md", f"{markdown_table(shown, words=2)}\n\n{note}\n".encode())


def summary(found: list[Estimate], places: Places) -> str:
    """Hours and disk in all, most memory, and whether the disk has room."""
    disk = sum(each.disk for each in found)
    free = free_space(places.build)
    room = "enough" if disk < 0.9 * free else "too little: pass --build with a folder on another disk"
    return (
        f"in all {sum(each.hours for each in found):.1f} h, {disk / GIGA:.1f} GB on the disk ({free / GIGA:.0f} GB"
        f" free: {room}), at most {max((each.memory for each in found), default=0) / GIGA:.1f} GB of memory at a time"
    )


def picture_counts(stages: Stages, places: Places) -> tuple[int, int, int]:
    """Pictures of train, val and test: those that are there, or the published numbers where textures stand for them.

    A profile that is about textures has as many as it has.
    """
    if stages.experiment.places.data != places.data and not load_profile(places.profile).textures:
        return PICTURES[stages.role.dataset]
    train, val, test = (len(stages.scenes(split)) for split in ("train", "val", "test"))
    return train, val, test


def _without_weights(places: Places) -> Profile:
    """The profile with networks that start from nothing, which takes as long, and its textures where it has some."""
    profile = load_profile(places.profile)
    roles = {name: _untrained(role) for name, role in profile.roles.items()}
    return replace(profile, roles=roles, textures=profile.present_only, present_only=places.data is not None)


def _untrained(role: Role) -> Role:
    """The role without files of weights. Networks that start from one have torchvision's name in its place: they start
    from no classifier, and none of what is measured fetches weights.
    """
    return replace(
        role,
        classifier=replace(role.classifier, weights="none"),
        segmentation=_unnamed(role.segmentation),
        networks={name: _unnamed(config) for name, config in role.networks.items()},
        compared=_unnamed(role.compared) if role.compared else None,
        beyond={name: replace(each, network=_unnamed(each.network)) for name, each in role.beyond.items()},
    )


def _unnamed(config: SegmentationConfig) -> SegmentationConfig:
    return config if config.weights == "none" else replace(config, weights="torchvision")


def _device(compute: Compute) -> str:
    name = torch.cuda.get_device_name(compute.device) if compute.device.type == "cuda" else "the processor"
    return f"{name} ({compute.describe()})"
