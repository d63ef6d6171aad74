"""Where and how exactly tensors are computed: one value with device and precision, passed from the outermost call."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from wsss_lib.training.together import Together
from wsss_lib.vocabulary import SettingsError

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class Compute:
    """A device and the number format of its matrix products; weights and losses stay in float32.

    ``precision`` is ``float32``, or ``bfloat16`` for mixed precision: 2 to 4 times faster on processors and GPUs that
    have bfloat16 units, slower on those that do not. Networks and pictures lie in memory with their channels last,
    which is about as fast or faster (up to 1.4 times, MobileNetV2 in float32 on a processor without AVX-512).
    ``together``: the processes that share every training, ``None`` for this one alone.
    """

    device: torch.device
    precision: torch.dtype = torch.float32
    together: Together | None = None

    @property
    def mixed(self) -> bool:
        return self.precision != torch.float32

    def autocast(self) -> AbstractContextManager[Any]:
        """Run matrix products inside the block in ``precision``."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.mixed)

    def place(self, module: Module) -> Module:
        """The module itself, moved to the device, channels last."""
        return module.to(self.device).to(memory_format=torch.channels_last)

    def tensor(self, values: Tensor) -> Tensor:
        """A tensor on the device; batches of pictures (4 axes) in the layout of :meth:`place`, bytes as float32.

        Pictures travel as bytes, a quarter of what they are as numbers, and to a GPU from page-locked memory: from any
        other a copy takes several times as long, and the GPU computes nothing meanwhile.
        """
        if self.device.type == "cuda" and not values.is_cuda:
            values = values.pin_memory()
        if values.ndim != 4:
            return values.to(self.device, non_blocking=True)
        pictures = values.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        return pictures.float() if pictures.dtype == torch.uint8 else pictures

    def alone(self) -> "Compute":
        """The same for something that every process computes for itself."""
        return replace(self, together=None)

    def describe(self) -> str:
        """One line for logs and records, such as ``cpu, bfloat16``."""
        return f"{self.device.type}, {str(self.precision).removeprefix('torch.')}"


def choose_compute(device: str = "auto", precision: str = "auto", together: Together | None = None) -> Compute:
    """The GPU if there is one, and bfloat16 where the hardware has units for it; or what is asked for.

    Of several processes ``together`` each has the device that was given to it.
    Raises ``SettingsError`` for an unknown name or a device that this machine lacks.
    """
    if device not in ("auto", "cpu", "cuda") or precision not in ("auto", "float32", "bfloat16"):
        raise SettingsError(
            f"device {device!r}, precision {precision!r}: use auto, cpu or cuda and auto, float32 or bfloat16"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("device 'cuda' was asked for but torch sees no GPU here; use device 'auto' or 'cpu'")
    kind = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if precision == "auto":
        precision = "bfloat16" if _has_bfloat16_units(kind) else "float32"
    place = together.fabric.device if together else torch.device(kind)
    return Compute(device=place, precision=getattr(torch, precision), together=together)


def without_autocast(tensor: Tensor) -> AbstractContextManager[Any]:
    """Inside, products are computed in the precision of their tensors, whatever autocast says of this one's device."""
    return torch.autocast("cuda" if tensor.is_cuda else "cpu", enabled=False)


def _has_bfloat16_units(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    # torch tells this only through underscored functions; without them the safe answer is "no".
    probes = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(probe is not None and probe() for probe in probes)
