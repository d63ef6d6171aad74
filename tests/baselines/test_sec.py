"""SEC: rank pooling and the expand loss by hand, the divisions that are guarded, and the whole system."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from wsss_lib.baselines.sec import SecConfig, expand_loss, rank_pooling, sec, sec_loss
from wsss_lib.baselines.seed_losses import FLOOR, constrain_loss, floored_softmax, seed_loss
from wsss_lib.baselines.skeleton import read_cues, train_on_cues
from wsss_lib.segmentation.crf import CrfConfig, small_crf
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, SettingsError

CONFIG = SecConfig(grid_stride=4)
MEAN = SecConfig(decay=1.0, background_decay=1.0)
MAXIMUM = SecConfig(decay=0.0, background_decay=0.0)


def with_background(material):
    """The street with its sky as background."""
    return replace(material, label_space=replace(material.label_space, background=0))


def cells(*probabilities):
    """One picture of one row: the probabilities of every cell, class by class."""
    return torch.tensor(probabilities).T[None, :, None]


def tags(*values):
    return torch.tensor([values])


@pytest.mark.parametrize(
    ("decay", "by_hand"), [(0.0, 0.6), (1.0, 0.4), (0.5, (0.6 + 0.5 * 0.4 + 0.25 * 0.2) / (1 + 0.5 + 0.25))]
)
def test_rank_pooling_of_three_values_by_hand(decay, by_hand):
    """The maximum, the mean, and between them (0.6 + 0.2 + 0.05) / 1.75."""
    assert rank_pooling(torch.tensor([0.2, 0.6, 0.4]), decay).item() == pytest.approx(by_hand)


Q = ([0.7, 0.2, 0.1], [0.1, 0.6, 0.3])
"""Two cells of three classes: maxima 0.7, 0.6, 0.3 and means 0.4, 0.4, 0.2."""


def test_expand_loss_without_background_by_hand():
    """Tags 0 and 1: means 0.4 and 0.4. Class 2 is absent, its maximum 0.3: -(log 0.4 + log 0.4) / 2 - log 0.7."""
    loss = expand_loss(cells(*Q), tags(True, True, False), None, MEAN)
    assert loss.item() == pytest.approx(-log(0.4) - log(0.7))


def test_expand_loss_with_background_by_hand():
    """Background 0 is neither tag nor absent: - log 0.4 of class 1, - log 0.7 of class 2, and - log 0.4 of its own."""
    loss = expand_loss(cells(*Q), tags(True, True, False), 0, MEAN)
    assert loss.item() == pytest.approx(-2 * log(0.4) - log(0.7))
    untold = expand_loss(cells(*Q), tags(False, True, False), 0, MEAN)
    assert untold.item() == pytest.approx(loss.item())


def test_the_background_has_a_decay_of_its_own():
    """Maximum 0.6 for the object and mean 0.4 for the background: - log 0.6 - log 0.7 - log 0.4."""
    loss = expand_loss(cells(*Q), tags(True, True, False), 0, SecConfig(decay=0.0, background_decay=1.0))
    assert loss.item() == pytest.approx(-log(0.6) - log(0.7) - log(0.4))


def test_decays_keep_the_weight_of_the_last_cell():
    """With two cells for 1681 the decay is d^(1681/2): 0.5^(2/1681) becomes 0.5 per cell."""
    decay = 0.5 ** (2 / 1681)
    loss = expand_loss(cells(*Q), tags(True, True, True), None, SecConfig(decay=decay))
    pooled = [(0.7 + 0.5 * 0.1) / 1.5, (0.6 + 0.5 * 0.2) / 1.5, (0.3 + 0.5 * 0.1) / 1.5]
    assert loss.item() == pytest.approx(-sum(map(log, pooled)) / 3, rel=1e-5)


@pytest.mark.parametrize(
    ("shown", "background", "by_hand"),
    [
        ((True, False, False), 0, -log(0.7) - (log(0.4) + log(0.7)) / 2),  # no tag but the background
        ((True, True, True), 0, -log(0.7) - (log(0.6) + log(0.3)) / 2),  # every class tagged
        ((True, True, True), None, -(log(0.7) + log(0.6) + log(0.3)) / 3),
        ((False, False, False), None, -(log(0.3) + log(0.4) + log(0.7)) / 3),  # no tag at all
    ],
)
def test_a_mean_over_no_class_is_dropped(shown, background, by_hand):
    q = cells(*Q).requires_grad_()
    loss = expand_loss(q, tags(*shown), background, MAXIMUM)
    assert loss.item() == pytest.approx(by_hand)
    loss.backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()


def test_certainty_of_an_absent_class_is_finite():
    """log(1 - max q) would be infinite; probabilities that are floored keep away from 1, and so does a clamp."""
    q = cells([0.0, 1.0, 0.0], [0.5, 0.25, 0.25]).requires_grad_()
    loss = expand_loss(q, tags(True, False, True), None, MAXIMUM)
    loss.backward()
    assert loss.isfinite()
    assert q.grad is not None
    assert q.grad.isfinite().all()


@pytest.mark.parametrize("background", [None, 0])
@pytest.mark.parametrize("stride", [4, 8])
def test_the_loss_is_seed_plus_expand_plus_constrain(material, background, stride):
    """On every cell at stride 4, on every second one at 8; the field is that of minus the logits.

    No part is so small that its loss would go unnoticed.
    """
    cues = read_cues(material, [0, 1], [False, True], (33, 33))
    logits = 3 * torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    own = logits[..., :: stride // 4, :: stride // 4]
    field = CrfConfig(bilateral_xy=8 * 80 / 12 / stride, gaussian_xy=8 * 3 / 12 / stride)
    target = small_crf(-own, cues.images[..., ::stride, ::stride], field).clamp(min=FLOOR)
    q = floored_softmax(own)
    config = SecConfig(grid_stride=stride, decay=0.9, background_decay=0.99)
    parts = [
        seed_loss(q, cues.seeds[:, ::stride, ::stride].long()),
        expand_loss(q, cues.tags, background, config),
        constrain_loss(q, target / target.sum(1, keepdim=True)),
    ]
    assert min(parts) > 0.4
    assert sec_loss(logits, cues, background, config).item() == pytest.approx(sum(parts).item(), rel=1e-4)


@pytest.mark.parametrize("background", [None, 0])
def test_the_loss_of_a_batch_is_the_mean_of_its_pictures(material, background):
    cues = read_cues(material, [0, 1, 2], [False, True, False], (33, 33))
    logits = torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    whole = sec_loss(logits, cues, background, CONFIG)
    alone = [
        sec_loss(logits[k : k + 1], read_cues(material, [k], [k == 1], (33, 33)), background, CONFIG) for k in range(3)
    ]
    torch.testing.assert_close(whole, torch.stack(alone).mean())


@pytest.mark.parametrize("background", [None, 0])
def test_a_picture_without_seeds_still_learns(material, background):
    bare = replace(material, seeds=lambda _: np.full((33, 33), IGNORE, dtype=np.uint8))
    logits = torch.zeros(2, 3, 9, 9, requires_grad=True)
    loss = sec_loss(logits, read_cues(bare, [0, 1], [False, False], (33, 33)), background, CONFIG)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.any()


@pytest.mark.parametrize("background", [None, 0])
def test_one_step_against_the_gradient_lowers_the_loss(material, background):
    cues = read_cues(material, [0, 1], [False, False], (33, 33))
    logits = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = sec_loss(logits, cues, background, CONFIG)
    before.backward()
    assert logits.grad is not None
    after = sec_loss((logits - 5 * logits.grad).detach(), cues, background, CONFIG)
    assert after < before


def test_training_lowers_the_loss(material, settings, run):
    settings = replace(settings, training=TrainingConfig(steps=15, batch_size=2, learning_rate=0.01, head_factor=5))
    losses = train_on_cues(
        material.network("largefov_small"), material, settings,
        lambda logits, cues: sec_loss(logits, cues, None, CONFIG), run,
    )  # fmt: skip
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


@pytest.mark.parametrize("street", [lambda material: material, with_background])
def test_the_whole_system(street, material, settings, run):
    outcome = sec(street(material), settings, SecConfig(), run)
    assert outcome.network_name == "largefov_small"
    assert outcome.labels is None
    assert [len(losses) for losses in outcome.losses.values()] == [3]
    assert outcome.network(torch.full((1, 3, 33, 33), 100.0)).isfinite().all()


def test_the_background_has_its_say(material, settings, run):
    """The same street with and without background is not trained with the same loss."""
    plain, behind = (sec(each, settings, SecConfig(), run).losses for each in (material, with_background(material)))
    assert plain["seed, expand, constrain"][0] != pytest.approx(behind["seed, expand, constrain"][0], rel=1e-3)


@pytest.mark.parametrize("wrong", [{"decay": -0.1}, {"decay": 1.1}, {"background_decay": 2.0}, {"grid_stride": 0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        SecConfig(**wrong)
