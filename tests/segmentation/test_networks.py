"""Segmentation networks: LargeFOV's published size and grid, and logits of all that answer where the picture asks."""

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from wsss_lib.classification.backbones import Backbone
from wsss_lib.classification.convolutions import CHANNELS, WideConv2d
from wsss_lib.segmentation.largefov import LargeFOVHead
from wsss_lib.segmentation.networks import NETWORKS, LargeFOV, build_network, grid_of, predict_logits, upsample
from wsss_lib.vocabulary import DataError, SettingsError


def outline(name, num_classes):
    """A network without memory for its weights."""
    with torch.device("meta"):
        return build_network(name, num_classes).eval()


def test_deeplab_largefov_has_the_published_size():
    """20.5 M parameters with 21 classes (Chen et al., ICLR 2015, table 2), 321 pixels to 41 cells."""
    network = outline("deeplab_largefov", 21)
    heads = (512 * 1024 * 9 + 1024) + (1024 * 1024 + 1024) + (1024 * 21 + 21)
    assert sum(each.numel() for each in network.parameters()) == 14_714_688 + heads == 20_505_429
    assert network(torch.empty(1, 3, 321, 321, device="meta")).shape == (1, 21, 41, 41)
    assert network.fc6.dilation == (12, 12)
    assert network.dropout.p == 0.5


@pytest.mark.parametrize(
    ("name", "side", "cells", "dilation"), [("largefov_mobilenet_v2", 321, 21, 6), ("largefov_small", 65, 17, 4)]
)
def test_the_head_on_other_backbones(name, side, cells, dilation):
    network = outline(name, 11)
    assert network.fc6.dilation == (dilation, dilation)
    assert network(torch.empty(2, 3, side, side, device="meta")).shape == (2, 11, cells, cells)


@torch.no_grad()
def test_the_head_is_its_layers_written_out():
    """A ReLU behind fc6 and behind fc7, whose sums are of both signs here, and none behind fc8; no dropout."""
    draw = torch.Generator().manual_seed(0)
    head = LargeFOVHead(2, 3, width=4, dilation=2, dropout=0.5).eval()
    for weights in head.parameters():
        weights.copy_(torch.randn(weights.shape, generator=draw))
    features = torch.randn(1, 2, 5, 6, generator=draw)
    fc6 = functional.conv2d(features, head.fc6.weight, head.fc6.bias, padding=2, dilation=2)
    fc7 = functional.conv2d(fc6.clamp(min=0), head.fc7.weight, head.fc7.bias)
    fc8 = functional.conv2d(fc7.clamp(min=0), head.fc8.weight, head.fc8.bias)
    assert all(sums.min() < -1 < 1 < sums.max() for sums in (fc6, fc7, fc8))
    torch.testing.assert_close(head.logits(features), fc8)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.endswith("_mobilenet_v2")])
def test_every_3x3_convolution_over_many_channels_is_one_of_ours(name):
    layers = [each for each in outline(name, 5).modules() if isinstance(each, nn.Conv2d) and each.kernel_size != (1, 1)]
    many = [layer for layer in layers if layer.in_channels > CHANNELS and layer.groups == 1]
    assert many or name == "fcn8s_mobilenet_v2"  # whose head has 1x1 convolutions
    assert all(isinstance(layer, WideConv2d) for layer in many)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_is_what_has_no_pretrained_weights(name):
    network = outline(name, 5)
    head = sum(each.numel() for layer in network.head for each in layer.parameters())
    streams = [child for child in network.children() if isinstance(child, Backbone)]
    backbones = sum(each.numel() for stream in streams for each in stream.parameters())
    assert head + backbones == sum(each.numel() for each in network.parameters())


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_network_answers_a_picture(name):
    """Float32 logits on a grid that is not finer than the picture nor coarser than the backbone's."""
    network = outline(name, 5)
    logits = network(torch.empty(1, 3, 49, 65, device="meta"))
    assert logits.dtype == torch.float32
    assert logits.shape[:2] == (1, 5)
    stride = min(network.backbone.stride, 16)
    for side, cells in zip((49, 65), logits.shape[2:], strict=True):
        assert (side - 1) // stride + 1 <= cells <= side


