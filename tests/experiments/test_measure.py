"""Measuring: a tidy table of everything, with scores that are known for perfect and for empty labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsss_lib.experiments import pipeline
from wsss_lib.experiments.class_maps import ClassMaps
from wsss_lib.experiments.counting import (
    MAPS,
    counted_reference,
    distinct_seed_rules,
    label_confusion,
    prediction_confusion,
)
from wsss_lib.experiments.measure import (
    MEAN_OF_MANY,
    all_scores,
    reference_scores,
    role_scores,
    segmentation_scores,
    tag_agreement,
)
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.regions.superpixels import oracle_label_map, region_majority
from wsss_lib.vocabulary import IGNORE, DataError


@pytest.fixture(scope="module")
def table(finished):
    return all_scores(finished)


def rows(table, **chosen):
    for name, value in chosen.items():
        table = table[table[name] == value]
    return table


def test_every_stage_of_every_variant_is_scored_once(table, finished):
    keys = ["dataset", "split", "system", "stage", "variant", "network", "seed", "metric", "target"]
    assert not table.duplicated(keys).any()
    means = rows(table, metric="miou_class", system="ours")
    scored = set(zip(means["split"], means["stage"], means["variant"], strict=True))
    rounds = {("train", f"round_{k}", variant) for k in (1, 2) for variant in finished.main.role.variants}
    predicted = {(split, "segmentation", "default") for split in ("train", "val", "test")}
    seeds = {("train", stage, "default") for stage in ("seeds_whole", "seeds_patch", "seeds_dense", "seeds")}
    assert rounds | predicted | seeds <= scored


def test_scores_are_percent_and_a_mean_over_the_classes_that_are_there(table):
    assert table["value"].dropna().between(0, 100).all()
    some = rows(table, stage="round_1", variant="default", split="train")
    classes = rows(some, metric="iou")["value"].to_numpy()
    assert rows(some, metric="miou_class")["value"].item() == pytest.approx(np.nanmean(classes))


def test_reference_rows_stand_beside_ours(table):
    systems = set(rows(table, stage="reference", split="test")["system"])
    assert "colour and position table" in systems
    assert len([name for name in systems if name.startswith("constant: ")]) == 2
    constant = rows(table, stage="reference", split="test", metric="predicted_share")
    for name in (name for name in systems if name.startswith("constant: ")):
        shares = rows(constant, system=name)
        assert rows(shares, target=name.removeprefix("constant: "))["value"].item() == pytest.approx(100)


def test_class_maps_are_scored_on_every_split_with_and_without_tags(table, finished):
    """They are label maps of the pictures' size; given the tags, no other class is named."""
    stages = finished.main
    for split in ("train", "val", "test"):
        scenes, maps = stages.scenes(split), stages.class_maps("dense", split=split)
        for i, labels in enumerate(maps.label_maps("probability", tagged=True)):
            assert labels.shape == scenes.image(i).shape[:2]
            assert scenes.tags[i][np.unique(labels)].all()
    means = rows(table, stage="reference", metric="miou_class")
    for name in ("class activation maps", "class activation maps, tags given"):
        assert rows(means, system=name)["split"].tolist() == ["train", "val", "test"]


def test_only_the_tags_of_a_picture_compete_if_they_are_given(open_tiny, tmp_path, monkeypatch):
    """With poles as the only tag all is pole; without tags it is what it was before."""
    read = pipeline.read_scenes
    before = list(open_tiny(tmp_path).main.class_maps("dense", split="val").label_maps("probability", tagged=False))

    def poles(source, split, data):
        scenes = read(source, split, data)
        return replace(scenes, tags=np.tile(np.array(scenes.label_space.classes) == "Pole", (len(scenes), 1)))

    stages = open_tiny(tmp_path).main
    monkeypatch.setattr(pipeline, "read_scenes", poles)
    maps, pole = stages.class_maps("dense", split="val"), stages.label_space.classes.index("Pole")
    assert all((labels == pole).all() for labels in maps.label_maps("probability", tagged=True))
    assert all(map(np.array_equal, maps.label_maps("probability", tagged=False), before))
    assert not all((labels == pole).all() for labels in before)


def test_where_no_tag_has_heat_a_tag_is_named_all_the_same(finished, monkeypatch):
    maps = finished.main.class_maps("dense", split="val")
    tags = np.flatnonzero(finished.main.scenes("val").tags[0])
    heat = torch.zeros(len(finished.main.label_space), 4, 4)
    tagged_last = np.arange(len(heat)) == tags[-1]
    monkeypatch.setattr(ClassMaps, "heat", lambda *_: heat)
    monkeypatch.setattr(ClassMaps, "_tags", lambda *_: tagged_last)
    assert (next(maps.label_maps("maximum", tagged=True)) == tags[-1]).all()


def test_class_maps_of_a_split_without_tags_are_scored_without_them(open_tiny, tmp_path, monkeypatch):
    read = pipeline.read_scenes

    def without_val_tags(source, split, data):
        scenes = read(source, split, data)
        return replace(scenes, tags=None) if split == "val" else scenes

    monkeypatch.setattr(pipeline, "read_scenes", without_val_tags)
    stages = open_tiny(tmp_path).main
    scored = rows(reference_scores(stages), system="class activation maps, tags given")
    assert set(scored["split"]) == {"train", "test"}
    with pytest.raises(DataError, match=r"the val pictures of .* have no tags"):
        stages.class_maps("dense", split="val").heat(0, "probability")


