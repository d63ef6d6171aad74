"""Backbones: published sizes and strides, where their cells are, torchvision as witness, and foreign weights files."""

import pickle
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models
from torchvision.models.vgg import cfgs, make_layers

from wsss_lib.classification.backbones import (
    BACKBONES,
    IMAGENET_MEAN,
    IMAGENET_STD,
    build_backbone,
    read_weights,
)
from wsss_lib.classification.convolutions import DepthwiseConv2d
from wsss_lib.vocabulary import DataError, SettingsError

VGG16_CONVOLUTIONS = 14_714_688
"""Parameters of the 13 convolutions of VGG16 (Simonyan and Zisserman)."""


def outline(name):
    """A backbone without memory for its weights: shapes and counts cost nothing."""
    with torch.device("meta"):
        return BACKBONES[name]().eval()


def normalized(images):
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    return (images / 255 - mean) / std


def pictures(size, count=2):
    return 255 * torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(5))


# ------------------------------------------------------------------------------------------------- published numbers


@pytest.mark.parametrize(
    ("name", "side", "cells", "channels"),
    [
        ("vgg16_zhou", 224, 14, 1024),  # Zhou et al. (CVPR 2016): 14 x 14 maps
        ("vgg16_sec", 321, 41, 1024),  # Kolesnikov and Lampert (ECCV 2016): 41 x 41
        ("vgg16_psa", 321, 41, 1024),
        ("vgg16_largefov", 321, 41, 512),  # Chen et al. (ICLR 2015): 41 x 41
        ("mobilenet_v2", 225, 15, 1280),
        ("resnet50", 225, 15, 2048),
        ("small", 65, 17, BACKBONES["small"]().channels),
    ],
)
def test_output_grids_are_the_published_ones(name, side, cells, channels):
    backbone = outline(name)
    out = backbone(torch.empty(1, 3, side, side, device="meta"))
    assert out.shape == (1, channels, cells, cells)
    assert backbone.channels == channels


@pytest.mark.parametrize(
    ("name", "trunk", "neck"),
    [
        ("vgg16_zhou", VGG16_CONVOLUTIONS, 512 // 2 * 1024 * 9 + 1024),
        ("vgg16_sec", VGG16_CONVOLUTIONS, 512 * 1024 * 9 + 1024 + 1024 * 1024 * 9 + 1024),
        ("vgg16_psa", VGG16_CONVOLUTIONS, 512 * 1024 * 9 + 1024 + 1024 * 1024 + 1024),
        ("vgg16_largefov", VGG16_CONVOLUTIONS, 0),
        ("mobilenet_v2", 3_504_872 - (1280 * 1000 + 1000), 0),  # torchvision's count without its classifier
        ("resnet50", 25_557_032 - (2048 * 1000 + 1000), 0),
    ],
)
def test_parameters_are_the_published_ones(name, trunk, neck):
    backbone = outline(name)
    assert sum(each.numel() for each in backbone.trunk.parameters()) == trunk
    assert sum(each.numel() for each in backbone.neck.parameters()) == neck


@pytest.mark.parametrize("name", BACKBONES)
def test_stride_and_cell_centres_follow_from_the_layers(name):
    """A layer with kernel k, dilation d, padding p at jump j moves the centre of cell 0 by ((k - 1) d / 2 - p) j."""

    def number(value):
        return value if isinstance(value, int) else value[0]

    centre, jump = 0.0, 1
    for label, layer in outline(name).trunk.named_modules():
        if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) or "downsample" in label:
            continue
        dilation = number(getattr(layer, "dilation", 1))
        centre += ((number(layer.kernel_size) - 1) * dilation / 2 - number(layer.padding)) * jump
        jump *= number(layer.stride)
    backbone = outline(name)
    assert jump == backbone.stride
    assert centre == (0 if backbone.align_corners else (jump - 1) / 2)


# ------------------------------------------------------------------------------------------------ torchvision witness


