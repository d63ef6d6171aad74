"""The one training loop: stochastic gradient descent on ``loss(batch(step))``, resumable at any checkpoint.

The batch of a step is a pure function of the step, so the order of the data needs no state: a run that was killed goes
on with the very batches it would have seen, whatever the number of threads that prepare them.
"""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
import torch.optim.swa_utils
from torch import Tensor, nn

from wsss_lib.data.disk import aside
from wsss_lib.training.compute import Compute
from wsss_lib.training.report import SILENT, Clock, Report
from wsss_lib.training.together import shared_statistics
from wsss_lib.vocabulary import DataError, SettingsError, WsssError

Batch = TypeVar("Batch")


class DivergedError(WsssError):
    """The loss became NaN or infinite."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How a stage is trained. Defaults are DeepLab's: SGD, momentum 0.9, weight decay 5e-4, poly schedule of power 0.9,
    new layers at ten times the learning rate, biases at twice the rate and without decay (``repo xmojiao/deeplab_v2``).
    The two vectors of a batch normalisation, which VGG16 has none of, learn as biases do (choice).

    ``step`` divides the learning rate by 10 once the share ``step_at`` of the steps is done; ``checkpoint_every``
    counts steps.
    """

    steps: int
    batch_size: int
    learning_rate: float
    head_factor: float = 10.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: Literal["poly", "step", "constant"] = "poly"
    step_at: float = 2 / 3
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.checkpoint_every < 1:
            raise SettingsError(f"steps, batch_size and checkpoint_every must be at least 1, in {self}")
        if not (self.learning_rate > 0 and math.isfinite(self.learning_rate)):
            raise SettingsError(f"learning_rate must be a positive number, not {self.learning_rate}")
        if not (self.head_factor > 0 and 0 <= self.momentum < 1 and self.weight_decay >= 0 and 0 < self.step_at <= 1):
            raise SettingsError(
                f"head_factor above 0, momentum and weight_decay of at least 0 and step_at within 0..1, in {self}"
            )
        if self.schedule not in ("poly", "step", "constant"):
            raise SettingsError(f"schedule must be poly, step or constant, not {self.schedule!r}")

    def rate(self, step: int) -> float:
        """Factor on the learning rate at a step."""
        if self.schedule == "poly":
            return (1 - step / self.steps) ** 0.9
        return 0.1 if self.schedule == "step" and step >= self.step_at * self.steps else 1.0


def make_optimizer(model: nn.Module, config: TrainingConfig, head: Sequence[nn.Module] = ()) -> torch.optim.SGD:
    """SGD over the trainable parameters in Caffe's four groups: old and new layers, weights and biases."""
    new = {id(parameter) for module in head for parameter in module.parameters()}
    groups = {
        (is_new, is_bias): [
            parameter
            for parameter in model.parameters()
            if parameter.requires_grad and (id(parameter) in new) is is_new and (parameter.ndim == 1) is is_bias
        ]
        for is_new in (False, True)
        for is_bias in (False, True)
    }
    settings = [
        {
            "params": parameters,
            "lr": config.learning_rate * (config.head_factor if is_new else 1) * (2 if is_bias else 1),
            "weight_decay": 0.0 if is_bias else config.weight_decay,
        }
        for (is_new, is_bias), parameters in groups.items()
        if parameters
    ]
    return torch.optim.SGD(settings, lr=config.learning_rate, momentum=config.momentum)


