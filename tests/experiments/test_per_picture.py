"""Arrays made picture by picture: what is there is kept, who makes it makes no difference, and memory is bounded."""

import sys
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

from wsss_lib.experiments import memory, per_picture
from wsss_lib.experiments.experiment import Experiment
from wsss_lib.experiments.per_picture import PictureArrays, Workers, make_each
from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.vocabulary import SettingsError


def square(index: int) -> np.ndarray:
    return np.array([index * index], dtype=np.uint16)


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def quiet(_: str) -> None: ...


def test_every_picture_has_a_file(tmp_path):
    make_each(square, tmp_path, 3, workers=Workers(), report=quiet)
    arrays = PictureArrays(tmp_path, 3, np.int32)
    assert [each.tolist() for each in arrays] == [[0], [1], [4]]
    assert arrays[-1].dtype == np.int32
    assert [each.tolist() for each in arrays[1:]] == [[1], [4]]
    with pytest.raises(IndexError):
        arrays[3]


def test_what_is_there_is_not_made_again(tmp_path):
    made, cuts = [], [2]

    def counted(index: int) -> np.ndarray:
        if index in cuts:
            cuts.remove(index)
            raise InterruptedError
        made.append(index)
        return square(index)

    with pytest.raises(InterruptedError):
        make_each(counted, tmp_path, 4, workers=Workers(), report=quiet)
    make_each(counted, tmp_path, 4, workers=Workers(), report=quiet)
    assert made == [0, 1, 2, 3]


def test_progress_is_told_every_fifty_pictures(tmp_path):
    said = []
    make_each(square, tmp_path, 104, workers=Workers(), report=said.append)
    assert said == ["picture 56/104, 0 s left", "picture 104/104, 0 s left"]


def test_only_what_fits_stays_in_memory(tmp_path, monkeypatch):
    make_each(square, tmp_path, 3, workers=Workers(), report=quiet)
    monkeypatch.setattr(memory, "KEPT_BYTES", 4)  # two arrays of two bytes
    monkeypatch.setattr(memory, "KEPT_SHARE", 0)
    arrays = PictureArrays(tmp_path, 3)
    assert arrays[1] is arrays[1]
    assert arrays[2] is arrays[2]
    assert arrays[0] is not arrays[0]
    assert arrays[1] is arrays[1]


def test_arrays_stay_in_memory_as_they_were_written(tmp_path):
    make_each(square, tmp_path, 3, workers=Workers(), report=quiet)
    wide = PictureArrays(tmp_path, 3, np.int32)
    assert wide[1].dtype == np.int32
    assert wide._kept(1).dtype == np.uint16


def test_two_processes_make_the_same_as_one(finished: Experiment, open_tiny, tmp_path):
    """Superpixels, class maps and masked features of the tiny role, bit for bit; a worker opens the stages anew."""
    alone = finished.main
    stages = open_tiny(tmp_path).main
    stages.experiment.workers = Workers(count=2)
    np.testing.assert_array_equal(stages.rounds("paper_rules")[-1], alone.rounds("paper_rules")[-1])
    pairs = [(stages.regions_artefact, alone.regions_artefact)]
    pairs += [(each.class_maps("patches").artefact() for each in (stages, alone))]
    for mine, other in pairs:
        assert written(mine.folder).keys() == written(other.folder).keys()
        assert all(
            content == written(other.folder)[name]
            for name, content in written(mine.folder).items()
            if name.endswith(".npz")
        )


def test_what_is_kept_in_memory_makes_no_difference(finished: Experiment, open_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "has_room", lambda *_: False)
    stages = open_tiny(tmp_path).main
    for mine, kept in zip(stages.rounds(), finished.main.rounds(), strict=True):
        np.testing.assert_array_equal(mine, kept)


def test_what_trainings_ask_for_stays_in_memory(finished: Experiment):
    """Pictures, label maps, the labels that a network learns from, and the seeds of the compared systems."""
    stages = finished.main
    scenes, run = stages.scenes("train"), Segmentation(stages=stages)
    assert scenes.label_map is not None
    for ask in (scenes.image, scenes.label_map, run._learnt_from(), run.material().seeds):
        assert ask(0) is ask(0)


def test_a_dask_cluster_makes_the_same(tmp_path):
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None, protocol="tcp"
    ) as own:
        workers = Workers(cluster=own.scheduler_address)
        make_each(square, tmp_path / "cluster", 12, workers=workers, report=quiet)
    make_each(square, tmp_path / "alone", 12, workers=Workers(), report=quiet)
    assert written(tmp_path / "cluster") == written(tmp_path / "alone")


def test_workers_of_the_environment():
    assert Workers.from_environment({}) == Workers()
    assert Workers.from_environment({"WSSS_WORKERS": "4", "WSSS_CLUSTER": "tcp://a:1"}) == Workers(
        count=4, cluster="tcp://a:1"
    )


@pytest.mark.parametrize("count", ["0", "-1", "many", "1.5"])
def test_a_number_of_workers_that_is_none(count):
    with pytest.raises(SettingsError, match=r"number of (workers|processes)"):
        Workers.from_environment({"WSSS_WORKERS": count})


def test_a_cluster_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(per_picture, "_PATIENCE", 1)
    with pytest.raises(SettingsError, match="no dask scheduler answers at tcp://127"):
        make_each(square, tmp_path, 1, workers=Workers(cluster="tcp://127.0.0.1:9"), report=quiet)


def test_a_cluster_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SettingsError, match="needs the package distributed"):
        make_each(square, tmp_path, 1, workers=Workers(cluster="tcp://127.0.0.1:9"), report=quiet)
