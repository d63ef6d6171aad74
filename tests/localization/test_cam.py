"""Class activation maps: the equation by hand, its mean is the score, and torch-cam as an independent witness."""

import pytest
import torch
from torch import nn

from wsss_lib.classification.classifier import ClassifierConfig, build_classifier
from wsss_lib.localization.cam import class_activation_maps, normalize_maps
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import DataError


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    training = TrainingConfig(steps=1, batch_size=1, learning_rate=0.1)
    classifier = build_classifier(ClassifierConfig(backbone="small", training=training), 3).eval()
    nn.init.normal_(classifier.linear.weight)
    nn.init.normal_(classifier.linear.bias)
    return classifier


@pytest.fixture(scope="module")
def images():
    return 255 * torch.rand(4, 3, 33, 33, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------------------------ known answers


def test_the_equation_by_hand():
    """f_1 = (1, 0), f_2 = (0, 2): w = (3, 1) gives (3, 2), w = (0, -1) gives (0, -2)."""
    features = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])
    maps = class_activation_maps(features, torch.tensor([[3.0, 1.0], [0.0, -1.0]]))
    assert maps.tolist() == [[[3, 2]], [[0, -2]]]


def test_normalisation_by_hand():
    """Class 0 is divided by its maximum 4, class 1 is absent, class 2 is nowhere positive, class 3 is half as hot."""
    maps = torch.tensor([[[-1.0, 2, 4]], [[5.0, 5, 5]], [[-3.0, -2, 0]], [[1.0, 0.5, -9]]])
    heat = normalize_maps(maps, torch.tensor([True, False, True, True]))
    assert heat.tolist() == [[[0, 0.5, 1]], [[0, 0, 0]], [[0, 0, 0]], [[1, 0.5, 0]]]


def test_heat_does_not_depend_on_the_scale_of_a_class():
    maps = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(2))
    tags = torch.ones(3, dtype=torch.bool)
    scaled = maps * torch.tensor([1.0, 10.0, 0.5])[:, None, None]
    torch.testing.assert_close(normalize_maps(scaled, tags), normalize_maps(maps, tags))


# ---------------------------------------------------------------------------------------------------------- sameness


def test_a_batch_is_its_pictures_one_by_one():
    generator = torch.Generator().manual_seed(3)
    features, weights = torch.randn(2, 4, 7, 3, 5, generator=generator), torch.randn(6, 7, generator=generator)
    maps = class_activation_maps(features, weights)
    assert maps.shape == (2, 4, 6, 3, 5)
    torch.testing.assert_close(maps[1, 2], class_activation_maps(features[1, 2], weights))


@torch.no_grad()
def test_the_mean_of_a_map_is_the_score_without_the_bias(classifier, images):
    maps = class_activation_maps(classifier.features(images), classifier.linear.weight.flatten(1))
    expected = classifier(images) - classifier.linear.bias
    torch.testing.assert_close(maps.mean((2, 3)), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_torch_cam_sees_the_same_maps(classifier, images):
    """torch-cam hooks the last layer of the backbone and reads the linear layer's weights by itself."""
    methods = pytest.importorskip("torchcam.methods")
    ours = class_activation_maps(classifier.features(images), classifier.linear.weight.flatten(1))
    with methods.CAM(classifier, target_layer=classifier.backbone, fc_layer=classifier.linear) as extractor:
        classifier(images)
        for index in range(3):
            (theirs,) = extractor(index, normalized=False)
            torch.testing.assert_close(ours[:, index], theirs, rtol=1e-4, atol=1e-4)


def test_wrong_number_of_tags_is_refused():
    with pytest.raises(DataError, match="3 class maps and 2 tags"):
        normalize_maps(torch.zeros(3, 2, 2), torch.ones(2, dtype=torch.bool))
