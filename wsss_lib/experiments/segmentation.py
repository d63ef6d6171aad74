"""The segmentation networks of a role: ours and those of the systems that the paper compares with.

``Segmentation`` names one trained network; its stages are made when asked for and kept in the store like all others.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from wsss_lib.baselines.registry import SYSTEMS
from wsss_lib.baselines.skeleton import Material, Run
from wsss_lib.clustering.seeds import most_certain
from wsss_lib.data.pictures import write_label_map
from wsss_lib.experiments.files import load_arrays, load_json, save_arrays, save_json
from wsss_lib.experiments.memory import kept
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.profiles import TRUTH, Role
from wsss_lib.experiments.store import Artefact
from wsss_lib.segmentation.networks import SegmentationNetwork, build_network
from wsss_lib.segmentation.predict import Segmenter, load_segmenter, save_segmenter
from wsss_lib.segmentation.training import SegmentationConfig, train_segmentation
from wsss_lib.training.loop import start_values
from wsss_lib.vocabulary import PAPER_NETWORK, DataError, LabelMap

if TYPE_CHECKING:
    from wsss_lib.experiments.pipeline import Stages

OURS = "ours"
FULL_SUPERVISION = "full supervision"
"""Our network trained on the true label maps: what tags cost is seen beside it. A reference row, never a method."""


def chosen_systems(stages: "Stages", wanted: str) -> list[str]:
    """Those systems of a role that ``wanted`` means: ``"all"``, ``"none"``, ``"finished"`` (trained already, with every
    seed), or names separated by commas, of which a role may have settings for some only.
    """
    every = list(stages.role.systems)
    match wanted:
        case "all":
            return every
        case "none":
            return []
        case "finished":
            return [name for name in every if all(run.finished for run in system_runs(stages, [name]))]
    named = [name.strip() for name in wanted.split(",")]
    return [name for name in every if name in named]


def check_systems(roles: Collection[Role], wanted: str) -> None:
    """Refuse what is neither one of the words of :func:`chosen_systems` nor names that some role has settings for."""
    if wanted not in ("all", "none", "finished") and roles:
        known = sorted({name for role in roles for name in role.systems})
        for name in wanted.split(","):
            check_name("system", name.strip(), known)


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """One system's network on one role.

    Ours is trained on the labels of the last round of the default variant; ``network`` is then the paper's name of a
    network (Table 9): its default, or a key of ``Role.networks``. Other systems train the role's default network in
    their own way (``baselines``). ``FULL_SUPERVISION`` is trained on the true label maps instead, like ours otherwise.
    What goes beyond the paper (``Role.beyond``) has labels and a network of its own.
    """

    stages: "Stages"
    system: str = OURS
    seed: int = 0
    network: str = PAPER_NETWORK

    def __post_init__(self) -> None:
        role = self.stages.role
        check_name("system", self.system, (OURS, FULL_SUPERVISION, *role.systems, *role.beyond))
        check_name("network", self.network, (PAPER_NETWORK, *(role.networks if self.system == OURS else ())))

    @property
    def config(self) -> SegmentationConfig:
        """Settings of the network and its training."""
        role = self.stages.role
        if self.system in role.beyond:
            return role.beyond[self.system].network
        if self.system in role.systems:
            return role.compared or role.segmentation
        return role.segmentation if self.network == PAPER_NETWORK else role.networks[self.network]

    def artefact(self) -> Artefact:
        """The trained network with its losses, and the label maps it learnt from where they are the system's own."""
        return self._baseline() if self.system in self.stages.role.systems else self._own()

    @property
    def learns_from(self) -> str:
        """The variant whose last round the network learns from, or ``TRUTH``."""
        if self.system in self.stages.role.beyond:
            return self.stages.role.beyond[self.system].labels
        return TRUTH if self.system == FULL_SUPERVISION else "default"

    @property
    def finished(self) -> bool:
        """Whether it is trained already, and all that it needed is there; makes nothing."""
        with self.stages.experiment.store.asking() as asked:
            self.artefact()
        return all(each.artefact.complete for each in asked)

    def losses(self) -> Mapping[str, list[float]]:
        """Losses of every training of the system, by name; ours has one."""
        kept = load_json(self.artefact().folder / "training.json")["losses"]
        return kept if isinstance(kept, dict) else {"network": kept}

    def variant(self) -> str:
        """``"default"``, or what of the system the data did not allow, in a word or two."""
        return load_json(self.artefact().folder / "training.json").get("variant", "default")

    def labels(self) -> Sequence[LabelMap] | None:
        """The label maps that the system made for the training pictures and learnt from; ``None`` if it made none."""
        if self.system not in self.stages.role.systems:
            return None if self.learns_from == TRUTH else self._pseudo_labels()
        path = self.artefact().folder / "labels.npz"
        if not path.is_file():
            return None
        arrays = load_arrays(path)
        return [arrays[name] for name in sorted(arrays)]

    def predictions(self, split: str) -> Artefact:
        """Predicted index PNGs of a split, ``<name>.png``; no tags are used."""
        trained, scenes = self.artefact(), self.stages.scenes(split)

        def make(folder: Path) -> None:
            segmenter, seen = load_segmenter(trained.folder, self.stages.compute), set()
            for i, name in enumerate(scenes.names):
                label_map = segmenter.predict(scenes.image(i))
                write_label_map(folder / f"{name}.png", label_map, scenes.label_space)
                if len(seen) < 2:  # large pictures take as long to look through as to predict
                    seen |= set(np.unique(label_map).tolist())
            if len(seen) == 1:
                everywhere = scenes.label_space.classes[seen.pop()]
                report = self.stages.progress(f"{self.system}, {split}")
                report(f"warning: the network predicts {everywhere} in every pixel of every picture")

        inputs = {"network": trained, "pictures": scenes.fingerprint}
        return self.stages.artefact("predictions", {"split": split}, inputs, make)

    def _own(self) -> Artefact:
        """The network trained on labels of the clustering, or on the true ones."""
        stages, config, scenes = self.stages, self.config, self.stages.scenes("train")
        stage = "full_supervision" if self.learns_from == TRUTH else "segmentation"
        inputs = self._start()
        if self.learns_from != TRUTH:
            inputs["labels"] = stages.clustering_artefact(self.learns_from, self.seed)

        def make(folder: Path) -> None:
            network = self._new_network(config.network)
            losses = train_segmentation(
                network, scenes.image, self._learnt_from(), len(scenes), config, compute=stages.compute,
                seed=self.seed, checkpoint=folder / "training.pt", report=stages.progress(stage),
            )  # fmt: skip
            self._save(folder, network, config.network, losses)
            (folder / "training.pt").unlink(missing_ok=True)

        params = {"config": config, "seed": self.seed, "longest_side": stages.role.source.longest_side}
        return stages.artefact(stage, params, inputs, make)

    def _pseudo_labels(self) -> Sequence[LabelMap]:
        """The last round of the variant that the network learns from."""
        return self.stages.label_maps(self.stages.rounds(self.learns_from, self.seed)[-1])

    def _learnt_from(self) -> Callable[[int], LabelMap]:
        """Label map of a training picture, as the network learns from it."""
        if self.learns_from != TRUTH:
            return kept(self._pseudo_labels().__getitem__)
        truth = self.stages.scenes("train").label_map
        if truth is None:
            raise DataError(
                f"the training pictures of {self.stages.role.played_by} have no labels for full supervision"
            )
        return truth

    def _baseline(self) -> Artefact:
        stages, settings, config = self.stages, self.config, self.stages.role.systems[self.system]
        inputs = {"cues": stages.seeds_artefact("default", self.seed), **self._start()}
        inputs["classifier"] = stages.classifier_artefact(self.seed)
        inputs["flow"] = "none" if stages.flow is None else stages.flow.fingerprint

        def make(folder: Path) -> None:
            run = Run(
                compute=stages.compute, seed=self.seed, folder=folder, report=stages.progress(self.system),
            )  # fmt: skip
            outcome = SYSTEMS[self.system](self.material(), settings, config, run)
            self._save(folder, outcome.network, outcome.network_name, outcome.losses, outcome.variant)
            if outcome.labels is not None:
                save_arrays(folder / "labels.npz", {f"{i:05d}": each for i, each in enumerate(outcome.labels)})
            for checkpoint in folder.rglob("*.pt"):
                checkpoint.unlink()

        params = {"system": self.system, "config": config, "settings": settings, "seed": self.seed}
        params |= {"sure": self._surest_share, "longest_side": stages.role.source.longest_side}
        return stages.artefact("system", params, inputs, make)

    def material(self) -> Material:
        """What the role gives to a system: pictures, tags, and the cues of our own localiser; no label map."""
        stages, role = self.stages, self.stages.role
        rule = role.variants["default"]
        maps = stages.class_maps(rule.where, self.seed)
        labels, certainty = stages.seeds_with_certainty(seed=self.seed)
        sure = stages.label_maps(most_certain(labels, certainty, self._surest_share))
        return Material(
            label_space=stages.label_space,
            image=stages.scenes("train").image,
            tags=stages.tags,
            heat=lambda i: maps.heat(i, rule.heat).numpy(),
            seeds=kept(sure.__getitem__),
            regions=stages.regions().__getitem__,
            classifier=stages.classifier(self.seed),
            pictures=stages.pictures,
            classifier_config=role.classifier,
            network=self._new_network,
            flow=stages.flow,
        )

    @property
    def _surest_share(self) -> float:
        """Share of every class's regions that our own first round learns from; a system's seeds are the same."""
        return self.stages.role.variants["default"].clustering.certain[0]

    def _start(self) -> dict[str, Artefact | str]:
        """What a network's start values depend on."""
        inputs: dict[str, Artefact | str] = {"pictures": self.stages.scenes("train").fingerprint}
        inputs["weights"] = self.stages.weights_fingerprint(self.config.weights)
        if self.config.weights == "none":  # then it starts from the classifier, as the paper's starts from ImageNet
            inputs["start"] = self.stages.classifier_artefact(self.seed)
        return inputs

    @property
    def starts_trained(self) -> bool:
        """Whether the backbone starts from a file of weights or from the classifier's, and not from nothing."""
        if self.config.weights != "none":
            return True
        with torch.device("meta"):  # no memory: only the name of the backbone is wanted
            return self._fits_classifier(build_network(self.config.network, len(self.stages.label_space)))

    def _fits_classifier(self, network: SegmentationNetwork) -> bool:
        return network.backbone.name == self.stages.role.classifier.backbone

    def _new_network(self, name: str) -> SegmentationNetwork:
        stages, weights = self.stages, self.config.weights
        with start_values(self.seed):
            network = build_network(name, len(stages.label_space), stages.weights(weights))
        if weights == "none" and self._fits_classifier(network):
            network.backbone.load_state_dict(stages.classifier(self.seed).backbone.state_dict())
        return network

    def _save(
        self,
        folder: Path,
        network: SegmentationNetwork,
        name: str,
        losses: Sequence[float] | Mapping[str, list[float]],
        variant: str = "default",
    ) -> None:
        segmenter = Segmenter(
            network=network, network_name=name, label_space=self.stages.label_space,
            input_size=self.config.input_size, longest_side=self.stages.role.source.longest_side,
            compute=self.stages.compute,
        )  # fmt: skip
        save_segmenter(segmenter, folder)
        save_json(folder / "training.json", {"losses": losses, "variant": variant})


