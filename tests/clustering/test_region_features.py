"""Region features: both poolings behind one interface, in the order asked for, and the same however they are read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from wsss_lib.classification.backbones import Backbone, build_backbone
from wsss_lib.clustering import region_features
from wsss_lib.clustering.region_features import (
    MaskedRoi,
    MeanPooled,
    RegionFeatureConfig,
    blocks,
    describe,
    mean_and_scale,
)
from wsss_lib.regions.geometry import region_geometry
from wsss_lib.regions.pooling import masked_roi_pool, mean_pool
from wsss_lib.training.compute import choose_compute
from wsss_lib.vocabulary import DataError, SettingsError

CPU = choose_compute("cpu", "float32")


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return build_backbone("small").eval()


@pytest.fixture(scope="module")
def pictures():
    """Three pictures of 24 x 20 pixels, and 6, 4 and 9 blocks of pixels as their regions."""
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (20, 24, 3), dtype=np.uint8) for _ in range(3)]
    rows, columns = np.indices((20, 24))
    grids = ((2, 3), (2, 2), (3, 3))
    return images, [(rows * r // 20 * c + columns * c // 24).astype(np.int32) for r, c in grids]


def every(features):
    """All features, one region at a time."""
    counts = enumerate(features.counts)
    return torch.cat([features.of(i, np.array([region])) for i, count in counts for region in range(count)])


@pytest.fixture(scope="module", params=["mean", "masked_roi"])
def features(request, backbone, pictures):
    config = RegionFeatureConfig(size=(33, 33), layers=(5,), pooling=request.param)
    images, regions = pictures
    kept = [describe(backbone, image, each, config, compute=CPU) for image, each in zip(images, regions, strict=True)]
    counts = np.array([6, 4, 9])
    if request.param == "mean":
        return MeanPooled(np.concatenate(kept), counts)
    return MaskedRoi(np.stack(kept), regions, counts)


# ------------------------------------------------------------------------------------------------------ known answers


def test_mean_pooled_rows_by_hand():
    features = MeanPooled(np.arange(10, dtype=np.float16).reshape(5, 2), np.array([2, 3]))
    assert features.width == 2
    assert features.of(0, np.array([1])).tolist() == [[2, 3]]
    assert features.of(1, np.array([2, 0, 2])).tolist() == [[8, 9], [4, 5], [8, 9]]
    assert features.of(1, np.array([0])).dtype == torch.float32


def test_masked_roi_by_hand():
    """One channel, one bin: the maximum over the region's box, 3 for the left half and 8 for the right one."""
    regions = np.array([[0, 0, 1, 1]] * 2, dtype=np.int32)
    maps = np.array([[[[1, 3, 4, 2], [0, 2, 8, 5]]]], dtype=np.float16)
    features = MaskedRoi(maps, [regions], np.array([2]), bins=1)
    assert features.width == 1
    assert features.of(0, np.array([1, 0])).tolist() == [[8], [3]]


def test_mean_and_scale_by_hand():
    """A sample of all regions, where there are few: mean 3, deviation 2 (with n - 1), and a little against zero."""
    features = MeanPooled(np.array([[1, 7], [3, 7], [5, 7]], dtype=np.float16), np.array([1, 2]))
    mean, scale = mean_and_scale(features, seed=0)
    torch.testing.assert_close(mean, torch.tensor([3.0, 7.0]))
    torch.testing.assert_close(scale, torch.tensor([2.001, 0.001]))


def test_a_single_region_has_no_deviation():
    mean, scale = mean_and_scale(MeanPooled(np.array([[1, 7]], dtype=np.float16), np.array([1])), seed=0)
    torch.testing.assert_close(mean, torch.tensor([1.0, 7.0]))
    torch.testing.assert_close(scale, torch.tensor([0.001, 0.001]))


# ----------------------------------------------------------------------------------------------------------- sameness


def test_both_poolings_give_the_pooled_outputs_of_the_layer(features, backbone, pictures):
    config = RegionFeatureConfig(size=(33, 33), layers=(5,), pooling="masked_roi")
    images, regions = pictures
    layer = torch.from_numpy(describe(backbone, images[2], regions[2], config, compute=CPU)).float()
    if isinstance(features, MeanPooled):
        expected = mean_pool(layer, regions[2], align_corners=True)
        assert features.width == len(layer)
    else:
        expected = masked_roi_pool(layer, regions[2]).flatten(1)
        assert features.width == len(layer) * 49
    torch.testing.assert_close(features.of(2, np.arange(9)), expected, rtol=2e-3, atol=2e-3)


