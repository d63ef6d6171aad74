"""First labels of superpixels, from heat maps and tags (paper 3.1; the rule is a choice, specification 9)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, UInt8

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
) -> tuple[UInt8[np.ndarray, "region"], Float32[np.ndarray, "region"]]:
    """Class of every superpixel of one picture, ``IGNORE`` where it is no seed, and how sure it is, 0..1.

    Only tags are given; the certainty is the class's share of the heat of all tags: how sure it is if one of them is
    right, however little heat they have. Heat (0.9, 0.1), (0.4, 0.3),
    (0.2, 0.8) of three superpixels for two tags, ``hottest``, threshold 0.5: class 0, unknown (0.4 < 0.5 * 0.9),
    class 1; certainty 0.9, 0, 0.8.
    """
    if heat.shape[1] != len(tags):
        raise DataError(f"heat of {heat.shape[1]} classes and {len(tags)} tags: both must have one entry per class")
    allowed = np.where(tags, heat, -np.inf)
    best, value = allowed.argmax(1), allowed.max(1)
    sure = np.isfinite(value)
    if config.rule == "hottest":
        sure &= (value > 0) & (value >= config.threshold * allowed.max(0)[best])
    total = np.maximum(np.where(tags, heat, 0).sum(1), 1e-9)
    certainty = np.where(sure, value, 0) / total
    return np.where(sure, best, IGNORE).astype(np.uint8), certainty.astype(np.float32)


def most_certain(
    labels: UInt8[np.ndarray, "region"], certainty: Float32[np.ndarray, "region"], share: float
) -> UInt8[np.ndarray, "region"]:
    """The labels of the surest ``share`` of every class's regions; the others become ``IGNORE``.

    A share per class, not a threshold: a threshold would empty the classes that are never sure (class-balanced
    self-training, Zou et al., ECCV 2018). Ties are all kept, so at least one region of every class remains.
    """
    kept = labels.copy()
    for index in np.unique(labels[labels != IGNORE]):
        members = np.flatnonzero(labels == index)
        lowest = np.quantile(certainty[members], 1 - share)
        kept[members[certainty[members] < lowest]] = IGNORE
    return kept
