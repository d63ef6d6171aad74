"""Profiles as data: which data play the paper's data sets, and every setting of every stage.

``smoke`` proves that all stages run (tests), ``toy`` is the default and needs no files, ``camvid`` is real, ``paper``
holds the paper's own settings and, where it is silent, the specification's choices. All run the same code.

The default method (variant ``default``) differs from the paper's literal rules in five choices, because sparse seeds
and masked RoI pooling fall short of it on real data; the literal rules are kept as the variant ``paper_rules``:

1. heat comes from the whole picture at the patches' resolution, not from patches cut out of it;
2. heat is a softmax over the classifier's classes, not each map divided by its own maximum;
3. every superpixel takes its hottest tag, and the surest half of each class's are the seeds; round 2 learns from three
   quarters, round 3 from all (class-balanced self-training), instead of fixed sparse seeds;
4. a region's feature is the mean over its pixels, not masked RoI pooling;
5. regions are drawn with a chance of (class frequency)^-1/2, not equally per class.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.clustering.seeds import SeedConfig
from wsss_lib.experiments.names import check_name
from wsss_lib.localization.patches import Heat, LocalizationConfig
from wsss_lib.regions.superpixels import SuperpixelConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import SettingsError

Size = tuple[int, int]
Dataset = Literal["cityscapes", "camvid", "voc"]
Where = Literal["whole", "patches", "dense"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the pictures of a role come from: a reader by name, its label space and its sizes.

    ``counts`` of train, val and test pictures and ``simple_count`` per class are what a generator draws; readers of
    files ignore them. ``size`` is (width, height).
    """

    reader: Literal["toy_streets", "toy_scenes", "camvid", "msrc21"]
    label_space: str
    size: Size
    counts: tuple[int, int, int] = (0, 0, 0)
    simple_count: int = 0
    simple_size: Size = (64, 64)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How seeds are chosen and clustered: the default method, or one of its alternatives.

    ``where`` names the localisation that the seeds come from: ``whole``, ``patches`` or ``dense``.
    """

    where: Where
    heat: Heat
    seeds: SeedConfig
    features: RegionFeatureConfig
    clustering: ClusteringConfig


@dataclass(frozen=True, kw_only=True)
class Role:
    """One of the paper's data sets, who plays it here, and the settings of every stage on it.

    ``learns_from`` tells what the classifier is trained on: simple pictures (driving) or the scenes' own tags (VOC).
    ``variants`` holds ``default`` first. Three localisations are measured for Table 5: the ``whole`` picture at the
    size of simple pictures, ``patches`` (the paper), and ``dense``, the whole picture at the patches' resolution, which
    tells the effect of resolution from that of cutting; ``None`` leaves it out.
    ``clustering_seeds`` are independent repetitions of the clustering, ``segmentation_seeds`` those of them that also
    train a segmentation network. ``classifier_per_seed`` repeats the classifier as well.
    """

    dataset: Dataset
    played_by: str
    source: Source
    learns_from: Literal["simple", "tags"] = "simple"
    classifier: ClassifierConfig
    classifier_per_seed: bool = True
    whole: LocalizationConfig
    patches: LocalizationConfig
    dense: LocalizationConfig | None = None
    superpixels: SuperpixelConfig
    variants: Mapping[str, Variant]
    segmentation: SegmentationConfig
    clustering_seeds: tuple[int, ...] = (0, 1, 2)
    segmentation_seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        if next(iter(self.variants), None) != "default":
            raise SettingsError(f"the first variant of role {self.dataset} must be called default")
        if self.dense is None and any(variant.where == "dense" for variant in self.variants.values()):
            raise SettingsError(f"role {self.dataset} takes seeds from dense maps but has no dense localisation")
        if not set(self.segmentation_seeds) <= set(self.clustering_seeds) or not self.clustering_seeds:
            raise SettingsError(f"segmentation_seeds of role {self.dataset} must be among its clustering_seeds")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named set of roles; ``summary`` tells in a line what it is for."""

    name: str
    summary: str
    needs_data: bool
    roles: Mapping[str, Role]

    @property
    def main(self) -> Role:
        """The role of Tables 5 to 7 and 10: Cityscapes if it is played, else CamVid."""
        return self.roles.get("cityscapes") or self.roles["camvid"]


GROWING = (0.5, 0.75, 1.0)
"""Share of every class's regions that a round learns from."""


def load_profile(name: str) -> Profile:
    """A profile by name; ``SettingsError`` with the nearest name for an unknown one."""
    return PROFILES[check_name("profile", name, PROFILES)]


def with_ablations(
    features: RegionFeatureConfig,
    clustering: ClusteringConfig,
    *,
    literal_layer: tuple[int, ...],
    literal_hidden: int,
) -> dict[str, Variant]:
    """The default method, the same without centre loss, and the paper's literal rules (2 pictures of 64 regions)."""
    default = only_default("dense", features, clustering)["default"]
    literal = Variant(
        where="patches",
        heat="maximum",
        seeds=SeedConfig(rule="hottest"),
        features=replace(features, layers=literal_layer, pooling="masked_roi"),
        clustering=replace(
            clustering,
            hidden=literal_hidden,
            balance=1.0,
            certain=(1.0,),
            pictures_per_batch=2,
            training=replace(clustering.training, batch_size=128, learning_rate=clustering.training.learning_rate / 10),
        ),
    )
    return {
        "default": default,
        "no_center_loss": replace(default, clustering=replace(clustering, center_weight=0.0)),
        "paper_rules": literal,
    }


