"""SPN (Kwak, Hong, Han, AAAI 2017; specification 6.6): a classifier whose evidence is pooled in superpixels.

Features z of a frozen ImageNet backbone are averaged in every superpixel, x_s = (1/|s|) sum_{u in s} z_u. A classifier
w learns the tags from two averages, over the superpixels and over the whole grid (which keeps it from following
the noise of small superpixels), with a multi-label logistic loss each. The score of superpixel s for class c is
w_c^T x_s; scores become a label map, a segmentation network learns it, and its own predictions make the next label map.

Choices, where nothing is published or our data differ:

* DeepLab-LargeFOV (the network of ``settings``) instead of DecoupledNet, as the specification proposes;
* upsampling is bilinear, up to the pixels: the specification's factor 2 on a grid with aligned corners is a station on
  that way and changes nothing. There is no learnt layer between backbone and pooling, so features are computed once;
* both branches share w. With separate weights on a frozen backbone the global branch would not reach the scores;
* the bias takes part in the tags' scores, not in the superpixels', as in class activation maps (specification 1);
* the backbone is that of our classifier as it stands, and the branch is trained on the tags of the target pictures;
* a class's scores are clipped at 0 and divided by their largest in the picture; below ``threshold`` a superpixel is
  background. Where the data have no background class, it is unknown instead;
* in later rounds each superpixel takes the tag, background included, that the network finds most probable;
* rounds before the last train for steps / rounds steps (:func:`.network_rounds.round_settings`).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Float16, UInt8
from torch import Tensor, nn

from wsss_lib.baselines.network_rounds import region_probability, round_settings, surest_tag
from wsss_lib.baselines.skeleton import Material, Outcome, Run, train_on_labels
from wsss_lib.classification.classifier import to_tensor
from wsss_lib.data.pictures import resize_image
from wsss_lib.localization.patches import fitting_size
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.regions.superpixels import paint_regions
from wsss_lib.segmentation.training import SegmentationConfig, picture_at
from wsss_lib.training.loop import TrainingConfig, start_values, train
from wsss_lib.vocabulary import IGNORE, DataError, RegionMap, SettingsError, Tags


@dataclass(frozen=True, kw_only=True)
class SpnConfig:
    """How the classifier branch sees and learns, and how often the network is trained.

    ``scale``: the branch sees pictures at this multiple of the segmentation network's size (choice: twice, as the
    superpixels of our own region network). ``threshold``: lowest share of a class's largest score that is still
    the class (specification 6.6 leaves it open; 0.2 is that of CAM boxes and of SEC's seeds, 1.2). ``rounds``: 3 were
    published (unconfirmed), 2 are cheaper (choice). ``training``: of the branch, which is one linear layer; as our own
    classifiers with a frozen backbone are trained (choice).
    """

    scale: float = 2.0
    threshold: float = 0.2
    rounds: int = 2
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            steps=1000, batch_size=64, learning_rate=0.1, head_factor=1, weight_decay=1e-4
        )
    )

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise SettingsError(f"threshold must be above 0 and at most 1, not {self.threshold}")
        if self.rounds < 1 or not self.scale > 0:
            raise SettingsError(f"at least one round and a scale above 0 are needed, in {self}")


def spn(material: Material, settings: SegmentationConfig, config: SpnConfig, run: Run) -> Outcome:
    """Classifier with superpixel pooling -> label maps -> network -> label maps -> network ..."""
    count = len(material)
    objects = object_classes(len(material.label_space), material.label_space.background)
    pooled = [pool_picture(material, i, settings, config, run) for i in range(count)]
    branch, losses = train_branch(pooled, material.tags[:, objects], config, run)
    weights = torch.zeros(len(material.label_space), branch.in_features)
    weights[objects] = branch.weight.detach().cpu()

    regions = [
        superpixel_labels(
            superpixel_heat(torch.from_numpy(each.superpixels).float() @ weights.T, material.tags[i]),
            material.tags[i], material.label_space.background, config.threshold,
        )
        for i, each in enumerate(pooled)
    ]  # fmt: skip
    del pooled
    history = {"branch": losses}
    for number in range(1, config.rounds + 1):
        run.report(f"SPN, round {number}/{config.rounds}")
        labels = [paint_regions(regions[i], material.regions(i)) for i in range(count)]
        network = material.network(settings.network)
        name = f"spn_round_{number}"
        step_settings = round_settings(settings, number, config.rounds)
        history[f"network_{number}"] = train_on_labels(network, material, step_settings, labels, run, name)
        if number == config.rounds:
            return Outcome(network=network, network_name=settings.network, losses=history, labels=labels)
        regions = [
            surest_tag(region_probability(network, material, i, settings, run), material.tags[i])[0]
            for i in range(count)
        ]
    raise AssertionError("SpnConfig has at least one round")


def object_classes(num_classes: int, background: int | None) -> list[int]:
    """The classes that the branch tells apart: all but the background, which is in every picture."""
    return [index for index in range(num_classes) if index != background]


# ------------------------------------------------------------------------------------- the classifier and its pooling


@dataclass(frozen=True)
class PooledPicture:
    """Features of one picture: the average of the grid, and the average of every superpixel."""

    everywhere: Float[Tensor, "channel"]
    superpixels: Float16[np.ndarray, "region channel"]


def pool_features(
    features: Float[Tensor, "channel rows columns"], regions: RegionMap, *, align_corners: bool
) -> PooledPicture:
    """Both averages of a feature grid."""
    superpixels = mean_pool(features, regions, align_corners=align_corners)
    return PooledPicture(features.mean((1, 2)).float().cpu(), superpixels.half().cpu().numpy())


@torch.no_grad()
def pool_picture(
    material: Material, i: int, settings: SegmentationConfig, config: SpnConfig, run: Run
) -> PooledPicture:
    """Both averages of the frozen backbone's features of one training picture."""
    backbone = run.compute.place(material.classifier.backbone).eval()
    size = fitting_size(settings.input_size, config.scale, backbone)
    pixels = run.compute.tensor(to_tensor([resize_image(material.image(i), size)]))
    with run.compute.autocast():
        features = backbone(pixels)[0].float()
    return pool_features(features, material.regions(i), align_corners=backbone.align_corners)


def branch_loss(
    branch: nn.Linear,
    everywhere: Float[Tensor, "batch channel"],
    superpixels: Float[Tensor, "batch channel"],
    shows: Bool[Tensor, "batch object"],
) -> Tensor:
    """Sum over the two branches of the multi-label logistic loss; ``superpixels`` is the mean over a picture's x_s."""
    truth = shows.float()
    loss = functional.binary_cross_entropy_with_logits
    return loss(branch(everywhere).float(), truth) + loss(branch(superpixels).float(), truth)


def train_branch(
    pooled: list[PooledPicture], shows: Bool[np.ndarray, "picture object"], config: SpnConfig, run: Run
) -> tuple[nn.Linear, list[float]]:
    """The classifier w on averages of the training pictures, and the loss of every step."""
    if not pooled:
        raise DataError("there is no picture to train SPN's classifier on")
    everywhere = torch.stack([each.everywhere for each in pooled])
    superpixels = torch.from_numpy(np.stack([each.superpixels.astype(np.float32).mean(0) for each in pooled]))
    truth = torch.from_numpy(shows)
    with start_values(run.seed):
        branch = nn.Linear(everywhere.shape[1], shows.shape[1])
        nn.init.normal_(branch.weight, std=0.01)
        nn.init.zeros_(branch.bias)
    run.compute.place(branch)
    device = run.compute.device

    def batch(step: int) -> tuple[Tensor, Tensor, Tensor]:
        first = step * config.training.batch_size
        chosen = [picture_at(first + k, len(pooled), run.seed) for k in range(config.training.batch_size)]
        return everywhere[chosen].to(device), superpixels[chosen].to(device), truth[chosen].to(device)

    losses = train(
        branch, batch, lambda values: branch_loss(branch, *values), config.training, compute=run.compute,
        seed=run.seed, head=[branch], checkpoint=run.checkpoint("spn_branch"), report=run.report,
    )  # fmt: skip
    return branch, losses


# ----------------------------------------------------------------------------------------- from scores to label maps


def superpixel_heat(scores: Float[Tensor, "region class"], tags: Tags) -> Float[Tensor, "region class"]:
    """Scores of the tags, clipped at 0 and divided by the largest of the class; absent tags are 0.

    A class whose scores are nowhere positive stays 0.
    """
    heat = scores.clamp(min=0) * torch.from_numpy(tags)
    return heat / heat.amax(0, keepdim=True).clamp(min=1e-5)


def superpixel_labels(
    heat: Float[Tensor, "region class"], tags: Tags, background: int | None, threshold: float
) -> UInt8[np.ndarray, "region"]:
    """The hottest object tag of every superpixel; background, or unknown without a background tag, below the threshold.

    Heat (0.9, 0.3), (0.1, 0.15), (0.2, 0.8), threshold 0.2: class 0, background, class 1.
    """
    allowed = torch.from_numpy(tags).clone()
    if background is not None:
        allowed[background] = False
    value, best = heat.masked_fill(~allowed, -torch.inf).max(1)
    rest = background if background is not None and tags[background] else IGNORE
    return torch.where(value >= threshold, best, rest).cpu().numpy().astype(np.uint8)
