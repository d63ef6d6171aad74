"""What goes beyond the paper: labels and networks of its own, rows for every part, agreement without labels."""

import pickle
from collections import Counter
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wsss_lib.data.pictures import write_label_map
from wsss_lib.experiments import beyond, pages, segmentation
from wsss_lib.experiments.counting import own_label_confusion
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.measure import compared_scores, segmentation_scores
from wsss_lib.experiments.profiles import TRUTH
from wsss_lib.experiments.profiles.schema import Beyond
from wsss_lib.experiments.segmentation import Segmentation, beyond_runs, plus_runs
from wsss_lib.reporting.rendering import NO_NUMBER


@pytest.fixture(scope="module")
def experiment(finished, open_tiny):
    """The finished experiment with a method beyond the paper, ablations, and a ceiling; two seeds."""
    role = finished.main.role
    network, coarse = (replace(role.segmentation, label_stride=stride) for stride in (8, 16))
    paper = role.variants["default"]
    more = replace(paper, features=replace(paper.features, geometry_copies=2))
    plus = Beyond(labels="more", network=network)
    role = replace(
        role,
        variants={"default": paper, "more": more},
        beyond={
            "plus": plus,
            "plus, again": plus,
            "plus, coarse": replace(plus, network=coarse),
            "paper's labels": replace(plus, labels="default"),
            "ceiling": replace(plus, labels=TRUTH),
        },
        clustering_seeds=(0, 1),
        segmentation_seeds=(0, 1),
    )
    return open_tiny(finished.places.build, role=role)


def run_of(experiment, system, seed=0):
    return Segmentation(stages=experiment.main, system=system, seed=seed)


# ------------------------------------------------------------------------------------------------------------ networks


def test_a_network_learns_from_the_last_round_of_its_variant(experiment):
    stages = experiment.main
    labels = run_of(experiment, "plus").labels()
    expected = stages.label_maps(stages.rounds("more")[-1])
    assert [each.tolist() for each in labels] == [each.tolist() for each in expected]


def test_what_has_the_same_labels_and_network_is_trained_once(experiment, monkeypatch):
    """The other name of the method asks for the same training; another network, or another seed, does not."""
    run_of(experiment, "plus").artefact()
    monkeypatch.setattr(segmentation, "train_segmentation", None)
    assert run_of(experiment, "plus, again").artefact().complete
    keys = {run_of(experiment, system, seed).artefact().key for system, seed in (("plus", 0), ("plus, again", 0))}
    with experiment.store.asking():
        others = [("plus", 1), ("plus, coarse", 0), ("ours", 0), ("ceiling", 0)]
        keys |= {run_of(experiment, system, seed).artefact().key for system, seed in others}
    assert len(keys) == 5


def test_the_ceiling_learns_from_the_true_labels_and_has_none_of_its_own(experiment):
    run = run_of(experiment, "ceiling")
    truth = experiment.main.scenes("train").label_map
    assert run._learnt_from()(0).tolist() == truth(0).tolist()
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
    assert kinds >= {("plus, again", "ablation"), ("plus, coarse", "ablation"), ("ceiling", "reference")}
    assert "plus" not in set(compared["system"])
    assert set(always.loc[always["system"] == "plus", "seed"]) == {0, 1}
    assert set(compared_scores(stages, "none")) == set()


