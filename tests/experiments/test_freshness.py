import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from wsss_lib.data.pictures import fingerprint_of_files
from wsss_lib.experiments import freshness
from wsss_lib.experiments.freshness import Status, files_since, folder_fingerprint, notebook_stamp, why_stale
from wsss_lib.experiments.places import Places
from wsss_lib.experiments.store import Store
from wsss_lib.vocabulary import SettingsError

EARLIER = '{"state": "done", "stamp": {}, "started": "now", "outputs": ["tables/a.csv"]}'


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(profile="smoke", build=tmp_path / "build")


def notebook_with(source: str, path: Path) -> Path:
    nbformat.write(new_notebook(cells=[new_code_cell(source, id="a")]), path)
    return path


def done(stamp: dict[str, str], **changes) -> Status:
    return Status(**({"state": "done", "stamp": stamp, "started": "now"} | changes))


def test_fresh_when_nothing_changed(tmp_path: Path, places: Places):
    stamp = notebook_stamp(notebook_with("1", tmp_path / "01.ipynb"), places, {"a": 1})
    assert why_stale(done(stamp), dict(stamp), places) == ""


def test_stale_says_which_part_changed(tmp_path: Path, places: Places):
    notebook = notebook_with("1", tmp_path / "01.ipynb")
    old = done(notebook_stamp(notebook, places, {"a": 1}))
    assert why_stale(old, notebook_stamp(notebook, places, {"a": 2}), places) == "changed since: parameters"
    notebook_with("2", notebook)
    assert why_stale(old, notebook_stamp(notebook, places, {"a": 1}), places) == "changed since: notebook"
    (tmp_path / "data").mkdir()
    moved = Places(profile="smoke", build=places.build, data=tmp_path / "data")
    assert why_stale(old, notebook_stamp(notebook, moved, {"a": 1}), places) == "changed since: notebook, data"
    weights = tmp_path / "weights" / "net.pth"
    weights.parent.mkdir()
    weights.write_bytes(b"one")
    given = Places(profile="smoke", build=places.build, weights=weights.parent)
    old = done(notebook_stamp(notebook, given, {"a": 1}))
    weights.write_bytes(b"other")
    assert why_stale(old, notebook_stamp(notebook, given, {"a": 1}), places) == "changed since: weights"


def test_outputs_in_the_source_do_not_matter(tmp_path: Path, places: Places):
    notebook = notebook_with("1", tmp_path / "01.ipynb")
    before = notebook_stamp(notebook, places, {})
    content = nbformat.read(notebook, as_version=4)
    content.cells[0].outputs = [nbformat.v4.new_output("stream", text="1")]
    content.cells[0].execution_count = 7
    nbformat.write(content, notebook)
    assert notebook_stamp(notebook, places, {}) == before


def test_only_earlier_notebooks_count(tmp_path: Path, places: Places):
    notebook = notebook_with("1", tmp_path / "05.ipynb")
    places.notebooks.mkdir(parents=True)
    done({"notebook": "a"}).save(places.notebooks / "03.json")
    old = done(notebook_stamp(notebook, places, {}))
    done({"notebook": "a"}, seconds=9).save(places.notebooks / "03.json")
    done({"notebook": "a"}).save(places.notebooks / "07.json")
    assert why_stale(old, notebook_stamp(notebook, places, {}), places) == ""
    done({"notebook": "b"}).save(places.notebooks / "03.json")
    assert why_stale(old, notebook_stamp(notebook, places, {}), places) == "changed since: earlier notebooks"


@pytest.mark.parametrize("stage", ["clustering", "segmentation", "full_supervision", "system"])
def test_what_shows_all_that_is_trained_is_stale_when_more_is(tmp_path: Path, places: Places, stage: str):
    notebook = notebook_with("1", tmp_path / "05.ipynb")
    shown = [{"systems": "finished"}, {"systems": "all"}]
    before = [done(notebook_stamp(notebook, places, each)) for each in shown]
    assert why_stale(before[0], notebook_stamp(notebook, places, shown[0]), places) == ""
    Store(places.store).artefact(stage, params={}, inputs={}, make=lambda _: None)
    after = [
        why_stale(old, notebook_stamp(notebook, places, each), places) for old, each in zip(before, shown, strict=True)
    ]
    assert after == ["changed since: trained networks", ""]


def test_library_and_lock_file_count(tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch):
    notebook = notebook_with("1", tmp_path / "01.ipynb")
    old = done(notebook_stamp(notebook, places, {}))
    monkeypatch.setattr(freshness, "_source", lambda _: ("changed",))
    monkeypatch.setattr(freshness, "_lock_file", lambda: "torch==99")
    assert why_stale(old, notebook_stamp(notebook, places, {}), places) == "changed since: library, environment"


