"""Names that a user types: profiles, notebooks, parameters. A wrong one is answered with the nearest right one."""

import difflib
from collections.abc import Collection

from wsss_lib.vocabulary import SettingsError


def check_name(kind: str, name: str, known: Collection[str]) -> str:
    """Return ``name`` if it is one of ``known``; otherwise ``SettingsError`` with a suggestion and all known names.

    ``kind`` is what the name stands for, in words: ``"profile"``, ``"parameter of 05_segmentation"``.
    """
    if name in known:
        return name
    near = difflib.get_close_matches(name, known, n=1)
    suggestion = f"; did you mean {near[0]!r}?" if near else ""
    choices = f" (known: {', '.join(sorted(known))})" if known else " (there is none)"
    raise SettingsError(f"there is no {kind} named {name!r}{suggestion}{choices}")