def only_default(where: Where, features: RegionFeatureConfig, clustering: ClusteringConfig) -> dict[str, Variant]:
    """The default method alone, for roles whose tables have no ablation."""
    return {
        "default": Variant(
            where=where,
            heat="probability",
            seeds=SeedConfig(rule="every_region"),
            features=features,
            clustering=clustering,
        )
    }


# --------------------------------------------------------------------------------------------------------- toy, smoke

TOY_LAYERS = (5, 14, 20)
"""Ends of the second, fifth and seventh block of the small backbone."""


def _toy_clustering(steps: int) -> ClusteringConfig:
    return ClusteringConfig(
        hidden=128,
        certain=GROWING,
        training=TrainingConfig(steps=steps, batch_size=256, learning_rate=0.02, schedule="step"),
        center_steps=max(1, steps // 8),
        pictures_per_batch=16,
    )


def _toy_segmentation(size: Size, steps: int) -> SegmentationConfig:
    return SegmentationConfig(
        network="largefov_small",
        input_size=size,
        crop_size=(size[1], size[1]) if size[0] > 1.5 * size[1] else size,
        scale_range=(0.8, 1.25),
        label_stride=4,
        training=TrainingConfig(steps=steps, batch_size=8, learning_rate=0.01, head_factor=5),
    )


def _toy_streets(
    dataset: Dataset, title: str, *, pictures: int, classifier: int, rounds: int, segmentation: int
) -> Role:
    wide = dataset == "cityscapes"
    size, grid = ((256, 128), (4, 2)) if wide else ((240, 180), (4, 3))
    fitting = (257, 129) if wide else (241, 181)
    return Role(
        dataset=dataset,
        played_by=f"toy streets, {title}",
        source=Source(
            reader="toy_streets",
            label_space=dataset,
            size=size,
            counts=(pictures, pictures // 2, pictures // 2),
            simple_count=max(4, pictures // 2),
        ),
        classifier=ClassifierConfig(
            backbone="small",
            input_size=65,
            training=TrainingConfig(steps=classifier, batch_size=32, learning_rate=0.02, head_factor=5),
        ),
        whole=LocalizationConfig(patch_size=(129, 65)),
        patches=LocalizationConfig(columns=grid[0], rows=grid[1], patch_size=(65, 65)),
        dense=LocalizationConfig(patch_size=fitting),
        superpixels=SuperpixelConfig(scale=50, min_size=12, reference_pixels=size[0] * size[1]),
        variants=with_ablations(
            RegionFeatureConfig(size=fitting, layers=TOY_LAYERS),
            _toy_clustering(rounds),
            literal_layer=(20,),
            literal_hidden=64,
        ),
        segmentation=_toy_segmentation(fitting, segmentation),
    )


def _toy_scenes(*, pictures: int, classifier: int, rounds: int, segmentation: int) -> Role:
    return Role(
        dataset="voc",
        played_by="toy scenes, background and 8 objects",
        source=Source(
            reader="toy_scenes",
            label_space="toy_scenes",
            size=(128, 96),
            counts=(pictures, pictures // 2, pictures // 2),
        ),
        learns_from="tags",
        classifier=ClassifierConfig(
            backbone="small",
            input_size=97,
            activation="sigmoid",
            minimum_crop=0.6,
            training=TrainingConfig(steps=classifier, batch_size=32, learning_rate=0.02, head_factor=5),
        ),
        whole=LocalizationConfig(patch_size=(129, 97)),
        patches=LocalizationConfig(columns=2, rows=2, patch_size=(65, 49)),
        superpixels=SuperpixelConfig(scale=50, min_size=12, reference_pixels=128 * 96),
        variants=only_default("whole", RegionFeatureConfig(size=(129, 97), layers=TOY_LAYERS), _toy_clustering(rounds)),
        segmentation=_toy_segmentation((129, 97), segmentation),
    )


def _toy(
    name: str, summary: str, *, pictures: int, classifier: int, rounds: int, segmentation: int, seeds: int
) -> Profile:
    sizes = {"pictures": pictures, "classifier": classifier, "rounds": rounds, "segmentation": segmentation}
    roles = (
        _toy_streets("cityscapes", "19 classes", **sizes),
        _toy_streets("camvid", "11 classes", **sizes),
        _toy_scenes(**sizes),
    )
    main, *others = roles
    repeated = tuple(range(seeds))
    main = replace(main, clustering_seeds=repeated, segmentation_seeds=repeated)
    others = [replace(role, clustering_seeds=(0,), segmentation_seeds=(0,)) for role in others]
    return Profile(
        name=name,
        summary=summary,
        needs_data=False,
        roles={role.dataset: role for role in (main, *others)},
    )


SMOKE = _toy(
    "smoke", "every stage once, on a few pictures: proves that it runs, not how well",
    pictures=6, classifier=4, rounds=4, segmentation=4, seeds=1,
)  # fmt: skip

TOY = _toy(
    "toy", "procedural streets and scenes, three seeds on the main role, no files needed",
    pictures=80, classifier=200, rounds=300, segmentation=150, seeds=3,
)  # fmt: skip

# -------------------------------------------------------------------------------------------------------------- camvid

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

# --------------------------------------------------------------------------------------------------------------- paper

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

PROFILES: dict[str, Profile] = {profile.name: profile for profile in (SMOKE, TOY, CAMVID, PAPER)}
