"""Dilated residual networks: published sizes, levels as specified, blocks dilated a trous, start values, weights."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from safetensors.torch import save_file
from torch import nn

from wsss_lib.segmentation.drn import DRN_D_22, DRN_D_105, DRN_SMALL, Level, drn_backbone, drn_small
from wsss_lib.segmentation.networks import build_network, predict_logits
from wsss_lib.segmentation.training import SegmentationConfig, train_segmentation
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import DataError, SettingsError

CPU = choose_compute("cpu", "float32")
LEVELS = {"drn_d_105": DRN_D_105, "drn_d_22": DRN_D_22, "drn_small": DRN_SMALL}


def outline(name, num_classes):
    """A network without memory for its weights."""
    with torch.device("meta"):
        return build_network(name, num_classes).eval()


def size_of(module):
    return sum(each.numel() for each in module.parameters())


# ------------------------------------------------------------------------------------------------- published numbers


def convolution(side, before, after):
    """A convolution without bias and the two vectors of its batch normalisation."""
    return side**2 * before * after + 2 * after


def bottlenecks(before, inside, count):
    """1x1, 3x3, 1x1 to four times the width; the first one has a 1x1 shortcut because the width changes."""
    after, total = 4 * inside, convolution(1, before, 4 * inside)
    for k in range(count):
        total += convolution(1, after if k else before, inside)
        total += convolution(3, inside, inside) + convolution(1, inside, after)
    return total


def test_drn_d_105_has_the_published_size():
    """54.8 M with the classifier of 1000 ImageNet classes, a 1x1 layer of 512 * 1000 + 1000 = 513,000 parameters.

    Levels 0 to 8 have 54,288,304; to segment into 19 classes, a 1x1 layer of 512 * 19 + 19 = 9,747 takes its place.
    """
    network = outline("drn_d_105", 19)
    levels = [
        convolution(7, 3, 16),
        convolution(3, 16, 16),
        convolution(3, 16, 32),
        bottlenecks(32, 64, 3),
        bottlenecks(256, 128, 4),
        bottlenecks(512, 256, 23),
        bottlenecks(1024, 512, 3),
        convolution(3, 2048, 512),
        convolution(3, 512, 512),
    ]
    assert [size_of(level) for level in network.backbone.trunk] == levels
    assert sum(levels) + 513_000 == 54_801_304
    assert size_of(network) == sum(levels) + 9_747 == 54_298_051


def test_drn_d_22_has_the_published_size():
    """16.4 M with the classifier of 1000 classes (Yu et al., the authors' table of models)."""
    assert size_of(outline("drn_d_22", 19).backbone) + 513_000 == 16_393_752


@pytest.mark.parametrize(("name", "cells"), [("drn_d_105", 41), ("drn_d_22", 41), ("drn_small", 81)])
def test_output_grid(name, cells):
    network = outline(name, 11)
    assert network(torch.empty(2, 3, 321, 321, device="meta")).shape == (2, 11, cells, cells)
    assert network.backbone.stride == 320 // (cells - 1)
    assert network.backbone.name == name


def test_levels_of_drn_d_105_are_as_specified():
    """Strides 1, 1, 2, 4, 8 and then 8; channels; dilations 2, 4, 2 of the 3x3 convolutions of levels 5, 6 and 7."""
    backbone = outline("drn_d_105", 3).backbone
    images = torch.empty(1, 3, 65, 65, device="meta")
    maps = list(backbone.maps(images, range(9)))
    assert [each.shape[1] for each in maps] == [16, 16, 32, 256, 512, 1024, 2048, 512, 512]
    assert [64 // (each.shape[-1] - 1) for each in maps] == [1, 1, 2, 4, 8, 8, 8, 8, 8]
    dilations = [
        {layer.dilation[0] for layer in level.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)}
        for level in backbone.trunk
    ]
    assert dilations == [set(), {1}, {1}, {1}, {1}, {2}, {4}, {2}, {1}]


@pytest.mark.parametrize("name", LEVELS)
def test_no_convolution_of_the_backbone_has_a_bias_and_each_is_normalised(name):
    layers = list(outline(name, 3).backbone.modules())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert all(layer.bias is None for layer in convolutions)
    assert len(convolutions) == sum(isinstance(layer, nn.BatchNorm2d) for layer in layers)


@pytest.mark.parametrize("name", LEVELS)
def test_cells_are_centred_on_pixels(name):
    """Each 3x3 or 7x7 layer is padded by half its reach, so cell 0 stays on pixel 0 and the corners coincide."""
    backbone = outline(name, 3).backbone
    assert backbone.align_corners
    for layer in backbone.trunk.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.padding[0] == (layer.kernel_size[0] - 1) // 2 * layer.dilation[0]


# ------------------------------------------------------------------------------------------------------------- layers


def test_start_values_are_he_normal_by_outgoing_connections():
    """Deviation sqrt(2 / (k^2 c_out)), as the authors draw them: 3x3 to 512 channels sqrt(2 / 4608)."""
    torch.manual_seed(0)
    backbone = drn_backbone("two", (Level("plain", 64), Level("plain", 512)))
    deep = backbone.trunk[1][0].weight
    assert deep.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.02)
    first = backbone.trunk[0][0].weight
    assert first.std().item() == pytest.approx(math.sqrt(2 / (49 * 64)), rel=0.05)
    score = drn_small(19).score
    assert score.weight.std().item() == pytest.approx(math.sqrt(2 / 19), rel=0.1)
    assert score.bias is not None
    assert score.bias.abs().max() == 0