def test_rows_for_every_part_and_the_written_tables(experiment):
    roles = [experiment.main]
    scores = pages.measured(roles, "segmentation", "reference", systems="all")
    shown = beyond.parts(experiment.main, scores)
    assert shown["method"].tolist() == [beyond.PAPER, *experiment.main.role.beyond]
    assert "±" in shown.loc[1, "network, val"]
    numbers = pd.read_csv(experiment.places.tables / "beyond.csv").set_index("method")
    plus = scores.loc[(scores["system"] == "plus") & (scores["split"] == "val") & (scores["metric"] == "miou_class")]
    assert numbers.loc["plus", "network, val"] == pytest.approx(plus["value"].mean(), abs=0.01)
    labels = numbers["labels, train"]
    assert labels.drop("ceiling").notna().all()
    assert np.isnan(labels["ceiling"])
    assert labels["plus"] == labels["plus, coarse"]
    assert labels["paper's labels"] == labels[beyond.PAPER]
    assert numbers["trainings agree on test, %"].between(0, 100).all()

    by_class = beyond.classes(experiment.main, scores)
    assert by_class["class"].tolist() == [*experiment.main.label_space.classes, "mean"]
    assert list(by_class)[1:] == [beyond.PAPER, "plus", "ceiling", "gain"]
    found = pd.read_csv(experiment.places.tables / "beyond_classes.csv").set_index("class")
    assert found.loc["mean", "plus"] == pytest.approx(numbers.loc["plus", "network, val"], abs=0.02)
    gain = (found["plus"] - found[beyond.PAPER]).to_numpy()
    np.testing.assert_allclose(found["gain"].to_numpy(), gain, atol=0.02)


def test_what_is_not_measured_has_no_row_but_for_labels_of_its_own(open_tiny, experiment, monkeypatch):
    """Without ablations, "plus, other" stands for the labels that it and "plus, other, coarse" would learn from."""
    role = experiment.main.role
    other = replace(role.beyond["plus"], labels="other")
    less = replace(role.variants["more"], features=replace(role.variants["more"].features, geometry_copies=1))
    experiment = open_tiny(
        experiment.places.build,
        role=replace(
            role,
            variants={**role.variants, "other": less},
            beyond={
                **role.beyond,
                "plus, other": other,
                "plus, other, coarse": replace(other, network=role.beyond["plus, coarse"].network),
            },
        ),
    )
    scores = pages.measured([experiment.main], "segmentation", systems="none")
    monkeypatch.setattr(segmentation, "train_segmentation", None)  # a table trains nothing
    shown = beyond.parts(experiment.main, scores).set_index("method")
    assert shown.index.tolist() == [beyond.PAPER, "plus", "plus, other"]
    assert shown.loc["plus, other"].tolist()[1:] == [NO_NUMBER] * 3
    assert "±" in shown.loc["plus, other", "labels, train"]


def test_a_network_is_shown_once_it_is_trained_with_every_seed(experiment, monkeypatch):
    """Else its numbers would be of fewer seeds than its labels, and its agreement would train what is missing."""
    scores = pages.measured([experiment.main], "segmentation", "reference", systems="all")
    some = scores.loc[(scores["system"] != "plus, coarse") | (scores["seed"] == 0)]
    compared = []
    monkeypatch.setattr(beyond, "agreement", lambda runs: compared.append(runs[0].system) or 50.0)
    shown = beyond.parts(experiment.main, some, "finished").set_index("method")
    assert "plus, coarse" not in shown.index  # its labels stand in the row of plus
    assert compared == [method for method in ("ours", *experiment.main.role.beyond) if method != "plus, coarse"]


def test_rounds_that_are_there_already_count_once(experiment):
    scores = pages.measured([experiment.main], "rounds", "segmentation", "reference", systems="all")
    with_them = beyond.parts(experiment.main, scores)
    without = beyond.parts(experiment.main, scores.loc[~scores["stage"].str.startswith("round_")])
    pd.testing.assert_frame_equal(with_them, without)


def test_what_nobody_has_is_no_column(open_tiny, experiment):
    """A single seed agrees with no other."""
    role = replace(experiment.main.role, clustering_seeds=(0,), segmentation_seeds=(0,))
    stages = open_tiny(experiment.places.build, role=role).main
    shown = beyond.parts(stages, pages.measured([stages], "segmentation", systems="none"))
    assert list(shown) == ["method", "labels, train", "network, train", "network, val"]


