"""Profiles as data: every setting fits the networks and pictures it is for, and wrong names are answered."""

from dataclasses import replace

import pytest
import torch

from wsss_lib.baselines.registry import SYSTEMS
from wsss_lib.classification.backbones import BACKBONES
from wsss_lib.clustering.collages import CollageConfig
from wsss_lib.data.label_spaces import LABEL_SPACES
from wsss_lib.experiments.profiles import (
    CAMVID,
    PAPER,
    PAPER_DRY,
    PROFILES,
    SMOKE,
    TOY,
    TRUTH,
    Profile,
    Role,
    load_profile,
)
from wsss_lib.experiments.profiles.schema import Beyond, Generation
from wsss_lib.experiments.store import plain
from wsss_lib.localization.patches import fitting_size
from wsss_lib.segmentation.networks import NETWORKS
from wsss_lib.vocabulary import SettingsError

ROLES = [pytest.param(role, id=f"{p.name}-{name}") for p in PROFILES.values() for name, role in p.roles.items()]


def outline(builder, *arguments):
    """A network without memory for its weights."""
    with torch.device("meta"):
        return builder(*arguments)


# -------------------------------------------------------------------------------------------------------- known answers


def test_the_profiles_by_name():
    paper = {"smoke", "toy", "camvid", "paper", "paper-dry"}
    assert set(PROFILES) == paper | {"smoke-plus", "toy-plus", "camvid-plus", "camvid-seeds"}
    assert all(load_profile(name).name == name for name in PROFILES)


def test_what_plays_the_papers_data_sets():
    assert list(TOY.roles) == list(SMOKE.roles) == ["cityscapes", "camvid", "voc"]
    assert TOY.main.dataset == "cityscapes"
    assert list(PAPER.roles) == list(PAPER_DRY.roles) == ["cityscapes", "camvid", "voc"]
    assert PROFILES["camvid"].main.dataset == "camvid"
    without = ["smoke", "toy", "paper-dry", "smoke-plus", "toy-plus"]
    assert [name for name, profile in PROFILES.items() if not profile.needs_data] == without


def test_the_papers_numbers():
    """Grids 4 x 3 on CamVid and 4 x 2 on Cityscapes, three rounds, a weight of 0.001, three seeds of the toy."""
    for profile in (TOY, PAPER):
        assert (profile.roles["cityscapes"].patches.columns, profile.roles["cityscapes"].patches.rows) == (4, 2)
    for camvid in [profile.roles["camvid"] for profile in PROFILES.values() if "camvid" in profile.roles]:
        assert (camvid.patches.columns, camvid.patches.rows) == (4, 3)
        assert (camvid.variants["default"].clustering.rounds, camvid.whole.columns) == (3, 1)
        assert camvid.variants["default"].clustering.center_weight == 0.001
    assert TOY.main.clustering_seeds == (0, 1, 2)


def test_the_smoke_profile_is_the_toy_but_smaller():
    for name, role in SMOKE.roles.items():
        toy = TOY.roles[name]
        assert role.variants.keys() == toy.variants.keys()
        assert (role.patches, role.superpixels) == (toy.patches, toy.superpixels)
        assert sum(role.source.counts) < sum(toy.source.counts)


def test_region_networks_of_the_paper_step_where_fast_r_cnn_does():
    """At 30,000 of 40,000 (specification 3.2)."""
    for role in PAPER.roles.values():
        training = role.variants["default"].clustering.training
        assert (training.steps, training.rate(29_999), training.rate(30_000)) == (40_000, 1.0, 0.1)


def test_the_rehearsal_is_the_paper_but_for_its_steps():
    """Networks, sizes and rules are the paper's; what is shorter is named here."""
    for name, role in PAPER_DRY.roles.items():
        full = PAPER.roles[name]
        assert (role.source, role.whole, role.patches) == (full.source, full.whole, full.patches)
        assert role.segmentation.training == replace(full.segmentation.training, steps=2, batch_size=2)
        assert role.networks.keys() == full.networks.keys()
        assert role.systems.keys() == full.systems.keys()
        clustering = full.variants["default"].clustering
        assert role.variants["default"].clustering == replace(
            clustering, training=replace(clustering.training, steps=2), center_steps=1
        )
        assert {config.weights for config in (role.classifier, role.segmentation, *role.networks.values())} == {"none"}


# ---------------------------------------------------------------------------------------------------- settings that fit


@pytest.mark.parametrize("role", ROLES)
def test_sizes_fit_the_stride_of_the_network(role: Role):
    """Where corners of grid and picture must coincide, sizes are stride * n + 1, else stride * n.

    Others would be changed silently, or cells would not be where they are taken to be.
    """
    backbone = outline(BACKBONES[role.classifier.backbone])
    for config in filter(None, (role.whole, role.patches, role.dense)):
        assert fitting_size(config.patch_size, 1.0, backbone) == config.patch_size
        assert {side % backbone.stride for side in config.patch_size} == {int(backbone.align_corners)}
    for variant in role.variants.values():
        assert {side % backbone.stride for side in variant.features.size} == {int(backbone.align_corners)}


