"""PSA: spread the heat along learned affinities, then train on the result (Ahn and Kwak, CVPR 2018; spec. 6.3).

Four stages: (1) heat that a dense CRF is sure of becomes labels of cells; (2) AffinityNet learns from pairs of such
cells whether two neighbours show the same class; (3) a random walk over its affinities spreads the heat of the tags;
(4) the segmentation network learns from the most likely tag of every pixel.

Background. The published scores are maps M_c divided by their maximum per class and picture, and b = (1 - max_c M_c)^a
with a = 4 and 32 for two CRFs (a cell is an object where even the large b of a = 4 loses, background where even the
small b of a = 32 wins, unknown otherwise) and a = 16 for the walk. For label spaces with a background class this is
done with our heat, whose own background row is not used. For driving scenes (choice, spec. 6.3) the heat is taken as
the profile gives it, without b: probabilities that can be compared between classes, or, in ``paper``, shares of each
class's maximum. A cell is unknown where the largest heat is below 0.3, or the first two classes are less than 0.1 apart
after the CRF.

Further choices. The CRF runs on the affinity grid, or one of several times its stride where that has more cells than
``crf_cells``, with the picture averaged over the cells and both spatial deviations divided by the grid's stride. Cells
lie on every stride-th pixel and average the pixels around them, so heat, labels and features are of the same places.
Whole mirrored pictures are learnt from, not crops of random scale and colour. The walk is the published one in cells up
to stride 8, and has 256 (8 / stride)^2 steps on coarser grids: it reaches equally far in pixels. Where that walk
overturns many of the cells that the CRF was sure of (a network that learnt for a hundred steps instead of ten thousand
has poor affinities), it is halved until it keeps ``minimum_kept`` of what a single step keeps: no label decides.
Published momentum is 0 by an oversight (spec. 1.2) at learning rate 0.1; with momentum 0.9 a tenth of that rate is the
same. Published labels are refined by a CRF at full size before training; ours are not, because on MSRC-21 it overruled
what the walk said (``figures/tried.csv``). Labels per superpixel are an option that profiles use on driving scenes:
the heat of single pixels is further below our seeds, which are of superpixels, than the walk brings it up there.
"""

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from wsss_lib.baselines.affinity import AffinityNetwork, affinity_loss
from wsss_lib.baselines.skeleton import Material, Outcome, Run, train_on_labels, unknown_like
from wsss_lib.baselines.sure_cells import (
    class_scores,
    refine,
    sure_with_background,
    sure_without_background,
    to_cells,
)
from wsss_lib.classification.classifier import to_tensor
from wsss_lib.data.pictures import resize_label_map
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.regions.random_walk import affinity_at, half_plane_offsets, random_walk, transition_matrix
from wsss_lib.regions.superpixels import paint_regions
from wsss_lib.segmentation.crf import FLOOR, CrfConfig
from wsss_lib.segmentation.networks import grid_of, upsample
from wsss_lib.segmentation.training import SegmentationConfig, picture_at
from wsss_lib.training.loop import TrainingConfig, start_values, train
from wsss_lib.vocabulary import IGNORE, LabelMap, SettingsError

PUBLISHED_STRIDE = 8
WATCHED = 32
"""Pictures that the length of the walk is tried on, evenly spread; up to twice as many where they do not divide."""


@dataclass(frozen=True, kw_only=True)
class PsaConfig:
    """Training of AffinityNet, its grid, and the walk. Defaults are the released program's, the two minima are ours.

    ``stride`` is of the affinity grid in pixels of the segmentation settings' ``input_size``; ``radius`` in cells.
    ``alphas`` are the exponents of the background in the two CRFs and the walk.
    ``minimum_kept``: the share of the sure cells that the whole walk leaves as they are (:func:`kept_by_the_walk`) has
    to be at least this part of the share that one step leaves; with 0 the walk keeps its length. ``crf`` has its
    distances in pixels of ``input_size``.
    ``per_region`` gives every superpixel the tag with the largest mean score, instead of every pixel its own.
    """

    training: TrainingConfig
    stride: int = PUBLISHED_STRIDE
    radius: int = 5
    crf: CrfConfig = field(default_factory=CrfConfig)
    crf_cells: int = 4096
    alphas: tuple[float, float, float] = (4.0, 32.0, 16.0)
    minimum_heat: float = 0.3
    minimum_margin: float = 0.1
    beta: float = 8.0
    walk_steps: int = 256
    minimum_kept: float = 0.0
    per_region: bool = False

    def __post_init__(self) -> None:
        if self.stride < 1 or self.radius < 2 or self.crf_cells < 1 or self.walk_steps < 0:
            raise SettingsError(f"stride and crf_cells >= 1, radius >= 2 and walk_steps >= 0 are needed, in {self}")
        if not 0 < self.alphas[0] <= self.alphas[1] or min(self.alphas[2], self.beta) <= 0:
            raise SettingsError(f"alphas above 0, the first not above the second, and beta above 0, in {self}")
        if not all(0 <= value <= 1 for value in (self.minimum_heat, self.minimum_margin, self.minimum_kept)):
            raise SettingsError(f"minimum_heat, minimum_margin and minimum_kept must be within 0..1, in {self}")

    @property
    def steps_on_grid(self) -> int:
        """Steps of the walk at this stride: 256 at 8 and finer, 64 at 16; a walk has at least one."""
        steps = round(self.walk_steps * min(1.0, (PUBLISHED_STRIDE / self.stride) ** 2))
        return max(steps, min(1, self.walk_steps))


