from pathlib import Path

import pytest

from wsss_lib.experiments.places import NOTEBOOKS, REPOSITORY, Places
from wsss_lib.vocabulary import DataError, SettingsError


def test_without_any_variable_it_is_the_toy_profile_beside_the_notebooks():
    places = Places.from_environment({})
    assert (places.profile, places.data, places.weights) == ("toy", None, None)
    assert places.folder == REPOSITORY / "build" / "toy"
    assert NOTEBOOKS.parent == REPOSITORY


def test_environment_there_and_back(tmp_path: Path):
    for name in ("data", "weights"):
        (tmp_path / name).mkdir()
    places = Places(profile="camvid", data=tmp_path / "data", weights=tmp_path / "weights", build=tmp_path / "b")
    assert Places.from_environment(places.environment()) == places


def test_absent_inputs_overrule_what_the_user_has_set(tmp_path: Path):
    environment = {"WSSS_DATA": str(tmp_path)} | Places(build=tmp_path).environment()
    assert Places.from_environment(environment).data is None


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    places = Places(data=Path("data"), build=Path("out"))
    assert (places.data, places.build) == (tmp_path / "data", tmp_path / "out")


def test_beyond_the_paper_shares_all_but_what_readers_see(tmp_path: Path):
    paper, plus = (Places(profile=name, build=tmp_path) for name in ("camvid", "camvid-plus"))
    assert (plus.folder, plus.store, plus.predictions) == (paper.folder, paper.store, paper.predictions)
    assert plus.tables == paper.folder / "tables-plus"
    assert plus.figures == paper.folder / "figures-plus"
    assert plus.notebooks == paper.folder / "notebooks-plus"


def test_repeated_trainings_lie_beside_the_profile_that_they_repeat(tmp_path: Path):
    once, repeated = (Places(profile=name, build=tmp_path) for name in ("camvid", "camvid-seeds"))
    assert repeated.store == once.store
    assert repeated.tables == once.folder / "tables-seeds"
    assert Places(profile="paper-dry", build=tmp_path).folder == tmp_path / "paper-dry"


def test_input_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(DataError, match=r"weights folder .*nowhere is not there; pass --weights"):
        Places(weights=tmp_path / "nowhere")


@pytest.mark.parametrize("profile", ["", "../toy", "Toy", "a b"])
def test_profile_that_would_not_be_one_folder(profile: str):
    with pytest.raises(SettingsError, match="cannot be a profile"):
        Places(profile=profile)
