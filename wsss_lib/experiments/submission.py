"""Our predictions as the archives that the test servers of Cityscapes and VOC take."""

from pathlib import Path

from wsss_lib.evaluation.submissions import (
    cityscapes_problems,
    voc_problems,
    write_cityscapes_submission,
    write_voc_submission,
)
from wsss_lib.experiments.counting import predicted
from wsss_lib.experiments.pipeline import Stages
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.vocabulary import DataError

ARCHIVES = {"cityscapes": "cityscapes_test.zip", "voc2012": "voc2012_comp6_test.tar.gz"}
"""What is to be uploaded, by the reader of a role's data."""


def archive_of(stages: Stages) -> Path | None:
    """Where the archive of a role is or would be; ``None`` for data without a server."""
    name = ARCHIVES.get(stages.role.source.reader)
    return None if name is None else stages.experiment.places.predictions / name


def write_submission(stages: Stages, seed: int = 0) -> Path:
    """The archive of a role's test split, written and looked through as the server would; makes what is missing.

    Raises ``DataError`` for data without a server, or with what the server would reject.
    """
    path = archive_of(stages)
    if path is None:
        raise DataError(f"{stages.role.played_by} has no test server; only {', '.join(ARCHIVES)} have")
    scenes = stages.scenes("test")
    made = Segmentation(stages=stages, seed=seed).predictions("test")
    pairs = zip(scenes.names, predicted(stages, made, scenes), strict=True)
    if stages.role.source.reader == "cityscapes":
        problems = cityscapes_problems(write_cityscapes_submission(path, pairs), scenes.names)
    else:
        sizes = {name: (scenes.image(i).shape[1], scenes.image(i).shape[0]) for i, name in enumerate(scenes.names)}
        problems = voc_problems(write_voc_submission(path, pairs), sizes)
    if problems:
        raise DataError(f"the server would reject {path}: {problems[0]} ({len(problems)} problems in all)")
    return path
