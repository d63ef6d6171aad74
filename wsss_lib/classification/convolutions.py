"""Convolutions that a processor learns right and fast: of each channel for itself, and over very many channels."""

from typing import Any

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHANNELS = 320
"""Input channels of a part; with 160 to 640 a training step takes the same (measured)."""


class WideConv2d(nn.Conv2d):
    """A convolution over many channels that a processor takes as a sum of convolutions over ``CHANNELS`` at a time.

    The gradient of a kernel is added up over all pictures, and that of 256 kernels of 3x3x1280 is 12 MB, more than a
    core's own cache holds. In parts it takes a third to a half of the time on one thread and two thirds on two
    (measured). On a GPU, and for fewer channels, it is PyTorch's own.
    """

    def forward(self, input: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch d rows columns"]:
        if input.device.type != "cpu" or self.in_channels <= CHANNELS:
            return super().forward(input)
        parts = zip(input.split(CHANNELS, 1), self.weight.split(CHANNELS, 1), strict=True)
        first, *others = (self._conv_forward(x, weight, None) for x, weight in parts)
        return _with_bias(sum(others, first), self.bias)


class DepthwiseConv2d(nn.Conv2d):
    """A convolution of each channel for itself, as a processor learns it right and fast; otherwise PyTorch's own.

    In bfloat16 and channels-last layout PyTorch 2.15 returns a wrong gradient for the weights of a dilated one on a
    processor (the relative error is 1.4, sometimes with values of 1e23), and a right one 2 to 20 times slower than in
    float32 for the others: that gradient is computed in float32, whatever autocast says. And a dilated one has no fast
    gradient in float32 either (20 times slower than an undilated one, measured): see :class:`_LearnInFloat32`.
    """

    def forward(self, input: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c rows columns"]:
        if input.device.type != "cpu" or not torch.is_grad_enabled():
            return super().forward(input)
        y = _LearnInFloat32.apply(input, self.weight, (self.stride, self.padding, self.dilation))
        return _with_bias(y, self.bias)


def _with_bias(y: Float[Tensor, "batch c h w"], bias: Float[Tensor, "c"] | None) -> Float[Tensor, "batch c h w"]:
    return y if bias is None else y + bias.to(y.dtype).view(-1, 1, 1)


class _LearnInFloat32(torch.autograd.Function):
    """A depthwise convolution in its input's precision (autocast's, inside of it) whose weights learn in float32.

    The gradient of its input is a convolution with the turned kernel, in the precision and at the speed of looking; for
    a stride above 1, the one of the gradient spread over the input's cells with zeros between. (Where a map would
    change its size without a stride it is computed in float32, too.) The gradient of a kernel dilated by d is that of
    d * d undilated ones, each of every d-th row and column: the same sum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, geometry: tuple[tuple[int, ...], ...]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        return functional.conv2d(x, weight.to(x.dtype), None, *geometry, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]  # documented so
        x, weight = ctx.saved_tensors
        of_x, (stride, padding, dilation) = None, ctx.geometry
        apart = dilation[0]
        if padding == dilation == (apart, apart) and weight.shape[2:] == (3, 3):
            turned = weight.flip(2, 3).to(gradient.dtype)
            spread = gradient if stride == (1, 1) else _spread(gradient, x, stride)
            of_x = functional.conv2d(spread, turned, None, (1, 1), padding, dilation, groups=len(weight))
            if apart > 1 and stride == (1, 1):
                x, gradient = _subgrids(x, apart), _subgrids(gradient, apart)
                padding = dilation = (1, 1)
        of_input, of_weight, _ = torch.ops.aten.convolution_backward(
            *(tensor.to(weight.dtype) for tensor in (gradient, x, weight)),
            *(None, stride, padding, dilation, False, (0, 0), len(weight)),
            (of_x is None, True, False),  # the bias is not part of it
        )
        return of_input.to(x.dtype) if of_x is None else of_x, of_weight, None


def _spread(
    gradient: Float[Tensor, "batch c rows columns"], x: Float[Tensor, "batch c h w"], stride: tuple[int, ...]
) -> Float[Tensor, "batch c h w"]:
    """``gradient`` on every ``stride``-th row and column of a map like ``x``, which is zero elsewhere."""
    spread = torch.zeros_like(x, dtype=gradient.dtype)
    spread[..., :: stride[0], :: stride[1]] = gradient
    return spread


def _subgrids(x: Float[Tensor, "batch c h w"], step: int) -> Float[Tensor, "n c rows columns"]:
    """Every ``step``-th row and column as a map of its own, from each start (``n`` is step * step * batch).

    Channels stay last in memory: another layout is slow.
    """
    batch, channels, height, width = x.shape
    rows, columns = -(-height // step), -(-width // step)
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, step * columns - width, 0, step * rows - height))
    grids = padded.view(batch, rows, step, columns, step, channels).permute(2, 4, 0, 1, 3, 5)
    return grids.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
