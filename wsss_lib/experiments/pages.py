"""What the notebooks show and keep in words and numbers: scores, tables, predictions, the verdict.

A notebook's cell calls one of these functions, or one of ``plates`` for a picture; what it returns shows itself, and
the same content lies in the folders of ``Places`` afterwards. Stages that are missing are made on the way.
"""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from wsss_lib.data.disk import write_whole
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.files import whole_folder, writing
from wsss_lib.experiments.measure import (
    all_scores,
    compared_scores,
    reference_scores,
    round_scores,
    seed_scores,
    segmentation_scores,
    tag_agreement,
)
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.notebooks import expected_minutes, find_notebook
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.segmentation import OURS, Segmentation, check_systems
from wsss_lib.experiments.submission import archive_of, write_submission
from wsss_lib.reporting.cells import printed_names
from wsss_lib.reporting.claims import verdict, verdict_markdown, verdict_text
from wsss_lib.reporting.measurements import SCORE_COLUMNS, casting
from wsss_lib.reporting.rendering import NO_NUMBER, TERMINAL_WIDTH, one_decimal, signed, with_spread
from wsss_lib.reporting.tables import Table, make_table, write_numbers, write_table
from wsss_lib.vocabulary import PAPER_NETWORK

PARTS: dict[str, Callable[[Stages], pd.DataFrame]] = {
    "seeds": seed_scores,
    "rounds": round_scores,
    "segmentation": segmentation_scores,
    "reference": reference_scores,
}
"""What can be measured on a role, by name."""


def introduction(experiment: Experiment, notebook: str) -> str:
    """The profile, what plays each of the paper's data sets, and the minutes that ``notebook`` ("5") promises."""
    profile, minutes = experiment.profile, expected_minutes(find_notebook(notebook), experiment.profile.name)
    cost = f"at most about {minutes:g} minutes" if minutes else "no promise of time for this profile"
    players = [f"{name}: {stages.role.played_by}" for name, stages in experiment.roles.items()]
    return "\n".join([f"profile {profile.name} ({profile.summary}); this notebook: {cost}", *players])


def driving(experiment: Experiment) -> list[Stages]:
    """The roles whose classifier learns from simple pictures: the driving data sets."""
    return [stages for stages in experiment.roles.values() if stages.role.learns_from == "simple"]


def playing(experiment: Experiment, dataset: str) -> list[Stages]:
    """The role of a data set in a list, or an empty list (and a printed sentence) where the profile has none."""
    if dataset not in experiment.roles:
        print(f"No data set plays {dataset} in profile {experiment.profile.name}: there is nothing to run here.")
    return [stages for name, stages in experiment.roles.items() if name == dataset]


def measured(roles: Sequence[Stages], *parts: str, systems: str | None = None) -> pd.DataFrame:
    """Tidy scores of some ``PARTS`` of some roles, one row per number; without roles a table without rows.

    ``systems`` adds the other networks and systems that it chooses: ``"all"``, ``"none"``, ``"finished"``
    (what is trained already), or names of systems separated by commas. ``SettingsError`` for a name that no role of
    the profile knows.
    """
    functions = [PARTS[check_name("part", part, PARTS)] for part in parts]
    frames = [function(stages) for stages in roles for function in functions]
    if systems is not None:
        check_systems([role for stages in roles for role in stages.experiment.profile.roles.values()], systems)
        frames += [compared_scores(stages, systems) for stages in roles]
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else pd.DataFrame(columns=list(SCORE_COLUMNS))


def table(experiment: Experiment, scores: pd.DataFrame, number: int) -> Table:
    """Table ``number`` of the paper with our numbers, also written as CSV, Markdown and LaTeX."""
    remark = networks_cast(experiment.main) if number == 9 else to_submit(experiment, number)
    made = make_table(number, scores, experiment.label_spaces, remark)
    write_table(made, experiment.places.tables)
    return made


SERVED = {2: "cityscapes", 8: "voc"}
"""Tables with a column that only a test server can fill, and the data set of each."""


