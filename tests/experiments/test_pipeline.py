"""The stages in order: made once, gone on with after a kill, remade only where something changed."""

import weakref
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wsss_lib.clustering.region_features import MaskedRoi, MeanPooled
from wsss_lib.data.pictures import read_label_map
from wsss_lib.experiments import pipeline, segmentation
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles.schema import Source
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.training import loop
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

FIRST_STAGES = {"classifier", "class_maps", "superpixels", "seeds", "region_features"}
STAGES = FIRST_STAGES | {"clustering", "segmentation", "predictions"}


def everything(experiment):
    """Final results of all stages, as plain arrays."""
    stages = experiment.main
    folder = Segmentation(stages=stages).predictions("test").folder
    return {
        "seeds": stages.seeds(where="patches"),
        **{variant: np.stack(stages.rounds(variant)) for variant in stages.role.variants},
        **{path.name: read_label_map(path, stages.label_space) for path in sorted(folder.glob("*.png"))},
        "losses": np.array(Segmentation(stages=stages).losses()["network"]),
    }


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def started(said):
    """Names of the stages that were made, in order."""
    return [line.partition(":")[0] for line in said if line.endswith((": started", "going on after an interruption"))]


# -------------------------------------------------------------------------------------------------- what stages return


def test_region_labels_cover_all_regions_of_all_pictures(finished):
    stages = finished.main
    count = sum(int(regions.max()) + 1 for regions in stages.regions())
    assert len(stages.regions()) == 3
    assert stages.features().counts.sum() == count
    for variant in stages.role.variants:
        assert len(stages.rounds(variant)) == 2
        assert all(labels.shape == (count,) for labels in stages.rounds(variant))
    for where in ("whole", "patches", "dense"):
        assert (stages.seeds(where=where) != IGNORE).all()  # every region takes its hottest tag


def test_more_superpixels_than_16_bits_can_tell_apart_are_refused(finished, monkeypatch):
    for count in (2**16, 2**16 + 1):
        numbered = np.arange(count, dtype=np.int32)[None]
        monkeypatch.setattr(pipeline, "superpixels", lambda *_, numbered=numbered: numbered)
        if count == 2**16:
            np.testing.assert_array_equal(finished.main.superpixels_of(0), numbered)
    with pytest.raises(SettingsError, match="falls into 65537 superpixels, more than 65536; raise scale or min_size"):
        finished.main.superpixels_of(0)


def test_labels_are_tags_of_their_picture(finished):
    stages = finished.main
    owner = np.repeat(np.arange(3), stages.features().counts)
    for labels in (
        stages.seeds(where="patches"),
        stages.seeds(where="whole"),
        *stages.rounds(),
        *stages.rounds("paper_rules"),
    ):
        assert stages.tags[owner, labels].all()


def test_label_maps_paint_the_regions(finished):
    stages = finished.main
    maps = stages.label_maps(stages.rounds()[-1])
    assert [each.shape for each in maps] == [(48, 64)] * 3
    assert maps[0][0, 0] == stages.rounds()[-1][0]  # region 0 holds the first pixel


def test_heat_is_zero_where_the_tag_is_absent(finished):
    stages = finished.main
    for variant in ("default", "paper_rules"):
        heat = stages.class_maps("patches").heat(1, stages.variant(variant).heat).numpy()
        assert heat.shape[0] == len(stages.label_space)
        assert heat[~stages.tags[1]].max() == 0
        assert 0 < heat.max() <= 1
    literal = stages.class_maps("patches").heat(1, "maximum").numpy()
    assert set(literal.max((1, 2)).tolist()) <= {0, 1}  # every class is divided by its own maximum


def test_the_poolings_of_the_variants(finished):
    stages = finished.main
    assert isinstance(stages.features("default"), MeanPooled)
    assert isinstance(stages.features("paper_rules"), MaskedRoi)
    assert stages.features("paper_rules").width == stages.classifier().backbone.channels * 49


@pytest.mark.parametrize(("split", "count"), [("train", 3), ("val", 2), ("test", 2)])
def test_predictions_are_index_pngs_named_as_the_pictures(finished, split, count):
    scenes, folder = finished.main.scenes(split), Segmentation(stages=finished.main).predictions(split).folder
    assert len(scenes) == count
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(scenes.names)
    for name in scenes.names:
        assert read_label_map(folder / f"{name}.png", scenes.label_space).shape == (48, 64)


def test_losses_of_every_step_are_kept(finished):
    stages = finished.main
    assert len(stages.classifier_training()["losses"]) == 12
    assert len(stages.classifier_training()["accuracy"]) == len(stages.pictures.classes)
    assert [len(each["center_losses"]) for each in stages.clustering_training()] == [2, 2]
    assert len(Segmentation(stages=stages).losses()["network"]) == 4


