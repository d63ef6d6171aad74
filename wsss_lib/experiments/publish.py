"""From results to what readers see first: ``figures/<profile>/`` and the tables in the README, never by hand.

A published folder holds the tables (CSV, Markdown, LaTeX), the figures (PNG) and ``provenance.json``: commits, machine,
versions, what every notebook cost, and a checksum of every file. In the README, what stands between
``<!-- camvid/table06.md -->`` and ``<!-- end -->`` is replaced by that file.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from wsss_lib.data.pictures import fingerprint_of_files
from wsss_lib.experiments.files import load_json, save_json, writing
from wsss_lib.experiments.places import REPOSITORY, Places
from wsss_lib.experiments.profiles import load_profile
from wsss_lib.experiments.store import Store
from wsss_lib.vocabulary import DataError

TABLES = ("*.csv", "*.md", "*.tex", "*.txt")
FIGURES = ("*.png",)
FOREIGN_PICTURES = ("figure0[1-4]_*.png", "figure05_seeds_and_rounds_*.png", "figure06_*_*.png")
"""Not published where the pictures in them are other people's; a few pictures are quoted, in Figures 5 and 6."""
LARGEST_FILE = 5_000_000  # bytes; larger files do not belong into the repository
MARK = re.compile(r"(<!-- (?P<name>[\w./-]+) -->\n)(?P<content>.*?)(<!-- end -->)", re.DOTALL)


def publish(places: Places, *, figures: Path = REPOSITORY / "figures", readme: Path = REPOSITORY / "README.md") -> Path:
    """Publish a profile's finished results; returns the folder.

    Raises ``DataError`` if a notebook of the profile has not run to its end, or a file is too large.
    """
    record = {"notebooks": _costs(places), **_origin(places)}
    found = [path for pattern in TABLES for path in sorted(places.tables.glob(pattern))]
    found += [path for pattern in FIGURES for path in sorted(places.figures.glob(pattern))]
    if load_profile(places.profile).needs_data:
        found = [path for path in found if not any(path.match(pattern) for pattern in FOREIGN_PICTURES)]
    if large := [path.name for path in found if path.stat().st_size > LARGEST_FILE]:
        raise DataError(f"{large[0]} is larger than {LARGEST_FILE // 1_000_000} MB; draw it smaller before publishing")
    target = figures / places.profile
    with writing(target):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in found:
            shutil.copyfile(path, target / path.name)
        checksums = {path.name: fingerprint_of_files([target / path.name]) for path in found}
        save_json(target / "provenance.json", {**record, "files": checksums})
        if readme.exists():
            readme.write_text(filled(readme.read_text(encoding="utf-8"), figures), encoding="utf-8")
    return target


def filled(text: str, figures: Path) -> str:
    """``text`` with every marked block replaced by the published file it names; a missing file leaves its block."""

    def replacement(match: re.Match[str]) -> str:
        source = figures / match["name"]
        if not source.is_file():
            return match[0]
        return f"{match[1]}{source.read_text(encoding='utf-8').strip()}\n{match[4]}"

    return MARK.sub(replacement, text)


def _origin(places: Places) -> dict[str, Any]:
    """Which commits and machine made the results, as the artefacts' own records say: not the state at publishing."""
    records = [artefact.record for artefact in Store(places.store).contents()]
    if not records:
        raise DataError(f"profile {places.profile} has no artefacts in {places.store}; run it again before publishing")
    commits = {(str(record["commit"]), bool(record["dirty"])) for record in records}
    newest = records[-1]
    return {
        "commits": [{"commit": commit, "dirty": dirty} for commit, dirty in sorted(commits)],
        **{name: newest[name] for name in ("versions", "device", "threads", "platform", "date")},
    }


def _costs(places: Places) -> dict[str, Any]:
    """Minutes and peak memory of every notebook, as the runner measured them."""
    statuses = {path.stem: load_json(path) for path in sorted(places.notebooks.glob("[0-9]*.json"))}
    unfinished = [name for name, status in statuses.items() if status["state"] != "done"]
    if unfinished or not statuses:
        raise DataError(
            f"profile {places.profile} has not run to its end ({', '.join(unfinished) or 'no notebook was run'}); "
            f"run make reproduce PROFILE={places.profile} first"
        )
    return {
        name: {"minutes": round(status["seconds"] / 60, 2), "peak_memory_mb": status["peak_memory_mb"]}
        for name, status in statuses.items()
    }
