"""MCOF: the Bayes rule on four pixels, which pictures it is for, and the whole alternation."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from wsss_lib.baselines import mcof as mcof_module
from wsss_lib.baselines.mcof import (
    McofConfig,
    color_likelihood,
    complete_object,
    mcof,
    object_and_rest,
    object_posterior,
)
from wsss_lib.clustering.rounds import ClusteringConfig
from wsss_lib.clustering.seeds import SeedConfig
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, SettingsError

RED, BLUE = (250, 0, 0), (0, 0, 250)
FOUR = np.array([[RED, RED, RED, BLUE]], dtype=np.uint8)
MINED = np.array([[True, True, False, False]])


def constant(value: float, shape: tuple[int, int]) -> np.ndarray:
    return np.full(shape, value, dtype=np.float32)


def test_colours_of_four_pixels_by_hand():
    """2 bins per channel make 8 cubes, one pixel is added to each. Mined are two red pixels: red (2 + 1) / (2 + 8),
    blue (0 + 1) / 10; the rest is one red and one blue: (1 + 1) / 10 each."""
    np.testing.assert_allclose(color_likelihood(FOUR, MINED, 2, 1.0), [[0.3, 0.3, 0.3, 0.1]], atol=1e-6)
    np.testing.assert_allclose(color_likelihood(FOUR, ~MINED, 2, 1.0), [[0.2, 0.2, 0.2, 0.2]], atol=1e-6)
    np.testing.assert_allclose(color_likelihood(FOUR, MINED & False, 2, 1.0), np.full((1, 4), 1 / 8), atol=1e-6)


def test_the_bayes_rule_on_four_pixels_by_hand():
    """Saliency 0.5, 0.2, 0.8 on red: .15 / (.15 + .10) = 0.6, .06 / (.06 + .16) = 0.2727, .24 / (.24 + .04) = 0.8571;
    0.5 on blue: .05 / (.05 + .10) = 1/3. The third pixel was not mined and becomes object."""
    salient = np.array([[0.5, 0.2, 0.8, 0.5]], dtype=np.float32)
    posterior = object_posterior(FOUR, MINED, salient, 2, 1.0)
    np.testing.assert_allclose(posterior, [[0.6, 0.2727, 0.8571, 0.3333]], atol=1e-4)


@pytest.mark.parametrize("mined", [True, False])
def test_a_region_that_is_nowhere_or_everywhere_gives_a_finite_posterior(mined):
    salient = np.array([[0.0, 0.5, 1.0, 1.0]], dtype=np.float32)
    posterior = object_posterior(FOUR, np.full((1, 4), mined), salient, 2)
    assert np.isfinite(posterior).all()
    assert posterior[0, 0] == 0
    assert posterior[0, 2] == 1


def test_with_a_background_the_only_object_tag_is_the_object():
    labels, salient = np.zeros((1, 4), dtype=np.uint8), constant(0.5, (1, 4))

    def chosen(*tags: bool, background: int = 0):
        return object_and_rest(labels, salient, np.array(tags), background, 0.2)

    assert chosen(True, False, True) == (2, 0)
    assert chosen(True, False, True, background=2) == (0, 2)
    assert chosen(True, True, True) is None
    assert chosen(True, False, False) is None
    assert chosen(False, True, True) is None  # the background is no tag: nothing is known to be the rest


def test_without_a_background_the_more_salient_of_two_classes_is_the_object():
    """Mean saliency 0.1 and 0.7; a difference of 0.6 is enough for a margin of 0.5 and not for 0.7."""
    labels = np.array([[0, 0, 2, 2]], dtype=np.uint8)
    salient = np.array([[0.0, 0.2, 0.6, 0.8]], dtype=np.float32)
    two = np.array([True, False, True])
    assert object_and_rest(labels, salient, two, None, 0.5) == (2, 0)
    assert object_and_rest(labels, 1 - salient, two, None, 0.5) == (0, 2)
    assert object_and_rest(labels, salient, two, None, 0.7) is None
    assert object_and_rest(labels, salient, np.array([True, True, True]), None, 0.0) is None
    assert object_and_rest(labels, salient, np.array([True, False, False]), None, 0.0) is None
    assert object_and_rest(np.zeros_like(labels), salient, two, None, 0.0) is None  # one of the two is nowhere


def ring() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A red square of 5 x 5 on blue with a blue hole; its left part was mined, all but the hole is salient."""
    square = np.zeros((9, 9), dtype=bool)
    square[2:7, 2:7] = True
    red = square.copy()
    red[4, 4] = False
    image = np.where(red[..., None], RED, BLUE).astype(np.uint8)
    mined = np.where(red & (np.arange(9) < 5), 1, 0).astype(np.uint8)
    return square, image, mined, np.where(red, 0.7, 0.2).astype(np.float32)


