"""Depthwise convolutions whose gradients are right and fast on a processor; MobileNetV2 is mostly made of them."""

from typing import Any

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


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
        return y if self.bias is None else y + self.bias.to(y.dtype).view(-1, 1, 1)


class _LearnInFloat32(torch.autograd.Function):
    """A depthwise convolution in its input's precision (autocast's, inside of it) whose weights learn in float32.

    Where a map keeps its size, its own gradient is a convolution with the turned kernel, in the precision and at the
    speed of looking; elsewhere it is computed in float32, too. The gradient of a kernel dilated by d is that of d * d
    undilated ones, each of every d-th row and column: the same sum.
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
        if stride == (1, 1) and padding == dilation == (apart, apart) and weight.shape[2:] == (3, 3):
            turned = weight.flip(2, 3).to(gradient.dtype)
            of_x = functional.conv2d(gradient, turned, None, *ctx.geometry, groups=len(weight))
            if apart > 1:
                x, gradient = _subgrids(x, apart), _subgrids(gradient, apart)
                padding = dilation = (1, 1)
        of_input, of_weight, _ = torch.ops.aten.convolution_backward(
            *(tensor.to(weight.dtype) for tensor in (gradient, x, weight)),
            *(None, stride, padding, dilation, False, (0, 0), len(weight)),
            (of_x is None, True, False),  # the bias is not part of it
        )
        return of_input.to(x.dtype) if of_x is None else of_x, of_weight, None


def _subgrids(x: Float[Tensor, "batch c h w"], step: int) -> Float[Tensor, "n c rows columns"]:
    """Every ``step``-th row and column as a map of its own, from each start (``n`` is step * step * batch).

    Channels stay last in memory: another layout is slow.
    """
    batch, channels, height, width = x.shape
    rows, columns = -(-height // step), -(-width // step)
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 0, step * columns - width, 0, step * rows - height))
    grids = padded.view(batch, rows, step, columns, step, channels).permute(2, 4, 0, 1, 3, 5)
    return grids.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
