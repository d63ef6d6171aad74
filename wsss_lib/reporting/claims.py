"""What the paper claims, and what can be said about each claim here.

**The rule** (``decide``). A comparison is made within seeds: the difference of the two numbers for every seed they
share, which cancels what both have in common (initial weights, order of the data).

- Three or more seeds: with mean difference d, sample standard deviation s and n seeds, the one-sided 95 % bounds are
  d -/+ t(0.95, n-1) s / sqrt(n). "holds" if the lower bound is above zero, "does not hold" if the upper bound is not,
  else "undecided". For "reaches the paper's number" a lower bound of zero is enough.
- One or two seeds: decided only if abs(d) is larger than the margin of what is compared, and then a hint and no more.
  Labels differ from seed to seed by less than half a point here, and by more where others report it: ``LABEL_MARGIN``.
  Networks on val spread by up to two points (standard deviation), so that of two single trainings that differ by chance
  alone one in twenty is ahead by 1.64 sqrt(2) 2 points: ``NETWORK_MARGIN``. Single classes move more than their mean:
  on CamVid nine of ten differences between two seeds are below 1.7 (labels) and 6.6 (networks): ``LABEL_CLASS_MARGIN``,
  ``NETWORK_CLASS_MARGIN``.
- A network that collapsed to one class has learnt nothing, and says nothing of its method: a comparison in which one
  did never "holds", nor does a number that it reaches, and the row names it.
- A number of 0 in the paper is reached by whatever is measured, which says nothing: "undecided".
- Only one side has a seed (the other is without chance, or is the paper): it counts for every seed.
- Nothing to compare: "not run"; scored elsewhere or absent from the data: "not measured".

Each row is decided alone, without correction for their number: of a hundred true ties about five "hold" by chance.
Where a stand-in plays the paper's data set, "reaches the paper's number" compares different data, and only the claims
about differences carry over.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from scipy.stats import t as student_t

from wsss_lib.reporting.cells import COMPARISONS, METRICS, OURS, Cell, cells, system_name
from wsss_lib.reporting.measurements import (
    NOT_RUN,
    ROLES,
    Measurement,
    ScoreKey,
    checked,
    collapse,
    main_dataset,
    measure,
    space_of,
)
from wsss_lib.reporting.paper import TABLE_NUMBERS, paper_table, paper_value
from wsss_lib.reporting.rendering import NO_NUMBER, aligned_text, markdown_table, one_decimal, signed
from wsss_lib.vocabulary import LabelSpace

HOLDS, FAILS, UNDECIDED, UNMEASURED = "holds", "does not hold", "undecided", "not measured"
OUTCOMES = (HOLDS, FAILS, UNDECIDED, UNMEASURED, NOT_RUN)
LABEL_MARGIN, NETWORK_MARGIN = 1.0, 4.6
LABEL_CLASS_MARGIN, NETWORK_CLASS_MARGIN = 2.0, 7.0
"""Percentage points that a difference must exceed to be called decided with fewer than three seeds."""
CLAIM, NUMBER = "claim", "number"
"""Kinds of rows: what the paper says of its numbers, and these themselves."""

CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Claim:
    """``better`` scores higher than ``worse``: by ``paper`` points in the paper, which says so in ``table``."""

    id: str
    statement: str
    table: int
    better: ScoreKey
    worse: ScoreKey
    paper: float


def paper_claims(main: str) -> list[Claim]:
    """Every comparison that the paper makes, in the order of its tables.

    ``main`` is the role on which the claims of Tables 5, 6, 7 and 9 are tried. The claims "ours beats ..." are all the
    pairs of Tables 1 to 4 and 8 in which the paper's method has the higher number there.
    """
    claims = [*_patches_claims(main), *_round_claims(main), *_center_loss_claims(main), *_network_claims(main)]
    return sorted([*claims, *_comparison_claims()], key=lambda claim: claim.table)


def decide(differences: pd.Series, *, margin: float = LABEL_MARGIN, tie_holds: bool = False) -> str:
    """One of "holds", "does not hold", "undecided" by the rule above; ``differences`` has one value per seed, points.

    ``margin``: of fewer than three seeds. ``tie_holds``: whether being exactly equal is enough. Without any value:
    "undecided".
    """
    count, mean = len(differences), differences.mean()
    if count < 3:
        if count == 0 or abs(mean) <= margin:
            return UNDECIDED
        return HOLDS if mean > 0 else FAILS
    half = float(student_t.ppf(CONFIDENCE, count - 1)) * differences.std(ddof=1) / math.sqrt(count)
    lower, upper = mean - half, mean + half
    if lower > 0 or (tie_holds and lower == 0):
        return HOLDS
    return FAILS if upper < 0 or (upper == 0 and not tie_holds) else UNDECIDED


def verdict(scores: pd.DataFrame, label_spaces: Mapping[str, LabelSpace]) -> pd.DataFrame:
    """One row per claim of the paper, then one per number of its "ours" rows.

    Columns: ``kind`` (``CLAIM`` or ``NUMBER``), ``claim`` (text), ``ours`` and ``paper`` (percent; for a claim, how
    much the better side is ahead, points), ``difference`` (ours minus paper), ``seeds`` (how many were compared),
    ``outcome`` (one of ``OUTCOMES``). ``label_spaces`` maps roles to classes, as for the tables. Classes that the
    paper's tables do not have, and its classes that the main data set lacks, are left out.
    """
    scores = checked(scores)
    main = main_dataset(scores)
    space = space_of(label_spaces, main) if main else None
    main = main or "cityscapes"
    rows = [_try_claim(scores, claim) for claim in paper_claims(main)]
    rows += [
        _try_number(scores, cell) for number in TABLE_NUMBERS for cell in cells(number, main, space) if _is_ours(cell)
    ]
    return pd.DataFrame(rows, columns=["kind", "claim", "ours", "paper", "difference", "seeds", "outcome"])


def verdict_text(frame: pd.DataFrame) -> str:
    """The verdict for a terminal: claims, then numbers; columns at most 110 characters wide, counts below each."""
    return "\n\n".join(f"{title}\n\n{aligned_text(_as_text(rows))}\n\n{_counts(rows)}" for title, rows in _parts(frame))


def verdict_markdown(frame: pd.DataFrame) -> str:
    """The verdict as two Markdown tables, claims and numbers, with the count of every outcome below each."""
    tables = {title: f"{markdown_table(_as_text(rows))}\n\n{_counts(rows)}\n" for title, rows in _parts(frame)}
    return "\n".join(f"**{title}**\n\n{table}" for title, table in tables.items())


def _parts(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The two kinds of rows, each with what it says."""
    titles = {
        CLAIM: "What the paper claims: by how many points the first is ahead",
        NUMBER: "What the paper measured: does ours reach it? From other data this is for orientation alone",
    }
    return [(title, frame.loc[frame["kind"] == kind]) for kind, title in titles.items()]


