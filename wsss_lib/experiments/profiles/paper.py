"""The profile ``paper``: the paper's own settings, and the specification's choices where it is silent."""

from dataclasses import replace

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.clustering.seeds import SeedConfig
from wsss_lib.experiments.profiles.schema import Dataset, Profile, Role, Size, Source, Variant
from wsss_lib.localization.patches import LocalizationConfig
from wsss_lib.regions.superpixels import SuperpixelConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.loop import TrainingConfig

_VGG_CLASSIFIER = ClassifierConfig(
    backbone="vgg16_sec",
    weights="torchvision",
    input_size=321,
    training=TrainingConfig(steps=15_000, batch_size=32, learning_rate=0.001, schedule="step"),
)

_PAPER_CLUSTERING = ClusteringConfig(
    hidden=4096,
    balance=1.0,
    pictures_per_batch=2,
    training=TrainingConfig(
        steps=40_000, batch_size=128, learning_rate=0.001, head_factor=1, schedule="step", checkpoint_every=1000
    ),
    center_steps=5_000,
)


def _paper_role(dataset: Dataset, played_by: str, source: Source, columns: int, rows: int, size: Size) -> Role:
    """The paper's settings for a driving data set; where it is silent, the specification's choices."""
    literal = Variant(
        where="patches",
        heat="maximum",
        seeds=SeedConfig(rule="hottest"),
        features=RegionFeatureConfig(size=size, layers=(), pooling="masked_roi"),
        clustering=_PAPER_CLUSTERING,
    )
    return Role(
        dataset=dataset,
        played_by=played_by,
        source=source,
        classifier=_VGG_CLASSIFIER,
        whole=LocalizationConfig(patch_size=(641, 321)),
        patches=LocalizationConfig(columns=columns, rows=rows, patch_size=(321, 321)),
        superpixels=SuperpixelConfig(),
        variants={
            "default": literal,
            "no_center_loss": replace(literal, clustering=replace(_PAPER_CLUSTERING, center_weight=0.0)),
        },
        segmentation=SegmentationConfig(
            network="deeplab_largefov",
            weights="torchvision",
            input_size=size,
            crop_size=(321, 321),
            label_stride=8,
            training=TrainingConfig(steps=20_000, batch_size=10, learning_rate=0.001, checkpoint_every=1000),
        ),
    )


PAPER = Profile(
    name="paper",
    summary="the paper's own settings on CamVid at 960 x 720, with VGG16 from torchvision; needs a GPU",
    needs_data=True,
    roles={
        "camvid": _paper_role(
            "camvid",
            "CamVid 960x720",
            Source(reader="camvid", label_space="camvid", size=(960, 720)),
            4,
            3,
            (961, 721),
        )
    },
)