def test_the_object_is_completed_and_its_hole_filled():
    square, image, mined, salient = ring()
    regions = np.arange(81, dtype=np.int32).reshape(9, 9)
    for tags, background in (([True, True], 0), ([True, True], None)):
        found = complete_object(mined, image, regions, salient, np.array(tags), background, McofConfig())
        assert np.array_equal(found == 1, square)
        assert found.dtype == np.uint8


def test_a_completed_object_follows_the_superpixels():
    """Columns as superpixels: the outer columns hold no object pixel, an inner one five of nine."""
    square, image, mined, salient = ring()
    regions = np.tile(np.arange(9, dtype=np.int32), (9, 1))
    found = complete_object(mined, image, regions, salient, np.array([True, True]), 0, McofConfig(posterior=0.3))
    assert np.array_equal(found[0] == 1, square.any(0))
    assert (found == found[0]).all()


def test_labels_stay_where_saliency_finds_nothing_or_everything():
    _, image, mined, _ = ring()
    regions = np.arange(81, dtype=np.int32).reshape(9, 9)
    for value in (0.0, 1.0):
        same = complete_object(mined, image, regions, constant(value, (9, 9)), np.array([True, True]), 0, McofConfig())
        assert np.array_equal(same, mined)


def short(rounds: int = 2) -> McofConfig:
    training = TrainingConfig(steps=40, batch_size=64, learning_rate=0.05, head_factor=1)
    regions = ClusteringConfig(
        hidden=16, rounds=1, pictures_per_batch=4, training=training, center_steps=1, center_weight=0
    )
    return McofConfig(rounds=rounds, regions=regions)


@pytest.mark.parametrize("background", [None, 0])
def test_the_whole_system_mines_the_street(material, settings, run, true_map, background):
    """The seeds are right, so the labels must be nearly right in the first round already."""
    material = replace(material, label_space=replace(material.label_space, background=background))
    outcome = mcof(material, settings, replace(short(1), saliency_rounds=0), run)
    assert np.mean(outcome.losses["regions_1"][-5:]) < 0.7 * np.mean(outcome.losses["regions_1"][:5])
    assert outcome.labels is not None
    for i, labels in enumerate(outcome.labels):
        assert set(np.unique(labels)) <= set(np.flatnonzero(material.tags[i]))
        assert (labels == true_map(i)).mean() > 0.8


def test_saliency_is_asked_in_its_rounds_and_the_network_learns_in_all(material, settings, run):
    asked = []

    def saliency(image):
        asked.append(image.shape)
        return constant(0.5, image.shape[:2])

    outcome = mcof(material, settings, short(), run, saliency)
    assert asked == [(33, 33, 3)] * 4
    assert set(outcome.losses) == {"regions_1", "network_1", "regions_2", "network_2"}
    assert [len(outcome.losses[f"network_{k}"]) for k in (1, 2)] == [1, 3]
    assert outcome.network(torch.zeros(1, 3, 33, 33)).isfinite().all()


@pytest.mark.parametrize(
    ("rule", "first"),
    [(SeedConfig(threshold=0.3), 3), (SeedConfig(threshold=0.8), 8), (SeedConfig(rule="every_region"), 0)],
)
def test_the_first_seeds_are_chosen_as_it_is_set(material, settings, run, monkeypatch, rule, first):
    """Heat 1/11, 2/11 ... 11/11 in the columns of squares, for class 1 in odd pictures, class 0 in the others.

    4/11 is the first of at least 0.3 times the hottest, 9/11 the first of at least 0.8 times it.
    """
    given = []

    def ramp(i):
        heat = np.zeros((3, 11, 11), dtype=np.float32)
        heat[i % 2] = np.arange(1, 12) / 11
        return heat

    def mined(_features, seeds, *_):
        given.extend(seeds)
        return SimpleNamespace(labels=np.zeros(4 * 121, dtype=np.uint8), losses=[0.0])

    monkeypatch.setattr(mcof_module, "mine_regions", mined)
    monkeypatch.setattr(mcof_module, "train_on_labels", lambda *_: [0.0])
    mcof(replace(material, heat=ramp), settings, replace(short(1), saliency_rounds=0, seeds=rule), run)
    assert len(given) == 4
    for i, (labels, certainty) in enumerate(given):
        known = np.tile(np.arange(11) >= first, 11)
        assert np.array_equal(labels, np.where(known, i % 2, IGNORE))
        assert certainty == pytest.approx(known.astype(float), abs=1e-5)


