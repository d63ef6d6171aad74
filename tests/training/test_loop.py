"""The training loop: schedule and groups by hand, resumed equals uninterrupted, divergence is named."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import DivergedError, TrainingConfig, _batches, make_optimizer, settle_batch_norm, train
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import SettingsError

CPU = choose_compute("cpu", "float32")


def small_problem():
    """A net with dropout on four points, and the batch of a step."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    inputs, targets = torch.tensor([[0.0, 1], [1, 0], [1, 1], [0, 0]]), torch.tensor([0, 1, 1, 0])

    def batch(step):
        order = torch.randperm(4, generator=torch.Generator().manual_seed(step))[:2]
        return inputs[order], targets[order]

    def loss(values):
        return nn.functional.cross_entropy(model(values[0]), values[1])

    return model, batch, loss


def test_schedules_by_hand():
    poly = TrainingConfig(steps=10, batch_size=1, learning_rate=1.0)
    assert poly.rate(0) == 1
    assert poly.rate(5) == pytest.approx(0.5**0.9)
    step = TrainingConfig(steps=9, batch_size=1, learning_rate=1.0, schedule="step")
    assert [step.rate(i) for i in (0, 5, 6)] == [1.0, 1.0, 0.1]


def test_groups_are_caffes_multipliers():
    """Old weights 1x, old biases 2x without decay, new weights 10x, new biases 20x without decay."""
    old, new = nn.Linear(2, 2), nn.Linear(2, 2)
    config = TrainingConfig(steps=1, batch_size=1, learning_rate=0.001)
    optimizer = make_optimizer(nn.Sequential(old, new), config, head=[new])
    found = {id(group["params"][0]): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups}
    assert found[id(old.weight)] == pytest.approx((0.001, 5e-4))
    assert found[id(old.bias)] == pytest.approx((0.002, 0))
    assert found[id(new.weight)] == pytest.approx((0.01, 5e-4))
    assert found[id(new.bias)] == pytest.approx((0.02, 0))


def test_training_lowers_the_loss_and_leaves_the_random_state():
    model, batch, loss = small_problem()
    before = torch.get_rng_state()
    losses = train(model, batch, loss, TrainingConfig(steps=200, batch_size=2, learning_rate=0.1), compute=CPU, seed=0)
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
    assert torch.equal(before, torch.get_rng_state())
    assert not model.training


def test_resumed_equals_uninterrupted(tmp_path):
    config = TrainingConfig(steps=12, batch_size=2, learning_rate=0.1, checkpoint_every=5)
    model, batch, loss = small_problem()
    whole = train(model, batch, loss, config, compute=CPU, seed=1)

    killed, batch, loss = small_problem()

    def dies_at_8(step):
        if step == 8:
            raise KeyboardInterrupt
        return batch(step)

    with pytest.raises(KeyboardInterrupt):
        train(killed, dies_at_8, loss, config, compute=CPU, seed=1, checkpoint=tmp_path / "state.pt")
    resumed, batch, loss = small_problem()
    again = train(resumed, batch, loss, config, compute=CPU, seed=1, checkpoint=tmp_path / "state.pt")
    assert again == whole
    for name, value in model.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_the_reader_hears_a_twentieth_at_a_time_and_the_log_every_epoch():
    """40 steps of 2 samples out of 5: the 16 epochs end after the steps 3, 5, 8, 10, ... (2.5 steps each)."""
    model, batch, loss = small_problem()
    config = TrainingConfig(steps=40, batch_size=2, learning_rate=0.1)
    shown, logged = [], []
    losses = train(model, batch, loss, config, compute=CPU, seed=0, epoch=5, report=Report(shown.append, logged.append))
    assert [line.split(",")[0] for line in shown] == [f"step {step}/40" for step in range(2, 41, 2)]
    assert all(line.endswith(" s left") for line in shown)
    assert f"loss {(losses[2] + losses[3]) / 2:.3f}" in shown[1]
    epochs = [line for line in logged if line.startswith("epoch")]
    assert len(logged) == len(shown) + len(epochs) == 36
    assert [int(line.split("step ")[1].split(",")[0]) for line in epochs[:4]] == [3, 5, 8, 10]
    assert epochs[0].startswith(f"epoch 1/16: step 3, loss {sum(losses[:3]) / 3:.4f}, learning rate 0.0955")


def test_without_epochs_the_log_gets_what_is_shown():
    model, batch, loss = small_problem()
    shown, logged = [], []
    config = TrainingConfig(steps=7, batch_size=2, learning_rate=0.1)
    train(model, batch, loss, config, compute=CPU, seed=0, report=Report(shown.append, logged.append))
    assert shown == logged
    assert len(shown) == 7


def test_divergence_is_named():
    model, batch, _ = small_problem()
    config = TrainingConfig(steps=3, batch_size=2, learning_rate=0.1)
    said = []

    def nan(values):
        return model(values[0]).sum() * float("nan")

    with pytest.raises(DivergedError, match="step 0; lower learning_rate"):
        train(model, batch, nan, config, compute=CPU, seed=0, report=Report(said.append))
    assert said == ["warning: the loss is nan at step 0"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0), ("learning_rate", -1.0), ("learning_rate", float("nan")), ("schedule", "cosine"),
        ("head_factor", 0.0), ("momentum", 1.0), ("weight_decay", -1.0), ("step_at", 0.0),
    ],
)  # fmt: skip
def test_bad_settings_are_refused(field, value):
    settings = {"steps": 1, "batch_size": 1, "learning_rate": 0.1, field: value}
    with pytest.raises(SettingsError, match=field):
        TrainingConfig(**settings)


def test_unknown_device_is_refused():
    with pytest.raises(SettingsError, match="cpu or cuda"):
        choose_compute("tpu")


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (3, 5), (5, 5)])
def test_batches_prepared_ahead_are_the_same(start, stop):
    inline, ahead = (list(_batches(lambda step: step**2, start, stop, threads=threads)) for threads in (0, 3))
    assert inline == ahead == [(step, step**2) for step in range(start, stop)]


@pytest.mark.parametrize("taken", [1, 4])
def test_threads_that_prepare_batches_have_one_core_each(taken):
    """And whoever computes afterwards has all of them again, also where a training ended early."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        batches = _batches(lambda _: torch.get_num_threads(), 0, 4, threads=2)
        assert [next(batches)[1] for _ in range(taken)] == [1] * taken
        batches.close()
        with ThreadPoolExecutor(1) as pool:
            assert (torch.get_num_threads(), pool.submit(torch.get_num_threads).result()) == (3, 3)
    finally:
        torch.set_num_threads(before)


def test_batch_norm_statistics_are_the_mean_over_the_batches_by_hand():
    """Batches 0, 2 and 4, 8: means 1 and 6, variances (of n - 1) 2 and 8; whatever the running values were before."""
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Dropout(0.5))
    spoilt = model[0]
    spoilt.running_mean.fill_(100.0)
    spoilt.running_var.fill_(torch.inf)
    state = torch.get_rng_state()
    settle_batch_norm(model, (torch.tensor([[a], [b]]) for a, b in ((0.0, 2.0), (4.0, 8.0))), compute=CPU, seed=0)
    assert (spoilt.running_mean.item(), spoilt.running_var.item()) == (3.5, 5.0)
    assert (model.training, spoilt.momentum) == (False, 0.1)
    assert torch.equal(torch.get_rng_state(), state)


def test_without_batch_norm_nothing_happens():
    model, _, _ = small_problem()
    settle_batch_norm(model, (_ for _ in ()), compute=CPU, seed=0)
    assert not model.training
