"""AE-PSL, "Object region mining with adversarial erasing" (Wei et al., CVPR 2017; specification 6.7).

Adversarial erasing: the hottest part of every object is erased from the picture and the classifier, taught again on
what is left, must find another part; the parts together are the object. Low saliency is background. Prohibitive
segmentation learning: the network also learns from its own scores, weighted by how sure the classifier is of each tag.

Choices besides those of :mod:`wsss_lib.baselines.figure_ground` and :mod:`wsss_lib.regions.saliency` (instead of DRFI):

- The first parts are from the heat that every system is given; the classifier goes on from the given one with the
  logistic loss on the training pictures' tags, for ``classifier_steps`` steps after each erasing. All figures of a
  picture are erased from the same copy, and a pixel that two of them claim stays unknown.
- Hard stops, per class and picture, so that erasing does not flood: no more is mined once the classifier is less than
  ``confidence`` sure that the class is still there, or ``largest`` of the picture is mined; and a part is never colder
  than ``coldest`` times the hottest place left.
- Without a background class only figures are erased, and a pixel of low saliency has the ground tag with most heat; a
  picture without figures is all ground, one without ground has no rival to what is mined.
- The network first learns from the masks alone: a new network's scores would make every online mask the background.
"""

import copy
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsss_lib.baselines.figure_ground import Classes, Saliency, figure_classes, split_tags
from wsss_lib.baselines.skeleton import Cues, Heat, Material, Outcome, Run, train_on_cues, train_on_labels, unknown_like
from wsss_lib.classification.backbones import IMAGENET_MEAN
from wsss_lib.classification.classifier import CamClassifier, ClassifiedPictures, combine_targets, train_classifier
from wsss_lib.localization.patches import LocalizationConfig, class_maps
from wsss_lib.regions.saliency import saliency
from wsss_lib.segmentation.training import SegmentationConfig, pixel_cross_entropy
from wsss_lib.vocabulary import IGNORE, Image, LabelMap, SettingsError, Tags

Mask = Bool[np.ndarray, "height width"]
SURE_OF_UNKNOWN_CLASS = 1.0
"""The confidence in a tag that the classifier has no class for; the background's is published to be 1."""


@dataclass(frozen=True, kw_only=True)
class AePslConfig:
    """How often, how much and how far is erased, and what counts as ground. Choices where no origin is given.

    ``erasings``: parts mined in all, and ``share``: of the picture in one part (published, unconfirmed: 3 and 0.2).
    ``low_saliency``: below it is ground (published for DRFI, unconfirmed: 30 of 255).
    ``online_share``: of the steps, how many at the end also learn from online masks.
    """

    erasings: int = 3
    share: float = 0.2
    confidence: float = 0.3
    largest: float = 0.4
    coldest: float = 0.5
    low_saliency: float = 30 / 255
    classifier_steps: int = 60
    online_share: float = 0.5

    def __post_init__(self) -> None:
        if self.erasings < 1 or self.classifier_steps < 1:
            raise SettingsError(f"erasings and classifier_steps must be at least 1, in {self}")
        if not (0 < self.share <= 1 and 0 < self.largest <= 1 and 0 < self.online_share < 1):
            raise SettingsError(f"share and largest must be within 0..1, online_share between 0 and 1, in {self}")
        if min(self.confidence, self.coldest, self.low_saliency) < 0 or max(self.confidence, self.coldest) > 1:
            raise SettingsError(f"confidence and coldest must be within 0..1 and low_saliency not below 0, in {self}")


