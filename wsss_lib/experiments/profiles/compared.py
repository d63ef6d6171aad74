"""The systems that the paper compares with, as every profile runs them: published values unless a comment says why not.

The network that is measured learns for at least the role's own number of steps, and is the role's own but for heads and
streams that belong to a system (``baselines.skeleton``); what stands here is theirs.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wsss_lib.baselines.ae_psl import AePslConfig
from wsss_lib.baselines.bbf import BbfConfig
from wsss_lib.baselines.ccnn import CcnnConfig
from wsss_lib.baselines.dsrg import DsrgConfig
from wsss_lib.baselines.lcem import LcemConfig
from wsss_lib.baselines.mcof import McofConfig
from wsss_lib.baselines.psa import PsaConfig
from wsss_lib.baselines.sec import SecConfig
from wsss_lib.baselines.spn import SpnConfig
from wsss_lib.baselines.stc import StcConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.segmentation.crf import PSA_CAM, scaled
from wsss_lib.training.loop import TrainingConfig

Systems = Mapping[str, Any]


def driving_systems(affinity: TrainingConfig, *, stride: int, crf_factor: float) -> Systems:
    """CCNN, SEC, PSA, BBF and DSRG.

    ``affinity`` trains PSA's affinity network on a grid of ``stride``; its CRF was published for pictures of about 500
    pixels, ``crf_factor`` brings its distances to ours. Its walk may cost a twentieth of the sure cells, and its labels
    are of superpixels, as the seeds are that all systems are given.
    """
    return {
        "ccnn": CcnnConfig(),
        "sec": SecConfig(),
        "psa": replace(_psa(affinity, stride, crf_factor), per_region=True),
        "bbf": BbfConfig(),
        "dsrg": DsrgConfig(),
    }


def voc_systems(
    affinity: TrainingConfig,
    branch: TrainingConfig,
    regions: ClusteringConfig,
    *,
    stride: int,
    crf_factor: float,
    feature_scale: float,
    layers: tuple[int, ...],
    erased: int,
) -> Systems:
    """The systems of Table 8, and PSA, with labels of pixels as published.

    ``branch`` trains SPN's classifier; ``regions`` is our own region network, of which MCOF takes one round without
    centre loss, on features of ``layers`` at ``feature_scale`` times the picture; ``erased`` are the steps for which
    AE-PSL's classifier learns again after every erasure.
    """
    one_round = replace(regions, rounds=1, center_steps=1, center_weight=0.0, certain=(1.0,))
    driving = driving_systems(affinity, stride=stride, crf_factor=crf_factor)
    return {
        **{name: driving[name] for name in ("ccnn", "sec", "dsrg")},
        "psa": _psa(affinity, stride, crf_factor),
        "stc": StcConfig(),
        "spn": SpnConfig(scale=feature_scale, training=branch),
        "ae_psl": AePslConfig(classifier_steps=erased),
        "lcem": LcemConfig(),
        "mcof": McofConfig(regions=one_round, layers=layers, feature_scale=feature_scale),
    }


def _psa(affinity: TrainingConfig, stride: int, crf_factor: float) -> PsaConfig:
    return PsaConfig(training=affinity, stride=stride, crf=scaled(PSA_CAM, crf_factor), minimum_kept=0.95)
