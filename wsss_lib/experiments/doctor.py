"""Can this machine run the project? One line for each thing that it needs, with what was found."""

import importlib
import os
import platform
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from wsss_lib.experiments.files import free_space
from wsss_lib.experiments.memory import memory
from wsss_lib.experiments.places import REPOSITORY, Places
from wsss_lib.experiments.provenance import installed

_LEAST_MEMORY_GB = 4.0  # the toy profile's promise
_LEAST_DISK_GB = 2.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at; ``needed`` says what would be right and is empty for mere information."""

    name: str
    found: str
    needed: str = ""
    fine: bool = True

    def __str__(self) -> str:
        needed = f"  (needs {self.needed})" if self.needed else ""
        return f"{'OK  ' if self.fine else 'FAIL'}  {self.name:<30} {self.found}{needed}"


def examine(places: Places, project: Path = REPOSITORY / "pyproject.toml") -> list[Finding]:
    """Everything the project needs from a machine, in the order in which one would repair it."""
    declared = tomllib.loads(project.read_text())["project"]
    return [
        _python(declared["requires-python"]),
        *(_package(Requirement(line)) for line in declared["dependencies"]),
        *_imports(),
        *_machine(),
        _disk(places.build),
        _writable(places.build),
    ]


def _python(bounds: str) -> Finding:
    found = platform.python_version()
    return Finding(name="Python", found=found, needed=bounds, fine=SpecifierSet(bounds).contains(found))


def _package(requirement: Requirement) -> Finding:
    needed = str(requirement.specifier)
    found = installed(requirement.name)
    if found is None:
        return Finding(name=requirement.name, found="not installed", needed=needed, fine=False)
    fine = requirement.specifier.contains(found, prereleases=True)
    return Finding(name=requirement.name, found=found, needed=needed, fine=fine)


def _imports() -> Iterator[Finding]:
    """Packages that can be installed side by side and still not work together."""
    for module in ("torch", "torchvision.ops", "cv2.ximgproc"):
        try:
            importlib.import_module(module)
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
            yield Finding(name=f"import {module}", found=found, needed="to work", fine=False)
        else:
            yield Finding(name=f"import {module}", found="works")


def _machine() -> Iterator[Finding]:
    from wsss_lib.experiments.kernel import physical_cores

    total = memory()[0] / 1e9
    yield Finding(name="processor cores", found=f"{physical_cores()} physical, {os.cpu_count()} logical")
    yield Finding(
        name="memory", found=f"{total:.1f} GB", needed=f"{_LEAST_MEMORY_GB:.0f} GB", fine=total >= _LEAST_MEMORY_GB
    )
    yield Finding(name="bfloat16 on the processor", found=_bfloat16())
    yield Finding(name="GPU", found=_gpu())


def _bfloat16() -> str:
    """Whether the processor multiplies bfloat16 matrices in hardware, from the flags that Linux lists."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.exists() else set()
    units = sorted(flags & {"amx_bf16", "avx512_bf16", "bf16"})
    return f"in hardware ({', '.join(units)})" if units else "not in hardware; float32 is used"


def _gpu() -> str:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "none; the processor is used"
    total = torch.cuda.get_device_properties(0).total_memory / 1e9
    bfloat16 = "with" if torch.cuda.is_bf16_supported() else "without"
    return f"{torch.cuda.get_device_name(0)}, {total:.0f} GB, {bfloat16} bfloat16"


def _disk(build: Path) -> Finding:
    free = free_space(build) / 1e9
    needed = f"{_LEAST_DISK_GB:.0f} GB"
    return Finding(name="disk", found=f"{free:.1f} GB free", needed=needed, fine=free >= _LEAST_DISK_GB)


def _writable(build: Path) -> Finding:
    probe = build / f".doctor-{os.getpid()}"
    try:
        build.mkdir(parents=True, exist_ok=True)
        probe.write_text("writable")
        probe.unlink()
    except OSError as error:
        return Finding(name="build folder", found=f"{build}: {error.strerror}", needed="a writable folder", fine=False)
    return Finding(name="build folder", found=f"{build} can be written to")
