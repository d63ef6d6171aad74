"""The region network: parameters by the formula, features behind the ReLU, both phases learn."""

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from wsss_lib.clustering.center_loss import CenterLoss, class_means
from wsss_lib.clustering.network import RegionNetwork
from wsss_lib.vocabulary import SettingsError


@pytest.fixture
def network():
    torch.manual_seed(0)
    return RegionNetwork(2, 16, 3, dropout=0.0)


@pytest.fixture(scope="module")
def batch():
    """Thirty regions of three clusters."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(30) % 3
    corners = torch.tensor([[5.0, 0], [-3, 4], [-3, -4]])
    return corners[labels] + torch.randn(30, 2, generator=generator), labels


def test_parameters_of_the_fast_rcnn_head():
    """512 channels x 7 x 7 bins to fc6 and fc7 of 4096 units, as in Fast R-CNN on VGG16, and 11 classes."""
    with torch.device("meta"):
        network = RegionNetwork(512 * 49, 4096, 11)
    expected = (25_088 * 4096 + 4096) + (4096 * 4096 + 4096) + (4096 * 11 + 11)
    assert sum(each.numel() for each in network.parameters()) == expected


def test_one_region_by_hand():
    """Input 6 with mean 2 and scale 2 is 2; fc6 doubles it to 4, fc7 halves it to 2 and cuts -2 to 0; scores sum."""
    network = RegionNetwork(1, 2, 1).eval()
    with torch.no_grad():
        network.mean.fill_(2)
        network.scale.fill_(2)
        network.fc6.weight.copy_(torch.tensor([[2.0], [2.0]]))
        network.fc7.weight.copy_(torch.diag(torch.tensor([0.5, -0.5])))
        network.scores.weight.fill_(1)
    assert network.features(torch.tensor([[6.0]])).tolist() == [[2, 0]]
    assert network(torch.tensor([[6.0]])).tolist() == [[2]]


@torch.no_grad()
def test_scores_are_classified_features(network, batch):
    network.eval()
    features = network.features(batch[0])
    assert features.min() == 0
    assert features.max() > 0
    assert torch.equal(network(batch[0]), network.classify(features))


@torch.no_grad()
def test_regions_do_not_see_each_other(network, batch):
    network.eval()
    one_by_one = torch.cat([network(region[None]) for region in batch[0]])
    torch.testing.assert_close(network(batch[0]), one_by_one)


def test_the_standardisation_is_kept_with_the_weights(network):
    network.mean.fill_(3)
    network.scale.fill_(4)
    other = RegionNetwork(2, 16, 3)
    other.load_state_dict(network.state_dict())
    assert (other.mean.tolist(), other.scale.tolist()) == ([3, 3], [4, 4])
    assert not {"mean", "scale"} & {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize("weight", [0.0, 0.001, 0.1])
def test_a_step_lowers_the_loss_in_both_phases(network, batch, weight):
    pooled, labels = batch
    center = CenterLoss(class_means(network.features(pooled), labels, 3).detach())
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)

    def loss():
        x = network.features(pooled)
        return functional.cross_entropy(network.classify(x), labels) + weight * center(x, labels)

    first = loss()
    for _ in range(20):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert loss() < 0.9 * first


def test_the_centre_loss_makes_classes_compact(batch):
    """Trained alike with and without it, the features of a class lie closer together with it."""
    pooled, labels = batch

    def spread(weight):
        torch.manual_seed(0)
        network = RegionNetwork(2, 16, 3, dropout=0.0)
        center = CenterLoss(class_means(network.features(pooled), labels, 3).detach())
        optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
        for _ in range(100):
            x = network.features(pooled)
            value = functional.cross_entropy(network.classify(x), labels) + weight * center(x, labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            center.update(x, labels)
        x = network.features(pooled).detach()
        return float((x - class_means(x, labels, 3)[labels]).square().sum(1).mean() / x.var(0).sum())

    assert spread(0.1) < 0.8 * spread(0.0)


def test_dropout_acts_in_training_only(batch):
    torch.manual_seed(0)
    network = RegionNetwork(2, 64, 3, dropout=0.5)
    nn.init.normal_(network.scores.weight)
    assert not torch.equal(network(batch[0]), network(batch[0]))
    network.eval()
    assert torch.equal(network(batch[0]), network(batch[0]))


@pytest.mark.parametrize("numbers", [(0, 4, 2, 0.5), (4, 0, 2, 0.5), (4, 4, 0, 0.5), (4, 4, 2, 1.0), (4, 4, 2, -0.1)])
def test_impossible_networks_are_refused(numbers):
    with pytest.raises(SettingsError, match="no region network has"):
        RegionNetwork(*numbers)
