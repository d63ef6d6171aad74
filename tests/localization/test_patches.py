"""Heat maps from patches: cutting and joining are inverse, the heat is where the object is, batch = one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from wsss_lib.classification.backbones import Backbone
from wsss_lib.classification.classifier import CamClassifier, ClassifierConfig, build_classifier
from wsss_lib.localization.patches import (
    BACKGROUND_HEAT,
    LocalizationConfig,
    class_maps,
    cut_patches,
    fitting_size,
    heat_maps,
    join_patches,
    to_half_pixel_cells,
)
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

CPU = choose_compute("cpu", "float32")


def noise(height=48, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def color_backbone(align_corners):
    """Red, green and blue averaged at stride 4: strided 3x3 means with aligned corners, or 2x2 means without."""
    layers = []
    for _ in range(2):
        layer = nn.Conv2d(3, 3, 3, 2, padding=1, groups=3) if align_corners else nn.Conv2d(3, 3, 2, 2, groups=3)
        nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
        nn.init.zeros_(layer.bias)
        layers.append(layer)
    backbone = Backbone(
        "color", nn.Sequential(*layers), nn.Identity(), channels=3, stride=4, align_corners=align_corners
    )
    backbone.mean.zero_()  # black is nothing
    backbone.std.fill_(255)
    return backbone


def color_classifier(align_corners=True):
    """Class c is channel c."""
    classifier = CamClassifier(color_backbone(align_corners), 3)
    with torch.no_grad():
        classifier.linear.weight.copy_(torch.eye(3)[:, :, None, None])
    return classifier.eval()


@pytest.fixture(scope="module")
def trained_like():
    """A classifier with the small backbone and weights that matter."""
    torch.manual_seed(0)
    training = TrainingConfig(steps=1, batch_size=1, learning_rate=0.1)
    classifier = build_classifier(ClassifierConfig(backbone="small", training=training), 3).eval()
    nn.init.normal_(classifier.linear.weight)
    return classifier


# --------------------------------------------------------------------------------------------------- cutting, joining


def test_a_picture_of_four_by_two_pixels_by_hand():
    image = np.arange(8, dtype=np.uint8).reshape(2, 4, 1).repeat(3, axis=2)
    patches = cut_patches(image, columns=2, rows=2)
    assert [patch[..., 0].tolist() for patch in patches] == [[[0, 1]], [[2, 3]], [[4, 5]], [[6, 7]]]


@pytest.mark.parametrize(("columns", "rows"), [(1, 1), (4, 2), (4, 3), (8, 6)])
def test_joining_is_the_inverse_of_cutting(columns, rows):
    image = noise()
    patches = torch.stack([torch.from_numpy(patch).permute(2, 0, 1) for patch in cut_patches(image, columns, rows)])
    assert torch.equal(join_patches(patches, columns), torch.from_numpy(image).permute(2, 0, 1))


@pytest.mark.parametrize("size", [(37, 53), (3, 4), (100, 5)])
def test_patches_of_odd_pictures_cover_every_pixel_once(size):
    image = np.arange(size[0] * size[1], dtype=np.int64).reshape(*size, 1)
    patches = cut_patches(image, columns=4, rows=3)
    assert len(patches) == 12
    assert sorted(np.concatenate([patch.ravel() for patch in patches])) == list(range(image.size))
    heights = {patch.shape[0] for patch in patches}
    assert max(heights) - min(heights) <= 1


@pytest.mark.parametrize("size", [(2, 100), (100, 3)])
def test_a_picture_smaller_than_the_grid_is_refused(size):
    message = f"a picture of {size[1]} x {size[0]} pixels cannot be cut into 4 x 3 patches"
    with pytest.raises(DataError, match=message):
        cut_patches(noise(*size), columns=4, rows=3)


def test_the_pipelines_own_call_refuses_it_too():
    config = LocalizationConfig(columns=4, rows=3, patch_size=(17, 17))
    with pytest.raises(DataError, match="cannot be cut into 4 x 3"):
        class_maps(color_classifier(), noise(2, 2), config, compute=CPU)


# ----------------------------------------------------------------------------------------------------------- geometry


def test_sizes_that_fit_the_stride():
    aligned, halves = color_backbone(align_corners=True), color_backbone(align_corners=False)
    assert fitting_size((224, 224), 1.0, aligned) == (225, 225)
    assert fitting_size((65, 33), 1.0, aligned) == (65, 33)
    assert fitting_size((65, 33), 1.5, aligned) == (97, 49)  # 97.5 and 49.5: 24 and 12 cells of 4 pixels, plus 1
    assert fitting_size((65, 33), 0.01, aligned) == (5, 5)
    assert fitting_size((64, 32), 1.5, halves) == (96, 48)
    assert fitting_size((65, 30), 1.0, halves) == (64, 32)  # whole cells of 4 pixels: none is cut, none is in the air
    assert fitting_size((65, 33), 0.01, halves) == (4, 4)


def test_corner_cells_become_equal_cells_by_hand():
    """A ramp 0..1 whose ends lie on the picture's corners is 1/4 and 3/4 at the centres of two equal cells."""
    assert to_half_pixel_cells(torch.tensor([[[[0.0, 1.0]]]])).tolist() == [[[[0.25, 0.75]]]]
    ramp = to_half_pixel_cells(torch.linspace(0, 1, 5).view(1, 1, 5, 1).expand(2, 3, 5, 4))
    torch.testing.assert_close(ramp[1, 2, :, 0], torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]))


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize(("columns", "rows", "side"), [(1, 1, 65), (2, 2, 33), (4, 2, 33)])
@pytest.mark.parametrize("centre", [(9, 9), (54, 11), (32, 50), (12, 57)])
def test_the_heat_is_where_the_object_is(align_corners, columns, rows, side, centre):
    """A bright square on black: the heat's peak is inside, its centroid the centre, to a fifth of a cell."""
    x, y = centre
    image = np.zeros((66, 66, 3), np.uint8)
    image[y - 4 : y + 5, x - 4 : x + 5, 1] = 255
    size = side if align_corners else side - 1
    config = LocalizationConfig(columns=columns, rows=rows, patch_size=(size, size))
    heat = class_maps(color_classifier(align_corners), image, config, compute=CPU)[1].clamp(min=0)
    height, width = heat.shape
    down = (heat.sum(1) * (torch.arange(height) + 0.5)).sum() / heat.sum()
    right = (heat.sum(0) * (torch.arange(width) + 0.5)).sum() / heat.sum()
    assert float(right) == pytest.approx((x + 0.5) / 66 * width, abs=0.2)
    assert float(down) == pytest.approx((y + 0.5) / 66 * height, abs=0.2)
    peak = divmod(int(heat.argmax()), width)
    assert abs((peak[0] + 0.5) / height * 66 - (y + 0.5)) < 4.5
    assert abs((peak[1] + 0.5) / width * 66 - (x + 0.5)) < 4.5


