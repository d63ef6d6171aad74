"""Profiles as data: which data play the paper's data sets, and every setting of every stage.

``smoke`` proves that all stages run (tests), ``toy`` is the default and needs no files, ``camvid`` is real, ``paper``
holds the paper's own settings and, where it is silent, the specification's choices, but for what its module names;
``paper-dry`` is its rehearsal on random textures. All run the same code.

The default method (variant ``default``) differs from the paper's own rules in five choices, made for real CamVid.
Those are kept as the variant ``paper_rules``, read as the specification reads them where the paper is silent, with the
settings of the region network that they were tried with (on CamVid a smaller one that learns more slowly). Every run
measures both:

1. heat comes from the whole picture at the patches' resolution, not from patches cut out of it;
2. heat is a softmax over the classifier's classes, not each map divided by its own maximum;
3. every superpixel takes its hottest tag, and the surest half of each class's are the seeds; round 2 learns from three
   quarters, round 3 from all (class-balanced self-training), instead of fixed sparse seeds;
4. a region's feature is the mean over its pixels, not masked RoI pooling;
5. regions are drawn with a chance of (class frequency)^-1/2, not equally per class.

``smoke-plus``, ``toy-plus`` and ``camvid-plus`` hold what goes beyond the paper (``plus``), beside its method;
``camvid-seeds`` trains every network of ``camvid`` with three seeds (``seeds``).
"""

from wsss_lib.experiments.names import check_name
from wsss_lib.experiments.profiles.camvid import CAMVID
from wsss_lib.experiments.profiles.paper import PAPER, PAPER_DRY
from wsss_lib.experiments.profiles.plus import with_plus
from wsss_lib.experiments.profiles.schema import TRUTH, Profile, Role, Source, Variant
from wsss_lib.experiments.profiles.seeds import with_seeds
from wsss_lib.experiments.profiles.toy import SMOKE, TOY

__all__ = [
    "CAMVID",
    "PAPER",
    "PAPER_DRY",
    "PROFILES",
    "SMOKE",
    "TOY",
    "TRUTH",
    "Profile",
    "Role",
    "Source",
    "Variant",
    "load_profile",
]

_PAPER_METHOD = (SMOKE, TOY, CAMVID, PAPER, PAPER_DRY)

PROFILES: dict[str, Profile] = {
    profile.name: profile for profile in (*_PAPER_METHOD, *map(with_plus, (SMOKE, TOY, CAMVID)), with_seeds(CAMVID))
}


def load_profile(name: str) -> Profile:
    """A profile by name; ``SettingsError`` with the nearest name for an unknown one."""
    return PROFILES[check_name("profile", name, PROFILES)]