def test_the_best_labels_score_as_the_oracle(finished):
    """Every region with the majority of its true labels: the matrix is that of the oracle's label maps."""
    stages = finished.main
    scenes, space = stages.scenes("train"), stages.label_space
    truths = [scenes.label_map(i) for i in range(3)]
    pairs = list(zip(truths, stages.regions(), strict=True))
    best = np.concatenate([region_majority(truth, regions, len(space)) for truth, regions in pairs])
    matrix = label_confusion(stages, best)
    hits = sum(
        (oracle_label_map(truth, regions, len(space)) == truth)[truth != IGNORE].sum() for truth, regions in pairs
    )
    assert np.trace(matrix) == hits
    assert matrix.sum() == sum((truth != IGNORE).sum() for truth in truths)


def test_open_regions_are_misses(finished):
    stages = finished.main
    nothing = np.full(int(stages.features().counts.sum()), IGNORE, np.uint8)
    matrix = label_confusion(stages, nothing)
    assert matrix[:, :-1].sum() == 0
    assert matrix[:, -1].sum() == sum((stages.scenes("train").label_map(i) != IGNORE).sum() for i in range(3))


def test_variants_with_the_same_seeds_are_measured_once(finished):
    assert distinct_seed_rules(finished.main) == ["default", "paper_rules"]


def test_a_second_measuring_computes_nothing_new(open_tiny, finished, table):
    said = []
    again = all_scores(open_tiny(finished.places.build, said))
    assert said == []
    assert again.equals(table)


def test_a_split_without_labels_is_predicted_but_not_scored(open_tiny, tmp_path, monkeypatch):
    read = pipeline.read_scenes

    def without_test_labels(source, split, data):
        scenes = read(source, split, data)
        return replace(scenes, label_map=None) if split == "test" else scenes

    monkeypatch.setattr(pipeline, "read_scenes", without_test_labels)
    stages = open_tiny(tmp_path).main
    assert prediction_confusion(Segmentation(stages=stages), "test") is None
    assert len(list(Segmentation(stages=stages).predictions("test").folder.glob("*.png"))) == 2
    assert set(segmentation_scores(stages)["split"]) == {"train", "val"}
    assert set(reference_scores(stages)["split"]) == {"train", "val"}


def test_labels_are_for_measuring_only(open_tiny, finished, tmp_path, monkeypatch):
    """With every label map of every split destroyed, but the tags as they were, the results are the same."""
    read = pipeline.read_scenes

    def destroyed(source, split, data):
        return replace(read(source, split, data), label_map=lambda _: np.zeros((48, 64), np.uint8))

    monkeypatch.setattr(pipeline, "read_scenes", destroyed)
    stages = open_tiny(tmp_path).main
    for variant in ("default", "paper_rules"):
        for ours, expected in zip(stages.rounds(variant), finished.main.rounds(variant), strict=True):
            np.testing.assert_array_equal(ours, expected)
    assert Segmentation(stages=stages).losses() == Segmentation(stages=finished.main).losses()
    assert len(role_scores(stages)) > 0


def test_corrected_labels_are_counted_anew(open_tiny, tmp_path, monkeypatch):
    """The fingerprint of pictures need not know the labels that they are measured with alone."""
    read = pipeline.read_scenes

    def key(measured_with):
        corrected = lambda *given: replace(read(*given), measured_with=measured_with)  # noqa: E731
        monkeypatch.setattr(pipeline, "read_scenes", corrected)
        stages = open_tiny(tmp_path).main
        with stages.experiment.store.asking():
            return counted_reference(stages, MAPS, "val", 0).key

    assert key("first") == key("first") != key("corrected")


def test_agreement_with_tags_needs_no_label_and_follows_the_maps(finished, monkeypatch):
    """Maps that hold nothing but the tags agree with them fully; nothing of the label maps is read."""
    stages = finished.main
    found = tag_agreement(stages)
    assert found["class maps"].tolist() == ["whole", "patches", "dense"]
    assert found["mean"].between(0, 100).all()
    monkeypatch.setattr(ClassMaps, "picture_scores", lambda _: stages.tags.astype(float))
    monkeypatch.setattr(pipeline.Stages, "label_maps", None)
    told = tag_agreement(stages).drop(columns="class maps").to_numpy()
    assert np.nanmin(told) == 100


def test_a_class_that_few_pictures_lack_is_left_out_of_the_second_mean(finished, monkeypatch):
    """Ten of twenty pictures lack the first class and two the second, whose maps say nothing: 100 and 50."""
    tags = np.ones((20, 11), bool)
    tags[:10, 0], tags[:2, 1] = False, False
    scores = tags.astype(float)
    scores[:, 1] = 0
    monkeypatch.setattr(ClassMaps, "picture_scores", lambda _: scores)
    monkeypatch.setattr(pipeline.Stages, "tags", tags)
    found = tag_agreement(finished.main).iloc[0]
    assert (found["mean"], found[MEAN_OF_MANY]) == (75, 100)


def test_scores_of_a_picture_are_shares_that_no_tag_touches(finished):
    """The probabilities of the targets sum to at most one at every place, absorbing classes take the rest."""
    scores = finished.main.class_maps("dense").picture_scores()
    assert scores.shape == finished.main.tags.shape
    assert (scores >= 0).all()
    assert (scores.sum(1) <= 1 + 1e-5).all()
    assert scores[~finished.main.tags].max() > 0