# ----------------------------------------------------------------------------------------------------------- sameness


def test_patches_in_a_batch_are_patches_one_by_one(trained_like):
    image, config = noise(), LocalizationConfig(columns=2, rows=2, patch_size=(33, 33))
    together = class_maps(trained_like, image, config, compute=CPU)
    alone = LocalizationConfig(patch_size=(33, 33))
    one_by_one = [class_maps(trained_like, patch, alone, compute=CPU) for patch in cut_patches(image, 2, 2)]
    torch.testing.assert_close(together, join_patches(torch.stack(one_by_one), 2), rtol=1e-4, atol=1e-4)


def test_the_maps_of_a_mirrored_picture_are_mirrored(trained_like):
    image, config = noise(), LocalizationConfig(columns=2, rows=1, patch_size=(33, 33), mirror=True)
    maps = class_maps(trained_like, image, config, compute=CPU)
    mirrored = class_maps(trained_like, np.ascontiguousarray(image[:, ::-1]), config, compute=CPU)
    torch.testing.assert_close(mirrored.flip(2), maps, rtol=1e-3, atol=1e-3)
    plain = class_maps(trained_like, image, LocalizationConfig(columns=2, patch_size=(33, 33)), compute=CPU)
    assert not torch.allclose(plain, maps)


def test_scales_are_averaged_on_the_finest_grid():
    """A picture of one colour looks the same at every scale; the grid is that of the largest."""
    image = np.full((40, 40, 3), 102, np.uint8)
    classifier = color_classifier(align_corners=False)
    maps = class_maps(classifier, image, LocalizationConfig(patch_size=(32, 32), scales=(1.0, 2.0)), compute=CPU)
    assert maps.shape == (3, 16, 16)
    torch.testing.assert_close(maps, torch.full((3, 16, 16), 0.4))


