"""Which measured number stands beside which cell of the paper's tables: the map that tables and verdict share.

Tables 1 to 4 and 8 compare systems on the data set they name. Tables 5, 6, 7, 9 and 10 are about Cityscapes in the
paper; here they are filled from the main data set, with that data set's classes (``LabelSpace.paper_columns`` names
the paper's class for those that are one). Tables 5 to 7 are scored on the training pictures, whose labels they are
about: the paper does not say which split it used.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from wsss_lib.reporting.measurements import ScoreKey
from wsss_lib.reporting.paper import paper_table, paper_value
from wsss_lib.vocabulary import LabelSpace

OURS = "Ours"
"""The name of the paper's own method in the paper's tables; the scores call it ``"ours"``."""

MEAN_ROW = "mean of classes"
METRICS = {"class mIoU": "miou_class", "category mIoU": "miou_category"}
DENSE = "whole image at patch resolution"
"""A column of Table 5 that the paper does not have."""

CLUSTERING_STAGES = {"Seeds": "seeds"} | {f"Deep Clustering-{round_}": f"round_{round_}" for round_ in (1, 2, 3)}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One number of the paper (``nan`` if the paper has none) and the key of the number to put beside it.

    ``row`` are the texts that name the row in the paper's order, ``column`` is the heading of the number.
    """

    table: int
    row: tuple[str, ...]
    column: str
    paper: float
    key: ScoreKey

    @property
    def label(self) -> str:
        """The cell in words, for example ``"Table 7, DC-1, centre loss yes: class mIoU"``."""
        headers = () if self.table in COMPARISONS else ROW_HEADERS[self.table][1:]
        details = [f"{header} {text}" for header, text in zip(headers, self.row[1:], strict=False)]
        return f"Table {self.table}, {', '.join([self.row[0], *details])}: {self.column}"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A table that compares systems on one data set: for each heading the paper's column, the split and the metric."""

    dataset: str
    headers: tuple[str, ...]
    columns: dict[str, tuple[str, str, str]]


_METHOD = ("method", "venue", "supervision")
COMPARISONS = {
    1: Comparison(
        dataset="cityscapes",
        headers=_METHOD,
        columns={heading: (metric, "val", metric) for heading, metric in METRICS.items()},
    ),
    2: Comparison(
        dataset="cityscapes",
        headers=_METHOD,
        columns={heading: (metric, "test", metric) for heading, metric in METRICS.items()},
    ),
    3: Comparison(dataset="camvid", headers=_METHOD, columns={"class mIoU": ("miou", "val", "miou_class")}),
    4: Comparison(dataset="camvid", headers=_METHOD, columns={"class mIoU": ("miou", "test", "miou_class")}),
    8: Comparison(
        dataset="voc",
        headers=_METHOD[:2],
        columns={"val mIoU": ("miou_val", "val", "miou_class"), "test mIoU": ("miou_test", "test", "miou_class")},
    ),
}

ROW_HEADERS = {number: comparison.headers for number, comparison in COMPARISONS.items()} | {
    5: ("class",),
    6: ("stage",),
    7: ("stage", "centre loss"),
    9: ("segmentation network",),
    10: ("class",),
}


def table_data(number: int) -> str:
    """The data set that the paper's table ``number`` is about; Tables 5, 6, 7, 9 and 10 are about Cityscapes."""
    return COMPARISONS[number].dataset if number in COMPARISONS else "cityscapes"


def system_name(printed: str) -> str:
    """What the scores call a method or network that the paper prints: ``"AE-PSL"`` is ``"ae_psl"``."""
    return printed.lower().replace("-", "_")


@cache
def printed_names() -> dict[str, str]:
    """How the paper prints its methods and networks, by what the scores call them: ``"ae_psl"`` -> ``"AE-PSL"``."""
    methods = [name for number in COMPARISONS for name in paper_table(number)["method"]]
    return {system_name(name): name for name in [*methods, *paper_table(9)["segmentation_network"]]}


