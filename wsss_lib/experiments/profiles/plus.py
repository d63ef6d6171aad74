"""What tags alone can do beyond the paper: the profiles whose names end in ``-plus`` (``METHOD=plus``).

The paper's method stays in them as it is, on the profile's main data set. Beside it stands ``plus``, of four parts:

1. place, shape and colour of a region stand beside its deep features;
2. regions are drawn as they come: balanced classes inflate the rare ones (poles to three times their share);
3. the segmentation network has a decoder with finer features (FCN-8s);
4. self-training: a second network learns from what the first says of the training pictures.

Every part is taken out once, with the same seeds, and the same network under full supervision is the ceiling.
"""

from dataclasses import replace

from wsss_lib.experiments.places import PLUS
from wsss_lib.experiments.profiles.schema import TRUTH, Beyond, Profile

COPIES = 8
"""Copies of the 14 numbers of place, shape and colour beside the 1,280 deep ones of MobileNetV2."""

DECODERS = {"largefov_mobilenet_v2": "fcn8s_mobilenet_v2", "largefov_small": "fcn8s_small"}
"""Network of the paper's kind -> the one with finer features on the same backbone."""


def with_plus(profile: Profile) -> Profile:
    """The profile ``<name>-plus``: the main role alone, with ``plus``, its ablations and its ceiling."""
    role = profile.main
    paper = role.variants["default"]
    uniform = replace(paper.clustering, balance=0.0)
    placed = replace(paper.features, geometry_copies=COPIES)
    variants = {
        "default": paper,
        "plus": replace(paper, features=placed, clustering=uniform),
        "plus_without_geometry": replace(paper, clustering=uniform),
        "plus_balanced": replace(paper, features=placed),
    }
    coarse = role.segmentation
    fine = replace(coarse, network=DECODERS[coarse.network])
    beyond = {
        "plus": Beyond(labels="plus", network=fine, generations=2),
        "plus, three generations": Beyond(labels="plus", network=fine, generations=3),
        "plus, one generation": Beyond(labels="plus", network=fine),
        "plus, one generation, without geometry": Beyond(labels="plus_without_geometry", network=fine),
        "plus, one generation, balanced": Beyond(labels="plus_balanced", network=fine),
        "plus, one generation, coarse network": Beyond(labels="plus", network=coarse),
        "paper's labels, fine network": Beyond(labels="default", network=fine),
        "full supervision, fine network": Beyond(labels=TRUTH, network=fine),
    }
    role = replace(
        role, variants=variants, beyond=beyond, networks={}, systems={}, segmentation_seeds=role.clustering_seeds
    )
    return replace(
        profile, name=profile.name + PLUS, summary=f"{profile.summary}; beyond the paper", roles={role.dataset: role}
    )
