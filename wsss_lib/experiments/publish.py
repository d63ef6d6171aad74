"""From results to what readers see first: ``figures/<profile>/`` and the numbers in the documents, never by hand.

A published folder holds the tables (CSV, Markdown, LaTeX), the figures (PNG) and ``provenance.json``: commits, machine,
versions, what every notebook and every stage cost, and a checksum of every file. In ``DOCUMENTS``, what stands between
``<!-- camvid/table06.md -->`` and ``<!-- end -->`` is replaced by that file, and a number within a sentence by the one
that its mark names: ``<!-- camvid/table03.csv: PSA, class mIoU, here -->33.5<!-- end -->`` is the column ``class mIoU,
here`` of the row whose first cell is ``PSA`` (in double quotes if it has a comma), and ``<!-- toy/provenance.json:
minutes -->`` what all notebooks took. Numbers of settings that were tried once and given up have their record in
``figures/tried.csv``.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from wsss_lib.data.disk import few, write_whole
from wsss_lib.data.pictures import fingerprint_of_files
from wsss_lib.experiments.files import load_json, save_json, whole_folder, writing
from wsss_lib.experiments.freshness import Status
from wsss_lib.experiments.notebooks import all_notebooks
from wsss_lib.experiments.places import REPOSITORY, Places
from wsss_lib.experiments.profiles import load_profile
from wsss_lib.experiments.provenance import uncommitted
from wsss_lib.experiments.store import Artefact, Store
from wsss_lib.reporting.rendering import one_decimal
from wsss_lib.vocabulary import DataError

TABLES = ("*.csv", "*.md", "*.tex", "*.txt")
FIGURES = ("*.png",)
FOREIGN_PICTURES = (
    "figure0[2-4]_*.png", "figure05_seeds_and_rounds_*.png", "figure06_*_*.png", "collages.png",
    "superpixels_and_seeds.png",
)  # fmt: skip
"""Not published where the pictures in them are other people's; a few pictures are quoted, in Figures 1, 5 and 6."""
DOCUMENTS = (REPOSITORY / "README.md", REPOSITORY / "figures" / "README.md")
"""What to do and what came out in short; everything that came out."""

LARGEST_FILE = 5_000_000  # bytes; larger files do not belong into the repository
NUMBER = re.compile(
    r"(<!-- (?P<file>[\w./-]+\.(?:csv|json)): (?P<row>\x22[^\x22>]+\x22|[^,\x22>]+?)(?:, (?P<column>[^>]+?))? -->)"
    r"(?P<number>[^<]*)(<!-- end -->)"
)
MARK = re.compile(r"(<!-- (?!end )(?P<name>[\w./-]+) -->\n)(?P<content>.*?)(<!-- end -->)", re.DOTALL)


def publish(places: Places, *, figures: Path = REPOSITORY / "figures", documents: Sequence[Path] = DOCUMENTS) -> Path:
    """Publish a profile's finished results, and fill those documents that are there; returns the folder.

    Only what the notebooks' last runs wrote is published: what older code left beside it, or wrote over it, is not.
    Raises ``DataError`` if a notebook of the profile has not run to its end, a file is too large or another one than
    was written, a result was made with uncommitted changes or no commit is known of it, or there are any changes beside
    what was published before.
    """
    if changed := uncommitted(figures.parent, but=(figures.name, *(path.name for path in documents))):
        raise DataError(f"there are uncommitted changes ({few(changed)}); commit them, then publish")
    statuses = _statuses(places)
    used = _used(places, statuses)
    _refuse_unclean(statuses, used)
    record = {"notebooks": _costs(statuses, used), **_origin(statuses, used), "stages": _stages(used)}
    written = {places.folder / name: mark for status in statuses.values() for name, mark in status.outputs.items()}
    found = [path for pattern in TABLES for path in sorted(places.tables.glob(pattern)) if path in written]
    found += [path for pattern in FIGURES for path in sorted(places.figures.glob(pattern)) if path in written]
    if load_profile(places.profile).needs_data:
        found = [path for path in found if not any(path.match(pattern) for pattern in FOREIGN_PICTURES)]
    if changed := [path.name for path in found if fingerprint_of_files([path]) != written[path]]:
        raise DataError(
            f"some files are not as the notebooks' last runs wrote them ({few(changed)}), perhaps from JupyterLab; run"
            " again (make reproduce), then publish"
        )
    if large := [path.name for path in found if path.stat().st_size > LARGEST_FILE]:
        raise DataError(f"{large[0]} is larger than {LARGEST_FILE // 1_000_000} MB; draw it smaller before publishing")
    target = figures / places.profile
    with writing(target):
        with whole_folder(target) as unfinished:
            for path in found:
                shutil.copyfile(path, unfinished / path.name)
            checksums = {path.name: fingerprint_of_files([unfinished / path.name]) for path in found}
            save_json(unfinished / "provenance.json", {**record, "files": checksums})
            texts = {  # a mark that names no number is told while all is as it was
                path: filled(path.read_text(encoding="utf-8"), figures, {target: unfinished})
                for path in filter(Path.exists, documents)
            }
        for document, text in texts.items():
            write_whole(document, text.encode())
    return target


