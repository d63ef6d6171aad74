"""Dense CRF: two pixels by hand, every pair by a slow loop, and the lattice against the exact kernel."""

import math

import cv2
import numpy as np
import pytest
import torch

from wsss_lib.segmentation import crf
from wsss_lib.segmentation.crf import CrfConfig, dense_crf, scaled, small_crf
from wsss_lib.segmentation.lattice import build_lattice, elevated, enclosing_simplex, simplex_corner
from wsss_lib.vocabulary import DataError, SettingsError

SMALL = CrfConfig(bilateral_xy=80 / 12, gaussian_xy=3 / 12)
"""SEC and DSRG while training, in cells of their 41 x 41."""

HALF_AT_ONE_PIXEL = 1 / math.sqrt(2 * math.log(2))
"""Standard deviation of a Gaussian that is 1/2 at distance 1."""


def exactly(unary, image, config):
    """``small_crf`` for one picture, in double precision."""
    images = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double()
    return small_crf(torch.from_numpy(unary)[None].double(), images, config)[0].numpy()


def smooth_picture(seed, size=(36, 24)):
    colors = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(colors, size, interpolation=cv2.INTER_CUBIC)


def two_colors(seed, deviation=8.0):
    """Left third dark, the rest light, with noise."""
    image = np.full((24, 36, 3), 160.0)
    image[:, :12] = 60
    return (image + np.random.default_rng(seed).normal(0, deviation, image.shape)).clip(0, 255).astype(np.uint8)


def random_unary(seed, classes, height, width):
    return np.random.default_rng(seed).uniform(0, 3, (classes, height, width)).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- mean field


@pytest.mark.parametrize("kernel", ["bilateral", "gaussian"])
def test_one_step_of_two_pixels_by_hand(kernel):
    """Two pixels of one colour, kernel 1/2 between them and 1 with themselves; row sums 3/2.

    Normalised: 2/3 and 1/3, with weight 3: 2 and 1. Start (3/4, 1/4) and (1/2, 1/2). Messages to the first pixel are
    2 * 3/4 + 1/2 = 2 and 2 * 1/4 + 1/2 = 1, so its odds become 3 e^(2 - 1); to the second 2 * 1/2 + 3/4 = 7/4 and
    2 * 1/2 + 1/4 = 5/4, so its odds become e^(1/2).
    """
    config = CrfConfig(
        bilateral_weight=3.0 if kernel == "bilateral" else 0.0,
        bilateral_xy=HALF_AT_ONE_PIXEL,
        gaussian_weight=3.0 if kernel == "gaussian" else 0.0,
        gaussian_xy=HALF_AT_ONE_PIXEL,
        steps=1,
    )
    unary = -np.log(np.array([[[3 / 4, 1 / 2]], [[1 / 4, 1 / 2]]], np.float32))
    image = np.full((1, 2, 3), 77, np.uint8)
    odds = np.array([3 * math.e, math.exp(1 / 2)])
    expected = np.stack([odds / (1 + odds), 1 / (1 + odds)])[:, None]
    np.testing.assert_allclose(exactly(unary, image, config), expected, atol=1e-6)
    tolerance = 1e-6 if kernel == "gaussian" else 0.03  # the lattice approximates the bilateral kernel
    np.testing.assert_allclose(dense_crf(unary, image, config), expected, atol=tolerance)


