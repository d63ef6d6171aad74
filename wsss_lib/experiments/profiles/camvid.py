"""The profile ``camvid``: real CamVid and MSRC-21 with a MobileNetV2 from ImageNet, on two cores.

Every segmentation network, ours and those of the compared systems, sees every CamVid picture twelve times and every
MSRC-21 picture twice as often: there they learn at DeepLab's published rates, which are ten times lower (at CamVid's,
SEC ended far below the class maps that it starts from), and after twelve times losses against a system's own
labels were still falling (``figures/README.md``).
"""

from dataclasses import replace

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.experiments.profiles.compared import driving_systems, voc_systems
from wsss_lib.experiments.profiles.schema import GROWING, Profile, Role, Source, only_default, with_ablations
from wsss_lib.localization.patches import LocalizationConfig
from wsss_lib.regions.superpixels import SuperpixelConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.loop import TrainingConfig

_MOBILENET = "mobilenet_v2_imagenet1k.safetensors"
_MOBILENET_LAYERS = (18,)

_CAMVID_CLUSTERING = ClusteringConfig(
    hidden=512,
    certain=GROWING,
    training=TrainingConfig(steps=1000, batch_size=512, learning_rate=0.02, head_factor=1, schedule="step"),
    center_steps=125,
    pictures_per_batch=32,
)

_CAMVID_SEGMENTATION = SegmentationConfig(
    network="largefov_mobilenet_v2",
    weights=_MOBILENET,
    input_size=(481, 369),
    crop_size=(481, 369),
    scale_range=(0.75, 1.5),
    label_stride=4,
    training=TrainingConfig(steps=552, batch_size=8, learning_rate=0.01, head_factor=5),
)

_SMALL_DRN = replace(
    _CAMVID_SEGMENTATION,
    network="drn_small",
    weights="none",
    input_size=(321, 241),
    crop_size=(321, 241),
    training=replace(_CAMVID_SEGMENTATION.training, steps=1104, head_factor=1),
)
"""Stands in for DRN-D-105, whose ImageNet weights are not at hand: it starts from nothing, so it learns for longer."""

_AFFINITY = TrainingConfig(steps=140, batch_size=4, learning_rate=0.01)

CAMVID = Profile(
    name="camvid",
    summary="CamVid at 480 x 360 and MSRC-21 as VOC, with a MobileNetV2 from ImageNet",
    needs_data=True,
    roles={
        "camvid": Role(
            dataset="camvid",
            played_by="CamVid 480x360, MobileNetV2 instead of VGG16",
            source=Source(reader="camvid", label_space="camvid", size=(480, 360)),
            classifier=ClassifierConfig(
                backbone="mobilenet_v2",
                weights=_MOBILENET,
                input_size=225,
                frozen=True,
                crops=2,
                minimum_crop=1.0,
                training=TrainingConfig(steps=1500, batch_size=64, learning_rate=0.1, head_factor=1, weight_decay=1e-4),
            ),
            classifier_per_seed=False,
            whole=LocalizationConfig(patch_size=(321, 241)),
            patches=LocalizationConfig(columns=4, rows=3, patch_size=(241, 241), scales=(0.5, 1.0, 1.5)),
            dense=LocalizationConfig(patch_size=(961, 721), scales=(0.5, 1.0, 1.5)),
            superpixels=SuperpixelConfig(scale=50, min_size=25),
            variants=with_ablations(
                RegionFeatureConfig(size=(961, 721), layers=_MOBILENET_LAYERS),
                _CAMVID_CLUSTERING,
                literal_layer=(17,),
                literal_hidden=256,
            ),
            segmentation=_CAMVID_SEGMENTATION,
            segmentation_seeds=(0,),
            networks={"fcn": replace(_CAMVID_SEGMENTATION, network="fcn8s_mobilenet_v2"), "drn_d_105": _SMALL_DRN},
            systems=driving_systems(_AFFINITY, stride=8, crf_factor=1.0),
        ),
        "voc": Role(
            dataset="voc",
            played_by="MSRC-21, MobileNetV2 instead of VGG16",
            source=Source(reader="msrc21", label_space="msrc21", size=(320, 213)),
            learns_from="tags",
            classifier=ClassifierConfig(
                backbone="mobilenet_v2",
                weights=_MOBILENET,
                input_size=225,
                activation="sigmoid",
                frozen=True,
                minimum_crop=0.5,
                training=TrainingConfig(steps=1500, batch_size=64, learning_rate=0.1, head_factor=1, weight_decay=1e-4),
            ),
            classifier_per_seed=False,
            whole=LocalizationConfig(patch_size=(321, 225), scales=(1.0, 1.5)),
            patches=LocalizationConfig(columns=2, rows=2, patch_size=(225, 161)),
            superpixels=SuperpixelConfig(scale=100, min_size=25, reference_pixels=320 * 213),
            variants=only_default(
                "whole", RegionFeatureConfig(size=(641, 433), layers=_MOBILENET_LAYERS), _CAMVID_CLUSTERING
            ),
            segmentation=replace(
                _CAMVID_SEGMENTATION,
                input_size=(321, 225),
                crop_size=(321, 225),
                training=replace(_CAMVID_SEGMENTATION.training, steps=800, learning_rate=0.001, head_factor=10),
            ),
            clustering_seeds=(0, 1, 2),
            segmentation_seeds=(0,),
            systems=voc_systems(
                _AFFINITY,
                TrainingConfig(steps=1000, batch_size=64, learning_rate=0.1, head_factor=1, weight_decay=1e-4),
                _CAMVID_CLUSTERING,
                stride=8,
                crf_factor=0.6,
                feature_scale=2.0,
                layers=_MOBILENET_LAYERS,
                erased=300,
            ),
        ),
    },
)
