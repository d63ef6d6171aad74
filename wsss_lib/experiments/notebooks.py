"""The source notebooks: which there are, which parameters they take, how long they promise to run."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wsss_lib.experiments.files import load_json
from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.places import NOTEBOOKS
from wsss_lib.vocabulary import SettingsError


def all_notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """The numbered notebooks of ``folder``, in order; ``SettingsError`` when there is none."""
    found = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not found:
        raise SettingsError(f"there are no numbered notebooks in {folder}; run from a clone of the project")
    return found


def find_notebook(name: str, folder: Path = NOTEBOOKS) -> Path:
    """The notebook meant by ``"5"``, ``"05"`` or ``"05_segmentation"``; else ``SettingsError`` with a suggestion."""
    by_name = {path.stem: path for path in all_notebooks(folder)}
    by_number = {path.stem[:2]: path for path in by_name.values()}
    if name.isdigit() and name.zfill(2) in by_number:
        return by_number[name.zfill(2)]
    return by_name[check_name("notebook", name.removesuffix(".ipynb"), by_name)]


def checked_parameters(notebook: Path, parameters: Mapping[str, Any], *, shared: bool = False) -> dict[str, Any]:
    """``parameters`` as the notebook expects them: known names, and values of the type of their defaults.

    Parameters that are ``shared`` by several notebooks need not be known to this one, and are then left out.
    """
    if not parameters:
        return {}
    import papermill

    known = papermill.inspect_notebook(str(notebook))
    if shared:
        parameters = {name: value for name, value in parameters.items() if name in known}
    for name, value in parameters.items():
        check_name(f"parameter of {notebook.stem}", name, known)
        default = ast.literal_eval(known[name]["default"])
        if not _fits(value, default):
            raise SettingsError(
                f"parameter {name} of {notebook.stem} must be of the type of its default {default!r}, got {value!r}"
            )
    return dict(parameters)


def expected_minutes(notebook: Path, profile: str) -> float | None:
    """Minutes that the notebook's own metadata promise for ``profile`` (``wsss: {"minutes": {"toy": 1.0}}``)."""
    minutes = load_json(notebook).get("metadata", {}).get("wsss", {}).get("minutes", {})
    return minutes.get(profile)


def _fits(value: Any, default: Any) -> bool:
    if default is None:
        return True
    if isinstance(default, float) and not isinstance(default, bool):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)
