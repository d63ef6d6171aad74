"""What every segmentation network is."""

from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone


class SegmentationNetwork(nn.Module):
    """A backbone and a head: RGB pictures with values 0..255 to logits on a grid whose corners are the picture's.

    ``head`` lists the layers without pretrained weights, which are trained ``TrainingConfig.head_factor`` times faster.
    """

    backbone: Backbone

    @property
    def head(self) -> list[nn.Module]:
        raise NotImplementedError(f"{type(self).__name__} must list the layers of its head")

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class rows columns"]:
        raise NotImplementedError(f"{type(self).__name__} must compute logits")
