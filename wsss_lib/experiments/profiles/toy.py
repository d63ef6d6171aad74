"""The profiles ``toy`` and ``smoke``: procedural pictures, small networks, no files."""

from dataclasses import replace

from wsss_lib.classification.classifier import ClassifierConfig
from wsss_lib.clustering.region_features import RegionFeatureConfig
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.experiments.profiles.compared import driving_systems, voc_systems
from wsss_lib.experiments.profiles.schema import (
    GROWING,
    Dataset,
    Profile,
    Role,
    Size,
    Source,
    only_default,
    with_ablations,
)
from wsss_lib.localization.patches import LocalizationConfig
from wsss_lib.regions.superpixels import SuperpixelConfig
from wsss_lib.segmentation.training import SegmentationConfig
from wsss_lib.training.loop import TrainingConfig

TOY_LAYERS = (5, 14, 20)
"""Ends of the second, fifth and seventh block of the small backbone."""

CAMVID_SYSTEMS = ("ccnn", "psa")
"""What the paper compares with on CamVid (Tables 3 and 4); the toy's second streets leave the others to its first."""


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
        settling_batches=min(16, steps),
        training=TrainingConfig(steps=steps, batch_size=8, learning_rate=0.01, head_factor=5),
    )


def _toy_streets(
    dataset: Dataset, title: str, *, pictures: int, classifier: int, rounds: int, segmentation: int
) -> Role:
    wide = dataset == "cityscapes"
    size, grid = ((256, 128), (4, 2)) if wide else ((240, 180), (4, 3))
    fitting, learnt = ((257, 129), (193, 97)) if wide else ((241, 181), (193, 145))
    systems = driving_systems(_toy_affinity(segmentation), stride=8, crf_factor=0.4)
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
        segmentation=_toy_segmentation(learnt, segmentation),
        networks=_toy_networks(learnt, segmentation) if wide else {},
        systems={name: config for name, config in systems.items() if wide or name in CAMVID_SYSTEMS},
    )


def _toy_networks(size: Size, steps: int) -> dict[str, SegmentationConfig]:
    ours = _toy_segmentation(size, steps)
    return {
        "fcn": replace(ours, network="fcn8s_small", label_stride=2),
        "drn_d_105": replace(ours, network="drn_small"),
    }


def _toy_affinity(steps: int) -> TrainingConfig:
    return TrainingConfig(steps=max(1, steps // 2), batch_size=8, learning_rate=0.02, head_factor=5)


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
        systems=voc_systems(
            _toy_affinity(segmentation),
            TrainingConfig(steps=rounds, batch_size=32, learning_rate=0.1, head_factor=1, weight_decay=1e-4),
            _toy_clustering(rounds),
            stride=4,
            crf_factor=0.25,
            feature_scale=1.0,
            layers=TOY_LAYERS,
            erased=min(60, segmentation),
        ),
    )


def _toy(
    name: str,
    summary: str,
    *,
    pictures: int,
    classifier: int,
    rounds: int,
    segmentation: int,
    seeds: int,
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
    roles = [main, *(replace(role, clustering_seeds=(0,), segmentation_seeds=(0,)) for role in others)]
    return Profile(
        name=name,
        summary=summary,
        needs_data=False,
        roles={role.dataset: role for role in roles},
    )


SMOKE = _toy(
    "smoke", "every stage once, on a few pictures: proves that it runs, not how well",
    pictures=6, classifier=4, rounds=4, segmentation=4, seeds=1,
)  # fmt: skip

TOY = _toy(
    "toy",
    "drawn streets and scenes, three seeds on the main role, no files needed; it learns for minutes from nothing, so"
    " expect poor seeds and no gain from the rounds",
    pictures=80, classifier=400, rounds=300, segmentation=100, seeds=3,
)  # fmt: skip