def to_submit(experiment: Experiment, number: int) -> str:
    """Which file gives the missing numbers of a table, in a sentence; ``""`` where no server has any."""
    stages = experiment.roles.get(SERVED.get(number, ""))
    archive = None if stages is None else archive_of(stages)
    if archive is None:
        return ""
    return f"For the numbers on test, submit {archive.relative_to(experiment.places.folder).as_posix()} to its server."


def networks_cast(stages: Stages) -> str:
    """Which of our networks plays each of the paper's in Table 9, and which of them start from nothing."""
    runs = [Segmentation(stages=stages, network=name) for name in (PAPER_NETWORK, *stages.role.networks)]
    told = [
        f"{printed_names()[run.network]} by {run.config.network}"
        + ("" if run.starts_trained else ", which starts from nothing")
        for run in runs
    ]
    return f"Who plays the paper's networks here: {'; '.join(told)}."


def accuracy(experiment: Experiment, roles: Sequence[Stages]) -> pd.DataFrame:
    """Per class, how many pictures a classifier learnt from and the share of them that it recognises, percent.

    Mean ± sample standard deviation over seeds; a dash for a class without pictures. Written with its numbers apart as
    ``classifier_accuracy.csv``, and as shown as ``.md``, with the data set's name where it is not about the main one.
    """
    numbers = pd.concat([_accuracy(stages) for stages in roles], ignore_index=True)
    values = [with_spread(mean, std) for mean, std in numbers[["accuracy", "std"]].to_numpy()]
    shown = numbers.drop(columns=["accuracy", "std"]).assign(**{"accuracy, %": values})
    others = "" if experiment.main in roles else "_" + "_".join(stages.role.dataset for stages in roles)
    write_numbers(experiment.places.tables, f"classifier_accuracy{others}", numbers, shown, words=2)
    return shown


def _accuracy(stages: Stages) -> pd.DataFrame:
    """One row per class that the classifier knows; ``std`` is ``nan`` for a single seed."""
    trainings = [stages.classifier_training(seed) for seed in stages.role.classifier_seeds]
    values = np.array([training["accuracy"] for training in trainings], dtype=float)
    return pd.DataFrame(
        {
            "data set": stages.role.dataset,
            "class": [name.replace("_", " ") for name in stages.pictures.classes],
            "pictures": stages.pictures.shows.sum(axis=0),
            "accuracy": values.mean(axis=0),
            "std": values.std(axis=0, ddof=1) if len(values) > 1 else np.nan,
        }
    )


def center_loss_gains(experiment: Experiment, scores: pd.DataFrame) -> pd.DataFrame:
    """By how many points of class mIoU the main role's labels of every round are better with the centre loss, by seed.

    A row for every round, a column for every seed that has both; without columns where a profile has no variant without
    centre loss, those that go beyond the paper. Also written as ``center_loss_gains.csv`` and ``.md``.
    """
    main = scores.loc[scores["dataset"] == experiment.main.role.dataset]
    rounds = main.loc[main["stage"].str.startswith("round_") & (main["metric"] == "miou_class")]
    with_loss, without = (
        rounds.loc[rounds["variant"] == variant].pivot_table(index="stage", columns="seed", values="value")
        for variant in ("default", "no_center_loss")
    )
    gains = (with_loss - without).dropna(axis="columns").rename(columns=lambda seed: f"random seed {seed}")
    gains = gains.rename_axis(columns=None).rename(index=lambda stage: stage.replace("_", " ")).reset_index()
    seeds = [name for name in gains.columns if name != "stage"]
    shown = gains.assign(**{name: [signed(gain, 2) for gain in gains[name]] for name in seeds})
    write_numbers(experiment.places.tables, "center_loss_gains", gains, shown)
    return shown


