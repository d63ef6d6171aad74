"""What tags alone can do beyond the paper: the profiles whose names end in ``-plus`` (``METHOD=plus``).

The paper's method stays in them as it is, on the profile's main data set. Beside it stands ``plus``, of seven parts:

1. place, shape and colour of a region stand beside its deep features;
2. deep features come from a larger picture, so that a region has less of its surroundings in them;
3. regions are drawn as they come: balanced classes inflate the rare ones (poles to three times their share);
4. cuttings of simple pictures, pasted into the streets, teach the region network too: their labels are certain;
5. the segmentation network has a decoder with finer features (FCN-8s);
6. it learns with symmetric cross entropy, which a wrong label can do less to;
7. the rounds go on for a second generation: from the labels that this network has learnt from, with its deep features
   as a second view of every region. The network that is measured learns from what comes out.

Every part is taken out once, with the same seeds; those that make labels from the first generation alone, as else every
one of them would need two networks. And the same network under full supervision, with plain cross entropy
because its labels are right, is the ceiling. Three more parts were built, tried over three seeds and taken out again:
learning from the surest regions alone, for which only val spoke, self-training (``figures/camvid-plus-removed``, made
by the commit that is named there, has their rows), and seeds from the mean heat of the whole picture and its patches,
from which nothing was gained beside collages (``figures/camvid-plus-two-views``).
"""

from dataclasses import replace
from typing import Literal

from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.experiments.places import PLUS
from wsss_lib.experiments.profiles.schema import TRUTH, Beyond, Generation, Profile, Size, Variant
from wsss_lib.segmentation.training import SegmentationConfig

Method = Literal["paper", "plus"]

COPIES = 8
"""Copies of the 14 numbers of place, shape and colour beside the 1,280 deep ones of MobileNetV2."""

FINER = 1.5
"""Factor on the size of the pictures that regions are described on, from that of the paper's method or that a network
has learnt from; rounded by ``_finer``."""

FIRST = "plus, one generation"
"""The name in ``Role.beyond`` of the network that the second generation goes on from."""

DECODERS = {"largefov_mobilenet_v2": "fcn8s_mobilenet_v2", "largefov_small": "fcn8s_small"}
"""Network of the paper's kind -> the one with finer features on the same backbone."""


REVERSE = 0.5
"""Weight of reverse cross entropy in the loss: half and half, the first one tried and the only one."""


def with_plus(profile: Profile) -> Profile:
    """The profile ``<name>-plus``: the main role alone, with ``plus``, its ablations and its ceiling."""
    role = profile.main
    paper = role.variants["default"]
    first = plus_variant(paper)
    features = first.features
    coarse, best = role.segmentation, plus_network(role.segmentation)
    fine = replace(best, reverse=coarse.reverse)
    variants = {
        "default": paper,
        "plus": first,
        "plus_second_generation": second_generation(first, best),
        "plus_without_geometry": replace(first, features=replace(features, geometry_copies=0)),
        "plus_coarse_features": replace(first, features=replace(features, size=paper.features.size)),
        "plus_balanced": replace(first, clustering=paper.clustering),
        "plus_without_collages": replace(first, collages=None),
    }
    method = Beyond(labels="plus_second_generation", network=best)
    beyond = {
        "plus": method,
        FIRST: replace(method, labels="plus"),
        f"{FIRST}, without geometry": replace(method, labels="plus_without_geometry"),
        f"{FIRST}, coarse features": replace(method, labels="plus_coarse_features"),
        f"{FIRST}, balanced": replace(method, labels="plus_balanced"),
        f"{FIRST}, without collages": replace(method, labels="plus_without_collages"),
        "plus, coarse network": replace(method, network=replace(coarse, reverse=REVERSE)),
        "plus, cross entropy": replace(method, network=fine),
        "paper's labels, network of plus": replace(method, labels="default"),
        "full supervision, fine network": Beyond(labels=TRUTH, network=fine),
    }
    role = replace(
        role, variants=variants, beyond=beyond, networks={}, systems={}, segmentation_seeds=role.clustering_seeds
    )
    return replace(
        profile, name=profile.name + PLUS, summary=f"{profile.summary}; beyond the paper", roles={role.dataset: role}
    )


def plus_variant(paper: Variant) -> Variant:
    """A variant with the four parts that make the labels of the first generation."""
    return replace(
        paper,
        features=replace(paper.features, geometry_copies=COPIES, size=_finer(paper.features.size)),
        clustering=replace(paper.clustering, balance=0.0),
        collages=CollageConfig(),
    )


def second_generation(first: Variant, network: SegmentationConfig) -> Variant:
    """The rounds that go on from ``first`` and from the network that learnt from it, which is called ``FIRST``."""
    features = replace(first.features, size=_finer(network.input_size))
    return replace(first, previous=Generation(system=FIRST, features=features))


def plus_network(paper: SegmentationConfig) -> SegmentationConfig:
    """The settings of a segmentation network with the two parts that learn from labels."""
    return replace(paper, network=DECODERS[paper.network], reverse=REVERSE)


def _finer(size: Size) -> Size:
    """(width, height) times ``FINER``, brought to 16 n + 1, where the corners of grid and picture coincide."""
    width, height = (max(1, round((side - 1) * FINER / 16)) * 16 + 1 for side in size)
    return width, height
