"""Networks of other systems and other networks on our labels: trained once, kept, scored beside ours."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from wsss_lib.baselines import registry
from wsss_lib.baselines.skeleton import Outcome, train_on_labels
from wsss_lib.data.pictures import read_label_map
from wsss_lib.experiments import pages, segmentation
from wsss_lib.experiments.measure import compared_scores, other_network_scores, system_scores
from wsss_lib.experiments.segmentation import FULL_SUPERVISION, Segmentation, full_supervision_runs
from wsss_lib.segmentation.predict import Segmenter
from wsss_lib.segmentation.training import train_segmentation
from wsss_lib.vocabulary import IGNORE, SettingsError


@dataclass(frozen=True, kw_only=True)
class SeedsConfig:
    """Settings of a system that trains on the seeds as they are."""

    keep: bool = True


def on_seeds(material, settings, config, run):
    labels = [material.seeds(i) for i in range(len(material))]
    network = material.network(settings.network)
    losses = train_on_labels(network, material, settings, labels, run)
    return Outcome(
        network=network, network_name=settings.network, losses={"network": losses},
        labels=labels if config.keep else None, variant="default" if config.keep else "no labels kept",
    )  # fmt: skip


@pytest.fixture
def compared(finished, open_tiny, monkeypatch):
    """The finished experiment, with two systems and another network to compare with; ``said`` hears of every stage."""
    monkeypatch.setitem(registry.SYSTEMS, "on_seeds", on_seeds)
    monkeypatch.setitem(registry.SYSTEMS, "keeps_none", on_seeds)
    role = finished.main.role
    role = replace(
        role,
        systems={"on_seeds": SeedsConfig(), "keeps_none": SeedsConfig(keep=False)},
        networks={"fcn": replace(role.segmentation, label_stride=8)},
    )
    said = []
    return open_tiny(finished.places.build, said, role=role), said


def test_a_system_learns_from_the_cues_and_is_kept(compared):
    experiment, said = compared
    run = Segmentation(stages=experiment.main, system="on_seeds")
    first = {path.name: path.read_bytes() for path in run.predictions("val").folder.glob("*.png")}
    assert len(first) == 2
    assert len(run.losses()["network"]) == 4
    assert not list(run.artefact().folder.rglob("*.pt"))
    said.clear()
    again = Segmentation(stages=experiment.main, system="on_seeds").predictions("val").folder
    assert {path.name: path.read_bytes() for path in again.glob("*.png")} == first
    assert said == []


def test_what_is_told_goes_to_the_log_with_every_epoch(compared):
    experiment, said = compared
    run = Segmentation(stages=experiment.main, system="on_seeds", seed=11)
    run.artefact()
    lines = [line.split(" ", 2)[2] for line in experiment.places.log.read_text().splitlines()]
    assert all(line.strip() in lines for line in said)
    assert any(line.startswith("camvid, on_seeds: epoch 1/") for line in lines)
    assert not any("epoch" in line for line in said)


def test_a_network_of_one_class_is_warned_of(compared, monkeypatch):
    experiment, said = compared
    monkeypatch.setattr(Segmenter, "predict", lambda _, image: np.full(image.shape[:2], 1, np.uint8))
    stages = experiment.main
    Segmentation(stages=stages, system="on_seeds", seed=12).predictions("val")
    name = stages.label_space.classes[1]
    assert f"  camvid, on_seeds, val: warning: the network predicts {name} in every pixel of every picture" in said


def test_label_maps_are_kept_as_large_as_their_pictures(compared, monkeypatch):
    """MSRC-21 has upright pictures and others."""
    maps = [np.full(shape, k, np.uint8) for k, shape in enumerate([(4, 6), (6, 4), (5, 5)])]

    def untrained(material, settings, *_):
        return Outcome(network=material.network(settings.network), network_name=settings.network, labels=maps)

    monkeypatch.setitem(registry.SYSTEMS, "on_seeds", untrained)
    run = Segmentation(stages=compared[0].main, system="on_seeds", seed=7)
    assert all(map(np.array_equal, run.labels(), maps))


def test_what_a_system_is_given_holds_no_label_map(compared):
    """The seeds are sparse, among the tags, and come from heat; truth stays with the scenes."""
    stages = compared[0].main
    material = Segmentation(stages=stages).material()
    for i in range(len(material)):
        seeds = material.seeds(i)
        assert 0 < (seeds != IGNORE).mean() < 1
        assert material.tags[i][np.unique(seeds[seeds != IGNORE])].all()
        assert material.heat(i)[~material.tags[i]].max() == 0
        assert np.array_equal(material.image(i), stages.scenes("train").image(i))
    one, other = (material.network(stages.role.segmentation.network) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_rows_of_systems_and_networks(compared):
    stages = compared[0].main
    rows = system_scores(stages)
    assert set(rows["system"]) == {"on_seeds", "keeps_none"}
    assert set(rows.loc[rows["stage"] == "labels", "system"]) == {"on_seeds"}
    assert set(rows.loc[rows["system"] == "keeps_none", "variant"]) == {"no labels kept"}
    assert set(other_network_scores(stages)["network"]) == {"fcn"}
    labels = rows.loc[(rows["stage"] == "labels") & (rows["metric"] == "labelled_share"), "value"].item()
    assert 0 < labels < 100


def test_only_chosen_systems_are_trained(compared):
    experiment, said = compared
    pages.measured([experiment.main], systems="keeps_none")
    assert "system: started" in said or not said  # made here, or by a test before
    assert set(pages.measured([experiment.main], systems="keeps_none")["system"]) == {"keeps_none"}
    everything = {"ours", "on_seeds", "keeps_none", FULL_SUPERVISION}
    assert set(pages.measured([experiment.main], systems="all")["system"]) == everything
    assert pages.measured([experiment.main], systems="none").empty
    alone = pages.measured([experiment.main], systems="keeps_none")
    assert set(alone["system"]) == {"keeps_none"}  # our other networks are not trained for it
    assert "fcn" in set(pages.measured([experiment.main], systems="all")["network"])
    with pytest.raises(SettingsError, match="no system named 'on_seed'; did you mean 'on_seeds'"):
        pages.measured([experiment.main], systems="on_seed")


def test_what_is_finished_is_shown_and_nothing_is_trained(finished, open_tiny, tmp_path, monkeypatch):
    """Of two systems and a network one system is trained already; to ask for the finished ones trains no other."""
    monkeypatch.setitem(registry.SYSTEMS, "on_seeds", on_seeds)
    monkeypatch.setitem(registry.SYSTEMS, "keeps_none", on_seeds)
    role = finished.main.role
    systems = {"on_seeds": SeedsConfig(), "keeps_none": SeedsConfig(keep=False)}
    networks = {"fcn": replace(role.segmentation, label_stride=16)}
    experiment = open_tiny(tmp_path, said := [], role=replace(role, systems=systems, networks=networks))
    stages = experiment.main
    assert pages.measured([stages], systems="finished").empty
    Segmentation(stages=stages, system="on_seeds").artefact()
    said.clear()
    assert set(pages.measured([stages], systems="finished")["system"]) == {"on_seeds"}
    assert "system: started" not in said
    assert "segmentation: started" not in said
    assert Segmentation(stages=stages, system="on_seeds").finished
    assert not Segmentation(stages=stages, network="fcn").finished


def test_another_network_has_labels_of_ours_and_predicts(compared):
    run = Segmentation(stages=compared[0].main, network="fcn")
    assert run.artefact().key != Segmentation(stages=compared[0].main).artefact().key
    ours = run.labels()
    assert ours is not None
    assert len(ours) == 3
    scenes = run.stages.scenes("val")
    file = run.predictions("val").folder / f"{scenes.names[0]}.png"
    assert read_label_map(file, scenes.label_space).shape == (48, 64)


def test_unknown_systems_and_networks_are_refused(finished):
    with pytest.raises(SettingsError, match="no system named 'psi'"):
        Segmentation(stages=finished.main, system="psi")
    with pytest.raises(SettingsError, match="no network named 'fcm'"):
        Segmentation(stages=finished.main, network="fcm")


def test_full_supervision_is_a_reference_row_and_learns_from_the_true_labels(compared, monkeypatch):
    """The same start and settings as ours; only the labels differ, and they are the scenes' own."""
    experiment, _ = compared
    stages, seen = experiment.main, []

    def watched(network, images, labels, count, config, **named):
        seen.append([labels(i) for i in range(count)])
        return train_segmentation(network, images, labels, count, config, **named)

    monkeypatch.setattr(segmentation, "train_segmentation", watched)
    (run,) = full_supervision_runs(stages)
    assert (run.system, run.network, run.config) == (FULL_SUPERVISION, "deeplab_largefov", stages.role.segmentation)
    scores = compared_scores(stages, "all")
    rows = scores[scores["system"] == FULL_SUPERVISION]
    assert set(rows["stage"]) == {"reference"}
    assert {"train", "val"} <= set(rows["split"])
    seen.clear()
    fresh = replace(run, seed=21)  # trained by no other test
    assert fresh.artefact().stage == "full_supervision"
    assert fresh.labels() is None
    (labels,) = seen
    truth = stages.scenes("train").label_map
    assert all(np.array_equal(label_map, truth(i)) for i, label_map in enumerate(labels))


def test_full_supervision_is_not_trained_where_it_is_not_asked_for(compared, monkeypatch):
    stages = compared[0].main
    monkeypatch.setattr(Segmentation, "predictions", lambda *_: pytest.fail("a network was trained"))
    assert compared_scores(stages, "none").empty
    unlabelled = replace(stages.scenes("train"), label_map=None)
    monkeypatch.setattr(type(stages), "scenes", lambda *_: unlabelled)
    assert full_supervision_runs(stages) == []
