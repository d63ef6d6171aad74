"""Stages made by several processes that train together: one for each GPU of a machine, or those of ``torchrun``.

Notebooks run in one process; what was made here they find in the store.
"""

from collections.abc import Callable, Sequence

from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.pipeline import Experiment, Stages
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Profile
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.training.together import Together, launch


def _classifier(stages: Stages) -> None:
    for seed in stages.role.classifier_seeds:
        stages.classifier_artefact(seed)


def _clustering(stages: Stages) -> None:
    for variant in stages.role.variants:
        for seed in stages.variant_seeds(variant):
            stages.clustering_artefact(variant, seed)


def _segmentation(stages: Stages) -> None:
    runs = [Segmentation(stages=stages, seed=seed) for seed in stages.role.segmentation_seeds]
    runs += [
        Segmentation(stages=stages, network=network, seed=seed)
        for network in stages.role.networks
        for seed in stages.role.compared_seeds
    ]
    for run in runs:
        run.artefact()


def _systems(stages: Stages) -> None:
    for system in stages.role.systems:
        for seed in stages.role.compared_seeds:
            Segmentation(stages=stages, system=system, seed=seed).artefact()


MAKERS: dict[str, Callable[[Stages], None]] = {
    "classifier": _classifier,
    "clustering": _clustering,
    "segmentation": _segmentation,
    "systems": _systems,
}
"""What can be made by name, in the order of the method; each makes what it needs as well."""


def make_together(names: Sequence[str], places: Places, *, processes: int, profile: Profile | None = None) -> None:
    """Make stages of every role with ``processes`` processes; ``SettingsError`` for an unknown name.

    A batch is divided between them, so every batch size must be a multiple of their number. ``profile``: one that has
    no name in the list.
    """
    for name in names:
        check_name("stage", name, MAKERS)
    launch(_make, tuple(names), places, profile, processes=processes)


def _make(together: Together, names: tuple[str, ...], places: Places, profile: Profile | None) -> None:
    experiment = Experiment(places, profile=profile, together=together)
    for name in names:
        for stages in experiment.roles.values():
            MAKERS[name](stages)
