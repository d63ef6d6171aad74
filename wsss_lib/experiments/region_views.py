"""How the regions of a variant are described, and by whom: the classifier's backbone or that of a trained network.

What is kept is the features of every training picture's regions; those of what collages paste into it are described in
the same way.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from jaxtyping import Float16

from wsss_lib.classification.backbones import Backbone
from wsss_lib.clustering.region_features import MaskedRoi, MeanPooled, RegionFeatureConfig, RegionFeatures, describe
from wsss_lib.experiments.store import Artefact
from wsss_lib.vocabulary import Image, RegionMap

if TYPE_CHECKING:
    from wsss_lib.experiments.pipeline import Stages


class Trained(Protocol):
    """A segmentation network that is trained when it is asked for."""

    def artefact(self) -> Artefact: ...


@dataclass(frozen=True, kw_only=True)
class RegionView:
    """One description of the training pictures' regions: by the network ``learnt``, or by the classifier."""

    stages: "Stages"
    variant: str
    seed: int = 0
    learnt: Trained | None = None

    @property
    def config(self) -> RegionFeatureConfig:
        """What a region is described by."""
        classifiers, *learnt = self.stages.variant(self.variant).described_by
        return learnt[0] if self.learnt else classifiers

    @property
    def backbone(self) -> Backbone:
        """The network that describes them, ready to be asked."""
        if self.learnt is None:
            return self.stages.classifier(self.seed).backbone
        return self.stages.segmenter(self.learnt).network.backbone

    def describe(self, image: Image, regions: RegionMap) -> Float16[np.ndarray, "..."]:
        """What is kept of a picture to describe its regions by."""
        return describe(self.backbone, image, regions, self.config, compute=self.stages.compute)

    def description_of(self, picture: int) -> Float16[np.ndarray, "..."]:
        """:meth:`describe` of one training picture, computed anew."""
        return self.describe(self.stages.scenes("train").image(picture), self.stages.regions()[picture])

    def artefact(self) -> Artefact:
        """The descriptions of all training pictures. By a frozen backbone they are the same for every seed."""
        stages, config = self.stages, self.config
        scenes, learnt = stages.scenes("train"), stages.role.classifier
        start = f"{learnt.backbone}, {stages.weights_fingerprint(learnt.weights)}"
        network = start if learnt.frozen else stages.classifier_artefact(self.seed)

        def make(folder: Path) -> None:
            stages.make_each(self.description_of, folder, "train", f"region features, {config.pooling}")

        inputs = {
            "network": self.learnt.artefact() if self.learnt else network,
            "regions": stages.regions_artefact,
            "pictures": scenes.fingerprint,
        }
        return stages.artefact("region_features", {"config": config}, inputs, make)

    def features(self) -> RegionFeatures:
        """Features of all regions."""
        stages, folder = self.stages, self.artefact().folder
        count, counts = len(stages.scenes("train")), stages.region_counts
        if self.config.pooling == "mean":
            return MeanPooled(stages.rows(folder, count), counts)
        maps, corners = stages.arrays(folder, count), self.backbone.align_corners
        return MaskedRoi(maps, stages.regions(), counts, align_corners=corners, device=stages.compute.device)
