"""What every system of the comparison is given, how it is trained, and what it gives back.

A system is one function ``name(material, settings, config, run) -> Outcome`` in a file of its own. ``settings`` are the
segmentation settings of the paper's own method, so that all systems have the same backbone and picture size, and the
network that is measured learns for at least as many steps (some train others before it, up to as long again; their
files say so); ``config`` holds what is the system's own. There are two kinds: systems that make label maps and train on
them with :func:`train_on_labels`, and systems with a loss of their own, trained end to end with :func:`train_on_cues`.
The latter see whole pictures, mirrored at random; random scales are for those that learn from label maps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from wsss_lib.classification.classifier import CamClassifier, ClassifiedPictures, ClassifierConfig, to_tensor
from wsss_lib.segmentation.networks import SegmentationNetwork
from wsss_lib.segmentation.predict import tagged_softmax
from wsss_lib.segmentation.training import SegmentationConfig, picture_at, train_segmentation
from wsss_lib.training.compute import Compute
from wsss_lib.training.loop import settle_batch_norm, train
from wsss_lib.training.report import SILENT, Report
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, LabelSpace, RegionMap, TagTable

Heat = Float32[np.ndarray, "class rows columns"]

_PROCESSOR = Compute(device=torch.device("cpu"))


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a system may learn from: the training pictures, their tags, and the cues of our own localiser (the paper
    gives its cues to the systems that cannot make any on driving scenes, 4.3). There is no label map in it.

    ``heat(i)`` is on a grid of equal cells, 0..1, and 0 for absent tags. ``seeds(i)`` is as large as the picture: the
    labels that our own first round learns from, ``IGNORE`` elsewhere. ``classifier`` is the trained one that the heat
    is from; ``pictures`` and ``classifier_config`` are what it learnt from and how. ``network()`` builds a new
    segmentation network by name with the start weights that our own has. ``flow(i)`` is the optical flow from picture
    ``i`` to the next frame in pixels (right, down), ``None`` where the data have no sequences.
    """

    label_space: LabelSpace
    image: Callable[[int], Image]
    tags: TagTable
    heat: Callable[[int], Heat]
    seeds: Callable[[int], LabelMap]
    regions: Callable[[int], RegionMap]
    classifier: CamClassifier
    pictures: ClassifiedPictures
    classifier_config: ClassifierConfig
    network: Callable[[str], SegmentationNetwork]
    flow: Callable[[int], Float32[np.ndarray, "height width 2"]] | None = None

    def __len__(self) -> int:
        return len(self.tags)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where and how a system runs: device and precision, seed, a folder for checkpoints, and who hears of progress."""

    compute: Compute
    seed: int
    folder: Path | None = None
    report: Report = SILENT

    def checkpoint(self, name: str) -> Path | None:
        """The checkpoint of one training of the system; ``None`` without a folder."""
        return None if self.folder is None else self.folder / f"{name}.pt"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A trained network, its name in ``NETWORKS``, and the losses of every training by name.

    ``labels`` are the label maps that the network learnt from, as large as the pictures, ``None`` for a system that
    learns from a loss of its own. ``variant`` is ``"default"``, or says in a word or two what the data did not allow
    (``"zero flow"``); tables show it.
    """

    network: SegmentationNetwork
    network_name: str
    variant: str = "default"
    losses: Mapping[str, list[float]] = field(default_factory=dict)
    labels: list[LabelMap] | None = None


@dataclass(frozen=True, kw_only=True)
class Cues:
    """A batch of whole pictures at ``SegmentationConfig.input_size``, each mirrored or not, with what is known of it.

    ``images`` have values 0..255. ``seeds`` are label maps at the same size; ``heat`` is on the localiser's grid.
    ``flow`` is (right, down) in pixels of ``images``, ``None`` where the data have no sequences.
    """

    images: Float[Tensor, "batch 3 height width"]
    tags: Bool[Tensor, "batch class"]
    seeds: Int[Tensor, "batch height width"]
    heat: Float[Tensor, "batch class rows columns"]
    flow: Float[Tensor, "batch 2 height width"] | None = None

    def seeds_on(self, logits: Float[Tensor, "batch class r c"]) -> Int[Tensor, "batch r c"]:
        """The seed of the pixel that each cell of the logits' grid lies on (corners coincide); ``IGNORE`` = none."""
        picked = [
            torch.linspace(0, full - 1, cells, device=logits.device).round().long()
            for full, cells in zip(self.seeds.shape[-2:], logits.shape[-2:], strict=True)
        ]
        return self.seeds[:, picked[0]][:, :, picked[1]].long()

    def heat_on(self, logits: Float[Tensor, "batch class r c"]) -> Float[Tensor, "batch class r c"]:
        """The heat at the pixel that each cell of the logits' grid lies on, bilinear between the heat's own cells.

        These are equal parts of the picture, and corners of grid and picture coincide only for the logits.
        """
        down, right = (
            torch.linspace(-1, 1, cells, device=self.heat.device) * (pixels - 1) / pixels
            for pixels, cells in zip(self.images.shape[-2:], logits.shape[-2:], strict=True)
        )
        places = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1).expand(len(self.heat), -1, -1, -1)
        return functional.grid_sample(self.heat, places, mode="bilinear", padding_mode="border", align_corners=False)

    def images_on(self, logits: Float[Tensor, "batch class r c"]) -> Float[Tensor, "batch 3 r c"]:
        """The pictures, bilinearly brought to the logits' grid (corners coincide), values 0..255."""
        return functional.interpolate(self.images, logits.shape[-2:], mode="bilinear", align_corners=True)


