"""Gaussian filtering in many dimensions with a permutohedral lattice, as sparse matrices.

Adams, Baek, Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice" (Eurographics 2010): the filter
sum_j exp(-|f_i - f_j|^2 / 2) v_j is splatting every pixel on the d + 1 corners of the simplex around its feature f_i,
blurring with (1, 2, 1) / 2 along each of the d + 1 lattice directions, and reading the pixels back with the weights
they were splatted with. The result approximates the kernel times a constant, which a normalised kernel does not see.

Choices, both for accuracy and little work beside splatting (pydensecrf does neither):
1. The vertices beside an occupied one are part of the lattice too. Without them, what is blurred beyond the last
   occupied vertex is lost; the largest error on small pictures was up to six times as large.
2. The directions are blurred in one order and in the opposite one, and the mean is taken: on a lattice with a border
   the order matters, and only the mean is a symmetric matrix, as a kernel is.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse
from jaxtyping import Float, Float32, Int, Int64

from wsss_lib.vocabulary import SettingsError

Vertices = Int64[np.ndarray, "pixel coordinate"]

LARGEST_CODE = 2**62
"""Vertices are numbered with 64 bits; what does not fit is refused."""


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """``weights``: pixel x vertex, barycentric (d + 1 per pixel); ``blurs``: one symmetric matrix per direction."""

    weights: scipy.sparse.csr_array
    blurs: tuple[scipy.sparse.csr_array, ...]

    def filtered(self, values: Float32[np.ndarray, "pixel channel"]) -> Float32[np.ndarray, "pixel channel"]:
        """Every pixel's sum of ``values`` weighted by the approximate kernel."""
        forth = back = self.weights.T @ values
        for blur in self.blurs:
            forth = blur @ forth
        for blur in reversed(self.blurs):
            back = blur @ back
        return self.weights @ ((forth + back) / 2)

    def normalized(self) -> "Lattice":
        """The lattice of D^-1/2 K D^-1/2, where K is this one's kernel and D its row sums."""
        pixels, corners = len(self.weights.indptr) - 1, np.diff(self.weights.indptr)
        row_sums = self.filtered(np.ones((pixels, 1), np.float32))[:, 0]
        weights = self.weights.copy()
        weights.data /= np.repeat(np.sqrt(row_sums), corners)
        return replace(self, weights=weights)


def build_lattice(features: Float[np.ndarray, "pixel feature"]) -> Lattice:
    """The lattice around ``features``, each already divided by its standard deviation."""
    pixels, d = features.shape
    base, rank, weights = enclosing_simplex(elevated(features))
    stride = _strides(base)
    corners = np.stack([simplex_corner(base, rank, k) @ stride for k in range(d + 1)], axis=1)
    occupied, column = np.unique(corners, return_inverse=True)
    steps = [int(stride.sum() - (d + 1) * stride[axis]) for axis in range(d + 1)]
    codes = np.unique(np.concatenate([occupied + step for step in [0, *steps, *(-step for step in steps)]]))
    columns = np.searchsorted(codes, occupied)[column.ravel()].astype(np.int32)
    starts = np.arange(0, pixels * (d + 1) + 1, d + 1, dtype=np.int32)
    matrix = scipy.sparse.csr_array((weights.ravel(), columns, starts), shape=(pixels, len(codes)))
    return Lattice(weights=matrix, blurs=tuple(_blur(codes, step) for step in steps))


def elevated(features: Float[np.ndarray, "pixel feature"]) -> Float[np.ndarray, "pixel coordinate"]:
    """Features on the plane of d + 1 coordinates with sum 0, where the lattice lies (Adams et al., section 3).

    With the scale (d + 1) sqrt(2 / 3), blurring and twice interpolating together have standard deviation 1. With one
    feature: vertices are sqrt(3) / 2 apart; the blurs add variance 1, either interpolation 1/6 on average, in units of
    3/4; together (1 + 1/6 + 1/6) 3/4 = 1.
    """
    d = features.shape[1]
    axes = np.tril(np.ones((d, d + 1)))
    axes[np.arange(d), np.arange(1, d + 1)] = -np.arange(1, d + 1)
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return features.astype(np.float64) @ (axes * (d + 1) * np.sqrt(2 / 3))


def enclosing_simplex(
    points: Float[np.ndarray, "pixel coordinate"],
) -> tuple[
    Int64[np.ndarray, "pixel coordinate"], Int[np.ndarray, "pixel coordinate"], Float32[np.ndarray, "pixel corner"]
]:
    """Corner 0 of the simplex around each point, the rank of its offset along each coordinate, the corners' weights.

    Corner 0 is the lattice point whose coordinates are multiples of d + 1; rank 0 is the largest offset from it. The
    other corners follow with :func:`simplex_corner`; the weights are barycentric: they add up to 1 and the weighted
    corners to the point.
    """
    size = points.shape[1]
    whole = np.rint(points / size).astype(np.int64)
    excess = whole.sum(axis=1, keepdims=True)
    rank = np.argsort(np.argsort(whole - points / size, axis=1), axis=1) + excess
    whole += (rank < 0).astype(np.int64) - (rank >= size)  # brings the sum back to 0, at the least cost
    rank %= size
    falling = np.empty_like(points)
    np.put_along_axis(falling, rank, points / size - whole, axis=1)
    weights = np.empty(points.shape, np.float32)
    weights[:, 1:] = (falling[:, :-1] - falling[:, 1:])[:, ::-1]
    weights[:, 0] = 1 + falling[:, -1] - falling[:, 0]
    return whole * size, rank, weights


def simplex_corner(base: Vertices, rank: Int[np.ndarray, "pixel coordinate"], k: int) -> Vertices:
    """Corner ``k`` (0..d): k more than corner 0, and d + 1 less in the coordinates of the k largest ranks."""
    size = base.shape[1]
    return base + k - size * (rank >= size - k)


def _strides(base: Vertices) -> Int64[np.ndarray, "coordinate"]:
    """Factors that turn a vertex into one number, so that a step of the lattice is a difference of numbers.

    The last coordinate follows from the others (sum 0) and has the factor 0. Vertices are up to three steps away from
    a corner 0: a corner, its neighbour, and the neighbour's neighbour that the blur asks for.
    """
    d = base.shape[1] - 1
    stride = [1]
    for spread in np.ptp(base, axis=0)[:d].tolist():
        stride.append(stride[-1] * (spread + 6 * d + 1))
    if sum(stride[:d]) * (int(np.abs(base).max()) + 3 * d) > LARGEST_CODE:
        raise SettingsError("the standard deviations are too small for a lattice over this picture; make them larger")
    return np.array([*stride[:d], 0], dtype=np.int64)


def _blur(codes: Int64[np.ndarray, "vertex"], step: int) -> scipy.sparse.csr_array:
    """1 on the diagonal and 1/2 between vertices that are one step apart."""
    size = len(codes)
    after = np.minimum(np.searchsorted(codes, codes + step), size - 1)
    source = np.flatnonzero(codes[after] == codes + step)
    pairs = source, after[source]
    halves = scipy.sparse.csr_array((np.full(len(source), 0.5, np.float32), pairs), shape=(size, size))
    diagonal = scipy.sparse.diags_array(np.ones(size, np.float32))
    return scipy.sparse.csr_array(diagonal + halves + halves.T)
