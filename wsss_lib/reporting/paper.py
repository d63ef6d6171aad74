"""The paper's own numbers: its Tables 1 to 10, as printed, and how to read one cell of them.

The CSVs and the doubts about them are in ``paper_tables/`` (start with its README). All numbers are percent IoU.
"""

from functools import cache
from importlib.resources import files

import pandas as pd

from wsss_lib.vocabulary import SettingsError

TABLE_NUMBERS = range(1, 11)


def paper_table(number: int) -> pd.DataFrame:
    """Table ``number`` (1..10) of the paper; text cells that the paper leaves empty are ``""``.

    The frame is a fresh copy: changing it changes nothing for the next caller. ``SettingsError`` for other numbers.
    """
    if number not in TABLE_NUMBERS:
        raise SettingsError(f"the paper has no table {number!r}; ask for one of 1 to {TABLE_NUMBERS[-1]}")
    return _read(number).copy()


def paper_value(number: int, column: str, **row: str) -> float:
    """One cell of table ``number``: the value of ``column`` in the only row whose named columns have these values.

    ``paper_value(6, "miou_class", stage="Seeds")`` is 3.9. ``nan`` where the table has no such column (a class the
    paper does not have); ``SettingsError`` where not exactly one row matches.
    """
    table = paper_table(number)
    for name, value in row.items():
        table = table.loc[table[name] == value]
    if len(table) != 1:
        raise SettingsError(f"table {number} of the paper has {len(table)} rows with {row}; name exactly one row")
    return float(table[column].item()) if column in table.columns else float("nan")


@cache
def _read(number: int) -> pd.DataFrame:
    source = files("wsss_lib.reporting") / "paper_tables" / f"table{number:02d}.csv"
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file, keep_default_na=False)