# ------------------------------------------------------------------------------------------------- heat of the classes


def test_maximum_heat_by_hand():
    """Simple classes 0 and 1 stand for target 0, 2 absorbs, 3 for target 1, which is absent; nobody for target 2."""
    maps = torch.tensor([[[4.0, 0.0]], [[0.0, 2.0]], [[9.0, 9.0]], [[1.0, 1.0]]])
    tags = np.array([True, False, True])
    heat = heat_maps(maps, torch.zeros(4), tags, targets=(0, 0, IGNORE, 1), activation="softmax", heat="maximum")
    assert heat.tolist() == [[[1, 0.5]], [[0, 0]], [[0, 0]]]


def test_probabilities_by_hand():
    """Logits log 1, log 2, log 1 with bias log 1, log 1, log 2: shares 1/5, 2/5, 2/5; the last absorbs."""
    maps, bias = torch.tensor([1.0, 2.0, 1.0]).log().view(3, 1, 1), torch.tensor([1.0, 1.0, 2.0]).log()
    arguments = {"targets": (1, 1, IGNORE), "activation": "softmax", "heat": "probability"}
    heat = heat_maps(maps, bias, np.array([True, True]), **arguments)
    torch.testing.assert_close(heat, torch.tensor([0.0, 0.6]).view(2, 1, 1))
    absent = heat_maps(maps, bias, np.array([True, False]), **arguments)
    assert absent.abs().max() == 0


def test_sigmoid_probabilities_do_not_compete():
    maps = torch.tensor([0.0, 3.0]).log().nan_to_num(neginf=-1e9).view(2, 1, 1)
    heat = heat_maps(
        maps, torch.zeros(2), np.array([True, True]), targets=(0, 1), activation="sigmoid", heat="probability"
    )
    torch.testing.assert_close(heat, torch.tensor([0.0, 0.75]).view(2, 1, 1))


def test_the_background_is_what_the_objects_leave():
    maps, tags = torch.tensor([[[0.0, 50.0]]]), np.array([True, True])
    common = {"targets": (1,), "background": 0}
    probability = heat_maps(maps, torch.zeros(1), tags, activation="sigmoid", heat="probability", **common)
    torch.testing.assert_close(probability, torch.tensor([[[0.5, 0.0]], [[0.5, 1.0]]]))
    maximum = heat_maps(maps, torch.zeros(1), tags, activation="sigmoid", heat="maximum", **common)
    torch.testing.assert_close(maximum, torch.tensor([[[BACKGROUND_HEAT] * 2], [[0.0, 1.0]]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": 0}, "at least 1 x 1 patches"),
        ({"patch_size": (224, 8)}, "at least 16 pixels"),
        ({"scales": ()}, "scales must be positive numbers"),
        ({"scales": (1.0, -0.5)}, "scales must be positive numbers"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        LocalizationConfig(**settings)
