"""BBF, "Bringing background into the foreground": two streams, all classes (Saleh et al., ICCV 2017; spec. 6.4).

Every class has a heat map, also road, sky and building; where one map is strong and clearly leads, its class is the
label. A network of appearance and motion (``segmentation/two_stream.py``) learns from these cells and from the tags:

    L = mean over confident cells of -log softmax(z)_label  +  w * mean over classes of BCE(LSE_r(z_c), tag_c)
    LSE_r(z_c) = 1/r * log( mean over cells of exp(r z_c) )

Of the published system, the idea and the inputs are known: heat maps of all classes, image and flow, tags of videos.
Choices, besides those of the network:

- The heat maps are those of our own localiser, as the paper gives them to other systems, and not of a second
  classifier of ImageNet pictures. Each is read where the network has its cells and divided by its maximum there, so
  that a faint class gets labels too; threshold and margin are shares of that maximum. What lies between is missed.
- w = 1 and the margin 0.2.
- The tags are those of each picture; where the data have tags of videos, they are the tags of its pictures.
- A trained network is used on single pictures (``Segmenter``), where nothing moves. So that it knows standstill,
  the flow of a picture is hidden from it with probability ``still_share`` in training; 0 suits a use with flow.
- Both streams start from the same weights, also the motion stream.
- Without sequences the motion stream sees standstill everywhere. ``Outcome.variant`` says so.
- Driving scenes only: a class for the rest, as VOC's background, has no heat map.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Int
from torch import Tensor

from wsss_lib.baselines.skeleton import Cues, Material, Outcome, Run, train_on_cues
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.segmentation.two_stream import TwoStream, two_stream_of
from wsss_lib.vocabulary import IGNORE, SettingsError

WITHOUT_FLOW = "zero flow"


@dataclass(frozen=True, kw_only=True)
class BbfConfig:
    """``confidence`` and ``sharpness`` (r) are those of the specification 6.4; the others are choices.

    ``confidence`` and ``margin`` are shares of a class map's maximum. ``step_share`` times as many steps are trained as
    our own method has; less than 1 pays for the second stream.
    """

    confidence: float = 0.5
    margin: float = 0.2
    sharpness: float = 5.0
    tag_weight: float = 1.0
    still_share: float = 0.5
    step_share: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.confidence < 1 and 0 <= self.margin < 1):
            raise SettingsError(f"confidence and margin must be at least 0 and below 1, in {self}")
        if not (0 < self.sharpness < math.inf and 0 <= self.tag_weight < math.inf):
            raise SettingsError(f"sharpness must be a positive number and tag_weight at least 0, in {self}")
        if not (0 <= self.still_share <= 1 and 0 < self.step_share <= 1):
            raise SettingsError(f"still_share must be 0 to 1 and step_share above 0 and at most 1, in {self}")


def confident_cells(
    heat: Float[Tensor, "batch class rows columns"], confidence: float, margin: float
) -> Int[Tensor, "batch rows columns"]:
    """The leading class where its map exceeds ``confidence`` of its maximum and leads by ``margin``; else ``IGNORE``.

    Maps are compared as shares of their own maximum; a class without heat is nowhere.
    """
    share = heat / heat.amax((2, 3), keepdim=True).clamp(min=torch.finfo(heat.dtype).tiny)
    best, leader = share.max(1, keepdim=True)
    second = share.scatter(1, leader, 0.0).amax(1)
    certain = (best[:, 0] > confidence) & (best[:, 0] - second > margin)
    return leader[:, 0].masked_fill(~certain, IGNORE)


def pooled_scores(logits: Float[Tensor, "batch class rows columns"], sharpness: float) -> Float[Tensor, "batch class"]:
    """1/r * log mean exp(r z) over the cells: near the mean for a small r, near the maximum for a large one."""
    cells = logits.flatten(2)
    return (torch.logsumexp(sharpness * cells, 2) - math.log(cells.shape[2])) / sharpness


def bbf_loss(
    logits: Float[Tensor, "batch class rows columns"],
    labels: Int[Tensor, "batch rows columns"],
    tags: Bool[Tensor, "batch class"],
    config: BbfConfig,
) -> Tensor:
    """Cross entropy on the labelled cells, 0 if there is none, plus the weighted tag loss."""
    total = functional.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
    on_cells = total / (labels != IGNORE).sum().clamp(min=1)
    on_tags = functional.binary_cross_entropy_with_logits(pooled_scores(logits, config.sharpness), tags.float())
    return on_cells + config.tag_weight * on_tags


def hide_flow(flow: Float[Tensor, "batch 2 height width"], share: float) -> Float[Tensor, "batch 2 height width"]:
    """The flow of each picture, with probability ``share`` set to 0: dropout of whole pictures, without rescaling.

    Drawn, as all dropout, from the random state that the training loop seeds and saves.
    """
    seen = torch.rand(len(flow), device=flow.device) >= share
    return flow * seen[:, None, None, None]


def bbf(material: Material, settings: SegmentationConfig, config: BbfConfig, run: Run) -> Outcome:
    """Train the two-stream counterpart of ``settings.network`` end to end; ``SettingsError`` for VOC-like data."""
    if material.label_space.background is not None:
        raise SettingsError(f"BBF is for driving scenes; {material.label_space.name} has a class for the background")
    name = two_stream_of(settings.network)
    network = material.network(name)
    if not isinstance(network, TwoStream):
        raise SettingsError(f"BBF needs a network of two streams, but {name} is a {type(network).__name__}")
    network.motion.load_state_dict(network.backbone.state_dict())
    if material.flow is None:
        run.report(f"bbf: {WITHOUT_FLOW}, the data have no sequences")

    def forward(cues: Cues) -> Tensor:
        return network(cues.images, None if cues.flow is None else hide_flow(cues.flow, config.still_share))

    def loss(logits: Tensor, cues: Cues) -> Tensor:
        labels = confident_cells(cues.heat_on(logits), config.confidence, config.margin)
        return bbf_loss(logits, labels, cues.tags, config)

    shorter = settings.with_steps(config.step_share * settings.training.steps)
    losses = train_on_cues(network, material, shorter, loss, run, name="bbf", forward=forward)
    variant = "default" if material.flow is not None else WITHOUT_FLOW
    return Outcome(network=network, network_name=name, losses={"bbf": losses}, variant=variant)