@pytest.mark.parametrize("role", ROLES)
def test_corners_of_a_segmented_picture_are_at_most_half_a_cell_off(role: Role):
    network = outline(NETWORKS[role.segmentation.network], 3)
    assert network.backbone.align_corners
    for side in (*role.segmentation.input_size, *role.segmentation.crop_size):
        assert (side - 1) % network.backbone.stride <= network.backbone.stride / 2


@pytest.mark.parametrize("role", ROLES)
def test_layers_exist_and_label_spaces_are_known(role: Role):
    assert role.source.label_space in LABEL_SPACES
    backbone = outline(BACKBONES[role.classifier.backbone]).eval()
    for variant in role.variants.values():
        maps = list(backbone.maps(torch.empty(1, 3, 33, 33, device="meta"), variant.features.layers))
        assert len(maps) == max(1, len(variant.features.layers))


@pytest.mark.parametrize("role", ROLES)
def test_the_ablation_differs_in_the_centre_loss_alone(role: Role):
    if "no_center_loss" not in role.variants:
        assert role.dataset == "voc" or role.plus
        return
    default, without = role.variants["default"], role.variants["no_center_loss"]
    assert without.clustering.center_weight == 0 < default.clustering.center_weight
    weight = default.clustering.center_weight
    assert replace(without, clustering=replace(without.clustering, center_weight=weight)) == default


@pytest.mark.parametrize("name", ["toy", "camvid"])
def test_the_literal_rules_are_kept_beside_the_default(name):
    variants = PROFILES[name].roles["camvid"].variants
    literal = variants["paper_rules"]
    assert (literal.where, literal.heat, literal.seeds.rule) == ("patches", "maximum", "hottest")
    assert literal.features.pooling == "masked_roi"
    assert literal.clustering.certain == (1.0,)
    assert variants["default"].features.pooling == "mean"


@pytest.mark.parametrize("role", ROLES)
def test_every_setting_can_be_a_key_of_the_store(role: Role):
    for config in (role.classifier, role.whole, role.superpixels, role.segmentation, *role.variants.values()):
        assert plain(config)["type"] == type(config).__name__


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(("name", "nearest"), [("camvit", "camvid"), ("Toy", "toy"), ("papers", "paper")])
def test_an_unknown_profile_is_answered_with_the_nearest(name, nearest):
    with pytest.raises(SettingsError, match=f"no profile named '{name}'; did you mean '{nearest}'"):
        load_profile(name)


def test_a_name_like_no_other_is_answered_with_all():
    with pytest.raises(SettingsError, match=r"\(known: camvid, camvid-plus, camvid-seeds, paper, .*, toy-plus\)"):
        load_profile("zzz")


def test_impossible_roles_are_refused():
    role = SMOKE.roles["camvid"]
    with pytest.raises(SettingsError, match="the first variant of role camvid must be called default"):
        replace(role, variants={"paper_rules": role.variants["paper_rules"]})
    with pytest.raises(SettingsError, match="segmentation_seeds of role camvid must be among its clustering_seeds"):
        replace(role, clustering_seeds=(0, 1), segmentation_seeds=(2,))
    with pytest.raises(SettingsError, match="must be among its clustering_seeds"):
        replace(role, clustering_seeds=(), segmentation_seeds=())
    with pytest.raises(SettingsError, match="takes seeds from dense maps but has no dense localisation"):
        replace(role, dense=None)


def test_the_main_role_is_cityscapes_where_it_is_played():
    roles = {name: SMOKE.roles[name] for name in ("voc", "camvid")}
    assert Profile(name="two", summary="", needs_data=False, roles=roles).main.dataset == "camvid"


def test_one_classifier_for_all_seeds_counts_once():
    role = replace(CAMVID.main, clustering_seeds=(0, 1), segmentation_seeds=(0,))
    assert replace(role, classifier_per_seed=True).classifier_seeds == (0, 1)
    assert replace(role, classifier_per_seed=False).classifier_seeds == (0,)


def test_every_system_and_network_of_the_papers_tables_has_settings_where_it_belongs():
    """Tables 1 to 4 name CCNN, SEC, BBF and PSA, Table 8 eight systems, Table 9 two networks beside ours."""
    driving = {"ccnn", "sec", "bbf", "psa"}
    voc = {"ccnn", "sec", "stc", "spn", "ae_psl", "lcem", "mcof", "dsrg"}
    assert driving <= set(SMOKE.main.systems)
    assert voc <= set(SMOKE.roles["voc"].systems)
    assert set(SMOKE.main.networks) == {"fcn", "drn_d_105"}
    assert driving | voc == set(SYSTEMS)