def _patches_claims(main: str) -> list[Claim]:
    whole, patches = (ScoreKey(dataset=main, split="train", stage=f"seeds_{name}") for name in ("whole", "patch"))
    gain = paper_value(5, "miou", classifier_input="image patches") - paper_value(
        5, "miou", classifier_input="whole image"
    )
    statement = "Seeds: patches beat the whole image (class mIoU)"
    return [Claim(id="t05-patches", statement=statement, table=5, better=patches, worse=whole, paper=gain)]


def _round_claims(main: str) -> list[Claim]:
    """Each round improves on the labels it started from; the segmentation network improves on its own."""
    stages = list(dict.fromkeys((cell.row[0], cell.key.stage) for cell in cells(6, main, None)))
    rounds = [
        Claim(
            id=f"t06-{after}-{metric}",
            statement=f"{later} improves on {earlier} ({heading})",
            table=6,
            better=ScoreKey(dataset=main, split="train", stage=after, metric=metric),
            worse=ScoreKey(dataset=main, split="train", stage=before, metric=metric),
            paper=paper_value(6, metric, stage=later) - paper_value(6, metric, stage=earlier),
        )
        for (earlier, before), (later, after) in itertools.pairwise(stages)
        for heading, metric in METRICS.items()
    ]
    last_name, last_stage = stages[-1]
    method = paper_table(10)["method"].iloc[0]
    network = Claim(
        id="t10-network",
        statement="The segmentation network beats the labels it learnt from, on train (class mIoU)",
        table=10,
        better=ScoreKey(dataset=main, split="train", stage="segmentation"),
        worse=ScoreKey(dataset=main, split="train", stage=last_stage),
        paper=paper_value(10, "miou", method=method) - paper_value(6, "miou_class", stage=last_name),
    )
    return [*rounds, network]


def _center_loss_claims(main: str) -> list[Claim]:
    return [
        Claim(
            id=f"t07-{stage.lower()}-{metric}",
            statement=f"Centre loss helps in {stage} ({heading})",
            table=7,
            better=ScoreKey(dataset=main, split="train", stage=f"round_{stage[-1]}", metric=metric),
            worse=ScoreKey(
                dataset=main, split="train", stage=f"round_{stage[-1]}", variant="no_center_loss", metric=metric
            ),
            paper=paper_value(7, metric, stage=stage, center_loss="yes")
            - paper_value(7, metric, stage=stage, center_loss="no"),
        )
        for stage in dict.fromkeys(paper_table(7)["stage"])
        for heading, metric in METRICS.items()
    ]


