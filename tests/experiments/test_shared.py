"""What several processes made together, one process finds, and it is what one would have made."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.files import load_json
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import PAPER, load_profile
from wsss_lib.experiments.shared import _batch_sizes, make_together
from wsss_lib.vocabulary import SettingsError


def test_two_processes_make_what_one_finds(open_tiny, finished: Experiment, tmp_path):
    """Superpixels and heat bit for bit, losses of the region network within rounding; every record names them both.

    What one had made before it was killed, all but its name, none of them makes again.
    """
    experiment = open_tiny(tmp_path)
    stages, alone = experiment.main, finished.main
    killed = alone.clustering_artefact("paper_rules", 0)
    unnamed = experiment.store.root / killed.stage / f"{killed.key}.partial"
    shutil.copytree(killed.folder, unnamed)
    make_together(["classifier", "clustering"], experiment.places, processes=2, profile=experiment.profile)
    with experiment.store.asking() as asked:
        together = [stages.classifier_artefact(0), stages.clustering_artefact("default", 0)]
    assert all(each.artefact.complete for each in asked)
    for mine, other in zip(stages.regions(), alone.regions(), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert {each.record["processes"] for each in together} == {2}
    assert alone.classifier_artefact(0).record["processes"] == 1
    assert stages.clustering_artefact("paper_rules", 0).record == killed.record
    mine, other = (np.array(each.classifier_training()["losses"]) for each in (stages, alone))
    assert mine[0] == pytest.approx(other[0], abs=0.05)  # dropout and batch statistics are each process's own
    assert load_json(together[1].folder / "training.json")[0]["losses"]
    assert not list(tmp_path.rglob("*.partial"))


def test_an_unknown_stage_is_refused_before_anything_starts(tmp_path, open_tiny):
    with pytest.raises(SettingsError, match="no stage named 'segmentatoin'; did you mean 'segmentation'"):
        make_together(["segmentatoin"], open_tiny(tmp_path).places, processes=2)


@pytest.mark.parametrize(("stage", "allowed"), [("classifier", True), ("clustering", True), ("segmentation", False)])
def test_batches_that_cannot_be_divided_are_refused_before_anything_starts(tmp_path, monkeypatch, stage, allowed):
    """The paper's batches: 32 pictures and 128 regions, which four processes can share, and 10 crops, which not."""
    started = []
    monkeypatch.setattr("wsss_lib.experiments.shared.launch", lambda *_, processes: started.append(processes))
    places = Places(profile="paper-dry", build=tmp_path)
    if allowed:
        make_together([stage], places, processes=4, profile=replace(PAPER, textures=True))
    else:
        with pytest.raises(SettingsError, match="4 processes cannot divide batches of 10 between them"):
            make_together([stage], places, processes=4, profile=replace(PAPER, textures=True))
    assert started == ([4] if allowed else [])


def test_the_processes_of_torchrun_must_divide_the_batches(tmp_path, monkeypatch):
    """Sixteen on two machines, where one is asked for: they can share 32 pictures and 128 regions, but not 10 crops."""
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", "8"), ("WORLD_SIZE", "16")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("wsss_lib.experiments.shared.launch", lambda *_, **__: pytest.fail("started"))
    profile, places = replace(PAPER, textures=True), Places(profile="paper-dry", build=tmp_path)
    with pytest.raises(SettingsError, match="16 processes cannot divide batches of 10 between them"):
        make_together(["segmentation"], places, processes=1, profile=profile)


def test_processes_divide_pasted_regions_and_the_first_network_of_two_generations_too():
    assert _batch_sizes(load_profile("camvid-plus").main)["clustering"] == {512, 128, 8}
    assert _batch_sizes(load_profile("camvid").roles["voc"])["clustering"] == {512}


def test_the_names_are_in_the_order_of_the_method():
    assert list(MAKERS) == ["classifier", "clustering", "segmentation", "systems", "predictions"]


def test_what_variants_do_not_share_is_made_before_the_rounds(tmp_path):
    """``plus`` has the seeds of the paper's method and describes regions in another way; so do two ablations.

    Two processes would otherwise wait for one another at every one of them. What the second generation adds needs a
    network of the first one, so it is made with the rounds.
    """
    stages = Experiment(Places(profile="smoke-plus", build=tmp_path), report=None).main
    seeds, *described, one, two, three = MAKERS["clustering"](stages, "none")[:8]
    rounds = MAKERS["clustering"](stages, "none")[8:]
    assert (seeds.func.__name__, seeds.args) == ("seeds_artefact", ("default", 0))
    different = ["plus", "plus_without_geometry", "plus_coarse_features"]
    views = [task.__self__ for task in described]
    assert [(view.variant, view.seed, view.learnt) for view in views] == [
        (name, 0, None) for name in ("default", *different)
    ]
    assert [task.__self__.view.variant for task in (one, two, three)] == different
    assert [(task.func.__name__, task.args) for task in rounds] == [
        ("clustering_artefact", (variant, 0)) for variant in stages.role.variants
    ]
