"""Predictions become the archive of the right server, and what the server would reject is refused here."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from wsss_lib.evaluation.submissions import cityscapes_problems, voc_problems
from wsss_lib.experiments import pages, submission
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.submission import archive_of, write_submission
from wsss_lib.vocabulary import DataError

FRAME = "bonn_000000_000019"


@dataclass
class Scenes:
    names: tuple[str, ...]

    def __len__(self):
        return len(self.names)

    def image(self, _):
        return np.zeros((6, 8, 3), np.uint8)


@pytest.fixture
def stages(tmp_path, monkeypatch):
    """A role whose test split has one picture, predicted as class 1 everywhere."""

    def make(reader, name=FRAME):
        places = Places(profile="smoke", build=tmp_path)
        source = SimpleNamespace(reader=reader)
        return SimpleNamespace(
            role=SimpleNamespace(source=source, played_by="toy streets"), scenes=lambda _: Scenes((name,)),
            experiment=SimpleNamespace(places=places),
        )  # fmt: skip

    monkeypatch.setattr(submission, "Segmentation", lambda **_: SimpleNamespace(predictions=lambda _: None))
    monkeypatch.setattr(submission, "predicted", lambda *_: [np.ones((6, 8), np.uint8)])
    return make


def test_each_server_gets_its_archive(stages):
    for reader in ("cityscapes", "voc2012"):
        made = write_submission(stages(reader))
        assert made == archive_of(stages(reader))
        problems = cityscapes_problems(made, [FRAME]) if reader == "cityscapes" else voc_problems(made, {FRAME: (8, 6)})
        assert problems == []


def test_what_the_server_would_reject_is_refused(stages):
    with pytest.raises(DataError, match=r"the server would reject .*cityscapes_test\.zip: mine\.png belongs to no"):
        write_submission(stages("cityscapes", name="mine"))


def test_data_without_a_server_are_refused(stages):
    assert archive_of(stages("toy_streets")) is None
    with pytest.raises(DataError, match="toy streets has no test server; only cityscapes, voc2012 have"):
        write_submission(stages("toy_streets"))


def test_the_tables_of_a_server_say_what_to_submit(stages):
    role = stages("cityscapes")
    experiment = SimpleNamespace(roles={"cityscapes": role}, places=role.experiment.places)
    told = pages.to_submit(experiment, 2)
    assert told == "For the numbers on test, submit predictions/cityscapes_test.zip to its server."
    assert pages.to_submit(experiment, 8) == pages.to_submit(experiment, 1) == ""
    played = SimpleNamespace(roles={"cityscapes": stages("toy_streets")}, places=role.experiment.places)
    assert pages.to_submit(played, 2) == ""
