"""An experiment: a profile with its places, its store and its device, and the stages of every role that it plays."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from wsss_lib.data.textures import texture_trees
from wsss_lib.experiments.inputs import playable
from wsss_lib.experiments.per_picture import Workers
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Profile, load_profile
from wsss_lib.experiments.store import Store
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.report import SILENT, Report
from wsss_lib.training.together import Together
from wsss_lib.vocabulary import LabelSpace, SettingsError


class Experiment:
    """A profile with its places: the stages of every role it plays. ``profile`` is one that has no name in the list.

    ``workers`` share what is made picture by picture; those of the environment by default. ``together``: this is one of
    several processes that share every training; the first of them reports and writes. ``report`` is shown what happens;
    ``places.log`` gets that too, and a line for every epoch of a training; with ``None`` nobody hears anything.
    ``asking``: only what there is will be asked for, so no textures are written in the place of data (``DataError``).
    """

    def __init__(
        self, places: Places, *, profile: Profile | None = None, report: Callable[[str], None] | None = print,
        workers: Workers | None = None, together: Together | None = None, asking: bool = False,
    ) -> None:  # fmt: skip
        profile = profile or load_profile(places.profile)
        if profile.textures and places.data is None:
            places = replace(places, data=texture_trees(places.folder / "textures", write=not asking))
        self.places = places
        self.profile: Profile = playable(profile, places.data)
        if together and not together.first:
            report = None
        self.report = SILENT if report is None else Report(report, partial(_append, places.log))
        self.store = Store(places.store, report=self.report, together=together)
        self.compute = choose_compute(together=together)
        self.workers = workers or Workers.from_environment()
        self.roles = {name: Stages(role, self) for name, role in self.profile.roles.items()}

    @property
    def main(self) -> Stages:
        """The role of Tables 5 to 7 and 10."""
        return self.roles[self.profile.main.dataset]

    def role(self, dataset: str) -> Stages:
        """The role of a data set; ``SettingsError`` if the profile does not play it."""
        if dataset not in self.roles:
            raise SettingsError(f"profile {self.profile.name} has no role {dataset!r}, only {', '.join(self.roles)}")
        return self.roles[dataset]

    @property
    def label_spaces(self) -> dict[str, LabelSpace]:
        """Label space of every role, for tables and figures."""
        return {name: stages.label_space for name, stages in self.roles.items()}

    def __reduce__(self):
        """In another process it is opened anew, and is silent there."""
        return _reopened, (self.places, self.profile)


def _reopened(places: Places, profile: Profile) -> Experiment:
    return Experiment(places, profile=profile, report=None, workers=Workers())


def _append(log: Path, line: str) -> None:
    with suppress(OSError):  # what cannot be logged is still computed
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S} {line.strip()}\n")
