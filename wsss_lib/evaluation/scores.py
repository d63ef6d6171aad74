"""Class and category IoU from a confusion matrix, as cityscapesScripts computes them (specification 8.1).

One thing differs (choice): a class that no label shows has no IoU, whatever is predicted. There it counts as 0 as soon
as a single pixel is called so, and means of two predictions of the same pictures are over different classes. Pixels
that are called so are missed by the classes that they are of. On data whose labels show every class both are the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64

from wsss_lib.evaluation.confusion import ConfusionMatrix
from wsss_lib.vocabulary import DataError, LabelSpace

CONSTANT_ABOVE = 99.0
"""A prediction that gives one class more than this share of its pixels (percent) counts as collapsed."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All scores of one prediction, in percent; ``nan`` where there is nothing to score.

    ``class_iou`` is ``nan`` for a class that no label shows, and so is a category of such; means leave them out.
    ``category_iou`` is empty and ``miou_category`` ``nan`` where the label space has no categories.
    ``predicted_share`` is the share of each class among the labelled pixels; ``labelled_share`` the share of known
    pixels that the prediction labelled (100 for a segmentation, less for seeds).
    """

    class_iou: Float64[np.ndarray, "class"]
    category_iou: Mapping[str, float]
    miou_class: float
    miou_category: float
    pixel_accuracy: float
    predicted_share: Float64[np.ndarray, "class"]
    labelled_share: float


def scores(matrix: ConfusionMatrix, label_space: LabelSpace) -> Scores:
    """Scores of a pooled confusion matrix, class x class or class x (class + 1) with unlabelled pixels last.

    IoU = TP / (TP + FP + FN). FN counts every known pixel of the class that is predicted otherwise or not at all.
    Inside a category confusion is free: the category's classes are scored as if they were one class.

    Example with classes a, b in one category and c: the matrix [[2, 1, 0], [0, 1, 0], [0, 1, 3]] gives
    IoU a = 2/3, b = 1/3, c = 3/4, category ab = 4/5.
    """
    num_classes = len(label_space)
    if matrix.shape not in ((num_classes, num_classes), (num_classes, num_classes + 1)):
        raise DataError(
            f"a confusion matrix of shape {matrix.shape} does not fit the {num_classes} classes of {label_space.name}"
        )
    class_iou = np.array([_labelled_iou(matrix, [index]) for index in range(num_classes)])
    category_iou = {name: _labelled_iou(matrix, members) for name, members in label_space.categories.items()}
    predicted = matrix[:, :num_classes].sum(axis=0)
    return Scores(
        class_iou=class_iou,
        category_iou=category_iou,
        miou_class=_mean_of_present(class_iou),
        miou_category=_mean_of_present(np.array(list(category_iou.values()))),
        pixel_accuracy=_percent(np.trace(matrix), matrix.sum()),
        predicted_share=np.array([_percent(count, predicted.sum()) for count in predicted]),
        labelled_share=_percent(predicted.sum(), matrix.sum()),
    )


def scores_table(
    scores: Scores,
    label_space: LabelSpace,
    *,
    dataset: str,
    played_by: str,
    split: str,
    system: str,
    stage: str,
    variant: str = "",
    network: str = "",
    seed: int = -1,
) -> pd.DataFrame:
    """The tidy table of the project: one row per number, keys first, then metric, target and value.

    ``metric`` is iou or predicted_share (``target`` is a class), iou_category (``target`` is a category: a class and a
    category may share a name), miou_class, miou_category, pixel_accuracy or labelled_share (``target`` is empty).
    Category rows are absent where the label space has no categories. ``seed`` is -1 where nothing is random.
    """
    keys = {
        "dataset": dataset,
        "played_by": played_by,
        "split": split,
        "system": system,
        "stage": stage,
        "variant": variant,
        "network": network,
        "seed": seed,
    }
    rows = pd.DataFrame(_numbers(scores, label_space), columns=["metric", "target", "value"])
    return pd.concat([pd.DataFrame([keys] * len(rows)), rows], axis="columns")


def _numbers(scores: Scores, label_space: LabelSpace) -> Iterator[tuple[str, str, float]]:
    for name, iou, share in zip(label_space.classes, scores.class_iou, scores.predicted_share, strict=True):
        yield "iou", name, float(iou)
        yield "predicted_share", name, float(share)
    for name, iou in scores.category_iou.items():
        yield "iou_category", name, iou
    yield "miou_class", "", scores.miou_class
    if scores.category_iou:
        yield "miou_category", "", scores.miou_category
    yield "pixel_accuracy", "", scores.pixel_accuracy
    yield "labelled_share", "", scores.labelled_share


def _labelled_iou(matrix: ConfusionMatrix, members: Sequence[int]) -> float:
    return group_iou(matrix, members) if matrix[list(members)].any() else float("nan")


def group_iou(matrix: ConfusionMatrix, members: Sequence[int]) -> float:
    """IoU in percent of a group of classes taken as one; ``nan`` where it is neither labelled nor predicted."""
    columns = list(members)
    intersection = matrix[np.ix_(columns, columns)].sum()
    union = matrix[columns].sum() + matrix[:, columns].sum() - intersection
    return _percent(intersection, union)


def _percent(part: np.integer, whole: np.integer) -> float:
    return float(100 * part / whole) if whole else float("nan")


def _mean_of_present(values: Float64[np.ndarray, "group"]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
