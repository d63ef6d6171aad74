"""What can be made of a profile by name, as lists of tasks: for processes that share the work, and for asking."""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from wsss_lib.experiments.counting import (
    all_references,
    all_rounds,
    all_seeds,
    counted_predictions,
    counted_reference,
    counted_round,
    counted_seeds,
)
from wsss_lib.experiments.inputs import SPLITS
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.segmentation import (
    Segmentation,
    beyond_runs,
    chosen_systems,
    full_supervision_runs,
    network_runs,
    our_runs,
    plus_runs,
    system_runs,
)
from wsss_lib.experiments.store import Artefact, Wanted

Task = Callable[[], Artefact]
"""Makes one artefact, and what it needs, where they are missing."""


class Maker(Protocol):
    """What there is to make of a role for the systems that ``systems`` means, as notebooks read it."""

    def __call__(self, stages: Stages, systems: str = "all", /) -> list[Task]: ...


def _classifier(stages: Stages, _: str = "all") -> list[Task]:
    return [partial(stages.classifier_artefact, seed) for seed in stages.role.classifier_seeds]


def _clustering(stages: Stages, systems: str = "all") -> list[Task]:
    """What variants do not share comes first: processes make it side by side, while of the same thing one waits.

    A second generation trains the network that it goes on from. With the ablations of what goes beyond the paper come
    the rounds of first generations from halves of the simple pictures.
    """
    first: dict[object, Task] = {}
    for variant, each in stages.role.variants.items():
        seed = stages.variant_seeds(variant)[0]
        first.setdefault(each.seed_rule, partial(stages.seeds_artefact, variant, seed))
        first.setdefault(each.features, stages.views(variant, seed)[0].artefact)
    for variant, each in stages.role.variants.items():
        for seed in stages.variant_seeds(variant):
            if each.previous is None and (collages := stages.collages(variant, seed)):
                first.setdefault((each.collages, each.seed_rule, each.features, seed), collages[0].artefact)
    rounds = [
        partial(stages.clustering_artefact, variant, seed)
        for variant in stages.role.variants
        for seed in stages.variant_seeds(variant)
    ]
    halves = [
        partial(half.clustering_artefact, variant, stages.role.clustering_seeds[0])
        for half in stages.halves
        for variant, each in stages.role.variants.items()
        if stages.role.beyond and systems == "all" and each.previous is None
    ]
    return [*first.values(), *rounds, *halves]


def _segmentation(stages: Stages, systems: str = "all") -> list[Task]:
    return [run.artefact for run in _own_runs(stages, systems)]


def _systems(stages: Stages, systems: str = "all") -> list[Task]:
    return [run.artefact for run in _other_runs(stages, systems)]


def _predictions(stages: Stages, systems: str = "all") -> list[Task]:
    """Also counted against labels where there are any: of many networks that takes as long as to predict.

    So are seeds and rounds, which are predictions for the training pictures, and the rows that networks are compared
    with: a notebook would count one after another.
    """
    runs = [*_own_runs(stages, systems), *_other_runs(stages, systems)]
    labels: list[Task] = []
    if stages.scenes("train").label_map is not None:
        labels += [partial(counted_reference, stages, *each) for each in all_references(stages)]
        labels += [partial(counted_seeds, stages, *each) for each in all_seeds(stages)]
        labels += [partial(counted_round, stages, *each) for each in all_rounds(stages)]
    return [*labels, *(partial(counted_predictions, run, split) for run in runs for split in SPLITS)]


def _own_runs(stages: Stages, systems: str) -> list[Segmentation]:
    others = network_runs(stages) if systems == "all" else []
    return [*our_runs(stages), *plus_runs(stages), *others]


def _other_runs(stages: Stages, systems: str) -> list[Segmentation]:
    """Whoever names systems, or none, wants these alone, as in ``measure.compared_scores``."""
    others = [*full_supervision_runs(stages), *beyond_runs(stages)] if systems == "all" else []
    return [*system_runs(stages, chosen_systems(stages, systems)), *others]


MAKERS: dict[str, Maker] = {
    "classifier": _classifier,
    "clustering": _clustering,
    "segmentation": _segmentation,
    "systems": _systems,
    "predictions": _predictions,
}
"""Name -> what there is to make of a role, in the order of the method."""


def asked_for(stages: Stages) -> list[Wanted]:
    """Every artefact that the makers ask for of a role, each once, in the order of the method; none is made."""
    with stages.experiment.store.asking() as asked:
        for tasks in MAKERS.values():
            for task in tasks(stages):
                task()
    return list({each.artefact.key: each for each in asked}.values())
