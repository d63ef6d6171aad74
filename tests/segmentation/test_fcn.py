"""FCN-8s: the published size and kernels, scores fused where they belong, the published crops as a witness."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from safetensors.torch import save_file
from torch import nn

from wsss_lib.classification.backbones import load_weights
from wsss_lib.segmentation.fcn import (
    PIXELS,
    Grid,
    bilinear_kernel,
    deconvolve,
    fcn8s,
    fuse,
    vgg16_fcn,
    vgg16_grids,
)
from wsss_lib.segmentation.networks import build_network, predict_logits
from wsss_lib.segmentation.training import SegmentationConfig, train_segmentation
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import DataError, SettingsError

CPU = choose_compute("cpu", "float32")


def outline(builder, *arguments, **options):
    """A network without memory for its weights."""
    with torch.device("meta"):
        return builder(*arguments, **options).eval()


def size_of(module):
    return sum(each.numel() for each in module.parameters())


def ramp(size, across=0.5, down=2.0):
    """Scores of one class that rise evenly: bilinear steps must keep them."""
    rows, columns = torch.meshgrid(*(torch.arange(float(side)) for side in size), indexing="ij")
    return (down * rows + across * columns)[None, None]


def random_scores(*sizes, classes=2):
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(1, classes, *size, generator=generator) for size in sizes]


# ------------------------------------------------------------------------------------------------- published numbers


def test_fcn8s_has_the_published_size():
    """134.5 M with 21 classes: convolutions, fc6 7x7, fc7 and three score layers have 134,362,751 parameters.

    The published file also stores its three deconvolutions class by class, 21 * 21 * (4^2 + 4^2 + 16^2) numbers that
    are never trained: 134,489,759. Ours have no state.
    """
    network = outline(fcn8s, 21)
    fc6, fc7 = 512 * 7 * 7 * 4096 + 4096, 4096 * 4096 + 4096
    scores = sum(channels * 21 + 21 for channels in (4096, 512, 256))
    assert size_of(network.backbone) == 14_714_688 + fc6 + fc7
    assert size_of(network) == 14_714_688 + fc6 + fc7 + scores == 134_362_751
    assert size_of(network) + 21 * 21 * (4**2 + 4**2 + 16**2) == 134_489_759
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize("padding", [1, 100])
@pytest.mark.parametrize(("height", "width"), [(49, 65), (64, 96), (181, 241)])
def test_fcn8s_answers_every_pixel(padding, height, width):
    network = outline(fcn8s, 5, padding=padding)
    assert network(torch.empty(2, 3, height, width, device="meta")).shape == (2, 5, height, width)


def test_the_grids_are_where_the_layers_put_them():
    """A layer with kernel k and padding p at jump j moves the centre of cell 0 by ((k - 1) / 2 - p) j."""

    def number(value):
        return value if isinstance(value, int) else value[0]

    for padding in (1, 100):
        network, grids = outline(fcn8s, 3, padding=padding), {}
        centre, jump = 0.0, 1
        for position, layer in enumerate(network.backbone.trunk):
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
                centre += ((number(layer.kernel_size) - 1) / 2 - number(layer.padding)) * jump
                jump *= number(layer.stride)
            grids[position] = Grid(jump, centre)
        skips = [skip.layer for skip in network.skips]
        assert all(isinstance(network.backbone.trunk[layer], nn.MaxPool2d) for layer in skips)
        assert [grids[layer] for layer in (len(grids) - 1, *skips)] == [*network.grids] == [*vgg16_grids(padding)]


@pytest.mark.parametrize(("name", "side", "cells"), [("fcn8s_mobilenet_v2", 321, 81), ("fcn8s_small", 65, 33)])
def test_the_skips_fit_the_other_backbones(name, side, cells):
    """Channels and strides of the skipped layers are what the network says, and logits are on the finest grid."""
    network = outline(build_network, name, 11)
    images = torch.empty(1, 3, side, side, device="meta")
    assert network(images).shape == (1, 11, cells, cells)
    for skip in network.skips:
        (features,) = network.backbone.maps(images, (skip.layer,))
        cells_here = (side - 1) // skip.grid.stride + 1
        assert features.shape == (1, skip.channels, cells_here, cells_here)


# ---------------------------------------------------------------------------------------------------- deconvolutions


def test_kernels_by_hand():
    like = torch.zeros(())
    assert bilinear_kernel(2, meeting=True, like=like)[1].tolist() == [0.5, 1, 0.5]
    assert (4 * bilinear_kernel(2, meeting=False, like=like)[0]).tolist() == [0.25, 0.75, 0.75, 0.25]
    side = torch.tensor([1, 3, 5, 7, 9, 11, 13, 15, 15, 13, 11, 9, 7, 5, 3, 1]) / 16
    assert torch.equal(bilinear_kernel(8, meeting=False, like=like), torch.outer(side, side))


def test_coarse_cells_between_fine_ones_by_hand():
    """Cells at pixels 0.5 and 2.5 have 0 and 4: pixels 0..3 lie at 0 (the edge), 1, 3 and 4 (the edge)."""
    scores = torch.tensor([[[[0.0, 4.0]]]])
    assert deconvolve(scores, Grid(2, 0.5), PIXELS, (1, 4)).tolist() == [[[[0, 1, 3, 4]]]]


def test_coarse_cells_on_fine_ones_by_hand():
    """Cells at pixels 0 and 2 have 0 and 4: pixels 0..3 lie at 0, 2, 4 and 4 (beyond the last cell)."""
    scores = torch.tensor([[[[0.0, 4.0]]]])
    assert deconvolve(scores, Grid(2), PIXELS, (1, 4)).tolist() == [[[[0, 2, 4, 4]]]]


@pytest.mark.parametrize("factor", [2, 8])
def test_deconvolution_is_bilinear_interpolation(factor):
    """Both kinds of grids have a witness in torch; sizes that do not divide are cropped."""
    (scores,) = random_scores((4, 5))
    between = functional.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    ours = deconvolve(scores, Grid(factor, (factor - 1) / 2), PIXELS, (4 * factor - 1, 5 * factor))
    torch.testing.assert_close(ours, between[..., :-1, :])
    size = (3 * factor + 1, 4 * factor + 1)
    meeting = functional.interpolate(scores, size, mode="bilinear", align_corners=True)
    torch.testing.assert_close(deconvolve(scores, Grid(factor), PIXELS, size), meeting)


def test_deconvolutions_are_exact_in_mixed_precision():
    (scores,) = random_scores((4, 5))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = deconvolve(scores, Grid(2), PIXELS, (7, 9))
    assert torch.equal(mixed, deconvolve(scores, Grid(2), PIXELS, (7, 9)))


# ------------------------------------------------------------------------------------------------------------- fusing


_ONE_STEP_OF_VGG16 = """
import torch
from wsss_lib.segmentation.networks import build_network
from wsss_lib.training.compute import choose_compute
compute = choose_compute("cpu", "bfloat16")
torch.set_num_threads(2)
network = compute.place(build_network("fcn8s", 11)).train()
for _ in range(3):
    with compute.autocast():
        loss = network(compute.tensor(torch.rand(1, 3, 33, 33))).square().mean()
    loss.backward()
