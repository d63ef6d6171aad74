"""What the systems share that train a network several times, each time on labels that the one before it improved."""

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from wsss_lib.baselines.skeleton import Material, Run, tagged_prediction
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.segmentation.networks import SegmentationNetwork
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import IGNORE, Tags


def round_settings(settings: SegmentationConfig, number: int, rounds: int) -> SegmentationConfig:
    """Settings of the network of round ``number`` = 1..``rounds``: the last has all steps, the others steps / rounds.

    All together cost less than twice our own training, 1 + (rounds - 1) / rounds times (choice): the last network is
    the one that is measured, and the others only have to tell the tags of known pictures apart.
    """
    if number == rounds:
        return settings
    return settings.with_steps(settings.training.steps // rounds)


def region_probability(
    network: SegmentationNetwork, material: Material, i: int, settings: SegmentationConfig, run: Run
) -> Float[Tensor, "region class"]:
    """The network's softmax over the tags of training picture ``i``, averaged in every superpixel."""
    probability = tagged_prediction(network, material, i, settings.input_size, run)
    return mean_pool(probability, material.regions(i), align_corners=True)  # the grid is the pixels themselves


def surest_tag(
    probability: Float[Tensor, "region class"], tags: Tags
) -> tuple[UInt8[np.ndarray, "region"], Float32[np.ndarray, "region"]]:
    """The most probable tag of every superpixel and its probability; unknown, with 0, in a picture without tags.

    (0.5, 0.3, 0.2) with the tags 1 and 2 gives class 1 with 0.3.
    """
    if not tags.any():
        return np.full(len(probability), IGNORE, np.uint8), np.zeros(len(probability), np.float32)
    allowed = probability.masked_fill(torch.from_numpy(~tags), -torch.inf)
    value, best = allowed.max(1)
    return best.numpy().astype(np.uint8), value.numpy().astype(np.float32)
