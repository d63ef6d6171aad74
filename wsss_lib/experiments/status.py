"""What is there already: which notebooks are fresh, what the store holds, which network was trained last."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from wsss_lib.data.lock import is_held
from wsss_lib.experiments.freshness import notebook_stamp
from wsss_lib.experiments.inputs import playable
from wsss_lib.experiments.notebooks import all_notebooks
from wsss_lib.experiments.places import NOTEBOOKS, Places
from wsss_lib.experiments.profiles import load_profile
from wsss_lib.experiments.runner import Job
from wsss_lib.experiments.store import Store, plain
from wsss_lib.training.report import in_words
from wsss_lib.vocabulary import DataError, SettingsError

MODEL_STAGE = "segmentation"
"""The stage whose artefacts are trained segmentation networks."""


def status_lines(places: Places, folder: Path = NOTEBOOKS) -> Iterator[str]:
    """A line for each notebook (fresh, running, missing or stale, and why), then one for the store."""
    for notebook in all_notebooks(folder):
        yield _notebook_line(_as_it_ran(Job(notebook=notebook, places=places, parameters={})))
    artefacts = Store(places.store).contents()
    size = sum(file.stat().st_size for artefact in artefacts for file in artefact.folder.rglob("*") if file.is_file())
    yield f"{len(artefacts)} artefacts, {size / 1e6:.1f} MB, in {places.store}"


def newest_model(places: Places) -> Path:
    """Folder of the network of its own method that the profile trained last on its main role.

    The other networks of Table 9, and those of other roles, are of the same stage but not meant. ``SettingsError`` when
    there is none.
    """
    profile = load_profile(places.profile)
    with suppress(DataError):  # without the data it was trained on a network is of use all the same
        profile = playable(profile, places.data)
    main = profile.main
    config = main.beyond[main.plus].network if main.plus else main.segmentation
    wanted = {"dataset": main.dataset, "config": plain(config)}
    store = Store(places.store)
    models = [each for each in store.contents(MODEL_STAGE) if wanted.items() <= each.record["params"].items()]
    if main.plus:  # ablations have the same network, but learn from other labels
        variant = plain(main.variants[main.beyond[main.plus].labels])
        own = {each.key for each in store.contents("clustering") if each.record["params"].get("variant") == variant}
        models = [model for model in models if model.record["inputs"].get("labels") in own]
    if not models:
        raise SettingsError(
            f"profile {places.profile} has no trained network in {places.store}; run"
            f" `wsss reproduce --profile {places.profile}` first, or pass --model with the folder of one"
        )
    return models[-1].folder


def _as_it_ran(job: Job) -> Job:
    """With the parameters of its last run: other ones would make it stale, and nobody has asked for them."""
    return replace(job, parameters=job.status.parameters) if job.status else job


def _notebook_line(job: Job) -> str:
    status = job.status
    if status is None:
        return f"{job.name:<28} missing  has not run yet"
    if is_held(job.lock_file):
        return f"{job.name:<28} running  since {status.started}"
    reason = job.why_stale(notebook_stamp(job.notebook, job.places, job.parameters))
    cost = f"{in_words(status.seconds)}, {status.peak_memory_mb / 1000:.1f} GB at most"
    return f"{job.name:<28} stale    {reason}" if reason else f"{job.name:<28} fresh    {cost}"