def test_predictions_are_those_of_the_profiles_own_method(experiment):
    pages.write_predictions([experiment.main])
    made = run_of(experiment, "plus").predictions("test").folder
    for name in experiment.main.scenes("test").names:
        assert (experiment.places.predictions / "test" / f"{name}.png").read_bytes() == (
            made / f"{name}.png"
        ).read_bytes()


# ------------------------------------------------------------------------------------------------------------ agreement


def test_of_two_halves_neither_is_the_truth(experiment):
    """Class 1 is in one half alone, whichever it is: it counts as 0, and class 0 agrees on three of four regions."""
    halves = [SimpleNamespace(rounds=lambda *_, k=k: [k]) for k in (0, 1)]
    maps = [np.array([[0, 0, 0, 0]], np.uint8), np.array([[0, 0, 0, 1]], np.uint8)]
    for order in ((0, 1), (1, 0)):
        stages = SimpleNamespace(
            halves=halves, role=experiment.main.role, label_space=experiment.main.label_space,
            label_maps=lambda k, order=order: [maps[order[k]]],
        )  # fmt: skip
        assert beyond.agreement_of_halves(stages, "default") == (75 + 0) / 2


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


@pytest.fixture(scope="module")
def divided(experiment, open_tiny):
    """The same with four simple pictures of a class, in a folder of its own."""
    role = experiment.main.role
    role = replace(role, source=replace(role.source, simple_count=4))
    return open_tiny(experiment.places.build / "divided", role=role)


def test_halves_share_nothing_but_what_needs_no_simple_picture(divided):
    """Classifier, class maps, seeds and rounds are their own; superpixels are those of the whole."""
    stages = divided.main
    with divided.store.asking() as asked:
        for each in (stages, *stages.halves):
            each.clustering_artefact("more", 0)
    counts = Counter(each.artefact.stage for each in {each.artefact.key: each for each in asked}.values())
    own = {"classifier", "class_maps", "seeds", "clustering"}
    assert {name for name, count in counts.items() if count == 3} >= own
    assert counts["superpixels"] == 1


def test_who_learns_from_tags_alone_has_no_halves(divided, open_tiny):
    role = replace(divided.main.role, learns_from="tags")
    assert open_tiny(divided.places.build, role=role).main.halves == ()


def test_in_another_process_a_half_is_the_same_half(divided):
    half = pickle.loads(pickle.dumps(divided.main.halves[1]))
    assert half.simple.fingerprint == divided.main.halves[1].simple.fingerprint
    assert half.simple.fingerprint.endswith("half 1")


def test_halves_are_made_with_the_ablations_alone(divided):
    """What they agree on is the mean over classes of what both call a class, of what either does."""
    stages, space = divided.main, divided.main.label_space

    def of_halves(stages, systems):
        tasks = [task for task in MAKERS["clustering"](stages, systems) if isinstance(task, partial)]
        return [task.args[0] for task in tasks if task.func.__self__ in stages.halves]

    assert of_halves(stages, "all") == 2 * list(stages.role.variants)
    assert of_halves(stages, "none") == []
    assert np.isnan(beyond.agreement_of_halves(stages, TRUTH))
    scores = pages.measured([stages], "segmentation", systems="none")
    assert beyond.HALVES_AGREE not in beyond.parts(stages, scores, "finished")
    shown = beyond.parts(stages, scores, "all").set_index("method")
    one, other = (np.stack(stages.label_maps(half.rounds("more")[-1])[:]) for half in stages.halves)
    pairs = [(((one == c) & (other == c)).sum(), ((one == c) | (other == c)).sum()) for c in range(len(space))]
    expected = np.mean([100 * both / either for both, either in pairs if either])
    assert beyond.agreement_of_halves(stages, "more") == pytest.approx(expected)
    assert shown.loc["plus", beyond.HALVES_AGREE] == f"{expected:.1f}"
    again = beyond.parts(stages, scores, "finished").set_index("method")
    assert again.loc["plus", beyond.HALVES_AGREE] == f"{expected:.1f}"
    assert beyond.HALVES_AGREE not in beyond.parts(stages, scores, "none")