def affinity_labels(material: Material, i: int, size: tuple[int, int], config: PsaConfig, run: Run) -> Tensor:
    """Labels of cells to learn affinities from, uint8, rows x columns on the CPU; ``size`` is (width, height)."""
    tags = _present(material, i)
    rows, columns = grid_of((size[1], size[0]), config.stride)
    if not tags.any():
        return torch.full((rows, columns), IGNORE, dtype=torch.uint8)
    background = material.label_space.background
    image = run.compute.tensor(_pixels(material, i, size))[0]
    alphas = config.alphas[:1] if background is None else config.alphas[:2]
    scores = [class_scores(_heat(material, i, size, run), background, alpha) for alpha in alphas]
    refined = [refine(given, image, tags, config.crf, config.stride, config.crf_cells) for given in scores]
    cells = to_cells(scores[0], config.stride)
    if background is None:
        labels = sure_without_background(cells, refined[0], config.minimum_heat, config.minimum_margin)
    else:
        labels = sure_with_background(refined[0], refined[1], background)
    return labels.masked_fill(cells.amax(0) < FLOOR, IGNORE).to(torch.uint8).cpu()


def train_affinity(
    network: AffinityNetwork, material: Material, size: tuple[int, int], labels: list[Tensor],
    config: PsaConfig, run: Run,
) -> list[float]:  # fmt: skip
    """Train in place on whole mirrored pictures at (width, height) ``size``; returns the loss of every step."""
    run.compute.place(network)

    def batch(step: int) -> tuple[Tensor, Tensor]:
        first = step * config.training.batch_size
        chosen = [picture_at(first + k, len(material), run.seed) for k in range(config.training.batch_size)]
        mirrored = np.random.default_rng([run.seed, step, 6]).random(len(chosen)) < 0.5
        images = torch.cat([_pixels(material, i, size) for i in chosen])
        truth = torch.stack([labels[i] for i in chosen])
        turn = torch.from_numpy(mirrored)[:, None, None]
        images = torch.where(turn[:, None], images.flip(-1), images)
        truth = torch.where(turn, truth.flip(-1), truth).to(run.compute.device)
        return run.compute.tensor(images), truth

    def loss(values: tuple[Tensor, Tensor]) -> Tensor:
        return affinity_loss(network(values[0]), values[1], config.radius, material.label_space.background)

    return train(
        network, batch, loss, config.training, compute=run.compute, seed=run.seed, head=network.head,
        checkpoint=run.checkpoint("affinity"), report=run.report,
    )  # fmt: skip


@torch.no_grad()
def walk_labels(
    network: AffinityNetwork, material: Material, i: int, size: tuple[int, int], config: PsaConfig, run: Run
) -> LabelMap:
    """The tag with the largest score after the walk, for every pixel of a picture; unknown where nothing has heat."""
    tags, image = _present(material, i), material.image(i)
    if not tags.any():
        return unknown_like(image)
    network.eval()
    with run.compute.autocast():
        features = network(run.compute.tensor(_pixels(material, i, size)))
    offsets = half_plane_offsets(config.radius)
    affinities = [affinity_at(features, offset)[0] for offset in offsets]
    transitions = transition_matrix(affinities, offsets, (features.shape[2], features.shape[3]), config.beta)
    scores = class_scores(_heat(material, i, size, run), material.label_space.background, config.alphas[2])
    start = to_cells(scores, config.stride).cpu().numpy()
    walked = torch.from_numpy(random_walk(start, transitions, config.steps_on_grid))
    if config.per_region:
        regions = material.regions(i)
        means = mean_pool(walked, regions, align_corners=True)
        return paint_regions(_best(means.T, tags), regions)
    return _best(upsample(walked[None], (image.shape[0], image.shape[1]))[0], tags)


