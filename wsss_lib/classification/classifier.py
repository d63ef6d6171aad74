"""A classifier whose class activation maps are its own last layer (Zhou et al., CVPR 2016; specification section 1).

The linear layer is a 1x1 convolution in front of the average, which gives the same scores as behind it:
S_c = mean over (x, y) of M_c(x, y) with M_c = sum over k of w_{c,k} f_k, so the maps need no extra code.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone, build_backbone
from wsss_lib.training.compute import Compute
from wsss_lib.training.loop import TrainingConfig, train
from wsss_lib.training.report import SILENT, Clock, Report
from wsss_lib.vocabulary import DataError, Image, SceneSet, SettingsError, SimpleSet


@dataclass(frozen=True, kw_only=True)
class ClassifierConfig:
    """What is classified with, and how it learns.

    ``softmax``: each picture has one class (the paper's ImageNet pictures); ``sigmoid``: any number (VOC).
    ``frozen`` trains the linear layer alone, on features of ``crops`` views per picture that are computed once.
    Pictures are drawn with equal chance per class, and views are random crops of at least about
    ``minimum_crop`` of the area (a stretched one that would not fit is cut off).
    """

    backbone: str
    weights: str = "none"
    input_size: int = 224
    activation: Literal["softmax", "sigmoid"] = "softmax"
    frozen: bool = False
    crops: int = 4
    minimum_crop: float = 0.35
    training: TrainingConfig

    def __post_init__(self) -> None:
        if self.activation not in ("softmax", "sigmoid"):
            raise SettingsError(f"activation must be softmax or sigmoid, not {self.activation!r}")
        if self.input_size < 16 or self.crops < 1 or not 0 < self.minimum_crop <= 1:
            raise SettingsError(f"input_size >= 16, crops >= 1 and 0 < minimum_crop <= 1 are needed, in {self}")


@dataclass(frozen=True, kw_only=True)
class ClassifiedPictures:
    """What a classifier learns from: pictures and which of ``classes`` each one shows.

    ``targets[s]`` is the label-space index that class ``s`` stands for, ``IGNORE`` for a class that only absorbs.
    """

    classes: tuple[str, ...]
    targets: tuple[int, ...]
    shows: Bool[np.ndarray, "picture class"]
    image: Callable[[int], Image]


def from_simple(simple: SimpleSet) -> ClassifiedPictures:
    """One class per picture."""
    shows = np.array(simple.labels)[:, None] == np.arange(len(simple.classes))
    return ClassifiedPictures(classes=simple.classes, targets=simple.targets, shows=shows, image=simple.image)


def from_scenes(scenes: SceneSet) -> ClassifiedPictures:
    """The tags of scenes as classes (the paper trains on VOC's own tags); the background is no class of its own."""
    if scenes.tags is None:
        raise DataError(f"the {scenes.split} split of {scenes.label_space.name} has no tags to train a classifier on")
    space = scenes.label_space
    kept = [index for index in range(len(space)) if index != space.background]
    return ClassifiedPictures(
        classes=tuple(space.classes[index] for index in kept),
        targets=tuple(kept),
        shows=scenes.tags[:, kept],
        image=scenes.image,
    )


class CamClassifier(nn.Module):
    """Backbone, 1x1 convolution, average: its class maps are the class activation maps."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.linear = nn.Conv2d(backbone.channels, num_classes, 1)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)  # pyright: ignore[reportArgumentType]  # it has a bias

    def features(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channel rows columns"]:
        """f_k(x, y), in float32."""
        return self.backbone(images).float()

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch class"]:
        """S_c, the class scores before softmax or sigmoid."""
        return self.linear(self.features(images)).float().mean((2, 3))


def build_classifier(config: ClassifierConfig, num_classes: int, weights: str | Path | None = None) -> CamClassifier:
    """A classifier with pretrained trunk; ``weights`` is where the file that ``config.weights`` names lies."""
    return CamClassifier(build_backbone(config.backbone, weights or config.weights), num_classes)


def train_classifier(
    classifier: CamClassifier,
    pictures: ClassifiedPictures,
    config: ClassifierConfig,
    *,
    compute: Compute,
    seed: int,
    checkpoint: Path | None = None,
    report: Report = SILENT,
) -> list[float]:
    """Train in place with softmax cross entropy or the multi-label logistic loss; returns the loss of every step.

    ``SettingsError`` if a picture has several classes and softmax is asked for.
    """
    if config.activation == "softmax" and (pictures.shows.sum(axis=1) > 1).any():
        raise SettingsError("softmax tells one class per picture from the others; use sigmoid for pictures with tags")
    compute.place(classifier)
    draw = _balanced_draw(pictures.shows, config.training.batch_size, seed)
    shows = torch.from_numpy(pictures.shows)

    def score_loss(scores: Tensor, chosen: list[int]) -> Tensor:
        truth = shows[chosen].to(scores.device)
        if config.activation == "softmax":
            return functional.cross_entropy(scores, truth.float().argmax(1))
        return functional.binary_cross_entropy_with_logits(scores, truth.float())

    if config.frozen:
        views = view_features(classifier, pictures, config, compute=compute, seed=seed, report=report)

        def batch(step: int) -> tuple[Tensor, list[int]]:
            chosen = draw(step)
            view = np.random.default_rng([seed, step, 1]).integers(config.crops, size=len(chosen))
            return views[chosen, view].to(compute.device), chosen

        def loss(values: tuple[Tensor, list[int]]) -> Tensor:
            features, chosen = values
            return score_loss(classifier.linear(features[:, :, None, None]).float().mean((2, 3)), chosen)

        model: nn.Module = classifier.linear
    else:

        def batch(step: int) -> tuple[Tensor, list[int]]:
            chosen = draw(step)
            rng = np.random.default_rng([seed, step, 1])
            return compute.tensor(to_tensor([random_view(pictures.image(i), config, rng) for i in chosen])), chosen

        def loss(values: tuple[Tensor, list[int]]) -> Tensor:
            images, chosen = values
            return score_loss(classifier(images), chosen)

        model = classifier
    head = [classifier.linear, classifier.backbone.neck]
    losses = train(
        model, batch, loss, config.training, compute=compute, seed=seed, head=head, checkpoint=checkpoint,
        epoch=len(pictures.shows), report=report,
    )  # fmt: skip
    classifier.eval()
    return losses


@torch.no_grad()
def view_features(
    classifier: CamClassifier,
    pictures: ClassifiedPictures,
    config: ClassifierConfig,
    *,
    compute: Compute,
    seed: int,
    report: Report = SILENT,
) -> Float[Tensor, "picture view channel"]:
    """Average-pooled features of ``config.crops`` random views of every picture, on the CPU."""
    classifier.eval()
    rows, clock = [], Clock(len(pictures.shows))
    for start in range(0, len(pictures.shows), 8):
        block = range(start, min(start + 8, len(pictures.shows)))
        views = []
        for i in block:
            rng = np.random.default_rng([seed, i, 2])
            picture = pictures.image(i)
            views += [random_view(picture, config, rng) for _ in range(config.crops)]
        with compute.autocast():
            features = classifier.features(compute.tensor(to_tensor(views)))
        rows.append(features.mean((2, 3)).unflatten(0, (len(block), config.crops)).cpu())
        if block.stop % 200 == 0:
            report(f"features of picture {block.stop}/{len(pictures.shows)}, {clock.left(block.stop)}")
    return torch.cat(rows)


def random_view(image: Image, config: ClassifierConfig, rng: np.random.Generator) -> Image:
    """A random crop of about ``minimum_crop`` of the area or more, nearly in the picture's shape, perhaps mirrored.

    With ``minimum_crop`` 1 it is the whole picture: what a picture's class is certain for.
    """
    height, width = image.shape[:2]
    share = np.sqrt(rng.uniform(config.minimum_crop, 1.0))
    stretch = np.exp(rng.uniform(-0.15, 0.15)) if config.minimum_crop < 1 else 1.0
    rows = max(1, min(height, round(height * share * stretch)))
    columns = max(1, min(width, round(width * share / stretch)))
    top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
    crop = image[top : top + rows, left : left + columns]
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
    smaller = min(rows, columns) > config.input_size
    mode = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(crop), (config.input_size, config.input_size), interpolation=mode)


def to_tensor(images: list[Image]) -> UInt8[Tensor, "batch 3 height width"]:
    """Pictures of one size as a batch of bytes; networks see the numbers that ``Compute.tensor`` makes of them."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _balanced_draw(shows: Bool[np.ndarray, "picture class"], count: int, seed: int) -> Callable[[int], list[int]]:
    """step -> picture indices: first a class with equal chance, then one of its pictures."""
    pools = [np.flatnonzero(column) for column in shows.T if column.any()]
    if not pools:
        raise DataError("no picture shows any class: a classifier needs at least one picture with a class")

    def draw(step: int) -> list[int]:
        rng = np.random.default_rng([seed, step, 0])
        return [int(rng.choice(pools[index])) for index in rng.integers(len(pools), size=count)]

    return draw


def accuracy_per_class(
    classifier: CamClassifier, pictures: ClassifiedPictures, config: ClassifierConfig, *, compute: Compute
) -> Float[np.ndarray, "class"]:
    """Share (percent) of each class's pictures in which the class is predicted: arg max, or a sigmoid above 0.5.

    ``nan`` for a class without pictures. Whole pictures, resized to the input size.
    """
    predicted = []
    for start in range(0, len(pictures.shows), 32):
        block = [
            cv2.resize(pictures.image(i), (config.input_size,) * 2, interpolation=cv2.INTER_AREA)
            for i in range(start, min(start + 32, len(pictures.shows)))
        ]
        with torch.no_grad(), compute.autocast():
            scores = classifier(compute.tensor(to_tensor(block))).cpu()
        best = scores == scores.max(1, keepdim=True).values
        predicted.append((best if config.activation == "softmax" else scores > 0).numpy())
    hits = np.concatenate(predicted) & pictures.shows
    with np.errstate(invalid="ignore"):
        return 100 * hits.sum(0) / pictures.shows.sum(0)


def combine_targets(
    values: Float[Tensor, "simple *rest"], targets: tuple[int, ...], num_classes: int, how: Literal["max", "sum"]
) -> Float[Tensor, "class *rest"]:
    """Maps of the classifier's classes to maps of the label space: several simple classes may stand for one target.

    Absorbing classes are dropped; a target that no simple class stands for gets 0.
    """
    groups = [[s for s, target in enumerate(targets) if target == index] for index in range(num_classes)]
    empty = torch.zeros_like(values[0])
    reduce = (lambda group: values[group].amax(0)) if how == "max" else (lambda group: values[group].sum(0))
    return torch.stack([reduce(group) if group else empty for group in groups])