def with_random_statistics(network):
    """Batch normalisation with statistics that matter, so that a missing one is seen."""
    generator = torch.Generator().manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(std=0.1, generator=generator)
            layer.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def vgg(tmp_path_factory):
    """torchvision's VGG16 convolutions with random weights, and those weights as its state dict on disk."""
    torch.manual_seed(0)
    network = make_layers(cfgs["D"])
    path = tmp_path_factory.mktemp("vgg") / "vgg16.safetensors"
    state = {f"features.{name}": value for name, value in network.state_dict().items()}
    save_file({**state, "classifier.6.weight": torch.zeros(1000, 8)}, path)
    return network.eval(), path


@torch.no_grad()
def test_vgg16_computes_what_torchvision_computes(vgg):
    network, path = vgg
    images = pictures((64, 64))
    theirs = network[:-1](normalized(images))  # without the last pool
    ours = build_backbone("vgg16_zhou", path)
    torch.testing.assert_close(ours.trunk((images - ours.mean) / ours.std), theirs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_vgg16_variants_share_the_layers_before_the_first_pool_that_differs(vgg):
    network, path = vgg
    images = pictures((32, 32), count=1)
    theirs = network[:4](normalized(images))  # conv1_2 behind its ReLU
    (ours,) = build_backbone("vgg16_largefov", path).maps(images, (3,))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("name", "early"), [("mobilenet_v2", 13), ("resnet50", 6)])
def test_dilated_networks_compute_what_torchvision_computes_and_the_cells_between(name, early, tmp_path):
    """Stride 1 and dilation 2 instead of stride 2 (a trous): every second cell is the original network's cell."""
    torch.manual_seed(0)
    network = with_random_statistics(models.get_model(name, weights=None))
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    children = list(network.features) if name == "mobilenet_v2" else list(network.children())[:-2]
    theirs, images = nn.Sequential(*children), pictures((65, 65), count=1)
    ours = build_backbone(name, path).eval()
    (shallow,) = ours.maps(images, (early,))
    torch.testing.assert_close(shallow, theirs[: early + 1](normalized(images)), rtol=1e-3, atol=1e-4)
    expected = theirs(normalized(images))
    assert ours(images).shape[-2:] == (5, 5)
    torch.testing.assert_close(
        ours(images)[..., ::2, ::2], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
    )


def test_every_depthwise_convolution_of_mobilenet_is_one_of_ours():
    layers = [each for each in outline("mobilenet_v2").modules() if isinstance(each, nn.Conv2d) and each.groups > 1]
    assert len(layers) == 17
    assert {type(layer) for layer in layers} == {DepthwiseConv2d}


def test_published_mobilenet_weights_fit(shared_folder):
    path = shared_folder / "weights" / "mobilenet_v2_imagenet1k.safetensors"
    if not path.is_file():
        pytest.skip(f"needs pretrained weights: {path} is absent")
    stem = build_backbone("mobilenet_v2", path).trunk.state_dict()["0.0.weight"]
    torch.testing.assert_close(stem, read_weights(path)["features.0.0.weight"])
    assert stem.dtype == torch.float32


# --------------------------------------------------------------------------------------------------- layers by number


@torch.no_grad()
def test_maps_are_the_outputs_of_the_trunk():
    backbone = build_backbone("small").eval()
    images = pictures((33, 33))
    first, last = backbone.maps(images, (2, 20))
    assert first.shape[-2:] == (17, 17)
    assert torch.equal(last, backbone(images))  # the small backbone has no neck
    (usual,) = backbone.maps(images, ())
    assert torch.equal(usual, last)


