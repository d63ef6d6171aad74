"""AffinityNet: its grid, its three kinds of pairs, and what it keeps."""

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from wsss_lib.baselines.affinity import DEPTHS, AffinityNetwork, affinity_loss
from wsss_lib.classification.backbones import build_backbone
from wsss_lib.vocabulary import IGNORE, SettingsError

FEATURES = torch.tensor([[[[0.0, 1.0, 3.0]]]])
TWO, THREE = np.exp(-2.0), np.exp(-3.0)


@pytest.mark.parametrize(
    ("labels", "background", "expected"),
    [
        # three cells at 0, 1, 3: the pairs differ by 1, 2 and (two cells apart) 3
        ([1, 1, 2], None, 1 / 2 + (-np.log(1 - TWO) - np.log(1 - THREE)) / 2 / 2),
        ([1, 1, 1], None, (1 + 2 + 3) / 3 / 2),
        ([1, IGNORE, 2], None, -np.log(1 - THREE) / 2),
        ([IGNORE, IGNORE, 2], None, 0.0),
        ([0, 0, 1], 0, 1 / 4 + (-np.log(1 - TWO) - np.log(1 - THREE)) / 2 / 2),
        ([1, 1, 0], 0, 1 / 4 + (-np.log(1 - TWO) - np.log(1 - THREE)) / 2 / 2),
        ([0, 0, 0], 0, (1 + 2 + 3) / 3 / 4),
    ],
)
def test_loss_of_three_cells(labels, background, expected):
    """-log W is the distance, -log(1 - W) the rest; a kind without pairs adds nothing."""
    loss = affinity_loss(FEATURES, torch.tensor([[labels]], dtype=torch.uint8), 5, background)
    assert loss.item() == pytest.approx(expected, abs=1e-3)


def test_gradient_pulls_equal_cells_together_and_pushes_others_apart():
    features = FEATURES.clone().requires_grad_()
    affinity_loss(features, torch.tensor([[[1, 1, 2]]]), 2, None).backward()
    left, middle, right = features.grad.flatten().tolist()  # downhill is minus the gradient
    assert left < 0 < middle
    assert right < 0


def test_nothing_known_gives_a_gradient_of_zero():
    features = FEATURES.clone().requires_grad_()
    affinity_loss(features, torch.full((1, 1, 3), IGNORE), 5, None).backward()
    assert not features.grad.any()


def test_batch_is_one_by_one_where_kinds_are_as_frequent():
    features = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    labels = (torch.arange(7) > 2).long().expand(2, 6, 7)
    whole = affinity_loss(features, labels, 5, None)
    single = [affinity_loss(features[i : i + 1], labels[i : i + 1], 5, None) for i in range(2)]
    torch.testing.assert_close(whole, torch.stack(single).mean())


@pytest.mark.parametrize(("name", "stride"), [("mobilenet_v2", 8), ("small", 4), ("vgg16_largefov", 8)])
def test_every_backbone_gives_features_on_the_grid(name, stride):
    network = AffinityNetwork(build_backbone(name), stride).eval()
    with torch.no_grad():
        features = network(torch.rand(1, 3, 33, 49) * 255)
    assert features.shape == (1, sum(DEPTHS[name].widths), 32 // stride + 1, 48 // stride + 1)
    assert features.isfinite().all()


@torch.no_grad()
def test_features_are_the_layers_written_out():
    """At stride 8 every second cell of the three maps at stride 4; 8 channels are normalised together; ELU, also last.

    ELU keeps what is above 0 and makes exp(x) - 1 of the rest.
    """
    draw = torch.Generator().manual_seed(0)
    network = AffinityNetwork(build_backbone("small"), 8).eval()
    for norm in network.norms:
        norm.weight.copy_(0.5 + torch.rand(norm.weight.shape, generator=draw))
        norm.bias.copy_(torch.randn(norm.bias.shape, generator=draw))
    images = 255 * torch.rand(2, 3, 33, 49, generator=draw)

    def elu(x):
        return torch.where(x > 0, x, x.exp() - 1)

    parts = []
    for depth, reduce, norm in zip(
        network.backbone.maps(images, (8, 14, 20)), network.reduce, network.norms, strict=True
    ):
        reduced = functional.conv2d(depth[..., ::2, ::2], reduce.weight)
        groups = reduced.unflatten(1, (-1, 8))
        variance, mean = torch.var_mean(groups, (2, 3, 4), correction=0, keepdim=True)
        normalised = ((groups - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
        parts.append(elu(normalised * norm.weight[:, None, None] + norm.bias[:, None, None]))
    mixed = functional.conv2d(torch.cat(parts, 1), network.mix.weight)
    assert mixed.min() < -1 < 1 < mixed.max()
    torch.testing.assert_close(network(images), elu(mixed), rtol=1e-3, atol=1e-3)


def test_new_layers_start_as_published():
    """Kaiming: deviations sqrt(2 / 32), ... / 64 and / 96; Xavier with gain 4: even up to 4 sqrt(6 / (112 + 112))."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AffinityNetwork(build_backbone("small"), 4)
    for layer, channels in zip(network.reduce, (32, 64, 96), strict=True):
        assert layer.weight.std().item() == pytest.approx((2 / channels) ** 0.5, rel=0.1)
    assert network.mix.weight.abs().max().item() == pytest.approx(4 * (6 / 224) ** 0.5, rel=0.01)


def test_the_head_is_the_four_new_convolutions():
    network = AffinityNetwork(build_backbone("small"), 4)
    assert len(network.head) == 4
    assert set(network.head) == {*network.reduce, network.mix}


def test_the_first_layers_stay_as_they_are():
    network = AffinityNetwork(build_backbone("mobilenet_v2"), 8).train()
    before = {name: value.clone() for name, value in network.backbone.trunk[:4].state_dict().items()}
    affinity_loss(network(torch.rand(2, 3, 33, 33) * 255), torch.ones(2, 5, 5), 5, None).backward()
    assert all(parameter.grad is None for parameter in network.backbone.trunk[:4].parameters())
    assert all(torch.equal(before[name], value) for name, value in network.backbone.trunk[:4].state_dict().items())
    assert network.backbone.trunk[6].training
    assert all(layer.weight.grad.any() for layer in network.head)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(SettingsError, match="mobilenet_v2"):
        AffinityNetwork(build_backbone("vgg16_sec"), 8)
