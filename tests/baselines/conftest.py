"""A street of three classes that every system can be tried on: four pictures of 33 x 33 pixels."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from wsss_lib.baselines.skeleton import Material, Run
from wsss_lib.classification.backbones import build_backbone
from wsss_lib.classification.classifier import CamClassifier, ClassifiedPictures, ClassifierConfig
from wsss_lib.segmentation.networks import build_network
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, Image, LabelMap, LabelSpace, RegionMap

COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
SPACE = LabelSpace(name="street", classes=("sky", "road", "car"), colors=COLORS)
SIDE, COUNT = 33, 4

TAGS = np.array([[True, True, True], [True, True, False], [True, True, True], [True, True, False]])


def truth(i: int) -> LabelMap:
    """Sky above, road below, and a car on the road where it is tagged, a little further right in every picture."""
    label_map = np.zeros((SIDE, SIDE), dtype=np.uint8)
    label_map[16:] = 1
    if TAGS[i, 2]:
        label_map[20:28, 4 + 4 * i : 14 + 4 * i] = 2
    return label_map


def image(i: int) -> Image:
    """The colours of the classes with some noise."""
    noise = np.random.default_rng(i).integers(-20, 20, (SIDE, SIDE, 3))
    return np.clip(np.array(COLORS)[truth(i)] + noise, 0, 255).astype(np.uint8)


def regions(_: int) -> RegionMap:
    """Squares of 3 x 3 pixels."""
    rows, columns = np.indices((SIDE, SIDE)) // 3
    return (rows * (SIDE // 3) + columns).astype(np.int32)


def heat(i: int) -> np.ndarray:
    """0.8 for the true class in every square of 3 x 3, the rest shared by the other tags."""
    here = truth(i)[1::3, 1::3]
    others = TAGS[i][:, None, None] * 0.2 / (TAGS[i].sum() - 1)
    return np.where(np.arange(3)[:, None, None] == here, 0.8, others).astype(np.float32)


def seeds(i: int) -> LabelMap:
    """Every third row and column of squares is known."""
    known = np.kron(np.indices((11, 11)).sum(0) % 3 == 0, np.ones((3, 3), dtype=bool))
    return np.where(known, truth(i), IGNORE).astype(np.uint8)


@pytest.fixture
def settings() -> SegmentationConfig:
    return SegmentationConfig(
        network="largefov_small",
        input_size=(SIDE, SIDE),
        crop_size=(SIDE, SIDE),
        label_stride=4,
        training=TrainingConfig(steps=3, batch_size=2, learning_rate=0.01, head_factor=5),
    )


@pytest.fixture
def run() -> Run:
    return Run(compute=choose_compute("cpu", "float32"), seed=0)


@pytest.fixture
def material() -> Material:
    return street()


@pytest.fixture
def true_map() -> Callable[[int], LabelMap]:
    """The label maps, which no system is given."""
    return truth


def street(space: LabelSpace = SPACE) -> Material:
    torch.manual_seed(0)
    return Material(
        label_space=space,
        image=image,
        tags=TAGS,
        heat=heat,
        seeds=seeds,
        regions=regions,
        classifier=CamClassifier(build_backbone("small"), 3).eval(),
        pictures=ClassifiedPictures(classes=space.classes, targets=(0, 1, 2), shows=TAGS, image=image),
        classifier_config=ClassifierConfig(
            backbone="small",
            input_size=33,
            activation="sigmoid",
            training=TrainingConfig(steps=2, batch_size=2, learning_rate=0.01),
        ),
        network=lambda name: build_network(name, 3),
    )
