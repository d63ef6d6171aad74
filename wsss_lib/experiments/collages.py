"""Collages of a role (not in the paper): cuttings of simple pictures, where they are pasted, and what is kept of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float16

from wsss_lib.clustering.collages import CollageConfig, PastedRegions, Spot, collage, pasted_labels, spots_of
from wsss_lib.experiments.per_picture import load_array, make_each
from wsss_lib.experiments.region_views import RegionView
from wsss_lib.experiments.store import Artefact
from wsss_lib.regions.cuttings import Cutting, Mask, outline, small, whole_or_cut
from wsss_lib.regions.superpixels import superpixels
from wsss_lib.vocabulary import IGNORE, Image, LabelMap, SettingsError

if TYPE_CHECKING:
    from wsss_lib.experiments.pipeline import Stages


MOST = 200
"""Pictures of a simple class that are cut, the first ones: they stay in memory, and ImageNet has a thousand of each."""


@dataclass(frozen=True, kw_only=True)
class Collages:
    """The collages of a variant: its seeds say where pieces go, one of its views describes what was pasted."""

    view: RegionView

    @property
    def stages(self) -> "Stages":
        return self.view.stages

    @property
    def settings(self) -> CollageConfig:
        """How much is pasted; ``SettingsError`` for a variant without collages."""
        config = self.stages.variant(self.view.variant).collages
        if config is None:
            raise SettingsError(f"the variant {self.view.variant!r} of {self.stages.role.dataset} has no collages")
        return config

    def cuttings_artefact(self) -> Artefact:
        """The outline of every picture that is cut, the same for all variants."""
        stages = self.stages

        def make(folder: Path) -> None:
            workers, report = stages.experiment.workers, stages.progress("outlines")
            make_each(self.outline_of, folder, len(self.to_cut), workers=workers, report=report, compress=True)

        return stages.artefact("cuttings", {"most": MOST}, {"pictures": stages.simple.fingerprint}, make)

    @cached_property
    def to_cut(self) -> list[int]:
        """Which simple pictures are cut: the first ``MOST`` of every class that stands for one of the target's."""
        simple, labels = self.stages.simple, np.array(self.stages.simple.labels)
        wanted = [number for number, target in enumerate(simple.targets) if target != IGNORE]
        return [picture for number in wanted for picture in np.flatnonzero(labels == number)[:MOST].tolist()]

    def outline_of(self, place: int) -> Mask:
        """The outline of a picture of ``to_cut``, computed anew."""
        return outline(small(self.stages.simple.image(self.to_cut[place])))

    def cuttings(self) -> dict[int, list[Cutting]]:
        """Class -> what the simple pictures that stand for it give to paste; a class without any is left out."""
        simple, folder = self.stages.simple, self.cuttings_artefact().folder

        def cut() -> dict[int, list[Cutting]]:
            found: dict[int, list[Cutting]] = {}
            for simple_class, places in groupby(range(len(self.to_cut)), lambda i: simple.labels[self.to_cut[i]]):
                members = list(places)
                images = [small(simple.image(self.to_cut[place])) for place in members]
                masks = [load_array(folder, place) for place in members]
                target = simple.targets[simple_class]
                found[target] = found.get(target, []) + whole_or_cut(images, masks)
            return {target: cuttings for target, cuttings in found.items() if cuttings}

        return _once("cuttings", folder, cut)

    def spots(self) -> dict[int, list[Spot]]:
        """Class -> where the variant's seeds have something of it."""
        stages, config, whose = self.stages, self.settings, (self.view.variant, self.view.seed)
        folder = stages.seeds_artefact(*whose).folder
        return _once("spots", (folder, config), lambda: spots_of(stages.label_maps(stages.seeds(*whose)), config))

    def collage_of(self, picture: int) -> tuple[Image, LabelMap]:
        """One training picture with pieces pasted in, and their labels.

        Every seed has its own, as repetitions that share them would look surer than they are; variants share theirs.
        """
        image, rng = self.stages.scenes("train").image(picture), np.random.default_rng([self.view.seed, picture])
        return collage(image, self.cuttings(), self.spots(), self.settings, rng)

    def pasted_into(self, picture: int) -> Float16[np.ndarray, "region feature_and_label"]:
        """Features of the regions that were pasted into one training picture; the last column is their label."""
        image, labels = self.collage_of(picture)
        regions = superpixels(image, self.stages.role.superpixels)
        label = pasted_labels(labels, regions)
        return np.column_stack([self.view.describe(image, regions), label.astype(np.float16)])[label != IGNORE]

    def artefact(self) -> Artefact:
        """What is kept of the regions that were pasted into each picture."""
        stages, view = self.stages, self.view

        def make(folder: Path) -> None:
            stages.make_each(self.pasted_into, folder, "train", "collages")

        params = {"config": self.settings, "superpixels": stages.role.superpixels}
        params |= {"features": view.config, "seed": view.seed}
        inputs = {
            "cuttings": self.cuttings_artefact(),
            "seeds": stages.seeds_artefact(view.variant, view.seed),
            "features": view.artefact(),
            "pictures": stages.scenes("train").fingerprint,
        }
        return stages.artefact("collages", params, inputs, make)

    def pasted(self) -> PastedRegions:
        """All regions that were pasted (CamVid's are 0.35 GB)."""
        folder, count = self.artefact().folder, len(self.stages.scenes("train"))
        rows = np.concatenate([load_array(folder, picture) for picture in range(count)])
        return PastedRegions(rows[:, :-1], rows[:, -1].astype(np.uint8), self.settings)


_kept: dict[str, tuple[Hashable, Any]] = {}


def _once(kind: str, key: Hashable, make: Callable[[], Any]) -> Any:
    """What was made last of a kind, if it had the same key: a worker opens its stages anew for every few pictures."""
    if kind not in _kept or _kept[kind][0] != key:
        _kept[kind] = key, make()
    return _kept[kind][1]