@pytest.mark.parametrize(
    ("state", "reason"),
    [("failed", "failed last time"), ("interrupted", "was interrupted"), ("running", "was interrupted")],
)
def test_a_run_that_did_not_end_well_is_never_fresh(places: Places, state: str, reason: str):
    assert why_stale(done({}, state=state), {}, places) == reason
    assert why_stale(None, {}, places) == "has not run yet"


def test_artefacts_and_outputs_must_still_be_there(places: Places):
    artefact = Store(places.store, report=lambda _: None).artefact("seeds", params={}, inputs={}, make=lambda _: None)
    table = places.tables / "table_5.csv"
    table.parent.mkdir()
    table.write_text("")
    outputs = files_since(places.folder, 0, within=[places.tables])
    status = done({}, artefacts=[f"seeds/{artefact.key}"], outputs=outputs)
    assert why_stale(status, {}, places) == ""
    table.write_text("another profile's, or an edited one")
    assert why_stale(status, {}, places) == "tables/table_5.csv is not as it wrote it"
    table.unlink()
    assert why_stale(status, {}, places) == "a file that it made is gone"
    (artefact.folder / "record.json").unlink()
    assert why_stale(status, {}, places) == "a stage that it uses is no longer in the store"


def test_status_there_and_back(tmp_path: Path):
    status = done({"notebook": "a"}, seconds=1.5, outputs={"tables/a.csv": "0123"})
    status.save(tmp_path / "01.json")
    assert Status.load(tmp_path / "01.json") == status


@pytest.mark.parametrize("content", [None, "{", '{"unknown": 1}', "[]", EARLIER])
def test_status_missing_or_of_another_kind(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "01.json").write_text(content)
    assert Status.load(tmp_path / "01.json") is None


def test_folder_fingerprint_sees_names_sizes_and_times(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    picture = tmp_path / "a" / "b" / "1.png"
    picture.write_text("x")
    os.utime(picture, (1, 1))
    seen = [folder_fingerprint(None), folder_fingerprint(tmp_path)]
    assert folder_fingerprint(tmp_path) == seen[-1]
    for change in (
        lambda: os.utime(picture, (2, 2)),
        lambda: (picture.write_text("xy"), os.utime(picture, (2, 2))),
        lambda: picture.rename(picture.with_name("2.png")),
        lambda: (tmp_path / "broken").symlink_to(tmp_path / "nowhere"),
        lambda: (tmp_path / "linked").symlink_to(tmp_path / "a"),
    ):
        change()
        seen.append(folder_fingerprint(tmp_path))
    assert len(set(seen)) == len(seen)


def test_code_fingerprint_sees_every_file_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    prints = []
    for name, source in [("one", "1"), ("two", "1"), ("three", "2")]:
        package = tmp_path / f"package_{name}"
        (package / "inner").mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "inner" / "part.py").write_text(source)
        (package / "picture.png").write_text(name)
        prints.append(freshness.code_fingerprint(f"package_{name}"))
    assert prints[0] == prints[1] != prints[2]


def test_code_fingerprint_of_no_module():
    with pytest.raises(SettingsError, match=r"no module 'wsss_lib\.nowhere'"):
        freshness.code_fingerprint("wsss_lib.nowhere")


def test_files_since(tmp_path: Path):
    for name in ("tables/old.csv", "tables/new.csv", "store/x", "predictions/val/a.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        os.utime(path, (50, 50) if "old" in name else (100, 100))
    within = [tmp_path / name for name in ("tables", "figures", "predictions")]
    found = files_since(tmp_path, 100, within=within)
    assert list(found) == ["predictions/val/a.png", "tables/new.csv"]
    assert found["tables/new.csv"] == fingerprint_of_files([tmp_path / "tables/new.csv"])


def test_what_another_process_is_writing_is_none_of_the_files_and_may_vanish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a.csv", ".b.csv.123.part"):
        (tmp_path / name).touch()
    listed = Path.rglob
    monkeypatch.setattr(Path, "rglob", lambda *arguments: [*listed(*arguments), tmp_path / "gone.csv"])
    assert list(files_since(tmp_path, 0, within=[tmp_path])) == ["a.csv"]


def test_another_version_of_a_library_that_computes_makes_notebooks_stale(
    tmp_path: Path, places: Places, monkeypatch: pytest.MonkeyPatch
):
    source = notebook_with("1", tmp_path / "01.ipynb")
    before = notebook_stamp(source, places, {})
    monkeypatch.setattr(freshness, "versions", lambda: {"torch": "99.0"})
    after = notebook_stamp(source, places, {})
    assert [name for name in before if before[name] != after[name]] == ["environment"]
