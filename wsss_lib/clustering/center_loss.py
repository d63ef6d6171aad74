"""Centre loss: pull each feature towards the running mean of its class (Wen et al., ECCV 2016; specification 4)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from wsss_lib.vocabulary import SettingsError


class CenterLoss(nn.Module):
    """L_C = 1/(2m) * sum over i of |x_i - c_{y_i}|^2 over a batch of m features.

    The division by m is what the authors' released layer does (``ydwen/caffe-face``, center_loss_layer.cpp). The
    centres are a buffer, not a parameter: they move by their own rule, independent of the weight of the loss.
    """

    centers: Tensor

    def __init__(self, centers: Float[Tensor, "class feature"], alpha: float = 0.5) -> None:
        """``centers``: start values, one row per class; ``alpha``: step of the centres, 0..1 (Wen et al.: 0.5)."""
        super().__init__()
        if not 0 <= alpha <= 1:
            raise SettingsError(f"alpha must be between 0 and 1, not {alpha}")
        self.alpha = alpha
        self.register_buffer("centers", centers.clone())

    def forward(self, features: Float[Tensor, "batch feature"], labels: Int[Tensor, "batch"]) -> Tensor:
        """The loss; its gradient is (x_i - c_{y_i}) / m for the features and nothing for the centres."""
        return (features - self.centers[labels]).square().sum(1).mean() / 2

    @torch.no_grad()
    def update(self, features: Float[Tensor, "batch feature"], labels: Int[Tensor, "batch"]) -> None:
        """c_j <- c_j - alpha * sum_i [y_i = j] (c_j - x_i) / (1 + sum_i [y_i = j]); absent classes stay.

        One centre at 0 and one feature 4 of its class: the sum is -4, divided by 1 + 1, so alpha 0.5 moves it to 1.
        """
        features = features.detach().to(self.centers.dtype)
        difference = self.centers[labels] - features
        total = torch.zeros_like(self.centers).index_add_(0, labels, difference)
        count = torch.bincount(labels, minlength=len(self.centers)).to(self.centers.dtype)
        self.centers -= self.alpha * total / (1 + count)[:, None]


def class_means(
    features: Float[Tensor, "region feature"], labels: Int[Tensor, "region"], num_classes: int
) -> Float[Tensor, "class feature"]:
    """Mean feature of every class, 0 for a class without regions: where the centres start (specification 4, choice)."""
    total = features.new_zeros(num_classes, features.shape[1]).index_add_(0, labels, features)
    count = torch.bincount(labels, minlength=num_classes).to(features.dtype)
    return total / count.clamp(min=1)[:, None]
