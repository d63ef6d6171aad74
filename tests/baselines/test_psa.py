"""PSA: which cells are sure, what the walk makes of the heat, and the whole system on the street."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsss_lib.baselines import psa as psa_module
from wsss_lib.baselines.affinity import AffinityNetwork, affinity_loss
from wsss_lib.baselines.psa import (
    PsaConfig,
    affinity_labels,
    kept_by_the_walk,
    psa,
    shortened,
    train_affinity,
    walk_labels,
)
from wsss_lib.baselines.sure_cells import class_scores, refine, sure_with_background, sure_without_background, to_cells
from wsss_lib.segmentation.crf import CrfConfig
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, LabelSpace, SettingsError

SIZE = (33, 33)


@pytest.fixture
def config() -> PsaConfig:
    return PsaConfig(
        training=TrainingConfig(steps=4, batch_size=2, learning_rate=0.02, head_factor=5),
        stride=4,
        crf=CrfConfig(bilateral_xy=20),
    )


@pytest.fixture
def voc(material):
    """The same street with the sky as its background."""
    colors = material.label_space.colors
    space = LabelSpace(name="voc-like", classes=("background", "road", "car"), colors=colors, background=0)
    return replace(material, label_space=space)


@pytest.fixture
def affinity(material) -> AffinityNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AffinityNetwork(material.network("largefov_small").backbone, 4)


def test_cells_average_the_pixels_around_every_strideth():
    """Pixels 0..4 at stride 2: means of (0, 1), (1, 2, 3) and (3, 4)."""
    row = torch.arange(5.0).expand(1, 5, 5)
    assert to_cells(row, 2)[0, 0].tolist() == [0.5, 2.0, 3.5]
    assert torch.equal(to_cells(row, 1), row)
    assert to_cells(torch.ones(2, 33, 41), 8).shape == (2, 5, 6)


def test_scores_with_a_background_are_divided_by_the_maximum():
    """Heat 0.4 and 0.2 becomes 1 and 0.5; the background is 0 and (1 - 0.5)^2, whatever the heat's own row says."""
    heat = torch.tensor([[[0.9, 0.9]], [[0.4, 0.2]], [[0.0, 0.0]]])
    scores = class_scores(heat, 0, 2.0)
    torch.testing.assert_close(scores, torch.tensor([[[0.0, 0.25]], [[1.0, 0.5]], [[0.0, 0.0]]]), atol=1e-4, rtol=0)
    assert torch.equal(class_scores(heat, None, 2.0), heat)
    assert (class_scores(torch.zeros(3, 1, 2), 0, 2.0)[0] == 1).all()  # no object anywhere


def test_sure_cells_with_a_background():
    """Cell 0 is an object even beside much background, cell 1 background even beside little, cell 2 depends."""
    low = torch.tensor([[[0.1, 0.9, 0.9]], [[0.9, 0.1, 0.1]]])
    high = torch.tensor([[[0.1, 0.9, 0.1]], [[0.9, 0.1, 0.9]]])
    assert sure_with_background(low, high, 0).tolist() == [[1, 0, IGNORE]]


def test_sure_cells_without_a_background():
    """Cell 0 is sure, cell 1 has little heat, cell 2 two close classes."""
    heat = torch.tensor([[[0.6, 0.2, 0.5]], [[0.2, 0.1, 0.4]]])
    refined = torch.tensor([[[0.2, 0.9, 0.53]], [[0.8, 0.1, 0.47]]])
    assert sure_without_background(heat, refined, 0.3, 0.1).tolist() == [[1, IGNORE, IGNORE]]


def test_crf_on_the_grid_takes_the_stride_out_of_its_distances(material, config, monkeypatch):
    """At stride 4 it runs on 9 x 9 cells; with room for 30 cells at stride 8, on 5 x 5."""
    seen = []

    def crf(unary, images, given):
        seen.append((tuple(unary.shape), tuple(images.shape), given.bilateral_xy, given.bilateral_rgb))
        return (-unary).softmax(1)

    monkeypatch.setattr("wsss_lib.baselines.sure_cells.small_crf", crf)
    scores, image = torch.rand(3, 33, 33), torch.rand(3, 33, 33)
    for cells in (4096, 30):
        refined = refine(scores, image, material.tags[1], config.crf, 4, cells)
        assert refined.shape == (3, 9, 9)
        assert not refined[2].any()
    assert seen == [((1, 2, 9, 9), (1, 3, 9, 9), 5.0, 13.0), ((1, 2, 5, 5), (1, 3, 5, 5), 2.5, 13.0)]


