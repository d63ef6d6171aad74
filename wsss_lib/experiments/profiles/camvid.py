"""The profile ``camvid``: real CamVid and MSRC-21 with a MobileNetV2 from ImageNet, on two cores."""

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
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
            segmentation=SegmentationConfig(
                network="largefov_mobilenet_v2",
                weights=_MOBILENET,
                input_size=(481, 369),
                crop_size=(481, 369),
                scale_range=(0.75, 1.5),
                label_stride=4,
                training=TrainingConfig(steps=552, batch_size=8, learning_rate=0.01, head_factor=5),
            ),
            segmentation_seeds=(0,),
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
            segmentation=SegmentationConfig(
                network="largefov_mobilenet_v2",
                weights=_MOBILENET,
                input_size=(321, 225),
                crop_size=(321, 225),
                scale_range=(0.75, 1.5),
                label_stride=4,
                training=TrainingConfig(steps=400, batch_size=8, learning_rate=0.01, head_factor=5),
            ),
            clustering_seeds=(0, 1, 2),
            segmentation_seeds=(0,),
        ),
    },
)