def test_artefacts_hold_results_and_no_leftovers(finished):
    files = {path.name for path in finished.places.store.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith(".pt")]
    assert not list(finished.places.store.rglob("*.partial"))  # folders of stages that are being made
    empty = [path for path in finished.places.store.rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert [path for path in empty if ".locks" not in path.parts] == []


def test_the_segmentation_network_starts_from_the_classifier(open_tiny, finished, tmp_path, monkeypatch):
    role = replace(finished.main.role, segmentation=replace(finished.main.role.segmentation, label_stride=8))
    seen = {}

    def spy(network, *_, **__):
        seen.update({name: value.clone() for name, value in network.backbone.state_dict().items()})
        raise KeyboardInterrupt

    monkeypatch.setattr(segmentation, "train_segmentation", spy)
    experiment = open_tiny(tmp_path, role=role)
    with pytest.raises(KeyboardInterrupt):
        Segmentation(stages=experiment.main).artefact()
    expected = experiment.main.classifier().backbone.state_dict()
    assert seen.keys() == expected.keys()
    assert all(torch.equal(seen[name], value) for name, value in expected.items())


# ------------------------------------------------------------------------------------------------- made once, and kept


def test_a_second_run_makes_nothing(open_tiny, finished):
    said = []
    again = open_tiny(finished.places.build, said)
    assert_same(everything(finished), everything(again))
    assert said == []


def test_a_fresh_run_from_the_last_stage_gives_the_same(open_tiny, finished, tmp_path):
    """Nothing comes from memory or from the order of asking: another folder, the latest stage asked for first."""
    said = []
    fresh = open_tiny(tmp_path, said)
    assert_same(everything(finished), everything(fresh))
    assert set(started(said)) == STAGES


def written(experiment):
    """When each artefact was finished."""
    records = experiment.places.store.glob("*/*/record.json")
    return {path.parent.relative_to(experiment.places.store): path.stat().st_mtime_ns for path in records}


@pytest.mark.parametrize(
    ("name", "done"),
    [
        ("superpixels", {"classifier"}),
        ("cluster", FIRST_STAGES),
        ("train_segmentation", FIRST_STAGES | {"clustering"}),
    ],
)
def test_a_run_killed_in_a_stage_goes_on_from_the_last_finished_one(
    open_tiny, finished, tmp_path, monkeypatch, name, done
):
    def dies(*_, **__):
        raise KeyboardInterrupt

    killed = open_tiny(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(segmentation if name == "train_segmentation" else pipeline, name, dies)
        with pytest.raises(KeyboardInterrupt):
            everything(killed)
    before = written(killed)
    assert {path.parent.name for path in before} == done
    resumed = open_tiny(tmp_path)
    assert_same(everything(finished), everything(resumed))
    after = written(resumed)
    assert {path: after[path] for path in before} == before  # none of them was made again
    assert after.keys() <= written(finished).keys()


@pytest.mark.parametrize("stage", ["classifier", "clustering", "segmentation"])
def test_a_stage_killed_within_goes_on_from_its_checkpoint(open_tiny, finished, tmp_path, monkeypatch, stage):
    """The training loop saves after three of four steps; the fourth batch of the stage never comes."""
    said = []
    stages = open_tiny(tmp_path, said).main
    make = {
        "classifier": lambda: stages.classifier_artefact(0),
        "clustering": lambda: stages.clustering_artefact("default", 0),
        "segmentation": lambda: Segmentation(stages=stages).artefact(),
    }
    for before in {"classifier": [], "clustering": ["classifier"], "segmentation": ["clustering"]}[stage]:
        make[before]()
    batches = loop._batches

    def dies(batch, start, stop, *, threads):
        for step, values in batches(batch, start, stop, threads=threads):
            if step == 3:
                raise KeyboardInterrupt
            yield step, values

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_batches", dies)
        with pytest.raises(KeyboardInterrupt):
            make[stage]()
    assert list((stages.experiment.places.store / stage).rglob("*.pt"))
    make[stage]()
    assert f"{stage}: going on after an interruption" in said
    assert_same(everything(finished), everything(stages.experiment))


def test_how_large_the_pictures_are_is_part_of_the_network(open_tiny, finished, monkeypatch):
    """It is written beside the weights: larger pictures are brought to it before they are predicted."""
    monkeypatch.setattr(Source, "longest_side", 17)
    stages = open_tiny(finished.places.build).main
    with stages.experiment.store.asking() as asked:
        for run in (Segmentation(stages=stages), Segmentation(stages=stages, system="ccnn")):
            run.artefact()
    assert {each.artefact.stage for each in asked if not each.artefact.complete} == {"segmentation", "system"}


def test_a_changed_setting_remakes_only_what_follows(open_tiny, finished):
    stages = finished.main
    coarser = replace(stages.role.segmentation, label_stride=2)
    said = []
    changed = open_tiny(finished.places.build, said, role=replace(stages.role, segmentation=coarser))
    Segmentation(stages=changed.main).predictions("val")
    assert started(said) == ["segmentation", "predictions"]
    said.clear()
    superpixels = replace(stages.role.superpixels, scale=80.0)
    open_tiny(finished.places.build, said, role=replace(stages.role, superpixels=superpixels)).main.rounds()
    assert sorted(started(said)) == ["clustering", "region_features", "seeds", "superpixels"]


def test_variants_and_seeds_share_one_array_of_features(finished):
    """On CamVid it has 0.9 GB, and a run asks for it six times."""
    stages = finished.main
    assert stages.features("default").array is stages.features("no_center_loss").array
    assert stages.class_maps("dense").arrays is stages.class_maps("dense").arrays


def test_of_features_only_the_last_ones_stay_in_memory(open_tiny, finished, tmp_path):
    """Those of four variants were 3.5 GB in each of two processes while networks learnt."""
    role = finished.main.role
    paper = role.variants["default"]
    other = replace(paper, features=replace(paper.features, geometry_copies=1))
    stages = open_tiny(tmp_path, role=replace(role, variants={"default": paper, "other": other})).main
    before = weakref.ref(stages.features("default").array)
    assert before() is not None
    stages.features("other")
    assert before() is None


def test_variants_share_what_they_have_in_common(finished):
    stages = finished.main
    made = [artefact.stage for artefact in finished.store.used]
    assert made.count("region_features") == 2  # mean and masked RoI
    assert made.count("classifier") == made.count("superpixels") == 1
    assert np.array_equal(stages.seeds(), stages.seeds("no_center_loss"))
    with_loss, without = (stages.clustering_training(variant)[0] for variant in ("default", "no_center_loss"))
    assert with_loss["losses"] == without["losses"]


# ---------------------------------------------------------------------------------------------------------- bad input


def test_unknown_roles_and_variants_are_answered_with_the_known(finished):
    with pytest.raises(SettingsError, match="profile tiny has no role 'voc', only camvid"):
        finished.role("voc")
    with pytest.raises(SettingsError, match="camvid has no variant 'no_centre_loss', only default, no_center_loss"):
        finished.main.rounds("no_centre_loss")
    with pytest.raises(SettingsError, match="camvid has no variant 'paper'"):
        finished.main.seeds("paper")


def test_unknown_localisations_are_answered_with_the_known(finished):
    with pytest.raises(SettingsError, match="camvid has no localisation 'patch', only whole, patches, dense"):
        finished.main.seeds(where="patch")


def test_an_unknown_profile_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no profile named 'smoky'; did you mean 'smoke'"):
        Experiment(Places(profile="smoky", build=tmp_path))


@pytest.mark.parametrize("part", ["classifier", "segmentation"])
def test_a_profile_that_needs_weights_says_how_to_give_them(open_tiny, finished, tmp_path, part):
    role = finished.main.role
    role = replace(role, **{part: replace(getattr(role, part), weights="small.safetensors")})
    stages = open_tiny(tmp_path, role=role).main
    with pytest.raises(DataError, match=r"starts from the file small.safetensors: give its folder, .*WEIGHTS=<folder>"):
        Segmentation(stages=stages).artefact()


def test_training_pictures_without_tags_are_refused(open_tiny, tmp_path, monkeypatch):
    read = pipeline.read_scenes
    monkeypatch.setattr(pipeline, "read_scenes", lambda *arguments: replace(read(*arguments), tags=None))
    with pytest.raises(DataError, match=r"the training pictures of .* have no tags; the method starts from them"):
        open_tiny(tmp_path).main.seeds()


# ------------------------------------------------------------------------------------------------------------- places


def test_the_main_role_and_the_label_spaces(finished):
    assert finished.main is finished.role("camvid")
    assert {name: space.name for name, space in finished.label_spaces.items()} == {"camvid": "camvid"}


def test_costly_variants_are_not_repeated(open_tiny, finished, tmp_path):
    role = replace(finished.main.role, clustering_seeds=(0, 1, 2), segmentation_seeds=(0,))
    stages = open_tiny(tmp_path, role=role).main
    assert stages.variant_seeds("default") == stages.variant_seeds("no_center_loss") == (0, 1, 2)
    assert stages.variant_seeds("paper_rules") == (0,)


def test_what_a_network_starts_from_is_in_its_key(finished, open_tiny, tmp_path, monkeypatch):
    """Another file of weights under the old name, and for what starts from the classifier another classifier."""

    def key(stages):
        with stages.experiment.store.asking():
            return Segmentation(stages=stages, system=segmentation.FULL_SUPERVISION).artefact().key

    before, role = key(finished.main), finished.main.role
    monkeypatch.setattr(pipeline.Stages, "weights_fingerprint", lambda *_: "another file")
    assert key(finished.main) != before
    monkeypatch.undo()
    longer = replace(role.classifier, training=replace(role.classifier.training, steps=99))
    assert key(open_tiny(tmp_path, role=replace(role, classifier=longer)).main) != before


def test_weights_files_of_one_name_are_told_apart(tiny, tmp_path):
    """Another file in another folder must not find the results of the first."""
    fingerprints = []
    for folder, content in (("a", b"one"), ("b", b"two"), ("c", b"one")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "net.safetensors").write_bytes(content)
        places = SimpleNamespace(weights=tmp_path / folder)
        stages = pipeline.Stages(tiny, SimpleNamespace(places=places, compute=None))
        fingerprints.append(stages.weights_fingerprint("net.safetensors"))
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]
    assert stages.weights_fingerprint("none") == "none"
