"""Centre loss: value, gradient and update by hand, the gradient also by finite differences."""

import pytest
import torch

from wsss_lib.clustering.center_loss import CenterLoss, class_means
from wsss_lib.vocabulary import SettingsError


@pytest.fixture
def example():
    """Three classes in the plane, a batch of four features, class 2 absent."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    features = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    return centers, features, torch.tensor([0, 1, 1, 1])


def test_the_loss_by_hand():
    """Distances 5 (3, 4) and 1 from the centres of a batch of two: (25 + 1) / (2 * 2)."""
    loss = CenterLoss(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    assert loss(torch.tensor([[3.0, 4.0], [1.0, 2.0]]), torch.tensor([0, 1])).item() == 6.5


def test_the_gradient_is_the_distance_over_the_batch_size(example):
    centers, features, labels = example
    features.requires_grad_()
    CenterLoss(centers)(features, labels).backward()
    torch.testing.assert_close(features.grad, (features.detach() - centers[labels]) / 4)


def test_the_gradient_agrees_with_finite_differences(example):
    centers, features, labels = example
    assert torch.autograd.gradcheck(lambda x: CenterLoss(centers)(x, labels), features.requires_grad_())


def test_the_centres_are_no_parameters_but_are_saved(example):
    centers, features, labels = example
    loss = CenterLoss(centers)
    assert list(loss.parameters()) == []
    assert set(loss.state_dict()) == {"centers"}
    loss(features.requires_grad_(), labels).backward()
    assert loss.centers.grad is None


def test_the_update_by_hand():
    """The example of the docstring: a centre at 0 and one feature 4 of its class move to 1."""
    loss = CenterLoss(torch.zeros(1, 1), alpha=0.5)
    loss.update(torch.tensor([[4.0]]), torch.tensor([0]))
    assert loss.centers.item() == 1


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("count", [1, 3, 9])
def test_rare_classes_move_by_the_formula(alpha, count):
    """n equal features at x: c + alpha n / (1 + n) (x - c); one feature moves its centre half as far as many would."""
    loss = CenterLoss(torch.tensor([[2.0], [7.0]]), alpha=alpha)
    loss.update(torch.full((count, 1), 10.0), torch.zeros(count, dtype=torch.long))
    torch.testing.assert_close(loss.centers, torch.tensor([[2 + alpha * count / (1 + count) * 8], [7.0]]))


def test_the_update_is_the_sum_over_the_batch(example):
    centers, features, labels = example
    loss = CenterLoss(centers, alpha=0.5)
    loss.update(features, labels)
    assert torch.equal(loss.centers[2], centers[2])  # an absent class stays
    for index, count in ((0, 1), (1, 3)):
        step = sum(centers[index] - x for x, label in zip(features, labels, strict=True) if label == index)
        torch.testing.assert_close(loss.centers[index], centers[index] - 0.5 * step / (1 + count))


def test_the_update_does_not_change_what_it_was_started_from(example):
    centers, features, labels = example
    before = centers.clone()
    CenterLoss(centers).update(features, labels)
    assert torch.equal(centers, before)


def test_updates_reach_the_class_means_of_fixed_features(example):
    _, features, labels = example
    loss = CenterLoss(torch.zeros(3, 2, dtype=torch.float64))
    for _ in range(200):
        loss.update(features, labels)
    torch.testing.assert_close(loss.centers, class_means(features, labels, 3))


def test_following_the_gradient_pulls_features_to_their_centres(example):
    centers, features, labels = example
    loss, distance = CenterLoss(centers), (features - centers[labels]).norm(dim=1)
    moved = features.clone().requires_grad_()
    loss(moved, labels).backward()
    nearer = (moved.detach() - moved.grad - centers[labels]).norm(dim=1)
    torch.testing.assert_close(nearer, 0.75 * distance)  # a step of 1 / m of the way, m = 4


def test_class_means_by_hand():
    features = torch.tensor([[1.0, 0], [3, 2], [5, 5]])
    assert class_means(features, torch.tensor([0, 0, 2]), 4).tolist() == [[2, 1], [0, 0], [5, 5], [0, 0]]


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_a_step_outside_0_to_1_is_refused(alpha):
    with pytest.raises(SettingsError, match="alpha must be between 0 and 1"):
        CenterLoss(torch.zeros(1, 1), alpha)
