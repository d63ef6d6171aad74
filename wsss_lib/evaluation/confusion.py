"""One confusion matrix per data set: every score of the project is computed from it.

Intersection over union is a ratio of counts over the whole data set, not a mean over pictures, so the counts are
pooled first (cityscapesScripts, PASCAL VOC).
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Int64
from torchmetrics.classification import MulticlassConfusionMatrix

from wsss_lib.vocabulary import IGNORE, DataError, LabelMap

ConfusionMatrix = Int64[np.ndarray, "class prediction"]
"""Pixels of true class (row) predicted as (column). One column more than rows: the last counts unlabelled pixels."""


def confusion_matrix(pairs: Iterable[tuple[LabelMap, LabelMap]], num_classes: int) -> ConfusionMatrix:
    """Count pixels of (prediction, label map) pairs, pooled over all pairs.

    Pixels whose true label is ``IGNORE`` never count. A *predicted* ``IGNORE`` (seed maps leave pixels open) is a
    miss of the pixel's true class, as in cityscapesScripts: it is counted in a last, additional column.

    Example with 2 classes: labels 0 0 1 255, prediction 0 255 0 1 give [[1, 0, 1], [1, 0, 0]].

    Raises ``DataError`` for maps of different size, for labels outside the classes, and where there is no pair.
    """
    counter = MulticlassConfusionMatrix(
        num_classes + 1,
        ignore_index=IGNORE,
        validate_args=False,
        sync_on_compute=False,  # of several processes one counts alone, and would wait for the others for ever
    )
    number = -1
    for number, (prediction, label_map) in enumerate(pairs):
        _check_pair(prediction, label_map, num_classes, number)
        column = np.where(prediction == IGNORE, num_classes, prediction)
        counter.update(torch.from_numpy(column), torch.from_numpy(label_map.astype(np.int64)))
    if number < 0:
        raise DataError("no prediction to score; give at least one pair of prediction and label map")
    return counter.compute().numpy()[:num_classes]


def _check_pair(prediction: LabelMap, label_map: LabelMap, num_classes: int, number: int) -> None:
    if prediction.shape != label_map.shape:
        raise DataError(
            f"prediction {number} is {_size(prediction)} but its label map is {_size(label_map)}; "
            "resize the prediction to the label map (nearest neighbour)"
        )
    for name, labels in (("prediction", prediction), ("label map", label_map)):
        outside = labels[(labels >= num_classes) & (labels != IGNORE)]
        if outside.size:
            raise DataError(
                f"{name} {number} holds label {outside[0]}; {num_classes} classes allow 0 to {num_classes - 1} "
                f"and {IGNORE} (unknown)"
            )


def _size(label_map: LabelMap) -> str:
    return f"{label_map.shape[1]} x {label_map.shape[0]}"
