"""Hand-made scores, and a street of four classes with pictures small enough to draw fast."""

from collections.abc import Callable, Sequence
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from wsss_lib.reporting.measurements import SCORE_COLUMNS
from wsss_lib.vocabulary import IGNORE, LabelSpace

Rows = Callable[..., pd.DataFrame]
STREET = ("road", "traffic light", "sky", "lane")


def score_row(value: float, seed: int, **naming: str) -> dict:
    """One number of our method; anything in ``naming`` replaces the defaults."""
    names = {
        "dataset": "cityscapes",
        "played_by": "toy streets, 4 classes",
        "split": "train",
        "system": "ours",
        "stage": "round_1",
        "variant": "default",
        "network": "",
        "metric": "miou_class",
        "target": "",
    }
    return {**names, **naming, "seed": seed, "value": value}


def score_rows(values: Sequence[float], *, seeds: Sequence[int] | None = None, **naming: str) -> pd.DataFrame:
    """The same number for several seeds: 0, 1, ... if none are given."""
    seeds = range(len(values)) if seeds is None else seeds
    rows = [score_row(value, seed, **naming) for value, seed in zip(values, seeds, strict=True)]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


@pytest.fixture
def rows() -> Rows:
    return score_rows


@pytest.fixture
def no_scores() -> pd.DataFrame:
    return score_rows([])


@pytest.fixture
def street_space() -> LabelSpace:
    return LabelSpace(
        name="street",
        classes=STREET,
        colors=((128, 64, 128), (250, 170, 30), (70, 130, 180), (255, 255, 255)),
        categories={"flat": (0, 3), "object": (1,), "sky": (2,)},
        paper_columns={"road": "road", "traffic light": "traffic_light", "sky": "sky"},
    )


@pytest.fixture
def street() -> SimpleNamespace:
    """Everything the method makes of one picture, 24 x 32: sky above, road below, a light of 4 x 4 pixels."""
    truth = np.full((24, 32), 2, np.uint8)
    truth[12:] = 0
    truth[4:8, 20:24] = 1
    truth[:, 0] = IGNORE
    seeds = np.full_like(truth, IGNORE)
    seeds[2:6, 4:8], seeds[16:20, 4:12] = 2, 0
    cam = np.stack([(truth == index).astype(np.float32) for index in range(4)])
    red = np.tile(np.arange(32, dtype=np.uint8) * 8, (24, 1))
    rows, columns = np.indices(truth.shape)
    return SimpleNamespace(
        image=np.stack([red, red // 2, 255 - red], axis=-1),
        truth=truth,
        seeds=seeds,
        regions=(rows // 6 * 4 + columns // 8).astype(np.int32),
        tags=np.array([True, True, True, False]),
        cam=cam,
    )


@pytest.fixture
def full_scores() -> pd.DataFrame:
    """Every number our method makes on the street label space: three seeds, values by a rule that is easy to check.

    Class mIoU is 10 for the whole-image seeds, 20 for patches, 30, 40, 50 for rounds 1 to 3 (2 less without centre
    loss) and 60 for the network; seed s adds s; category mIoU is 5 more; class number c has 10 c plus s.
    """
    means = {"seeds_whole": 10.0, "seeds_patch": 20.0, "seeds": 20.0, "round_1": 30.0, "round_2": 40.0, "round_3": 50.0}
    runs = [("train", stage, "default", "", mean) for stage, mean in means.items()]
    runs += [
        ("train", stage, "no_center_loss", "", mean - 2) for stage, mean in means.items() if stage.startswith("round")
    ]
    runs += [(split, "segmentation", "default", "deeplab_largefov", 60.0) for split in ("train", "val", "test")]
    numbers = []
    for (split, stage, variant, network, mean), seed in product(runs, range(3)):
        run = {"split": split, "stage": stage, "variant": variant, "network": network}
        numbers += [
            score_row(mean + seed, seed, **run),
            score_row(mean + seed + 5, seed, metric="miou_category", **run),
            *(
                score_row(10.0 * index + seed, seed, metric="iou", target=name, **run)
                for index, name in enumerate(STREET)
            ),
        ]
    return pd.DataFrame(numbers, columns=list(SCORE_COLUMNS))