def our_runs(stages: "Stages") -> list[Segmentation]:
    """Our own network on a role, once for every seed."""
    return [Segmentation(stages=stages, seed=seed) for seed in stages.role.segmentation_seeds]


def network_runs(stages: "Stages") -> list[Segmentation]:
    """The other networks of Table 9 on our labels."""
    role = stages.role
    return [
        Segmentation(stages=stages, network=network, seed=seed)
        for network in role.networks
        for seed in role.compared_seeds
    ]


def full_supervision_runs(stages: "Stages") -> list[Segmentation]:
    """Our network trained on the true label maps, where there are any."""
    if stages.scenes("train").label_map is None:
        return []
    return [Segmentation(stages=stages, system=FULL_SUPERVISION, seed=seed) for seed in stages.role.compared_seeds]


def beyond_runs(stages: "Stages") -> list[Segmentation]:
    """What goes beyond the paper, the method itself with every seed first; without true labels there is no ceiling."""
    truth = stages.scenes("train").label_map is not None
    return [
        Segmentation(stages=stages, system=name, seed=seed)
        for name, each in stages.role.beyond.items()
        if truth or each.labels != TRUTH
        for seed in stages.role.segmentation_seeds
    ]


def plus_runs(stages: "Stages") -> list[Segmentation]:
    """The method that goes beyond the paper and the generation before it, without its other ablations; none in profiles
    that follow the paper.
    """
    role = stages.role
    if not role.plus:
        return []
    previous = role.variants[role.beyond[role.plus].labels].previous
    wanted = {role.plus, *([previous.system] if previous else [])}
    return [run for run in beyond_runs(stages) if run.system in wanted]


def system_runs(stages: "Stages", systems: Collection[str] | None = None) -> list[Segmentation]:
    """The systems that the paper compares with, all of them or those named."""
    role = stages.role
    return [
        Segmentation(stages=stages, system=system, seed=seed)
        for system in (role.systems if systems is None else systems)
        for seed in role.compared_seeds
    ]
