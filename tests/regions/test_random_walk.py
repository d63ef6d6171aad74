"""The walk goes to neighbours only, conserves what it must, and stops at cut edges."""

import numpy as np
import pytest
import torch

from wsss_lib.regions.random_walk import affinity_at, half_plane_offsets, pairs_at, random_walk, transition_matrix


def chain(weights: list[float], beta: float = 1.0):
    """Transitions of cells in a row; at radius 2 each has its left and right neighbour (and diagonals, of which a
    single row has none)."""
    offsets = half_plane_offsets(2)
    affinities = [torch.tensor([weights]) if offset == (0, 1) else torch.zeros(1 - offset[0], 0) for offset in offsets]
    return transition_matrix(affinities, offsets, (1, len(weights) + 1), beta)


def test_34_offsets_and_their_opposites_are_the_disk_without_its_centre():
    """69 points have down^2 + right^2 < 25; without (0, 0) there are 68, half of them 34."""
    offsets = set(half_plane_offsets(5))
    opposite = {(-down, -right) for down, right in offsets}
    disk = {(y, x) for y in range(-9, 10) for x in range(-9, 10) if 0 < y * y + x * x < 25}
    assert len(half_plane_offsets(5)) == len(offsets) == 34
    assert not offsets & opposite
    assert offsets | opposite == disk


@pytest.mark.parametrize("offset", half_plane_offsets(3))
def test_pairs_are_the_cells_that_far_apart(offset):
    """In a 4 x 5 grid of raster numbers; on a grid smaller than the step there are none."""
    here, there = pairs_at(torch.arange(20).view(4, 5), offset)
    expected = [
        (y * 5 + x, (y + offset[0]) * 5 + x + offset[1])
        for y in range(4)
        for x in range(5)
        if y + offset[0] < 4 and 0 <= x + offset[1] < 5
    ]
    assert list(zip(here.flatten().tolist(), there.flatten().tolist(), strict=True)) == expected
    small = pairs_at(torch.zeros(1, 1), offset)
    assert small[0].shape == small[1].shape
    assert small[0].numel() == 0


def test_affinity_of_two_cells():
    """Features (1, 0) and (0, 3) differ by 1 and 3, 2 in the mean: exp(-2)."""
    features = torch.tensor([[[[1.0, 0.0]], [[0.0, 3.0]]]])
    assert affinity_at(features, (0, 1)).item() == pytest.approx(np.exp(-2))


def test_one_step_on_a_chain_of_four_cells():
    """All affinities 1: a cell takes the mean of itself and its neighbours, so 1 at the first cell becomes 1/2 there
    and 1/3 at the second. Weighed by the column sums 2, 3, 3, 2 the mass stays 2, and ends as 2/10 everywhere."""
    transitions = chain([1.0, 1.0, 1.0])
    np.testing.assert_allclose(transitions.sum(0), 1, rtol=1e-6)
    start = np.array([[[1.0, 0.0, 0.0, 0.0]]], dtype=np.float32)
    one, many = (random_walk(start, transitions, steps)[0, 0] for steps in (1, 256))
    np.testing.assert_allclose(one, [1 / 2, 1 / 3, 0, 0], rtol=1e-6)
    assert one @ [2, 3, 3, 2] == pytest.approx(2)
    np.testing.assert_allclose(many, 0.2, rtol=1e-4)


def test_beta_is_an_element_wise_power():
    """Affinity 1/2 and beta 2: weights 1 and 1/4, so 1 at the first of two cells becomes 4/5 there, 1/5 beside."""
    walked = random_walk(np.array([[[1.0, 0.0]]], dtype=np.float32), chain([0.5], beta=2.0), 1)
    np.testing.assert_allclose(walked[0, 0], [0.8, 0.2], rtol=1e-6)


def test_a_cut_edge_stops_the_flow():
    walked = random_walk(np.array([[[1.0, 0.0, 0.0, 0.0]]], dtype=np.float32), chain([1.0, 0.0, 1.0]), 256)
    np.testing.assert_allclose(walked[0, 0], [0.5, 0.5, 0, 0], rtol=1e-5)


def test_the_sparse_walk_is_the_dense_one_by_squaring():
    """Every pair of cells looked at one by one, the matrix squared three times: eight steps."""
    grid, radius, beta = (5, 6), 3, 2.0
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 4, *grid, generator=generator)
    cells = features[0].flatten(1).T.numpy().astype(np.float64)
    dense = np.zeros((30, 30))
    for i in range(30):
        for j in range(30):
            if (i // 6 - j // 6) ** 2 + (i % 6 - j % 6) ** 2 < radius**2:
                dense[i, j] = np.exp(-np.abs(cells[i] - cells[j]).mean()) ** beta
    dense /= dense.sum(0)
    offsets = half_plane_offsets(radius)
    transitions = transition_matrix([affinity_at(features, o)[0] for o in offsets], offsets, grid, beta)
    np.testing.assert_allclose(transitions.toarray(), dense, atol=1e-6)
    scores = torch.rand(3, *grid, generator=generator).softmax(0).numpy()
    for _ in range(3):
        dense = dense @ dense
    walked = random_walk(scores, transitions, 8)
    np.testing.assert_allclose(walked.reshape(3, -1), scores.reshape(3, -1) @ dense, atol=1e-5)
    np.testing.assert_allclose(walked.sum(0), 1, atol=1e-5)  # probabilities stay probabilities
    np.testing.assert_array_equal(random_walk(scores, transitions, 0), scores)
