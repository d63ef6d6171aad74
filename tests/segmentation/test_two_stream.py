"""Two streams: the flow picture by hand, standstill without flow, and motion that changes the answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from torch import nn

from wsss_lib.classification.backbones import build_backbone
from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.segmentation.networks import NETWORKS, build_network
from wsss_lib.segmentation.predict import Segmenter, load_segmenter, save_segmenter
from wsss_lib.segmentation.two_stream import COUNTERPARTS, TwoStream, flow_picture, two_stream_of
from wsss_lib.training.compute import choose_compute
from wsss_lib.vocabulary import SettingsError

TWO_STREAM = sorted(COUNTERPARTS.values())


def pictures(count=2, side=33):
    draw = torch.Generator().manual_seed(1)
    return 255 * torch.rand(count, 3, side, side, generator=draw), 2 * torch.randn(count, 2, side, side, generator=draw)


@torch.no_grad()
def small(num_classes=3):
    """A network with the statistics of some pictures, so that differences do not drown on the way to the logits."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network("two_stream_small", num_classes)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # the mean of all batches so far: here, of one
        network(*pictures(8))
    return network.eval()


def test_the_flow_picture_by_hand():
    """The end is 10 pixels: (3, -4) has length 5; (-30, 0) is cut; standstill is grey without length."""
    flow = torch.tensor([[3.0, -4.0], [-30.0, 0.0], [0.0, 0.0]]).T[None, :, :, None]
    shown = flow_picture(flow, 10.0)[0, :, :, 0].T
    expected = [[127.5 * 1.3, 127.5 * 0.6, 127.5], [0.0, 127.5, 255.0], [127.5, 127.5, 0.0]]
    torch.testing.assert_close(shown, torch.tensor(expected))


@pytest.mark.parametrize(
    ("name", "side", "cells", "dilation"),
    [("two_stream_largefov", 321, 41, 12), ("two_stream_mobilenet_v2", 321, 21, 6), ("two_stream_small", 65, 17, 4)],
)
def test_logits_have_the_grid_of_the_network_of_one_stream(name, side, cells, dilation):
    assert name in NETWORKS
    with torch.device("meta"):
        network = build_network(name, 11).eval()
    assert network.fc6.dilation == network.fc6.padding == (dilation, dilation)
    images, flow = torch.empty(2, 3, side, side, device="meta"), torch.empty(2, 2, side, side, device="meta")
    for logits in (network(images), network(images, flow)):
        assert logits.shape == (2, 11, cells, cells)


