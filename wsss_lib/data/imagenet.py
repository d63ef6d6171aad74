"""Simple pictures from ImageNet's synset folders: the pictures that the paper's classifier learns from (paper 3.1).

Three trees are read: synset folders in the folder itself (Fall-2011 and Winter-2021, every archive unpacked into a
folder of its name, ``n04096066/``), in ``train/``, or in ``ILSVRC/Data/CLS-LOC/train/`` (1,000 classes). Which
synsets stand for which simple class is data, ``synsets.csv`` (specification 8.4; the paper lists none):

==========  =========================================================================================================
column      meaning
==========  =========================================================================================================
class       simple class, named as the class folders of ``simple_images``
synset      WordNet id
name        its first word
rank        ``main`` synsets come first, ``further`` ones fill up; ``stand-in`` ones show something else of the kind and
            are used only where the others have no picture at all, which the report says
ilsvrc      whether it is among the challenge's 1,000 classes
winter2021  whether the list of the Winter-2021 release has it
==========  =========================================================================================================
"""

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wsss_lib.data.disk import list_pictures
from wsss_lib.data.simple_images import simple_set
from wsss_lib.vocabulary import DataError, LabelSpace, SettingsError, SimpleSet

TABLE = Path(__file__).with_name("synsets.csv")
PLACES = ("", "train", "ILSVRC/Data/CLS-LOC/train", "Data/CLS-LOC/train")
SYNSET = re.compile(r"n\d{8}")
PER_CLASS = 1300
"""Most pictures of a class (specification 8.4, choice): as many as the challenge has."""

HOW_TO_GET = (
    "register at image-net.org, get the synsets that wsss_lib/data/synsets.csv lists, unpack each archive into a "
    "folder of its name (n04096066/...), and give the folder that holds these"
)


@dataclass(frozen=True, kw_only=True)
class Synset:
    """One row of the table."""

    simple_class: str
    synset: str
    name: str
    rank: str
    ilsvrc: bool
    winter2021: bool


@dataclass(frozen=True, kw_only=True)
class ClassReport:
    """What was found of one simple class: pictures taken, of pictures there, per synset; and synsets without any."""

    simple_class: str
    taken: int
    found: Mapping[str, int]
    missing: tuple[str, ...]
    stand_in: bool

    def __str__(self) -> str:
        found = ", ".join(f"{name} {count}" for name, count in self.found.items()) or "nothing"
        notes = [f"missing: {', '.join(self.missing)}"] if self.missing else []
        notes += ["these are stand-ins"] if self.stand_in else []
        return f"{self.simple_class}: {self.taken} pictures ({'; '.join([found, *notes])})"


@cache
def synsets() -> tuple[Synset, ...]:
    """The table, in its order."""
    with TABLE.open(encoding="utf-8", newline="") as stream:
        return tuple(
            Synset(
                simple_class=row["class"], synset=row["synset"], name=row["name"], rank=row["rank"],
                ilsvrc=row["ilsvrc"] == "yes", winter2021=row["winter2021"] == "yes",
            )
            for row in csv.DictReader(stream)
        )  # fmt: skip


def imagenet(root: Path, target: LabelSpace, *, per_class: int = PER_CLASS) -> SimpleSet:
    """The simple pictures of a tree of synset folders, at most ``per_class`` of each simple class.

    A class takes its synsets in the table's order, and the pictures of a synset by name, until it has enough. Classes
    without any picture are left out (``imagenet_report`` tells which). Raises ``DataError`` if nothing is there.
    """
    return simple_set({name: paths for name, paths in chosen_pictures(root, per_class).items() if paths}, target)


def imagenet_report(root: Path, *, per_class: int = PER_CLASS) -> list[ClassReport]:
    """How many pictures of every simple class there are and will be used, synset by synset.

    Raises ``DataError`` as :func:`chosen_pictures` does.
    """
    folders, chosen, reports = synset_folders(root), chosen_pictures(root, per_class), []
    for name, paths in chosen.items():
        rows = [row for row in synsets() if row.simple_class == name]
        counts = {row: len(list_pictures(folders[row.synset])) if row.synset in folders else 0 for row in rows}
        used = {path.parent.name for path in paths}
        stand_in = bool(used) and all(row.rank == "stand-in" for row in rows if row.synset in used)
        shown = [row for row in rows if row.rank != "stand-in" or stand_in]
        reports.append(
            ClassReport(
                simple_class=name,
                taken=len(paths),
                found={f"{row.synset} {row.name}": counts[row] for row in shown if counts[row]},
                missing=tuple(f"{row.synset} {row.name}" for row in shown if not counts[row]),
                stand_in=stand_in,
            )
        )
    return reports


def synset_folders(root: Path) -> dict[str, Path]:
    """Synset -> its folder, in the first of the known places that has any."""
    for place in PLACES:
        folder = root / place
        if folder.is_dir():
            found = {entry.name: entry for entry in sorted(folder.iterdir()) if SYNSET.fullmatch(entry.name)}
            if found := {name: entry for name, entry in found.items() if entry.is_dir()}:
                return found
    raise DataError(f"{root} has no synset folders (n and 8 digits); {HOW_TO_GET}")


def chosen_pictures(root: Path, per_class: int = PER_CLASS) -> dict[str, list[Path]]:
    """Simple class -> the pictures it takes, the table's classes in its order; ``DataError`` if there is no picture."""
    if per_class < 1:
        raise SettingsError(f"per_class must be at least 1, not {per_class}")
    folders = synset_folders(root)
    files: dict[str, list[Path]] = {row.simple_class: [] for row in synsets()}
    for stand_ins in (False, True):
        wanted = [name for name, paths in files.items() if not (stand_ins and paths)]
        for row in synsets():
            if row.simple_class in wanted and (row.rank == "stand-in") is stand_ins and row.synset in folders:
                room = per_class - len(files[row.simple_class])
                files[row.simple_class] += list(list_pictures(folders[row.synset]).values())[:room]
    if not any(files.values()):
        raise DataError(f"{root} has no picture of any synset of the table; {HOW_TO_GET}")
    return files
