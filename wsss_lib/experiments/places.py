"""Where a run reads and writes: the one answer for the command line, the notebook runner and the notebooks.

A notebook holds no path. Whoever starts its kernel says where things are through four environment variables, and the
notebook asks ``Places.from_environment()``; by hand, with none of them set, that is the toy profile and ``build/``
beside the notebooks.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wsss_lib.data.disk import check_path
from wsss_lib.vocabulary import DataError, SettingsError

PLUS = "-plus"
"""How the names of profiles end that go beyond the paper; see :attr:`Places.folder`."""

SEEDS = "-seeds"
"""How the names of profiles end that repeat every training; see :attr:`Places.folder`."""

REPOSITORY = Path(__file__).resolve().parents[2]
"""The folder that holds ``notebooks/``, ``pyproject.toml`` and ``wsss_lib/``."""

NOTEBOOKS = REPOSITORY / "notebooks"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Profile, input folders and the folders of its results; every path is made absolute.

    ``data`` and ``weights`` are ``None`` for a profile that needs none. ``DataError`` when one given is not there.
    """

    profile: str = "toy"
    data: Path | None = None
    weights: Path | None = None
    build: Path = REPOSITORY / "build"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.profile):
            raise SettingsError(f"{self.profile!r} cannot be a profile: use small letters, digits, - and _")
        for name in ("data", "weights"):
            object.__setattr__(self, name, _input_folder(name, getattr(self, name)))
        object.__setattr__(self, "build", check_path(self.build).expanduser().resolve())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Places":
        """The places that ``environment`` names (``WSSS_PROFILE``, ``_DATA``, ``_WEIGHTS``, ``_BUILD``)."""
        given = {name: environment.get(f"WSSS_{name.upper()}") for name in ("data", "weights", "build")}
        folders = {name: Path(value) for name, value in given.items() if value}
        return cls(profile=environment.get("WSSS_PROFILE") or "toy", **folders)

    def environment(self) -> dict[str, str]:
        """The variables that make ``from_environment`` return these places again; absent inputs are empty."""
        return {
            "WSSS_PROFILE": self.profile,
            "WSSS_DATA": str(self.data or ""),
            "WSSS_WEIGHTS": str(self.weights or ""),
            "WSSS_BUILD": str(self.build),
        }

    @property
    def folder(self) -> Path:
        """Everything this profile makes.

        A profile that goes beyond the paper, or repeats every training, shares the folder of the one it starts from,
        and so finds the stages that both have in common; its notebooks, tables and figures lie beside the other's, in
        folders that end as its name does. Predictions are those of the last run.
        """
        return self.build / self.profile.removesuffix(self._ending)

    @property
    def _ending(self) -> str:
        return next((ending for ending in (PLUS, SEEDS) if self.profile.endswith(ending)), "")

    def _own(self, name: str) -> Path:
        return self.folder / (name + self._ending)

    @property
    def log(self) -> Path:
        """What every run of this profile told, with times, and a line for every epoch of its trainings."""
        return self.folder / "log.txt"

    @property
    def store(self) -> Path:
        """Root of the artefact store."""
        return self.folder / "store"

    @property
    def notebooks(self) -> Path:
        """Executed copies of the notebooks, with log and status of each."""
        return self._own("notebooks")

    @property
    def tables(self) -> Path:
        """Tables in every format, the verdict among them."""
        return self._own("tables")

    @property
    def figures(self) -> Path:
        """Figures with the data behind them."""
        return self._own("figures")

    @property
    def predictions(self) -> Path:
        """Predicted label maps, a folder for each split."""
        return self.folder / "predictions"


def _input_folder(name: str, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    absolute = check_path(folder).expanduser().resolve()
    if not absolute.is_dir():
        raise DataError(f"the {name} folder {absolute} is not there; pass --{name} with a folder that exists")
    return absolute