print(torch.isfinite(network.head[0].weight.grad).all().item())
"""


def test_fcn8s_learns_in_mixed_precision_with_two_threads():
    """In bfloat16 its scores would be learnt beyond their memory: a process of its own, because it would die."""
    done = subprocess.run([sys.executable, "-c", _ONE_STEP_OF_VGG16], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_scores_are_added_where_they_belong_by_hand():
    """Cells at 0 and 2 have 0 and 4, brought to 0, 2, 4; the finer map 10, 20, 30 is added: 10, 22, 34."""
    coarse, fine = torch.tensor([[[[0.0, 4.0]]]]), torch.tensor([[[[10.0, 20.0, 30.0]]]])
    assert fuse([coarse, fine], [Grid(2), PIXELS]).tolist() == [[[[10, 22, 34]]]]


def test_padding_1_keeps_an_even_slope_in_place():
    """Maps that hold the position of their own cells: three of them add up to three times the position, every pixel."""
    grids = vgg16_grids(padding=1)
    maps = [grid.first * 2.5 + grid.stride * ramp((192 // grid.stride, 256 // grid.stride)) for grid in grids]
    fused = deconvolve(fuse(maps, grids), grids[-1], PIXELS, (192, 256))
    torch.testing.assert_close(fused[..., 32:-32, 32:-32], 3 * ramp((192, 256))[..., 32:-32, 32:-32])


def test_padding_100_is_the_published_layout():
    """The crops at 5, 9 and 31, with torch's transposed convolutions and kernels stored as published, as a witness."""
    height, width, grids = 97, 129, vgg16_grids(padding=100)
    sides = np.array([height, width]) + 198
    sizes = {}
    for stride in (2, 4, 8, 16, 32):
        sides = -(-sides // 2)
        sizes[stride] = tuple(int(side) for side in sides)
    fc7, pool4, pool3 = random_scores(tuple(side - 6 for side in sizes[32]), sizes[16], sizes[8])

    def published(scores, factor):
        layer = nn.ConvTranspose2d(2, 2, 2 * factor, stride=factor, bias=False).requires_grad_(False)
        axis = 1 - (torch.arange(2 * factor) - factor + 0.5).abs() / factor
        layer.weight.copy_(torch.eye(2)[:, :, None, None] * torch.outer(axis, axis))
        return layer(scores)

    up = published(fc7, 2)
    total = up + pool4[..., 5 : 5 + up.shape[-2], 5 : 5 + up.shape[-1]]
    up = published(total, 2)
    total = up + pool3[..., 9 : 9 + up.shape[-2], 9 : 9 + up.shape[-1]]
    theirs = published(total, 8)[..., 31 : 31 + height, 31 : 31 + width]
    ours = deconvolve(fuse([fc7, pool4, pool3], grids), grids[-1], PIXELS, (height, width))
    assert theirs.shape == ours.shape
    inner = (..., slice(25, None), slice(25, None))  # nearer to the first cell, on pixel 12, theirs fade
    torch.testing.assert_close(ours[inner], theirs[inner])


@torch.no_grad()
def test_every_skip_is_scored_and_added():
    """Only the bias of one score layer is not zero: the logits are its value everywhere; all together are their sum."""
    network = build_network("fcn8s_small", 2).eval()
    images = 255 * torch.rand(1, 3, 33, 41, generator=torch.Generator().manual_seed(0))
    assert network(images).abs().max() == 0  # score layers start at zero
    for number, score in enumerate(network.head):
        score.bias[1] = 10.0**number
    logits = network(images)
    assert logits.shape == (1, 2, 17, 21)
    torch.testing.assert_close(logits[:, 1], torch.full((1, 17, 21), 111.0))
    assert logits[:, 0].abs().max() == 0


@torch.no_grad()
@pytest.mark.parametrize("number", [1, 2])
def test_a_skip_reads_its_own_layer(number):
    network = build_network("fcn8s_small", 1).eval()
    images = 255 * torch.rand(1, 3, 33, 33, generator=torch.Generator().manual_seed(0))
    network.head[number].weight[:, 3] = 1
    skip = network.skips[number - 1]
    (features,) = network.backbone.maps(images, (skip.layer,))
    logits = network(images)[..., :: skip.grid.stride // 2, :: skip.grid.stride // 2]
    torch.testing.assert_close(logits, features[:, 3:4])


@torch.no_grad()
@pytest.mark.parametrize(("x", "y"), [(0, 0), (64, 48), (32, 16), (20, 44)])
def test_a_bright_spot_is_answered_where_it_is(x, y):
    """Corners of grid and picture coincide: the finest skip answers on the spot itself, in the corners too."""
    network = build_network("fcn8s_small", 2).eval()
    for layer in network.backbone.trunk:
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / len(layer.weight))
            layer.weight *= torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]])  # the middle counts most
    network.backbone.mean.zero_()
    network.head[2].weight[1] = 1
    image = torch.zeros(1, 3, 49, 65)
    image[..., max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = 255
    row, column = divmod(int(predict_logits(network, image, (49, 65))[1].argmax()), 65)
    assert (row, column) == (y, x)


# ------------------------------------------------------------------------------------------------------------ weights


def vgg_state(width):
    """torchvision's names and shapes, with fully connected layers of another width."""
    torch.manual_seed(0)
    own = list(vgg16_fcn(width=width).trunk.state_dict().values())
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    names = [f"features.{number}" for number in numbers] + ["classifier.0", "classifier.3"]
    keys = [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]
    state = {key: value.clone() for key, value in zip(keys, own, strict=True)}
    return {key: value.flatten(1) if key.startswith("c") and value.ndim == 4 else value for key, value in state.items()}


@torch.no_grad()
def test_fc6_and_fc7_take_the_weights_of_the_classifier(tmp_path):
    """On the 7 x 7 map of a picture of 224 pixels, the middle cell sees all of it, as torchvision's classifier does."""
    state = vgg_state(width=6)
    save_file(state, tmp_path / "vgg16.safetensors")
    trunk = load_weights(vgg16_fcn(width=6), tmp_path / "vgg16.safetensors").eval().trunk
    pool5 = torch.rand(2, 512, 7, 7, generator=torch.Generator().manual_seed(0))
    fc6 = functional.linear(pool5.flatten(1), state["classifier.0.weight"], state["classifier.0.bias"]).relu()
    fc7 = functional.linear(fc6, state["classifier.3.weight"], state["classifier.3.bias"]).relu()
    torch.testing.assert_close(trunk[31:](pool5)[:, :, 3, 3], fc7, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(trunk[28].weight, state["features.28.weight"])


def test_convolutions_without_the_classifier_are_refused(tmp_path):
    state = {key: value for key, value in vgg_state(width=6).items() if key.startswith("features")}
    save_file(state, tmp_path / "short.safetensors")
    with pytest.raises(DataError, match=r"not of vgg16_fcn: 4 tensors are missing .* first 'classifier.0.weight'"):
        load_weights(vgg16_fcn(width=6), tmp_path / "short.safetensors")


def test_other_paddings_are_refused():
    with pytest.raises(SettingsError, match="padded by 1 or, as published, by 100, not by 50"):
        outline(fcn8s, 3, padding=50)


# ----------------------------------------------------------------------------------------------------------- training


def test_training_lowers_the_loss_and_gives_the_corners():
    """A picture that is red on the left and blue on the right, classes 2 and 0, learnt in a few steps."""
    picture = np.where(np.arange(33)[None, :, None] < 17, (200, 20, 20), (20, 20, 200)).astype(np.uint8)
    picture = np.ascontiguousarray(np.broadcast_to(picture, (33, 33, 3)))
    labels = np.where(picture[..., 0] > 100, 2, 0).astype(np.uint8)
    torch.manual_seed(0)
    network = build_network("fcn8s_small", 3)
    config = SegmentationConfig(
        network="fcn8s_small",
        input_size=(33, 33),
        crop_size=(33, 33),
        label_stride=1,
        training=TrainingConfig(steps=12, batch_size=2, learning_rate=0.02),
    )
    losses = train_segmentation(network, lambda _: picture, lambda _: labels, 1, config, compute=CPU, seed=0)
    assert losses[0] == pytest.approx(np.log(3), rel=1e-4)  # scores of zero
    assert losses[-1] < 0.3
    assert all(layer.weight.abs().max() > 0 for layer in network.head)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    predicted = predict_logits(network, pixels, (33, 33)).argmax(0).numpy()
    assert (predicted[[0, 0, -1, -1], [0, -1, 0, -1]] == [2, 0, 2, 0]).all()
