"""Collages of a role: what is pasted and kept, what the rounds learn from it, and what makes it stale."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.experiments import collages, pipeline
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.profiles import load_profile
from wsss_lib.vocabulary import IGNORE, SettingsError

CONFIG = CollageConfig(pieces=4, smallest=0.0, batch_size=8)


@pytest.fixture(scope="module")
def stages(finished, open_tiny):
    """The finished stages with a variant that learns from collages."""
    role = finished.main.role
    variants = {**role.variants, "pasted": replace(role.variants["default"], collages=CONFIG)}
    return open_tiny(finished.places.build, role=replace(role, variants=variants)).main


@pytest.fixture(scope="module")
def made(stages):
    """Its collages, made."""
    (found,) = stages.collages("pasted")
    assert found.artefact().complete
    return found


def test_what_is_kept_is_what_was_pasted(stages, made):
    regions, features = made.pasted(), stages.features("pasted")
    assert regions.features.shape == (len(regions.labels), features.width)
    assert set(regions.labels.tolist()) <= made.cuttings().keys() & made.spots().keys()
    assert np.isfinite(regions.features).all()
    rows = [made.pasted_into(picture) for picture in range(3)]
    np.testing.assert_array_equal(np.concatenate(rows)[:, -1], regions.labels)


def test_pieces_differ_from_picture_to_picture_and_come_again(stages, made):
    scenes, places = stages.scenes("train"), []
    for picture in range(3):
        image, labels = made.collage_of(picture)
        assert labels.shape == image.shape[:2] == (48, 64)
        far = labels == IGNORE  # beyond the soft edges of what was pasted
        assert (image[far] == scenes.image(picture)[far]).mean() > 0.8
        assert (image != scenes.image(picture)).any()
        assert made.collage_of(picture)[1].tolist() == labels.tolist()
        places.append(labels)
    assert (places[0] != places[1]).any()


def test_spots_are_where_the_seeds_are(stages, made):
    maps = stages.label_maps(stages.seeds("pasted"))
    found = {label: sum(spot.mask.sum() for spot in spots) for label, spots in made.spots().items()}
    expected = np.bincount(np.concatenate([each.ravel() for each in maps]), minlength=IGNORE + 1)
    assert found == {label: expected[label] for label in range(IGNORE) if expected[label]}


def test_a_worker_makes_the_same(made):
    again = pickle.loads(pickle.dumps(made))
    assert again is not made
    np.testing.assert_array_equal(again.pasted_into(1), made.pasted_into(1))


def test_pictures_are_cut_once_in_a_process(made, monkeypatch):
    made.cuttings()
    monkeypatch.setattr(collages, "whole_or_cut", None)
    assert pickle.loads(pickle.dumps(made)).cuttings() == made.cuttings()
    with pytest.raises(KeyError):
        collages._once("nothing", "a", dict)["b"]
    assert collages._once("nothing", "b", lambda: {"b": 1})["b"] == 1


def test_of_every_class_that_stands_for_one_the_first_pictures_are_cut(stages, made, monkeypatch):
    """Seven pictures of three classes, of which the second stands for none: at most two of the others."""
    simple = replace(made.stages.simple, classes=("a", "b", "c"), labels=(0, 1, 2, 0, 0, 1, 2), targets=(4, IGNORE, 0))
    monkeypatch.setitem(vars(stages), "simple", simple)
    monkeypatch.setattr(collages, "MOST", 2)
    assert stages.collages("pasted")[0].to_cut == [0, 3, 2, 6]


def test_the_rounds_learn_from_them(stages, made, monkeypatch):
    """They are handed over, and no other variant gets any."""
    given, cluster = [], pipeline.cluster

    def spied(views, *arguments, **others):
        given.extend(view.pasted for view in views)
        return cluster(views, *arguments, **others)

    monkeypatch.setattr(pipeline, "cluster", spied)
    assert len(stages.rounds("pasted")) == 2
    (pasted,) = given  # the default was made before
    np.testing.assert_array_equal(pasted.labels, made.pasted().labels)
    assert stages.collages("default") == []


def test_every_seed_has_its_own_and_variants_share_them(stages, open_tiny, finished):
    """Repetitions that learnt from the same collages would spread too little, and agree too well."""
    role = replace(stages.role, classifier_per_seed=False, clustering_seeds=(0, 1))
    pasted = role.variants["pasted"]
    again = replace(pasted, clustering=replace(pasted.clustering, center_weight=0.5))
    role = replace(role, variants={**role.variants, "again": again})
    same = open_tiny(finished.places.build, role=role).main
    with same.experiment.store.asking():
        one, other, shared = (
            same.collages(name, seed)[0].artefact() for name, seed in (("pasted", 0), ("pasted", 1), ("again", 1))
        )
    assert one.key != other.key == shared.key
    drawn = [
        same.collages(name, seed)[0].collage_of(0)[1].tolist()
        for name, seed in (("pasted", 0), ("pasted", 1), ("again", 1))
    ]
    assert drawn[0] != drawn[1] == drawn[2]
    with same.experiment.store.asking() as asked:
        for task in MAKERS["clustering"](same):
            task()
    assert len({each.artefact.key for each in asked if each.artefact.stage == "collages"}) == 2


def test_another_setting_makes_other_rounds_of_this_variant_alone(stages, open_tiny, finished):
    def keys(config):
        variants = {**stages.role.variants, "pasted": replace(stages.role.variants["pasted"], collages=config)}
        other = open_tiny(finished.places.build, role=replace(stages.role, variants=variants)).main
        with other.experiment.store.asking():
            artefacts = [
                other.collages("pasted")[0].artefact(),
                *map(other.clustering_artefact, ("pasted", "default"), (0, 0)),
            ]
            return [each.key for each in artefacts], other.collages("pasted")[0].cuttings_artefact().key

    (one, rounds, default), cuttings = keys(CONFIG)
    (more, others, same), uncut = keys(replace(CONFIG, pieces=5))
    assert (one != more, rounds != others, default == same, cuttings == uncut) == (True,) * 4


def test_a_variant_without_collages_has_no_settings_of_them(stages):
    with pytest.raises(SettingsError, match="'default' of camvid has no collages"):
        _ = collages.Collages(view=stages.views("default", 0)[0]).settings


def test_what_cannot_have_collages_is_refused():
    camvid = load_profile("camvid")
    literal, voc = camvid.main.variants["paper_rules"], camvid.roles["voc"]
    with pytest.raises(SettingsError, match="mean-pooled features"):
        replace(literal, collages=CONFIG)
    with pytest.raises(SettingsError, match="no simple pictures"):
        replace(voc, variants={"default": replace(voc.variants["default"], collages=CONFIG)})
