"""Stages made by several processes that train together: one for each GPU of a machine, or those of ``torchrun``.

Notebooks run in one process; what was made here they find in the store.
"""

from collections.abc import Sequence

from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import Profile, Role, Variant
from wsss_lib.training.together import Together, launch, world_size
from wsss_lib.vocabulary import SettingsError


def _batch_sizes(role: Role) -> dict[str, set[int]]:
    """Pictures or regions in a batch of everything that is trained, by the names of ``MAKERS``."""
    networks = [role.segmentation, *role.networks.values(), *(each.network for each in role.beyond.values())]
    compared = [getattr(config, "training", None) for config in role.systems.values()]
    return {
        "classifier": {role.classifier.training.batch_size},
        "clustering": {size for variant in role.variants.values() for size in _of_rounds(role, variant)},
        "segmentation": {config.training.batch_size for config in networks},
        "systems": {(role.compared or role.segmentation).training.batch_size, *(t.batch_size for t in compared if t)},
    }


def _of_rounds(role: Role, variant: Variant) -> set[int]:
    """Of regions, of pasted ones, and of the network that a second generation goes on from."""
    pasted, previous = variant.collages, variant.previous
    sizes = {variant.clustering.training.batch_size, *([] if pasted is None else [pasted.batch_size])}
    return sizes | ({role.beyond[previous.system].network.training.batch_size} if previous else set())


def make_together(names: Sequence[str], places: Places, *, processes: int, profile: Profile | None = None) -> None:
    """Make stages of every role with ``processes`` processes, or with those of ``torchrun`` if it started this one.

    A batch is divided between them: ``SettingsError`` if the number of processes does not divide every batch of the
    stages that are named, or of those before them, and for an unknown name. ``profile``: one that has no name in the
    list.
    """
    for name in names:
        check_name("stage", name, MAKERS)
    roles = Experiment(places, profile=profile, report=lambda _: None).profile.roles
    trained = list(MAKERS)[: 1 + max((list(MAKERS).index(name) for name in names), default=-1)]
    sizes = {size for role in roles.values() for name in trained for size in _batch_sizes(role).get(name, ())}
    together = world_size(processes)
    if uneven := sorted(size for size in sizes if together > 0 and size % together):
        raise SettingsError(
            f"{together} processes cannot divide batches of {', '.join(map(str, uneven))} between them; use another"
            " number of processes"
        )
    launch(_make, tuple(names), places, profile, processes=processes)


def _make(together: Together, names: tuple[str, ...], places: Places, profile: Profile | None) -> None:
    experiment = Experiment(places, profile=profile, together=together)
    for name in names:
        for stages in experiment.roles.values():
            for task in MAKERS[name](stages):
                task()
