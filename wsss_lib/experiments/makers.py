"""What can be made of a profile by name, as lists of tasks: for processes that share the work, and for asking."""

from collections.abc import Callable
from functools import partial

from wsss_lib.experiments.inputs import SPLITS
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.segmentation import (
    Segmentation,
    beyond_runs,
    full_supervision_runs,
    network_runs,
    our_runs,
    plus_runs,
    system_runs,
)
from wsss_lib.experiments.store import Artefact

Task = Callable[[], Artefact]
"""Makes one artefact, and what it needs, where they are missing."""


def _classifier(stages: Stages) -> list[Task]:
    return [partial(stages.classifier_artefact, seed) for seed in stages.role.classifier_seeds]


def _clustering(stages: Stages) -> list[Task]:
    return [
        partial(stages.clustering_artefact, variant, seed)
        for variant in stages.role.variants
        for seed in stages.variant_seeds(variant)
    ]


def _segmentation(stages: Stages) -> list[Task]:
    return [run.artefact for run in _own_runs(stages)]


def _systems(stages: Stages) -> list[Task]:
    return [run.artefact for run in _other_runs(stages)]


def _predictions(stages: Stages) -> list[Task]:
    runs = [*_own_runs(stages), *_other_runs(stages)]
    return [partial(run.predictions, split) for run in runs for split in SPLITS]


def _own_runs(stages: Stages) -> list[Segmentation]:
    return [*our_runs(stages), *plus_runs(stages), *network_runs(stages)]


def _other_runs(stages: Stages) -> list[Segmentation]:
    return [*system_runs(stages), *full_supervision_runs(stages), *beyond_runs(stages)]


MAKERS: dict[str, Callable[[Stages], list[Task]]] = {
    "classifier": _classifier,
    "clustering": _clustering,
    "segmentation": _segmentation,
    "systems": _systems,
    "predictions": _predictions,
}
"""Name -> what there is to make of a role, in the order of the method."""
