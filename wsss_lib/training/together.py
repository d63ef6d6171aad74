"""Several processes, on one machine or many, that train one network together (Lightning Fabric underneath).

Each of them prepares the same batch, learns from its own part of it, and then all take the mean of their gradients: one
step of two processes is one step of a single process, up to rounding, where the loss is a mean over the batch's parts.
Batch statistics are shared between GPUs (``SyncBatchNorm``); on processors every process has those of its part.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from wsss_lib.vocabulary import SettingsError, WsssError

Value = TypeVar("Value")

_PATIENCE = timedelta(
    days=7
)  # how long a process that trains may wait for the first one, which may be writing or reading


@dataclass(frozen=True, kw_only=True)
class Together:
    """One of ``size`` processes, number ``rank``; ``fabric`` carries what they tell each other."""

    fabric: Any
    rank: int
    size: int

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and reports."""
        return self.rank == 0

    def part(self, batch: Value) -> Value:
        """This process's part of a batch: every ``size``-th element of all that it holds.

        ``SettingsError`` for a batch that cannot be divided equally.
        """
        return _every(batch, self.rank, self.size)

    def average_gradients(self, model: nn.Module) -> None:
        """Every gradient becomes its mean over the processes, in place."""
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        flat = self.fabric.all_reduce(torch.cat([each.flatten() for each in gradients]), reduce_op="mean")
        for gradient, mean in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a scalar over the processes."""
        return self.fabric.all_reduce(value.detach().clone(), reduce_op="mean")

    def of_first(self, value: Value) -> Value:
        """What the first process has."""
        return self.fabric.broadcast(value, src=0)


def launch(task: Callable[..., None], *arguments: Any, processes: int, device: str = "auto") -> None:
    """Run ``task(together, *arguments)`` in every process; returns when all are done.

    Under ``torchrun`` its processes are taken, whatever ``processes`` says; otherwise they are started here, so
    ``task`` and the arguments must be picklable. ``SettingsError`` for more processes than this machine has GPUs, or
    if torchrun's machines differ in their number of processes; a ``WsssError`` of a process that was started is raised
    here, with its sentence.
    """
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy
    except ImportError as error:
        raise SettingsError(
            "several processes need the package lightning-fabric; install it beside wsss_lib"
        ) from error
    kind = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    here, machines = _shape(processes)
    if here < 1 or (kind == "cuda" and here > torch.cuda.device_count()):
        raise SettingsError(f"{here} processes were asked for, and there are {torch.cuda.device_count()} GPUs")
    strategy = DDPStrategy(start_method="popen" if _under_torchrun() else "spawn", timeout=_PATIENCE)
    fabric = Fabric(accelerator=kind, devices=here, num_nodes=machines, strategy=strategy)
    with TemporaryDirectory() as folder:
        work = partial(_work, task=task, arguments=arguments, folder=Path(folder))
        try:
            fabric.launch(work)  # with the arguments in it: as arguments of launch, Fabric would search them
        except (ProcessRaisedException, ProcessExitedException):
            for told in sorted(Path(folder).iterdir()):
                raise WsssError(told.read_text(encoding="utf-8")) from None
            raise


def world_size(processes: int) -> int:
    """How many processes :func:`launch` lets train together: those of ``torchrun`` under it, else ``processes``."""
    return int(os.environ["WORLD_SIZE"]) if _under_torchrun() else processes


def _under_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _shape(processes: int) -> tuple[int, int]:
    """Processes on this machine, and how many machines there are."""
    if not _under_torchrun():
        return processes, 1
    here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), world_size(processes)
    if everywhere % here:
        raise SettingsError(
            f"torchrun started {here} of {everywhere} processes on this machine; start as many on every machine"
        )
    return here, everywhere // here


def _work(fabric: Any, task: Callable[..., None], arguments: tuple[Any, ...], folder: Path) -> None:
    """One process's share. A clear error is left in the folder: a process that was started hands on tracebacks only."""
    try:
        task(Together(fabric=fabric, rank=fabric.global_rank, size=fabric.world_size), *arguments)
    except WsssError as error:
        (folder / str(fabric.global_rank)).write_text(str(error), encoding="utf-8")
        raise
    # A process whose threads still wait for one that has left aborts on its own way out.
    fabric.barrier()
    torch.distributed.destroy_process_group()


@contextmanager
def shared_statistics(model: nn.Module) -> Iterator[nn.Module]:
    """Inside, batch normalisation on GPUs is over the batches of all processes; the layers are put back afterwards."""
    found = [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.BatchNorm2d)
    ]
    for parent, name, layer in found:
        setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(layer))
    try:
        yield model
    finally:
        for parent, name, layer in found:
            layer.load_state_dict(getattr(parent, name).state_dict())
            setattr(parent, name, layer)


def _every(value: Any, rank: int, size: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Tensor | list):
        if len(value) % size:
            raise SettingsError(
                f"a batch of {len(value)} cannot be divided between {size} processes; change batch_size"
            )
        return value[rank::size]
    if isinstance(value, tuple):
        return tuple(_every(part, rank, size) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _every(getattr(value, field.name), rank, size) for field in fields(value)})
    raise SettingsError(f"a batch of type {type(value).__name__} cannot be divided between processes")
