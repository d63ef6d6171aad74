"""The same experiment with every training repeated: the profiles whose names end in ``-seeds``.

A network trained again from another seed ends elsewhere, on the 45 val pictures of MSRC-21 by up to four points. One
training each says nothing about two systems that are closer than that, and costs a third.
"""

from dataclasses import replace

from wsss_lib.experiments.places import SEEDS
from wsss_lib.experiments.profiles.schema import Profile, Role


def with_seeds(profile: Profile) -> Profile:
    """The profile ``<name>-seeds``: every network is trained with all seeds that the clustering has.

    Ours, the paper's other networks, every compared system and full supervision. What the profile itself has trained is
    found and not trained again.
    """
    roles = {name: _repeated(role) for name, role in profile.roles.items()}
    return replace(
        profile, name=profile.name + SEEDS, summary=f"{profile.summary}; every training repeated", roles=roles
    )


def _repeated(role: Role) -> Role:
    return replace(role, segmentation_seeds=role.clustering_seeds, compared_seeds=role.clustering_seeds)
