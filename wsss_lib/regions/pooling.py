"""Features of irregular regions, without a Python loop over them (paper section 3.2).

Two ways from a feature grid to one feature per region:

* ``mean_pool``: mean over the region's pixels of the bilinearly upsampled features. Both steps are linear, so they are
  one sparse matrix (region x grid cell) that never makes the upsampled features;
* ``masked_roi_pool``: RoI max pooling over the region's bounding box times the region's mask, as Fast R-CNN with masks
  (a reconstruction: the paper cites it and gives no details).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor
from torchvision.ops import roi_pool

from wsss_lib.vocabulary import DataError, RegionMap, SettingsError

RegionIds = Sequence[int] | Int[np.ndarray, "chosen"]


def mean_pool(
    features: Float[Tensor, "channel h w"], regions: RegionMap, *, align_corners: bool = False
) -> Float[Tensor, "region channel"]:
    """Mean feature of every region, float32, on the device of ``features``.

    Equals bilinear upsampling to the size of ``regions`` and averaging per region. ``align_corners`` as in
    ``F.interpolate``: true for networks whose cell (0, 0) is centred on the first pixel.
    Gradients flow to ``features``. To pool several feature maps over one region map, keep ``pooling_matrix`` and use
    ``pool``. Features in ``channels_last`` memory, as such networks return them, save the largest copy.
    """
    _check_features(features)
    matrix = pooling_matrix(regions, (features.shape[1], features.shape[2]), align_corners=align_corners)
    return pool(matrix.to(features.device), features)


def pool(
    matrix: Float[Tensor, "region cell"], features: Float[Tensor, "channel h w"]
) -> Float[Tensor, "region channel"]:
    """Apply a pooling matrix: one sparse product, in float32 whatever the precision of ``features``."""
    _check_features(features)
    if matrix.shape[1] != features.shape[1] * features.shape[2]:
        raise DataError(
            f"the pooling matrix was made for {matrix.shape[1]} grid cells but the features have "
            f"{features.shape[2]} x {features.shape[1]}; make it for this grid"
        )
    cells = features.float().flatten(1).T.contiguous()  # channels last: the product then reads whole rows
    return torch.sparse.mm(matrix, cells)


def pooling_matrix(
    regions: RegionMap, grid: tuple[int, int], *, align_corners: bool = False
) -> Float[Tensor, "region cell"]:
    """Sparse COO matrix whose row r weighs the cells of an h x w feature grid; rows sum to 1, on the CPU, float32.

    Entry (r, cell) is the mean over the pixels of region r of the cell's bilinear interpolation weight, cells in raster
    order. Two pixels over two cells, each its own region, give the identity; as one region they give [[0.5, 0.5]].
    """
    if min(grid) < 1:
        raise SettingsError(f"the feature grid is {grid[1]} x {grid[0]}; it needs at least one cell in each direction")
    weights = scipy.sparse.csr_array(
        _averaging_matrix(regions) @ _upsampling_matrix(regions.shape, grid, align_corners)
    )
    weights.sort_indices()
    entries = weights.tocoo()
    # Neither checked nor warned about: a CSR product holds every entry once, and its columns were sorted above.
    with torch.sparse.check_sparse_tensor_invariants(False):
        return torch.sparse_coo_tensor(
            torch.from_numpy(np.stack(entries.coords).astype(np.int64)),
            torch.from_numpy(entries.data.astype(np.float32)),
            size=entries.shape,
            is_coalesced=True,
        )


def bounding_boxes(regions: RegionMap) -> Int[np.ndarray, "region 4"]:
    """Left, top, right, bottom of every region in pixels; right and bottom are the first column and row outside."""
    num_regions = int(regions.max()) + 1
    rows, columns = np.indices(regions.shape, dtype=np.int64)
    boxes = np.empty((num_regions, 4), dtype=np.int64)
    for axis, positions in enumerate((columns, rows)):
        low = np.full(num_regions, max(regions.shape))
        high = np.zeros(num_regions, dtype=np.int64)
        np.minimum.at(low, regions.ravel(), positions.ravel())
        np.maximum.at(high, regions.ravel(), positions.ravel() + 1)
        boxes[:, axis], boxes[:, axis + 2] = low, high
    return boxes


def region_masks(regions: RegionMap, bins: int = 7) -> Float32[np.ndarray, "region bins bins"]:
    """Soft mask m_r(b): the share of bin b of region r's bounding box that lies in r, 0..1.

    The box is cut into bins x bins equal parts, and a pixel across a cut counts by its area in each part, so boxes of
    fewer pixels than bins are exact as well.
    """
    if bins < 1:
        raise SettingsError(f"a mask of {bins} bins was asked for; give at least 1")
    left, top, right, bottom = bounding_boxes(regions).T
    height, width = bottom - top, right - left
    rows, columns = (places.ravel() for places in np.indices(regions.shape))
    region = regions.ravel()

    pixel, row_bin, row_overlap = _bins_of_pixels(rows - top[region], height[region], bins)
    columns, region = columns[pixel], region[pixel]
    part, column_bin, column_overlap = _bins_of_pixels(columns - left[region], width[region], bins)
    region = region[part].astype(np.int64)
    area = np.bincount(
        (region * bins + row_bin[part]) * bins + column_bin,
        weights=row_overlap[part] * column_overlap,
        minlength=len(height) * bins * bins,
    ).reshape(len(height), bins, bins)
    return (area / (height * width)[:, None, None]).astype(np.float32)


@dataclass(frozen=True)
class RegionShapes:
    """Bounding boxes and soft masks of all regions of a picture: all that masked RoI pooling asks of a region map.

    Finding them looks at every pixel, half a second for a picture of Cityscapes; keeping them takes 0.2 KB a region.
    """

    size: tuple[int, int]
    """Height and width of the region map."""
    boxes: Int[np.ndarray, "region 4"]
    masks: Float32[np.ndarray, "region bins bins"]

    @classmethod
    def of(cls, regions: RegionMap, bins: int = 7) -> "RegionShapes":
        """Those of :func:`bounding_boxes` and :func:`region_masks`."""
        height, width = regions.shape
        return cls((height, width), bounding_boxes(regions), region_masks(regions, bins=bins))


def masked_roi_pool(
    features: Float[Tensor, "channel h w"],
    regions: RegionMap | RegionShapes,
    region_ids: RegionIds | None = None,
    bins: int = 7,
    *,
    align_corners: bool = False,
) -> Float[Tensor, "chosen channel bins bins"]:
    """RoI max pooling over each region's bounding box, times the region's soft mask.

    P_r(k, b) * m_r(b), specification 3.3: what lies outside the region fades to 0. Boxes are given to RoI pooling in
    grid cells (the cells that hold the box's first and last pixel), so the grid may be scaled differently along x and
    y and no box leaves the grid; ``align_corners`` as in :func:`mean_pool`. All regions in id order where
    ``region_ids`` is None; an id may come twice. ``RegionShapes`` that are at hand stand for a region map, and decide
    about ``bins``. The result takes 4 * chosen * channel * bins^2 bytes: choose ids where there are many.
    """
    _check_features(features)
    shapes = regions if isinstance(regions, RegionShapes) else RegionShapes.of(regions, bins)
    chosen = _chosen_ids(len(shapes.boxes), region_ids)
    grid = (features.shape[1], features.shape[2])
    boxes = _boxes_in_cells(shapes.boxes[chosen], shapes.size, grid, align_corners)
    pooled = roi_pool(
        features.float()[None], [torch.from_numpy(boxes).to(features.device)], output_size=shapes.masks.shape[1:]
    )
    return pooled * torch.from_numpy(shapes.masks[chosen]).to(features.device)[:, None]


def _averaging_matrix(regions: RegionMap) -> scipy.sparse.csr_array:
    """Region x pixel: 1 / size of the region at each of its pixels."""
    ids = regions.ravel()
    sizes = np.bincount(ids)
    if not sizes.all():
        raise DataError(f"region {int(np.argmin(sizes))} has no pixel; region ids must be 0..N-1 without gaps")
    by_pixel = scipy.sparse.csc_array(
        ((1.0 / sizes)[ids], ids, np.arange(ids.size + 1, dtype=np.int32)), shape=(len(sizes), ids.size)
    )
    return by_pixel.tocsr()


@lru_cache(maxsize=4)
def _upsampling_matrix(size: tuple[int, int], grid: tuple[int, int], align_corners: bool) -> scipy.sparse.csr_array:
    """Pixel x cell: bilinear interpolation is separable, so it is the Kronecker product of its two axes."""
    rows, columns = (_interpolation_weights(n, cells, align_corners) for n, cells in zip(size, grid, strict=True))
    return scipy.sparse.csr_array(scipy.sparse.kron(rows, columns))


def _interpolation_weights(pixels: int, cells: int, align_corners: bool) -> scipy.sparse.csr_array:
    """Pixel x cell along one axis, as ``F.interpolate(mode="bilinear")`` weighs them."""
    if align_corners:
        position = np.arange(pixels) * (cells - 1) / max(1, pixels - 1)
    else:
        position = np.clip((np.arange(pixels) + 0.5) * cells / pixels - 0.5, 0, cells - 1)
    lower = np.floor(position).astype(np.int32)
    upper = np.minimum(lower + 1, cells - 1)
    share = position - lower
    pixel = np.arange(pixels, dtype=np.int32)
    weights = (np.concatenate([1 - share, share]), (np.tile(pixel, 2), np.concatenate([lower, upper])))
    return scipy.sparse.csr_array(weights, shape=(pixels, cells))


def _bins_of_pixels(
    position: Int[np.ndarray, "pixel"], length: Int[np.ndarray, "pixel"], bins: int
) -> tuple[Int[np.ndarray, "part"], Int[np.ndarray, "part"], Int[np.ndarray, "part"]]:
    """Cut pixels along one axis at the bin borders: for every part its pixel, its bin and its length.

    In units of 1/bins of a pixel everything is whole: pixel p covers [p * bins, (p + 1) * bins), bin b of a box of n
    pixels covers [b * n, (b + 1) * n).
    """
    first = position * bins // length
    count = ((position + 1) * bins - 1) // length - first + 1
    pixel = np.repeat(np.arange(len(position)), count)
    place_in_pixel = np.arange(len(pixel)) - np.repeat(np.cumsum(count) - count, count)
    bin_ = first[pixel] + place_in_pixel
    start = np.maximum(position[pixel] * bins, bin_ * length[pixel])
    end = np.minimum((position[pixel] + 1) * bins, (bin_ + 1) * length[pixel])
    return pixel, bin_, end - start


def _boxes_in_cells(
    boxes: Int[np.ndarray, "region 4"], size: tuple[int, int], grid: tuple[int, int], align_corners: bool
) -> Float32[np.ndarray, "region 4"]:
    """Pixel boxes to the cells that are nearest to their first and last pixel, both inside the box as RoI pooling
    counts them. Cells are equal parts of the picture, or, with ``align_corners``, centred from corner to corner.
    """
    places = np.stack([boxes[:, :2], boxes[:, 2:] - 1]).astype(float)  # first and last x, y
    pixels, cells = np.array(size[::-1]), np.array(grid[::-1])
    if align_corners:
        nearest = np.floor(places * (cells - 1) / np.maximum(1, pixels - 1) + 0.5)
    else:
        nearest = np.floor((places + 0.5) * cells / pixels)
    return np.concatenate([*nearest], axis=1).astype(np.float32)


def _chosen_ids(num_regions: int, region_ids: RegionIds | None) -> Int[np.ndarray, "chosen"]:
    chosen = np.arange(num_regions) if region_ids is None else np.asarray(region_ids, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= num_regions):
        raise DataError(
            f"region ids {chosen.min()} to {chosen.max()} were asked for; this picture has 0 to {num_regions - 1}"
        )
    return chosen


def _check_features(features: Tensor) -> None:
    if features.ndim != 3:
        raise DataError(
            f"features must be channel x h x w of one picture, but have shape {tuple(features.shape)}; pool one by one"
        )
