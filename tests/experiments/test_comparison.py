"""Systems side by side: numbers known by hand, what is left out, and what lies on disk."""

from dataclasses import replace

import pandas as pd
import pytest

from wsss_lib.experiments import comparison, measure
from wsss_lib.experiments.counting import MAPS, counted_round
from wsss_lib.experiments.measure import round_scores
from wsss_lib.experiments.segmentation import FULL_SUPERVISION
from wsss_lib.reporting.measurements import PAPER_NETWORK, SCORE_COLUMNS
from wsss_lib.reporting.rendering import NO_NUMBER


@pytest.fixture(scope="module")
def experiment(finished, open_tiny):
    """The finished experiment, with three systems to compare with; none of them is trained."""
    role = replace(finished.main.role, systems={"sec": None, "psa": None, "bbf": None})
    return open_tiny(finished.places.build, role=role)


def score(system, split, value, *, seed=0, stage="segmentation", variant="", network=PAPER_NETWORK, dataset="camvid"):
    run = (dataset, "tiny", split, system, stage, variant, network, seed)
    return dict(zip(SCORE_COLUMNS, (*run, "miou_class", "", value), strict=True))


def test_labels_network_and_spread_of_every_system(experiment):
    scores = [
        score("psa", "val", 30.0), score("psa", "val", 34.0, seed=1), score("psa", "train", 40.0),
        score("psa", "train", 44.0, seed=1), score("psa", "train", 50.0, stage="labels", network=""),
        score("bbf", "val", 20.0, variant="zero flow"), score("bbf", "train", 22.0, variant="zero flow"),
        score("ours", "val", 60.0), score("ours", "train", 61.0),
        score(FULL_SUPERVISION, "val", 70.0, stage="reference"),
        score(MAPS, "val", 10.0, stage="reference", network=""),
    ]  # fmt: skip
    shown = comparison.systems(experiment.main, pd.DataFrame(scores)).set_index("method")
    assert shown.index.tolist() == ["PSA", "BBF, zero flow", "Ours", f"{FULL_SUPERVISION} (reference row)",
                                    f"{MAPS} (reference row)"]  # fmt: skip
    assert shown["trainings"].tolist() == [2, 1, 1, 1, 1]
    assert shown.loc["PSA"].tolist() == [2, "50.0", "42.0 ± 2.8", "32.0 ± 2.8"]
    assert shown.loc["BBF, zero flow"].tolist() == [1, NO_NUMBER, "22.0", "20.0"]
    assert shown.loc[f"{FULL_SUPERVISION} (reference row)"].tolist() == [1, NO_NUMBER, NO_NUMBER, "70.0"]

    last = round_scores(experiment.main, [("default", 0, 2)])
    labels = last.loc[last["metric"] == "miou_class", "value"].item()
    numbers = pd.read_csv(experiment.places.tables / "systems.csv").set_index("method")
    assert numbers.loc["Ours", comparison.LABELS] == pytest.approx(labels, abs=0.00005)
    assert numbers.loc["PSA", "network, val, std"] == pytest.approx(8**0.5, abs=0.00005)
    assert "| PSA | 2 | 50.0 | 42.0 ± 2.8 | 32.0 ± 2.8 |" in (experiment.places.tables / "systems.md").read_text()


def test_what_stands_elsewhere_is_left_out(experiment):
    """Our other networks are of Table 9, other data sets have a table of their own, and per-class rows are no mIoU."""
    scores = [
        score("psa", "val", 30.0), score("psa", "val", 90.0, dataset="voc"),
        score("psa", "val", 90.0) | {"metric": "iou", "target": "Road"},
        score("ours", "val", 60.0), score("ours", "val", 90.0, network="fcn"),
        score("ours", "val", 90.0, seed=1, stage="ablation", network=""),
    ]  # fmt: skip
    shown = comparison.systems(experiment.main, pd.DataFrame(scores)).set_index("method")
    assert shown[comparison.ON_VAL].to_dict() == {"PSA": "30.0", "Ours": "60.0"}


def test_rounds_that_were_measured_before_count_once(experiment, open_tiny):
    """A number that stands twice would shrink the spread."""
    role = replace(experiment.main.role, clustering_seeds=(0, 1), segmentation_seeds=(0, 1))
    stages = open_tiny(experiment.places.build, role=role).main
    networks = pd.DataFrame([score("ours", "val", 60.0), score("ours", "val", 61.0, seed=1)])
    alone = comparison.systems(stages, networks)
    together = comparison.systems(stages, pd.concat([networks, round_scores(stages)]))
    assert "±" in alone.loc[0, comparison.LABELS]
    pd.testing.assert_frame_equal(alone, together)


def test_only_the_rounds_that_are_shown_are_made(experiment, monkeypatch):
    """One system can be compared without the costly variants of our own method."""
    stages, made = experiment.main, []
    monkeypatch.setattr(measure, "counted_round", lambda _, *each: made.append(each) or counted_round(stages, *each))
    comparison.systems(stages, pd.DataFrame([score("psa", "val", 30.0)]))
    assert made == [("default", 0, 2)]


def test_another_data_set_has_a_file_of_its_own(experiment, monkeypatch):
    stages = experiment.main
    monkeypatch.setattr(type(experiment), "main", None)
    comparison.systems(stages, pd.DataFrame([score("psa", "val", 30.0)]))
    assert (experiment.places.tables / "systems_camvid.csv").is_file()
