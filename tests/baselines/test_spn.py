"""SPN: scores of superpixels by hand, label maps with and without a background, and the whole alternation."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from wsss_lib.baselines import spn as spn_module
from wsss_lib.baselines.network_rounds import region_probability, round_settings, surest_tag
from wsss_lib.baselines.skeleton import tagged_prediction
from wsss_lib.baselines.spn import (
    PooledPicture,
    SpnConfig,
    branch_loss,
    object_classes,
    pool_features,
    pool_picture,
    spn,
    superpixel_heat,
    superpixel_labels,
    train_branch,
)
from wsss_lib.segmentation.networks import upsample
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, SettingsError

ALL = np.array([True, True, True])


def test_averages_and_scores_of_two_superpixels_of_different_size():
    """One channel 1, 3, 5, 7 on four pixels; the first superpixel is one pixel, the second three.

    x = (1, 5), their mean 3 (every superpixel counts once), the mean of the grid 4. With w = 2 the scores are 2 and 10.
    """
    pooled = pool_features(
        torch.tensor([[[1.0, 3.0], [5.0, 7.0]]]), np.array([[0, 1], [1, 1]], dtype=np.int32), align_corners=True
    )
    assert pooled.superpixels.tolist() == [[1.0], [5.0]]
    assert pooled.superpixels.mean(0).tolist() == [3.0]
    assert pooled.everywhere.tolist() == [4.0]
    assert (torch.from_numpy(pooled.superpixels).float() @ torch.tensor([[2.0]])).tolist() == [[2.0], [10.0]]


def test_the_published_upsampling_by_two_is_contained_in_the_pooling(material):
    """With aligned corners a grid of n cells and one of 2 n - 1 cells are the same bilinear function."""
    features = torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0))
    doubled = upsample(features[None], (7, 11))[0]
    regions = material.regions(0)
    np.testing.assert_allclose(
        pool_features(doubled, regions, align_corners=True).superpixels,
        pool_features(features, regions, align_corners=True).superpixels,
        atol=2e-3,
    )


def test_loss_of_both_branches_by_hand():
    """w = 1, no bias: logits 0 (cost log 2 = 0.693) and 2 for a class that is there (cost log(1 + e^-2) = 0.127)."""
    branch = nn.Linear(1, 1)
    nn.init.ones_(branch.weight)
    nn.init.zeros_(branch.bias)
    loss = branch_loss(branch, torch.tensor([[0.0]]), torch.tensor([[2.0]]), torch.tensor([[True]]))
    assert loss.item() == pytest.approx(0.6931 + 0.1269, abs=1e-3)


def test_heat_keeps_tags_only_and_every_class_reaches_one():
    scores = torch.tensor([[4.0, -1.0, 9.0], [2.0, -3.0, 9.0]])
    heat = superpixel_heat(scores, np.array([True, True, False]))
    torch.testing.assert_close(heat, torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.0, 0.0]]))


@pytest.mark.parametrize(("background", "below"), [(0, 0), (None, IGNORE)])
def test_superpixels_below_the_threshold_are_background_or_unknown(background, below):
    """Class 1, then below 0.2, then class 2; the heat of the background itself (0.95) is never asked for."""
    heat = torch.tensor([[0.95, 0.9, 0.3], [0.95, 0.1, 0.15], [0.95, 0.2, 0.8]])
    if background is None:
        heat[:, 0] = 0.0
    assert superpixel_labels(heat, ALL, background, 0.2).tolist() == [1, below, 2]


def test_a_picture_without_background_tag_gets_no_background():
    heat = torch.tensor([[0.0, 0.1, 0.0]])
    assert superpixel_labels(heat, np.array([False, True, True]), 0, 0.2).tolist() == [IGNORE]
    assert superpixel_labels(torch.zeros(1, 3), ALL, None, 0.2).tolist() == [IGNORE]
    assert superpixel_labels(torch.zeros(1, 3), np.array([True, False, False]), 0, 0.2).tolist() == [0]


def test_the_branch_learns_the_tags_without_touching_global_randomness(run):
    """Two classes, each with a feature of its own: after training its weight is the largest of the class."""
    shows = np.array([[True, False], [False, True], [True, True], [False, False]])
    features = shows.astype(np.float16) * 4
    pooled = [PooledPicture(torch.from_numpy(row).float(), np.stack([row, row])) for row in features]
    config = SpnConfig(training=TrainingConfig(steps=60, batch_size=4, learning_rate=0.2, head_factor=1))
    before = torch.get_rng_state()
    branch, losses = train_branch(pooled, shows, config, run)
    assert torch.equal(torch.get_rng_state(), before)
    assert losses[-1] < 0.5 * losses[0]
    assert branch.weight.argmax(1).tolist() == [0, 1]


def test_the_branch_sees_every_picture_with_its_own_tags(run, monkeypatch):
    """Superpixels 0, 3 and 9 have the mean 4, whatever their order; picture i has 10 i everywhere and 100 i more."""
    shows = np.array([[True, False], [False, True], [True, True], [False, False]])
    superpixels = np.array([[0.0], [3.0], [9.0]], dtype=np.float16)
    pooled = [PooledPicture(torch.tensor([10.0 * i]), superpixels + np.float16(100 * i)) for i in range(4)]
    batches = []
    monkeypatch.setattr(spn_module, "train", lambda _, batch, *__, **___: batches.extend(map(batch, range(4))) or [])
    train_branch(pooled, shows, SpnConfig(training=TrainingConfig(steps=4, batch_size=3, learning_rate=0.1)), run)
    everywhere, means, truth = (torch.cat(parts) for parts in zip(*batches, strict=True))
    pictures = (everywhere[:, 0] / 10).long()
    assert pictures.bincount().tolist() == [3, 3, 3, 3]
    assert torch.equal(means[:, 0], 4 + 100.0 * pictures)
    assert torch.equal(truth, torch.from_numpy(shows)[pictures])


@pytest.mark.parametrize("background", [None, 0])
def test_every_class_is_scored_with_its_own_weights(material, settings, run, true_map, monkeypatch, background):
    """Channel c of the features is class c, and the branch knows so: the label maps are the true squares.

    With a background, the branch has two classes and is given their tags; where neither is hot it is background.
    """
    material = replace(material, label_space=replace(material.label_space, background=background))
    objects = [0, 1, 2] if background is None else [1, 2]
    squares = [true_map(i)[1::3, 1::3] for i in range(4)]
    given = []

    def one_hot(_material, i, *_):
        return PooledPicture(torch.zeros(3), np.eye(3, dtype=np.float16)[squares[i].ravel()])

    def known(_pooled, shows, *_):
        given.append(shows)
        branch = nn.Linear(3, len(objects))
        branch.weight.data.copy_(torch.eye(3)[objects])
        return branch, []

    monkeypatch.setattr(spn_module, "pool_picture", one_hot)
    monkeypatch.setattr(spn_module, "train_branch", known)
    outcome = spn(material, settings, SpnConfig(rounds=1), run)
    assert np.array_equal(given[0], material.tags[:, objects])
    for labels, square in zip(outcome.labels, squares, strict=True):
        assert np.array_equal(labels, np.kron(square, np.ones((3, 3))))


def test_the_frozen_backbone_stays_as_it_is(material, settings, run):
    before = {name: value.clone() for name, value in material.classifier.state_dict().items()}
    pooled = pool_picture(material, 0, settings, SpnConfig(), run)
    assert pooled.superpixels.shape == (121, 96)
    assert all(torch.equal(value, before[name]) for name, value in material.classifier.state_dict().items())


def test_earlier_rounds_share_less_than_one_training(settings):
    """90 steps in three rounds: 30, 30 and 90."""
    settings = replace(settings, training=replace(settings.training, steps=90))
    assert [round_settings(settings, number, 3).training.steps for number in (1, 2, 3)] == [30, 30, 90]
    assert round_settings(settings, 1, 1) == settings


def test_the_surest_tag_is_a_tag():
    labels, certainty = surest_tag(torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]), np.array([False, True, True]))
    assert labels.tolist() == [1, 2]
    np.testing.assert_allclose(certainty, [0.3, 0.7])


def test_nothing_is_known_of_a_picture_without_tags():
    labels, sure = surest_tag(torch.full((2, 3), torch.nan), np.zeros(3, dtype=bool))
    assert labels.tolist() == [IGNORE, IGNORE]
    assert sure.tolist() == [0, 0]


def test_probabilities_of_superpixels_are_the_means_over_their_pixels(material, settings, run):
    network = material.network("largefov_small")
    each = tagged_prediction(network, material, 0, settings.input_size, run)
    pooled = region_probability(network, material, 0, settings, run)
    torch.testing.assert_close(pooled[13], each[:, 3:6, 6:9].mean((1, 2)))


@pytest.mark.parametrize("background", [None, 0])
def test_the_whole_system_gives_labels_among_the_tags_and_a_network(material, settings, run, background):
    material = replace(material, label_space=replace(material.label_space, background=background))
    config = SpnConfig(training=TrainingConfig(steps=5, batch_size=4, learning_rate=0.1))
    outcome = spn(material, settings, config, run)
    assert set(outcome.losses) == {"branch", "network_1", "network_2"}
    assert [len(outcome.losses[f"network_{k}"]) for k in (1, 2)] == [1, 3]
    assert outcome.network(torch.zeros(1, 3, 33, 33)).isfinite().all()
    assert outcome.labels is not None
    for i, labels in enumerate(outcome.labels):
        assert labels.shape == (33, 33)
        assert set(np.unique(labels)) <= set(np.flatnonzero(material.tags[i]))


def test_the_predictions_of_a_network_make_the_labels_of_the_next_round(material, settings, run, monkeypatch):
    def road(_network, material, i, _settings, _run):
        return torch.tensor([[0.1, 0.8, 0.1]]).expand(int(material.regions(i).max()) + 1, -1)

    monkeypatch.setattr(spn_module, "region_probability", road)
    config = SpnConfig(training=TrainingConfig(steps=2, batch_size=2, learning_rate=0.1))
    outcome = spn(material, settings, config, run)
    assert outcome.labels is not None
    assert all((labels == 1).all() for labels in outcome.labels)


def test_the_next_round_has_labels_among_the_tags_only(material, settings, run, monkeypatch):
    """A network that sees cars everywhere, then sky: pictures 1 and 3 have no car, so all of them becomes sky."""

    def cars(_network, material, i, _settings, _run):
        return torch.tensor([[0.15, 0.05, 0.8]]).expand(int(material.regions(i).max()) + 1, -1)

    monkeypatch.setattr(spn_module, "region_probability", cars)
    outcome = spn(material, settings, SpnConfig(training=TrainingConfig(steps=2, batch_size=2, learning_rate=0.1)), run)
    assert outcome.labels is not None
    assert [np.unique(labels).tolist() for labels in outcome.labels] == [[2], [0], [2], [0]]


def test_two_runs_with_one_seed_are_the_same(material, settings, run):
    config = SpnConfig(rounds=1, training=TrainingConfig(steps=3, batch_size=2, learning_rate=0.1))

    def outcome():
        torch.manual_seed(0)
        return spn(material, settings, config, run)

    first, second = outcome(), outcome()
    assert first.losses == second.losses
    assert np.array_equal(first.labels, second.labels)


def test_only_objects_are_classified():
    assert object_classes(4, 2) == [0, 1, 3]
    assert object_classes(2, None) == [0, 1]


@pytest.mark.parametrize("bad", [{"rounds": 0}, {"threshold": 0.0}, {"threshold": 1.5}, {"scale": 0.0}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        SpnConfig(**bad)