@pytest.mark.parametrize("role", ROLES)
def test_settings_of_systems_are_of_registered_ones(role: Role):
    assert set(role.systems) <= set(SYSTEMS)
    for config in role.systems.values():
        plain(config)  # a key of the store can be made of it


# ---------------------------------------------------------------------------------------------------- repeated training


def test_repeated_training_changes_how_often_and_nothing_else():
    """So that what the profile has trained once is found again."""
    repeated = load_profile("camvid-seeds")
    assert list(repeated.roles) == list(CAMVID.roles)
    for name, role in repeated.roles.items():
        assert role.segmentation_seeds == role.compared_seeds == (0, 1, 2)
        once = CAMVID.roles[name]
        assert once.compared_seeds == (0,)
        assert replace(role, segmentation_seeds=(0,), compared_seeds=(0,)) == once


# ----------------------------------------------------------------------------------------------------- beyond the paper


@pytest.mark.parametrize("profile", [SMOKE, TOY, CAMVID], ids=lambda profile: profile.name)
def test_beyond_the_paper_its_method_stays_as_it_is(profile: Profile):
    """So that both are compared under the same settings, and stages that both have are made once."""
    plus, main = load_profile(f"{profile.name}-plus"), profile.main
    assert list(plus.roles) == [main.dataset]
    role = plus.main
    assert role.variants["default"] == main.variants["default"]
    for name in ("source", "classifier", "superpixels", "dense", "segmentation", "clustering_seeds"):
        assert getattr(role, name) == getattr(main, name)
    assert dict(role.systems) == dict(role.networks) == {}
    assert profile.main.plus == ""


def test_every_part_of_plus_is_taken_out_once():
    role = load_profile("camvid-plus").main
    first, plus, paper = (role.variants[name] for name in ("plus", "plus_second_generation", "default"))
    features = first.features
    less = {"features": paper.features, "clustering": paper.clustering, "collages": None}
    assert replace(first, **less) == paper
    learnt = replace(features, size=(721, 545))
    assert plus == replace(first, previous=Generation(system="plus, one generation", features=learnt))
    assert plus.described_by == (features, learnt)
    assert plus.collages == CollageConfig(pieces=12, smallest=1 / 600, batch_size=128, weight=0.5)
    assert plus.seed_rule == paper.seed_rule
    assert (features.geometry_copies, features.size, plus.clustering.balance) == (8, (1441, 1089), 0.0)
    assert dict(role.variants) == {
        "default": paper,
        "plus": first,
        "plus_second_generation": plus,
        "plus_without_geometry": replace(first, features=replace(features, geometry_copies=0)),
        "plus_coarse_features": replace(first, features=replace(features, size=paper.features.size)),
        "plus_balanced": replace(first, clustering=paper.clustering),
        "plus_without_collages": replace(first, collages=None),
    }
    beyond = dict(role.beyond)
    method = beyond.pop("plus")
    assert method.labels == "plus_second_generation"
    fine = replace(role.segmentation, network="fcn8s_mobilenet_v2")
    assert method.network == replace(fine, reverse=0.5)
    assert beyond == {
        "plus, one generation": replace(method, labels="plus"),
        "plus, one generation, without geometry": replace(method, labels="plus_without_geometry"),
        "plus, one generation, coarse features": replace(method, labels="plus_coarse_features"),
        "plus, one generation, balanced": replace(method, labels="plus_balanced"),
        "plus, one generation, without collages": replace(method, labels="plus_without_collages"),
        "plus, coarse network": replace(method, network=replace(role.segmentation, reverse=0.5)),
        "plus, cross entropy": replace(method, network=fine),
        "paper's labels, network of plus": replace(method, labels="default"),
        "full supervision, fine network": Beyond(labels=TRUTH, network=fine),
    }
    assert len(role.segmentation_seeds) == 3


def test_labels_that_no_variant_makes_are_refused():
    role = load_profile("camvid-plus").main
    with pytest.raises(SettingsError, match="learns from 'minus', which is no variant"):
        replace(role, beyond={"plus": replace(role.beyond["plus"], labels="minus")})


@pytest.mark.parametrize(
    "system", ["full supervision, fine network", "plus", "nobody"], ids=["true labels", "a second one", "unknown"]
)
def test_a_second_generation_goes_on_from_a_first_one_that_learnt_from_tags(system):
    """From true labels they would come back as deep features and as the labels that the rounds start from."""
    role = load_profile("camvid-plus").main
    plus = role.variants["plus_second_generation"]
    wrong = replace(plus, previous=replace(plus.previous, system=system))
    with pytest.raises(
        SettingsError, match=f"plus_second_generation of role camvid goes on from '{system}', which is no network of"
    ):
        replace(role, variants={**role.variants, "plus_second_generation": wrong})
