"""The systems by name: what the paper prints, in small letters, ``-`` as ``_``."""

from collections.abc import Callable
from typing import Any

from wsss_lib.baselines.ae_psl import ae_psl
from wsss_lib.baselines.bbf import bbf
from wsss_lib.baselines.ccnn import ccnn
from wsss_lib.baselines.dsrg import dsrg
from wsss_lib.baselines.lcem import lcem
from wsss_lib.baselines.mcof import mcof
from wsss_lib.baselines.psa import psa
from wsss_lib.baselines.sec import sec
from wsss_lib.baselines.skeleton import Material, Outcome, Run
from wsss_lib.baselines.spn import spn
from wsss_lib.baselines.stc import stc
from wsss_lib.segmentation.training import SegmentationConfig

System = Callable[[Material, SegmentationConfig, Any, Run], Outcome]
"""Material, settings of the segmentation network, the system's own configuration, and where it runs."""

SYSTEMS: dict[str, System] = {
    "ccnn": ccnn,
    "sec": sec,
    "psa": psa,
    "bbf": bbf,
    "dsrg": dsrg,
    "stc": stc,
    "spn": spn,
    "ae_psl": ae_psl,
    "lcem": lcem,
    "mcof": mcof,
}
