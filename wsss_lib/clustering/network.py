"""The region network: two fully connected layers on a region's pooled feature (Fast R-CNN's head, specification 3).

Choice: they alone learn, from random values in every round, on features that the classifier's backbone computed once.
The specification (3.2, 9) has Fast R-CNN's convolutions from conv3 on learn as well, ImageNet's values as start, and
pictures mirrored at random, for which features would have to be computed anew.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.vocabulary import SettingsError


class RegionNetwork(nn.Module):
    """fc6, fc7, class scores; the region feature x is the output of fc7 behind its ReLU, before dropout.

    Works on mean-pooled features (channels) and on masked RoI features (channels * 7 * 7), always as flat vectors.
    Inputs are standardised with ``mean`` and ``scale`` of the training regions, which are stored with the weights.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, hidden: int, num_classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        if min(inputs, hidden, num_classes) < 1 or not 0 <= dropout < 1:
            raise SettingsError(f"no region network has {inputs} inputs, {hidden} units and dropout {dropout}")
        self.fc6, self.fc7 = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.scores = nn.Linear(hidden, num_classes)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        for layer in (self.fc6, self.fc7):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.scores.weight, std=0.01)
        nn.init.zeros_(self.scores.bias)

    def features(self, pooled: Float[Tensor, "region input"]) -> Float[Tensor, "region feature"]:
        """x_r, what the centre loss acts on."""
        standard = (pooled.float() - self.mean) / self.scale
        return self.fc7(self.dropout(self.fc6(standard).relu())).relu()

    def classify(self, features: Float[Tensor, "region feature"]) -> Float[Tensor, "region class"]:
        """f_c(r): class scores before softmax."""
        return self.scores(self.dropout(features)).float()

    def forward(self, pooled: Float[Tensor, "region input"]) -> Float[Tensor, "region class"]:
        return self.classify(self.features(pooled))
