"""Rounds: three clusters in the plane are found, only tags are given, and resumed equals uninterrupted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsss_lib.clustering import rounds
from wsss_lib.clustering.collages import CollageConfig, PastedRegions
from wsss_lib.clustering.network import RegionNetwork
from wsss_lib.clustering.region_features import MaskedRoi, MeanPooled
from wsss_lib.clustering.rounds import ClusteringConfig, RegionSampler, View, classes_without_regions, cluster
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

CPU = choose_compute("cpu", "float32")
CONFIG = ClusteringConfig(
    hidden=16,
    dropout=0.2,
    rounds=2,
    pictures_per_batch=4,
    training=TrainingConfig(
        steps=60, batch_size=32, learning_rate=0.05, head_factor=1, schedule="step", checkpoint_every=25
    ),
    center_steps=10,
)


def run(
    plane, space, config=CONFIG, *,
    features=None, pasted=None, more=(), seeds=None, certainty=None, tags=None, seed=0, **arguments,
):  # fmt: skip
    """All rounds on the plane, with something exchanged."""
    seeds = plane.seeds if seeds is None else seeds
    certainty = np.ones(len(seeds), np.float32) if certainty is None else certainty
    tags = plane.tags if tags is None else tags
    views = [View(plane.features if features is None else features, pasted), *more]
    return list(cluster(views, seeds, certainty, tags, space, config, compute=CPU, seed=seed, **arguments))


# ------------------------------------------------------------------------------------------------------ known answers


def test_two_views_know_more_than_either(plane, three_classes):
    """One sees where a region lies across, the other how high: neither can tell all three clusters apart."""
    across, high = (MeanPooled(plane.features.array[:, [axis]], plane.features.counts) for axis in (0, 1))

    def right(features, *more):
        done = run(plane, three_classes, features=features, more=[View(each) for each in more])
        return (done[-1].labels == plane.truth).mean()

    assert right(across, high) == 1 > max(right(across), right(high))


def test_beside_another_view_the_first_learns_as_it_does_alone(plane, three_classes, monkeypatch):
    """So that what a second view adds is not mixed with another draw of regions; the second has draws of its own."""
    learn, learnt = rounds._learn, []
    monkeypatch.setattr(rounds, "_learn", lambda *arguments: learnt.append(learn(*arguments)) or learnt[-1])
    config = replace(CONFIG, rounds=1)
    run(plane, three_classes, config)
    run(plane, three_classes, config, more=[View(plane.features)])
    alone, first, second = (each.network.state_dict() for each in learnt)
    assert all(torch.equal(alone[name], first[name]) for name in alone)
    assert not torch.equal(first["fc6.weight"], second["fc6.weight"])


def test_the_mean_of_the_views_by_hand(plane, three_classes, monkeypatch):
    """Scores (3, 0, 0) and (-2, 2, 0): the mean is (0.5, 1, 0), class 1, surer of it where class 2 is no tag."""
    given = {2: [3.0, 0.0, 0.0], 1: [-2.0, 2.0, 0.0]}
    monkeypatch.setattr(
        rounds, "_scores", lambda _, pooled, *__: torch.tensor([given[pooled.shape[1]]]).repeat(len(pooled), 1)
    )
    more = [View(MeanPooled(plane.features.array[:, :1], plane.features.counts))]
    config = replace(CONFIG, rounds=1, training=replace(CONFIG.training, steps=1), center_steps=1)
    (done,) = run(plane, three_classes, config, more=more)
    assert set(done.labels.tolist()) == {1}
    expected = torch.tensor([[0.5, 1, 0], [0.5, 1, -torch.inf]]).softmax(1)[:, 1]
    np.testing.assert_allclose(done.certainty, np.repeat(expected.numpy(), 60), rtol=1e-5)


def test_no_region_is_nearest_to_a_class_that_none_taught(plane, three_classes):
    """No seed is of class 1, which is a tag everywhere: its centre would else lie at 0, in the middle of the others."""
    seeds = np.where(plane.seeds == 1, IGNORE, plane.seeds).astype(np.uint8)
    config = replace(CONFIG, relabel="nearest_center", rounds=1)
    (done,) = run(plane, three_classes, config, seeds=seeds, tags=np.ones_like(plane.tags))
    assert set(done.labels.tolist()) == {0, 2}


def test_a_class_too_rare_to_be_drawn_starts_from_its_own_regions():
    """One region in a hundred pictures is hardly drawn in twenty batches of two; its centre is its feature, not 0."""
    counts = np.full(100, 50)
    features = MeanPooled(np.ones((5000, 2), np.float16), counts)
    features.array[4321] = 3
    labels = np.zeros(5000, np.uint8)
    labels[4321] = 2
    config = replace(CONFIG, pictures_per_batch=2)
    sampler = RegionSampler(features, labels, config, [0, 1])
    drawn = torch.cat([sampler.batch(step)[1] for step in range(20)])
    assert 2 not in drawn
    assert sampler.classes == [0, 2]
    pooled, truth = sampler.of_class(2)
    assert (pooled.tolist(), truth.tolist()) == ([[3.0, 3.0]], [2])
    network = RegionNetwork(2, 8, 3, 0.0).eval()
    centers = rounds._start_centers(network, sampler, choose_compute("cpu", "float32"))
    with torch.no_grad():
        torch.testing.assert_close(centers[2], network.features(torch.tensor([[3.0, 3.0]]))[0])
    assert len(sampler.of_class(0)[1]) == 64


def test_the_second_phase_keeps_what_the_first_one_is_set_to():
    training = replace(CONFIG.training, momentum=0.5, weight_decay=0.01)
    second = replace(CONFIG, training=training).center_training()
    assert (second.momentum, second.weight_decay, second.schedule) == (0.5, 0.01, "constant")


def test_clusters_are_found_from_poor_seeds(plane, three_classes):
    """A fifth of the seeds is wrong and a quarter missing; after the rounds nearly every region is right."""
    known = plane.seeds != IGNORE
    assert (plane.seeds == plane.truth).sum() / known.sum() < 0.9
    done = run(plane, three_classes)
    assert len(done) == 2
    assert (done[-1].labels == plane.truth).mean() > 0.97


def test_both_phases_lower_the_loss(plane, three_classes):
    first = run(plane, three_classes)[0]
    assert (len(first.losses), len(first.center_losses)) == (60, 10)
    assert np.mean(first.losses[-5:]) < 0.7 * first.losses[0]
    assert np.mean(first.center_losses) < 0.7 * first.losses[0]


def test_pasted_regions_teach_what_the_seeds_do_not_know(plane, three_classes):
    """Seeds call all of class 1 class 0, which is a tag everywhere as well: only what was pasted tells them apart."""
    seeds = np.where(plane.truth == 1, 0, plane.truth).astype(np.uint8)
    features = plane.features.array[plane.truth == 1]
    pasted = PastedRegions(features, np.ones(len(features), np.uint8), CollageConfig(batch_size=32, weight=2.0))
    right = [
        (run(plane, three_classes, seeds=seeds, pasted=each)[-1].labels == plane.truth).mean()
        for each in (None, pasted)
    ]
    assert right[0] < 0.75
    assert right[1] > 0.95


def test_pasted_regions_weigh_what_they_are_told_and_have_no_centre(plane, three_classes, monkeypatch):
    """Scores (2, 0) and (0, 1) of two regions of class 0: 0.5 * (log(1 + e^-2) + log(1 + e)) / 2; centres see none."""
    pasted = PastedRegions(plane.features.array[:5], plane.truth[:5], CollageConfig(batch_size=5, weight=0.5))
    batch = [torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])]
    expected = 0.5 * (np.log1p(np.exp(-2)) + np.log1p(np.e)) / 2
    assert rounds._of_pasted(torch.nn.Identity(), pasted, batch).item() == pytest.approx(expected)
    assert rounds._of_pasted(torch.nn.Identity(), None, []) == 0
    taught, seen, train, update = [], [], rounds.train, rounds.CenterLoss.update

    def spied(network, batch, *arguments, **others):
        taught.append(batch(3))
        return train(network, batch, *arguments, **others)

    def counted(center, x, truth):
        seen.append(len(truth))
        update(center, x, truth)

    monkeypatch.setattr(rounds, "train", spied)
    monkeypatch.setattr(rounds.CenterLoss, "update", counted)
    run(plane, three_classes, replace(CONFIG, rounds=1), pasted=pasted)
    assert set(seen) == {32}
    # apart, so that processes which train together get a share of either
    assert [[len(part) for part in batch] for batch in taught] == [[32, 32, 5, 5]] * 2
    assert taught[0][2].tolist() != taught[1][2].tolist()


@pytest.mark.parametrize("relabel", ["classifier", "nearest_center"])
def test_every_region_gets_one_of_its_tags(plane, three_classes, relabel):
    for done in run(plane, three_classes, replace(CONFIG, relabel=relabel)):
        owner = np.repeat(np.arange(6), 20)
        assert plane.tags[owner, done.labels].all()
        assert done.labels.shape == done.certainty.shape == (120,)
        assert (done.certainty >= 1 / 3).all()  # the label is the likeliest of at most three tags
        assert (done.certainty <= 1).all()
        assert (done.labels == plane.truth).mean() > 0.95


def test_chances_by_hand():
    """Class 0 has four regions, class 1 one: with balance 1/2 they are drawn with 1/2 and 1, open ones never."""
    labels = np.array([0, 0, IGNORE, 1, 0, 0], np.uint8)
    features = MeanPooled(np.zeros((6, 2), np.float16), np.array([4, 2]))
    for balance, expected in ((0.0, [1, 1, 0, 1, 1, 1]), (0.5, [0.5, 0.5, 0, 1, 0.5, 0.5])):
        sampler = RegionSampler(features, labels, replace(CONFIG, balance=balance), [0])
        np.testing.assert_allclose(np.concatenate(sampler.chance), expected)
    full = RegionSampler(features, labels, replace(CONFIG, balance=1.0), [0])
    np.testing.assert_allclose(np.concatenate(full.chance), [0.25, 0.25, 0, 1, 0.25, 0.25])


def test_a_batch_has_labelled_regions_only_and_equally_many_of_each_picture(plane):
    owner = np.repeat(np.arange(6), 20)
    seeds = np.where(owner == 2, IGNORE, plane.seeds).astype(np.uint8)  # nothing is known about picture 2
    numbered = MeanPooled(np.arange(120, dtype=np.float16)[:, None], plane.features.counts)
    sampler = RegionSampler(numbered, seeds, CONFIG, [0, 1])
    for step in range(20):
        pooled, truth = sampler.batch(step)
        regions = pooled[:, 0].long().numpy()
        assert np.array_equal(seeds[regions], truth.numpy())
        assert len(regions) == 32
        assert (np.bincount(owner[regions], minlength=6) % 8 == 0).all()  # 32 regions from 4 pictures
        assert 2 not in owner[regions]


def test_the_second_phase_runs_at_a_tenth_of_the_rate():
    phase = CONFIG.center_training()
    assert (phase.steps, phase.batch_size, phase.schedule) == (10, 32, "constant")
    assert phase.learning_rate == pytest.approx(0.005)


def test_classes_without_a_seed_by_hand(plane, three_classes):
    labels = np.array([0, 0, IGNORE], np.uint8)
    assert classes_without_regions(labels, plane.tags, three_classes) == ["car", "sky"]
    untagged = plane.tags & [True, True, False]
    assert classes_without_regions(labels, untagged, three_classes) == ["car"]


def test_the_surest_seeds_are_trained_on_first(plane, three_classes):
    """Sure of the right seeds and unsure of the wrong ones, the first round sees less noise."""
    config = replace(CONFIG, rounds=1)
    certainty = np.where(plane.seeds == plane.truth, 0.9, 0.1).astype(np.float32)
    sure = run(plane, three_classes, replace(config, certain=(0.5,)), certainty=certainty)[0]
    unsure = run(plane, three_classes, replace(config, certain=(0.5,)), certainty=1 - certainty)[0]
    assert (sure.labels == plane.truth).mean() > 0.97
    assert sure.losses[-1] < unsure.losses[-1]


# ----------------------------------------------------------------------------------------------------------- sameness


def same(one, other):
    return all(
        np.array_equal(a.labels, b.labels) and a.losses == b.losses and a.center_losses == b.center_losses
        for a, b in zip(one, other, strict=True)
    )


def test_every_round_learns_from_its_own_share(plane, three_classes, monkeypatch):
    """Shares 0.5 and 0.75 for three rounds: the last one holds for the third as well."""
    shares = []

    def noted(labels, _certainty, share):
        shares.append(share)
        return labels

    monkeypatch.setattr(rounds, "most_certain", noted)
    run(plane, three_classes, replace(CONFIG, rounds=3, certain=(0.5, 0.75)))
    assert shares == [0.5, 0.75, 0.75]


def test_the_centre_loss_is_added_with_its_weight(plane, three_classes, monkeypatch):
    """With a centre loss of 10,000 and a weight of 0.001 the loss of the second phase is 10 above its cross entropy."""
    monkeypatch.setattr(rounds.CenterLoss, "forward", lambda *_: torch.tensor(10_000.0))
    heavy = run(plane, three_classes, replace(CONFIG, rounds=1, center_weight=0.001))[0].center_losses
    plain = run(plane, three_classes, replace(CONFIG, rounds=1, center_weight=0.0))[0].center_losses
    assert heavy == pytest.approx([each + 10 for each in plain], abs=1e-4)


def test_one_seed_gives_one_result_and_leaves_the_random_state(plane, three_classes):
    before = torch.get_rng_state()
    first = run(plane, three_classes)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert same(first, run(plane, three_classes))
    assert not same(first, run(plane, three_classes, seed=1))


def test_the_first_round_does_not_depend_on_how_many_follow(plane, three_classes):
    assert same(run(plane, three_classes)[:1], run(plane, three_classes, replace(CONFIG, rounds=1)))


def test_the_centre_loss_changes_the_second_phase_alone(plane, three_classes):
    with_loss, without = (
        run(plane, three_classes, replace(CONFIG, rounds=1, center_weight=weight))[0] for weight in (0.1, 0.0)
    )
    assert with_loss.losses == without.losses
    assert with_loss.center_losses != without.center_losses
    assert len(with_loss.center_losses) == len(without.center_losses)


class Dying:
    """Features that fail after some readings, as a process that is killed."""

    def __init__(self, features, readings):
        self.features, self.left = features, readings
        self.counts, self.width = features.counts, features.width

    def of(self, picture, region_ids):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.features.of(picture, region_ids)


ROUND_READS = 6 + 4 * 60 + 4 * 20 + 4 * 10 + 6
"""Readings of a round: statistics, first phase, start of the centres, second phase, relabelling."""


@pytest.mark.parametrize(
    ("readings", "started_over"),
    [(6 + 4 * 40, 1), (6 + 4 * 60 + 4 * 20 + 4 * 5, 1), (ROUND_READS + 6 + 4 * 40, 0)],
    ids=["first phase", "second phase", "second round"],
)
def test_resumed_equals_uninterrupted(plane, three_classes, tmp_path, readings, started_over):
    """Killed anywhere, it goes on from the last checkpoint of each round and ends the same."""
    whole = run(plane, three_classes)
    with pytest.raises(KeyboardInterrupt):
        run(plane, three_classes, features=Dying(plane.features, readings), folder=tmp_path)
    assert list(tmp_path.rglob("*.pt"))
    lines = []
    assert same(whole, run(plane, three_classes, folder=tmp_path, report=Report(lines.append)))
    assert sum(line.startswith("step 3/60") for line in lines) == started_over  # rounds without a checkpoint


def test_features_pooled_on_demand_are_as_good_as_kept_ones(plane, three_classes):
    """The same values through ``MaskedRoi``: a picture whose 20 regions are its 20 pixels, one bin each."""
    regions = [np.arange(20, dtype=np.int32)[None, :]] * 6
    maps = plane.features.array.reshape(6, 20, 1, 2).transpose(0, 3, 2, 1)
    on_demand = MaskedRoi(np.ascontiguousarray(maps), regions, plane.features.counts, bins=1)
    torch.testing.assert_close(on_demand.of(3, np.arange(20)), plane.features.of(3, np.arange(20)))
    assert same(run(plane, three_classes), run(plane, three_classes, features=on_demand))


# ---------------------------------------------------------------------------------------------------------- bad input


def test_nothing_labelled_is_refused(plane, three_classes):
    with pytest.raises(DataError, match="no superpixel has a label: there is nothing to cluster"):
        run(plane, three_classes, seeds=np.full(120, IGNORE, np.uint8))


def test_a_picture_without_tags_is_refused(plane, three_classes):
    tags = plane.tags.copy()
    tags[4] = False
    with pytest.raises(DataError, match="1 pictures have no tag, first number 4; leave them out"):
        run(plane, three_classes, tags=tags)


def test_a_class_without_a_single_seed_is_said_and_the_others_go_on(plane, three_classes):
    lines = []
    seeds = np.where(plane.seeds == 2, IGNORE, plane.seeds).astype(np.uint8)
    done = run(plane, three_classes, seeds=seeds, report=Report(lines.append))
    assert lines[0] == "warning: after the seeds no region is labelled sky: nothing can be learnt about that"
    rest = plane.truth != 2
    assert (done[-1].labels[rest] == plane.truth[rest]).mean() > 0.9


def test_a_class_that_vanishes_in_the_last_round_is_said(plane, three_classes, monkeypatch):
    """Every region of the last round gets the first of its tags: the third class is gone."""
    lines, relabelled = [], []

    def first_tag(*arguments):
        labels, certainty = relabel(*arguments)
        relabelled.append(labels)
        return (np.zeros_like(labels) if len(relabelled) == CONFIG.rounds else labels), certainty

    relabel = rounds._relabel
    monkeypatch.setattr(rounds, "_relabel", first_tag)
    run(plane, three_classes, report=Report(lines.append))
    warnings = [line for line in lines if line.startswith("warning")]
    assert warnings == ["warning: after round 2 no region is labelled car, sky: nothing can be learnt about that"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rounds": 0}, "rounds, center_steps and pictures_per_batch must be at least 1"),
        ({"center_steps": 0}, "must be at least 1"),
        ({"pictures_per_batch": 0}, "must be at least 1"),
        ({"center_weight": -0.1}, "center_weight must be >= 0"),
        ({"balance": 1.5}, "balance between 0 and 1"),
        ({"relabel": "vote"}, "classifier or nearest_center, not 'vote'"),
        ({"hidden": 0}, "hidden of at least 1"),
        ({"dropout": 1.0}, "dropout within"),
        ({"center_alpha": 2.0}, "center_alpha up to 1"),
        ({"certain": ()}, "shares above 0 and up to 1"),
        ({"certain": (0.5, 1.2)}, "shares above 0 and up to 1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        replace(CONFIG, **settings)
