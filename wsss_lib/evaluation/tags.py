"""How well a classifier's scores agree with the tags: a measure that needs no pixel label, so one may choose by it."""

import numpy as np
from jaxtyping import Float, Float64
from scipy.stats import rankdata

from wsss_lib.vocabulary import DataError, TagTable


def tag_auc(scores: Float[np.ndarray, "picture class"], tags: TagTable) -> Float64[np.ndarray, "class"]:
    """For every class the chance, percent, that a tagged picture scores higher than an untagged one; ties count half.

    That is the area under the ROC curve, from rank sums (Mann and Whitney): 50 is guessing. ``nan`` for a class that
    all pictures have or none. Scores 0.1, 0.4, 0.8 of which the first and last are tagged: one pair right, one wrong,
    50.
    """
    if scores.shape != tags.shape:
        raise DataError(f"scores of shape {scores.shape} and tags of shape {tags.shape}: both must be picture x class")
    present, absent = tags.sum(0), (~tags).sum(0)
    rank_sum = np.where(tags, rankdata(scores, axis=0), 0).sum(0)
    pairs = present * absent
    wins = rank_sum - present * (present + 1) / 2
    return np.where(pairs > 0, 100 * wins / np.maximum(pairs, 1), np.nan)
