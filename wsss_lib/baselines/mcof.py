"""MCOF (Wang et al., CVPR 2018; specification 3.4): mining common object features, bottom-up and top-down in turn.

Bottom-up, a region network learns what the seeds of a class have in common and relabels all superpixels among the tags.
Saliency completes the objects of pictures with one class. Top-down, a segmentation network learns the label maps, and
its predictions, restricted to the tags, are the seeds of the next round.

Our own method is MCOF without saliency and without the top-down part, plus centre loss; so the parts that both have are
the same functions here (region network, seeds, mean-pooled region features). Choices, where the abstract leaves things
open:

* regions are described by the mean over their pixels (published: a mask-based Fast R-CNN), in every profile;
* seeds are the hottest superpixels of our heat maps; background seeds come from the heat of the background class;
* ``rounds`` is 2, not 5 (unconfirmed), and rounds before the last train the network for steps / rounds steps;
* next seeds are all superpixels with their most probable tag; there is no dense CRF on the predictions;
* saliency acts in the first ``saliency_rounds`` rounds: later seeds come from a network that has seen whole objects;
* the posterior is averaged in every superpixel before the threshold, so that labels still follow superpixels;
* colours are counted in RGB cubes, with a tenth of a pixel added per cube;
* without a background class no picture has an object and a rest. In pictures of exactly two tags the class whose
  superpixels are more salient, by at least ``margin`` on average, plays the object and the other one the rest; other
  pictures stay as they are;
* pictures without tags, and data in which no superpixel has any heat, are refused, as by our own region network.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, UInt8
from scipy.ndimage import binary_fill_holes

from wsss_lib.baselines.network_rounds import region_probability, round_settings, surest_tag
from wsss_lib.baselines.skeleton import Material, Outcome, Run, train_on_labels
from wsss_lib.clustering.region_features import MeanPooled, RegionFeatureConfig, describe
from wsss_lib.clustering.rounds import ClusteringConfig, Round, View, cluster
from wsss_lib.clustering.seeds import SeedConfig, choose_seeds
from wsss_lib.localization.patches import fitting_size
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.regions.saliency import saliency as default_saliency
from wsss_lib.regions.superpixels import paint_regions
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import Image, LabelMap, RegionMap, SettingsError, Tags

Saliency = Float32[np.ndarray, "height width"]
Mask = Bool[np.ndarray, "height width"]


def _region_network() -> ClusteringConfig:
    """One round of our own region network, cross entropy alone (its second phase has to have a step)."""
    training = TrainingConfig(steps=600, batch_size=256, learning_rate=0.02, head_factor=1, schedule="step")
    return ClusteringConfig(rounds=1, pictures_per_batch=16, training=training, center_steps=1, center_weight=0)


@dataclass(frozen=True, kw_only=True)
class McofConfig:
    """Rounds, region network and saliency.

    ``feature_scale``: regions are described at this multiple of the segmentation network's size, by the ``layers`` of
    the classifier's backbone (``()`` its output). ``posterior``: lowest p(o|v) of an object; 0.5 is Bayes' decision.
    ``bins``: colour cubes along each of R, G and B (choice).
    """

    rounds: int = 2
    seeds: SeedConfig = field(default_factory=SeedConfig)
    feature_scale: float = 2.0
    layers: tuple[int, ...] = ()
    regions: ClusteringConfig = field(default_factory=_region_network)
    saliency_rounds: int = 1
    posterior: float = 0.5
    bins: int = 8
    margin: float = 0.2

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.saliency_rounds < 0 or not self.feature_scale > 0:
            raise SettingsError(f"rounds >= 1, saliency_rounds >= 0 and feature_scale > 0 are needed, in {self}")
        if self.regions.rounds != 1 or self.regions.center_weight != 0:
            raise SettingsError("MCOF's region network has one round and no centre loss; set rounds=1, center_weight=0")
        if not 0 < self.posterior < 1 or not 2 <= self.bins <= 256 or not 0 <= self.margin <= 1:
            raise SettingsError(f"posterior and margin must be within 0..1 and bins within 2..256, in {self}")


def mcof(
    material: Material,
    settings: SegmentationConfig,
    config: McofConfig,
    run: Run,
    saliency: Callable[[Image], Saliency] = default_saliency,
) -> Outcome:
    """Seeds -> region network -> saliency -> segmentation network -> seeds ..."""
    count, background = len(material), material.label_space.background
    features = describe_regions(material, settings, config, run)
    seeds = [
        choose_seeds(
            mean_pool(torch.from_numpy(material.heat(i)), material.regions(i)).numpy(), material.tags[i], config.seeds
        )
        for i in range(count)
    ]
    history: dict[str, list[float]] = {}
    for number in range(1, config.rounds + 1):
        run.report(f"MCOF, round {number}/{config.rounds}")
        mined = mine_regions(features, seeds, material, config, run, number)
        parts = np.split(mined.labels, np.cumsum(features.counts)[:-1])
        labels = [paint_regions(parts[i], material.regions(i)) for i in range(count)]
        if number <= config.saliency_rounds:
            for i in range(count):
                image, regions = material.image(i), material.regions(i)
                labels[i] = complete_object(
                    labels[i], image, regions, saliency(image), material.tags[i], background, config
                )
        network = material.network(settings.network)
        step_settings, name = round_settings(settings, number, config.rounds), f"mcof_round_{number}"
        history[f"regions_{number}"] = mined.losses
        history[f"network_{number}"] = train_on_labels(network, material, step_settings, labels, run, name)
        if number == config.rounds:
            return Outcome(network=network, network_name=settings.network, losses=history, labels=labels)
        seeds = [
            surest_tag(region_probability(network, material, i, settings, run), material.tags[i]) for i in range(count)
        ]
    raise AssertionError("McofConfig has at least one round")


# --------------------------------------------------------------------------------------------------------- bottom-up


def describe_regions(material: Material, settings: SegmentationConfig, config: McofConfig, run: Run) -> MeanPooled:
    """Mean-pooled features of all superpixels, by the backbone of our classifier."""
    backbone = run.compute.place(material.classifier.backbone).eval()
    size = fitting_size(settings.input_size, config.feature_scale, backbone)
    features = RegionFeatureConfig(size=size, layers=config.layers)
    rows = [
        describe(backbone, material.image(i), material.regions(i), features, compute=run.compute)
        for i in range(len(material))
    ]
    return MeanPooled(np.concatenate(rows), np.array([len(each) for each in rows]))


def mine_regions(
    features: MeanPooled,
    seeds: list[tuple[UInt8[np.ndarray, "region"], Float32[np.ndarray, "region"]]],
    material: Material,
    config: McofConfig,
    run: Run,
    number: int,
) -> Round:
    """A fresh region network on the seeds of all pictures; every superpixel is relabelled among its tags."""
    labels, certainty = (np.concatenate(parts) for parts in zip(*seeds, strict=True))
    checkpoint: Path | None = run.checkpoint(f"mcof_regions_{number}")
    return next(
        cluster(
            [View(features)], labels, certainty, material.tags, material.label_space, config.regions,
            compute=run.compute, seed=int(np.random.default_rng([run.seed, number, 6]).integers(2**31)),
            folder=None if checkpoint is None else checkpoint.with_suffix(""), report=run.report,
        )
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------- saliency


def color_likelihood(
    image: Image, mask: Mask, bins: int, smoothing: float = 0.1
) -> Float32[np.ndarray, "height width"]:
    """p(v | mask) of every pixel's colour v: its share of the pixels inside the mask, in cubes of RGB.

    ``smoothing`` is added to the count of each of the bins^3 cubes, so a colour is never impossible, and an empty mask
    finds all colours equally likely.
    """
    cube = (image.astype(np.int64) * bins // 256) @ np.array([bins * bins, bins, 1])
    counted = np.bincount(cube[mask], minlength=bins**3) + smoothing
    return (counted / counted.sum())[cube].astype(np.float32)


def object_posterior(image: Image, mined: Mask, salient: Saliency, bins: int, smoothing: float = 0.1) -> Saliency:
    """p(o|v) = s p(v|o) / (s p(v|o) + (1 - s) p(v|b)), specification 3.4; o is the mined object, b the rest.

    Saliency s is the prior. With s = 0.5 and a colour three times as frequent in the object as outside, 0.75.
    """
    inside = salient * color_likelihood(image, mined, bins, smoothing)
    outside = (1 - salient) * color_likelihood(image, ~mined, bins, smoothing)
    return inside / (inside + outside)


def object_and_rest(
    label_map: LabelMap, salient: Saliency, tags: Tags, background: int | None, margin: float
) -> tuple[int, int] | None:
    """Which tag is the picture's one object, and what the rest is; ``None`` where saliency cannot tell.

    With a background: the only other tag. Without: of two tags the one that is more salient by at least ``margin``.
    """
    present = np.flatnonzero(tags).tolist()
    if len(present) != 2:
        return None
    if background is not None:
        first, second = present
        return None if background not in present else (second, first) if first == background else (first, second)
    inside = [label_map == index for index in present]
    if not all(mask.any() for mask in inside):
        return None
    means = [float(salient[mask].mean()) for mask in inside]
    if abs(means[0] - means[1]) < margin:
        return None
    return (present[0], present[1]) if means[0] > means[1] else (present[1], present[0])


def complete_object(
    label_map: LabelMap,
    image: Image,
    regions: RegionMap,
    salient: Saliency,
    tags: Tags,
    background: int | None,
    config: McofConfig,
) -> LabelMap:
    """Labels of a picture of one object: superpixels of high posterior, holes filled, and the rest.

    Unchanged for other pictures, and where nothing or everything would be object.
    """
    chosen = object_and_rest(label_map, salient, tags, background, config.margin)
    if chosen is None:
        return label_map
    thing, rest = chosen
    posterior = object_posterior(image, label_map == thing, salient, config.bins)
    sizes = np.bincount(regions.ravel())
    mean = np.bincount(regions.ravel(), weights=posterior.ravel()) / sizes
    found = np.asarray(binary_fill_holes((mean >= config.posterior)[regions]))
    if not found.any() or found.all():
        return label_map
    return np.where(found, thing, rest).astype(np.uint8)