def test_small_crf_is_a_loop_over_pairs():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 60, (3, 4, 3), dtype=np.uint8)
    unary = random_unary(1, 3, 3, 4)
    config = CrfConfig(bilateral_xy=2.0, bilateral_rgb=20.0, gaussian_xy=0.8, steps=3)
    pixels = [(y, x) for y in range(3) for x in range(4)]

    def pair(i, j):
        near = (i[0] - j[0]) ** 2 + (i[1] - j[1]) ** 2
        alike = sum((float(image[i][c]) - float(image[j][c])) ** 2 for c in range(3))
        return math.exp(-near / 8 - alike / 800), math.exp(-near / (2 * 0.64))

    sums = {i: np.sum([pair(i, j) for j in pixels], axis=0) for i in pixels}
    q = np.exp(-unary.astype(np.float64))
    q /= q.sum(0)
    for _ in range(3):
        new = np.empty_like(q)
        for i in pixels:
            message = np.zeros(3)
            for j in pixels:
                bilateral, gaussian = np.array(pair(i, j)) / np.sqrt(sums[i] * sums[j])
                message += (10 * bilateral + 3 * gaussian) * q[(slice(None), *j)]
            weights = np.exp(message - unary[(slice(None), *i)])
            new[(slice(None), *i)] = weights / weights.sum()
        q = new
    np.testing.assert_allclose(exactly(unary, image, config), q, atol=1e-9)


def test_small_crf_in_single_precision():
    """On the grid of a CamVid picture, with the field of SEC: what training uses is what double precision gives."""
    images = torch.from_numpy(smooth_picture(0, (61, 47))).permute(2, 0, 1)[None]
    unary = torch.from_numpy(random_unary(0, 11, 47, 61))[None]
    single, double = (small_crf(unary.to(kind), images.to(kind), SMALL) for kind in (torch.float32, torch.float64))
    assert single.dtype == torch.float32
    assert (single - double).abs().mean() < 2e-6
    assert (single - double).abs().max() < 0.01


@pytest.mark.parametrize("deviation", [0.25, 3.0, 40.0])
def test_spatial_kernel_alone_is_exact(deviation):
    image, unary = smooth_picture(0), random_unary(0, 4, 24, 36)
    config = CrfConfig(bilateral_weight=0.0, gaussian_xy=deviation)
    np.testing.assert_allclose(dense_crf(unary, image, config), exactly(unary, image, config), atol=2e-5)


def clear_objects(seed):
    """A dark disk and a light box on a plain ground with noise, and a unary that is wrong at 20 % of the pixels."""
    ys, xs = np.mgrid[:40, :50]
    labels = np.zeros((40, 50), np.int64)
    labels[(ys - 14) ** 2 + (xs - 15) ** 2 < 81] = 1
    labels[20:36, 30:46] = 2
    rng = np.random.default_rng(seed)
    image = np.array([[120, 130, 90], [30, 40, 60], [220, 200, 210]])[labels] + rng.normal(0, 6, (40, 50, 3))
    wrong = rng.random(labels.shape) < 0.3
    seen = np.where(wrong, rng.integers(0, 3, labels.shape), labels)
    unary = -np.log(np.where(np.arange(3)[:, None, None] == seen, 0.6, 0.2)).astype(np.float32)
    return labels, unary, image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    "config", [crf.PSA_CAM, CrfConfig(bilateral_weight=5, bilateral_xy=50), scaled(crf.PSA_CAM, 0.1)]
)
def test_whole_picture_agrees_with_every_pair(config):
    """With clear objects every label agrees (three seeds measured: 100 %), the probabilities to 2e-4 on average."""
    _, unary, image = clear_objects(0)
    dense, exact = dense_crf(unary, image, config), exactly(unary, image, config)
    assert (dense.argmax(0) == exact.argmax(0)).mean() >= 0.995
    assert np.abs(dense - exact).mean() < 1e-3


@pytest.mark.parametrize("seed", [0, 1])
def test_whole_picture_agrees_with_every_pair_where_nothing_is_clear(seed):
    """No edges, no objects: 98.7 and 97.9 % of the labels agree (72 and 78 % at the start)."""
    image = smooth_picture(seed)
    coarse = np.random.default_rng(0).dirichlet(np.full(4, 0.3), (5, 6))
    unary = -np.log(np.maximum(cv2.resize(coarse, (36, 24)).transpose(2, 0, 1), 1e-5)).astype(np.float32)
    labels = exactly(unary, image, crf.PSA_CAM).argmax(0)
    assert (dense_crf(unary, image, crf.PSA_CAM).argmax(0) == labels).mean() >= 0.97
    assert (unary.argmin(0) == labels).mean() < 0.8