def ae_psl(material: Material, settings: SegmentationConfig, config: AePslConfig, run: Run) -> Outcome:
    """The network that learnt from the mined masks and then also from its own."""
    run.report("saliency of all pictures")
    salient = [saliency(material.image(i)) for i in range(len(material))]
    figures = figure_classes(material, salient)
    front = ", ".join(np.array(material.label_space.classes)[figures])
    run.report(f"figures are {front or 'none'}")
    miner = Miner(material, figures, settings.input_size, config, run)
    sure = [miner.look(i)[1] for i in range(len(material))]
    losses = miner.mine_all()
    labels = [
        mined_labels(miner.mined[i], miner.erased[i], salient[i], material.heat(i), material.tags[i], figures, config)
        for i in range(len(material))
    ]
    network = material.network(settings.network)
    online = min(max(1, round(config.online_share * settings.training.steps)), settings.training.steps)
    first, second = settings.with_steps(settings.training.steps - online), settings.with_steps(online)
    losses["masks"] = train_on_labels(network, material, first, labels, run, "masks")
    # The confidences travel with the pictures as heat of a single cell.
    known = replace(material, seeds=labels.__getitem__, heat=lambda i: sure[i][:, None, None].astype(np.float32))
    losses["online"] = train_on_cues(
        network,
        known,
        second,
        lambda logits, cues: prohibitive_loss(logits, cues, settings.label_stride),
        run,
        "online",
    )
    return Outcome(network=network, network_name=settings.network, losses=losses, labels=labels)


class Miner:
    """A classifier that is taught again and again, and what it has found: ``mined[i]`` and ``erased[i]`` per picture.

    A pixel that is erased but not mined was claimed by two classes.
    """

    def __init__(
        self, material: Material, figures: Classes, size: tuple[int, int], config: AePslConfig, run: Run
    ) -> None:
        self.material, self.config, self.run = material, config, run
        self.classifier: CamClassifier = run.compute.place(copy.deepcopy(material.classifier)).eval()
        self.learning = material.classifier_config
        self.whole = LocalizationConfig(patch_size=size)
        self.wanted = material.tags & figures
        self.mined = [unknown_like(material.image(i)) for i in range(len(material))]
        self.erased = [one != IGNORE for one in self.mined]

    def image(self, i: int) -> Image:
        """A picture without what was mined in it."""
        return erase(self.material.image(i), self.erased[i])

    def look(self, i: int) -> tuple[Heat, Float[np.ndarray, "class"]]:
        """Heat and confidence of every class in a picture as it is now."""
        maps = class_maps(self.classifier, self.image(i), self.whole, compute=self.run.compute)
        bias = torch.zeros(len(maps)) if self.classifier.linear.bias is None else self.classifier.linear.bias.detach()
        scores = maps.mean((1, 2)) + bias.cpu().float()
        sure = scores.sigmoid() if self.learning.activation == "sigmoid" else scores.softmax(0)
        targets, count = self.material.pictures.targets, len(self.material.label_space)
        unknown = [c for c in range(count) if c not in targets]
        by_class = combine_targets(sure, targets, count, "max").numpy()
        by_class[unknown] = SURE_OF_UNKNOWN_CLASS
        return combine_targets(maps, targets, count, "max").clamp(min=0).numpy(), by_class

    def mine_all(self) -> dict[str, list[float]]:
        """Every erasing: mine, erase, teach the classifier what is left; the losses of its trainings by name."""
        losses = {}
        for turn in range(self.config.erasings):
            if turn:
                name = f"classifier {turn}"
                losses[name] = self.teach(turn)
            for i in range(len(self.material)):
                if not self.wanted[i].any():
                    continue
                heat = self.material.heat(i)
                if turn:
                    heat, sure = self.look(i)
                    self.wanted[i] &= sure >= self.config.confidence
                found = mine(heat, self.wanted[i], self.mined[i], self.erased[i], self.config)
                self.mined[i], self.erased[i] = found
            area = np.mean([one.mean() for one in self.erased])
            self.run.report(f"erasing {turn + 1}/{self.config.erasings}: {area:.0%} of the pixels mined")
        return losses

    def teach(self, turn: int) -> list[float]:
        """Some more steps of the classifier on the erased pictures."""
        old, targets = self.material.pictures, self.material.pictures.targets
        shows = np.stack(
            [np.zeros(len(self.material), bool) if c == IGNORE else self.material.tags[:, c] for c in targets], axis=1
        )
        pictures = ClassifiedPictures(classes=old.classes, targets=targets, shows=shows, image=self.image)
        training = replace(self.learning.training, steps=self.config.classifier_steps)
        self.learning = replace(self.learning, activation="sigmoid", training=training)
        return train_classifier(
            self.classifier, pictures, self.learning, compute=self.run.compute, seed=_seed(self.run.seed, turn),
            checkpoint=self.run.checkpoint(f"classifier_{turn}"), report=self.run.report,
        )  # fmt: skip