@torch.no_grad()
def test_a_batch_is_its_pictures_one_by_one():
    backbone = build_backbone("small").eval()
    images = pictures((33, 33), count=3)
    one_by_one = torch.cat([backbone(image[None]) for image in images])
    torch.testing.assert_close(backbone(images), one_by_one, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layers", [(21,), (-1,), (5, 2), (5, 5)])
def test_wrong_layers_are_refused(layers):
    with pytest.raises(SettingsError, match="of small: give rising numbers from 0 to 20"):
        list(build_backbone("small").maps(pictures((17, 17)), layers))


# ------------------------------------------------------------------------------------------------------- weights files


def small_state():
    """The small backbone's weights under the names that a file has."""
    torch.manual_seed(2)
    return {f"features.{name}": value.clone() for name, value in build_backbone("small").trunk.state_dict().items()}


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_weights_come_back_from_a_file_of_half_precision(tmp_path, suffix):
    state, path = small_state(), tmp_path / f"small.{suffix}"
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    save_file(half, path) if suffix == "safetensors" else torch.save(half, path)
    loaded = build_backbone("small", path).trunk.state_dict()
    for name, value in loaded.items():
        assert torch.equal(value, half[f"features.{name}"].to(value.dtype))


def test_weights_from_before_batches_were_counted_fit(tmp_path):
    """Files that are older than PyTorch 0.4.1 have no ``num_batches_tracked``; it takes no part in what is computed."""
    state, path = small_state(), tmp_path / "old.safetensors"
    counters = [name for name in state if name.endswith("num_batches_tracked")]
    assert counters
    save_file({name: value for name, value in state.items() if name not in counters}, path)
    loaded = build_backbone("small", path).trunk.state_dict()
    for name, value in loaded.items():
        if f"features.{name}" not in counters:
            assert torch.equal(value, state[f"features.{name}"])


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(8, 3, 3, 3)}, path)
    with pytest.raises(DataError, match=r"other.safetensors are not of small: \d+ tensors are missing and 1 have"):
        build_backbone("small", path)


def test_vgg_weights_are_not_mobilenet_weights(vgg):
    with pytest.raises(DataError, match="are not of mobilenet_v2: 260 tensors are missing"):
        build_backbone("mobilenet_v2", vgg[1])


def test_a_tensor_of_another_shape_is_named(tmp_path):
    path = tmp_path / "wide.safetensors"
    save_file({**small_state(), "features.3.weight": torch.zeros(5, 5, 3, 3)}, path)
    with pytest.raises(DataError, match=r"0 tensors are missing and 1 have another shape, first 'features.3.weight'"):
        build_backbone("small", path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_numbers_are_refused_and_named(tmp_path, value):
    path, state = tmp_path / "broken.safetensors", small_state()
    state["features.3.weight"][0, 0, 0, 0] = value
    save_file(state, path)
    with pytest.raises(DataError, match=r"NaN or infinite values, first in '3.weight'"):
        build_backbone("small", path)


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_truncated_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"small.{suffix}"
    save_file(small_state(), path) if suffix == "safetensors" else torch.save(small_state(), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"small.{suffix} (cannot be read|is not a plain state dict)"):
        build_backbone("small", path)


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_of_something_else_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"small.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"the weights file .*small.{suffix}"):
        read_weights(path)


class Malicious:
    """Unpickling it would run code."""

    def __reduce__(self):
        return (print, ("this must never be printed",))


def test_code_in_a_weights_file_is_never_run(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(DataError, match=r"is not a plain state dict|cannot be read"):
        read_weights(path)
    torch.save({"weight": Malicious()}, path)
    with pytest.raises(DataError, match="is not a plain state dict"):
        read_weights(path)
    assert capsys.readouterr().out == ""


def test_a_file_without_a_state_dict_is_refused(tmp_path):
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(2)], path)
    with pytest.raises(DataError, match="holds no state dict of tensors; save one with safetensors"):
        read_weights(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no weights at .*nowhere.safetensors; name an existing"):
        build_backbone("small", tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize(
    "error", [URLError("no route"), pickle.UnpicklingError("a proxy's page"), RuntimeError("hash")]
)
def test_weights_that_torchvision_cannot_get_are_named_with_their_address(monkeypatch, error):
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(models, "get_model", broken)
    with pytest.raises(
        DataError, match=r"could not be had from https://.*mobilenet_v2.*pth .*; get that file .*--weights"
    ):
        build_backbone("mobilenet_v2", "torchvision")


def test_unknown_backbones_are_answered_with_the_known():
    with pytest.raises(SettingsError, match=r"unknown backbone 'vgg19'; known are vgg16_sec, .*small"):
        build_backbone("vgg19")


def test_the_small_backbone_has_no_published_weights():
    with pytest.raises(SettingsError, match="no published weights; use weights 'none'"):
        build_backbone("small", "torchvision")