def test_noisy_unary_becomes_clean():
    """20 % of the pixels start with the wrong label; with colours to follow, none is left."""
    labels, unary, image = clear_objects(1)
    assert (unary.argmin(0) != labels).mean() > 0.15
    assert (dense_crf(unary, image, scaled(crf.PSA_CAM, 0.1)).argmax(0) == labels).all()


def test_colors_decide_not_only_places():
    """Over a grey picture the same unary loses its objects (75 % right; 100 % with colours)."""
    labels, unary, image = clear_objects(1)
    grey = np.full_like(image, 128)
    config = CrfConfig(bilateral_xy=8.0, gaussian_weight=0.0)
    assert (dense_crf(unary, image, config).argmax(0) == labels).mean() > 0.99
    assert (dense_crf(unary, grey, config).argmax(0) == labels).mean() < 0.8


def test_flat_unary_stays_flat():
    q = dense_crf(np.full((4, 24, 36), 2.5, np.float32), smooth_picture(2), CrfConfig())
    np.testing.assert_allclose(q, 1 / 4, atol=1e-5)


def test_one_class_is_certain():
    assert (dense_crf(random_unary(0, 1, 24, 36), smooth_picture(0), CrfConfig()) == 1).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2)])
def test_tiny_pictures(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    q = dense_crf(random_unary(0, 3, *size), image, CrfConfig())
    assert q.shape == (3, *size)
    assert q.dtype == np.float32
    np.testing.assert_allclose(q.sum(0), 1, atol=1e-5)


def test_same_answer_twice_for_arrays_and_tensors_and_inputs_stay():
    image, unary = smooth_picture(3), random_unary(3, 5, 24, 36)
    first = dense_crf(unary, image, CrfConfig())
    kept = image.copy(), unary.copy()
    mirrored = np.ascontiguousarray(unary[:, :, ::-1])[:, :, ::-1]  # the same values with negative strides
    for same in (unary, unary.astype(np.float64), mirrored, torch.from_numpy(unary).requires_grad_()):
        assert np.array_equal(dense_crf(same, image, CrfConfig()), first)
    assert np.array_equal(image, kept[0])
    assert np.array_equal(unary, kept[1])


def test_a_constant_per_pixel_does_not_matter():
    image, unary = smooth_picture(3), random_unary(3, 5, 24, 36)
    moved = unary + np.arange(36, dtype=np.float32) % 4
    np.testing.assert_allclose(dense_crf(moved, image, CrfConfig()), dense_crf(unary, image, CrfConfig()), atol=1e-3)


# ----------------------------------------------------------------------------------------------------------- lattice


def exact_kernel(features):
    return np.exp(-np.square(features[:, None] - features).sum(-1) / 2)


def picture_features(image, xy, rgb):
    ys, xs = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.concatenate([np.stack([xs, ys], -1) / xy, image / rgb], -1).reshape(-1, 5)


def normalized(kernel):
    scale = 1 / np.sqrt(kernel.sum(1))
    return kernel * scale * scale[:, None]


def test_two_neighbouring_vertices_by_hand():
    """With one feature, vertices are sqrt(3) / 2 apart and both directions are the line: (1, 2, 1) / 2 twice.

    That is (1, 4, 6, 4, 1) / 4: 3/2 at a vertex itself and 1 at its neighbour, for pixels that lie on vertices.
    Three vertices further on the kernel is 0. The blur that leaves the two and comes back (through the vertices beside
    them) is part of the 3/2, so this fails without those.
    """
    apart = math.sqrt(3) / 2
    kernel = build_lattice(np.array([[0.0], [apart], [4 * apart]])).filtered(np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(kernel, [[1.5, 1, 0], [1, 1.5, 0], [0, 0, 1.5]], atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_points_are_the_weighted_corners_around_them(dimensions):
    points = elevated(np.random.default_rng(dimensions).normal(0, 3, (200, dimensions)))
    np.testing.assert_allclose(points.sum(1), 0, atol=1e-9)
    base, rank, weights = enclosing_simplex(points)
    corners = np.stack([simplex_corner(base, rank, k) for k in range(dimensions + 1)], axis=1)
    assert (corners.sum(2) == 0).all()
    assert (corners % (dimensions + 1) == np.arange(dimensions + 1)[:, None]).all()
    assert weights.min() > -1e-5
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose((weights[:, :, None] * corners).sum(1), points, atol=1e-4)


@pytest.mark.parametrize("image", [smooth_picture(0), smooth_picture(1), two_colors(0), two_colors(1)])
@pytest.mark.parametrize(("xy", "rgb"), [(8, 13), (8, 40), (80, 13)])
def test_lattice_is_near_the_exact_kernel(image, xy, rgb):
    """Normalised, on random probabilities: measured, 1.4 to 4.2 % mean and 6 to 10 % largest error of the exact values.

    The largest error is relative to the largest exact value. Without the vertices beside the occupied ones it is 12 to
    38 % on the smooth pictures.
    """
    features = picture_features(image, xy, rgb)
    values = np.random.default_rng(0).dirichlet(np.full(4, 0.3), len(features)).astype(np.float32)
    exact = normalized(exact_kernel(features)) @ values
    error = np.abs(build_lattice(features).normalized().filtered(values) - exact)
    assert error.mean() / exact.mean() < 0.05
    assert error.max() / exact.max() < 0.12


def test_lattice_filters_symmetrically_and_channels_one_by_one():
    features = picture_features(smooth_picture(0, (12, 9)), 5, 30)
    identity = np.eye(len(features), dtype=np.float32)
    lattice = build_lattice(features).normalized()
    kernel = lattice.filtered(identity)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6)
    alone = np.concatenate([lattice.filtered(identity[:, [i]]) for i in range(len(features))], axis=1)
    np.testing.assert_allclose(alone, kernel, atol=1e-6)


# ------------------------------------------------------------------------------------------------ settings and errors


def test_another_grid_scales_places_and_not_colors():
    config = scaled(SMALL, 2)
    assert (config.bilateral_xy, config.gaussian_xy) == pytest.approx((80 / 6, 0.5))
    assert (config.bilateral_weight, config.bilateral_rgb, config.gaussian_weight, config.steps) == (10, 13, 3, 10)
    assert scaled(SMALL, 12) == crf.PSA_CAM
    with pytest.raises(SettingsError, match="above 0"):
        scaled(config, 0)


@pytest.mark.parametrize(
    ("unary", "image", "message"),
    [
        (
            np.zeros((2, 4, 5)),
            np.zeros((5, 4, 3), np.uint8),
            r"unary has shape \(2, 4, 5\) but the picture \(5, 4, 3\)",
        ),
        (np.zeros((4, 5)), np.zeros((4, 5, 3), np.uint8), r"unary has shape \(4, 5\)"),
        (np.zeros((0, 4, 5)), np.zeros((4, 5, 3), np.uint8), r"unary has shape \(0, 4, 5\)"),
        (np.zeros((2, 4, 5)), np.zeros((4, 5), np.uint8), r"uint8 RGB picture.* shape \(4, 5\)"),
        (np.zeros((2, 4, 5)), np.zeros((4, 5, 3)), "uint8 RGB picture.*float64"),
        (np.full((2, 4, 5), np.inf), np.zeros((4, 5, 3), np.uint8), "not finite"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(unary, image, message):
    with pytest.raises(DataError, match=message) as caught:
        dense_crf(unary, image, CrfConfig())
    assert "\n" not in str(caught.value)
    assert ". " not in str(caught.value)


@pytest.mark.parametrize("bad", [{"bilateral_xy": 0.0}, {"bilateral_rgb": -1.0}, {"gaussian_xy": 0.0}, {"steps": 0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError, match="above 0"):
        CrfConfig(**bad)


def test_a_lattice_too_fine_to_number_is_refused():
    with pytest.raises(SettingsError, match="too small"):
        dense_crf(random_unary(0, 2, 24, 36), smooth_picture(0), CrfConfig(bilateral_rgb=1e-3))
