"""Publishing: only finished profiles, with checksums, and documents whose blocks follow the files."""

import errno
import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wsss_lib.data.pictures import fingerprint_of_files
from wsss_lib.experiments.freshness import Status
from wsss_lib.experiments.places import REPOSITORY, Places
from wsss_lib.experiments.profiles import PROFILES
from wsss_lib.experiments.publish import DOCUMENTS, MARK, NUMBER, filled, minutes_covered, publish
from wsss_lib.experiments.store import Store
from wsss_lib.vocabulary import DataError, NoSpaceError

VERSIONS = {"3.11", "3.13", "2.15"}
"""Decimal numbers in the documents that are no measurements: of Python and of PyTorch."""


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """Whether the working tree that the tests run in has changes is not their subject."""
    monkeypatch.setattr("wsss_lib.experiments.provenance.SOURCE", {"commit": "0123456789abcdef", "dirty": False})


PICTURES = {
    "figure01_teaser",
    "figure05_seeds_and_rounds",
    "figure05_seeds_and_rounds_voc",
    "figure06_val",
    "rounds",
    "collages",
    "superpixels_and_seeds",
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A profile of those notebooks that have a status."""
    places = Places(profile="smoke", build=tmp_path / "build")
    monkeypatch.setattr(
        "wsss_lib.experiments.publish.all_notebooks",
        lambda: [path.with_suffix(".ipynb") for path in sorted(places.notebooks.glob("*.json"))],
    )
    for folder in (places.tables, places.figures, places.notebooks):
        folder.mkdir(parents=True)
    (places.tables / "table06.md").write_text("| a |\n")
    (places.figures / "figure1.png").write_bytes(b"picture")
    (places.figures / "figure1.svg").write_bytes(b"not published")
    config = {"network": "largefov_small"}
    made = Store(places.store, report=lambda _: None).artefact(
        "stage", params={"dataset": "camvid", "system": "psa", "config": config}, inputs={}, make=lambda _: None
    )
    write_status(places, "01_x", artefacts=[f"stage/{made.key}"], parameters={"systems": "none"})
    return places


def written_again(places):
    """The same run wrote what is there now."""
    write_status(places, "01_x", artefacts=Status.load(places.notebooks / "01_x.json").artefacts)


def write_status(places, name, **changed):
    files = ["tables/table06.md", "tables/table06.csv", "figures/figure1.png", "figures/figure1.svg"]
    files += [f"figures/{picture}.png" for picture in sorted(PICTURES)]
    written = {each: fingerprint_of_files([places.folder / each]) for each in files if (places.folder / each).exists()}
    given = {"state": "done", "stamp": {}, "started": "2026-01-01T12:00:00+00:00", "seconds": 90.0, "outputs": written}
    given |= {"peak_memory_mb": 500.0, "source": {"commit": "0123456789abcdef", "dirty": False}}
    Status(**{**given, **changed}).save(places.notebooks / f"{name}.json")


def test_publishes_tables_figures_and_where_they_come_from(places, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- smoke/table06.md -->\nold\n<!-- end -->\nafter\n")
    folder = publish(places, figures=tmp_path / "figures", documents=[readme])
    assert sorted(path.name for path in folder.iterdir()) == ["figure1.png", "provenance.json", "table06.md"]
    record = json.loads((folder / "provenance.json").read_text())
    assert record["notebooks"] == {
        "01_x": {"minutes": 1.5, "minutes_before": 0.0, "peak_memory_mb": 500.0, "parameters": {"systems": "none"}}
    }
    (stage,) = record["stages"]
    assert (stage["stage"], stage["dataset"], stage["system"], stage["network"]) == (
        "stage", "camvid", "psa", "largefov_small"
    )  # fmt: skip
    assert set(record["files"]) == {"figure1.png", "table06.md"}
    made = next(places.store.glob("stage/*/record.json"))
    assert [each["commit"] for each in record["commits"]] == [str(json.loads(made.read_text())["commit"])]
    assert readme.read_text() == "before\n<!-- smoke/table06.md -->\n| a |\n<!-- end -->\nafter\n"


def test_stages_of_other_runs_in_the_same_store_are_no_part_of_the_record(places, tmp_path, monkeypatch):
    """Two profiles share a store, and it keeps what older code made: not even uncommitted changes there matter."""
    changed = {"commit": "fedcba9876543210", "dirty": True}
    monkeypatch.setattr("wsss_lib.experiments.provenance.SOURCE", changed)
    Store(places.store, report=lambda _: None).artefact("other", params={}, inputs={}, make=lambda _: None)
    folder = publish(places, figures=tmp_path / "figures", documents=[tmp_path / "README.md"])
    record = json.loads((folder / "provenance.json").read_text())
    assert [stage["stage"] for stage in record["stages"]] == ["stage"]
    assert [each["dirty"] for each in record["commits"]] == [False]


def test_publishing_that_breaks_off_leaves_what_was_there(places, tmp_path, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- smoke/table06.md -->\n<!-- end -->\n")
    folder = publish(places, figures=tmp_path / "figures", documents=[readme])
    before = {path: path.read_bytes() for path in (readme, *folder.iterdir())}
    (places.tables / "table06.md").write_text("| b |\n")
    written_again(places)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("wsss_lib.experiments.publish.save_json", full)
        with pytest.raises(NoSpaceError, match="no space is left"):
            publish(places, figures=tmp_path / "figures", documents=[readme])
    assert {path: path.read_bytes() for path in (readme, *folder.iterdir())} == before
    assert [path.name for path in folder.parent.iterdir()] == ["smoke"]


@pytest.mark.parametrize(
    ("first", "second", "minutes"),
    [((0, 1), (0, 1), [6.0, 0.0]), ((0,), (1,), [5.0, 1.0]), ((1,), (0,), [2.0, 4.0])],
    ids=["both use both", "the long one first", "the short one first"],
)
def test_minutes_of_stages_that_were_there_before_are_told_apart(places, tmp_path, first, second, minutes):
    """Stages from 11:00 to 11:05 and from 11:04 to 11:06, made an hour before the notebooks ran.

    Minutes in which both were made beside each other count for the first notebook that uses one of them.
    """
    store = Store(places.store, report=lambda _: None)
    made = [store.artefact(name, params={}, inputs={}, make=lambda _: None) for name in ("long", "short")]
    for artefact, (seconds, end) in zip(made, [(300, "11:05:00"), (120, "11:06:00")], strict=True):
        record = {**artefact.record, "seconds": seconds, "date": f"2026-01-01T{end}+00:00"}
        (artefact.folder / "record.json").write_text(json.dumps(record))
    for name, used in (("01_x", first), ("02_y", second)):
        write_status(places, name, artefacts=[f"{made[k].stage}/{made[k].key}" for k in used])
    folder = publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    notebooks = json.loads((folder / "provenance.json").read_text())["notebooks"]
    assert [notebooks[name]["minutes_before"] for name in ("01_x", "02_y")] == minutes


def test_minutes_that_several_stages_cover_count_once():
    def at(minute):
        return datetime(2026, 1, 1, 12, minute, tzinfo=UTC)

    assert minutes_covered([]) == 0
    assert minutes_covered([(at(20), at(30)), (at(0), at(10)), (at(2), at(5)), (at(8), at(12))]) == 22


def test_of_other_peoples_pictures_only_a_few_are_published(places, tmp_path, monkeypatch):
    """Figures 1, 5 and 6 of the main role and drawings without pictures are; all pictures of smoke are ours."""
    for name in PICTURES:
        (places.figures / f"{name}.png").write_bytes(b"picture")
    written_again(places)
    ours = publish(places, figures=tmp_path / "ours", documents=[tmp_path / "none"])
    assert {path.stem for path in ours.iterdir()} >= PICTURES
    monkeypatch.setitem(PROFILES, "smoke", replace(PROFILES["smoke"], needs_data=True))
    theirs = publish(places, figures=tmp_path / "theirs", documents=[tmp_path / "none"])
    shown = {path.stem for path in theirs.iterdir()}
    assert shown & PICTURES == {"figure01_teaser", "figure05_seeds_and_rounds", "figure06_val", "rounds"}


def test_a_block_without_its_file_stays(tmp_path):
    text = "<!-- toy/table01.md -->\nkept\n<!-- end -->"
    assert filled(text, tmp_path) == text


def test_an_unfinished_profile_is_not_published(places, tmp_path):
    write_status(places, "02_y", state="failed")
    with pytest.raises(DataError, match="02_y"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    assert not (tmp_path / "figures").exists()


def test_a_profile_of_which_a_notebook_never_ran_is_not_published(places, tmp_path, monkeypatch):
    monkeypatch.setattr("wsss_lib.experiments.publish.all_notebooks", lambda: [Path("01_x.ipynb"), Path("02_y.ipynb")])
    with pytest.raises(DataError, match=r"has not run to its end \(02_y\)"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])


def test_what_older_code_left_behind_is_not_published(places, tmp_path):
    (places.tables / "left_behind.csv").write_text("a\n")
    folder = publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    assert not (folder / "left_behind.csv").exists()


def test_what_was_written_over_after_the_run_is_not_published(places, tmp_path):
    (places.tables / "table06.md").write_text("| 99.9 |\n")
    with pytest.raises(DataError, match=r"not as the notebooks' last runs wrote them \(table06\.md\)"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize("what", ["stage", "notebook"])
def test_results_of_an_unknown_commit_are_not_published(places, tmp_path, what):
    unknown = {"commit": None, "dirty": None}
    if what == "notebook":
        write_status(places, "02_y", source=unknown)
    else:
        path = next(places.store.glob("stage/*/record.json"))
        path.write_text(json.dumps({**json.loads(path.read_text()), **unknown}))
    with pytest.raises(DataError, match=rf"some {what}s .* outside a clone"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])


def test_what_a_stage_took_before_an_interruption_is_not_passed_over(places, tmp_path):
    path = next(places.store.glob("stage/*/record.json"))
    where = {"figures": tmp_path / "figures", "documents": [tmp_path / "none"]}
    told = []
    for resumed in (False, True):
        path.write_text(json.dumps({**json.loads(path.read_text()), "resumed": resumed}))
        told += json.loads((publish(places, **where) / "provenance.json").read_text())["stages"]
    assert [each.get("since an interruption") for each in told] == [None, True]


def test_results_without_records_are_not_published(places, tmp_path):
    """Who deletes what unclean code made has to run again: its results would pass as made by nobody."""
    shutil.rmtree(places.store)
    with pytest.raises(DataError, match=r"does not hold the stages of profile smoke \(stage/"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])


def test_notebooks_that_used_no_stage_are_not_published(places, tmp_path):
    write_status(places, "01_x", artefacts=[])
    with pytest.raises(DataError, match=r"does not hold the stages of profile smoke \(its notebooks name none\)"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])


def test_a_large_file_is_refused(places, tmp_path, monkeypatch):
    monkeypatch.setattr("wsss_lib.experiments.publish.LARGEST_FILE", 3)
    with pytest.raises(DataError, match=r"table06\.md is larger"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])


def test_a_row_whose_name_has_a_comma_is_quoted(tmp_path):
    (tmp_path / "t.csv").write_text('method,"val, here"\n"ours, twice",7.8\n')
    mark = '<!-- t.csv: "ours, twice", val, here -->'
    assert filled(f"{mark}1<!-- end -->", tmp_path) == f"{mark}7.8<!-- end -->"


@pytest.mark.parametrize(
    ("kept", "shown"), [("42.24", "42.2"), ("-14.16", "-14.2"), ("741", "741"), ("0.7 ± 0.1", "0.7 ± 0.1")]
)
def test_a_number_in_a_sentence_has_one_decimal(tmp_path, kept, shown):
    (tmp_path / "t.csv").write_text(f"method,val\nours,{kept}\n")
    assert filled("<!-- t.csv: ours, val -->1<!-- end -->", tmp_path) == f"<!-- t.csv: ours, val -->{shown}<!-- end -->"


def test_a_number_in_a_sentence_is_the_published_one(tmp_path):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "table01.csv").write_text('method,"class mIoU, here"\nPSA,7.8\nSEC,10.1\n')
    costs = {"01": {"minutes": 1.25, "minutes_before": 0.5}, "02": {"minutes": 2.0, "minutes_before": 0.0}}
    (tmp_path / "toy" / "provenance.json").write_text(json.dumps({"notebooks": costs}))
    text = (
        "SEC has <!-- toy/table01.csv: SEC, class mIoU, here -->9<!-- end --> in "
        "<!-- toy/provenance.json: minutes -->1<!-- end --> min; <!-- voc/x.csv: a, b -->5<!-- end -->"
    )
    assert filled(text, tmp_path) == (
        "SEC has <!-- toy/table01.csv: SEC, class mIoU, here -->10.1<!-- end --> in "
        "<!-- toy/provenance.json: minutes -->3.8<!-- end --> min; <!-- voc/x.csv: a, b -->5<!-- end -->"
    )


@pytest.mark.parametrize("mark", ["CCNN, class mIoU, here", "PSA, class mIoU", "PSA"])
def test_a_mark_that_names_no_number(tmp_path, mark):
    (tmp_path / "t.csv").write_text('method,"class mIoU, here"\nPSA,7.8\n')
    with pytest.raises(DataError, match="no single number in row"):
        filled(f"<!-- t.csv: {mark} -->1<!-- end -->", tmp_path)


def test_a_number_that_was_not_measured_is_not_shown(tmp_path):
    """The paper's rows are always in a table; after SYSTEMS=none they have no number of ours."""
    (tmp_path / "t.csv").write_text("method,paper,here\nPSA,7.8,\n")
    assert filled("<!-- t.csv: PSA, paper -->1<!-- end -->", tmp_path) == "<!-- t.csv: PSA, paper -->7.8<!-- end -->"
    with pytest.raises(DataError, match=r"nothing measured in row 'PSA', column 'here'.*SYSTEMS=all"):
        filled("<!-- t.csv: PSA, here -->1<!-- end -->", tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_document_is_what_publishing_would_write(document):
    """A table or a marked number that was edited by hand, or published without filling the document, fails here."""
    text = document.read_text(encoding="utf-8")
    assert filled(text, REPOSITORY / "figures") == text
    named = [match["name"] for match in MARK.finditer(text)] + [match["file"] for match in NUMBER.finditer(text)]
    assert len(named) > 10
    assert all((REPOSITORY / "figures" / name).is_file() for name in named)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_measured_number_of_a_document_has_a_record(document):
    """Outside marks and commands, a decimal number is a version; all else needs a record."""
    text = document.read_text(encoding="utf-8")
    for marked in (MARK, NUMBER, re.compile(r"```.*?```", re.DOTALL)):
        text = marked.sub("", text)
    assert set(re.findall(r"\d+\.\d+", text)) <= VERSIONS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_a_document_links_to_is_there(document):
    """Files and folders beside it, and the headings that a link into a document names, as GitHub writes them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, heading = target.partition("#")
        linked = document.parent / path if path else document
        assert linked.exists(), target
        if heading:
            titles = re.findall(r"(?m)^#+ (.+)$", linked.read_text(encoding="utf-8"))
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_results_with_uncommitted_changes_are_not_published(places, tmp_path):
    path = next(places.store.glob("stage/*/record.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "commit": "0123456789ab", "dirty": True}))
    with pytest.raises(DataError, match=rf"uncommitted changes or outside a clone \(stage/{path.parent.name}\)"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    assert not (tmp_path / "figures").exists()


def test_tables_of_a_notebook_that_ran_with_uncommitted_changes_are_not_published(places, tmp_path):
    """Its stages may all be clean: the changes may be in what draws and counts."""
    write_status(places, "02_y", source={"commit": "fedcba9876543210", "dirty": True})
    with pytest.raises(DataError, match=r"notebooks ran with uncommitted changes .* \(02_y\)"):
        publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    write_status(places, "02_y", source={"commit": "fedcba9876543210", "dirty": False})
    folder = publish(places, figures=tmp_path / "figures", documents=[tmp_path / "none"])
    commits = [each["commit"] for each in json.loads((folder / "provenance.json").read_text())["commits"]]
    assert commits == ["0123456789abcdef", "fedcba9876543210"]


def test_a_document_that_shows_what_was_not_run_stops_publishing_before_anything_is_replaced(places, tmp_path):
    (places.tables / "table06.md").with_suffix(".csv").write_text("method,val\nours,1.0\n")
    written_again(places)
    where = {"figures": tmp_path / "figures", "documents": [tmp_path / "a.md", tmp_path / "b.md"]}
    for document in where["documents"]:
        document.write_text("<!-- smoke/table06.csv: ours, val -->0<!-- end -->")
    folder = publish(places, **where)
    assert where["documents"][0].read_text() == "<!-- smoke/table06.csv: ours, val -->1.0<!-- end -->"
    where["documents"][1].write_text("<!-- smoke/table06.csv: psa, val -->0<!-- end -->")
    (places.tables / "table06.csv").write_text("method,val\nours,2.0\n")
    written_again(places)
    before = {path: path.read_bytes() for path in (*where["documents"], *folder.iterdir())}
    with pytest.raises(DataError, match=r"table06\.csv has no single number in row 'psa', .* run what is missing"):
        publish(places, **where)
    assert {path: path.read_bytes() for path in (*where["documents"], *folder.iterdir())} == before


def test_a_tree_with_changes_is_not_published_from(places, tmp_path):
    """What publishing itself wrote before does not count: several profiles are published one after the other."""
    clone = tmp_path / "clone"
    clone.mkdir()
    subprocess.run(["git", "-C", str(clone), "init", "--quiet"], check=True)
    where = {"figures": clone / "figures", "documents": [clone / "README.md"]}
    (clone / "README.md").write_text("changed by publishing\n")
    publish(places, **where)
    publish(places, **where)
    (clone / "code.py").write_text("1")
    with pytest.raises(DataError, match=r"there are uncommitted changes \(code\.py\); commit them, then publish"):
        publish(places, **where)
    (clone / ".git" / "HEAD").write_text("damaged")
    with pytest.raises(DataError, match="git does not tell what has changed in"):
        publish(places, **where)
