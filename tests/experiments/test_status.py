from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from wsss_lib.data.lock import lock
from wsss_lib.experiments.freshness import Status, notebook_stamp
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import TOY, load_profile
from wsss_lib.experiments.status import newest_model, status_lines
from wsss_lib.experiments.store import Store
from wsss_lib.vocabulary import SettingsError


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(build=tmp_path / "build")


def test_one_line_for_each_notebook_and_one_for_the_store(tmp_path: Path, places: Places):
    for name in ("01_a", "02_b", "03_c", "04_d", "05_e"):
        nbformat.write(new_notebook(cells=[new_code_cell("1")]), tmp_path / f"{name}.ipynb")
    for name in ("02_b", "03_c", "04_d", "05_e"):
        given = {"systems": "none"} if name == "05_e" else {}  # what it was asked for last counts
        stamp = notebook_stamp(tmp_path / f"{name}.ipynb", places, given)
        known = stamp if name != "03_c" else stamp | {"library": "of yesterday"}
        places.notebooks.mkdir(parents=True, exist_ok=True)
        status = Status(state="done", stamp=known, started="noon", parameters=given, seconds=90, peak_memory_mb=1234)
        status.save(places.notebooks / f"{name}.json")
        (places.notebooks / f"{name}.ipynb").write_text("")
    store = Store(places.store, report=lambda _: None)
    store.artefact("cams", params={}, inputs={}, make=lambda folder: (folder / "x").write_bytes(bytes(3_000_000)))

    with lock(places.notebooks / ".locks" / "04_d", waiting_for="04_d", report=print):
        *lines, last = status_lines(places, tmp_path)
    assert [line.split(maxsplit=2) for line in lines] == [
        ["01_a", "missing", "has not run yet"],
        ["02_b", "fresh", "1.5 min, 1.2 GB at most"],
        ["03_c", "stale", "changed since: library"],
        ["04_d", "running", "since noon"],
        ["05_e", "fresh", "1.5 min, 1.2 GB at most"],
    ]
    assert last == f"1 artefacts, 3.0 MB, in {places.store}"


def test_newest_model(places: Places):
    store = Store(places.store, report=lambda _: None)
    with pytest.raises(SettingsError, match=r"profile toy has no trained network .* run `wsss reproduce"):
        newest_model(places)
    main = {"dataset": TOY.main.dataset, "config": TOY.main.segmentation}
    for seed in (0, 1):
        last = store.artefact("segmentation", params={**main, "seed": seed}, inputs={}, make=lambda _: None)
    for other in ({"config": TOY.main.networks["fcn"]}, {"dataset": "voc"}):  # trained later, but not ours on streets
        store.artefact("segmentation", params={**main, **other, "seed": 0}, inputs={}, make=lambda _: None)
    assert newest_model(places) == last.folder


def test_newest_model_beyond_the_paper_has_learnt_from_labels_of_its_own(places: Places):
    """Neither the paper's network nor an ablation with the same network, though they were trained later."""
    store, beyond = Store(places.store, report=lambda _: None), replace(places, profile="toy-plus")
    role = load_profile("toy-plus").main
    own, other = (
        store.artefact("clustering", params={"variant": role.variants[name]}, inputs={}, make=lambda _: None)
        for name in ("plus_second_generation", "plus")
    )
    params = {"dataset": role.dataset, "config": role.beyond[role.plus].network, "seed": 0}
    wanted = store.artefact("segmentation", params=params, inputs={"labels": own}, make=lambda _: None)
    store.artefact("segmentation", params=params, inputs={"labels": other}, make=lambda _: None)
    paper = {**params, "config": role.segmentation}
    store.artefact("segmentation", params=paper, inputs={"labels": own}, make=lambda _: None)
    assert newest_model(beyond) == wanted.folder
