"""Superpixels, region pooling and class maps, each against its yardstick."""

import copy
import statistics
from collections.abc import Iterator

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor

from wsss_lib.classification.backbones import build_backbone
from wsss_lib.classification.classifier import CamClassifier, to_tensor
from wsss_lib.data.pictures import resize_image
from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.evaluation.scores import scores
from wsss_lib.experiments.bench.measuring import Row, processor_seconds, speed_up
from wsss_lib.localization.patches import LocalizationConfig, class_maps, cut_patches
from wsss_lib.regions.pooling import mean_pool
from wsss_lib.regions.superpixels import SuperpixelConfig, oracle_label_map, superpixels
from wsss_lib.training.compute import Compute
from wsss_lib.vocabulary import Image, RegionMap, SceneSet


def superpixel_rows(scenes: SceneSet, full_size: tuple[int, int] = (2048, 1024), repeats: int = 3) -> Iterator[Row]:
    """OpenCV against scikit-image with the same parameters: speed, and the best score their regions allow.

    And how long one picture of Cityscapes' size takes; it has no yardstick, so processor time counts.
    """
    ours, reference = SuperpixelConfig(backend="opencv"), SuperpixelConfig(backend="skimage")
    images = [scenes.image(i) for i in range(len(scenes))]

    def cut(config: SuperpixelConfig) -> list[RegionMap]:
        return [superpixels(image, config) for image in images]

    times = speed_up(lambda: cut(reference), lambda: cut(ours), repeats)
    yield Row(what="superpixels: faster than scikit-image", value=times, unit="times", target=2.5)
    difference = abs(oracle_miou(scenes, cut(ours)) - oracle_miou(scenes, cut(reference)))
    what = "superpixels: difference of the oracle mIoU from scikit-image's"
    yield Row(what=what, value=difference, unit="points", target=1, at_least=False)
    large = resize_image(images[0], full_size)
    taken = statistics.median(processor_seconds(lambda: superpixels(large, ours)) for _ in range(repeats))
    what = f"superpixels: a picture of {full_size[0]} x {full_size[1]}"
    yield Row(what=what, value=taken, unit="s", target=1.5, at_least=False)


def oracle_miou(scenes: SceneSet, regions: list[RegionMap]) -> float:
    """mIoU, percent, where every region takes the majority of the true labels inside it."""
    assert scenes.label_map is not None
    maps = [scenes.label_map(i) for i in range(len(scenes))]
    num_classes = len(scenes.label_space)
    best = [oracle_label_map(truth, each, num_classes) for truth, each in zip(maps, regions, strict=True)]
    matrix = confusion_matrix(zip(best, maps, strict=True), num_classes)
    return scores(matrix, scenes.label_space).miou_class


def pooling_rows(
    channels: int = 1280, grid: tuple[int, int] = (45, 60), blocks: tuple[int, int] = (24, 36), repeats: int = 5
) -> Iterator[Row]:
    """``mean_pool`` against loops over 864 regions: on the feature grid, and at the picture's resolution.

    The loop on the grid loses regions smaller than a cell and the loop at full resolution is timed on a few regions and
    extrapolated; the upsampling before it is not counted.
    """
    rows, columns = np.indices((360, 480))
    regions = (rows * blocks[0] // 360 * blocks[1] + columns * blocks[1] // 480).astype(np.int32)
    features = torch.rand(channels, *grid, generator=torch.Generator().manual_seed(0))
    count, few = blocks[0] * blocks[1], 8
    name = f"mean pooling of {count} regions x {channels} channels"
    times = speed_up(lambda: loop_on_grid(features, regions), lambda: mean_pool(features, regions), repeats)
    yield Row(what=f"{name}: faster than a loop on the grid", value=times, unit="times", target=4)
    upsampled = functional.interpolate(features[None], regions.shape, mode="bilinear")[0]
    times = speed_up(lambda: loop_on_picture(upsampled, regions, few), lambda: mean_pool(features, regions), repeats=3)
    yield Row(what=f"{name}: than a loop on pixels", value=times * count / few, unit="times", target=100)


def loop_on_grid(features: Float[Tensor, "channel h w"], regions: RegionMap) -> Float[Tensor, "region channel"]:
    """Mean over the grid cells of each region, one by one; 0 for regions that hold no cell's centre."""
    size = (features.shape[2], features.shape[1])
    grid = torch.from_numpy(cv2.resize(regions.astype(np.float32), size, interpolation=cv2.INTER_NEAREST_EXACT))
    pooled = torch.zeros(int(regions.max()) + 1, len(features))
    for region in range(len(pooled)):
        mask = grid == region
        if mask.any():
            pooled[region] = features[:, mask].mean(1)
    return pooled


def loop_on_picture(
    upsampled: Float[Tensor, "channel height width"], regions: RegionMap, count: int
) -> Float[Tensor, "count channel"]:
    """Mean over the pixels of each of the first ``count`` regions, one by one."""
    ids = torch.from_numpy(regions)
    return torch.stack([upsampled[:, ids == region].mean(1) for region in range(count)])


def cam_rows(
    image: Image, compute: Compute, backbone: str = "mobilenet_v2", side: int = 224, repeats: int = 5
) -> Iterator[Row | str]:
    """CAMs of all classes on 12 patches in one batch, against torch-cam asked for one class, patch by patch.

    On all threads: that a batch fills them is a part of the gain.
    """
    try:
        from torchcam.methods import CAM
    except ImportError:
        yield "CAMs of 12 patches: not measured, because torch-cam is not installed (pip install torchcam)"
        return
    torch.manual_seed(0)
    classifier = CamClassifier(build_backbone(backbone), 20).eval()
    ours = compute.place(copy.deepcopy(classifier))
    config = LocalizationConfig(columns=4, rows=3, patch_size=(side, side))

    def one_by_one() -> None:
        for patch in cut_patches(image, config.columns, config.rows):
            classifier(to_tensor([resize_image(patch, config.patch_size)]).float())
            extractor(0)

    with CAM(classifier, target_layer=classifier.backbone, fc_layer=classifier.linear) as extractor, torch.no_grad():
        times = speed_up(one_by_one, lambda: class_maps(ours, image, config, compute=compute), repeats)
    what = f"CAMs of 12 patches of {side} px, {backbone}: faster than torch-cam"
    yield Row(what=what, value=times, unit="times", target=2)