def cells(number: int, main: str, label_space: LabelSpace | None) -> list[Cell]:
    """The cells of paper table ``number``, row by row in the paper's order.

    ``main`` is the role that fills Tables 5, 6, 7, 9 and 10; ``label_space`` has its classes (``None``: the paper's).
    ``SettingsError`` for a table that the paper does not have.
    """
    paper_table(number)  # refuses a number that the paper does not have
    if number in COMPARISONS:
        return _comparison_cells(number)
    classes = _paper_classes(label_space)
    builders: dict[int, Callable[[], list[Cell]]] = {
        5: lambda: _seed_cells(main, classes),
        6: lambda: _stage_cells(main),
        7: lambda: _center_loss_cells(main),
        9: lambda: _network_cells(main),
        10: lambda: _class_cells(main, classes),
    }
    return builders[number]()


def _comparison_cells(number: int) -> list[Cell]:
    comparison = COMPARISONS[number]
    return [
        Cell(
            table=number,
            row=tuple(str(row[header]) for header in comparison.headers),
            column=heading,
            paper=float(row[column]),
            key=ScoreKey(
                dataset=comparison.dataset,
                split=split,
                stage="segmentation",
                system=system_name(str(row["method"])),
                metric=metric,
            ),
        )
        for row in paper_table(number).to_dict("records")
        for heading, (column, split, metric) in comparison.columns.items()
    ]


def _paper_classes(label_space: LabelSpace | None) -> dict[str, str]:
    """Class name -> the paper's column for it, in index order; "" where its tables do not have the class."""
    if label_space is None:
        return {name: name for name in paper_table(10).columns if name not in ("method", "miou")}
    return {name: label_space.paper_columns.get(name, "") for name in label_space.classes}


def _per_class(classes: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """For each class and then for their mean: row name, the paper's column, metric, target."""
    rows = [(name, column, "iou", name) for name, column in classes.items()]
    return [*rows, (MEAN_ROW, "miou", "miou_class", "")]


def _seed_cells(main: str, classes: dict[str, str]) -> list[Cell]:
    """The paper's two columns, and the control that tells the effect of resolution from that of cutting."""
    inputs = {"whole image": "seeds_whole", "image patches": "seeds_patch", DENSE: "seeds_dense"}
    return [
        Cell(
            table=5,
            row=(name,),
            column=heading,
            paper=math.nan if heading == DENSE else paper_value(5, column, classifier_input=heading),
            key=ScoreKey(dataset=main, split="train", stage=stage, metric=metric, target=target),
        )
        for name, column, metric, target in _per_class(classes)
        for heading, stage in inputs.items()
    ]


def _stage_cells(main: str) -> list[Cell]:
    return [
        Cell(
            table=6,
            row=(name,),
            column=heading,
            paper=paper_value(6, metric, stage=name),
            key=ScoreKey(dataset=main, split="train", stage=stage, metric=metric),
        )
        for name, stage in CLUSTERING_STAGES.items()
        for heading, metric in METRICS.items()
    ]


def _center_loss_cells(main: str) -> list[Cell]:
    variants = {"no": "no_center_loss", "yes": "default"}
    return [
        Cell(
            table=7,
            row=(f"DC-{round_}", answer),
            column=heading,
            paper=paper_value(7, metric, stage=f"DC-{round_}", center_loss=answer),
            key=ScoreKey(dataset=main, split="train", stage=f"round_{round_}", variant=variant, metric=metric),
        )
        for round_ in (1, 2, 3)
        for answer, variant in variants.items()
        for heading, metric in METRICS.items()
    ]


def _network_cells(main: str) -> list[Cell]:
    return [
        Cell(
            table=9,
            row=(name,),
            column=heading,
            paper=paper_value(9, metric, segmentation_network=name),
            key=ScoreKey(dataset=main, split="val", stage="segmentation", network=system_name(name), metric=metric),
        )
        for name in paper_table(9)["segmentation_network"]
        for heading, metric in METRICS.items()
    ]


def _class_cells(main: str, classes: dict[str, str]) -> list[Cell]:
    method = paper_table(10)["method"].iloc[0]
    return [
        Cell(
            table=10,
            row=(name,),
            column="IoU",
            paper=paper_value(10, column, method=method),
            key=ScoreKey(dataset=main, split="val", stage="segmentation", metric=metric, target=target),
        )
        for name, column, metric, target in _per_class(classes)
    ]