@pytest.mark.parametrize("name", [name for name in NETWORKS if name.endswith("_small")])
@torch.no_grad()
def test_small_networks_give_float32_in_mixed_precision(name):
    torch.manual_seed(0)
    network = build_network(name, 5).eval()
    for weights in (each for layer in network.head for each in layer.parameters() if each.ndim > 1):
        nn.init.kaiming_normal_(weights)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(255 * torch.rand(2, 3, 49, 65, generator=torch.Generator().manual_seed(0)))
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert logits.abs().max() > 0


def test_corners_stay_in_their_corners_by_hand():
    logits = torch.tensor([[[[0.0, 2.0], [4.0, 6.0]]]])
    assert upsample(logits, (3, 3)).tolist() == [[[[0, 1, 2], [2, 3, 4], [4, 5, 6]]]]


def test_a_cell_lies_on_its_pixel():
    """Cells 8 pixels apart: on a picture of 8 n + 1 pixels, every eighth pixel has the logits of its cell."""
    logits = torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(upsample(logits, (33, 25))[..., ::8, ::8], logits)


@pytest.mark.parametrize(("size", "stride"), [((33, 25), 8), ((32, 26), 8), ((7, 5), 1), ((3, 100), 4)])
def test_the_grid_has_a_cell_for_every_pixel_that_is_read(size, stride):
    assert grid_of(size, stride) == torch.empty(size)[::stride, ::stride].shape


def bright_network():
    """The logit of class 1 is the brightness around a pixel, at stride 4."""
    layers = []
    for channels in (3, 1):
        layer = nn.Conv2d(channels, 1, 3, 2, padding=1, bias=False)
        nn.init.constant_(layer.weight, 1 / layer.weight.numel())
        layers.append(layer)
    backbone = Backbone("bright", nn.Sequential(*layers), nn.Identity(), channels=1, stride=4)
    backbone.mean.zero_()
    network = LargeFOV(backbone, 2, width=1, dilation=1, dropout=0.0).eval()
    for layer in network.head:
        nn.init.zeros_(layer.weight)
    with torch.no_grad():
        network.fc6.weight[..., 1, 1] = network.fc7.weight[...] = 1
        network.fc8.weight[1] = 1
    return network


@pytest.mark.parametrize(("x", "y"), [(0, 0), (64, 48), (32, 16), (20, 44)])
def test_a_bright_spot_is_answered_where_it_is(x, y):
    """On a picture of 4 n + 1 pixels the logits peak on the spot itself, also in the corners."""
    image = torch.zeros(1, 3, 49, 65)
    image[..., max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 255
    logits = predict_logits(bright_network(), image, (49, 65))
    assert logits.shape == (2, 49, 65)
    assert divmod(int(logits[1].argmax()), 65) == (y, x)


def test_logits_are_given_at_any_size():
    logits = predict_logits(bright_network(), torch.zeros(1, 3, 49, 65), (101, 37))
    assert logits.shape == (2, 101, 37)
    assert not logits.requires_grad


@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one():
    torch.manual_seed(0)
    network = build_network("largefov_small", 3).eval()
    images = 255 * torch.rand(3, 3, 33, 33, generator=torch.Generator().manual_seed(1))
    one_by_one = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), one_by_one, rtol=1e-4, atol=1e-6)


def test_unknown_networks_are_answered_with_the_known():
    with pytest.raises(SettingsError, match="unknown segmentation network 'fcn'; known are deeplab_largefov, "):
        build_network("fcn", 3)


def test_weights_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(DataError, match="no weights at"):
        build_network("largefov_small", 3, tmp_path / "absent.safetensors")
