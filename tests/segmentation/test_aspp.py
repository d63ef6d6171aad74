"""The pyramid: the published size, dilations that follow the stride, and logits that are the sum of the branches."""

import pytest
import torch

from wsss_lib.segmentation.aspp import AtrousPyramid
from wsss_lib.segmentation.networks import build_network


def outline(name, num_classes):
    """A network without memory for its weights."""
    with torch.device("meta"):
        return build_network(name, num_classes).eval()


def test_the_published_pyramid_has_four_published_heads():
    """Four times fc6 (512 -> 1024, 3x3), fc7 and fc8 on the 14,714,688 parameters of VGG16, 321 pixels to 41 cells."""
    network = outline("deeplab_aspp", 21)
    head = (512 * 1024 * 9 + 1024) + (1024 * 1024 + 1024) + (1024 * 21 + 21)
    assert sum(each.numel() for each in network.parameters()) == 14_714_688 + 4 * head
    assert network(torch.empty(1, 3, 321, 321, device="meta")).shape == (1, 21, 41, 41)
    assert [branch.fc6.dilation for branch in network.branches] == [(6, 6), (12, 12), (18, 18), (24, 24)]
    assert {branch.dropout.p for branch in network.branches} == {0.5}


def test_twice_the_stride_is_half_the_dilation():
    network = outline("aspp_mobilenet_v2", 11)
    assert network.backbone.stride == 16
    assert [branch.fc6.dilation[0] for branch in network.branches] == [3, 6, 9, 12]
    assert network(torch.empty(2, 3, 369, 481, device="meta")).shape == (2, 11, 24, 31)


@torch.no_grad()
def test_logits_are_the_sum_of_the_branches():
    torch.manual_seed(0)
    network = build_network("aspp_small", 3).eval()
    assert isinstance(network, AtrousPyramid)
    images = 255 * torch.rand(2, 3, 33, 33)
    whole = network(images)
    alone = []
    for kept in range(4):
        saved = network.branches
        network.branches = torch.nn.ModuleList([saved[kept]])
        alone.append(network(images))
        network.branches = saved
    torch.testing.assert_close(whole, alone[0] + alone[1] + alone[2] + alone[3], rtol=1e-4, atol=1e-6)
    assert all(each.abs().sum() > 0 for each in alone)


@pytest.mark.parametrize("name", ["aspp_small", "aspp_mobilenet_v2"])
def test_every_branch_is_head(name):
    network = outline(name, 5)
    assert len(network.head) == 4
    assert sum(each.numel() for layer in network.head for each in layer.parameters()) == sum(
        each.numel() for key, each in network.named_parameters() if not key.startswith("backbone.")
    )
