"""Everything that is measured on a role, as one tidy table of scores (schema: ``evaluation.scores.scores_table``).

What is compared with label maps is in ``counting``; here it becomes numbers with names.
"""

from collections.abc import Collection, Sequence
from functools import partial

import numpy as np
import pandas as pd

from wsss_lib.evaluation.confusion import ConfusionMatrix
from wsss_lib.evaluation.references import constant_matrix, label_histogram
from wsss_lib.evaluation.scores import scores, scores_table
from wsss_lib.evaluation.tags import tag_auc
from wsss_lib.experiments.counting import (
    SEED_STAGES,
    all_references,
    all_rounds,
    all_seeds,
    all_starts,
    counted_reference,
    counted_round,
    counted_seeds,
    label_maps_of,
    matrix_in,
    own_label_confusion,
    prediction_confusion,
)
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.inputs import SPLITS
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.profiles import TRUTH
from wsss_lib.experiments.segmentation import (
    OURS,
    Segmentation,
    beyond_runs,
    chosen_systems,
    full_supervision_runs,
    network_runs,
    our_runs,
    plus_runs,
    system_runs,
)


def all_scores(experiment: Experiment, systems: str = "all") -> pd.DataFrame:
    """Scores of every role, stage, variant, split and seed of a profile; makes what is missing.

    ``systems`` as in :func:`compared_scores`.
    """
    return pd.concat([role_scores(stages, systems) for stages in experiment.roles.values()], ignore_index=True)


def role_scores(stages: Stages, systems: str = "all") -> pd.DataFrame:
    """Scores of one role: seeds, rounds, segmentation, other networks and systems, reference rows."""
    parts = (
        seed_scores,
        round_scores,
        segmentation_scores,
        partial(compared_scores, systems=systems),
        reference_scores,
    )
    return pd.concat([part(stages) for part in parts], ignore_index=True)


def compared_scores(stages: Stages, systems: str = "all") -> pd.DataFrame:
    """Other networks, ours under full supervision, other systems (``chosen_systems``), ablations of what goes beyond.

    With ``"finished"`` networks that are trained already, too. Whoever names systems, or none, wants these alone: other
    networks, minutes to hours of other trainings, are then left out.
    """
    frames = [system_scores(stages, chosen_systems(stages, systems))]
    if systems in ("all", "finished"):
        finished = systems == "finished"
        always = plus_runs(stages)
        others = [run for run in beyond_runs(stages) if run not in always]
        frames = [
            other_network_scores(stages, finished=finished), *frames,
            full_supervision_scores(stages, finished=finished),
            beyond_scores([run for run in others if run.finished or not finished]),
        ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def seed_scores(stages: Stages) -> pd.DataFrame:
    """Seeds by every rule from every localisation (Table 5), and the seeds that each rule's clustering starts from
    (stage ``seeds``, Table 6), on the training pictures. Where one classifier serves every seed, nothing about them is
    random, and their seed is -1.
    """
    rows, random = [], stages.role.classifier_per_seed
    for variant, seed, where in all_seeds(stages):
        names = [SEED_STAGES[where], *(["seeds"] if where == stages.role.variants[variant].where else [])]
        matrix = matrix_in(counted_seeds(stages, variant, seed, where))
        rows += [_score(stages, matrix, "train", name, variant, seed if random else -1) for name in names]
    return pd.concat(rows, ignore_index=True)


MANY = 10
MEAN_OF_MANY = f"mean, {MANY} pictures or more"


def tag_agreement(stages: Stages) -> pd.DataFrame:
    """How well every localisation agrees with the tags of the training pictures, without any label: a row for each.

    AUC of every class in percent (``evaluation.tags``) and their mean, averaged over the classifiers' seeds. One
    picture that lacks a class decides all about it: ``MEAN_OF_MANY`` is the mean over the classes that ``MANY``
    pictures have and as many lack.
    """
    rows, tags = {}, stages.tags
    for where in SEED_STAGES:
        if getattr(stages.role, where) is not None:
            maps = [stages.class_maps(where, seed) for seed in stages.role.classifier_seeds]
            rows[where] = np.mean([tag_auc(each.picture_scores(), tags) for each in maps], axis=0)
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(stages.label_space.classes))
    present = tags.sum(axis=0)
    many = frame.loc[:, np.minimum(present, len(tags) - present) >= MANY]
    means = {"mean": frame.mean(axis="columns"), MEAN_OF_MANY: many.mean(axis="columns")}
    return frame.assign(**means).rename_axis("class maps").reset_index()