def test_the_shapes_of_regions_are_found_once(features, monkeypatch):
    """On Cityscapes they take longer than pooling, and a picture is asked hundreds of times."""
    if isinstance(features, MeanPooled):
        pytest.skip("regions that are pooled already have no shapes to find")
    features.of(1, np.array([0]))
    monkeypatch.setattr(region_features.RegionShapes, "of", None)
    assert features.of(1, np.array([2, 1])).shape == (2, features.width)


def test_regions_come_in_the_order_of_the_ids(features):
    together = features.of(2, np.array([8, 0, 3, 3]))
    alone = torch.cat([features.of(2, np.array([region])) for region in (8, 0, 3, 3)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_blocks_are_all_regions_in_order(features, size):
    done = list(blocks(features, size))
    assert max(len(part) for _, part in done) <= size
    torch.testing.assert_close(torch.cat([part for _, part in done]), every(features))
    owners = np.concatenate([np.full(len(part), picture) for picture, part in done])
    assert np.array_equal(owners, np.repeat([0, 1, 2], [6, 4, 9]))


def test_several_layers_stand_side_by_side(backbone, pictures):
    image, regions = pictures[0][0], pictures[1][0]

    def describe_layers(*layers):
        return describe(backbone, image, regions, RegionFeatureConfig(size=(33, 33), layers=layers), compute=CPU)

    both = describe_layers(2, 20)
    assert both.dtype == np.float16
    assert np.array_equal(both, np.concatenate([describe_layers(2), describe_layers(20)], axis=1))
    assert np.array_equal(describe_layers(), describe_layers(20))  # the usual output is the last layer


def test_the_sample_of_mean_and_scale_depends_on_the_seed_only(features):
    one, same = mean_and_scale(features, 3, pictures=2), mean_and_scale(features, 3, pictures=2)
    assert torch.equal(one[0], same[0])
    assert torch.equal(one[1], same[1])


# ----------------------------------------------------------------------------------------------------------- geometry


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("place", [(0, 0), (3, 5), (7, 7)])
def test_a_bright_region_has_the_brightest_feature(align_corners, place):
    """Of 8 x 8 regions of a picture of odd size, the bright one is found; its neighbours get nearly nothing."""
    layer = nn.Conv2d(3, 1, 3, 2, padding=1) if align_corners else nn.Conv2d(3, 1, 2, 2)
    nn.init.constant_(layer.weight, 1 / layer.weight.numel())
    nn.init.zeros_(layer.bias)
    backbone = Backbone(
        "bright", nn.Sequential(layer), nn.Identity(), channels=1, stride=2, align_corners=align_corners
    )
    backbone.mean.zero_()
    backbone.std.fill_(255)
    rows, columns = np.indices((75, 93))
    regions = (rows * 8 // 75 * 8 + columns * 8 // 93).astype(np.int32)
    target = place[0] * 8 + place[1]
    image = np.where(regions[..., None] == target, 255, 0).astype(np.uint8).repeat(3, axis=2)
    side = 65 if align_corners else 64
    pooled = describe(backbone, image, regions, RegionFeatureConfig(size=(side, side)), compute=CPU)[:, 0]
    assert pooled.argmax() == target
    assert pooled[target] > 0.75
    assert np.delete(pooled, target).max() < 0.15


# ---------------------------------------------------------------------------------------------------------- bad input


def test_regions_that_do_not_exist_are_refused(features):
    for picture in range(3):
        with pytest.raises((DataError, IndexError)):
            features.of(picture, np.array([features.counts[picture]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pooling": "max"}, "mean or masked_roi, not 'max'"),
        ({"pooling": "masked_roi", "layers": (2, 5)}, r"takes one layer, not \(2, 5\)"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        RegionFeatureConfig(size=(33, 33), **settings)


# ----------------------------------------------------------------------------------------------------------- geometry


def test_geometry_stands_behind_the_pooled_features_as_often_as_asked_for(backbone, pictures):
    image, regions = pictures[0][0], pictures[1][0]
    plain = RegionFeatureConfig(size=(33, 33), layers=(5,))
    bare = describe(backbone, image, regions, plain, compute=CPU)
    more = describe(backbone, image, regions, replace(plain, geometry_copies=2), compute=CPU)
    np.testing.assert_array_equal(more[:, : bare.shape[1]], bare)
    geometry = region_geometry(image, regions).astype(np.float16)
    np.testing.assert_array_equal(more[:, bare.shape[1] :], np.hstack([geometry, geometry]))


@pytest.mark.parametrize("wrong", [{"geometry_copies": -1}, {"geometry_copies": 1, "pooling": "masked_roi"}])
def test_geometry_that_cannot_be(wrong):
    with pytest.raises(SettingsError, match="geometry_copies"):
        RegionFeatureConfig(size=(33, 33), **wrong)
