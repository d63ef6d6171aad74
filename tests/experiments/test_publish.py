"""Publishing: only finished profiles, with checksums, and README blocks that follow the files."""

import json
import shutil
from dataclasses import replace

import pytest

from wsss_lib.experiments.places import Places
from wsss_lib.experiments.profiles import PROFILES
from wsss_lib.experiments.publish import filled, publish
from wsss_lib.experiments.store import Store
from wsss_lib.vocabulary import DataError


@pytest.fixture
def places(tmp_path):
    places = Places(profile="smoke", build=tmp_path / "build")
    for folder in (places.tables, places.figures, places.notebooks):
        folder.mkdir(parents=True)
    (places.tables / "table06.md").write_text("| a |\n")
    (places.figures / "figure1.png").write_bytes(b"picture")
    (places.figures / "figure1.svg").write_bytes(b"not published")
    (places.notebooks / "01_x.json").write_text(json.dumps({"state": "done", "seconds": 90, "peak_memory_mb": 500.0}))
    Store(places.store, report=lambda _: None).artefact("stage", params={}, inputs={}, make=lambda _: None)
    return places


def test_publishes_tables_figures_and_where_they_come_from(places, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- smoke/table06.md -->\nold\n<!-- end -->\nafter\n")
    folder = publish(places, figures=tmp_path / "figures", readme=readme)
    assert sorted(path.name for path in folder.iterdir()) == ["figure1.png", "provenance.json", "table06.md"]
    record = json.loads((folder / "provenance.json").read_text())
    assert record["notebooks"] == {"01_x": {"minutes": 1.5, "peak_memory_mb": 500.0}}
    assert set(record["files"]) == {"figure1.png", "table06.md"}
    made = next(places.store.glob("stage/*/record.json"))
    assert [each["commit"] for each in record["commits"]] == [str(json.loads(made.read_text())["commit"])]
    assert readme.read_text() == "before\n<!-- smoke/table06.md -->\n| a |\n<!-- end -->\nafter\n"


def test_of_other_peoples_pictures_only_a_few_are_published(places, tmp_path, monkeypatch):
    """Figures 5 and 6 of the main role and drawings without pictures are; the smoke profile's pictures are all ours."""
    names = {"figure01_teaser", "figure05_seeds_and_rounds", "figure05_seeds_and_rounds_voc", "figure06_val", "rounds"}
    for name in names:
        (places.figures / f"{name}.png").write_bytes(b"picture")
    ours = publish(places, figures=tmp_path / "ours", readme=tmp_path / "none")
    assert names <= {path.stem for path in ours.iterdir()}
    monkeypatch.setitem(PROFILES, "smoke", replace(PROFILES["smoke"], needs_data=True))
    theirs = publish(places, figures=tmp_path / "theirs", readme=tmp_path / "none")
    shown = {path.stem for path in theirs.iterdir()}
    assert shown & names == {"figure05_seeds_and_rounds", "figure06_val", "rounds"}


def test_a_block_without_its_file_stays(tmp_path):
    text = "<!-- toy/table01.md -->\nkept\n<!-- end -->"
    assert filled(text, tmp_path) == text


def test_an_unfinished_profile_is_not_published(places, tmp_path):
    (places.notebooks / "02_y.json").write_text(json.dumps({"state": "failed", "seconds": 1, "peak_memory_mb": 1.0}))
    with pytest.raises(DataError, match="02_y"):
        publish(places, figures=tmp_path / "figures", readme=tmp_path / "none")
    assert not (tmp_path / "figures").exists()


def test_results_without_records_are_not_published(places, tmp_path):
    shutil.rmtree(places.store)
    with pytest.raises(DataError, match="no artefacts"):
        publish(places, figures=tmp_path / "figures", readme=tmp_path / "none")


def test_a_large_file_is_refused(places, tmp_path, monkeypatch):
    monkeypatch.setattr("wsss_lib.experiments.publish.LARGEST_FILE", 3)
    with pytest.raises(DataError, match=r"table06\.md is larger"):
        publish(places, figures=tmp_path / "figures", readme=tmp_path / "none")
