"""Frames of text as Markdown, LaTeX and aligned terminal lines, and numbers as the text in them.

Markdown and LaTeX show a column named ``"heading, part"`` under its heading: LaTeX groups neighbouring columns that
share one.
"""

import math
import textwrap
from collections.abc import Iterable
from itertools import groupby, zip_longest

import pandas as pd

NO_NUMBER = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TERMINAL_WIDTH = 110
LONGEST_CELL = 17
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    **{character: f"\\{character}" for character in "&%$#_"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    MINUS: r"$-$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    NO_NUMBER: "--",
}


def one_decimal(value: float) -> str:
    """``24.18`` as ``"24.2"``; a dash for ``nan``."""
    return NO_NUMBER if math.isnan(value) else f"{value:z.1f}"


def signed(value: float, decimals: int = 1) -> str:
    """``0.42`` as ``"+0.4"``, ``-1`` with a true minus sign; ``"0.0"`` for what rounds to it; a dash for ``nan``."""
    text = f"{value:+.{decimals}f}" if round(value, decimals) else f"{0:.{decimals}f}"
    return NO_NUMBER if math.isnan(value) else text.replace("-", MINUS)


def with_spread(mean: float, std: float) -> str:
    """``"24.2 ± 0.4"``, without the spread where there is none (one seed)."""
    return one_decimal(mean) if math.isnan(std) else f"{mean:.1f} ± {std:.1f}"


def joined_spreads(numbers: pd.DataFrame) -> pd.DataFrame:
    """The frame as text: a column that has a ``"<name>, std"`` takes it in, as :func:`with_spread`."""
    shown = numbers.drop(columns=[f"{name}, std" for name in numbers.columns], errors="ignore").astype(object)
    for name in [name for name in shown.columns if f"{name}, std" in numbers]:
        shown[name] = [with_spread(mean, std) for mean, std in numbers[[name, f"{name}, std"]].to_numpy()]
    return shown


def markdown_table(frame: pd.DataFrame, words: int | None = None) -> str:
    """A pipe table; columns of numbers are aligned right: all but the first ``words``, or those whose names tell."""
    numbers = [_holds_numbers(name) if words is None else place >= words for place, name in enumerate(frame.columns)]
    rules = ["---:" if right else ":---" for right in numbers]
    rows = [list(frame.columns), rules, *frame.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def latex_table(frame: pd.DataFrame, *, caption: str, label: str, note: str) -> str:
    """A ``table`` environment with booktabs rules, two header lines, and the note in small print below."""
    pairs = [
        (heading, part) if part else ("", heading) for heading, _, part in (c.partition(", ") for c in frame.columns)
    ]
    groups = [(heading, len(list(members))) for heading, members in groupby(heading for heading, _ in pairs)]
    top = [
        f"\\multicolumn{{{count}}}{{c}}{{{latex(heading)}}}" if heading else " & ".join([""] * count)
        for heading, count in groups
    ]
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex(caption)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if heading else 'l' for heading, _ in pairs)}}}",
        r"    \toprule",
        rf"    {_latex_row(top)}",
        *(f"    {rule}" for rule in _group_rules(groups)),
        rf"    {_latex_row(latex(part) for _, part in pairs)}",
        r"    \midrule",
        *(f"    {_latex_row(latex(cell) for cell in row)}" for row in frame.astype(str).to_numpy()),
        r"    \bottomrule",
        r"  \end{tabular}",
        rf"  \par\smallskip\footnotesize {latex(note)}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex(text: str) -> str:
    """Plain text with every character that LaTeX would take as a command escaped."""
    return "".join(_LATEX.get(character, character) for character in text)


def aligned_text(frame: pd.DataFrame, width: int = TERMINAL_WIDTH) -> str:
    """Columns aligned with spaces, no line longer than ``width`` characters: long cells and headings are wrapped.

    The first column gets what the others leave. Columns of numbers are aligned right, the others left.
    """
    rows = [list(map(str, row)) for row in frame.to_numpy()]
    widths = [_column_width(name, cells) for name, *cells in zip(frame.columns, *rows, strict=True)]
    widths[0] = min(widths[0], width - sum(widths[1:]) - 2 * (len(widths) - 1))
    heads = [_wrapped_heading(name, size) for name, size in zip(frame.columns, widths, strict=True)]
    depth = max(map(len, heads))
    lines = [
        *zip(*([""] * (depth - len(head)) + head for head in heads), strict=True),
        ["-" * size for size in widths],
        *(line for row in rows for line in _wrapped(row, widths)),
    ]
    pads = [str.rjust if _holds_numbers(name) else str.ljust for name in frame.columns]
    return "\n".join(
        "  ".join(pad(cell, size) for pad, cell, size in zip(pads, line, widths, strict=True)).rstrip()
        for line in lines
    )


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _group_rules(groups: list[tuple[str, int]]) -> list[str]:
    """A thin rule under every heading that spans columns."""
    ends = [sum(count for _, count in groups[: index + 1]) for index in range(len(groups))]
    return [
        rf"\cmidrule(lr){{{end - count + 1}-{end}}}"
        for (heading, count), end in zip(groups, ends, strict=True)
        if heading
    ]


def _holds_numbers(column: str) -> bool:
    return ", " in column or column in ("ours", "paper", "difference", "seeds")


def _column_width(name: str, cells: list[str]) -> int:
    """As wide as the longest cell and word of the heading; cells of number columns wrap at ``LONGEST_CELL``."""
    longest = max(map(len, cells), default=0)
    return max(min(longest, LONGEST_CELL) if _holds_numbers(name) else longest, *map(len, name.split()))


def _wrapped_heading(name: str, size: int) -> list[str]:
    """The part after the comma stands on a line of its own, so that parts line up across columns."""
    heading, comma, part = name.partition(", ")
    return [*textwrap.wrap(heading + comma.strip(), size), *textwrap.wrap(part, size)]


def _wrapped(row: list[str], widths: list[int]) -> list[tuple[str, ...]]:
    """The lines of one row: each cell wrapped to its column, the shorter ones filled up with empty lines."""
    parts = [
        textwrap.wrap(cell, size, subsequent_indent=" " * (index == 0))
        for index, (cell, size) in enumerate(zip(row, widths, strict=True))
    ]
    return list(zip_longest(*parts, fillvalue=""))
