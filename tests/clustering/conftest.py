"""Three clusters of regions in the plane: what clustering should find is known."""

import numpy as np
import pytest

from wsss_lib.clustering.region_features import MeanPooled
from wsss_lib.vocabulary import IGNORE, LabelSpace

CENTERS = np.array([[4.0, 0.0], [-2.0, 3.5], [-2.0, -3.5]])
COLORS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))


@pytest.fixture(scope="session")
def three_classes() -> LabelSpace:
    return LabelSpace(name="three", classes=("road", "car", "sky"), colors=COLORS)


class Plane:
    """Six pictures of 20 regions: features, true classes, tags, and seeds that are right, wrong or open.

    Pictures 0 to 2 hold all classes, 3 to 5 lack class 2.
    """

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.tags = np.array([[True, True, True]] * 3 + [[True, True, False]] * 3)
        self.truth = np.concatenate([rng.choice(np.flatnonzero(tags), 20) for tags in self.tags]).astype(np.uint8)
        array = CENTERS[self.truth] + rng.normal(scale=0.7, size=(120, 2))
        self.features = MeanPooled(array.astype(np.float16), np.full(6, 20))
        self.seeds = self.truth.copy()
        wrong = rng.choice(120, 24, replace=False)
        self.seeds[wrong] = rng.integers(0, 2, 24)  # classes 0 and 1 are tags everywhere
        self.seeds[rng.choice(120, 30, replace=False)] = IGNORE


@pytest.fixture(scope="session")
def plane() -> Plane:
    return Plane()
