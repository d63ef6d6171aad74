"""Spreading class scores over a grid by a random walk along learned affinities (PSA: Ahn and Kwak, CVPR 2018).

With f_i the feature of cell i, two cells closer than a radius have the affinity W_ij = exp(-mean_k |f_i,k - f_j,k|),
and W_ii = 1. The walk goes with T = W^beta, taken element by element, its columns divided by their sums; scores S
(class x cell) become S T^t. So every step gives each cell the mean of its neighbours' scores, weighed by affinity:
scores that are equal everywhere stay, probabilities stay probabilities, and sum_j D_j S_cj with D_j the column sums of
W^beta is conserved for every class c, because W is symmetric.

T has (rows * columns)^2 entries, 4.3 GB for 256 x 128 cells, of which all but 69 in a column are 0 at the published
radius. It is kept sparse and applied t times, which is the same as the published t = 2^8 by eight squarings (choice).
Pairs are made by shifting the whole feature map once per offset. The published program leaves out pairs that start
within 4 cells of the left, right and lower border to keep its index lists rectangular; here every pair counts (choice).
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

Offset = tuple[int, int]


def half_plane_offsets(radius: int) -> tuple[Offset, ...]:
    """(down, right) steps with down^2 + right^2 < radius^2, one of each opposite two; 34 for the published radius 5."""
    reach = range(-radius + 1, radius)
    return tuple(
        (down, right)
        for down in range(radius)
        for right in reach
        if (down > 0 or right > 0) and down**2 + right**2 < radius**2
    )


def pairs_at(
    values: Shaped[Tensor, "*batch rows columns"], offset: Offset
) -> tuple[Shaped[Tensor, "*batch here_rows here_columns"], Shaped[Tensor, "*batch here_rows here_columns"]]:
    """Views of all cells that have a neighbour at ``offset`` and of those neighbours, in the same order.

    In a row [a, b, c] at offset (0, 1): [a, b] and [b, c]. Both are empty where the grid is too small.
    """
    down, right = offset
    rows, columns = (max(0, side - abs(step)) for side, step in zip(values.shape[-2:], offset, strict=True))
    left_here, left_there = max(0, -right), max(0, right)
    here = values[..., :rows, left_here : left_here + columns]
    return here, values[..., down : down + rows, left_there : left_there + columns]


def affinity_at(
    features: Float[Tensor, "batch channel rows columns"], offset: Offset
) -> Float[Tensor, "batch here_rows here_columns"]:
    """W_ij of every cell and its neighbour at an offset, 0..1, cells as in :func:`pairs_at`."""
    here, there = pairs_at(features, offset)
    return (-(here - there).abs().mean(1)).exp()


def transition_matrix(
    affinities: Sequence[Float[Tensor, "here_rows here_columns"]],
    offsets: Sequence[Offset],
    grid: tuple[int, int],
    beta: float,
) -> scipy.sparse.csc_array:
    """T of a grid of (rows, columns), sparse float32, cells in raster order; its columns sum to 1.

    ``affinities`` are those of one picture at each of the ``offsets``, as :func:`affinity_at` gives them.
    """
    count = grid[0] * grid[1]
    cells = torch.arange(count, dtype=torch.int32).view(grid)
    pairs = [pairs_at(cells, offset) for offset in offsets]
    here = np.concatenate([np.zeros(0, np.int32), *(first.reshape(-1).numpy() for first, _ in pairs)])
    there = np.concatenate([np.zeros(0, np.int32), *(second.reshape(-1).numpy() for _, second in pairs)])
    weights = np.concatenate([np.zeros(0, np.float32), *(w.float().reshape(-1).cpu().numpy() for w in affinities)])
    weights = weights**beta
    itself = cells.reshape(-1).numpy()
    matrix = scipy.sparse.csc_array(
        (
            np.concatenate([weights, weights, np.ones(count, np.float32)]),
            (np.concatenate([here, there, itself]), np.concatenate([there, here, itself])),
        ),
        shape=(count, count),
    )
    matrix.data /= np.repeat(matrix.sum(0), np.diff(matrix.indptr))
    return matrix


def random_walk(
    scores: Float32[np.ndarray, "class rows columns"], transitions: scipy.sparse.csc_array, steps: int
) -> Float32[np.ndarray, "class rows columns"]:
    """S T^steps, one sparse product after the other."""
    backwards = transitions.T  # by rows: without a copy, as the matrix itself is kept by columns
    walked = np.ascontiguousarray(scores.reshape(len(scores), -1).T)
    for _ in range(steps):
        walked = backwards @ walked
    return np.ascontiguousarray(walked.T).reshape(scores.shape)
