"""The pooled confusion matrix: four pixels by hand, then against scikit-learn, then maps that do not fit."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.vocabulary import IGNORE, DataError

LABELS = np.array([[0, 0], [1, IGNORE]], dtype=np.uint8)
PREDICTION = np.array([[0, IGNORE], [0, 1]], dtype=np.uint8)


def random_pairs(count=5, num_classes=4, seed=0):
    """Pictures of different sizes; labels and predictions with unknown pixels."""
    generator = np.random.default_rng(seed)
    values = np.array([*range(num_classes), IGNORE], dtype=np.uint8)
    sizes = generator.integers(3, 20, (count, 2))
    return [tuple(generator.choice(values, (2, *size))) for size in sizes]


def test_four_pixels_by_hand():
    """Class 0: one hit, one open pixel. Class 1: taken for 0. The unknown pixel never counts."""
    matrix = confusion_matrix([(PREDICTION, LABELS)], 2)
    assert matrix.tolist() == [[1, 0, 1], [1, 0, 0]]
    assert matrix.dtype == np.int64


def test_pooled_equals_sum_of_pictures():
    pairs = random_pairs()
    one_by_one = [confusion_matrix([pair], 4) for pair in pairs]
    assert np.array_equal(confusion_matrix(iter(pairs), 4), sum(one_by_one))


def test_one_of_several_processes_counts_alone(monkeypatch):
    """torchmetrics would ask the others for their counts, which they do not make; here there are none to answer."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    assert confusion_matrix([(PREDICTION, LABELS)], 2).tolist() == [[1, 0, 1], [1, 0, 0]]


def test_against_scikit_learn():
    pairs = random_pairs()
    predicted = np.concatenate([prediction.ravel() for prediction, _ in pairs])
    true = np.concatenate([label_map.ravel() for _, label_map in pairs])
    known = true != IGNORE
    witness = sklearn_confusion_matrix(true[known], predicted[known], labels=[0, 1, 2, 3, IGNORE])
    assert np.array_equal(confusion_matrix(pairs, 4), witness[:4])


def test_the_largest_label_spaces_count_right():
    """255 classes: the column for open pixels then has the number 255 too."""
    labels = np.array([[0, 254, 3]], dtype=np.uint8)
    matrix = confusion_matrix([(np.array([[0, 254, IGNORE]], dtype=np.uint8), labels)], 255)
    assert matrix.shape == (255, 256)
    assert np.argwhere(matrix).tolist() == [[0, 0], [3, 255], [254, 254]]


def test_maps_stay_as_they_are():
    prediction, labels = PREDICTION.copy(), LABELS.copy()
    prediction.flags.writeable = labels.flags.writeable = False
    confusion_matrix([(prediction, labels)], 2)
    assert np.array_equal(prediction, PREDICTION)
    assert np.array_equal(labels, LABELS)


def test_maps_of_different_size():
    with pytest.raises(DataError, match="prediction 1 is 3 x 2 but its label map is 2 x 2"):
        confusion_matrix([(PREDICTION, LABELS), (np.zeros((2, 3), dtype=np.uint8), LABELS)], 2)


def test_labels_outside_the_classes():
    outside = np.full((2, 2), 2, dtype=np.uint8)
    with pytest.raises(DataError, match="label map 0 holds label 2"):
        confusion_matrix([(PREDICTION, outside)], 2)
    with pytest.raises(DataError, match="prediction 0 holds label 2"):
        confusion_matrix([(outside, LABELS)], 2)


def test_nothing_to_score():
    with pytest.raises(DataError, match="no prediction"):
        confusion_matrix([], 2)