@torch.no_grad()
def test_plain_levels_are_convolution_normalisation_and_relu_written_out():
    """7x7 first; then two layers dilated by 2, of which only the first is strided. No sum is of one sign only."""
    draw = torch.Generator().manual_seed(0)
    backbone = drn_backbone("two", (Level("plain", 4), Level("plain", 5, 2, stride=2, dilation=2))).eval()
    for name, values in backbone.trunk.state_dict().items():
        if name.endswith("running_var"):
            values.copy_(0.5 + torch.rand(values.shape, generator=draw))
        elif values.is_floating_point():
            values.copy_(torch.randn(values.shape, generator=draw))
    images = 255 * torch.rand(1, 3, 13, 17, generator=draw)
    mean, std = (255 * torch.tensor(each)[:, None, None] for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    expected = (images - mean) / std
    first, second = backbone.trunk
    for convolution, norm, stride, padding, dilation in (
        (first[0], first[1], 1, 3, 1), (second[0], second[1], 2, 2, 2), (second[3], second[4], 1, 2, 2),
    ):  # fmt: skip
        sums = functional.conv2d(expected, convolution.weight, None, stride, padding, dilation)
        shift, scale = norm.running_mean[:, None, None], (norm.running_var[:, None, None] + 1e-5).sqrt()
        sums = (sums - shift) / scale * norm.weight[:, None, None] + norm.bias[:, None, None]
        assert sums.min() < -1 < 1 < sums.max()
        expected = sums.clamp(min=0)
    torch.testing.assert_close(backbone(images), expected, rtol=1e-4, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["basic", "bottleneck"])
def test_a_dilated_block_is_the_block_on_every_second_cell(kind):
    """A trous: dilated by 2, every second cell is what the plain block makes of every second cell."""
    torch.manual_seed(0)
    plain, dilated = (
        drn_backbone("one", (Level("plain", 4), Level(kind, 3, 2, dilation=dilation))).eval() for dilation in (1, 2)
    )
    dilated.load_state_dict(plain.state_dict())
    features = torch.randn(1, 4, 13, 13, generator=torch.Generator().manual_seed(1))
    ours = dilated.trunk[1](features)[..., ::2, ::2]
    torch.testing.assert_close(ours, plain.trunk[1](features[..., ::2, ::2]))
    assert (ours - plain.trunk[1](features)[..., ::2, ::2]).abs().max() > 0.01


@torch.no_grad()
def test_a_residual_block_adds_its_input_and_a_plain_level_does_not():
    """With all weights zero, a block of unchanged width returns its (positive) input, a plain level returns zero."""
    backbone = drn_backbone("three", (Level("plain", 4), Level("basic", 4), Level("plain", 4))).eval()
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.zero_()
    features = torch.rand(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(backbone.trunk[1](features), features)
    assert backbone.trunk[2](features).abs().max() == 0


@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one():
    torch.manual_seed(0)
    network = build_network("drn_small", 3).eval()
    images = 255 * torch.rand(3, 3, 33, 33, generator=torch.Generator().manual_seed(1))
    one_by_one = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), one_by_one, rtol=1e-3, atol=1e-4)