def uneven(i: int) -> np.ndarray:
    """Squares of 11, 3, 8 and 5 pixels: 9, 121, 25 and 49 superpixels."""
    rows, columns = np.indices((33, 33)) // (11, 3, 8, 5)[i]
    return (rows * (columns.max() + 1) + columns).astype(np.int32)


@pytest.mark.parametrize("saliency_rounds", [0, 1])
def test_every_picture_has_the_labels_of_its_own_superpixels_and_keeps_its_completed_object(
    material, settings, run, monkeypatch, saliency_rounds
):
    """Superpixel r of picture i is mined as class (r + i) % 3; completing adds 100 and the picture's number."""
    counts, completed, learnt = (9, 121, 25, 49), [], []
    labels = np.concatenate([(np.arange(count) + i) % 3 for i, count in enumerate(counts)]).astype(np.uint8)

    def complete(label_map, image, regions, salient, tags, background, config):
        i = len(completed)
        completed.append((image, regions, salient, tags))
        assert background is None
        assert config == settled
        return (label_map + 100 + i).astype(np.uint8)

    def learn(_network, _material, _settings, label_maps, _run, _name):
        learnt.extend(label_maps)
        return [0.0]

    monkeypatch.setattr(mcof_module, "mine_regions", lambda *_: SimpleNamespace(labels=labels, losses=[0.0]))
    monkeypatch.setattr(mcof_module, "complete_object", complete)
    monkeypatch.setattr(mcof_module, "train_on_labels", learn)
    material, settled = replace(material, regions=uneven), replace(short(1), saliency_rounds=saliency_rounds)
    outcome = mcof(material, settings, settled, run, lambda image: (image[..., 0] / 255).astype(np.float32))

    assert len(learnt) == 4
    assert len(completed) == 4 * saliency_rounds
    for i in range(4):
        mined = (uneven(i) + i) % 3
        assert np.array_equal(learnt[i], mined + 100 + i if saliency_rounds else mined)
        assert np.array_equal(outcome.labels[i], learnt[i])
    for i, (image, regions, salient, tags) in enumerate(completed):
        assert np.array_equal(image, material.image(i))
        assert np.array_equal(regions, uneven(i))
        assert salient == pytest.approx(material.image(i)[..., 0] / 255, abs=1e-6)
        assert np.array_equal(tags, material.tags[i])


def test_the_predictions_of_a_network_are_the_seeds_of_the_next_round(material, settings, run, monkeypatch):
    """A network that says road everywhere: the second region network finds road wherever it is a tag."""

    def road(_network, material, i, _settings, _run):
        return torch.tensor([[0.1, 0.8, 0.1]]).expand(int(material.regions(i).max()) + 1, -1)

    monkeypatch.setattr(mcof_module, "region_probability", road)
    outcome = mcof(material, settings, replace(short(), saliency_rounds=0), run)
    assert outcome.labels is not None
    assert all((labels == 1).all() for labels in outcome.labels)


def test_a_run_that_goes_on_from_its_checkpoints_ends_the_same(material, settings, run, tmp_path):
    config, often = short(), {"checkpoint_every": 1}
    regions = replace(config.regions, training=replace(config.regions.training, **often))
    config, settings = replace(config, regions=regions), replace(settings, training=replace(settings.training, **often))

    def outcome(run):
        torch.manual_seed(0)
        return mcof(material, settings, config, run)

    plain, first = outcome(run), outcome(replace(run, folder=tmp_path))
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.pt")}
    assert names >= {
        "mcof_regions_1/round_1/view_1/phase_1.pt",
        "mcof_regions_2/round_1/view_1/phase_1.pt",
        "mcof_round_2.pt",
    }
    again = outcome(replace(run, folder=tmp_path))
    assert plain.losses == first.losses == again.losses
    assert np.array_equal(plain.labels, again.labels)


@pytest.mark.parametrize(
    "bad",
    [
        {"rounds": 0}, {"saliency_rounds": -1}, {"feature_scale": 0.0}, {"posterior": 1.0}, {"bins": 1},
        {"margin": 2.0},
        {"regions": ClusteringConfig(training=TrainingConfig(steps=1, batch_size=1, learning_rate=1.0))},
    ],
)  # fmt: skip
def test_bad_settings_are_refused(bad):
    with pytest.raises(SettingsError):
        McofConfig(**bad)
