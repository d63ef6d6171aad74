"""What is compared with the true label maps of the target, counted as confusion matrices that the store keeps.

Every count is an artefact of its own, so that processes make them beside each other (``makers``) and notebooks find
them. With ``measure``, which turns matrices into scores, this is the only place where label maps of the target data are
read, besides the tags that come from them, full supervision, and figures that show them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from wsss_lib.clustering.rounds import Labels
from wsss_lib.data.pictures import read_label_map
from wsss_lib.evaluation.confusion import ConfusionMatrix, confusion_matrix
from wsss_lib.evaluation.references import fit_table, predict_table
from wsss_lib.experiments.code import code_of, glue
from wsss_lib.experiments.files import load_arrays, save_arrays
from wsss_lib.experiments.inputs import SPLITS
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.experiments.store import Artefact
from wsss_lib.vocabulary import Image, LabelMap, SceneSet

SEED_STAGES = {"whole": "seeds_whole", "patches": "seeds_patch", "dense": "seeds_dense"}


def all_seeds(stages: Stages) -> list[tuple[str, int, str]]:
    """(variant, seed, localisation) of all seeds that are measured; of variants with the same rule the first alone."""
    every = [where for where in SEED_STAGES if getattr(stages.role, where) is not None]
    return [
        (variant, seed, where)
        for variant in distinct_seed_rules(stages)
        for where in every
        for seed in stages.role.classifier_seeds
    ]


def distinct_seed_rules(stages: Stages) -> list[str]:
    """Variants that differ in where and how seeds are chosen; the others share the seeds of the first such variant."""
    first: dict[object, str] = {}
    for name, variant in stages.role.variants.items():
        first.setdefault(variant.seed_rule, name)
    return list(first.values())


def counted_seeds(stages: Stages, variant: str, seed: int, where: str) -> Artefact:
    """The confusion matrix of seeds, as :func:`label_confusion`."""
    return _counted(
        stages, stages.scenes("train"), "seeds", stages.seeds_artefact(variant, seed, where),
        lambda: iter(stages.label_maps(stages.seeds(variant, seed, where))),
    )  # fmt: skip


def all_rounds(stages: Stages) -> list[tuple[str, int, int]]:
    """(variant, seed, number from 1) of all rounds."""
    return [
        (name, seed, number)
        for name, variant in stages.role.variants.items()
        for seed in stages.variant_seeds(name)
        for number in range(1, variant.clustering.rounds + 1)
    ]


def all_starts(stages: Stages) -> list[tuple[str, tuple[str, int, int]]]:
    """(variant, (variant, seed, number) of the last round that it goes on from) of all second generations."""
    return [
        (name, (before.learns_from, seed, stages.variant(before.learns_from).clustering.rounds))
        for name in stages.role.variants
        for seed in stages.variant_seeds(name)
        if (before := stages.before(name, seed))
    ]


def counted_round(stages: Stages, variant: str, seed: int, number: int) -> Artefact:
    """The confusion matrix of the labels after a round, as :func:`label_confusion`."""
    return _counted(
        stages, stages.scenes("train"), f"round {number}", stages.clustering_artefact(variant, seed),
        lambda: iter(stages.label_maps(stages.rounds(variant, seed)[number - 1])),
    )  # fmt: skip


def label_confusion(stages: Stages, labels: Labels) -> ConfusionMatrix:
    """Region labels against the training label maps; unlabelled pixels count as misses."""
    pairs = zip(stages.label_maps(labels), label_maps_of(stages.scenes("train")), strict=True)
    return confusion_matrix(pairs, len(stages.label_space))


def counted_predictions(run: Segmentation, split: str) -> Artefact:
    """The confusion matrix of a network's predictions; the predictions themselves where the split has no labels."""
    stages, predictions = run.stages, run.predictions(split)
    scenes = stages.scenes(split)
    if scenes.label_map is None:
        return predictions
    return _counted(stages, scenes, "predictions", predictions, lambda: predicted(stages, predictions, scenes))


