"""Constant predictors and the (row, column, colour) table: by hand, then on real pictures."""

import numpy as np
import pytest

from wsss_lib.data.camvid import camvid
from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.evaluation.references import TableConfig, constant_matrix, fit_table, label_histogram, predict_table
from wsss_lib.evaluation.scores import scores
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

BLACK, RED = (0, 0, 0), (255, 0, 0)
SMALL = TableConfig(rows=2, columns=2, color_bins=2, stride=1)


def picture(*rows):
    return np.array(rows, dtype=np.uint8)


def labels(*rows):
    return np.array(rows, dtype=np.uint8)


def test_histogram_by_hand():
    maps = [labels([0, 2], [2, IGNORE]), labels([1])]
    assert label_histogram(maps, 3).tolist() == [1, 1, 2]


def test_constant_matrix_by_hand():
    assert constant_matrix(np.array([3, 1]), 0).tolist() == [[3, 0], [1, 0]]


def test_constant_matrix_is_the_matrix_of_a_constant_prediction():
    label_map = np.random.default_rng(0).choice(np.array([0, 1, 2, IGNORE], dtype=np.uint8), (9, 9))
    counted = confusion_matrix([(np.full_like(label_map, 1), label_map)], 3)[:, :3]
    assert np.array_equal(constant_matrix(label_histogram([label_map], 3), 1), counted)


def test_table_remembers_place_and_colour():
    """Red top left is class 1, black top left class 0: two pictures, one per colour."""
    table = fit_table(
        [picture([RED, BLACK], [BLACK, BLACK]), picture([BLACK, BLACK], [BLACK, BLACK])],
        [labels([1, 0], [2, 2]), labels([0, 0], [2, 2])],
        3,
        SMALL,
    )
    assert predict_table(table, picture([RED, BLACK], [BLACK, BLACK])).tolist() == [[1, 0], [2, 2]]
    assert predict_table(table, picture([BLACK, BLACK], [BLACK, BLACK])).tolist() == [[0, 0], [2, 2]]


def test_empty_cells_ask_coarser_ones():
    """Red was seen top left only (class 1). Top right red: same row and colour, 1. Bottom red: no such colour in the
    row, so the row's class 2. Nothing known in the bottom row at all: the most frequent class of the set, 0."""
    image = picture([RED, BLACK], [BLACK, BLACK])
    all_red = picture([RED, RED], [RED, RED])
    table = fit_table([image], [labels([1, 0], [2, 2])], 3, SMALL)
    assert predict_table(table, all_red).tolist() == [[1, 1], [2, 2]]
    table = fit_table([image], [labels([0, 0], [IGNORE, IGNORE])], 3, SMALL)
    assert predict_table(table, all_red).tolist() == [[0, 0], [0, 0]]


def test_prediction_has_the_size_of_the_picture():
    """A picture four times as wide and three times as high: every table cell becomes a rectangle."""
    table = fit_table([picture([BLACK, BLACK], [BLACK, BLACK])], [labels([0, 1], [2, 1])], 3, SMALL)
    predicted = predict_table(table, np.zeros((6, 8, 3), dtype=np.uint8))
    assert predicted.dtype == np.uint8
    assert np.array_equal(predicted, np.kron(labels([0, 1], [2, 1]), np.ones((3, 4), dtype=np.uint8)))


def test_stride_is_fitting_on_a_subsampled_picture():
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    label_map = generator.integers(0, 3, (12, 16), dtype=np.uint8)
    strided = fit_table([image], [label_map], 3, TableConfig(stride=2))
    subsampled = fit_table([image[::2, ::2]], [label_map[::2, ::2]], 3, TableConfig(stride=1))
    assert np.array_equal(strided.labels, subsampled.labels)


def test_what_does_not_fit_is_named():
    image, label_map = picture([RED, BLACK]), labels([0, 1])
    with pytest.raises(DataError, match="one label map per picture"):
        fit_table([image, image], [label_map], 3)
    with pytest.raises(DataError, match="2 x 1 but its label map is 1 x 1"):
        fit_table([image], [labels([0])], 3)
    with pytest.raises(DataError, match="label 7"):
        fit_table([image], [labels([7, 7])], 3)
    with pytest.raises(DataError, match="no labelled pixel"):
        fit_table([], [], 3)
    with pytest.raises(DataError, match="label 3"):
        label_histogram([labels([3])], 3)
    with pytest.raises(SettingsError, match="class 3"):
        constant_matrix(np.array([1, 1, 1]), 3)
    with pytest.raises(SettingsError, match="rows"):
        TableConfig(rows=0)
    with pytest.raises(SettingsError, match="color_bins"):
        TableConfig(color_bins=257)


def test_the_table_beats_every_constant_on_real_pictures(shared_folder):
    """Fitted on every fourth training picture, scored on every fifth of val; the numbers are printed."""
    train, val = (camvid(shared_folder / "data" / "camvid", split) for split in ("train", "val"))
    assert train.label_map is not None
    assert val.label_map is not None
    num_classes = len(train.label_space)
    fitted_on, scored_on = range(0, len(train), 4), range(0, len(val), 5)
    table = fit_table(map(train.image, fitted_on), map(train.label_map, fitted_on), num_classes)
    pairs = ((predict_table(table, val.image(index)), val.label_map(index)) for index in scored_on)
    of_table = scores(confusion_matrix(pairs, num_classes), val.label_space).miou_class
    histogram = label_histogram(map(val.label_map, scored_on), num_classes)
    constants = [scores(constant_matrix(histogram, index), val.label_space).miou_class for index in range(num_classes)]
    print(f"table {of_table:.1f}, best constant {max(constants):.1f}")
    assert of_table > 3 * max(constants)
