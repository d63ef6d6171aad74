"""First labels of superpixels, from heat maps and tags (paper 3.1; the rule is a choice, specification 9)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from wsss_lib.vocabulary import IGNORE, DataError, SettingsError, Tags


@dataclass(frozen=True, kw_only=True)
class SeedConfig:
    """Which superpixels become seeds, from their mean heat h_{s,c}.

    ``hottest``       specification 9: s is a seed of c = argmax_c h_{s,c} if h_{s,c} >= threshold * max_s h_{s,c};
                      few, sparse seeds
    ``every_region``  every superpixel takes its hottest tag: no region is left without a label
    """

    rule: Literal["hottest", "every_region"] = "hottest"
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.rule not in ("hottest", "every_region"):
            raise SettingsError(f"the seed rule must be hottest or every_region, not {self.rule!r}")
        if not 0 <= self.threshold <= 1:
            raise SettingsError(f"the seed threshold must be between 0 and 1, not {self.threshold}")


def choose_seeds(
    heat: Float[np.ndarray, "region class"], tags: Tags, config: SeedConfig
) -> UInt8[np.ndarray, "region"]:
    """Class of every superpixel of one picture, ``IGNORE`` where it is no seed; only tags are given.

    Heat (0.9, 0.1), (0.4, 0.3), (0.2, 0.8) of three superpixels for two tags, threshold 0.5: class 0, unknown
    (0.4 < 0.5 * 0.9), class 1.
    """
    if heat.shape[1] != len(tags):
        raise DataError(f"heat of {heat.shape[1]} classes and {len(tags)} tags: both must have one entry per class")
    allowed = np.where(tags, heat, -np.inf)
    best = allowed.argmax(1)
    value = allowed.max(1)
    sure = np.isfinite(value)
    if config.rule == "hottest":
        sure &= (value > 0) & (value >= config.threshold * allowed.max(0)[best])
    return np.where(sure, best, IGNORE).astype(np.uint8)
