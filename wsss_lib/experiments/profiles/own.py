"""The profile of one's own street pictures (``wsss fit``): the method of ``camvid``, or ``plus``, at fitting sizes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from wsss_lib.data.folder import OwnFolders
from wsss_lib.experiments.profiles.camvid import CAMVID
from wsss_lib.experiments.profiles.plus import FIRST, Method, plus_network, plus_variant, second_generation
from wsss_lib.experiments.profiles.schema import Beyond, Profile, Role, Size, Source, only_default
from wsss_lib.experiments.profiles.toy import TOY
from wsss_lib.localization.patches import LocalizationConfig

Network = Literal["mobilenet_v2", "small"]
"""``mobilenet_v2`` starts from ImageNet; ``small`` from nothing, to try things out within minutes."""

_PASSES = 12
"""How often the segmentation network sees every picture, as in the ``camvid`` profile."""


def own_profile(
    folders: OwnFolders, sizes: Sequence[Size], *, network: Network = "mobilenet_v2", weights: str = "torchvision",
    steps: int | None = None, method: Method = "paper",
) -> Profile:  # fmt: skip
    """A profile with one role for pictures of these (width, height); the medians are what is typical.

    ``weights`` names a file of the weights folder, or ``torchvision``; ``steps`` of the segmentation network are
    otherwise 12 passes over the pictures, at least 200. The classifier, the rounds and the network learn for as long
    as in the profile that lends the settings. With ``plus`` the default variant and the network go beyond the paper,
    and from them a second generation goes on.
    """
    width, height = np.median(sizes, axis=0).astype(int).tolist()
    shape, count = (width, height), len(sizes)
    model = CAMVID.roles["camvid"] if network == "mobilenet_v2" else TOY.main
    pretrained = weights if network == "mobilenet_v2" else "none"
    long_side = max(model.segmentation.input_size)
    working, fine = (
        fitted(shape, side) for side in (long_side, 2 * long_side - 1 if pretrained != "none" else long_side)
    )
    default = model.variants["default"]
    variants, beyond = only_default("dense", replace(default.features, size=fine), default.clustering), {}
    learner = model.segmentation if method == "paper" else plus_network(model.segmentation)
    if steps is None:
        steps = max(200, _PASSES * count // learner.training.batch_size)
    learner = replace(
        learner, weights=pretrained, input_size=working, crop_size=working,
        training=replace(learner.training, steps=steps),
    )  # fmt: skip
    if method == "plus":
        first = plus_variant(variants["default"])
        variants = {"default": first, "second_generation": second_generation(first, learner)}
        labels = {"plus": "second_generation", FIRST: "default"}
        beyond = {name: Beyond(labels=variant, network=learner) for name, variant in labels.items()}
    role = Role(
        dataset="own",
        played_by="your own pictures",
        source=Source(
            reader="own", label_space=folders.label_space.name, size=shape, own=folders, largest=max(map(max, sizes)),
        ),
        classifier=replace(model.classifier, weights=pretrained),
        classifier_per_seed=False,
        whole=model.whole,
        patches=model.patches,
        dense=LocalizationConfig(patch_size=fine, scales=model.dense.scales if model.dense else (1.0,)),
        superpixels=replace(model.superpixels, reference_pixels=480 * 360),
        variants=variants,
        segmentation=learner,
        clustering_seeds=(0,),
        segmentation_seeds=(0,),
        beyond=beyond,
    )  # fmt: skip
    return Profile(name="own", summary="your own pictures", needs_data=False, roles={"own": role})


def fitted(shape: Size, long_side: int, step: int = 16) -> Size:
    """A size in the proportions of ``shape``, its longer side about ``long_side``, both sides step * n + 1."""
    factor = (long_side - 1) / max(shape)
    sides = [step * max(1, round(side * factor / step)) + 1 for side in shape]
    return sides[0], sides[1]