@pytest.mark.parametrize("kind", ["material", "voc"])
def test_affinity_labels_are_mostly_true(kind, config, run, true_map, request):
    """Colours tell the classes of the street apart, so what is sure is nearly always right."""
    given = request.getfixturevalue(kind)
    for i in range(4):
        labels = affinity_labels(given, i, SIZE, config, run).numpy()
        known = labels != IGNORE
        assert labels.shape == (9, 9)
        assert known.mean() > 0.5
        assert (labels == true_map(i)[::4, ::4])[known].mean() > 0.9


def in_columns(*values):
    """Heat of class 1 that has its maximum on the left, then the given values in equal parts; of the others, none."""
    heat = np.zeros((3, 11, 11), np.float32)
    heat[1] = np.repeat([1.0, *values], 4)[:11]
    return lambda _: heat


def test_cells_are_sure_with_much_and_with_little_background(voc, config, run, monkeypatch):
    """Heat 0.2 of the maximum is above 0.8^32 and below 0.8^4: an object or not, as the exponent wants, so unknown.

    Heat 0.005 is below both 0.995^4 and 0.995^32 = 0.85: background. The CRF changes nothing.
    """
    monkeypatch.setattr("wsss_lib.baselines.sure_cells.small_crf", lambda unary, *_: (-unary).softmax(1))
    given = replace(voc, heat=in_columns(0.2, 0.005))
    labels = affinity_labels(given, 0, SIZE, config, run)
    assert (labels[:, [0, 4, 8]] == torch.tensor([1, IGNORE, 0])).all()


def test_the_walk_has_a_background_of_its_own(voc, config, run, affinity):
    """A walk of no steps. 0.85^16 = 0.07 is below 0.15 (0.85^4 is not), 0.9^16 = 0.19 is above 0.1 (0.9^32 is not)."""
    given = replace(voc, heat=in_columns(0.15, 0.1))
    labels = walk_labels(affinity, given, 0, SIZE, replace(config, walk_steps=0), run)
    assert (labels[:, [0, 16, 32]] == [1, 1, 0]).all()


@pytest.mark.parametrize("kind", ["material", "voc"])
def test_a_step_sees_mirrored_pictures_with_mirrored_labels(
    kind, config, run, affinity, true_map, request, monkeypatch
):
    """Channel c of the street is brightest where class c is. Its loss knows whether there is a background."""
    given, steps = request.getfixturevalue(kind), {}
    monkeypatch.setattr(psa_module, "train", lambda _, batch, loss, *__, **___: steps.update(batch=batch, loss=loss))
    labels = [torch.from_numpy(true_map(i)[::4, ::4].copy()) for i in range(4)]
    train_affinity(affinity, given, SIZE, labels, config, run)
    mirrored = 0
    for step in range(8):
        images, truth = steps["batch"](step)
        assert torch.equal(images[..., ::4, ::4].argmax(1), truth.long())
        mirrored += sum(not any(torch.equal(cells, each) for each in labels) for cells in truth)
    assert 0 < mirrored < 16
    features = (images[:, 1:2, ::4, ::4] / 50) ** 2  # noise makes more of a difference on the road than in the sky
    affinity.forward = lambda _: features
    loss = steps["loss"]((images, truth))
    without, sky = (affinity_loss(features, truth, 5, background) for background in (None, 0))
    torch.testing.assert_close(loss, without if kind == "material" else sky)
    assert abs(without - sky) > 0.001


@pytest.mark.parametrize("tags", [[], [1], [0, 1, 2]])
def test_tags_without_heat(material, config, run, affinity, tags):
    """Without heat nothing is known, neither for learning nor after the walk, however many tags there are."""
    table = np.zeros((4, 3), dtype=bool)
    table[:, tags] = True
    cold = replace(material, tags=table, heat=lambda _: np.zeros((3, 11, 11), np.float32))
    assert (affinity_labels(cold, 0, SIZE, config, run) == IGNORE).all()
    assert (walk_labels(affinity, cold, 0, SIZE, config, run) == IGNORE).all()


