"""The profiles ``paper`` and ``paper-dry``: the paper's own settings, or the specification's where it is silent.

Stated by the paper: VGG16, patches of 512 x 512 (Cityscapes, 4 x 2) and 240 x 240 pixels (CamVid, 4 x 3), three rounds,
40,000 and 5,000 iterations of the region network, a weight of 0.001 for the centre loss, DeepLab-LargeFOV, FCN and
DRN-D-105. All else is a choice: sizes, schedules (specification 9), and that the compared systems, which learn from
whole pictures, see them at half the size, because ten whole Cityscapes pictures do not fit beside a VGG16.

What the specification chooses and is not done: the convolutions of the region network do not learn, its features are
what the classifier's backbone computed once (``clustering.network``), of a conv5 that is not dilated; LargeFOV and FCN
learn at full size, not at 1024 x 512; DRN-D-105 learns from parts of 641 pixels (840), neither scaled nor turned at
random, and from nothing.
"""

from dataclasses import replace
from typing import Any, Literal

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.clustering.seeds import SeedConfig
from wsss_lib.experiments.profiles.compared import driving_systems, voc_systems
from wsss_lib.experiments.profiles.schema import Profile, Role, Size, Source, Variant, Where
from wsss_lib.localization.patches import LocalizationConfig
from wsss_lib.regions.superpixels import SuperpixelConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.loop import TrainingConfig

PICTURES = {"cityscapes": (2975, 500, 1525), "camvid": (367, 101, 233), "voc": (10_582, 1449, 1456)}
"""Of train, val and test as published; what ``wsss plan`` counts with."""

_CLASSIFIER = ClassifierConfig(
    backbone="vgg16_sec",
    weights="torchvision",
    input_size=321,
    training=TrainingConfig(steps=15_000, batch_size=32, learning_rate=0.001, schedule="step", checkpoint_every=1000),
)

_PATCH = (320, 320)
"""SEC's network was published with 321: of its 41 cells the last would stand for a single pixel (choice)."""

_CONV5_3 = (28,)
"""Position of its ReLU in VGG16's trunk: 512 channels at stride 8."""

_CLUSTERING = ClusteringConfig(
    hidden=4096,
    balance=1.0,
    pictures_per_batch=2,
    training=TrainingConfig(
        steps=40_000, batch_size=128, learning_rate=0.001, head_factor=1, schedule="step", step_at=0.75,
        checkpoint_every=1000,
    ),
    center_steps=5_000,
)  # fmt: skip

_AFFINITY = TrainingConfig(steps=3000, batch_size=8, learning_rate=0.01, checkpoint_every=500)
_BRANCH = TrainingConfig(steps=10_000, batch_size=64, learning_rate=0.1, head_factor=1, weight_decay=1e-4)


def _segmentation(size: Size) -> SegmentationConfig:
    return SegmentationConfig(
        network="deeplab_largefov",
        weights="torchvision",
        input_size=size,
        crop_size=(321, 321),
        label_stride=8,
        training=TrainingConfig(steps=20_000, batch_size=10, learning_rate=0.001, checkpoint_every=1000),
    )


def _networks(size: Size, drn_steps: int) -> dict[str, SegmentationConfig]:
    """FCN-8s as ours is trained; DRN-D-105 from nothing, for want of its ImageNet weights, and for 40 passes."""
    ours = _segmentation(size)
    slower = TrainingConfig(
        steps=drn_steps, batch_size=16, learning_rate=0.01, head_factor=1, weight_decay=1e-4, checkpoint_every=500
    )
    drn = replace(ours, network="drn_d_105", weights="none", crop_size=(641, 641), training=slower)
    return {"fcn": replace(ours, network="fcn8s"), "drn_d_105": drn}


def _variants(where: Where, size: Size) -> dict[str, Variant]:
    literal = Variant(
        where=where,
        heat="maximum",
        seeds=SeedConfig(rule="hottest"),
        features=RegionFeatureConfig(size=size, layers=_CONV5_3, pooling="masked_roi"),
        clustering=_CLUSTERING,
    )
    return {
        "default": literal,
        "no_center_loss": replace(literal, clustering=replace(_CLUSTERING, center_weight=0.0)),
    }