# ------------------------------------------------------------------------------------------------------------ weights


def small_state():
    torch.manual_seed(1)
    return {name: value.clone() for name, value in drn_small(3).backbone.trunk.state_dict().items()}


def test_a_file_of_exactly_this_network_is_taken_and_its_classifier_left(tmp_path):
    state = small_state()
    assert {"layer0.0.weight", "layer3.0.conv1.weight", "layer3.0.downsample.1.bias", "layer8.1.weight"} <= set(state)
    save_file({**state, "fc.weight": torch.zeros(1000, 64, 1, 1)}, tmp_path / "drn.safetensors")
    loaded = drn_small(3, tmp_path / "drn.safetensors").backbone.trunk.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_a_file_of_another_drn_is_refused(tmp_path):
    save_file(small_state(), tmp_path / "drn.safetensors")
    with pytest.raises(DataError, match=r"drn.safetensors are not of drn_d_22: \d+ tensors are missing"):
        build_network("drn_d_22", 3, tmp_path / "drn.safetensors")


def test_torchvision_has_none():
    with pytest.raises(SettingsError, match="torchvision has no weights of drn_small; use weights 'none' or a file"):
        drn_small(3, "torchvision")


# ----------------------------------------------------------------------------------------------------------- training


def test_training_lowers_the_loss_and_gives_the_corners():
    """A picture that is red on the left and blue on the right, classes 2 and 0, learnt in a few steps."""
    picture = np.where(np.arange(33)[None, :, None] < 17, (200, 20, 20), (20, 20, 200)).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(picture, (33, 33, 3)))
    labels = np.where(picture[..., 0] > 100, 2, 0).astype(np.uint8)
    torch.manual_seed(0)
    network = build_network("drn_small", 3)
    config = SegmentationConfig(
        network="drn_small",
        input_size=(33, 33),
        crop_size=(33, 33),
        label_stride=4,
        training=TrainingConfig(steps=12, batch_size=2, learning_rate=0.01, head_factor=1),
    )
    losses = train_segmentation(network, lambda _: picture, lambda _: labels, 1, config, compute=CPU, seed=0)
    assert losses[-1] < 0.2 * losses[0]
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    logits = predict_logits(network, pixels, (33, 33))
    assert logits[:, ::32, ::32].argmax(0).tolist() == [[2, 0], [2, 0]]


@torch.no_grad()
@pytest.mark.parametrize("place", [(0, 0), (0, 16), (12, 16), (12, 0), (5, 9)])
def test_a_cell_looks_at_its_own_pixel(place):
    """Only the middle taps of all convolutions are left: a cell sees pixel (4 row, 4 column) alone, in corners too."""
    torch.manual_seed(0)
    network = build_network("drn_small", 1).eval()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1:
            middle = layer.kernel_size[0] // 2
            centre = layer.weight[..., middle, middle].abs().clone()
            layer.weight.zero_()
            layer.weight[..., middle, middle] = centre
        elif isinstance(layer, nn.Conv2d):
            layer.weight.abs_()
    network.backbone.mean.zero_()
    image = torch.zeros(1, 3, 49, 65)
    image[..., 4 * place[0], 4 * place[1]] = 255
    logits = network(image)[0, 0]
    assert logits.shape == (13, 17)
    assert torch.nonzero(logits).tolist() == [list(place)]
