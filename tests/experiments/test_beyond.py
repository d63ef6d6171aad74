"""What goes beyond the paper: generations that learn from each other, rows for every part, agreement without labels."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from wsss_lib.clustering.seeds import most_certain
from wsss_lib.data.pictures import write_label_map
from wsss_lib.experiments import beyond, pages, segmentation
from wsss_lib.experiments.measure import compared_scores, own_label_confusion, segmentation_scores
from wsss_lib.experiments.profiles import TRUTH
from wsss_lib.experiments.profiles.schema import Beyond
from wsss_lib.experiments.segmentation import Segmentation, beyond_runs, plus_runs
from wsss_lib.reporting.rendering import NO_NUMBER
from wsss_lib.segmentation.self_training import SelfTrainingConfig, own_labels
from wsss_lib.vocabulary import IGNORE

VIEWS = SelfTrainingConfig(kept=0.5, scales=(1.0,), mirror=True)


@pytest.fixture(scope="module")
def experiment(finished, open_tiny):
    """The finished experiment with a method beyond the paper, one ablation, and a ceiling; two seeds."""
    role = finished.main.role
    network = replace(role.segmentation, label_stride=8)
    paper = role.variants["default"]
    more = replace(paper, features=replace(paper.features, geometry_copies=2))
    one = Beyond(labels="more", network=network, self_training=VIEWS)
    role = replace(
        role,
        variants={"default": paper, "more": more},
        beyond={
            "plus": replace(one, generations=2),
            "plus, one": one,
            "plus, half": replace(one, kept=0.5),
            "ceiling": replace(one, labels=TRUTH),
        },
        clustering_seeds=(0, 1),
        segmentation_seeds=(0, 1),
    )
    return open_tiny(finished.places.build, role=role)


def run_of(experiment, system, seed=0):
    return Segmentation(stages=experiment.main, system=system, seed=seed)


# ---------------------------------------------------------------------------------------------------------- generations


def test_the_second_generation_learns_from_what_the_first_says(experiment):
    stages, first, second = experiment.main, run_of(experiment, "plus, one"), run_of(experiment, "plus")
    segmenter = segmentation.load_segmenter(first.artefact().folder, stages.compute)
    said = own_labels(segmenter, stages.scenes("train").image, stages.tags, VIEWS)
    learnt = second.labels()
    assert learnt is not None
    assert [each.tolist() for each in learnt] == [each.tolist() for each in said]
    assert any((each == IGNORE).any() for each in said)
    assert first.artefact().key != second.artefact().key


def test_the_first_generation_learns_from_the_last_round_of_its_variant(experiment):
    stages = experiment.main
    labels = run_of(experiment, "plus, one").labels()
    expected = stages.label_maps(stages.rounds("more")[-1])
    assert [each.tolist() for each in labels] == [each.tolist() for each in expected]


def test_or_from_the_surest_share_of_every_class(experiment):
    """The others are unknown: it is another network, from the same rounds."""
    stages, run = experiment.main, run_of(experiment, "plus, half")
    labels, certainty = stages.last_round("more")
    assert labels.tolist() == stages.rounds("more")[-1].tolist()
    assert certainty.shape == labels.shape
    assert (certainty > 0).all()
    assert (certainty <= 1).all()
    expected = stages.label_maps(most_certain(labels, certainty, 0.5))
    learnt = run.labels()
    assert [each.tolist() for each in learnt] == [each.tolist() for each in expected]
    assert 0 < np.mean([(each == IGNORE).mean() for each in learnt]) < 1
    assert run.artefact().key != run_of(experiment, "plus, one").artefact().key


def test_generations_are_made_once(experiment, monkeypatch):
    """The ablation of one generation is the first generation of the method itself."""
    run_of(experiment, "plus").artefact()
    monkeypatch.setattr(segmentation, "train_segmentation", None)
    assert run_of(experiment, "plus, one").artefact().complete


def test_a_generation_starts_anew_and_not_from_the_one_before(experiment, monkeypatch):
    starts = []
    train = segmentation.train_segmentation

    def watched(network, *rest, **named):
        starts.append({name: value.clone() for name, value in network.state_dict().items()})
        return train(network, *rest, **named)

    monkeypatch.setattr(segmentation, "train_segmentation", watched)
    run_of(experiment, "plus", seed=5).artefact()
    first, second = starts
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_ceiling_learns_from_the_true_labels_and_has_none_of_its_own(experiment):
    run = run_of(experiment, "ceiling")
    truth = experiment.main.scenes("train").label_map
    assert run._learnt_from(1)(0).tolist() == truth(0).tolist()
    assert run.labels() is None
    assert own_label_confusion(run) is None
    assert run.artefact().stage == "full_supervision"


def test_the_papers_own_network_is_untouched(experiment, finished):
    assert run_of(experiment, "ours").artefact().key == Segmentation(stages=finished.main).artefact().key
    assert plus_runs(finished.main) == beyond_runs(finished.main) == []


# --------------------------------------------------------------------------------------------------------------- scores


def test_the_method_is_always_measured_and_its_ablations_with_the_comparison(experiment):
    stages = experiment.main
    always, compared = segmentation_scores(stages), compared_scores(stages, "all")
    assert set(always["system"]) == {"ours", "plus"}
    kinds = set(zip(compared["system"], compared["stage"], strict=True))
    assert {("plus, one", "ablation"), ("plus, one", "labels"), ("ceiling", "reference")} <= kinds
    assert "plus" not in set(compared["system"])
    assert set(always.loc[always["system"] == "plus", "seed"]) == {0, 1}
    assert set(compared_scores(stages, "none")) == set()


def test_rows_for_every_part_and_the_written_tables(experiment):
    roles = [experiment.main]
    scores = pages.measured(roles, "segmentation", "reference", systems="all")
    shown = beyond.parts(experiment.main, scores)
    assert shown["method"].tolist() == [beyond.PAPER, "plus", "plus, one", "plus, half", "ceiling"]
    assert "±" in shown.loc[1, "network, val"]
    numbers = pd.read_csv(experiment.places.tables / "beyond.csv").set_index("method")
    plus = scores.loc[(scores["system"] == "plus") & (scores["split"] == "val") & (scores["metric"] == "miou_class")]
    assert numbers.loc["plus", "network, val"] == pytest.approx(plus["value"].mean(), abs=0.01)
    labels = numbers["labels, train"]
    assert labels.drop("ceiling").notna().all()
    assert np.isnan(labels["ceiling"])
    assert labels["plus, one"] == labels["plus, half"]  # of all regions of the last round, whatever is learnt from
    assert numbers["seeds agree on test, %"].between(0, 100).all()

    by_class = beyond.classes(experiment.main, scores)
    assert by_class["class"].tolist() == [*experiment.main.label_space.classes, "mean"]
    assert list(by_class)[1:] == [beyond.PAPER, "plus", "ceiling", "gain"]
    found = pd.read_csv(experiment.places.tables / "beyond_classes.csv").set_index("class")
    assert found.loc["mean", "plus"] == pytest.approx(numbers.loc["plus", "network, val"], abs=0.02)
    gain = (found["plus"] - found[beyond.PAPER]).to_numpy()
    np.testing.assert_allclose(found["gain"].to_numpy(), gain, atol=0.02)


def test_what_is_not_measured_has_no_row_but_for_labels_of_its_own(experiment, monkeypatch):
    """Without ablations, "plus, one" stands for the labels that it and "plus, half" would learn from."""
    scores = pages.measured([experiment.main], "segmentation", systems="none")
    monkeypatch.setattr(segmentation, "train_segmentation", None)  # a table trains nothing
    shown = beyond.parts(experiment.main, scores).set_index("method")
    assert shown.index.tolist() == [beyond.PAPER, "plus", "plus, one"]
    assert shown.loc["plus, one"].tolist()[1:] == [NO_NUMBER] * 3
    assert "±" in shown.loc["plus, one", "labels, train"]


def test_predictions_are_those_of_the_profiles_own_method(experiment):
    pages.write_predictions([experiment.main])
    made = run_of(experiment, "plus").predictions("test").folder
    for name in experiment.main.scenes("test").names:
        assert (experiment.places.predictions / "test" / f"{name}.png").read_bytes() == (
            made / f"{name}.png"
        ).read_bytes()


# ------------------------------------------------------------------------------------------------------------ agreement


def test_agreement_by_hand(tmp_path, experiment):
    """Three networks, pictures of four pixels: pairs agree on 4, 3 and 3 of the 4."""
    stages, maps = experiment.main, ([[0, 1], [2, 3]], [[0, 1], [2, 3]], [[0, 1], [2, 0]])
    for number, each in enumerate(maps):
        for name in stages.scenes("test").names:
            label_map = np.array(each, dtype=np.uint8)
            write_label_map(tmp_path / str(number) / f"{name}.png", label_map, stages.label_space)

    class Network:
        def __init__(self, number):
            self.stages, self.number = stages, number

        def predictions(self, split):
            assert split == "test"
            return type("Made", (), {"folder": tmp_path / str(self.number)})

    assert beyond.agreement([Network(k) for k in range(3)]) == pytest.approx(100 * (4 + 3 + 3) / 12)
    assert np.isnan(beyond.agreement([Network(0)]))
