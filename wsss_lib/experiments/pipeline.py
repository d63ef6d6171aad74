"""The stages of the paper on one role up to the labels; each is made once and found again in the artefact store.

``Stages`` of a role are the rows of the paper's Figure 2: classifier -> class maps -> superpixels -> seeds -> region
features -> clustering; beyond the paper ``collages`` come before it. The networks that learn from the labels follow in
``segmentation``; a second generation of rounds goes on from one of them (``region_views``).

A method returns values; what is on disk is the store's affair.
Asking for a late stage makes all earlier ones, so that any notebook can be run alone.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int, UInt16
from numpy.typing import DTypeLike
from safetensors.torch import load_file, save_file

from wsss_lib.classification.classifier import (
    CamClassifier,
    ClassifiedPictures,
    accuracy_per_class,
    build_classifier,
    from_scenes,
    from_simple,
    train_classifier,
)
from wsss_lib.clustering.region_features import RegionFeatures
from wsss_lib.clustering.rounds import Certainty, Labels, View, cluster
from wsss_lib.clustering.seeds import choose_seeds
from wsss_lib.data.pictures import fingerprint_of_files
from wsss_lib.data.simple_images import half_of
from wsss_lib.experiments.class_maps import ClassMaps
from wsss_lib.experiments.code import code_of
from wsss_lib.experiments.collages import Collages
from wsss_lib.experiments.files import load_arrays, load_json, save_arrays, save_json
from wsss_lib.experiments.inputs import FrameFlow, read_flow, read_scenes, read_simple, weights_source
from wsss_lib.experiments.memory import kept
from wsss_lib.experiments.per_picture import PictureArrays, load_array, make_each
from wsss_lib.experiments.profiles import Role, Variant
from wsss_lib.experiments.region_views import RegionView, Trained
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.experiments.store import Artefact
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.regions.superpixels import superpixels
from wsss_lib.segmentation.predict import Segmenter, load_segmenter
from wsss_lib.segmentation.pseudo_labels import RegionLabels
from wsss_lib.training.compute import Compute
from wsss_lib.training.loop import start_values
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import DataError, LabelSpace, RegionMap, SceneSet, SettingsError, SimpleSet

if TYPE_CHECKING:
    from wsss_lib.experiments.experiment import Experiment

TRAINED = ("classifier", "clustering", "segmentation", "full_supervision", "system")
"""Stages that several processes train together; all others are made by the first of them."""


class Stages:
    """Every stage of the method on one role.

    What a method returns is kept in memory as long as the process lives: a notebook asks for the same things many
    times, and disk caches are not to be relied on. Of the features of all regions, which are large, only the last ones.
    """

    def __init__(self, role: Role, experiment: "Experiment", simple_half: int | None = None) -> None:
        self.role, self.experiment = role, experiment
        self.compute: Compute = experiment.compute
        self._simple_half = simple_half

    def __reduce__(self):
        """In another process they are opened anew, with their experiment."""
        return _reopened, (self.experiment, self.role.dataset, self._simple_half)

    @cached_property
    def halves(self) -> tuple["Stages", ...]:
        """The stages of the same role twice, each learning from one half of the simple pictures (``half_of``).

        None of a role that learns from no simple pictures.
        """
        numbers = (0, 1) if self.role.learns_from == "simple" else ()
        return tuple(Stages(self.role, self.experiment, number) for number in numbers)

    # ---------------------------------------------------------------------------------------------------- pictures

    @lru_cache(maxsize=64)  # noqa: B019
    def scenes(self, split: str) -> SceneSet:
        """The street pictures (or scenes) of a split and their label maps, in memory as far as there is room."""
        scenes = read_scenes(self.role.source, split, self.experiment.places.data)
        label_map = None if scenes.label_map is None else kept(scenes.label_map)
        return replace(scenes, image=kept(scenes.image), label_map=label_map)

    @cached_property
    def flow(self) -> FrameFlow | None:
        """Optical flow from every training picture to the frame after it; ``None`` where the data have no sequences."""
        return read_flow(self.role.source, self.scenes("train"), self.experiment.places.data)

    @cached_property
    def simple(self) -> SimpleSet:
        """The simple pictures; only roles that learn from them have any."""
        simple = read_simple(self.role.source, self.experiment.places.data)
        return simple if self._simple_half is None else half_of(simple, self._simple_half)

    @cached_property
    def label_space(self) -> LabelSpace:
        return self.scenes("train").label_space

    @cached_property
    def pictures(self) -> ClassifiedPictures:
        """What the classifier learns from."""
        return from_simple(self.simple) if self.role.learns_from == "simple" else from_scenes(self.scenes("train"))

    @property
    def tags(self):
        """Tags of the training pictures, picture x class."""
        tags = self.scenes("train").tags
        if tags is None:
            raise DataError(f"the training pictures of {self.role.played_by} have no tags; the method starts from them")
        return tags

    # -------------------------------------------------------------------------------------------------- classifier

    def classifier_artefact(self, seed: int) -> Artefact:
        """The trained classifier, its losses, and its accuracy on what it learnt from."""
        learnt = self.simple.fingerprint if self.role.learns_from == "simple" else self.scenes("train").fingerprint

        def make(folder: Path) -> None:
            classifier = self._new_classifier()
            losses = train_classifier(
                classifier, self.pictures, self.role.classifier, compute=self.compute, seed=self._classifier_seed(seed),
                checkpoint=folder / "training.pt", report=self.progress("classifier"),
            )  # fmt: skip
            accuracy = accuracy_per_class(classifier, self.pictures, self.role.classifier, compute=self.compute)
            save_file(
                {k: v.contiguous().cpu() for k, v in classifier.state_dict().items()}, folder / "classifier.safetensors"
            )
            save_json(folder / "training.json", {"losses": losses, "accuracy": accuracy.tolist()})
            (folder / "training.pt").unlink(missing_ok=True)

        return self.artefact(
            "classifier",
            {"config": self.role.classifier, "seed": self._classifier_seed(seed)},
            {"pictures": learnt, "weights": self.weights_fingerprint(self.role.classifier.weights)},
            make,
        )

    @lru_cache(maxsize=64)  # noqa: B019
    def classifier(self, seed: int = 0) -> CamClassifier:
        """The trained classifier, ready to be asked."""
        classifier = self._new_classifier()
        classifier.load_state_dict(load_file(self.classifier_artefact(seed).folder / "classifier.safetensors"))
        return self.compute.place(classifier).eval()

    def classifier_training(self, seed: int = 0) -> Mapping[str, Any]:
        """``losses`` of every step and ``accuracy`` per class in percent, on the pictures it learnt from."""
        return load_json(self.classifier_artefact(seed).folder / "training.json")

    def _new_classifier(self) -> CamClassifier:
        config = self.role.classifier
        with start_values(0):  # what differs between seeds is the training
            return build_classifier(config, len(self.pictures.classes), self.weights(config.weights))

    def _classifier_seed(self, seed: int) -> int:
        return seed if self.role.classifier_per_seed else 0

    # -------------------------------------------------------------------------------------- superpixels, heat, seeds

    @property
    def regions_artefact(self) -> Artefact:
        """Superpixels of every training picture."""
        scenes = self.scenes("train")

        def make(folder: Path) -> None:
            self.make_each(self.superpixels_of, folder, "train", "superpixels", compress=True)
            counts = [int(each.max()) + 1 for each in PictureArrays(folder, len(scenes))]
            save_arrays(folder / "counts.npz", {"counts": np.array(counts)})

        params, inputs = {"config": self.role.superpixels}, {"pictures": scenes.fingerprint}
        return self.artefact("superpixels", params, inputs, make)

    def superpixels_of(self, picture: int) -> UInt16[np.ndarray, "height width"]:
        """Superpixels of one training picture, computed anew."""
        regions = superpixels(self.scenes("train").image(picture), self.role.superpixels)
        if regions.max() > np.iinfo(np.uint16).max:
            raise SettingsError(
                f"picture {picture} falls into {regions.max() + 1} superpixels, more than {2**16}; raise scale or"
                f" min_size of {self.role.superpixels}"
            )
        return regions.astype(np.uint16)

    def regions(self) -> Sequence[RegionMap]:
        """Superpixels of every training picture."""
        return self.arrays(self.regions_artefact.folder, len(self.scenes("train")), np.int32)

    @cached_property
    def region_counts(self) -> Int[np.ndarray, "picture"]:
        """How many superpixels every training picture has."""
        return load_arrays(self.regions_artefact.folder / "counts.npz")["counts"]

    def class_maps(self, where: str, seed: int = 0, split: str = "train") -> ClassMaps:
        """Class maps of a localisation by name; ``SettingsError`` for one that the role has not."""
        return ClassMaps(stages=self, where=where, seed=seed, split=split)

    def seeds(self, variant: str = "default", seed: int = 0, where: str = "") -> Labels:
        """First label of every region of all training pictures, one after the other.

        From the variant's own localisation, or by its rule from another one that ``where`` names.
        """
        return self.seeds_with_certainty(variant, seed, where)[0]

    @lru_cache(maxsize=64)  # noqa: B019
    def seeds_with_certainty(
        self, variant: str = "default", seed: int = 0, where: str = ""
    ) -> tuple[Labels, Certainty]:
        """:meth:`seeds`, and how sure each of them is."""
        arrays = load_arrays(self.seeds_artefact(variant, seed, where).folder / "seeds.npz")
        return arrays["labels"], arrays["certainty"]

    def seeds_artefact(self, variant: str, seed: int, where: str = "") -> Artefact:
        """First labels of all regions and how sure they are."""
        rule, regions = self.variant(variant), self.regions_artefact
        maps = self.class_maps(where or rule.where, seed)

        def make(folder: Path) -> None:
            tags, chosen = self.tags, []
            for index, each in enumerate(self.regions()):
                heat = mean_pool(maps.heat(index, rule.heat), each).numpy()
                chosen.append(choose_seeds(heat, tags[index], rule.seeds))
            labels, certainty = (np.concatenate(parts) for parts in zip(*chosen, strict=True))
            save_arrays(folder / "seeds.npz", {"labels": labels, "certainty": certainty})

        params = {"heat": rule.heat, "rule": rule.seeds}
        inputs = {"class_maps": maps.artefact(), "regions": regions}
        return self.artefact("seeds", params, inputs, make)

    # ------------------------------------------------------------------------------------- region features, clustering

    def features(self, variant: str = "default", seed: int = 0) -> RegionFeatures:
        """Features of all regions, from the classifier's backbone."""
        return self.views(variant, seed)[0].features()

    def views(self, variant: str, seed: int) -> list[RegionView]:
        """Every description of the regions that a variant learns from: by the classifier's backbone first."""
        before = self.before(variant, seed)
        described_by = [None] if before is None else [None, before]
        return [RegionView(stages=self, variant=variant, seed=seed, learnt=learnt) for learnt in described_by]

    def before(self, variant: str, seed: int) -> Segmentation | None:
        """The network from which a variant of a second generation goes on."""
        previous = self.variant(variant).previous
        return previous and Segmentation(stages=self, system=previous.system, seed=seed)

    @lru_cache(maxsize=8)  # noqa: B019
    def segmenter(self, trained: Trained) -> Segmenter:
        """A trained segmentation network, ready to be asked; only the last ones are kept."""
        return load_segmenter(trained.artefact().folder, self.compute)

    @lru_cache(maxsize=64)  # noqa: B019
    def arrays(self, folder: Path, count: int, dtype: DTypeLike | None = None) -> PictureArrays:
        """The arrays of the pictures of a split, in memory once, however many variants and seeds share them."""
        return PictureArrays(folder, count, dtype)

    @lru_cache(maxsize=1)  # noqa: B019
    def rows(self, folder: Path, count: int) -> np.ndarray:
        """:meth:`arrays`, one below the other (CamVid's are 0.9 GB)."""
        return np.concatenate([load_array(folder, picture) for picture in range(count)])

    def collages(self, variant: str, seed: int = 0) -> list[Collages]:
        """The collages that a variant learns from besides, described by each of its views; empty if it has none."""
        views = self.views(variant, seed) if self.variant(variant).collages else []
        return [Collages(view=view) for view in views]

    @lru_cache(maxsize=64)  # noqa: B019
    def rounds(self, variant: str = "default", seed: int = 0) -> list[Labels]:
        """Labels of all regions after every round."""
        arrays = load_arrays(self.clustering_artefact(variant, seed).folder / "rounds.npz")
        return [arrays[f"round_{number}"] for number in range(1, self.variant(variant).clustering.rounds + 1)]

    def starting_labels(self, variant: str, seed: int) -> tuple[Labels, Certainty]:
        """What a variant's rounds start from, and how sure it is: its seeds, or what ``before`` learnt from."""
        before = self.before(variant, seed)
        if before is None:
            return self.seeds_with_certainty(variant, seed)
        last = self.clustering_artefact(before.learns_from, seed)
        return self.rounds(before.learns_from, seed)[-1], load_arrays(last.folder / "rounds.npz")["certainty"]

    def clustering_training(self, variant: str = "default", seed: int = 0) -> list[Mapping[str, list[float]]]:
        """Losses of both phases of every round."""
        return load_json(self.clustering_artefact(variant, seed).folder / "training.json")

    def clustering_artefact(self, variant: str, seed: int) -> Artefact:
        """Labels and losses of all rounds of a variant."""
        settings, before = self.variant(variant), self.before(variant, seed)
        views, collages = self.views(variant, seed), self.collages(variant, seed)

        def make(folder: Path) -> None:
            pasted = [each.pasted() for each in collages] or [None] * len(views)
            described = [View(view.features(), each) for view, each in zip(views, pasted, strict=True)]
            done = list(cluster(
                described, *self.starting_labels(variant, seed), self.tags, self.label_space, settings.clustering,
                compute=self.compute, seed=seed, folder=folder / "unfinished",
                report=self.progress(f"clustering, {variant}"),
            ))  # fmt: skip
            labels = {f"round_{number}": each.labels for number, each in enumerate(done, 1)}
            save_arrays(folder / "rounds.npz", {**labels, "certainty": done[-1].certainty})
            losses = [{"losses": each.losses, "center_losses": each.center_losses} for each in done]
            save_json(folder / "training.json", losses)
            shutil.rmtree(folder / "unfinished", ignore_errors=True)

        inputs = {
            "classifier": self.classifier_artefact(seed),
            "seeds": self.seeds_artefact(variant, seed),
            "pictures": self.scenes("train").fingerprint,
        }
        if before is not None:
            inputs["start"] = self.clustering_artefact(before.learns_from, seed)
        for number, view in enumerate(views, 1):
            inputs["features" if number == 1 else f"features, view {number}"] = view.artefact()
        for number, each in enumerate(collages, 1):
            inputs["collages" if number == 1 else f"collages, view {number}"] = each.artefact()
        return self.artefact("clustering", {"variant": settings, "seed": seed}, inputs, make)

    def label_maps(self, labels: Labels) -> RegionLabels:
        """Region labels as label maps of the training pictures."""
        return RegionLabels(labels, self.regions(), self.region_counts)

    def variant_seeds(self, variant: str) -> tuple[int, ...]:
        """Repetitions of a variant: all seeds for the default and its ablations, one for the costly literal rules."""
        seeds = self.role.clustering_seeds
        return seeds if self.variant(variant).features.pooling == "mean" else seeds[:1]

    def variant(self, name: str) -> Variant:
        """A variant of the role by name; ``SettingsError`` for one that it has not."""
        if name not in self.role.variants:
            raise SettingsError(f"{self.role.dataset} has no variant {name!r}, only {', '.join(self.role.variants)}")
        return self.role.variants[name]

    # ------------------------------------------------------------------------------------------------------- plumbing

    def weights(self, name: str) -> str | Path:
        """Where the weights that a configuration names are (``weights_source``)."""
        return weights_source(name, self.experiment.places.weights)

    def weights_fingerprint(self, name: str) -> str:
        """What tells two weights files of one name apart; the name itself where there is no file."""
        source = self.weights(name)
        return fingerprint_of_files([source]) if isinstance(source, Path) else source

    def artefact(
        self,
        stage: str,
        params: Mapping[str, Any],
        inputs: Mapping[str, Artefact | str],
        make: Callable[[Path], None],
    ) -> Artefact:
        """An artefact of this role; what it is computed with, and by which code, are parameters of it."""
        code = code_of(stage, make, system=str(params.get("system", "")), reader=self.role.source.reader)
        made = {"compute": self.compute.describe(), "code": code}
        return self.experiment.store.artefact(
            stage, params={"dataset": self.role.dataset, **params, **made}, inputs=inputs, make=make,
            shared=stage in TRAINED,
        )  # fmt: skip

    def make_each(
        self, make: Callable[[int], np.ndarray], folder: Path, split: str, what: str, *, compress: bool = False
    ) -> None:
        """One file for every picture of a split into the folder of an artefact (``per_picture``)."""
        make_each(
            make, folder, len(self.scenes(split)), workers=self.experiment.workers, report=self.progress(what),
            compress=compress,
        )  # fmt: skip

    def progress(self, what: str) -> Report:
        """Who hears of the progress of a stage, with the role and the stage in front."""
        half = "" if self._simple_half is None else f"half {self._simple_half}, "
        return self.experiment.report.about(f"{self.role.dataset}, {half}{what}")


def _reopened(experiment: "Experiment", dataset: str, simple_half: int | None) -> Stages:
    stages = experiment.role(dataset)
    return stages if simple_half is None else stages.halves[simple_half]
