"""Class activation maps: the linear layer of the classifier, read at every place (specification section 1)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from wsss_lib.vocabulary import DataError


def class_activation_maps(
    features: Float[Tensor, "*batch channel rows columns"], weights: Float[Tensor, "class channel"]
) -> Float[Tensor, "*batch class rows columns"]:
    """M_c(x, y) = sum over k of w_{c,k} f_k(x, y), without the bias (Zhou et al., CVPR 2016, equation 2).

    Two channels with f_1 = (1, 0), f_2 = (0, 2) on a 1 x 2 grid and w = (3, 1) give M = (3, 2).
    """
    return torch.einsum("ck,...kyx->...cyx", weights, features)


def normalize_maps(
    maps: Float[Tensor, "class rows columns"], tags: Bool[Tensor, "class"]
) -> Float[Tensor, "class rows columns"]:
    """Heat maps: negative values and absent classes become 0, every other class is divided by its maximum.

    One maximum per class and *picture*, not per patch: that would turn the noise of patches without the class into
    heat as strong as the class itself (specification 1.3, choice). A class that is nowhere positive stays 0.
    """
    if len(tags) != len(maps):
        raise DataError(f"{len(maps)} class maps and {len(tags)} tags: both must have one entry per class")
    heat = maps.clamp(min=0) * tags[:, None, None]
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-5)
