"""IoU by hand, nan for absent classes, and scikit-learn's Jaccard score as the witness of class and category IoU."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.evaluation.scores import scores, scores_table
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace

SPACE = LabelSpace(
    name="three",
    classes=("a", "b", "c"),
    colors=((0, 0, 0), (1, 1, 1), (2, 2, 2)),
    categories={"ab": (0, 1), "c": (2,)},
)
WITHOUT_CATEGORIES = replace(SPACE, categories={})
KEYS = {"dataset": "camvid", "played_by": "a test", "split": "val", "system": "ours", "stage": "round_1"}
MATRIX = np.array([[2, 1, 0], [0, 1, 0], [0, 1, 3]])


def test_iou_by_hand():
    """a: TP 2, FN 1. b: TP 1, FP 2. c: TP 3, FN 1. Confusing a and b costs the category ab nothing: TP 4, FP 1."""
    result = scores(MATRIX, SPACE)
    np.testing.assert_allclose(result.class_iou, [100 * 2 / 3, 100 / 3, 75])
    assert result.miou_class == pytest.approx(100 * (2 / 3 + 1 / 3 + 3 / 4) / 3)
    assert dict(result.category_iou) == {"ab": 80, "c": 75}
    assert result.miou_category == 77.5
    assert result.pixel_accuracy == 75
    np.testing.assert_allclose(result.predicted_share, [25, 37.5, 37.5])
    assert result.labelled_share == 100


def test_open_pixels_are_misses_by_hand():
    """Class a: 1 of 4 pixels labelled, and rightly; the 3 open ones are misses of a and of its category."""
    result = scores(np.array([[1, 0, 0, 3], [0, 2, 0, 0], [0, 0, 2, 0]]), SPACE)
    assert result.class_iou.tolist() == [25, 100, 100]
    assert result.category_iou["ab"] == 50
    assert result.labelled_share == 62.5
    assert result.pixel_accuracy == 62.5
    assert result.predicted_share.tolist() == [20, 40, 40]


def test_what_no_label_shows_is_nan_and_leaves_the_mean():
    """b is nowhere, c is predicted but in no label: neither has an IoU, and the pixel called c is one that a lost."""
    result = scores(np.array([[3, 0, 1], [0, 0, 0], [0, 0, 0]]), SPACE)
    np.testing.assert_array_equal(result.class_iou, [75, np.nan, np.nan])
    assert result.miou_class == result.miou_category == 75
    assert result.predicted_share.tolist() == [75, 0, 25]


def test_means_over_the_same_labels_are_over_the_same_classes():
    """A hundred pixels of a; one that is called c costs a hundredth, and not half of the mean."""
    labels = [[100, 0, 0], [0, 0, 0], [0, 0, 0]], [[99, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert [scores(np.array(each), SPACE).miou_class for each in labels] == [100, 99]


def test_nothing_at_all_is_nan():
    result = scores(np.zeros((3, 4), dtype=np.int64), SPACE)
    assert np.isnan([result.miou_class, result.miou_category, result.pixel_accuracy, result.labelled_share]).all()


def test_against_scikit_learn():
    """Class IoU is Jaccard on labels, category IoU Jaccard on labels mapped to categories; open pixels are a class of
    their own that is not scored."""
    generator = np.random.default_rng(0)
    labels = generator.choice(np.array([0, 1, 2, IGNORE], dtype=np.uint8), (50, 60))
    prediction = np.where(generator.random((50, 60)) < 0.5, labels, generator.choice([0, 1, 2, IGNORE], (50, 60)))
    prediction = prediction.astype(np.uint8)
    result = scores(confusion_matrix([(prediction, labels)], 3), SPACE)

    known = labels != IGNORE
    true, predicted = labels[known], prediction[known]
    witness = jaccard_score(true, predicted, labels=[0, 1, 2], average=None)
    np.testing.assert_allclose(result.class_iou, 100 * witness)
    category = np.full(256, IGNORE)
    category[[0, 1, 2]] = [0, 0, 1]
    witness = jaccard_score(category[true], category[predicted], labels=[0, 1], average=None)
    np.testing.assert_allclose(list(result.category_iou.values()), 100 * witness)


def test_order_of_categories_does_not_matter():
    turned = replace(SPACE, categories={"c": (2,), "ab": (1, 0)})
    assert scores(MATRIX, turned).category_iou == scores(MATRIX, SPACE).category_iou


def test_table_holds_every_number_once():
    table = scores_table(scores(MATRIX, SPACE), SPACE, **KEYS, variant="default", seed=3)
    assert list(table.columns) == [
        *("dataset", "played_by", "split", "system", "stage", "variant", "network", "seed"),
        *("metric", "target", "value"),
    ]
    assert not table.duplicated(["metric", "target"]).any()
    values = table.set_index(["metric", "target"])["value"]
    assert values["iou", "c"] == 75
    assert values["iou_category", "ab"] == 80
    assert values["miou_category", ""] == 77.5
    assert values["predicted_share", "b"] == 37.5
    assert (table["seed"] == 3).all()
    assert (table["network"] == "").all()
    assert table["value"].dtype == np.float64


def test_table_has_no_category_rows_without_categories():
    result = scores(MATRIX, WITHOUT_CATEGORIES)
    assert np.isnan(result.miou_category)
    metrics = set(scores_table(result, WITHOUT_CATEGORIES, **KEYS)["metric"])
    assert metrics == {"iou", "predicted_share", "miou_class", "pixel_accuracy", "labelled_share"}


def test_a_matrix_of_another_label_space():
    with pytest.raises(DataError, match=r"\(2, 2\) does not fit the 3 classes of three"):
        scores(np.zeros((2, 2), dtype=np.int64), SPACE)
