"""Stages made beside each other: what one process finds afterwards, what fails, and what is refused."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from wsss_lib.baselines.ccnn import CcnnConfig
from wsss_lib.baselines.sec import SecConfig
from wsss_lib.experiments import at_once, counting, measure
from wsss_lib.experiments.at_once import make_at_once
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.files import load_json
from wsss_lib.experiments.makers import MAKERS
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.vocabulary import NoSpaceError, SettingsError, WsssError


def test_what_processes_made_beside_each_other_is_what_one_would_have_made(
    open_tiny, finished: Experiment, tmp_path, monkeypatch
):
    """Bit for bit, with as many threads as this process has."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))
    experiment = open_tiny(tmp_path)
    make_at_once(["clustering", "predictions"], experiment.places, processes=2, profile=experiment.profile)
    stages, alone = experiment.main, finished.main
    with experiment.store.asking() as asked:
        for variant in stages.role.variants:
            stages.clustering_artefact(variant, 0)
        predictions = [Segmentation(stages=stages).predictions(split) for split in ("train", "val", "test")]
    assert all(each.artefact.complete for each in asked)
    for mine, other in zip(stages.rounds(), alone.rounds(), strict=True):
        np.testing.assert_array_equal(mine, other)
    own, others = (load_json(Segmentation(stages=each).artefact().folder / "training.json") for each in (stages, alone))
    assert own["losses"] == others["losses"]
    assert [len(list(each.folder.glob("*.png"))) for each in predictions] == [3, 2, 2]


def test_what_fails_is_told_and_holds_up_nothing_else(open_tiny, tiny, tmp_path):
    """The network's weights are not there; the rounds, which need none, are made all the same."""
    role = replace(tiny, segmentation=replace(tiny.segmentation, weights="lost.safetensors"))
    experiment = open_tiny(tmp_path, role=role)
    with pytest.raises(WsssError, match=r"lost\.safetensors"):
        make_at_once(["segmentation", "clustering"], experiment.places, processes=2, profile=experiment.profile)
    with experiment.store.asking():
        rounds = experiment.main.clustering_artefact("default", 0)
    assert rounds.complete


def test_how_many_stages_are_made_is_told_now_and_then_and_at_the_end(monkeypatch):
    """Six stages: the first two are found in the store, then each takes twenty seconds."""
    clock = iter([0.0, 0.1, 0.2, 20.0, 40.0, 60.0, 80.0])
    monkeypatch.setattr(at_once, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    said: list[str] = []
    assert list(at_once._told(iter("abcdef"), 6, said.append)) == list("abcdef")
    assert said == ["stages: 4 of 6 done after 40 s", "stages: 6 of 6 done after 1.3 min"]


def test_a_full_disk_stops_everything(open_tiny, tmp_path, monkeypatch):
    """Other clear errors do not, see above."""
    experiment = open_tiny(tmp_path)
    monkeypatch.setattr(at_once, "_open_here", [(experiment, "all")])

    def full(*_):
        raise NoSpaceError("no space")

    monkeypatch.setitem(MAKERS, "classifier", lambda *_: [full])
    with pytest.raises(NoSpaceError):
        at_once._do(("classifier", experiment.main.role.dataset, 0))


def test_a_process_that_dies_is_told_and_not_waited_for(open_tiny, tmp_path, monkeypatch):
    """Killed by the system, as when memory runs out."""
    experiment = open_tiny(tmp_path)
    monkeypatch.setattr(at_once, "_do", signal.raise_signal)
    with pytest.raises(WsssError, match=r"a process .* died, .* --at-once 1; finished stages are kept"):
        at_once._made([signal.SIGKILL], 2, (experiment.places, "all", experiment.profile))


ENDLESS = """
import sys, time
from pathlib import Path
from wsss_lib.experiments import at_once
from wsss_lib.experiments.places import Places

def nap(sign):
    sign.touch()
    time.sleep(600)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    at_once._do = nap
    at_once._made([folder / "1", folder / "2"], 2, (Places(profile="smoke", build=folder / "build"), "all", None))
"""


def test_workers_end_with_the_process_that_started_them(tmp_path):
    """Killed without a chance to clean up, as by the system when memory runs out."""
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)])
    try:
        deadline = time.monotonic() + 300  # importing PyTorch three times beside other work takes minutes
        while not ((tmp_path / "1").exists() and (tmp_path / "2").exists()):
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        workers = psutil.Process(parent.pid).children()
    finally:
        parent.kill()
        parent.wait()
    assert len(workers) >= 2
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []


