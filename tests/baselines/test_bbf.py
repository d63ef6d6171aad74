"""BBF: which cells are labels, how scores are pooled, and that the system learns with and without flow."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from wsss_lib.baselines.bbf import WITHOUT_FLOW, BbfConfig, bbf, bbf_loss, confident_cells, hide_flow, pooled_scores
from wsss_lib.segmentation.networks import build_network
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import IGNORE, SettingsError


def seeded(material):
    """The street with networks that start alike on every call."""

    def network(name):
        torch.manual_seed(0)
        return material.network(name)

    return replace(material, network=network)


def car_moves(i):
    """Flow on the street: where a car is tagged, its box goes 4 pixels to the right; all else stands."""
    flow = np.zeros((33, 33, 2), np.float32)
    if i % 2 == 0:
        flow[20:28, 4 + 4 * i : 14 + 4 * i, 0] = 4
    return flow


@pytest.fixture
def moving(material):
    return replace(seeded(material), flow=car_moves)


def test_confident_cells_by_hand():
    """Maxima 0.8 and 0.2, so the shares are (1, 0.875, 0.25, 0.25) and (0.5, 0.75, 1, 0.25).

    Cell 0: 1 leads by 0.5. Cell 1: 0.875 leads by 0.125 only. Cell 2: the faint class leads by 0.75. Cell 3: too weak.
    """
    heat = torch.tensor([[[[0.8, 0.7, 0.2, 0.2]], [[0.1, 0.15, 0.2, 0.05]]]])
    assert confident_cells(heat, 0.5, 0.2).tolist() == [[[0, IGNORE, 1, IGNORE]]]
    assert confident_cells(heat, 0.5, 0.1).tolist() == [[[0, 0, 1, IGNORE]]]
    assert confident_cells(heat, 0.9, 0.1).tolist() == [[[0, IGNORE, 1, IGNORE]]]


def test_a_class_without_heat_is_nowhere_and_one_without_rival_everywhere():
    heat = torch.zeros(1, 3, 1, 2)
    assert confident_cells(heat, 0.5, 0.2).tolist() == [[[IGNORE, IGNORE]]]
    heat[0, 2] = 0.3
    assert confident_cells(heat, 0.5, 0.2).tolist() == [[[2, 2]]]
    assert confident_cells(heat[:, 2:], 0.5, 0.2).tolist() == [[[0, 0]]]


def test_confident_cells_of_a_batch_are_those_of_its_pictures(material):
    heat = torch.stack([torch.from_numpy(material.heat(i)) for i in range(4)])
    together = confident_cells(heat, 0.5, 0.2)
    assert torch.equal(together, torch.cat([confident_cells(each[None], 0.5, 0.2) for each in heat]))


def test_confident_cells_of_the_street_are_true(material, true_map):
    for i in range(4):
        labels = confident_cells(torch.from_numpy(material.heat(i))[None], 0.5, 0.2)[0].numpy()
        assert (labels == true_map(i)[1::3, 1::3]).all()


def test_pooling_by_hand():
    """Cells 0 and 1 at r = 5: log((1 + e^5) / 2) / 5 = 0.8627, between the mean 0.5 and the maximum 1."""
    cells = torch.tensor([[[[0.0, 1.0]]]])
    assert pooled_scores(cells, 5.0).item() == pytest.approx(math.log((1 + math.exp(5)) / 2) / 5, abs=1e-6)
    assert pooled_scores(cells, 1e-2).item() == pytest.approx(0.5, abs=0.01)
    assert pooled_scores(cells, 1e3).item() == pytest.approx(1.0, abs=0.01)
    assert pooled_scores(torch.full((1, 1, 3, 4), 7.0), 5.0).item() == pytest.approx(7.0, abs=1e-5)


def test_the_loss_by_hand():
    """Logits 0 everywhere: log 2 on the one labelled cell, and log 2 as mean over the two classes of the tag loss."""
    logits, labels = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, IGNORE]]])
    tags = torch.tensor([[True, False]])
    config = BbfConfig(tag_weight=3.0)
    assert bbf_loss(logits, labels, tags, config).item() == pytest.approx(4 * math.log(2), abs=1e-6)
    nothing = torch.full_like(labels, IGNORE)
    assert bbf_loss(logits, nothing, tags, config).item() == pytest.approx(3 * math.log(2), abs=1e-6)


def test_an_absent_class_is_pushed_down_and_a_present_one_up():
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    bbf_loss(logits, torch.full((1, 2, 2), IGNORE), torch.tensor([[True, False]]), BbfConfig()).backward()
    assert (logits.grad[0, 0] < 0).all()
    assert (logits.grad[0, 1] > 0).all()


def test_flow_is_hidden_from_whole_pictures():
    torch.manual_seed(0)
    flow = torch.ones(400, 2, 3, 3)
    assert torch.equal(hide_flow(flow, 0.0), flow)
    assert not hide_flow(flow, 1.0).any()
    hidden = hide_flow(flow, 0.25)
    share = 1 - hidden[:, 0, 0, 0].mean().item()
    assert share == pytest.approx(0.25, abs=0.08)
    assert torch.equal(hidden, hidden[:, :1, :1, :1].expand_as(flow))


@pytest.mark.parametrize("flows", [True, False])
def test_the_whole_system(material, moving, settings, run, flows):
    lines = []
    outcome = bbf(moving if flows else material, settings, BbfConfig(), replace(run, report=Report(lines.append)))
    assert outcome.network_name == "two_stream_small"
    assert len(outcome.losses["bbf"]) == settings.training.steps
    assert outcome.variant == ("default" if flows else WITHOUT_FLOW)
    assert any(WITHOUT_FLOW in line for line in lines) is not flows
    image = torch.from_numpy(material.image(0)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        assert outcome.network(image).isfinite().all()


def test_training_with_flow_differs_from_training_without(moving, settings, run):
    """Hidden everywhere, flow changes nothing that standstill would not; shown everywhere, it does."""
    shown, hidden = (bbf(moving, settings, BbfConfig(still_share=share), run).losses["bbf"] for share in (0.0, 1.0))
    still = bbf(replace(moving, flow=lambda i: 0 * car_moves(i)), settings, BbfConfig(still_share=1.0), run)
    assert hidden == still.losses["bbf"]
    assert shown != hidden


@pytest.mark.parametrize("flows", [True, False])
def test_the_system_learns_the_street(material, moving, settings, run, true_map, flows):
    training = TrainingConfig(steps=30, batch_size=2, learning_rate=0.02, head_factor=5)
    outcome = bbf(moving if flows else material, replace(settings, training=training), BbfConfig(), run)
    assert np.mean(outcome.losses["bbf"][-5:]) < 0.5 * outcome.losses["bbf"][0]
    image = torch.from_numpy(material.image(0)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        logits = functional.interpolate(outcome.network(image), (33, 33), mode="bilinear", align_corners=True)
    assert (logits.argmax(1)[0].numpy() == true_map(0)).mean() > 0.85


def test_both_streams_start_alike_and_then_part(moving, settings, run):
    """The motion stream starts from the appearance stream's weights and then learns something else."""
    still = TrainingConfig(steps=1, batch_size=1, learning_rate=1e-12, weight_decay=0.0)
    outcome = bbf(moving, replace(settings, training=still), BbfConfig(), run)
    for ours, theirs in zip(outcome.network.motion.parameters(), outcome.network.backbone.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    learnt = bbf(moving, settings, BbfConfig(), run).network
    assert not torch.equal(learnt.motion.trunk[0].weight, learnt.backbone.trunk[0].weight)


def test_two_runs_with_one_seed_are_equal(moving, settings, run):
    one, other = (bbf(moving, settings, BbfConfig(), run) for _ in range(2))
    assert one.losses == other.losses


def test_a_killed_run_ends_as_an_uninterrupted_one(moving, settings, run, tmp_path):
    """The second run finds the first one's checkpoint, with another network to start from: the result is the same."""
    training = TrainingConfig(steps=3, batch_size=2, learning_rate=0.01, checkpoint_every=2)
    settings, saved = replace(settings, training=training), replace(run, folder=tmp_path)
    whole = bbf(moving, settings, BbfConfig(), saved)
    assert (tmp_path / "bbf.pt").is_file()
    resumed = bbf(replace(moving, network=lambda name: build_network(name, 3)), settings, BbfConfig(), saved)
    assert resumed.losses == whole.losses
    for ours, theirs in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_fewer_steps_pay_for_the_second_stream(material, settings, run):
    settings = replace(settings, training=replace(settings.training, steps=6))
    assert len(bbf(material, settings, BbfConfig(step_share=0.5), run).losses["bbf"]) == 3
    assert len(bbf(material, settings, BbfConfig(step_share=0.01), run).losses["bbf"]) == 1


def test_data_with_a_background_class_are_refused(material, settings, run):
    space = replace(material.label_space, background=0)
    with pytest.raises(SettingsError, match="driving scenes; street has a class for the background"):
        bbf(replace(material, label_space=space), settings, BbfConfig(), run)


def test_a_network_of_one_stream_is_refused(material, settings, run):
    single = replace(material, network=lambda _: material.network("largefov_small"))
    with pytest.raises(SettingsError, match="needs a network of two streams, but two_stream_small is a LargeFOV"):
        bbf(single, settings, BbfConfig(), run)


@pytest.mark.parametrize(
    "bad",
    [
        {"confidence": 1.0}, {"margin": -0.1}, {"sharpness": 0.0}, {"sharpness": math.inf}, {"tag_weight": -1.0},
        {"tag_weight": math.nan}, {"still_share": 1.1}, {"step_share": 0.0}, {"step_share": 1.5},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        BbfConfig(**bad)
