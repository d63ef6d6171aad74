"""Convolutions that learn: PyTorch in float32 as a witness, in every precision, size and layout."""

import pytest
import torch
from torch import nn

from wsss_lib.classification.convolutions import CHANNELS, DepthwiseConv2d, WideConv2d


def test_depthwise_weights_learn_the_same_in_mixed_precision():
    """Autocast with channels-last layout, where PyTorch's own gradient of a dilated depthwise convolution is wrong."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(64, 64, 3, padding=2, dilation=2, groups=64, bias=False)
    layer = layer.to(memory_format=torch.channels_last)
    x, slope = (torch.randn(2, 64, 12, 15).to(memory_format=torch.channels_last) for _ in range(2))
    gradients = []
    for mixed in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            values = layer(x.bfloat16() if mixed else x)
        assert values.dtype == (torch.bfloat16 if mixed else torch.float32)
        values.backward(slope.to(values.dtype))
        assert layer.weight.grad is not None
        gradients.append(layer.weight.grad.clone())
    exact, found = gradients
    assert (found - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_what_comes_in_float32_learns_under_autocast(stride, dilation):
    """As the first layer of a network would see it; the gradients are those without autocast, within its precision."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(4, 4, 3, stride=stride, padding=dilation, dilation=dilation, groups=4)
    x = torch.randn(2, 4, 8, 9, requires_grad=True)
    gradients = []
    for mixed in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            values = layer(x)
        slope = torch.linspace(-1, 1, values.numel()).view_as(values).to(values.dtype)
        gradients.append(torch.autograd.grad(values, [x, layer.weight], slope))
    for exact, found in zip(*gradients, strict=True):
        assert found.dtype == torch.float32
        assert (found - exact).norm() < 0.02 * exact.norm()


@pytest.mark.parametrize("size", [(12, 15), (7, 4), (3, 1)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)])
def test_depthwise_learning_is_the_same_sum(size, stride, dilation):
    """Turned kernel and sub-grids while it learns, PyTorch itself while it looks: values and gradients agree."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(4, 4, 3, stride=stride, padding=dilation, dilation=dilation, groups=4, bias=True)
    x = torch.randn(2, 4, *size, requires_grad=True)
    slope = torch.randn_like(layer(x))
    with torch.no_grad():
        torch.testing.assert_close(layer(x), nn.Conv2d.forward(layer, x))
    learnt = torch.autograd.grad(layer(x), [x, layer.weight, layer.bias], slope)
    exact = torch.autograd.grad(nn.Conv2d.forward(layer, x), [x, layer.weight, layer.bias], slope)
    torch.testing.assert_close(layer(x), nn.Conv2d.forward(layer, x))
    torch.testing.assert_close(learnt, exact)


def test_depthwise_learning_where_maps_shrink():
    """No padding: no convolution with the turned kernel keeps the places."""
    torch.manual_seed(0)
    layer = DepthwiseConv2d(4, 4, 3, dilation=2, groups=4)
    x = torch.randn(2, 4, 9, 8, requires_grad=True)
    slope = torch.randn_like(layer(x))
    learnt, exact = (
        torch.autograd.grad(values, [x, *layer.parameters()], slope)
        for values in (layer(x), nn.Conv2d.forward(layer, x))
    )
    torch.testing.assert_close(learnt, exact)


@pytest.mark.parametrize("size", [(12, 15), (13, 16), (12, 16)])
def test_dilated_depthwise_keeps_channels_last(size):
    """Values and gradients: in another layout every layer behind it took up to twenty times as long."""
    layer = DepthwiseConv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(2, 8, *size).to(memory_format=torch.channels_last).requires_grad_()
    values = layer(x)
    (gradient,) = torch.autograd.grad(values, x, torch.randn_like(values))
    for each in (values, gradient):
        assert each.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels", [CHANNELS + 1, 2 * CHANNELS + 5])
@pytest.mark.parametrize("bias", [True, False])
def test_many_channels_are_the_same_sum(channels, bias):
    """In parts, the last one smaller: values and gradients are PyTorch's."""
    torch.manual_seed(0)
    layer = WideConv2d(channels, 4, 3, padding=2, dilation=2, bias=bias).double()
    x = torch.randn(2, channels, 5, 7, dtype=torch.float64, requires_grad=True)
    witness, found = nn.Conv2d.forward(layer, x), layer(x)
    torch.testing.assert_close(found, witness)
    slope = torch.randn_like(found)
    learnt, exact = (torch.autograd.grad(values, [x, *layer.parameters()], slope) for values in (found, witness))
    torch.testing.assert_close(learnt, exact)


def test_many_channels_in_mixed_precision():
    """A sum of rounded parts is nearly as close to the truth as one that is rounded at its end."""
    torch.manual_seed(0)
    layer = WideConv2d(4 * CHANNELS, 16, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.randn(2, 4 * CHANNELS, 6, 5).to(memory_format=torch.channels_last)
    exact = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, witness = layer(x), nn.Conv2d.forward(layer, x)
    assert found.dtype == torch.bfloat16
    assert (found - exact).norm() < 1.5 * (witness - exact).norm()


def test_few_channels_are_left_to_pytorch():
    """To the last digit: what the toy learns does not depend on parts."""
    torch.manual_seed(0)
    layer, x = WideConv2d(CHANNELS, 4, 3), torch.randn(1, CHANNELS, 5, 5)
    assert torch.equal(layer(x), nn.Conv2d.forward(layer, x))
