"""Region pooling: two-pixel cases by hand, then against upsampling and a loop over regions."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from torchvision.ops import roi_pool

from wsss_lib.regions.pooling import (
    RegionShapes,
    bounding_boxes,
    masked_roi_pool,
    mean_pool,
    pool,
    pooling_matrix,
    region_masks,
)
from wsss_lib.regions.superpixels import in_raster_order
from wsss_lib.vocabulary import DataError, SettingsError

L_SHAPE = np.array([[0, 1, 1], [0, 0, 1]], dtype=np.int32)


def random_regions(height, width, count, seed=0):
    """Irregular, also disconnected regions: every pixel belongs to the nearest of ``count`` points, with noise."""
    generator = np.random.default_rng(seed)
    points = generator.uniform((0, 0), (height, width), (count, 2))
    pixels = np.indices((height, width)).reshape(2, -1).T + generator.normal(0, 1.0, (height * width, 2))
    nearest = ((pixels[:, None] - points) ** 2).sum(axis=-1).argmin(axis=1)
    return in_raster_order(nearest.reshape(height, width))


def random_features(channels, height, width, seed=0):
    return torch.randn(channels, height, width, generator=torch.Generator().manual_seed(seed))


def mean_pool_with_a_loop(features, regions, *, align_corners=False):
    """The definition: upsample to the picture, then average region by region."""
    upsampled = interpolate(features[None], size=regions.shape, mode="bilinear", align_corners=align_corners)[0]
    masks = [torch.from_numpy(regions == region) for region in range(int(regions.max()) + 1)]
    return torch.stack([upsampled[:, mask].mean(dim=1) for mask in masks])


def test_pooling_matrix_by_hand():
    """Two cells under two pixels: one region averages them, two regions take one each."""
    together, apart = np.zeros((1, 2), dtype=np.int32), np.array([[0, 1]], dtype=np.int32)
    assert pooling_matrix(together, (1, 2)).to_dense().tolist() == [[0.5, 0.5]]
    assert pooling_matrix(apart, (1, 2)).to_dense().tolist() == [[1, 0], [0, 1]]


def test_pooling_matrix_interpolates_by_hand():
    """Four pixels over two cells sit at cell positions -1/4 (clamped to 0), 1/4, 3/4 and 5/4 (clamped to 1)."""
    apart = np.array([[0, 1, 2, 3]], dtype=np.int32)
    assert pooling_matrix(apart, (1, 2)).to_dense().tolist() == [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]


def test_corner_cells_lie_on_corner_pixels_by_hand():
    """Four pixels over two cells whose centres are the first and the last pixel: thirds between them."""
    apart = np.array([[0, 1, 2, 3]], dtype=np.int32)
    thirds = torch.tensor([[3.0, 0.0], [2.0, 1.0], [1.0, 2.0], [0.0, 3.0]]) / 3
    torch.testing.assert_close(pooling_matrix(apart, (1, 2), align_corners=True).to_dense(), thirds)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("grid", [(5, 7), (1, 1), (20, 30), (33, 8)])
def test_mean_pool_is_upsampling_then_averaging(grid, align_corners):
    regions = random_regions(20, 30, 12)
    features = random_features(6, *grid)
    pooled = mean_pool(features, regions, align_corners=align_corners)
    torch.testing.assert_close(pooled, mean_pool_with_a_loop(features, regions, align_corners=align_corners))


def test_rows_sum_to_one():
    sums = pooling_matrix(random_regions(36, 48, 40), (5, 7)).to_dense().sum(dim=1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_pooling_channel_by_channel_and_with_a_kept_matrix_is_the_same():
    regions, features = random_regions(20, 30, 12), random_features(6, 5, 7)
    whole = mean_pool(features, regions)
    assert torch.equal(whole, pool(pooling_matrix(regions, (5, 7)), features))
    torch.testing.assert_close(whole, torch.cat([mean_pool(channel[None], regions) for channel in features], dim=1))


def test_half_precision_features_are_pooled_in_float32():
    regions, features = random_regions(20, 30, 12), random_features(6, 5, 7).bfloat16()
    pooled = mean_pool(features, regions)
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, mean_pool(features.float(), regions))


def test_gradients_of_mean_pooling_equal_those_of_the_loop():
    regions = random_regions(20, 30, 12)
    ours, theirs = (random_features(3, 5, 7).requires_grad_() for _ in range(2))
    mean_pool(ours, regions).square().sum().backward()
    mean_pool_with_a_loop(theirs, regions).square().sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_bounding_boxes_by_hand():
    assert bounding_boxes(L_SHAPE).tolist() == [[0, 0, 2, 2], [1, 0, 3, 2]]


def test_masks_by_hand():
    """Each box is 2 x 2 pixels; region 0 fills all but the top right pixel, region 1 all but the bottom left one."""
    assert region_masks(L_SHAPE, bins=2).tolist() == [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]
    assert region_masks(L_SHAPE, bins=1).tolist() == [[[0.75]], [[0.75]]]


def test_a_pixel_across_a_cut_counts_by_area():
    """Two columns into three bins: the middle bin is half of each; two rows are one bin row."""
    column = np.array([[0, 1], [0, 0]], dtype=np.int32)
    thirds = region_masks(column, bins=3)[0]
    np.testing.assert_allclose(thirds[0], [1, 0.5, 0])
    np.testing.assert_allclose(thirds[1], [1, 0.75, 0.5])
    np.testing.assert_allclose(thirds[2], [1, 1, 1])


def mask_with_a_loop(regions, region, bins):
    """Enlarge the box ``bins`` times, so that every bin holds whole pixels, and average bin by bin."""
    left, top, right, bottom = bounding_boxes(regions)[region]
    inside = (regions[top:bottom, left:right] == region).repeat(bins, axis=0).repeat(bins, axis=1)
    height, width = bottom - top, right - left
    return inside.reshape(bins, height, bins, width).mean(axis=(1, 3))


def test_masks_equal_a_loop_over_regions():
    regions = random_regions(36, 48, 40)
    wanted = np.stack([mask_with_a_loop(regions, region, 7) for region in range(int(regions.max()) + 1)])
    np.testing.assert_allclose(region_masks(regions), wanted, rtol=1e-6)


def test_masked_roi_pool_by_hand():
    """Grid = picture, 2 bins: the features of the box where the region is, 0 elsewhere."""
    features = torch.tensor([[[1.0, 2, 3], [4, 5, 6]]])
    assert masked_roi_pool(features, L_SHAPE, bins=2).tolist() == [[[[1, 0], [4, 5]]], [[[2, 3], [0, 6]]]]


def test_masked_roi_pool_equals_region_by_region_pooling():
    """On the picture's own grid the boxes are exact, so torchvision's pooling of each box is the witness."""
    regions, features = random_regions(24, 30, 9), random_features(4, 24, 30)
    pooled = masked_roi_pool(features, regions)
    for region, (left, top, right, bottom) in enumerate(bounding_boxes(regions)):
        box = torch.tensor([[0, left, top, right - 1, bottom - 1]], dtype=torch.float32)
        wanted = roi_pool(features[None], box, output_size=7)[0] * torch.from_numpy(
            mask_with_a_loop(regions, region, 7)
        )
        torch.testing.assert_close(pooled[region], wanted.float())


def test_corner_cells_are_read_where_they_are():
    """Seven pixels over three cells centred on the pixels 0, 3 and 6: pixel 1 is nearest to the first, 2 to the second,
    and in three equal parts of the picture they are as well. Of four cells the second is centred on pixel 2: pixel 1 is
    as near to it as to the first, while of four equal parts it lies in the first.
    """
    regions, features = np.arange(7, dtype=np.int32)[None], torch.tensor([[[0.0, 1.0, 2.0]]])
    corners = masked_roi_pool(features, regions, bins=1, align_corners=True).flatten().tolist()
    assert corners == [0, 0, 1, 1, 1, 2, 2]
    assert masked_roi_pool(features, regions, bins=1).flatten().tolist() == [0, 0, 1, 1, 1, 2, 2]
    wide = torch.arange(4.0)[None, None]
    assert masked_roi_pool(wide, regions, bins=1, align_corners=True).flatten().tolist() == [0, 1, 1, 2, 2, 3, 3]
    assert masked_roi_pool(wide, regions, bins=1).flatten().tolist() == [0, 0, 1, 2, 2, 3, 3]


def test_a_grid_scaled_differently_along_both_axes_by_hand():
    """8 x 2 pixels over 2 x 2 cells: the right half of the last row lies in the last cell, the rest touches all."""
    regions = np.zeros((2, 8), dtype=np.int32)
    regions[1, 4:] = 1
    pooled = masked_roi_pool(torch.tensor([[[1.0, 2], [3, 4]]]), regions, bins=2)
    assert pooled.tolist() == [[[[1, 2], [3, 0]]], [[[4, 4], [4, 4]]]]


def test_chosen_regions_equal_all_regions_chosen():
    """Any order, repeated ids, none at all; the grid is scaled differently along both axes."""
    regions, features = random_regions(24, 30, 9), random_features(4, 5, 9)
    chosen = [5, 0, 5]
    whole = masked_roi_pool(features, regions)
    assert torch.equal(masked_roi_pool(features, regions, chosen), whole[chosen])
    assert torch.equal(masked_roi_pool(features, RegionShapes.of(regions), chosen), whole[chosen])
    assert masked_roi_pool(features, regions, []).shape == (0, 4, 7, 7)


def test_a_one_pixel_region_in_the_last_corner_still_has_features():
    """Fast R-CNN's rounding would put this box outside the grid and pool nothing."""
    regions = np.zeros((16, 16), dtype=np.int32)
    regions[15, 15] = 1
    pooled = masked_roi_pool(torch.arange(4.0).reshape(1, 2, 2), regions, [1])
    assert torch.equal(pooled, torch.full((1, 1, 7, 7), 3.0))