@torch.no_grad()
def test_no_flow_is_zero_flow():
    network, (images, flow) = small(), pictures()
    torch.testing.assert_close(network(images), network(images, torch.zeros_like(flow)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_motion_changes_the_answer_through_the_fused_stream_only():
    network, (images, flow) = small(), pictures()
    still = network(images)
    assert (still - network(images, flow)).abs().max() > 0.1 * still.std()
    network.fc8_fused.weight.zero_()
    torch.testing.assert_close(network(images), network(images, flow))


@torch.no_grad()
def test_appearance_alone_is_half_of_the_sum():
    """z = z_A + z_ST, and without the appearance stream's own classifier z_ST is left: the two parts add up."""
    network, (images, flow) = small(), pictures()
    both = network(images, flow)
    weight, bias = network.fc8.weight.clone(), network.fc8.bias.clone()
    network.fc8.weight.zero_(), network.fc8.bias.zero_()
    fused = network(images, flow)
    network.fc8.weight.copy_(weight), network.fc8.bias.copy_(bias)
    appearance = network.fc8(network.hidden(network.backbone(images)))
    torch.testing.assert_close(both, appearance + fused, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("reduced", [None, 8])
def test_the_logits_are_the_layers_written_out(reduced):
    """A ReLU behind the entrances (where there are any), the fusion, fc6 and fc7; fc6 and fc7 are the same for both."""
    draw = torch.Generator().manual_seed(3)
    network = TwoStream(
        build_backbone("small"), build_backbone("small"), 3, width=4, dilation=2, dropout=0.5, reduced=reduced
    ).eval()
    for weights in (each for layer in network.head for each in layer.parameters()):
        weights.copy_(torch.randn(weights.shape, generator=draw) / weights[0].numel() ** 0.5)
    images, flow = pictures()
    # features of these are large enough to be told apart, and not those of random backbones
    seen, moving = (torch.randn(2, 96, 9, 9, generator=draw) for _ in range(2))
    network.backbone.forward = lambda _: seen
    network.motion_features = lambda *_: moving

    def rectified(layer, x, **geometry):
        sums = functional.conv2d(x, layer.weight, layer.bias, **geometry)
        assert sums.min() < -0.1 < 0.1 < sums.max()
        return sums.clamp(min=0)

    def hidden(x):
        return rectified(network.fc7, rectified(network.fc6, x, padding=2, dilation=2))

    x, y = seen, moving
    if reduced:
        x, y = rectified(network.enter_appearance, x), rectified(network.enter_motion, y)
    fused = rectified(network.fusion, torch.cat([x, y], 1), padding=1)
    expected = functional.conv2d(hidden(x), network.fc8.weight, network.fc8.bias)
    expected = expected + functional.conv2d(hidden(fused), network.fc8_fused.weight, network.fc8_fused.bias)
    torch.testing.assert_close(network(images, flow), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one():
    network, (images, flow) = small(), pictures(3)
    one_by_one = torch.cat([network(image[None], motion[None]) for image, motion in zip(images, flow, strict=True)])
    torch.testing.assert_close(network(images, flow), one_by_one, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("x", "y"), [(0, 0), (8, 40), (64, 48), (24, 8)])
def test_motion_is_felt_where_it_is(x, y):
    """With layers that pass their centre on, motion at a pixel changes its own cell most, in the corners too."""
    network = small()
    for layer in network.motion.trunk:
        if isinstance(layer, nn.Conv2d):
            layer.weight.zero_()[..., 1, 1] = 1
    flow = torch.zeros(1, 2, 49, 65)
    flow[:, :, max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 4
    changed = network.motion_features(flow, (13, 17)) - network.motion_features(torch.zeros_like(flow), (13, 17))
    row, column = divmod(int(changed.abs().sum(1)[0].argmax()), 17)
    assert (4 * row, 4 * column) == (y, x)


@torch.no_grad()
def test_every_second_cell_is_a_cell_of_the_halved_flow():
    """49 x 65 pixels are halved to 25 x 33, every second pixel: 7 x 9 cells, which are every second of 13 x 17."""
    network, flow = small(), 3 * torch.randn(2, 2, 49, 65, generator=torch.Generator().manual_seed(2))
    halved = network.motion(flow_picture(flow[..., ::2, ::2], 65 / 16))
    torch.testing.assert_close(network.motion_features(flow, (13, 17))[..., ::2, ::2], halved, rtol=1e-3, atol=1e-4)


def test_every_layer_learns():
    network, (images, flow) = small().train(), pictures()
    network(images, flow).square().sum().backward()
    assert all(each.grad is not None and each.grad.abs().sum() > 0 for each in network.parameters())


def test_pictures_alone_are_segmented_and_the_network_survives_the_disk(tmp_path):
    compute = choose_compute("cpu", "float32")
    segmenter = Segmenter(
        network=small(len(CAMVID)), network_name="two_stream_small", label_space=CAMVID, input_size=(33, 33),
        compute=compute,
    )  # fmt: skip
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    save_segmenter(segmenter, tmp_path)
    label_map = segmenter.predict(image)
    assert label_map.shape == (40, 50)
    np.testing.assert_array_equal(load_segmenter(tmp_path, compute).predict(image), label_map)
    assert replace(segmenter, network=small(len(CAMVID))).predict(image).shape == (40, 50)


@pytest.mark.parametrize(("name", "expected"), [*COUNTERPARTS.items(), *((name, name) for name in TWO_STREAM)])
def test_every_network_has_its_counterpart(name, expected):
    assert two_stream_of(name) == expected
    assert expected in NETWORKS


def test_a_network_without_counterpart_is_refused():
    with pytest.raises(SettingsError, match="no two-stream network goes with 'fcn'; there is one for deeplab_largefov"):
        two_stream_of("fcn")
