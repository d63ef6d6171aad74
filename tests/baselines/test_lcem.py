"""LCEM: the E step and the seed loss by hand, guarded corners, and the two trainings."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsss_lib.baselines import lcem as lcem_module
from wsss_lib.baselines.lcem import LcemConfig, em_loss, estimate_labels, lcem, on_label_grid
from wsss_lib.baselines.skeleton import read_cues, unknown_like
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, SettingsError


def pixels(*rows: list[float]) -> torch.Tensor:
    """Pixels of one picture in a row, each given by its classes: 1 x class x 1 x pixel."""
    return torch.tensor(rows).T[None, :, None]


def test_the_e_step_by_hand_with_a_background():
    """Class 0 is background: biases 3, 5, 5; kappa 2; class 2 is no tag.

    Pixel 1: log 0.6 + 3 = 2.49 against log 0.1 + 5 = 2.70: class 1 although the background is six times as probable.
    Pixel 2: log 0.9 + 3 = 2.89 against log 0.05 + 5 = 2.00: background.
    Pixel 3: as pixel 2 with heat 0.5 for class 1, 3.00: class 1.
    """
    q = pixels([0.6, 0.1, 0.3], [0.9, 0.05, 0.05], [0.9, 0.05, 0.05])
    heat = pixels([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0])
    tags = torch.tensor([[True, True, False]])
    assert estimate_labels(q.log(), heat, tags, LcemConfig(), 0).flatten().tolist() == [1, 0, 1]


def test_the_e_step_by_hand_without_a_background():
    """All biases are equal. log 0.8 = -0.22 loses to log 0.2 + 2 * 1 = 0.39, wins against log 0.2 + 2 * 0.5 = -0.61."""
    q = pixels([0.8, 0.2], [0.8, 0.2])
    heat = pixels([0.0, 1.0], [0.0, 0.5])
    tags = torch.tensor([[True, True]])
    for bias in (5.0, -7.0):
        config = LcemConfig(foreground_bias=bias)
        assert estimate_labels(q.log(), heat, tags, config, None).flatten().tolist() == [1, 0]


def test_absent_tags_are_never_estimated_and_a_picture_without_tags_is_unknown():
    q = pixels([0.01, 0.01, 0.98])
    heat = pixels([0.0, 0.0, 1.0])
    for tags, expected in (([True, False, False], 0), ([True, True, True], 2), ([False, False, False], IGNORE)):
        assert estimate_labels(q.log(), heat, torch.tensor([tags]), LcemConfig(), None).item() == expected


def test_a_batch_is_estimated_as_its_pictures_one_by_one():
    generator = torch.Generator().manual_seed(0)
    logits, heat = (torch.randn(3, 4, 5, 6, generator=generator) for _ in range(2))
    tags = torch.tensor([[True, True, False, True], [False, False, True, False], [True, True, True, True]])
    together = estimate_labels(logits, heat, tags, LcemConfig(), 0)
    for k in range(3):
        one = slice(k, k + 1)
        assert torch.equal(together[one], estimate_labels(logits[one], heat[one], tags[one], LcemConfig(), 0))


def test_a_seed_that_the_network_excludes_costs_a_finite_price():
    """log of the floor: -log(1e-4 / 1.0002) = 9.21."""
    loss = em_loss(pixels([-1000.0, 1000.0]), torch.tensor([[[0]]]), torch.tensor([[[IGNORE]]]), 1.0)
    assert loss.item() == pytest.approx(9.21, abs=0.01)


def test_the_m_step_by_hand_and_without_anything_known():
    """Cross entropy of q = 0.5 and 0.25 is 1.040 on average; the first pixel is a seed as well: + 0.693."""
    logits = pixels([0.5, 0.5], [0.75, 0.25]).log().requires_grad_()
    seeds = torch.tensor([[[0, IGNORE]]])
    assert em_loss(logits, seeds, torch.tensor([[[0, 1]]]), 1.0).item() == pytest.approx(1.7329, abs=1e-3)
    nothing = torch.full((1, 1, 2), IGNORE)
    loss = em_loss(logits, nothing, nothing, 1.0)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_the_losses_are_on_the_grid_of_our_own_training(material):
    """33 pixels, every fourth: 9 cells, those of the logits; every second: 17 cells, corners on the corners."""
    cues = read_cues(material, [0], [False], (33, 33))
    logits = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    assert on_label_grid(logits, cues, 4) is logits
    fine = on_label_grid(logits, cues, 2)
    assert fine.shape == (1, 3, 17, 17)
    torch.testing.assert_close(fine[..., ::2, ::2], logits)
    assert torch.equal(cues.seeds_on(fine)[0], cues.seeds[0, ::2, ::2].long())


@pytest.mark.parametrize("background", [None, 0])
def test_the_whole_system_learns_the_street(material, settings, run, true_map, background):
    material = replace(material, label_space=replace(material.label_space, background=background))
    settings = replace(settings, training=TrainingConfig(steps=16, batch_size=2, learning_rate=0.02, head_factor=5))
    outcome = lcem(material, settings, LcemConfig(), run)
    clues, em = outcome.losses["clues"], outcome.losses["em"]
    assert (len(clues), len(em)) == (8, 16)
    assert np.mean(clues[-2:]) < 0.9 * np.mean(clues[:2])
    assert np.mean(em[-3:]) < 0.8 * np.mean(em[:3])
    logits = outcome.network(torch.from_numpy(material.image(1)).permute(2, 0, 1)[None].float())
    assert logits.isfinite().all()
    assert (logits[0].argmax(0).numpy() == true_map(1)[::4, ::4]).mean() > 0.6


@pytest.mark.parametrize("background", [None, 0])
def test_em_learns_from_seeds_heat_tags_and_biases_as_they_are_set(material, settings, run, monkeypatch, background):
    """The loss that the second training is given, on random logits; every part of the estimate decides some cells."""
    losses = {}

    def instead(_network, _material, _settings, loss, _run, name):
        losses[name] = loss
        return [0.0]

    monkeypatch.setattr(lcem_module, "train_on_cues", instead)
    material = replace(material, label_space=replace(material.label_space, background=background))
    config = LcemConfig(background_bias=1.0, foreground_bias=2.5, kappa=1.5, seed_weight=0.7)
    lcem(material, settings, config, run)
    assert list(losses) == ["lcem_clues", "lcem_em"]
    cues = read_cues(material, [0, 1], [False, True], (33, 33))
    logits = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    heat, seeds = cues.heat_on(logits), cues.seeds_on(logits)
    estimate = estimate_labels(logits, heat, cues.tags, config, background)
    for other in (
        estimate_labels(logits, 0 * heat, cues.tags, config, background),
        estimate_labels(logits, heat, torch.ones_like(cues.tags), config, background),
        estimate_labels(logits, heat, cues.tags, config, 1 if background is None else None),
    ):
        assert not torch.equal(other, estimate)
    expected = em_loss(logits, seeds, estimate, 0.7).item()
    assert losses["lcem_em"](logits, cues).item() == pytest.approx(expected, rel=1e-5)
    only_seeds = em_loss(logits, seeds, torch.full_like(estimate, IGNORE), 1.0).item()
    assert losses["lcem_clues"](logits, cues).item() == pytest.approx(only_seeds, rel=1e-5)
    cross_entropy = torch.nn.functional.cross_entropy(logits, estimate).item()
    assert expected == pytest.approx(cross_entropy + 0.7 * only_seeds, rel=1e-5)


def test_the_first_training_sees_clues_only(material, settings, run):
    """Without any clue there is nothing to learn before EM, and heat and tags alone in EM."""
    material = replace(material, seeds=lambda i: unknown_like(material.image(i)))
    outcome = lcem(material, settings, LcemConfig(), run)
    assert not any(outcome.losses["clues"])
    assert all(outcome.losses["em"])


@pytest.mark.parametrize("bad", [{"kappa": -1.0}, {"seed_weight": -1.0}, {"clue_share": 0.0}, {"clue_share": 1.5}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        LcemConfig(**bad)