def _seed(seed: int, turn: int) -> int:
    """Another one for every turn of every repetition, which a sum would not give (0 + 1 = 1 + 0)."""
    return int(np.random.default_rng([seed, turn, 7]).integers(2**31))


def erase(image: Image, erased: Mask) -> Image:
    """The picture with ImageNet's mean colour, a network's 0, in the erased pixels."""
    mean = np.rint(255 * np.array(IMAGENET_MEAN)).astype(np.uint8)
    return np.where(erased[..., None], mean, image)


def mine(heat: Heat, wanted: Classes, mined: LabelMap, erased: Mask, config: AePslConfig) -> tuple[LabelMap, Mask]:
    """What is mined and what is erased after one more part of every wanted class.

    A part are the hottest pixels that are not erased: ``share`` of the picture, less if the class would have more than
    ``largest`` of it, and none colder than ``coldest`` times the hottest one. Which of equally hot pixels are taken is
    left open.
    """
    claims = np.zeros((len(heat), *erased.shape), dtype=bool)
    for c in np.flatnonzero(wanted):
        warm = np.where(erased, 0, cv2.resize(heat[c], erased.shape[::-1], interpolation=cv2.INTER_LINEAR))
        room = min(int(config.share * warm.size), int(config.largest * warm.size) - int((mined == c).sum()))
        if room > 0 and warm.max() > 0:
            hottest = np.argpartition(warm, -room, axis=None)[-room:]
            claims[c].flat[hottest] = True
            claims[c] &= (warm >= config.coldest * warm.max()) & (warm > 0)
    count = claims.sum(0)
    return np.where(count == 1, claims.argmax(0), mined).astype(np.uint8), erased | (count > 0)


def mined_labels(
    mined: LabelMap,
    erased: Mask,
    salient: Saliency,
    heat: Heat,
    tags: Tags,
    figures: Classes,
    config: AePslConfig,
) -> LabelMap:
    """Objects where they were mined, ground where nothing is salient; both at once and neither are unknown."""
    front, behind = split_tags(tags, figures)
    ground = np.full(mined.shape, IGNORE, dtype=np.uint8)
    if behind.any():
        members = np.flatnonzero(behind)
        warm = [cv2.resize(heat[c], mined.shape[::-1], interpolation=cv2.INTER_LINEAR) for c in members]
        quiet = (salient < config.low_saliency) | ((front == behind).all())
        ground[quiet] = members[np.argmax(warm, axis=0)][quiet]
    return np.where(erased, np.where(ground == IGNORE, mined, IGNORE), ground).astype(np.uint8)


def online_mask(
    logits: Float[Tensor, "batch class rows columns"],
    confidence: Float[Tensor, "batch class"],
    tags: Bool[Tensor, "batch class"],
) -> Int[Tensor, "batch rows columns"]:
    """argmax over the tags of v_c q_u(c); unknown in a picture without tags.

    q = (0.6, 0.3, 0.1) with v = (0.4, 1, 1) is (0.24, 0.3, 0.1): class 1. Without the tag of class 1 it is class 0.
    """
    weighted = logits.detach().log_softmax(1) + confidence.clamp(min=1e-4).log()[..., None, None]
    best = weighted.masked_fill(~tags[..., None, None], -torch.inf).argmax(1)
    return best.masked_fill(~tags.any(1)[:, None, None], IGNORE)


def prohibitive_loss(logits: Float[Tensor, "batch class rows columns"], cues: Cues, label_stride: int) -> Tensor:
    """Cross entropy on the masks, plus cross entropy on the online masks."""
    online = online_mask(logits, cues.heat[..., 0, 0], cues.tags)
    return pixel_cross_entropy(logits, cues.seeds, label_stride) + pixel_cross_entropy(logits, online, 1)