def prediction_confusion(run: Segmentation, split: str) -> ConfusionMatrix | None:
    """A segmentation network's predictions against the labels of a split; ``None`` where there are none.

    The predictions are made in either case.
    """
    counted = counted_predictions(run, split)
    return None if run.stages.scenes(split).label_map is None else matrix_in(counted)


def own_label_confusion(run: Segmentation) -> ConfusionMatrix | None:
    """The label maps that a system learnt from, against the training labels; ``None`` if it made or has none."""
    scenes = run.stages.scenes("train")
    maps = None if scenes.label_map is None else run.labels()
    if maps is None:
        return None
    return matrix_in(_counted(run.stages, scenes, "labels", run.artefact(), lambda: iter(maps)))


COLOUR_TABLE = "colour and position table"
MAPS = "class activation maps"
MAPS_WITH_TAGS = "class activation maps, tags given"
"""Names of the reference rows that are counted: learnt from true labels, or what all systems start from."""


def all_references(stages: Stages) -> list[tuple[str, str, int]]:
    """(name, split, seed) of the reference rows above on every split with labels; seed -1 where nothing is random."""
    found = []
    for split in SPLITS:
        scenes = stages.scenes(split)
        if scenes.label_map is not None:
            found.append((COLOUR_TABLE, split, -1))
            names = [MAPS] if scenes.tags is None else [MAPS, MAPS_WITH_TAGS]
            found += [(name, split, seed) for seed in stages.role.classifier_seeds for name in names]
    return found


def counted_reference(stages: Stages, name: str, split: str, seed: int) -> Artefact:
    """The confusion matrix of a reference row on a split."""
    scenes = stages.scenes(split)
    if name == COLOUR_TABLE:
        source = stages.scenes("train").fingerprint
        return _counted(stages, scenes, "colour table", source, partial(_guesses, stages, scenes))
    rule, tagged = stages.role.variants["default"], name == MAPS_WITH_TAGS
    maps = stages.class_maps(rule.where, seed, split)
    what = f"{rule.heat} of {'tags' if tagged else 'all classes'}"
    return _counted(stages, scenes, what, maps.artefact(), lambda: maps.label_maps(rule.heat, tagged=tagged))


def _guesses(stages: Stages, scenes: SceneSet) -> Iterator[LabelMap]:
    train = stages.scenes("train")
    table = fit_table(_images(train), label_maps_of(train), len(stages.label_space))
    return (predict_table(table, image) for image in _images(scenes))


def matrix_in(counted: Artefact) -> ConfusionMatrix:
    """The confusion matrix of a count."""
    return load_arrays(counted.folder / "confusion.npz")["matrix"]


def _counted(
    stages: Stages,
    scenes: SceneSet,
    what: str,
    source: Artefact | str,
    label_maps: Callable[[], Iterator[LabelMap]],
) -> Artefact:
    """A confusion matrix in the store; label maps are only made and compared if it is not there yet."""

    def make(folder: Path) -> None:
        pairs = zip(label_maps(), label_maps_of(scenes), strict=True)
        save_arrays(folder / "confusion.npz", {"matrix": confusion_matrix(pairs, len(stages.label_space))})

    inputs = {"source": source, "labels": scenes.fingerprint + scenes.measured_with}
    code = code_of("confusion", make, reader=stages.role.source.reader) | glue(label_maps)
    params = {"of": what, "code": code}
    return stages.experiment.store.artefact("confusion", params=params, inputs=inputs, make=make)


def predicted(stages: Stages, predictions: Artefact, scenes: SceneSet) -> Iterator[LabelMap]:
    """The label maps that a predictions artefact holds, in the order of the pictures."""
    for name in scenes.names:
        yield read_label_map(predictions.folder / f"{name}.png", stages.label_space)


def _images(scenes: SceneSet) -> Iterator[Image]:
    return (scenes.image(i) for i in range(len(scenes)))


def label_maps_of(scenes: SceneSet) -> Iterator[LabelMap]:
    """The true label maps of a split that has some, in the order of the pictures."""
    assert scenes.label_map is not None
    return (scenes.label_map(i) for i in range(len(scenes)))
