"""The projection gives what was worked out by hand and by another optimiser; the network is pulled towards it."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from wsss_lib.baselines.ccnn import (
    CcnnConfig,
    ccnn,
    constraints,
    project,
    projection_loss,
    solve,
    tag_weights,
)
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import DataError, LabelSpace, SettingsError

HARD = CcnnConfig(slack=1e10, tolerance=1e-9)
SOLVERS = ("newton", "gradient")


def outputs(pictures=6, classes=7, pixels=60, scale=3.0, seed=0):
    """Logits with classes that are likely or unlikely in a whole picture, and tags of which each picture has some."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(pictures, classes, pixels, generator=generator, dtype=torch.float64)
    logits = scale * (logits + torch.randn(pictures, classes, 1, generator=generator, dtype=torch.float64))
    tags = torch.rand(pictures, classes, generator=generator) < 0.6
    tags[:, 0] = True
    tags[-1] = torch.arange(classes) == 0
    return logits, tags


def divergence(target, logits):
    return (torch.xlogy(target, target) - target * logits.log_softmax(-2)).sum((-2, -1))


@pytest.mark.parametrize("solver", SOLVERS)
def test_two_pixels_worked_out_by_hand(solver):
    """The odds of B against A are 1/4 and 1/12, so B has (1/5 + 1/13) / 2 = 0.14 of the picture; 3/8 are asked for.
    Odds times 4 are 1 and 1/3, which are B's 1/2 and 1/4: a mean of 3/8. A has 5/8, more than 3/8, and is not pressed.
    The shift is log 4 = 1.39; a slack of log 2 stops at odds times 2, which are 1/2 and 1/6, B's 1/3 and 1/7.
    """
    logits, tags = torch.tensor([[[0.0, 0.0], [-log(4), -log(12)]]]), torch.tensor([[True, True]])
    config = CcnnConfig(minimum_share=3 / 8, solver=solver, tolerance=1e-8)
    expected = torch.tensor([[[1 / 2, 3 / 4], [1 / 2, 1 / 4]]])
    torch.testing.assert_close(project(logits, tags, config, None), expected)
    expected = torch.tensor([[[2 / 3, 6 / 7], [1 / 3, 1 / 7]]])
    torch.testing.assert_close(project(logits, tags, replace(config, slack=log(2)), None), expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_uniform_logits_are_moved_to_the_bounds_of_the_background(solver):
    """Every pixel is alike, so P is the same everywhere: the background's bound, and the rest shared by the tags."""
    config = CcnnConfig(solver=solver, tolerance=1e-8)
    rare = torch.zeros(1, 4, 5)
    rare[:, 0] = log(0.1)  # background odds of 0.1 : 1 : 1, so 1/21
    tags = torch.tensor([[True, True, True, False]])
    for logits, wanted in ((rare, (0.3, 0.35, 0.35, 0)), (-2 * rare, (0.7, 0.15, 0.15, 0))):
        expected = torch.tensor(wanted)[None, :, None].expand(1, 4, 5)
        torch.testing.assert_close(project(logits, tags, config, 0), expected)
    alone = project(rare, torch.tensor([[True, False, False, False]]), config, 0)
    assert torch.equal(alone[0, 0], torch.ones(5))  # the upper bound is dropped where there is nothing else


@pytest.mark.parametrize("background", [None, 0])
@pytest.mark.parametrize("solver", SOLVERS)
def test_constraints_hold_and_absent_classes_are_removed(background, solver):
    logits, tags = outputs()
    result = project(logits, tags, replace(HARD, solver=solver, tolerance=1e-6), background)
    torch.testing.assert_close(result.sum(1), torch.ones(6, 60, dtype=torch.float64))
    assert not result[~tags].any()
    share = result.mean(2)
    assert (share >= 0.05 - 2e-6)[tags].all()
    assert logits.masked_fill(~tags[:, :, None], -torch.inf).softmax(1).mean(2)[tags].min() < 0.03  # not so before
    if background == 0:
        foreground = tags[:, 1:].any(1)
        assert (share[:, 0] >= 0.3 - 2e-6).all()
        assert (share[foreground, 0] <= 0.7 + 2e-6).all()


def test_no_feasible_distribution_is_closer():
    """Moves that keep every pixel a distribution and every pressed share as it is must not lower KL. A move towards
    Q, which makes pressed shares smaller, does lower it, so the test can see a difference."""
    logits, tags = outputs(pictures=1)
    tags[:] = True
    best = project(logits, tags, HARD, None)[0]
    pressed = best.mean(1) < 0.05 + 1e-6
    assert 0 < pressed.sum() < 7
    start, generator = divergence(best, logits[0]), torch.Generator().manual_seed(0)
    for _ in range(50):
        move = best * torch.randn(7, 60, generator=generator, dtype=torch.float64)
        move[pressed] -= best[pressed] * (move[pressed].sum(1) / best[pressed].sum(1))[:, None]
        move[~pressed] -= best[~pressed] / best[~pressed].sum(0) * move.sum(0)
        longest = 1 / (-move / best).max()
        for part in (0.03, 0.9):
            moved = best + part * longest * move
            assert moved.min() > 0
            torch.testing.assert_close(moved.sum(0), torch.ones(60, dtype=torch.float64))
            assert (moved.mean(1) >= 0.05 - 1e-6)[pressed].all()
            assert divergence(moved, logits[0]) > start
    free = logits[0].softmax(0)
    assert divergence(best + 1e-3 * (free - best), logits[0]) < start


def test_another_optimiser_on_the_primal_problem_agrees():
    logits, tags = outputs(pictures=1, classes=3, pixels=4, scale=1.5, seed=3)
    tags[:] = True
    config = replace(HARD, minimum_share=0.1)
    expected = minimize(
        lambda p: divergence(torch.from_numpy(p.reshape(3, 4)), logits[0]).item(),
        np.full(12, 1 / 3),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 12,
        constraints=[
            {"type": "eq", "fun": lambda p: p.reshape(3, 4).sum(0) - 1},
            {"type": "ineq", "fun": lambda p: np.append(p.reshape(3, 4).mean(1) - 0.1, 0.5 - p[:4].mean())},
            {"type": "ineq", "fun": lambda p: p[:4].mean() - 0.4},
        ],
        options={"ftol": 1e-12, "maxiter": 500},
    ).x.reshape(3, 4)
    config = replace(config, background_minimum=0.4, background_maximum=0.5)
    np.testing.assert_allclose(project(logits, tags, config, 0)[0].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("background", [None, 0])
@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize("slack", [2.0, 1e10])
def test_newton_and_the_published_gradient_agree(background, scale, slack):
    logits, tags = outputs(scale=scale)
    found = {}
    for solver in SOLVERS:
        config = CcnnConfig(solver=solver, slack=slack)
        solution = solve(tag_weights(logits, tags), constraints(tags, config, background), config)
        assert (solution.residual <= 1e-6).all()
        assert solution.steps < {"newton": 30, "gradient": 600}[solver]
        found[solver] = project(logits, tags, config, background)
    torch.testing.assert_close(found["newton"], found["gradient"], rtol=0, atol=1e-3)


def test_without_pressed_constraints_it_is_the_softmax_over_the_tags():
    logits, tags = outputs(scale=0.1)
    for config in (CcnnConfig(minimum_share=0), CcnnConfig(slack=0, background_slack=0)):
        expected = logits.masked_fill(~tags[:, :, None], -torch.inf).softmax(1)
        torch.testing.assert_close(project(logits, tags, config, None), expected)


@pytest.mark.parametrize("background", [None, 0])
def test_a_batch_is_its_pictures_one_by_one(background):
    logits, tags = outputs(scale=5)
    whole = project(logits, tags, HARD, background)
    single = torch.cat([project(logits[i, None], tags[i, None], HARD, background) for i in range(6)])
    torch.testing.assert_close(whole, single, rtol=0, atol=1e-7)


def test_feasibility_is_decided_before_solving():
    """19 tags of 0.05 ask for 0.95; 25 ask for 1.25 and get 1/25 each. Beside a background of 0.3, 14 is the most."""
    config = CcnnConfig()

    def first(count, background=None, **changes):
        tags = (torch.arange(26) < count)[None]
        limits = constraints(tags, replace(config, **changes), background)
        return limits.bounds[0, count - 1].item(), limits.scaled.item(), limits.ceiling[0, count:].sum().item()

    assert first(19) == (0.05, False, 0)
    assert first(20) == (0.05, False, 0)
    assert first(25) == (0.04, True, 0)
    assert first(15, 0) == (0.05, False, 500)  # the background's upper bound comes last
    assert first(21, 0) == (pytest.approx(0.7 / 20), True, 500)
    assert first(1, 0) == (0.3, False, 0)
    assert first(16, reference_tags=8) == (0.025, False, 0)
    assert first(5, 0, reference_tags=8) == (0.1, False, 500)
    assert first(1, minimum_share=0.5, reference_tags=8) == (1.0, True, 0)


@pytest.mark.parametrize("solver", SOLVERS)
def test_twenty_five_tags_get_their_scaled_bounds(solver):
    """Bounds that sum to exactly 1: every class has 1/25, and the dual is flat along a shift of all classes."""
    logits, _ = outputs(pictures=2, classes=25, pixels=100, scale=0.3)
    result = project(logits, torch.ones(2, 25, dtype=torch.bool), replace(HARD, solver=solver, tolerance=1e-6), None)
    torch.testing.assert_close(result.mean(2), torch.full((2, 25), 0.04, dtype=torch.float64), rtol=0, atol=3e-5)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("background", [None, 0, 2])
def test_extreme_logits_stay_finite_and_end(solver, background):
    """A class 10,000 below another is hardly reached even without slack; what comes out is still a distribution."""
    logits, tags = torch.tensor([[[0.0, 0.0], [-1e4, -1e4], [1e4, 3.0]]]), torch.ones(1, 3, dtype=torch.bool)
    for slack in (2.0, 1e10):
        config = CcnnConfig(solver=solver, slack=slack)
        torch.testing.assert_close(project(logits, tags, config, background).sum(1), torch.ones(1, 2))
        assert solve(tag_weights(logits, tags), constraints(tags, config, background), config).steps < 1000


def test_a_solver_that_cannot_get_any_closer_ends():
    """A tolerance below what a float64 resolves: the steps shrink until they end it, long before the step limit."""
    logits, tags = outputs()
    for solver in SOLVERS:
        config = CcnnConfig(solver=solver, tolerance=1e-18)
        solution = solve(tag_weights(logits, tags), constraints(tags, config, None), config)
        assert solution.steps < 1000
        assert solution.residual.max() < 1e-6


def test_mixed_precision_does_not_reach_the_solver():
    logits, tags = outputs()
    plain = project(logits.float(), tags, CcnnConfig(), 0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(project(logits.float(), tags, CcnnConfig(), 0), plain)


def test_gradient_of_the_loss_is_the_difference_over_the_pixels():
    """KL of 1/2, 1/2 against 1/5, 4/5 is log(5/4); its gradient at the logits is (Q - P) / N for each picture."""
    half = torch.full((1, 2, 3), 0.5)
    assert projection_loss(torch.tensor([0.2, 0.8]).log()[None, :, None].expand(1, 2, 3), half).item() == pytest.approx(
        log(5 / 4)
    )
    logits, tags = outputs()
    logits = logits.requires_grad_()
    target = project(logits, tags, CcnnConfig(), None)
    assert not target.requires_grad
    loss = projection_loss(logits, target)
    assert loss > 0
    (slope,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(slope, (logits.softmax(1) - target).detach() / 60 / 6)
    assert projection_loss(target.clamp(min=exp(-60)).log(), target).item() == pytest.approx(0, abs=1e-9)


def test_a_picture_without_a_tag_is_refused(material, settings, run):
    with pytest.raises(DataError, match="without any tag"):
        project(torch.zeros(2, 3, 4), torch.tensor([[True, True, False], [False] * 3]), CcnnConfig(), None)
    tags = material.tags.copy()
    tags[1] = False
    with pytest.raises(DataError, match="at least one tag"):
        ccnn(replace(material, tags=tags), settings, CcnnConfig(), run)


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum_share": 1.5},
        {"background_minimum": 0.8},
        {"background_minimum": 0.0, "background_maximum": 0.0},
        {"reference_tags": 0},
        {"slack": -1.0},
        {"tolerance": 0.0},
        {"steps": 0},
        {"solver": "adam"},
    ],
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        CcnnConfig(**wrong)


def test_the_whole_system_learns_from_tags_alone(material, settings, run):
    """Seeds and heat are constant here, so that nothing could be learnt from them."""
    lines = []
    blind = replace(
        material, seeds=lambda _: np.zeros((33, 33), np.uint8), heat=lambda _: np.zeros((3, 2, 2), np.float32)
    )
    settings = replace(settings, training=TrainingConfig(steps=30, batch_size=4, learning_rate=0.01))
    outcome = ccnn(blind, settings, CcnnConfig(), replace(run, report=Report(lines.append)))
    losses = outcome.losses["network"]
    assert outcome.labels is None
    assert outcome.network_name == "largefov_small"
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    assert outcome.network(torch.zeros(1, 3, 33, 33)).isfinite().all()
    assert "scaled down in 0 of 4" in lines[0]


def test_the_whole_system_runs_with_a_background(material, settings, run):
    space = LabelSpace(
        name="voc", classes=material.label_space.classes, colors=material.label_space.colors, background=0
    )
    outcome = ccnn(replace(material, label_space=space), settings, CcnnConfig(), run)
    assert outcome.network(torch.zeros(1, 3, 33, 33)).isfinite().all()
    without = material.tags.copy()
    without[0, 0] = False
    with pytest.raises(DataError, match="the background's"):
        ccnn(replace(material, label_space=space, tags=without), settings, CcnnConfig(), run)
