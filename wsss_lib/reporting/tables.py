"""Tables 1 to 10: the paper's rows and columns, with our number, its spread over seeds and the difference beside each.

A table is made from the tidy scores (described in ``measurements``) and knows how to show itself: in a notebook as
Markdown, in a terminal as aligned text, and through ``write_table`` as CSV, Markdown and LaTeX.

Differences from the paper's layout: the per-class Tables 5 and 10 run down the page instead of across, because
"57.1 ± 0.4" does not fit twenty times into a line; and rows that the paper does not have are appended and say so in
their name (constant predictors, the colour and position table, full supervision, other variants and networks).
"""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from wsss_lib.data.disk import write_whole
from wsss_lib.evaluation.scores import CONSTANT_ABOVE
from wsss_lib.reporting.cells import COMPARISONS, DENSE, OURS, ROW_HEADERS, Cell, cells, system_name, table_data
from wsss_lib.reporting.extra_rows import extra_cells
from wsss_lib.reporting.measurements import (
    HELD_BACK,
    ROLES,
    Measurement,
    checked,
    collapse,
    main_dataset,
    measure,
    played_by,
    space_of,
    stands_in,
)
from wsss_lib.reporting.rendering import (
    TERMINAL_WIDTH,
    aligned_text,
    latex_table,
    markdown_table,
    one_decimal,
    signed,
    with_spread,
)
from wsss_lib.vocabulary import LabelSpace

TITLES = {
    1: "Comparison on Cityscapes val",
    2: "Comparison on Cityscapes test",
    3: "Comparison on CamVid val",
    4: "Comparison on CamVid test",
    5: "Initial seeds, whole image against image patches, IoU per class",
    6: "Seeds and the three rounds of deep clustering",
    7: "The three rounds without and with centre loss",
    8: "Comparison on PASCAL VOC 2012",
    9: "Segmentation networks trained on the same pseudo labels",
    10: "IoU per class of the final model",
}
PARTS = ("paper", "here", "std", "difference", "status")
"""What is shown under every heading; the frame's columns are named ``"<heading>, <part>"``."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: ``frame`` has the row names first, then the five ``PARTS`` of every heading.

    ``here`` is the mean over seeds in percent, ``std`` the sample standard deviation over seeds, ``difference`` here
    minus paper, ``status`` empty, the reason why there is no number, or which seeds' networks collapsed.
    """

    number: int
    title: str
    frame: pd.DataFrame
    note: str

    @property
    def shown(self) -> pd.DataFrame:
        """The frame as text: mean ± std in one column, one decimal, a dash for no number."""
        return _as_text(self.frame, ROW_HEADERS[self.number])

    @property
    def heading(self) -> str:
        """Number and title on one line."""
        return f"Table {self.number}. {self.title}"

    def __str__(self) -> str:
        heading, note = (textwrap.fill(text, TERMINAL_WIDTH) for text in (self.heading, self.note))
        return f"{heading}\n\n{aligned_text(self.shown)}\n\n{note}"

    def _repr_markdown_(self) -> str:
        return f"**{self.heading}**\n\n{markdown_table(self.shown)}\n\n{self.note}\n"


def make_table(number: int, scores: pd.DataFrame, label_spaces: Mapping[str, LabelSpace], remark: str = "") -> Table:
    """Paper table ``number`` (1..10) from the tidy scores; ``remark`` is what else its note must say.

    ``label_spaces`` maps the roles that data sets play here (``"cityscapes"``, ``"camvid"``, ``"voc"``) to their
    classes. ``DataError`` if the scores are malformed, ``SettingsError`` for a number the paper does not have.
    """
    scores = checked(scores)
    main = main_dataset(scores)
    role = table_data(number) if number in COMPARISONS else main or table_data(number)
    wanted = cells(number, role, space_of(label_spaces, role) if role == main else None)
    wanted = [*wanted, *extra_cells(number, scores, role, wanted)]
    measured = [measure(scores, cell.key) for cell in wanted]
    player = played_by(scores, role)
    notes = _notes(number, role, player, wanted, measured)
    if number in (*COMPARISONS, 9):
        found = [each.status or collapse(scores, cell.key) for cell, each in zip(wanted, measured, strict=True)]
        if found != [each.status for each in measured]:
            measured = [replace(each, status=status) for each, status in zip(measured, found, strict=True)]
            notes.append(
                f"Collapsed: more than {CONSTANT_ABOVE:.0f} % of the pixels were given one class, as a constant"
                " predictor does."
            )
    return Table(
        number=number,
        title=f"{TITLES[number]}{_on(role, player, number)}",
        frame=_frame(ROW_HEADERS[number], wanted, measured),
        note=" ".join(filter(None, [*notes, remark])),
    )