def filled(text: str, figures: Path, moved: Mapping[Path, Path] | None = None) -> str:
    """``text`` with every marked block replaced by the published file it names; a missing file leaves its block.

    ``moved``: published folders whose new content lies in another one as yet.
    """

    def place_of(name: str) -> Path:
        folder = (figures / name).parent
        return (moved or {}).get(folder, folder) / Path(name).name

    def replacement(match: re.Match[str]) -> str:
        source = place_of(match["name"])
        if not source.is_file():
            return match[0]
        return f"{match[1]}{source.read_text(encoding='utf-8').strip()}\n{match[4]}"

    def number(match: re.Match[str]) -> str:
        source = place_of(match["file"])
        value = _number(source, match["row"].strip('"'), match["column"]) if source.is_file() else match["number"]
        return f"{match[1]}{value}{match[6]}"

    return NUMBER.sub(number, MARK.sub(replacement, text))


def _number(source: Path, row: str, column: str | None) -> str:
    """A number of a published file as a sentence shows it, with one decimal at most; ``DataError`` if there is none."""
    if source.suffix == ".json":
        costs = load_json(source)["notebooks"].values()
        if row != "minutes":
            raise DataError(f"{source} has no number {row!r} for a document, only minutes")
        return f"{sum(each['minutes'] + each['minutes_before'] for each in costs):.1f}"
    table = pd.read_csv(source, dtype=str)
    found = table.loc[table.iloc[:, 0] == row]
    if len(found) != 1 or column not in table.columns:
        raise DataError(
            f"{source.name} has no single number in row {row!r}, column {column!r}, which a document shows; mend the"
            " mark, or run what is missing (SYSTEMS=all) before publishing"
        )
    value = str(found.iloc[0][column])
    if value in ("", "nan"):
        raise DataError(
            f"{source.name} has nothing measured in row {row!r}, column {column!r}, which a document shows; run what is"
            " missing (SYSTEMS=all) before publishing"
        )
    return one_decimal(float(value)) if re.fullmatch(r"-?\d+\.\d{2,}", value) else value


def _statuses(places: Places) -> dict[str, Status]:
    """How every notebook's last run ended; ``DataError`` unless all of them ran to their end."""
    statuses = {path.stem: Status.load(places.notebooks / f"{path.stem}.json") for path in all_notebooks()}
    done = {name: status for name, status in statuses.items() if status is not None and status.state == "done"}
    if unfinished := [name for name in statuses if name not in done]:
        raise DataError(
            f"profile {places.profile} has not run to its end ({', '.join(unfinished)}); "
            f"run make reproduce PROFILE={places.profile} first"
        )
    return done


def _used(places: Places, statuses: Mapping[str, Status]) -> list[Artefact]:
    """The artefacts that the notebooks used, the oldest first: others in the store are of other runs and profiles."""
    store, names = Store(places.store), {name for status in statuses.values() for name in status.artefacts}
    gone = store.missing(sorted(names))
    if gone or not names:
        raise DataError(
            f"{places.store} does not hold the stages of profile {places.profile}"
            f" ({few(gone) or 'its notebooks name none'}); run it again before publishing"
        )
    return [artefact for artefact in store.contents() if artefact.name in names]