def test_one_tag_and_a_class_without_heat(material, voc, config, run, affinity):
    def warm(_):
        return np.stack([np.zeros((11, 11)), np.full((11, 11), 0.5), np.zeros((11, 11))]).astype(np.float32)

    for tags in ([False, True, False], [True, True, True]):
        given = replace(material, tags=np.array([tags] * 4), heat=warm)
        assert (affinity_labels(given, 0, SIZE, config, run) == 1).all()
        assert (walk_labels(affinity, given, 0, SIZE, config, run) == 1).all()
    only_background = replace(voc, tags=np.zeros((4, 3), dtype=bool), heat=lambda _: np.zeros((3, 11, 11), np.float32))
    assert (affinity_labels(only_background, 0, SIZE, config, run) == 0).all()
    assert (walk_labels(affinity, only_background, 0, SIZE, config, run) == 0).all()


def test_training_lowers_the_loss_and_the_walk_mends_noisy_heat(material, config, run, affinity, true_map):
    """A third of the heat's squares are wrong. After 40 steps the walk's labels agree with the true map much better."""

    def noisy(i):
        rng = np.random.default_rng([i, 1])
        wrong = rng.random((11, 11)) < 1 / 3
        classes = np.where(wrong, rng.integers(0, material.tags[i].sum(), (11, 11)), true_map(i)[1::3, 1::3])
        return np.where(np.arange(3)[:, None, None] == classes, 0.6, 0.2 * material.tags[i][:, None, None]).astype("f4")

    given = replace(material, heat=noisy)
    config = replace(config, training=replace(config.training, steps=40), walk_steps=32)
    labels = [affinity_labels(given, i, SIZE, config, run) for i in range(4)]
    losses = train_affinity(affinity, given, SIZE, labels, config, run)
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:2])
    before = np.mean([np.kron(noisy(i).argmax(0), np.ones((3, 3))) == true_map(i) for i in range(4)])
    walked = [walk_labels(affinity, given, i, SIZE, config, run) for i in range(4)]
    after = np.mean([walked[i] == true_map(i) for i in range(4)])
    assert after > before + 0.05, (before, after)


def test_labels_per_region_are_constant_in_regions(material, config, run, affinity):
    labels = walk_labels(affinity, material, 0, SIZE, replace(config, per_region=True, walk_steps=0), run)
    regions = material.regions(0)
    assert all(len(np.unique(labels[regions == r])) == 1 for r in range(regions.max() + 1))
    assert (labels == np.kron(material.heat(0).argmax(0), np.ones((3, 3)))).mean() > 0.85


def test_cells_kept_are_counted_class_by_class():
    """Three of four cells of class 0 and none of class 1 are kept: (3/4 + 0) / 2. Unknown cells do not count."""
    sure = [torch.tensor([[0, 0, 0]]), torch.tensor([[0, 1, IGNORE]])]
    walked = [torch.tensor([[0, 0, 2]]), torch.tensor([[0, 0, 0]])]
    assert kept_by_the_walk(sure, walked) == pytest.approx(0.375)
    assert kept_by_the_walk([torch.tensor([[IGNORE]])], [torch.tensor([[0]])]) == 1


@pytest.mark.parametrize("width", [65, 67, 71])
def test_a_wider_grid_leaves_edges_where_they_are(width, monkeypatch):
    """Cells of 4 pixels, the field on cells of 8, which end on another pixel; the edge is at pixel 40 either way."""
    monkeypatch.setattr("wsss_lib.baselines.sure_cells.small_crf", lambda unary, *_: (-unary).softmax(1))
    right = (torch.arange(width) >= 40).float().expand(33, width)
    scores, picture = torch.stack([1 - right, right]), torch.zeros(3, 33, width)
    fine, wide = (refine(scores, picture, np.ones(2, dtype=bool), CrfConfig(), 4, cells)[1] for cells in (10_000, 60))
    assert fine.shape == wide.shape
    edges = [(probability[4] < 0.5).sum().item() for probability in (fine, wide)]
    assert abs(edges[0] - edges[1]) <= 1


def test_the_walk_is_as_long_in_pixels_on_coarser_grids(config):
    assert [replace(config, stride=stride).steps_on_grid for stride in (4, 8, 16)] == [256, 256, 64]
    assert [replace(config, stride=16, walk_steps=steps).steps_on_grid for steps in (0, 1, 2, 4)] == [0, 1, 1, 1]


