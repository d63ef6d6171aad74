"""Text, Markdown and LaTeX from frames of text."""

import math

import pandas as pd
import pytest

from wsss_lib.reporting.rendering import (
    aligned_text,
    joined_spreads,
    latex,
    latex_table,
    markdown_table,
    one_decimal,
    signed,
    with_spread,
)


@pytest.mark.parametrize(
    ("value", "plain", "difference"),
    [
        (24.18, "24.2", "+24.2"),
        (-0.26, "-0.3", "\N{MINUS SIGN}0.3"),
        (-0.04, "0.0", "0.0"),
        (0.0, "0.0", "0.0"),
        (math.nan, "\N{EN DASH}", "\N{EN DASH}"),
    ],
)
def test_numbers(value: float, plain: str, difference: str) -> None:
    assert one_decimal(value) == plain
    assert signed(value) == difference


def test_signs_with_more_decimals() -> None:
    assert [signed(value, 2) for value in (0.5, -0.356, -0.004)] == ["+0.50", "\N{MINUS SIGN}0.36", "0.00"]


def test_spread_only_where_there_is_one() -> None:
    assert with_spread(24.18, 0.44) == "24.2 ± 0.4"
    assert with_spread(24.18, math.nan) == "24.2"
    assert with_spread(math.nan, math.nan) == "\N{EN DASH}"


def test_a_spread_joins_the_number_that_it_belongs_to() -> None:
    frame = pd.DataFrame(
        {"name": ["a", "b"], "n": [2, 1], "val": [24.18, 3.0], "val, std": [0.44, math.nan], "x, y": "z"}
    )
    shown = joined_spreads(frame)
    assert shown.columns.tolist() == ["name", "n", "val", "x, y"]
    assert shown.to_numpy().tolist() == [["a", 2, "24.2 ± 0.4", "z"], ["b", 1, "3.0", "z"]]


def test_latex_escapes() -> None:
    assert latex("50% & $5 #1 a_b {c} ~^\\ <>") == (
        r"50\% \& \$5 \#1 a\_b \{c\} \textasciitilde{}\textasciicircum{}\textbackslash{} \textless{}\textgreater{}"
    )
    assert latex("1 ± 2 \N{MINUS SIGN} 3 \N{MULTIPLICATION SIGN} 4 \N{EN DASH}") == r"1 $\pm$ 2 $-$ 3 $\times$ 4 --"


def test_latex_table_by_hand() -> None:
    frame = pd.DataFrame({"method": ["a_b"], "mIoU, paper": ["1.0"], "mIoU, here": ["2.0"]})
    assert latex_table(frame, caption="50%", label="tab:01", note="R&D") == "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            r"  \caption{50\%}",
            r"  \label{tab:01}",
            r"  \begin{tabular}{lrr}",
            r"    \toprule",
            r"     & \multicolumn{2}{c}{mIoU} \\",
            r"    \cmidrule(lr){2-3}",
            r"    method & paper & here \\",
            r"    \midrule",
            r"    a\_b & 1.0 & 2.0 \\",
            r"    \bottomrule",
            r"  \end{tabular}",
            r"  \par\smallskip\footnotesize R\&D",
            r"\end{table}",
            "",
        ]
    )


def test_markdown_table_by_hand() -> None:
    frame = pd.DataFrame({"method": ["a|b"], "mIoU, here": ["2.0"]})
    assert markdown_table(frame) == "| method | mIoU, here |\n| :--- | ---: |\n| a\\|b | 2.0 |"


def test_aligned_text_by_hand() -> None:
    frame = pd.DataFrame({"method": ["one two three", "b"], "mIoU, here": ["2.0", "not run"]})
    assert aligned_text(frame, width=18).splitlines() == [
        "             mIoU,",
        "method        here",
        "-------    -------".replace("    ", "--  "),
        "one two        2.0",
        " three",
        "b          not run",
    ]


def test_aligned_text_keeps_its_width() -> None:
    frame = pd.DataFrame({"claim": ["word " * 60], "ours": ["1.0"], "outcome": ["does not hold"]})
    assert max(map(len, aligned_text(frame, width=80).splitlines())) == 80