def _refuse_unclean(statuses: Mapping[str, Status], used: Sequence[Artefact]) -> None:
    """``DataError`` if uncommitted changes made a stage or ran a notebook, or nobody knows (no clone, git failed).

    A stage's key knows the code and not the commit: committing and running again would find it as it is.
    """
    if stages := [artefact.name for artefact in used if artefact.record["dirty"] is not False]:
        raise DataError(
            f"some stages were made with uncommitted changes or outside a clone ({few(stages)}); commit, delete their"
            " folders in the store, run again, then publish"
        )
    if notebooks := [name for name, status in statuses.items() if status.source.get("dirty") is not False]:
        raise DataError(
            f"some notebooks ran with uncommitted changes or outside a clone ({few(notebooks)}); commit, run them again"
            " (wsss run NUMBER --force), then publish"
        )


def _origin(statuses: Mapping[str, Status], used: Sequence[Artefact]) -> dict[str, Any]:
    """Which commits and machine made the results, as their own records say: not the state at publishing."""
    records = [artefact.record for artefact in used]
    sources = [*records, *(status.source for status in statuses.values() if status.source)]
    commits = {(str(source["commit"]), bool(source["dirty"])) for source in sources}
    newest = records[-1]
    return {
        "commits": [{"commit": commit, "dirty": dirty} for commit, dirty in sorted(commits)],
        **{name: newest[name] for name in ("versions", "device", "threads", "platform", "date")},
    }


def _costs(statuses: Mapping[str, Status], used: Sequence[Artefact]) -> dict[str, Any]:
    """Minutes and peak memory of every notebook, as the runner measured them in its last run.

    That run may have found stages that were made before: ``minutes_before`` are the minutes on the clock during which
    those were made that no notebook before this one uses, and no stage of a notebook before this one was made beside
    them. So the sum over notebooks is time on the clock.
    """
    costs, seen, counted = {}, set(), []
    made = {artefact.name: artefact.record for artefact in used}
    for name, status in statuses.items():
        new = [made[each] for each in status.artefacts if each in made and each not in seen]
        seen.update(status.artefacts)
        start = datetime.fromisoformat(status.started)
        spans = [_span(record) for record in new if _span(record)[1] < start]
        before = minutes_covered([*counted, *spans]) - minutes_covered(counted)
        counted += spans
        costs[name] = {
            "minutes": round(status.seconds / 60, 2), "minutes_before": round(before, 2),
            "peak_memory_mb": status.peak_memory_mb, "parameters": status.parameters,
        }  # fmt: skip
    return costs


def _span(record: Mapping[str, Any]) -> tuple[datetime, datetime]:
    """When a stage began and ended."""
    end = datetime.fromisoformat(record["date"])
    return end - timedelta(seconds=record["seconds"]), end


def minutes_covered(spans: Sequence[tuple[datetime, datetime]]) -> float:
    """Minutes that lie within at least one of the spans: a stage inside another, or beside it, counts once."""
    total, reached = timedelta(), None
    for start, end in sorted(spans):
        begin = start if reached is None else max(start, reached)
        total += max(timedelta(), end - begin)
        reached = end if reached is None else max(reached, end)
    return total / timedelta(minutes=1)


def _stages(used: Sequence[Artefact]) -> list[dict[str, Any]]:
    """What every stage cost, on how many threads, and from which commit it is; the oldest first."""
    told = ("dataset", "system", "seed", "split")
    rows = []
    for artefact in used:
        record = artefact.record
        named = {name: record["params"][name] for name in told if name in record["params"]}
        config = record["params"].get("config")
        network = {"network": config["network"]} if isinstance(config, dict) and "network" in config else {}
        cost = {"minutes": round(record["seconds"] / 60, 2), "peak_memory_mb": record["peak_memory_mb"]}
        if record["resumed"]:
            cost["since an interruption"] = True  # nobody knows what was spent before
        rows.append({
            "stage": artefact.stage, "key": artefact.key, **named, **network, **cost, "threads": record["threads"],
            "precision": record["params"].get("compute", ""), "commit": record["commit"],
        })  # fmt: skip
    return rows