def agreement_with_tags(stages: Stages) -> pd.DataFrame:
    """What can be said of the class maps without labels, one column per localisation; also written as CSV and Markdown.

    AUC in percent: the chance that a picture with the tag scores higher than one without it; beside it how many
    pictures lack the class. A class that all pictures have, or none, cannot be ranked: a dash.
    """
    found = tag_agreement(stages).set_index("class maps").T.rename_axis("class")
    lack = pd.Series((~stages.tags).sum(axis=0), index=list(stages.label_space.classes), dtype="Int64")
    numbers = found.rename(columns=lambda name: f"{name}, %")
    shown = numbers.map(one_decimal)
    lack = lack.reindex(numbers.index)
    numbers.insert(0, "pictures without it", lack)
    shown.insert(0, "pictures without it", lack.astype(object).where(lack.notna(), NO_NUMBER).astype(str))
    write_numbers(stages.experiment.places.tables, "tag_agreement", numbers.reset_index(), shown.reset_index())
    return shown.reset_index()


def write_predictions(roles: Sequence[Stages], seed: int = 0) -> pd.DataFrame:
    """Write the predictions for val and test as index PNGs, and say how many are where.

    The main role's go to ``predictions/<split>``, those of another one to ``predictions/<dataset>/<split>``; a file is
    called as its picture and holds the data set's own class indices. They are those of the profile's own method: the
    paper's, or what goes beyond it. Labels are not needed. Where a server has the test labels, the archive for it is
    written as well.
    """
    rows = []
    for stages in roles:
        places = stages.experiment.places
        for split in ("val", "test"):
            folder = _predictions_folder(stages) / split
            _copy_predictions(stages, split, seed, folder)
            where = folder.relative_to(places.folder).as_posix()
            rows.append((stages.role.dataset, split, len(stages.scenes(split)), where))
        if archive_of(stages) is not None:
            where = write_submission(stages, seed).relative_to(places.folder).as_posix()
            rows.append((stages.role.dataset, "test, for the server", len(stages.scenes("test")), where))
    return pd.DataFrame(rows, columns=["data set", "split", "pictures", "folder"])


def _predictions_folder(stages: Stages) -> Path:
    folder = stages.experiment.places.predictions
    return folder if stages is stages.experiment.main else folder / stages.role.dataset


def _copy_predictions(stages: Stages, split: str, seed: int, folder: Path) -> None:
    """The folder appears whole, and holds the pictures of this split only, whatever was in it before."""
    made = Segmentation(stages=stages, system=stages.role.plus or OURS, seed=seed).predictions(split)
    with writing(folder), whole_folder(folder) as unfinished:
        for name in stages.scenes(split).names:
            shutil.copyfile(made.folder / f"{name}.png", unfinished / f"{name}.png")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whose numbers they are (``cast``), and one row per claim and number of the paper (``reporting.claims``)."""

    cast: str
    frame: pd.DataFrame

    def __str__(self) -> str:
        return f"{textwrap.fill(self.cast, TERMINAL_WIDTH)}\n\n{verdict_text(self.frame)}\n"

    def _repr_markdown_(self) -> str:
        return f"{self.cast}\n\n{verdict_markdown(self.frame)}"


def scores(experiment: Experiment, systems: str = "all") -> pd.DataFrame:
    """Every score of the profile, also written as ``scores.csv``: the one source of the verdict.

    ``systems`` as in :func:`measured`.
    """
    check_systems([stages.role for stages in experiment.roles.values()], systems)
    found = all_scores(experiment, systems)
    text = found.to_csv(index=False, float_format="%.4f", lineterminator="\n")
    write_whole(experiment.places.tables / "scores.csv", text.encode())
    return found


def judged(experiment: Experiment, scores: pd.DataFrame) -> Verdict:
    """Every claim and number of the paper against ours, also written as ``verdict.txt`` and ``verdict.md``."""
    made = Verdict(cast=casting(scores), frame=verdict(scores, experiment.label_spaces))
    contents = {"verdict.txt": str(made), "verdict.md": made._repr_markdown_()}
    for name, text in contents.items():
        write_whole(experiment.places.tables / name, text.encode())
    return made