def round_scores(stages: Stages, rounds: Sequence[tuple[str, int, int]] | None = None) -> pd.DataFrame:
    """Labels after every round, of every variant (Tables 6 and 7), or after those (variant, seed, number) alone.

    With all rounds also the labels that second generations start from, in place of their seeds (stage ``seeds``).
    """
    named = [(f"round_{each[2]}", each[0], each) for each in (all_rounds(stages) if rounds is None else rounds)]
    if rounds is None:
        named = [*(("seeds", variant, last) for variant, last in all_starts(stages)), *named]
    rows = [
        _score(stages, matrix_in(counted_round(stages, *each)), "train", stage, variant, each[1])
        for stage, variant, each in named
    ]
    return pd.concat(rows, ignore_index=True)


def segmentation_scores(stages: Stages) -> pd.DataFrame:
    """Our segmentation network on every split that has labels (Tables 1 to 4, 8 to 10), and what goes beyond it."""
    frames = [_network_scores(our_runs(stages)), beyond_scores(plus_runs(stages))]
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)


def beyond_scores(runs: Sequence[Segmentation]) -> pd.DataFrame:
    """Networks that go beyond the paper; what they learnt from is among the rounds.

    The method itself is of stage ``segmentation``, its ablations are of stage ``ablation``, ceilings ``reference``.
    """
    stage = {
        run.system: "reference" if run.learns_from == TRUTH else "ablation" if run.system != run.stages.role.plus
        else "segmentation"
        for run in runs
    }  # fmt: skip
    frames = [_network_scores([run for run in runs if run.system == name], stage[name]) for name in stage]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def other_network_scores(stages: Stages, *, finished: bool = False) -> pd.DataFrame:
    """Other segmentation networks, trained on the same labels (Table 9); or those alone that are trained already."""
    return _network_scores([run for run in network_runs(stages) if run.finished or not finished])


def full_supervision_scores(stages: Stages, *, finished: bool = False) -> pd.DataFrame:
    """Our network trained on the true label maps, a reference row; or nothing where it is not trained already."""
    runs = [run for run in full_supervision_runs(stages) if run.finished or not finished]
    return _network_scores(runs, stage="reference")


def system_scores(stages: Stages, systems: Collection[str] | None = None) -> pd.DataFrame:
    """The systems that the paper compares with (Tables 1 to 4 and 8), all of them or those named.

    A system that makes label maps has these scored as well, as stage ``labels``.
    """
    runs = system_runs(stages, systems)
    return pd.concat([_network_scores(runs), _own_label_scores(runs)], ignore_index=True)


def _own_label_scores(runs: Sequence[Segmentation]) -> pd.DataFrame:
    rows = [
        _score(run.stages, matrix, "train", "labels", "", run.seed, system=run.system)
        for run in runs
        if (matrix := own_label_confusion(run)) is not None
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _network_scores(runs: Sequence[Segmentation], stage: str = "segmentation") -> pd.DataFrame:
    rows = [
        _score(run.stages, matrix, split, stage, run.variant(), run.seed, system=run.system, network=_paper_name(run))
        for run in runs
        for split in SPLITS
        if (matrix := prediction_confusion(run, split)) is not None
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def _paper_name(run: Segmentation) -> str:
    """What the paper calls a network; nothing for one that goes beyond it."""
    return "" if run.system in run.stages.role.beyond else run.network


def reference_scores(stages: Stages) -> pd.DataFrame:
    """What a number means: two constant predictors, a table of (row, column, colour) learnt from labels, and the class
    activation maps that all systems start from, with and without the tags of the picture.

    The constants are the two most frequent classes of the training pictures, on every split. A network needs no tags,
    so maps with tags know more than it does.
    """
    train, space = stages.scenes("train"), stages.label_space
    if train.label_map is None:
        return pd.DataFrame()
    frequent = np.argsort(label_histogram(label_maps_of(train), len(space)))[::-1][:2]
    rows = []
    for split in SPLITS:
        scenes = stages.scenes(split)
        if scenes.label_map is None:
            continue
        histogram = label_histogram(label_maps_of(scenes), len(space))
        for index in frequent:
            matrix, name = constant_matrix(histogram, int(index)), f"constant: {space.classes[index]}"
            rows.append(_score(stages, matrix, split, "reference", "", -1, system=name))
    for name, split, seed in all_references(stages):
        matrix = matrix_in(counted_reference(stages, name, split, seed))
        rows.append(_score(stages, matrix, split, "reference", "", seed, system=name))
    return pd.concat(rows, ignore_index=True)


def _score(
    stages: Stages, matrix: ConfusionMatrix, split: str, stage: str, variant: str, seed: int, *,
    system: str = OURS, network: str = "",
) -> pd.DataFrame:  # fmt: skip
    role = stages.role
    return scores_table(
        scores(matrix, stages.label_space), stages.label_space, dataset=role.dataset, played_by=role.played_by,
        split=split, system=system, stage=stage, variant=variant, network=network, seed=seed,
    )  # fmt: skip