def _network_claims(main: str) -> list[Claim]:
    """The paper's default network against the two others, by class mIoU (section 3.3)."""
    by_name = {cell.row[0]: cell for cell in cells(9, main, None) if cell.key.metric == "miou_class"}
    best = by_name.pop("DeepLab-LargeFOV")
    return [
        Claim(
            id=f"t09-{system_name(name)}",
            statement=f"{best.row[0]} beats {name} on the same labels (class mIoU)",
            table=9,
            better=best.key,
            worse=other.key,
            paper=best.paper - other.paper,
        )
        for name, other in by_name.items()
    ]


def _comparison_claims() -> list[Claim]:
    claims = []
    for number in COMPARISONS:
        table = cells(number, "", None)
        ours = {cell.column: cell for cell in table if cell.row[0] == OURS}
        claims += [
            Claim(
                id=f"t{number:02d}-{cell.key.system}-{cell.key.split}-{cell.key.metric}",
                statement=f"Ours beats {cell.row[0]} on {_data_name(cell)} ({_metric_name(cell)})",
                table=number,
                better=ours[cell.column].key,
                worse=cell.key,
                paper=ours[cell.column].paper - cell.paper,
            )
            for cell in table
            if ours[cell.column].paper > cell.paper
        ]
    return claims


def _data_name(cell: Cell) -> str:
    return f"{ROLES[cell.key.dataset]} {cell.key.split}"


def _metric_name(cell: Cell) -> str:
    return next(heading for heading, metric in METRICS.items() if metric == cell.key.metric)


def _is_ours(cell: Cell) -> bool:
    return cell.key.system == system_name(OURS) and not math.isnan(cell.paper)


Row = tuple[str, str, float, float, float, int, str]


def _try_claim(scores: pd.DataFrame, claim: Claim) -> Row:
    better, worse = measure(scores, claim.better), measure(scores, claim.worse)
    gains = _paired(better.by_seed, worse.by_seed)
    outcome = _unless_missing(decide(gains, margin=_margin(claim.better)), better, worse)
    gain, statement = float(gains.mean()), f"Table {claim.table}: {claim.statement}"
    for side, key in (("the first", claim.better), ("the other", claim.worse)):
        if fallen := collapse(scores, key, gains.index):
            statement = f"{statement}; {side}'s {fallen}"
            outcome = UNDECIDED if outcome == HOLDS else outcome
    return CLAIM, statement, gain, claim.paper, gain - claim.paper, len(gains), outcome


def _try_number(scores: pd.DataFrame, cell: Cell) -> Row:
    measured = measure(scores, cell.key)
    distances, mean = measured.by_seed - cell.paper, measured.mean
    outcome = _unless_missing(decide(distances, margin=_margin(cell.key), tie_holds=True), measured)
    fallen = collapse(scores, cell.key, distances.index)
    if outcome == HOLDS and (fallen or cell.paper == 0):
        outcome = UNDECIDED
    label = f"{cell.label}; {fallen}" if fallen else cell.label
    return NUMBER, label, mean, cell.paper, mean - cell.paper, len(distances), outcome


def _margin(key: ScoreKey) -> float:
    if key.stage == "segmentation":
        return NETWORK_CLASS_MARGIN if key.target else NETWORK_MARGIN
    return LABEL_CLASS_MARGIN if key.target else LABEL_MARGIN


def _unless_missing(outcome: str, *sides: Measurement) -> str:
    """Not run if any side was not, not measured if any side has no values, else the outcome."""
    if any(side.status == NOT_RUN for side in sides):
        return NOT_RUN
    return UNMEASURED if any(side.by_seed.empty for side in sides) else outcome


def _paired(better: pd.Series, worse: pd.Series) -> pd.Series:
    """Difference per shared seed; a side without chance (only seed -1) is set against every seed of the other."""
    if list(worse.index) == [-1]:
        return better - worse.iloc[0]
    if list(better.index) == [-1]:
        return better.iloc[0] - worse
    return (better - worse).dropna()


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    shows = [signed if kind == CLAIM else one_decimal for kind in frame["kind"]]
    return pd.DataFrame(
        {
            "claim": frame["claim"],
            **{name: [show(each) for show, each in zip(shows, frame[name], strict=True)] for name in ("ours", "paper")},
            "difference": frame["difference"].map(signed),
            "seeds": [str(count or NO_NUMBER) for count in frame["seeds"]],
            "outcome": frame["outcome"],
        }
    )


def _counts(frame: pd.DataFrame) -> str:
    found = frame["outcome"].value_counts()
    counts = ", ".join(f"{found[name]} {name}" for name in OUTCOMES if name in found)
    hints = int((frame["seeds"].between(1, 2) & frame["outcome"].isin([HOLDS, FAILS])).sum())
    told = f" {hints} of them are decided by fewer than three seeds: hints and no more." if hints else ""
    return f"{len(frame)} rows: {counts}.{told}"