def test_gradients_flow_through_masked_roi_pooling():
    features = random_features(2, 5, 9).requires_grad_()
    masked_roi_pool(features, random_regions(24, 30, 9)).sum().backward()
    assert features.grad is not None
    assert features.grad.abs().sum() > 0


def test_what_does_not_fit_is_named():
    regions = random_regions(24, 30, 9)
    with pytest.raises(DataError, match="one picture"):
        mean_pool(random_features(4, 5, 9)[None], regions)
    with pytest.raises(DataError, match="45 grid cells"):
        pool(pooling_matrix(regions, (5, 9)), random_features(4, 9, 9))
    with pytest.raises(DataError, match="region ids 0 to 99"):
        masked_roi_pool(random_features(4, 5, 9), regions, [0, 99])
    with pytest.raises(SettingsError, match="0 bins"):
        region_masks(regions, bins=0)
    with pytest.raises(SettingsError, match="grid"):
        pooling_matrix(regions, (0, 9))
    with pytest.raises(DataError, match="region 1 has no pixel"):
        pooling_matrix(np.array([[0, 2]], dtype=np.int32), (1, 1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_equals_cpu():
    regions, features = random_regions(36, 48, 40), random_features(16, 9, 12)
    torch.testing.assert_close(mean_pool(features.cuda(), regions).cpu(), mean_pool(features, regions))
    torch.testing.assert_close(masked_roi_pool(features.cuda(), regions).cpu(), masked_roi_pool(features, regions))