def _streets(
    dataset: Literal["cityscapes", "camvid"],
    played_by: str,
    *,
    size: Size,
    columns: int,
    rows: int,
    whole: Size,
    drn_steps: int,
) -> Role:
    fitting = (size[0] + 1, size[1] + 1)
    half = (size[0] // 2 + 1, size[1] // 2 + 1)
    segmentation = _segmentation(fitting)  # its corners coincide with the picture's, the classifier's do not
    return Role(
        dataset=dataset,
        played_by=played_by,
        source=Source(reader=dataset, label_space=dataset, size=size, simple_pictures="imagenet"),
        classifier=_CLASSIFIER,
        classifier_per_seed=False,
        whole=LocalizationConfig(patch_size=whole),
        patches=LocalizationConfig(columns=columns, rows=rows, patch_size=_PATCH),
        superpixels=SuperpixelConfig(),
        variants=_variants("patches", size),
        segmentation=segmentation,
        networks=_networks(fitting, drn_steps),
        systems=driving_systems(_AFFINITY, stride=8, crf_factor=half[0] / 480),
        compared=replace(segmentation, input_size=half),
    )


def _voc() -> Role:
    size = (496, 368)
    variants = _variants("whole", size)
    return Role(
        dataset="voc",
        played_by="PASCAL VOC 2012",
        source=Source(reader="voc2012", label_space="voc", size=(500, 375)),
        learns_from="tags",
        classifier=replace(_CLASSIFIER, activation="sigmoid", minimum_crop=0.5),
        classifier_per_seed=False,
        whole=LocalizationConfig(patch_size=size),
        patches=LocalizationConfig(columns=2, rows=2, patch_size=_PATCH),
        superpixels=SuperpixelConfig(),
        variants={"default": variants["default"]},
        segmentation=_segmentation((size[0] + 1, size[1] + 1)),
        systems=voc_systems(
            _AFFINITY, _BRANCH, _CLUSTERING, stride=8, crf_factor=1.0, feature_scale=1.0, layers=_CONV5_3, erased=1000
        ),
    )


PAPER = Profile(
    name="paper",
    summary="the paper's own settings, on those of Cityscapes, CamVid and VOC 2012 that are there; needs a GPU",
    needs_data=True,
    present_only=True,
    roles={
        "cityscapes": _streets(
            "cityscapes", "Cityscapes", size=(2048, 1024), columns=4, rows=2, whole=(640, 320), drn_steps=7440
        ),
        "camvid": _streets(
            "camvid", "CamVid 960x720", size=(960, 720), columns=4, rows=3, whole=(640, 480), drn_steps=920
        ),
        "voc": _voc(),
    },
)


def _few_steps(config: Any) -> Any:
    """A configuration whose trainings have two steps of two pictures and start from nothing, otherwise the same.

    A region network keeps its batch, which is regions; ``wsss plan`` measures what full batches cost.
    """
    changes: dict[str, Any] = {}
    for name in ("training", "regions"):
        if hasattr(config, name):
            changes[name] = _few_steps(getattr(config, name))
    if isinstance(config, ClusteringConfig):
        changes["training"] = replace(config.training, steps=2)
    if isinstance(config, TrainingConfig):
        changes |= {"steps": 2, "batch_size": 2}
    if hasattr(config, "weights"):
        changes["weights"] = "none"
    for name in ("center_steps", "classifier_steps", "settling_batches"):
        if hasattr(config, name):
            changes[name] = 1
    return replace(config, **changes) if changes else config


def _dry(role: Role) -> Role:
    return replace(
        role,
        played_by=f"random textures, as large as {role.played_by}",
        classifier=_few_steps(role.classifier),
        variants={
            name: replace(variant, clustering=_few_steps(variant.clustering)) for name, variant in role.variants.items()
        },
        segmentation=_few_steps(role.segmentation),
        networks={name: _few_steps(config) for name, config in role.networks.items()},
        systems={name: _few_steps(config) for name, config in role.systems.items()},
        compared=_few_steps(role.compared) if role.compared else None,
        clustering_seeds=(0,),
        segmentation_seeds=(0,),
    )


PAPER_DRY = replace(
    PAPER,
    name="paper-dry",
    summary="the profile paper on a few random textures, two steps of two a training: proves that all fits together",
    needs_data=False,
    textures=True,
    roles={name: _dry(role) for name, role in PAPER.roles.items()},
)
