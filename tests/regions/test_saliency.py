"""Saliency: the parts by hand, then objects on textured ground, flat and grey and tiny pictures, mirrored pictures."""

import numpy as np
import pytest

from wsss_lib.regions import saliency as saliency_module
from wsss_lib.regions.saliency import (
    background_contrast,
    background_weights,
    cut,
    neighbours,
    optimize,
    path_distances,
    saliency,
)
from wsss_lib.vocabulary import DataError


def textured(height=60, width=80, seed=0):
    """A green ground with noise and a red square in the middle."""
    image = np.array([60, 140, 60]) + np.random.default_rng(seed).integers(-15, 16, (height, width, 3))
    image[20:40, 30:50] = np.array([200, 40, 40]) + np.random.default_rng(seed + 1).integers(-15, 16, (20, 20, 3))
    return image.clip(0, 255).astype(np.uint8)


def inside(shape=(60, 80)):
    mask = np.zeros(shape, dtype=bool)
    mask[20:40, 30:50] = True
    return mask


def test_neighbours_by_hand():
    assert neighbours(np.array([[0, 0, 1], [2, 2, 1]], dtype=np.int32)).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert neighbours(np.zeros((3, 3), dtype=np.int32)).shape == (0, 2)


def test_a_large_region_is_cut_by_the_grid_and_the_cut_is_symmetric():
    patches = cut(np.zeros((27, 42), dtype=np.int32))
    assert np.bincount(patches.ravel()).tolist() == [9] * (27 * 42 // 9)
    mirrored = cut(np.zeros((32, 46), dtype=np.int32))
    assert len(np.unique(np.stack([mirrored, mirrored[:, ::-1]]).reshape(2, -1), axis=1).T) == mirrored.max() + 1


def test_paths_go_around_texture_free_and_along_the_border():
    """Five patches in a row, 0 to 4, of colours 0, 1, 31, 1, 2; the ends are at the border.

    Nearest neighbours are 1, 1, 30, 1, 1 away, so 1 is texture. From 0 to 3 the way along the border costs
    (2 - 1) for 0-4 and 0 for 4-3; the way through the middle would cost 58. The middle is 29 from its neighbours.
    """
    color = np.array([0.0, 1, 31, 1, 2])
    apart = np.abs(color[:, None] - color)
    row = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    path = path_distances(apart, row, np.array([True, False, False, False, True]))
    assert path[0] == pytest.approx([0, 0, 29, 1, 1], abs=1e-6)
    assert path[1, 3] == pytest.approx(1, abs=1e-6)


def test_background_weights_by_hand():
    """Two patches that no path joins: 16 pixels with 8 at the border, b = 8 / 4; 25 pixels away from it, b = 0."""
    path = np.array([[0, 1e9], [1e9, 0]])
    assert background_weights(path, np.array([16.0, 25]), np.array([8, 0])) == pytest.approx([1 - np.exp(-2), 0])


def test_contrast_by_hand():
    """Two patches at one place, 4 Lab units apart, 3 and 1 pixels, of which only the first is ground.

    The second sees 3 of 4 pixels at distance 4 = 3, of 10 that count as full; the first sees only itself as ground.
    """
    apart = np.array([[0.0, 4], [4, 0]])
    contrast = background_contrast(apart, np.zeros((2, 2)), np.array([1.0, 0]), np.array([3.0, 1]))
    assert contrast == pytest.approx([0, 0.3])
    strong = background_contrast(10 * apart, np.zeros((2, 2)), np.array([1.0, 0]), np.array([3.0, 1]))
    assert strong == pytest.approx([0, 1])


def test_near_ground_counts_more_in_the_contrast_by_hand():
    """A patch of 1 pixel and two of ground: 2 pixels 0.25 away, of weight exp(-1/2), and 3 pixels 0.5 away, exp(-2).

    They differ by 4 and 8 Lab units, of which 10 are full contrast.
    """
    apart = np.array([[0.0, 4, 8], [4, 0, 0], [8, 0, 0]])
    far = np.array([[0.0, 0.25, 0.5], [0.25, 0, 0.25], [0.5, 0.25, 0]])
    contrast = background_contrast(apart, far, np.array([0.0, 1, 1]), np.array([1.0, 2, 3]))
    near, distant = 2 * np.exp(-1 / 2), 3 * np.exp(-2)
    assert contrast == pytest.approx([(near * 4 + distant * 8) / (1 + near + distant) / 10, 0, 0])


def test_the_optimum_by_hand():
    """Ground patch (1, 0) and figure patch (0, 1); touching in very different colours only mu = 0.1 joins them.

    s_0 + 0.1 (s_0 - s_1) = 0 and (s_1 - 1) + 0.1 (s_1 - s_0) = 0 give s = (1/12, 11/12).
    """
    ground, figure, apart = np.array([1.0, 0]), np.array([0.0, 1]), np.array([[0, 1e3], [1e3, 0]])
    assert optimize(ground, figure, apart, np.empty((0, 2), dtype=int)) == pytest.approx([0, 1], abs=1e-5)
    assert optimize(ground, figure, apart, np.array([[0, 1]])) == pytest.approx([1 / 12, 11 / 12], abs=1e-5)


def test_patches_of_like_colour_are_drawn_together():
    """The same two patches, 0 and 10 Lab units apart, are joined by w = 1.1 and exp(-1/2) + 0.1: s = w / (1 + 2 w)."""
    for distance, w in ((0.0, 1.1), (10.0, np.exp(-1 / 2) + 0.1)):
        apart = np.array([[0, distance], [distance, 0]])
        result = optimize(np.array([1.0, 0]), np.array([0.0, 1]), apart, np.array([[0, 1]]))
        assert result == pytest.approx([w / (1 + 2 * w), 1 - w / (1 + 2 * w)], abs=1e-5)


@pytest.mark.parametrize(
    ("color", "lab"),
    [
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
    ],
)
def test_colours_are_compared_in_lab_and_places_in_longer_sides(color, lab, monkeypatch):
    """A square of a primary colour on black, (0, 0, 0) in Lab; the corner cells of 60 x 80 pixels are about 5 wide."""
    seen = {}

    def contrast(apart, far, ground, size):
        seen.update(apart=apart, far=far)
        return background_contrast(apart, far, ground, size)

    monkeypatch.setattr(saliency_module, "background_contrast", contrast)
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    image[inside()] = color
    saliency(image)
    assert seen["apart"].max() == pytest.approx(np.linalg.norm(lab), abs=0.5)
    assert seen["far"].max() == pytest.approx(np.hypot(60 - 5, 80 - 5) / 80, abs=0.03)


def test_the_least_salient_patch_is_zero_and_one_stays_one(monkeypatch):
    """Values from 0.2 to 0.6 become (0.2 - 0.2) / 0.8 = 0 to (0.6 - 0.2) / 0.8 = 0.5: the largest is not stretched."""
    monkeypatch.setattr(saliency_module, "optimize", lambda ground, *_: np.linspace(0.2, 0.6, len(ground)))
    result = saliency(textured())
    assert result.min() == 0
    assert result.max() == pytest.approx(0.5)


def test_an_object_on_textured_ground_is_salient():
    result = saliency(textured())
    assert result.dtype == np.float32
    assert result.shape == (60, 80)
    assert result[inside()].mean() > 0.8
    assert result[~inside()].mean() < 0.1


def test_ground_that_an_object_cuts_in_two_stays_ground():
    image = np.full((60, 80, 3), (60, 140, 60), dtype=np.uint8)
    image[:, 36:44] = (200, 40, 40)
    result = saliency(image)
    assert result[:, 36:44].mean() > result[:, :36].mean() + 0.2
    assert result[:, :36].mean() == pytest.approx(result[:, 44:].mean(), abs=0.01)


@pytest.mark.parametrize("value", [0, 99, 255])
def test_a_flat_picture_has_nothing_salient(value):
    assert not saliency(np.full((40, 50, 3), value, dtype=np.uint8)).any()


def test_faint_noise_is_not_stretched_to_full_range():
    noise = np.random.default_rng(0).integers(118, 123, (60, 80, 3)).astype(np.uint8)
    assert saliency(noise).max() < 0.3


def test_a_mirrored_picture_gives_mirrored_saliency():
    image = textured(seed=3)
    image[5:15, 5:15] = (30, 30, 200)
    turned = saliency(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    assert np.abs(turned - saliency(image)).mean() < 0.02


@pytest.mark.parametrize("size", [(4, 4), (4, 30), (30, 4), (5, 7), (17, 16)])
def test_any_size_gives_finite_values_in_range(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    result = saliency(image)
    assert result.shape == size
    assert np.isfinite(result).all()
    assert 0 <= result.min() <= result.max() <= 1


def test_grey_pictures():
    grey = np.repeat(textured().mean(2, keepdims=True), 3, axis=2).astype(np.uint8)
    grey[inside()] = 240
    result = saliency(grey)
    assert result[inside()].mean() > result[~inside()].mean() + 0.5
    with pytest.raises(DataError, match="uint8 RGB"):
        saliency(grey[..., 0])
