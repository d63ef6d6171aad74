"""New labels for all regions, among the tags of their picture (paper 3.2: "y given theta")."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def by_classifier(scores: Float[Tensor, "region class"], tags: Bool[Tensor, "region class"]) -> Int[Tensor, "region"]:
    """y_r = argmax over the tags of r's picture of f_c(r); no threshold, seeds may change (specification 3.3).

    ``tags`` has the tags of the region's picture in every row. A picture needs at least one tag.
    """
    return scores.masked_fill(~tags, -torch.inf).argmax(1)


def closeness(
    features: Float[Tensor, "region feature"], centers: Float[Tensor, "class feature"]
) -> Float[Tensor, "region class"]:
    """-|x_r - c_c| in place of f_c(r): the nearest centre, the other reading of "use features to re-predict labels"."""
    return -torch.cdist(features, centers)