def test_ctrl_c_leaves_no_process_behind(open_tiny, tmp_path, monkeypatch):
    experiment = open_tiny(tmp_path)

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(at_once, "as_completed", interrupted)
    before = set(active_children())
    with pytest.raises(KeyboardInterrupt):
        make_at_once(["predictions"], experiment.places, processes=2, profile=experiment.profile)
    assert set(active_children()) == before


def test_only_what_is_asked_for_is_made(open_tiny, tiny, tmp_path):
    """Named systems, or none, leave out the others, other networks and full supervision, as the notebooks do."""
    stages = open_tiny(tmp_path, role=replace(tiny, systems={"ccnn": CcnnConfig(), "sec": SecConfig()})).main
    with stages.experiment.store.asking() as asked:
        for wanted, systems in (("sec", {"sec"}), ("none", set()), ("all", {"ccnn", "sec"})):
            asked.clear()
            for maker in MAKERS.values():
                for task in maker(stages, wanted):
                    task()
            params = [each.params for each in asked]
            assert {each["system"] for each in params if "system" in each} == systems
            assert any(each.artefact.stage == "full_supervision" for each in asked) is (wanted == "all")


def test_notebooks_find_labels_and_predictions_counted(open_tiny, tmp_path, monkeypatch):
    """So that a notebook, which is one process, does not count those of many networks one after the other."""
    experiment = open_tiny(tmp_path)
    make_at_once(["predictions"], experiment.places, processes=1, systems="none", profile=experiment.profile)
    monkeypatch.setattr(counting, "confusion_matrix", None)
    stages = open_tiny(tmp_path).main
    assert set(measure.segmentation_scores(stages)["split"]) == {"train", "val", "test"}
    assert set(measure.seed_scores(stages)["stage"]) == {*counting.SEED_STAGES.values(), "seeds"}
    assert set(measure.round_scores(stages)["variant"]) == set(stages.role.variants)
    references = measure.reference_scores(stages)
    assert set(references["split"]) == {"train", "val", "test"}
    assert {counting.COLOUR_TABLE, counting.MAPS, counting.MAPS_WITH_TAGS} <= set(references["system"])


def test_one_stage_at_a_time_on_a_gpu_or_a_single_core(monkeypatch):
    for gpu, cores, expected in ((False, 2, 2), (False, 16, 2), (False, 1, 1), (True, 16, 1)):
        monkeypatch.setattr(torch.cuda, "is_available", lambda gpu=gpu: gpu)
        monkeypatch.setattr(at_once, "physical_cores", lambda cores=cores: cores)
        assert at_once.sensible_number() == expected


def test_processes_divide_the_cores_unless_the_user_has_said_how(monkeypatch):
    monkeypatch.setattr(at_once, "physical_cores", lambda: 8)
    for given, expected in ((None, "2"), ("3", "3")):
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if given:
            monkeypatch.setenv("OMP_NUM_THREADS", given)
        with at_once._environment_of_workers(4):
            assert os.environ["OMP_NUM_THREADS"] == expected
        assert os.environ.get("OMP_NUM_THREADS") == given


def test_workers_keep_the_memory_that_they_free(monkeypatch):
    """glibc reads it when a process starts: it has to stand in the environment that workers get, and only there."""
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    ask = [sys.executable, "-c", "import os; print(os.environ.get('MALLOC_MMAP_MAX_'))"]
    with at_once._environment_of_workers(2):
        assert subprocess.check_output(ask, text=True) == "0\n"
    assert subprocess.check_output(ask, text=True) == "None\n"


def test_bad_arguments_are_refused_before_anything_starts(open_tiny, tmp_path):
    places = open_tiny(tmp_path).places
    with pytest.raises(SettingsError, match="no stage named 'predictoins'; did you mean 'predictions'"):
        make_at_once(["predictoins"], places, processes=2)
    for wrong in (0, 100_000):
        with pytest.raises(SettingsError, match=rf"must be between 1 and \d+ on this machine, not {wrong}"):
            make_at_once(["predictions"], places, processes=wrong)
    assert not places.store.exists()
