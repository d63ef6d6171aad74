"""Relabelling by hand, among the tags only, and chunked as whole."""

import pytest
import torch

from wsss_lib.clustering.relabel import by_classifier, closeness


def test_by_classifier_by_hand():
    """Class 1 scores highest everywhere; the second region's picture does not have it, the third has only class 2."""
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.3, 0.9, -7.0]])
    tags = torch.tensor([[True, True, True], [True, False, True], [False, False, True]])
    assert by_classifier(scores, tags).tolist() == [1, 2, 2]


def test_by_nearest_centre_by_hand():
    """Region (1, 0): centres at distance 1, 0.5, 3; without class 1 the nearest is class 0."""
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    centers = torch.tensor([[0.0, 0.0], [1.5, 0.0], [4.0, 0.0]])
    tags = torch.tensor([[True, True, True], [True, False, True]])
    assert closeness(features, centers)[0].tolist() == [-1, -0.5, -3]
    assert nearest(features, centers, tags).tolist() == [1, 0]


def nearest(features, centers, tags):
    return by_classifier(closeness(features, centers), tags)


@pytest.fixture(scope="module")
def many():
    """500 regions, 6 classes, at least one tag each."""
    generator = torch.Generator().manual_seed(0)
    tags = torch.rand(500, 6, generator=generator) < 0.4
    tags[:, 3] |= ~tags.any(1)
    return (
        torch.randn(500, 6, generator=generator),
        torch.randn(500, 4, generator=generator),
        torch.randn(6, 4, generator=generator),
        tags,
    )


def test_absent_tags_are_never_assigned(many):
    scores, features, centers, tags = many
    for labels in (by_classifier(scores, tags), nearest(features, centers, tags)):
        assert tags[torch.arange(500), labels].all()


@pytest.mark.parametrize("size", [1, 7, 499])
def test_chunks_give_what_the_whole_gives(many, size):
    scores, features, centers, tags = many
    chunks = zip(scores.split(size), features.split(size), tags.split(size), strict=True)
    parts = [(by_classifier(s, t), nearest(f, centers, t)) for s, f, t in chunks]
    assert torch.equal(torch.cat([part[0] for part in parts]), by_classifier(scores, tags))
    assert torch.equal(torch.cat([part[1] for part in parts]), nearest(features, centers, tags))


def test_with_all_tags_both_are_the_plain_rules(many):
    scores, features, centers, _ = many
    tags = torch.ones(500, 6, dtype=torch.bool)
    assert torch.equal(by_classifier(scores, tags), scores.argmax(1))
    distance = (features[:, None] - centers).square().sum(2)
    assert torch.equal(nearest(features, centers, tags), distance.argmin(1))