def class_iou(
    scores: pd.DataFrame, label_space: LabelSpace, role: str, system: str = system_name(OURS)
) -> pd.DataFrame:
    """What Figure 7 draws: the columns ``here``, ``std`` and ``paper`` of Table 10, a row per class in index order.

    Of our network, or of another ``system`` that was scored on val.
    """
    scores = checked(scores)
    rows = [cell for cell in cells(10, role, label_space) if cell.key.metric == "iou"]
    found = [measure(scores, replace(cell.key, system=system)) for cell in rows]
    paper = [cell.paper for cell in rows]
    return pd.DataFrame({"here": [each.mean for each in found], "std": [each.std for each in found], "paper": paper})


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write ``table05.csv``, ``.md`` and ``.tex`` (booktabs) into ``folder`` and return their paths.

    The CSV keeps mean, spread and status in columns of their own, with empty cells for no number, so that programs can
    read it; Markdown and LaTeX join them for people. ``DataError`` if the folder cannot be written.
    """
    stem = Path(folder) / f"table{table.number:02d}"
    contents = {
        ".csv": table.frame.to_csv(index=False, float_format="{:z.1f}".format, lineterminator="\n"),
        ".md": table._repr_markdown_(),
        ".tex": latex_table(table.shown, caption=table.title, label=f"tab:{table.number:02d}", note=table.note),
    }
    return [write_whole(stem.with_suffix(suffix), text.encode()) for suffix, text in contents.items()]


def write_numbers(folder: Path, name: str, numbers: pd.DataFrame, shown: pd.DataFrame, words: int | None = 1) -> None:
    """Write a table that is not the paper's: ``numbers`` as ``<name>.csv``, what is ``shown`` of them as ``<name>.md``.

    In the CSV four decimals, so that who rounds them again gets what is shown, and empty cells for no number;
    ``words`` as in ``markdown_table``.
    """
    text = numbers.to_csv(index=False, float_format="{:z.4f}".format, lineterminator="\n")
    write_whole(Path(folder) / f"{name}.csv", text.encode())
    write_whole(Path(folder) / f"{name}.md", (markdown_table(shown.astype(str), words) + "\n").encode())


def _frame(headers: tuple[str, ...], wanted: list[Cell], measured: list[Measurement]) -> pd.DataFrame:
    records: dict[tuple[str, ...], dict] = {}
    for cell, measurement in zip(wanted, measured, strict=True):
        record = records.setdefault(cell.row, dict(zip(headers, cell.row, strict=True)))
        parts = (cell.paper, measurement.mean, measurement.std, measurement.mean - cell.paper, measurement.status)
        record.update({f"{cell.column}, {part}": value for part, value in zip(PARTS, parts, strict=True)})
    columns = [*headers, *(f"{column}, {part}" for column in dict.fromkeys(c.column for c in wanted) for part in PARTS)]
    return pd.DataFrame(list(records.values()), columns=columns)


def _on(role: str, player: str, number: int) -> str:
    """The end of the title: which data our numbers are from."""
    if not player:
        return ""
    if stands_in(role, player):
        return f" (here: {player}, a stand-in for {ROLES[role]})"
    return "" if number in COMPARISONS and player == ROLES[role] else f" (here: {player})"


def _notes(number: int, role: str, player: str, wanted: list[Cell], measured: list[Measurement]) -> list[str]:
    """What a reader must know to read the numbers: whose they are, of how many seeds, what is missing and why."""
    notes = ["IoU in percent; difference = here - paper."]
    if not player:
        notes.append(f"No data set plays {ROLES[role]} in this profile: the numbers are the paper's alone.")
    elif stands_in(role, player) or (number not in COMPARISONS and role != "cityscapes"):
        notes.append("The paper's numbers are from other data: the difference shows the distance, not who is better.")
    if number not in COMPARISONS and role == "camvid":
        notes.append("The paper prints this table for Cityscapes; its means are over 19 classes.")
    if number in (5, 6, 7):
        notes.append("Ours is scored on the training pictures; the paper does not say on which.")
    if any(cell.key.target and cell.column != DENSE and math.isnan(cell.paper) for cell in wanted):
        notes.append("Classes without a number of the paper are no class of its own.")
    counts = sorted(
        {len(m.by_seed) for c, m in zip(wanted, measured, strict=True) if len(m.by_seed) and c.key.stage != "reference"}
    )
    if counts == [1]:
        notes.append("Here: one seed, so no spread.")
    elif counts:
        span = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        notes.append(f"Here: mean ± sample standard deviation over n = {span} seeds.")
    if any(measurement.status == HELD_BACK for measurement in measured):
        notes.append("Labels held back: the split can only be scored elsewhere, from written predictions.")
    return notes


def _as_text(frame: pd.DataFrame, headers: tuple[str, ...]) -> pd.DataFrame:
    shown = frame.loc[:, list(headers)]
    for heading in (name.removesuffix(", paper") for name in frame.columns if name.endswith(", paper")):
        shown[f"{heading}, paper"] = frame[f"{heading}, paper"].map(one_decimal)
        ours = frame[[f"{heading}, {part}" for part in ("here", "std", "status")]]
        shown[f"{heading}, here"] = [_as_cell(*row) for row in ours.to_numpy()]
        shown[f"{heading}, difference"] = frame[f"{heading}, difference"].map(signed)
    return shown


def _as_cell(mean: float, std: float, status: str) -> str:
    if math.isnan(mean):
        return status or with_spread(mean, std)
    return with_spread(mean, std) + (f" ({status})" if status else "")
