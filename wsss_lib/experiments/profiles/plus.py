"""What tags alone can do beyond the paper: the profiles whose names end in ``-plus`` (``METHOD=plus``).

The paper's method stays in them as it is, on the profile's main data set. Beside it stands ``plus``, of four parts:

1. place, shape and colour of a region stand beside its deep features;
2. deep features come from a larger picture, so that a region has less of its surroundings in them;
3. regions are drawn as they come: balanced classes inflate the rare ones (poles to three times their share);
4. the segmentation network has a decoder with finer features (FCN-8s).

Every part is taken out once, with the same seeds; learning from the surest half of every class's regions alone, and
self-training, are put in once; and the same network under full
supervision is the ceiling.
"""

from dataclasses import replace

from wsss_lib.experiments.places import PLUS
from wsss_lib.experiments.profiles.schema import TRUTH, Beyond, Profile
from wsss_lib.segmentation.self_training import scaled_size

COPIES = 8
"""Copies of the 14 numbers of place, shape and colour beside the 1,280 deep ones of MobileNetV2."""

FINER = 1.5
"""Factor on the size of the pictures that regions are described on; rounded by ``scaled_size``."""

KEPT = 0.5
"""Share of every class's regions, the surest, that one ablation learns from: the share of the first round."""

DECODERS = {"largefov_mobilenet_v2": "fcn8s_mobilenet_v2", "largefov_small": "fcn8s_small"}
"""Network of the paper's kind -> the one with finer features on the same backbone."""


def with_plus(profile: Profile) -> Profile:
    """The profile ``<name>-plus``: the main role alone, with ``plus``, its ablations and its ceiling."""
    role = profile.main
    paper = role.variants["default"]
    uniform = replace(paper.clustering, balance=0.0)
    features = replace(paper.features, geometry_copies=COPIES, size=scaled_size(paper.features.size, FINER))
    plus = replace(paper, features=features, clustering=uniform)
    variants = {
        "default": paper,
        "plus": plus,
        "plus_without_geometry": replace(plus, features=replace(features, geometry_copies=0)),
        "plus_coarse_features": replace(plus, features=replace(features, size=paper.features.size)),
        "plus_balanced": replace(plus, clustering=paper.clustering),
    }
    coarse = role.segmentation
    fine = replace(coarse, network=DECODERS[coarse.network])
    method = Beyond(labels="plus", network=fine)
    beyond = {
        "plus": method,
        "plus, two generations": replace(method, generations=2),
        "plus, without geometry": replace(method, labels="plus_without_geometry"),
        "plus, coarse features": replace(method, labels="plus_coarse_features"),
        "plus, balanced": replace(method, labels="plus_balanced"),
        "plus, surest half": replace(method, kept=KEPT),
        "plus, coarse network": replace(method, network=coarse),
        "paper's labels, fine network": Beyond(labels="default", network=fine),
        "full supervision, fine network": Beyond(labels=TRUTH, network=fine),
    }
    role = replace(
        role, variants=variants, beyond=beyond, networks={}, systems={}, segmentation_seeds=role.clustering_seeds
    )
    return replace(
        profile, name=profile.name + PLUS, summary=f"{profile.summary}; beyond the paper", roles={role.dataset: role}
    )
