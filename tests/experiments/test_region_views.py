"""A second generation: it starts from the labels of a first one, and that one's network describes the regions, too."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.clustering.region_features import describe
from wsss_lib.experiments import pipeline, plates
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.measure import compared_scores, round_scores, segmentation_scores
from wsss_lib.experiments.profiles.schema import Beyond, Generation
from wsss_lib.experiments.segmentation import Segmentation, plus_runs


@pytest.fixture(scope="module")
def role(finished):
    """``first`` has collages, from its network ``one`` goes on ``second``; ``plus`` learns from that."""
    role = finished.main.role
    first = replace(role.variants["default"], collages=CollageConfig(pieces=4, smallest=0.0, batch_size=8))
    seen = replace(first.features, size=(49, 33), geometry_copies=1)
    second = replace(first, previous=Generation(system="one", features=seen))
    network = role.segmentation
    return replace(
        role,
        variants={"default": role.variants["default"], "first": first, "second": second},
        beyond={"plus": Beyond(labels="second", network=network), "one": Beyond(labels="first", network=network)},
    )


@pytest.fixture(scope="module")
def stages(role, open_tiny, finished):
    return open_tiny(finished.places.build, role=role).main


def test_nothing_is_trained_while_tasks_are_listed(role, open_tiny, tmp_path):
    said = []
    stages = open_tiny(tmp_path, said, role=role).main
    for maker in MAKERS.values():
        maker(stages)
    assert not any(line.endswith("started") for line in said)


def test_the_rounds_go_on_from_the_labels_that_the_network_learnt_from(stages, monkeypatch):
    given, cluster = {}, pipeline.cluster

    def spied(views, labels, certainty, *arguments, **others):
        done = list(cluster(views, labels, certainty, *arguments, **others))
        given[len(views)] = (labels, certainty, done)
        return done

    monkeypatch.setattr(pipeline, "cluster", spied)
    assert len(stages.rounds("second")) == 2
    labels, certainty, _ = given[2]
    seeds, sure, first = given[1]  # made on the way
    np.testing.assert_array_equal(seeds, stages.seeds("first"))
    np.testing.assert_array_equal(sure, stages.seeds_with_certainty("first")[1])
    np.testing.assert_array_equal(labels, stages.rounds("first")[-1])
    np.testing.assert_array_equal(certainty, first[-1].certainty)


def test_the_network_describes_the_regions_as_a_second_view(stages):
    classifiers, learnt = stages.views("second", 0)
    assert classifiers.artefact() == stages.views("first", 0)[0].artefact()
    trained = stages.segmenter(Segmentation(stages=stages, system="one")).network
    for picture in range(3):
        image, regions = stages.scenes("train").image(picture), stages.regions()[picture]
        features = stages.role.variants["second"].previous.features
        expected = describe(trained.backbone, image, regions, features, compute=stages.compute)
        np.testing.assert_array_equal(learnt.description_of(picture), expected)
    rows = learnt.features()
    assert rows.width == expected.shape[1] != classifiers.features().width
    np.testing.assert_array_equal(rows.array[: len(learnt.description_of(0))], learnt.description_of(0))
    again = pickle.loads(pickle.dumps(learnt))  # as a worker gets it
    np.testing.assert_array_equal(again.description_of(1), learnt.description_of(1))


def test_both_views_describe_the_same_collages(stages):
    one, other = (each.pasted() for each in stages.collages("second"))
    np.testing.assert_array_equal(one.labels, other.labels)
    assert one.features.shape[1] == stages.features("first").width
    assert other.features.shape[1] == stages.views("second", 0)[1].features().width
    assert stages.collages("second")[0].artefact() == stages.collages("first")[0].artefact()


def test_its_curve_begins_where_it_starts(stages):
    """At the labels after the last round of the first generation, and not at the seeds."""
    found = round_scores(stages)
    mean = found.loc[found["metric"] == "miou_class"].set_index(["variant", "stage"])["value"]
    assert mean["second", "seeds"] == mean["first", "round_2"]
    assert set(found.loc[found["stage"] == "seeds", "variant"]) == {"second"}
    assert "seeds" not in set(round_scores(stages, [("second", 0, 2)])["stage"])


def test_its_figure_begins_where_it_starts(stages):
    data = plates.seeds_and_rounds(stages, rows=2, variant="second").data
    for start, picture in zip(data["seeds"], plates.spread(2, 3), strict=True):
        np.testing.assert_array_equal(start, stages.label_maps(stages.rounds("first")[-1])[picture])


def test_another_first_network_makes_the_second_generation_anew_and_no_other(role, open_tiny, finished):
    def keys(network):
        beyond = {**role.beyond, "one": replace(role.beyond["one"], network=network)}
        stages = open_tiny(finished.places.build, role=replace(role, beyond=beyond)).main
        with stages.experiment.store.asking():
            return {name: stages.clustering_artefact(name, 0).key for name in role.variants}

    before, after = keys(role.segmentation), keys(replace(role.segmentation, label_stride=16))
    assert [name for name in before if before[name] != after[name]] == ["second"]


def test_the_generation_before_is_always_shown(stages):
    """It is trained on the way."""
    assert [run.system for run in plus_runs(stages)] == ["plus", "one"]
    assert set(segmentation_scores(stages)["system"]) == {"ours", "plus", "one"}
    assert not {"plus", "one"} & set(compared_scores(stages, "all")["system"])


def test_a_network_of_the_second_generation_learns_from_its_last_round(stages):
    expected = stages.label_maps(stages.rounds("second")[-1])
    labels = Segmentation(stages=stages, system="plus").labels()
    assert [each.tolist() for each in labels] == [each.tolist() for each in expected]
    plus, one = (Segmentation(stages=stages, system=system).artefact() for system in ("plus", "one"))
    assert plus.record["inputs"]["labels"] == stages.clustering_artefact("second", 0).key
    assert one.record["inputs"]["labels"] == stages.clustering_artefact("first", 0).key