def psa(material: Material, settings: SegmentationConfig, config: PsaConfig, run: Run) -> Outcome:
    """The whole system: affinity labels, AffinityNet, random walk, segmentation network."""
    count, size = len(material), settings.input_size
    sure = [affinity_labels(material, i, size, config, run) for i in range(count)]
    known = np.mean([(cells != IGNORE).float().mean().item() for cells in sure])
    run.report(f"affinity labels of {count} pictures, {known:.0%} of their cells known")
    with start_values(run.seed):
        affinity = AffinityNetwork(material.network(settings.network).backbone, config.stride)
    losses = {"affinity": train_affinity(affinity, material, size, sure, config, run)}
    config = shortened(affinity, material, size, sure, config, run)
    labels = [walk_labels(affinity, material, i, size, config, run) for i in range(count)]
    network = material.network(settings.network)
    losses["network"] = train_on_labels(network, material, settings, labels, run)
    return Outcome(network=network, network_name=settings.network, losses=losses, labels=labels)


def shortened(
    network: AffinityNetwork, material: Material, size: tuple[int, int], sure: list[Tensor], config: PsaConfig, run: Run
) -> PsaConfig:
    """The settings with the walk halved until it keeps ``minimum_kept`` of what a single step keeps of the sure cells.

    A step alone keeps less than all: the sure cells come from a CRF, which the walk knows nothing of.
    """
    if not config.minimum_kept:
        return config
    watched = range(0, len(material), max(1, len(material) // WATCHED))

    def kept(steps: int) -> float:
        fitted = replace(config, walk_steps=steps)
        walked = [on_cells(walk_labels(network, material, i, size, fitted, run), size, config.stride) for i in watched]
        share = kept_by_the_walk([sure[i] for i in watched], walked)
        run.report(f"walks of {fitted.steps_on_grid} steps keep {share:.0%} of the sure cells (mean over classes)")
        return share

    steps, least = config.walk_steps, config.minimum_kept * kept(1)
    while steps > 1 and kept(steps) < least:
        steps //= 2
    return replace(config, walk_steps=steps)


def on_cells(label_map: LabelMap, size: tuple[int, int], stride: int) -> Tensor:
    """The labels of the pixels that the cells of a grid lie on, once the map is brought to (width, height) ``size``."""
    return torch.from_numpy(resize_label_map(label_map, size)[::stride, ::stride].copy())


def kept_by_the_walk(sure: list[Tensor], walked: list[Tensor]) -> float:
    """Share of the sure cells that have the same label after the walk, mean over classes.

    It looks at no label map. A low share says that the walk washes small classes away: train AffinityNet for longer,
    take a finer grid or fewer steps.
    """
    before, after = (torch.cat([cells.flatten() for cells in maps]) for maps in (sure, walked))
    classes = before[before != IGNORE].unique()
    shares = [(after[before == c] == c).float().mean() for c in classes]
    return float(torch.stack(shares).mean()) if shares else 1.0


def _best(scores: Float[Tensor, "class *places"], tags: Bool[np.ndarray, "class"]) -> np.ndarray:
    present = torch.from_numpy(np.flatnonzero(tags))
    best, place = scores[present].max(0)
    return present[place].masked_fill(best <= 0, IGNORE).to(torch.uint8).numpy()


def _present(material: Material, i: int) -> Bool[np.ndarray, "class"]:
    """The tags of a picture, and the background, which is everywhere."""
    tags = material.tags[i].copy()
    if material.label_space.background is not None:
        tags[material.label_space.background] = True
    return tags


def _pixels(material: Material, i: int, size: tuple[int, int]) -> UInt8[Tensor, "1 3 height width"]:
    return to_tensor([cv2.resize(material.image(i), size, interpolation=cv2.INTER_LINEAR)])


def _heat(material: Material, i: int, size: tuple[int, int], run: Run) -> Float[Tensor, "class height width"]:
    """The heat at (width, height) ``size``; its cells are equal parts of the picture: corners do not coincide."""
    heat = torch.from_numpy(material.heat(i))[None].to(run.compute.device)
    return functional.interpolate(heat, (size[1], size[0]), mode="bilinear", align_corners=False)[0]
