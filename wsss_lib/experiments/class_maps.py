"""Class maps of a role: made once for every localisation, split and classifier, and read as heat, scores or labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float, Float16
from torch import Tensor

from wsss_lib.experiments.store import Artefact
from wsss_lib.localization.patches import Heat, LocalizationConfig, class_maps, heat_maps
from wsss_lib.vocabulary import DataError, LabelMap, SettingsError, Tags

if TYPE_CHECKING:
    from wsss_lib.experiments.pipeline import Stages


@dataclass(frozen=True, kw_only=True)
class ClassMaps:
    """What one classifier of a role sees in the pictures of a split; ``where`` is whole, patches or dense."""

    stages: "Stages"
    where: str
    seed: int = 0
    split: str = "train"

    def __post_init__(self) -> None:
        names = [name for name in ("whole", "patches", "dense") if getattr(self.stages.role, name) is not None]
        if self.where not in names:
            raise SettingsError(
                f"{self.stages.role.dataset} has no localisation {self.where!r}, only {', '.join(names)}"
            )

    @property
    def config(self) -> LocalizationConfig:
        """How the pictures are cut."""
        return getattr(self.stages.role, self.where)

    def artefact(self) -> Artefact:
        """Raw maps of the classifier's own classes for every picture."""
        stages, scenes = self.stages, self.stages.scenes(self.split)

        def make(folder: Path) -> None:
            stages.make_each(self.of, folder, self.split, f"class maps, {self.where}")

        inputs = {"classifier": stages.classifier_artefact(self.seed), "pictures": scenes.fingerprint}
        return stages.artefact("class_maps", {"config": self.config}, inputs, make)

    def of(self, index: int) -> Float16[np.ndarray, "simple rows columns"]:
        """Raw maps of one picture, computed anew."""
        classifier, image = self.stages.classifier(self.seed), self.stages.scenes(self.split).image(index)
        return class_maps(classifier, image, self.config, compute=self.stages.compute).half().numpy()

    @cached_property
    def arrays(self) -> Sequence[Float16[np.ndarray, "simple rows columns"]]:
        """The raw maps, in memory once; systems ask for heat at every step, so the store is asked once."""
        return self.stages.arrays(self.artefact().folder, len(self.stages.scenes(self.split)))

    def heat(self, index: int, kind: Heat, tags: Tags | None = None) -> Float[Tensor, "class rows columns"]:
        """Heat of every tag of a picture, or of other ``tags`` than its own, 0..1."""
        stages = self.stages
        bias = stages.classifier(self.seed).linear.bias
        assert bias is not None
        return heat_maps(
            torch.from_numpy(self.arrays[index].astype(np.float32)), bias.detach().cpu(),
            self._tags(index) if tags is None else tags, targets=stages.pictures.targets,
            activation=stages.role.classifier.activation, heat=kind, background=stages.label_space.background,
        )  # fmt: skip

    def picture_scores(self) -> Float[np.ndarray, "picture class"]:
        """Share of every class in every picture as the classifier alone sees it: no tag, no label is used.

        The mean over the picture of the classifier's probability at each place (heat ``probability``).
        """
        count = len(self.stages.scenes(self.split))
        return np.stack([self.heat(i, "probability", self._everything).mean((1, 2)).numpy() for i in range(count)])

    def label_maps(self, kind: Heat, *, tagged: bool) -> Iterator[LabelMap]:
        """The class with the most heat at every pixel, as large as the pictures: what the classifier alone can segment.

        All classes compete, or only the tags of the picture if ``tagged``; where none of them has any heat, as can be
        with ``maximum``, the first one is taken.
        """
        scenes = self.stages.scenes(self.split)
        for i in range(len(scenes)):
            tags = self._tags(i) if tagged else self._everything
            heat = self.heat(i, kind, tags)
            sharp = functional.interpolate(heat[None], scenes.image(i).shape[:2], mode="bilinear")[0]
            sharp[torch.from_numpy(~tags)] = -1.0
            yield sharp.argmax(0).to(torch.uint8).numpy()

    @property
    def _everything(self) -> Tags:
        return np.ones(len(self.stages.label_space), dtype=bool)

    def _tags(self, index: int) -> Tags:
        tags = self.stages.scenes(self.split).tags
        if tags is None:
            raise DataError(f"the {self.split} pictures of {self.stages.role.played_by} have no tags")
        return tags[index]