def train(
    model: nn.Module,
    batch: Callable[[int], Batch],
    loss: Callable[[Batch], Tensor],
    config: TrainingConfig,
    *,
    compute: Compute,
    seed: int,
    head: Sequence[nn.Module] = (),
    checkpoint: Path | None = None,
    epoch: int = 0,
    report: Report = SILENT,
) -> list[float]:
    """Train ``model`` in place and return the loss of every step.

    Args:
        batch: step -> batch; must depend on nothing but the step (and what it closes over).
        loss: batch -> scalar loss in float32; closes over the model.
        seed: of everything random inside the model, such as dropout. The caller's random state is left as it was.
        head: new layers, trained ``config.head_factor`` times faster.
        checkpoint: a file that is written every ``checkpoint_every`` steps and, if it exists, resumed from.
        epoch: samples of one pass over the data, or 0 where there is no such thing.
        report: shows about twenty lines of progress; its log gets a line for every epoch too.

    Raises:
        DivergedError: the loss is NaN or infinite; nothing is written for that step.
    """
    optimizer = make_optimizer(model, config, head)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, config.rate)
    on_gpu, together = compute.device.type == "cuda", compute.together
    with (
        torch.random.fork_rng(devices=[compute.device] if on_gpu else []),
        shared_statistics(model) if together and on_gpu else nullcontext(),
    ):
        torch.manual_seed(seed + (together.rank if together else 0))  # dropout draws
        losses = _resume(checkpoint, model, optimizer, scheduler, compute)
        model.train()
        clock, often = Clock(config.steps, len(losses)), max(1, config.steps // 20)
        for step, values in _batches(batch, len(losses), config.steps, threads=_threads() if on_gpu else 0):
            with compute.autocast():
                value = loss(together.part(values) if together else values)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            if together:
                together.average_gradients(model)
                value = together.mean(value)
            optimizer.step()
            scheduler.step()
            losses.append(value.item())
            if not math.isfinite(losses[-1]):
                report(f"warning: the loss is {losses[-1]} at step {step}")
                raise DivergedError(
                    f"the loss is {losses[-1]} at step {step}; lower learning_rate {config.learning_rate}"
                )
            if line := _epoch_line(losses, epoch, config):
                report.log(line)
            if (step + 1) % often == 0:
                report(f"step {step + 1}/{config.steps}, loss {_mean(losses[-often:]):.3f}, {clock.left(step + 1)}")
            due = (step + 1) % config.checkpoint_every == 0 and step + 1 < config.steps
            if checkpoint is not None and due and (together is None or together.first):
                _save(checkpoint, model, optimizer, scheduler, losses, compute)
    model.eval()
    return losses


@contextmanager
def start_values(seed: int) -> Iterator[None]:
    """Inside, new layers start from the seed; the caller's random state is left as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def settle_batch_norm(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    compute: Compute,
    seed: int,
    forward: Callable[[Batch], object] | None = None,
) -> None:
    """Batch normalisation statistics of a trained model, averaged over ``batches`` of its inputs, each with one weight.

    ``forward`` sends a batch through a model that takes more than one tensor.

    While it learns, a layer keeps a running mean that follows its last few batches, of weights that still change; what
    predicts should rest on the final weights and on many pictures (Wu, Johnson, "Rethinking Batch in BatchNorm", 2021).
    One step with an infinite variance would also spoil a running mean for good, while training itself goes on: that was
    seen once, in bfloat16 on a processor. A model without such layers is left as it is.
    """
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), compute.autocast():
        torch.manual_seed(seed)  # dropout draws
        torch.optim.swa_utils.update_bn(batches, model if forward is None else _Through(model, forward))
    model.eval()


class _Through(nn.Module):
    """A model that is called in another way."""

    def __init__(self, model: nn.Module, forward: Callable[[Any], object]) -> None:
        super().__init__()
        self.model, self.call = model, forward

    def forward(self, batch: Any) -> object:
        return self.call(batch)


def _batches(batch: Callable[[int], Batch], start: int, stop: int, *, threads: int) -> Iterator[tuple[int, Batch]]:
    """The batches of the steps; as many as there are ``threads`` are prepared while an earlier one is trained on.

    That pays on a GPU only. On the processor a thread would bring an OpenMP pool of its own, and two pools on the
    same cores wait for each other: a step of the region network took twice as long. So beside a GPU, too, each of
    the threads has one core.
    """
    if not threads:
        for step in range(start, stop):
            yield step, batch(step)
        return
    with _one_core_each(), ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        waiting = deque(pool.submit(batch, step) for step in range(start, min(start + threads, stop)))
        for step in range(start, stop):
            values = waiting.popleft().result()
            if step + threads < stop:
                waiting.append(pool.submit(batch, step + threads))
            yield step, values


@contextmanager
def _one_core_each() -> Iterator[None]:
    """Threads that are started inside may limit PyTorch to one core each; that is taken back for those to come."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _epoch_line(losses: Sequence[float], epoch: int, config: TrainingConfig) -> str:
    """What the log gets after the last step of a pass over ``epoch`` samples; "" after any other step."""
    step, size = len(losses), config.batch_size
    if epoch < 1 or step * size // epoch == (step - 1) * size // epoch:
        return ""
    rate = config.learning_rate * config.rate(step - 1)
    passes = f"epoch {step * size // epoch}/{max(1, round(config.steps * size / epoch))}"
    return f"{passes}: step {step}, loss {_mean(losses[-math.ceil(epoch / size) :]):.4f}, learning rate {rate:.3g}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _threads() -> int:
    """Threads that prepare batches: one for every two processors, at most eight."""
    return max(1, min(8, (os.cpu_count() or 2) // 2))


def _save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    losses: list[float],
    compute: Compute,
) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": {"last_epoch": scheduler.last_epoch},
        "losses": losses,
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(compute.device) if compute.device.type == "cuda" else None,
    }
    with aside(path) as unfinished:
        torch.save(state, unfinished)


def _resume(
    path: Path | None,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    compute: Compute,
) -> list[float]:
    """Load a checkpoint if there is one; the losses so far. Of several processes the first one reads it for all."""
    together, found = compute.together, path is not None and path.is_file()
    if not (together.of_first(found) if together else found):
        return []
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True) if path and found else None
        if together:
            state = together.of_first(state)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.last_epoch = state["scheduler"]["last_epoch"]
        if together is None or together.first:  # the random state is the first process's
            torch.set_rng_state(state["random"])
            if state["random_cuda"] is not None and compute.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"], compute.device)
        return [float(loss) for loss in state["losses"]]
    except Exception as error:  # a damaged file fails in many ways, some of them private to torch
        raise DataError(
            f"the checkpoint {path} cannot be gone on from ({type(error).__name__}); delete it and run the same command"
            " again: this training then starts over"
        ) from error
