"""Agreement of scores with tags."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from wsss_lib.evaluation.tags import tag_auc
from wsss_lib.vocabulary import DataError


def test_by_hand():
    """Tagged 0.1 and 0.8 against untagged 0.4: one pair right, one wrong. The second class ties, the third is right."""
    scores = np.array([[0.1, 0.3, 0.9], [0.4, 0.3, 0.2], [0.8, 0.3, 0.7]])
    tags = np.array([[True, True, True], [False, False, False], [True, False, True]])
    assert tag_auc(scores, tags).tolist() == [50, 50, 100]


def test_a_class_that_every_picture_has_or_none_cannot_be_ranked():
    assert np.isnan(tag_auc(np.eye(3)[:, :2], np.array([[True, False]] * 3))).all()


def test_as_scikit_learn():
    rng = np.random.default_rng(0)
    scores, tags = rng.integers(0, 5, (40, 3)).astype(float), rng.random((40, 3)) < 0.3
    expected = [100 * roc_auc_score(tags[:, c], scores[:, c]) for c in range(3)]
    np.testing.assert_allclose(tag_auc(scores, tags), expected)


def test_other_pictures_are_refused():
    with pytest.raises(DataError, match="both must be picture x class"):
        tag_auc(np.zeros((2, 3)), np.zeros((3, 3), dtype=bool))