def test_the_walk_is_halved_until_it_keeps_what_one_step_keeps(material, config, run, affinity, monkeypatch):
    """One step keeps 79 %, every further one costs 1 %: of 16, 8 and 4 steps, 4 are the first to keep 0.95 of that."""
    monkeypatch.setattr("wsss_lib.baselines.psa.kept_by_the_walk", lambda _, walked: 0.8 - 0.01 * walked[0])
    monkeypatch.setattr("wsss_lib.baselines.psa.on_cells", lambda walked, *_: walked)
    monkeypatch.setattr("wsss_lib.baselines.psa.walk_labels", lambda *given: given[4].walk_steps)
    given = affinity, material, SIZE, [torch.zeros(9, 9)] * 4

    def steps(minimum):
        return shortened(*given, replace(config, walk_steps=16, minimum_kept=minimum), run).walk_steps

    assert [steps(minimum) for minimum in (0.0, 0.8, 0.9, 0.95, 0.999)] == [16, 16, 8, 4, 1]
    assert shortened(*given, replace(config, walk_steps=0, minimum_kept=0.9), run).walk_steps == 0


def test_a_walk_without_affinities_is_shortened(material, config, run, affinity, true_map):
    """Features of zeros make every affinity 1: 256 steps wash the street out, and sure cells ask for fewer."""
    affinity.mix.weight.data.zero_()
    sure = [torch.from_numpy(true_map(i)[::4, ::4].copy()) for i in range(4)]
    assert shortened(affinity, material, SIZE, sure, replace(config, minimum_kept=0.9), run).walk_steps < 16


@pytest.mark.parametrize("kind", ["material", "voc"])
def test_the_whole_system(kind, settings, config, run, request):
    given = request.getfixturevalue(kind)
    outcome = psa(given, settings, config, run)
    assert {name: len(losses) for name, losses in outcome.losses.items()} == {"affinity": 4, "network": 3}
    assert outcome.network_name == "largefov_small"
    for i, labels in enumerate(outcome.labels):
        assert labels.shape == SIZE
        assert labels.dtype == np.uint8
        assert given.tags[i][np.unique(labels)].all()
    with torch.no_grad():
        assert outcome.network.eval()(torch.rand(1, 3, 33, 33) * 255).isfinite().all()


def test_labels_are_from_the_shortened_walk(material, settings, config, run, monkeypatch):
    """It is decided on the trained network and on the cells that it learnt from."""
    given, walked = {}, []

    def shorter(network, _material, _size, sure, config, _run):
        given.update(network=network, sure=sure)
        return replace(config, walk_steps=7)

    def walk(network, *rest):
        walked.append((network, rest[3].walk_steps))
        return walk_labels(network, *rest)

    monkeypatch.setattr(psa_module, "shortened", shorter)
    monkeypatch.setattr(psa_module, "walk_labels", walk)
    psa(material, settings, config, run)
    assert walked == [(given["network"], 7)] * 4
    assert all(
        torch.equal(cells, affinity_labels(material, i, SIZE, config, run)) for i, cells in enumerate(given["sure"])
    )


def test_two_runs_with_one_seed_make_the_same_labels(material, settings, config, run):
    """Whatever has been drawn from torch's own generator before."""
    first = psa(material, settings, config, run)
    torch.rand(5)
    second = psa(material, settings, config, run)
    assert first.losses["affinity"] == second.losses["affinity"]
    assert all(np.array_equal(a, b) for a, b in zip(first.labels, second.labels, strict=True))
    other = psa(material, settings, config, replace(run, seed=1))
    assert first.losses["affinity"] != other.losses["affinity"]


@pytest.mark.parametrize(
    "bad",
    [
        {"stride": 0},
        {"radius": 1},
        {"crf_cells": 0},
        {"walk_steps": -1},
        {"alphas": (32.0, 4.0, 16.0)},
        {"alphas": (4.0, 32.0, 0.0)},
        {"beta": 0.0},
        {"minimum_heat": 1.5},
        {"minimum_margin": -0.1},
        {"minimum_kept": 1.1},
    ],
)
def test_bad_settings_are_refused(config, bad):
    with pytest.raises(SettingsError):
        replace(config, **bad)