def read_cues(
    material: Material,
    chosen: list[int],
    mirrored: list[bool],
    size: tuple[int, int],
    compute: Compute = _PROCESSOR,
) -> Cues:
    """Pictures and cues of a batch, on the device, at (width, height) ``size``."""
    images = [cv2.resize(material.image(i), size, interpolation=cv2.INTER_LINEAR) for i in chosen]
    seeds = [cv2.resize(material.seeds(i), size, interpolation=cv2.INTER_NEAREST_EXACT) for i in chosen]
    heat = [torch.from_numpy(material.heat(i)) for i in chosen]
    turn = torch.tensor(mirrored)[:, None, None]

    def side(batch: Tensor) -> Tensor:
        return torch.where(turn[:, None] if batch.ndim == 4 else turn, batch.flip(-1), batch)

    flow = None
    if material.flow is not None:
        flow = side(torch.from_numpy(np.stack([resize_flow(material.flow(i), size) for i in chosen])))
        flow[:, 0] = torch.where(turn, -flow[:, 0], flow[:, 0])  # what went right goes left in the mirror
        flow = compute.tensor(flow)
    return Cues(
        images=compute.tensor(side(to_tensor(images))),
        tags=torch.from_numpy(material.tags[chosen]).to(compute.device),
        seeds=compute.tensor(side(torch.from_numpy(np.stack(seeds)))),
        heat=side(torch.stack(heat)).to(compute.device),
        flow=flow,
    )


def resize_flow(
    flow: Float32[np.ndarray, "height width 2"], size: tuple[int, int]
) -> Float32[np.ndarray, "2 new_height new_width"]:
    """Flow at (width, height) ``size``, channels first, its vectors in the new pixels."""
    factor = np.array(size, np.float32) / flow.shape[1::-1]
    resized = cv2.resize(flow, size, interpolation=cv2.INTER_LINEAR) * factor
    return np.ascontiguousarray(resized.transpose(2, 0, 1), dtype=np.float32)


def train_on_cues(
    network: SegmentationNetwork,
    material: Material,
    settings: SegmentationConfig,
    loss: Callable[[Float[Tensor, "batch class rows columns"], Cues], Tensor],
    run: Run,
    name: str = "network",
    forward: Callable[[Cues], Float[Tensor, "batch class rows columns"]] | None = None,
) -> list[float]:
    """Train in place with ``loss(logits, cues)`` on whole mirrored pictures; returns the loss of every step.

    Every picture comes once per pass, each pass in an order of its own. ``forward`` computes the logits of a network
    that sees more than the pictures. Raises ``DataError`` if there is no picture.
    """
    if len(material) == 0:
        raise DataError(f"there is no picture to train {name!r} on; give pictures with the tags that it asks for")
    logits = forward or (lambda cues: network(cues.images))
    run.compute.place(network)

    def batch(step: int) -> Cues:
        first = step * settings.training.batch_size
        chosen = [picture_at(first + k, len(material), run.seed) for k in range(settings.training.batch_size)]
        mirrored = (np.random.default_rng([run.seed, step, 5]).random(len(chosen)) < 0.5).tolist()
        return read_cues(material, chosen, mirrored, settings.input_size, run.compute)

    losses = train(
        network, batch, lambda cues: loss(logits(cues), cues), settings.training, compute=run.compute,
        seed=run.seed, head=network.head, checkpoint=run.checkpoint(name), epoch=len(material),
        report=run.report,
    )  # fmt: skip
    last = settings.training.steps
    settling = (batch(step) for step in range(last, last + settings.settling_batches))
    settle_batch_norm(network, settling, compute=run.compute, seed=run.seed, forward=logits)
    return losses


def train_on_labels(
    network: SegmentationNetwork,
    material: Material,
    settings: SegmentationConfig,
    labels: list[LabelMap],
    run: Run,
    name: str = "network",
) -> list[float]:
    """Train in place with cross entropy on label maps as large as the pictures, exactly as our own method does."""
    known = set().union(*(np.unique(label_map).tolist() for label_map in labels))
    tagged = [c for c, name in enumerate(material.label_space.classes) if material.tags[:, c].any()]
    if lost := [material.label_space.classes[c] for c in tagged if c not in known]:
        run.report(f"warning: no pixel is labelled {', '.join(lost)}: nothing can be learnt about that")
    return train_segmentation(
        network, material.image, labels.__getitem__, len(material), settings, compute=run.compute, seed=run.seed,
        checkpoint=run.checkpoint(name), report=run.report,
    )  # fmt: skip


def tagged_prediction(
    network: SegmentationNetwork, material: Material, i: int, size: tuple[int, int], run: Run
) -> Tensor:
    """Softmax over the tags of training picture ``i``, class x height x width at the picture's size, absent tags 0."""
    return tagged_softmax(network, material.image(i), material.tags[i], size=size, compute=run.compute).cpu()


def predicted_labels(
    network: SegmentationNetwork, material: Material, settings: SegmentationConfig, run: Run
) -> list[LabelMap]:
    """The most probable tag of every pixel of every training picture; unknown in a picture without tags."""
    return [
        tagged_prediction(network, material, i, settings.input_size, run).argmax(0).numpy().astype(np.uint8)
        if material.tags[i].any()
        else unknown_like(material.image(i))
        for i in range(len(material))
    ]


def unknown_like(image: Image) -> LabelMap:
    """A label map of a picture in which nothing is known."""
    return np.full(image.shape[:2], IGNORE, dtype=np.uint8)
