"""What a profile consists of, and the variants of the method that profiles share."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.clustering.seeds import SeedConfig
from wsss_lib.data.folder import OwnFolders
from wsss_lib.localization.patches import Heat, LocalizationConfig
from wsss_lib.regions.superpixels import SuperpixelConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.vocabulary import SettingsError

Size = tuple[int, int]
Dataset = Literal["cityscapes", "camvid", "voc", "own"]
"""The paper's data sets, and one's own pictures, which play none of them."""

Where = Literal["whole", "patches", "dense"]

TRUTH = "truth"
"""In place of a variant's name: the true label maps, for a reference row."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the pictures of a role come from: a reader by name, its label space and its sizes.

    ``counts`` of train, val and test pictures and ``simple_count`` per class are what a generator draws; readers of
    files ignore them. ``size`` is (width, height); MSRC-21 and VOC keep their pictures' own sizes. ``simple_pictures``
    names the tree that the simple pictures of real streets are in; ``own`` are the folders of the reader of that name,
    and ``largest`` is the longer side of the largest of their pictures.
    """

    reader: Literal["toy_streets", "toy_scenes", "cityscapes", "camvid", "msrc21", "voc2012", "own"]
    label_space: str
    size: Size
    counts: tuple[int, int, int] = (0, 0, 0)
    simple_count: int = 0
    simple_size: Size = (64, 64)
    simple_pictures: Literal["simple_images", "imagenet"] = "simple_images"
    own: OwnFolders | None = None
    largest: int = 0

    @property
    def longest_side(self) -> int:
        """The longer side, in pixels, of the largest pictures that there are."""
        return self.largest or max(self.size)


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A network of ``Role.beyond``, ``system`` by name, that has learnt, and how its backbone describes regions."""

    system: str
    features: RegionFeatureConfig


@dataclass(frozen=True, kw_only=True)
class Variant:
    """How seeds are chosen and clustered: the default method, or one of its alternatives.

    ``where`` names the localisation that the seeds come from: ``whole``, ``patches`` or ``dense``. With ``collages``,
    cuttings of the simple pictures, pasted into the training pictures at places of the seeds, teach the region network
    too. With ``previous`` the rounds are of a second generation: they start from the labels that this network learnt
    from instead of the seeds, and it describes the regions beside the classifier (``clustering.rounds.View``).
    """

    where: Where
    heat: Heat
    seeds: SeedConfig
    features: RegionFeatureConfig
    clustering: ClusteringConfig
    collages: CollageConfig | None = None
    previous: Generation | None = None

    def __post_init__(self) -> None:
        if self.collages is not None and (other := {each.pooling for each in self.described_by} - {"mean"}):
            raise SettingsError(f"collages need mean-pooled features, not {', '.join(other)}")

    @property
    def described_by(self) -> tuple[RegionFeatureConfig, ...]:
        """The features of every view, the classifier's first."""
        return (self.features, *([self.previous.features] if self.previous else []))

    @property
    def seed_rule(self) -> tuple[Where, Heat, SeedConfig]:
        """All that decides where and how seeds are chosen: variants with the same one share their seeds."""
        return self.where, self.heat, self.seeds


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """A segmentation network that goes beyond the paper, an ablation of it, or its ceiling.

    ``network`` learns from the last round of the variant ``labels``, or from ``TRUTH``.
    """

    labels: str
    network: SegmentationConfig


@dataclass(frozen=True, kw_only=True)
class Role:
    """One of the paper's data sets, who plays it here, and the settings of every stage on it.

    ``learns_from`` tells what the classifier is trained on: simple pictures (driving) or the scenes' own tags (VOC).
    ``variants`` holds ``default`` first. Three localisations are measured for Table 5: the ``whole`` picture at the
    size of simple pictures, ``patches`` (the paper), and ``dense``, the whole picture at the patches' resolution, which
    tells the effect of resolution from that of cutting; ``None`` leaves it out.
    ``clustering_seeds`` are independent repetitions of the clustering, ``segmentation_seeds`` those of them that also
    train a segmentation network. ``classifier_per_seed`` repeats the classifier as well.
    ``networks`` are the other segmentation networks of Table 9, by the paper's names, trained on the same labels;
    ``systems`` are the systems that the paper compares with, by their names in ``baselines``, with their own settings;
    they train the network of ``compared``, by default that of ``segmentation``. Both are run with the seeds of
    ``compared_seeds``. ``beyond`` holds what goes beyond the paper by name, the method itself first, then what it is
    compared with; all of them are run with ``segmentation_seeds``.
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
    networks: Mapping[str, SegmentationConfig] = field(default_factory=dict)
    systems: Mapping[str, Any] = field(default_factory=dict)
    compared: SegmentationConfig | None = None
    compared_seeds: tuple[int, ...] = (0,)
    beyond: Mapping[str, Beyond] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if next(iter(self.variants), None) != "default":
            raise SettingsError(f"the first variant of role {self.dataset} must be called default")
        if self.dense is None and any(variant.where == "dense" for variant in self.variants.values()):
            raise SettingsError(f"role {self.dataset} takes seeds from dense maps but has no dense localisation")
        if self.learns_from != "simple" and any(variant.collages for variant in self.variants.values()):
            raise SettingsError(f"role {self.dataset} has collages but learns from no simple pictures to cut from")
        if not set(self.segmentation_seeds) <= set(self.clustering_seeds) or not self.clustering_seeds:
            raise SettingsError(f"segmentation_seeds of role {self.dataset} must be among its clustering_seeds")
        for name, each in self.beyond.items():
            if each.labels not in (TRUTH, *self.variants):
                raise SettingsError(f"{name} of role {self.dataset} learns from {each.labels!r}, which is no variant")
        for name, variant in self.variants.items():
            if variant.previous and not self._is_first(variant.previous.system):
                raise SettingsError(
                    f"{name} of role {self.dataset} goes on from {variant.previous.system!r}, which is no network of"
                    " ``beyond`` that learnt from labels of a first generation"
                )

    def _is_first(self, system: str) -> bool:
        """Whether a network learns from tags alone (and never from true labels), by way of seeds."""
        labels = self.beyond[system].labels if system in self.beyond else TRUTH
        return labels != TRUTH and self.variants[labels].previous is None

    @property
    def plus(self) -> str:
        """The name of the method that goes beyond the paper; ``""`` in a role that follows it."""
        return next(iter(self.beyond), "")

    @property
    def classifier_seeds(self) -> tuple[int, ...]:
        """The seeds whose classifiers differ: all of them, or the first where one classifier serves them all."""
        return self.clustering_seeds if self.classifier_per_seed else self.clustering_seeds[:1]


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named set of roles; ``summary`` tells in a line what it is for.

    ``present_only``: roles whose data set is not in the data folder are left out. ``textures``: where no data folder is
    given, random textures in the layouts of the real data sets are written and taken.
    """

    name: str
    summary: str
    needs_data: bool
    roles: Mapping[str, Role]
    present_only: bool = False
    textures: bool = False

    @property
    def main(self) -> Role:
        """The role of Tables 5 to 7 and 10: Cityscapes if it is played, else CamVid, else what there is."""
        return next(self.roles[name] for name in ("cityscapes", "camvid", *self.roles) if name in self.roles)


GROWING = (0.5, 0.75, 1.0)
"""Share of every class's regions that a round learns from."""


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
