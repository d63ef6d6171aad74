"""DSRG: growing on grids of 5 x 5 by hand, the losses by hand, and the whole system."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch

from wsss_lib.baselines.dsrg import (
    DsrgConfig,
    balanced_seed_loss,
    dsrg,
    dsrg_loss,
    for_classes,
    grow,
    grow_batch,
    pyramid_of,
)
from wsss_lib.baselines.seed_losses import FLOOR, PUBLISHED_CRF, constrain_loss, floored_softmax, smoothed
from wsss_lib.baselines.skeleton import read_cues, train_on_cues
from wsss_lib.segmentation.crf import CrfConfig, small_crf
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import IGNORE, SettingsError

CONFIG = DsrgConfig(grid_stride=4)
BOTH = np.array([True, True])


def with_background(material):
    """The street with its sky as background."""
    return replace(material, label_space=replace(material.label_space, background=0))


def chart(*rows):
    """Digits are classes, a point is unknown."""
    return np.array([[IGNORE if sign == "." else int(sign) for sign in row] for row in rows])


def certain(*rows, probability=0.9, classes=2):
    """Probabilities: ``probability`` for the class of a digit, the same for all classes at a point."""
    wanted = chart(*rows)
    rest = (1 - probability) / (classes - 1)
    maps = np.where(np.arange(classes)[:, None, None] == wanted, probability, rest)
    return np.where(wanted == IGNORE, 1 / classes, maps)


def grown(seeds, probability, tags=BOTH, thresholds=(0.85, 0.85)):
    return grow(seeds, probability, tags, np.array(thresholds)).tolist()


def test_a_candidate_joins_the_seed_it_touches_and_a_lonely_one_does_not():
    """The row of three candidates of class 1 ends at its seed; the one in the corner touches nothing."""
    seeds = chart(".....", ".....", "1....", ".....", ".....")
    likely = certain("....1", ".....", ".111.", ".....", ".....")
    assert grown(seeds, likely) == chart(".....", ".....", "1111.", ".....", ".....").tolist()


def test_diagonal_contact_counts():
    seeds = chart("0....", ".....", ".....", ".....", ".....")
    likely = certain(".....", ".0...", "..0..", "....0", ".....")
    assert grown(seeds, likely) == chart("0....", ".0...", "..0..", ".....", ".....").tolist()


def test_seeds_of_another_class_are_kept():
    """Class 1 is certain all over row 2 and there is a seed of class 0 in it: class 1 grows past it, not over it."""
    seeds = chart(".....", ".....", "1.0..", ".....", ".....")
    likely = certain(".....", ".....", "11111", ".....", ".....")
    assert grown(seeds, likely) == chart(".....", ".....", "11011", ".....", ".....").tolist()


def test_a_seed_that_is_doubted_does_not_grow_but_stays():
    """The seed of class 0 is a candidate of class 1, so no component of class 0 contains it."""
    seeds = chart("0....", ".....", ".....", ".....", ".....")
    likely = certain("10...", ".0...", ".....", ".....", ".....")
    assert grown(seeds, likely) == seeds.tolist()


def test_a_class_that_is_not_tagged_grows_nothing():
    """0.9 for class 1, but only class 0 is tagged, at 0.1: no candidate."""
    seeds = chart("0....", ".....", ".....", ".....", ".....")
    likely = certain(".1111", "11111", "11111", "11111", "11111")
    assert grown(seeds, likely, np.array([True, False])) == seeds.tolist()


def test_every_class_has_its_threshold():
    """0.9 is enough for class 1 at 0.85 and not for class 0 at 0.99; at exactly the threshold nothing grows."""
    seeds = chart("0....", ".....", ".....", ".....", "....1")
    likely = certain(".0000", ".....", ".....", ".....", "1111.")
    assert grown(seeds, likely, BOTH, (0.99, 0.85)) == chart("0....", ".....", ".....", ".....", "11111").tolist()
    assert grown(seeds, likely, BOTH, (0.9, 0.9)) == seeds.tolist()


def test_growing_starts_from_seeds_and_leaves_them_as_they_were():
    seeds = chart("1....", ".....", ".....", ".....", ".....")
    before = seeds.copy()
    grown(seeds, certain("11111", "11111", "11111", "11111", "11111"))
    assert np.array_equal(seeds, before)
    nothing = np.full((5, 5), IGNORE)
    assert grown(nothing, certain("11111", "11111", "11111", "11111", "11111")) == nothing.tolist()


def test_a_batch_grows_picture_by_picture_and_the_background_is_always_there():
    """With background 0 the certainty of 0.9 is not enough for it; of 0.995 it is, although it is not tagged."""
    seeds = torch.tensor(np.stack([chart("0.", ".1"), chart("0.", ".1")]))
    likely = torch.tensor(np.stack([certain("00", "11"), certain("00", "11", probability=0.995)]))
    tags = torch.tensor([[False, True], [False, True]])
    assert grow_batch(seeds, likely, tags, 0, CONFIG).tolist() == [
        chart("0.", "11").tolist(), chart("00", "11").tolist()
    ]  # fmt: skip
    assert grow_batch(seeds, likely, torch.tensor([[True, True]] * 2), None, CONFIG)[0].tolist() == [[0, 0], [1, 1]]


def test_balanced_seed_loss_by_hand():
    """Background seeds with q = 0.5 and 0.25, one object seed with 0.8: -(log 0.5 + log 0.25) / 2 - log 0.8.

    Without a background the mean of the two classes: half of that.
    """
    q = torch.tensor([[0.5, 0.25, 0.1, 0.4], [0.3, 0.7, 0.1, 0.4], [0.2, 0.05, 0.8, 0.2]])[None, :, None]
    seeds = torch.tensor([[[0, 0, 2, IGNORE]]])
    assert balanced_seed_loss(q, seeds, 0).item() == pytest.approx(-(log(0.5) + log(0.25)) / 2 - log(0.8))
    assert balanced_seed_loss(q, seeds, None).item() == pytest.approx(-((log(0.5) + log(0.25)) / 2 + log(0.8)) / 2)
    nothing = torch.full_like(seeds, IGNORE)  # a picture without seeds adds nothing to the mean over pictures
    both = balanced_seed_loss(torch.cat([q, q]), torch.cat([seeds, nothing]), None)
    assert both.item() == pytest.approx(balanced_seed_loss(q, seeds, None).item() / 2)


@pytest.mark.parametrize(("row", "by_hand"), [([0, IGNORE], -log(0.5)), ([IGNORE, 1], -log(0.7)), ([IGNORE] * 2, 0.0)])
def test_a_side_without_seeds_is_dropped(row, by_hand):
    q = torch.tensor([[0.5, 0.3], [0.5, 0.7]])[None, :, None].requires_grad_()
    loss = balanced_seed_loss(q, torch.tensor([[row]]), 0)
    assert loss.item() == pytest.approx(by_hand)
    loss.backward()
    assert q.grad is not None
    assert q.grad.isfinite().all()


def test_the_field_of_fewer_classes_is_weaker():
    """A third of 21 classes, a third of the weights; with more classes they stay as published."""
    seven = for_classes(PUBLISHED_CRF, 7)
    assert (seven.bilateral_weight, seven.gaussian_weight) == pytest.approx((10 / 3, 1))
    assert for_classes(PUBLISHED_CRF, 21) == PUBLISHED_CRF == for_classes(PUBLISHED_CRF, 34)


@pytest.mark.parametrize(("scaled", "undecided"), [(True, True), (False, False)])
def test_an_undecided_network_stays_undecided(scaled, undecided):
    """Why the weights are scaled: with those for 21 classes, three classes become certain out of almost nothing."""
    logits = 0.1 * torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    crf = for_classes(PUBLISHED_CRF, 3) if scaled else PUBLISHED_CRF
    refined = smoothed(-floored_softmax(logits), torch.full((1, 3, 12, 12), 99.0), crf, 8)
    assert bool((refined.amax(1) < 0.5).all()) is undecided


def test_both_unaries_of_the_field_are_offered_and_logits_are_the_default(material):
    cues = read_cues(material, [0], [False], (33, 33))
    logits = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    one, other = (
        dsrg_loss(logits, cues, None, replace(CONFIG, crf_unary=unary)) for unary in ("logits", "probability")
    )
    assert one.item() != pytest.approx(other.item(), rel=1e-2)
    assert dsrg_loss(logits, cues, None, CONFIG) == one


def test_before_growing_only_the_seeds_are_imitated(material):
    """A network that is sure of sky, least so at its seeds: what has grown from them costs less."""
    cues = read_cues(material, [0], [False], (33, 33))
    sure = torch.zeros(1, 3, 9, 9)
    sure[:, 0] = torch.where(cues.seeds_on(sure) == 0, 2.0, 6.0)
    before, after = (dsrg_loss(sure, cues, None, CONFIG, growing=growing).item() for growing in (False, True))
    assert after < before - 0.03


def test_a_share_of_the_steps_grows_nothing(material, settings, run, monkeypatch):
    flags = []

    def noted(*arguments, growing, **options):
        flags.append(growing)
        return dsrg_loss(*arguments, growing=growing, **options)

    monkeypatch.setattr("wsss_lib.baselines.dsrg.dsrg_loss", noted)
    settings = replace(settings, training=replace(settings.training, steps=4))
    dsrg(material, settings, DsrgConfig(seeds_first=0.5, retrain=False), run)
    assert flags == [False, False, True, True]


@pytest.mark.parametrize("background", [None, 0])
@pytest.mark.parametrize("unary", ["logits", "probability"])
def test_one_step_against_the_gradient_lowers_the_loss(material, background, unary):
    config = replace(CONFIG, crf_unary=unary)
    cues = read_cues(material, [0, 1], [False, True], (33, 33))
    logits = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = dsrg_loss(logits, cues, background, config)
    before.backward()
    assert logits.grad is not None
    after = dsrg_loss((logits - logits.grad).detach(), cues, background, config)
    assert after < before


def test_training_lowers_the_loss(material, settings, run):
    settings = replace(settings, training=TrainingConfig(steps=15, batch_size=2, learning_rate=0.01, head_factor=5))
    losses = train_on_cues(
        material.network("aspp_small"), material, settings,
        lambda logits, cues: dsrg_loss(logits, cues, None, CONFIG), run,
    )  # fmt: skip
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


@pytest.mark.parametrize("street", [lambda material: material, with_background])
def test_the_whole_system(street, material, settings, run):
    """One step learns from seeds, three grow, four learn from labels that hold tagged classes only."""
    said = []
    settings = replace(settings, training=replace(settings.training, steps=4))
    outcome = dsrg(street(material), settings, DsrgConfig(), replace(run, report=Report(said.append)))
    assert outcome.network_name == "aspp_small"
    assert {name: len(losses) for name, losses in outcome.losses.items()} == {
        "seeds": 1, "growing": 3, "retraining": 4
    }  # fmt: skip
    assert outcome.labels is not None
    assert [each.shape for each in outcome.labels] == [(33, 33)] * 4
    for i, label_map in enumerate(outcome.labels):
        assert label_map.dtype == np.uint8
        assert material.tags[i][np.unique(label_map)].all()
    assert any(line.startswith("labels for retraining: sky ") for line in said)
    assert outcome.network(torch.full((1, 3, 33, 33), 100.0)).isfinite().all()


def test_a_picture_without_tags_is_not_retrained_on(material, settings, run):
    tags = material.tags.copy()
    tags[1] = False
    outcome = dsrg(replace(material, tags=tags), settings, DsrgConfig(), run)
    assert [bool((label_map == IGNORE).all()) for label_map in outcome.labels] == [False, True, False, False]


def test_without_retraining_and_without_seeds_first_all_steps_grow(material, settings, run):
    outcome = dsrg(material, settings, DsrgConfig(seeds_first=0, retrain=False, network="largefov_small"), run)
    assert outcome.network_name == "largefov_small"
    assert {name: len(losses) for name, losses in outcome.losses.items()} == {"growing": 3}
    assert outcome.labels is None


def test_a_killed_run_goes_on_where_it_was(material, settings, run, tmp_path):
    """Whole, or killed in the retraining of step 3 of 4: the same network."""
    training = replace(settings.training, steps=4, checkpoint_every=1)
    settings = replace(settings, training=training)

    def at_three(line):
        if line.startswith("step 3/4") and (tmp_path / "dsrg_retraining.pt").is_file():
            raise KeyboardInterrupt

    def network():
        torch.manual_seed(0)
        return material.network("aspp_small")

    same = replace(material, network=lambda _: network())
    whole = dsrg(same, settings, DsrgConfig(), run)
    with pytest.raises(KeyboardInterrupt):
        dsrg(same, settings, DsrgConfig(), replace(run, folder=tmp_path, report=Report(at_three)))
    resumed = dsrg(same, settings, DsrgConfig(), replace(run, folder=tmp_path))
    assert resumed.losses == whole.losses
    for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "wrong",
    [
        {"foreground_threshold": 1.5},
        {"background_threshold": -0.1},
        {"ratios": (0.0, 20.0)},
        {"ratios": (2.0, 20.0)},
        {"crf_unary": "energy"},
        {"grid_stride": 0},
        {"seeds_first": 1.0},
        {"seeds_first": -0.1},
    ],
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        DsrgConfig(**wrong)


def test_a_network_without_a_pyramid_is_answered_with_the_known():
    assert pyramid_of("largefov_mobilenet_v2") == "aspp_mobilenet_v2"
    with pytest.raises(SettingsError, match="name one as network"):
        pyramid_of("fcn8s")


@pytest.mark.parametrize("background", [None, 0])
@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("ratios", [(0.05, 20.0), (0.5, 2.0)])
def test_the_loss_is_that_of_the_seeds_plus_that_of_the_boundary(material, background, growing, ratios):
    """Three classes have a seventh of the weights, 30 and 9; a cell is 4 pixels.

    Colours are faint and weights high, so that Q / q is beyond the bounds somewhere.
    """
    faint = replace(material, image=lambda i: material.image(i) // 4)
    cues = read_cues(faint, [0, 1], [False, True], (33, 33))
    logits = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    field = CrfConfig(bilateral_weight=30 / 7, bilateral_xy=160 / 12, gaussian_weight=9 / 7, gaussian_xy=6 / 12)
    target = small_crf(-logits, cues.images[..., ::4, ::4], field).clamp(min=FLOOR)
    target = target / target.sum(1, keepdim=True)
    config = replace(CONFIG, ratios=ratios, crf=replace(PUBLISHED_CRF, bilateral_weight=30.0, gaussian_weight=9.0))
    q, seeds = floored_softmax(logits), cues.seeds[:, ::4, ::4].long()
    taught = grow_batch(seeds, target, cues.tags, background, config) if growing else seeds
    assert torch.equal(taught, seeds) is not growing
    parts = [balanced_seed_loss(q, taught, background), constrain_loss(q, target, ratios)]
    assert min(parts) > 0.4
    assert parts[1].item() != pytest.approx(constrain_loss(q, target).item(), rel=2e-3)
    loss = dsrg_loss(logits, cues, background, config, growing=growing)
    assert loss.item() == pytest.approx(sum(parts).item(), rel=1e-4)
