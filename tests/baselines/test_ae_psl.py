"""AE-PSL: erasing and mining by hand on 4 x 4 pixels, hard stops, masks and online masks by hand, and the street."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from wsss_lib.baselines import ae_psl as ae_psl_module
from wsss_lib.baselines.ae_psl import (
    AePslConfig,
    Miner,
    ae_psl,
    erase,
    mine,
    mined_labels,
    online_mask,
    prohibitive_loss,
)
from wsss_lib.baselines.skeleton import read_cues
from wsss_lib.classification.classifier import CamClassifier, ClassifiedPictures
from wsss_lib.training.loop import TrainingConfig, make_optimizer
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import IGNORE, LabelSpace, SettingsError

X = IGNORE
NOTHING = np.full((4, 4), X, dtype=np.uint8)
ONE = np.array([True, False, False])


def heat_of(*rows):
    """Heat of class 0 on 4 x 4 pixels; the other two classes have none."""
    heat = np.zeros((3, 4, 4), dtype=np.float32)
    heat[0] = rows
    return heat


HOT = heat_of((9, 8, 1, 1), (7, 6, 1, 1), (5, 4, 1, 1), (1, 1, 1, 1))


def with_background(material):
    """The same street, its sky as the background class, which the classifier does not know."""
    space = material.label_space
    torch.manual_seed(1)
    return replace(
        material,
        label_space=LabelSpace(name="s", classes=space.classes, colors=space.colors, background=0),
        classifier=CamClassifier(material.classifier.backbone, 2).eval(),
        pictures=ClassifiedPictures(
            classes=space.classes[1:], targets=(1, 2), shows=material.tags[:, 1:], image=material.image
        ),
    )


def test_erasing_by_hand():
    """The erased pixels have ImageNet's mean colour, the others their own."""
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    erased = np.eye(4, dtype=bool)
    result = erase(image, erased)
    assert result.dtype == np.uint8
    assert result[erased].tolist() == [[124, 116, 104]] * 4
    assert np.array_equal(result[~erased], image[~erased])


def test_mining_twice_by_hand():
    """A quarter of 16 pixels are 4: first 9, 8, 7, 6. Of those left 5 and 4 are above 0.34 of 5, 1 is not."""
    config = AePslConfig(share=0.25, largest=1.0, coldest=0.34)
    mined, erased = mine(HOT, ONE, NOTHING, NOTHING != X, config)
    assert mined.tolist() == [[0, 0, X, X], [0, 0, X, X], [X] * 4, [X] * 4]
    assert np.array_equal(erased, mined == 0)
    mined, erased = mine(HOT, ONE, mined, erased, config)
    assert mined.tolist() == [[0, 0, X, X], [0, 0, X, X], [0, 0, X, X], [X] * 4]
    assert np.array_equal(erased, mined == 0)


def test_a_class_stops_when_it_has_its_largest_share():
    """5 of 16 pixels at most: 4 in the first part, 1 in the second, none in the third."""
    config = AePslConfig(share=0.25, largest=5 / 16, coldest=0.0)
    mined, erased, areas = NOTHING, NOTHING != X, []
    for _ in range(3):
        mined, erased = mine(HOT, ONE, mined, erased, config)
        areas.append(int((mined == 0).sum()))
    assert areas == [4, 5, 5]


def test_level_heat_is_mined_by_its_share_all_the_same():
    """A softmax that says 1 over most of the picture: a quarter is taken, not everything."""
    mined, _ = mine(np.ones_like(HOT), ONE, NOTHING, NOTHING != X, AePslConfig(share=0.25))
    assert (mined == 0).sum() == 4


def test_two_classes_that_claim_a_pixel_leave_it_unknown_and_erased():
    heat = heat_of((9, 8, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))
    heat[1, 0, 1:3] = 5
    mined, erased = mine(heat, np.array([True, True, False]), NOTHING, NOTHING != X, AePslConfig(share=0.125))
    assert mined[0].tolist() == [0, X, 1, X]
    assert erased[0].tolist() == [True, True, True, False]
    assert not erased[1:].any()


def test_classes_without_heat_or_not_wanted_claim_nothing():
    for heat, wanted in ((np.zeros_like(HOT), np.ones(3, dtype=bool)), (HOT, np.zeros(3, dtype=bool))):
        mined, erased = mine(heat, wanted, NOTHING, NOTHING != X, AePslConfig())
        assert not erased.any()
        assert (mined == X).all()
    everything = np.ones((4, 4), dtype=bool)
    assert np.array_equal(mine(HOT, ONE, NOTHING, everything, AePslConfig())[0], NOTHING)


def test_labels_by_hand():
    """Class 2 is a figure. Salient are columns 0 and 1, mined columns 1 and 2, and column 3 was claimed twice.

    Column 0 is neither: unknown. Column 1 is the object. Column 2 is mined but not salient, column 3 erased: unknown.
    The picture with a fifth column, neither mined nor salient, has ground there: class 0 above, class 1 below.
    """
    mined = np.full((4, 5), X, dtype=np.uint8)
    mined[:, 1:3] = 2
    erased = np.zeros((4, 5), dtype=bool)
    erased[:, 1:4] = True
    salient = np.zeros((4, 5), dtype=np.float32)
    salient[:, :2] = 0.9
    heat = np.zeros((3, 4, 5), dtype=np.float32)
    heat[0, :2], heat[1, 2:] = 1, 1
    figures, tags = np.array([False, False, True]), np.ones(3, dtype=bool)
    label_map = mined_labels(mined, erased, salient, heat, tags, figures, AePslConfig())
    assert label_map.tolist() == [[X, 2, X, X, 0]] * 2 + [[X, 2, X, X, 1]] * 2
    lonely = mined_labels(mined, erased, salient, heat, figures, figures, AePslConfig())
    assert lonely.tolist() == [[X, 2, 2, X, X]] * 4
    nothing = np.full((4, 5), X, dtype=np.uint8)
    flat = mined_labels(nothing, nothing != X, salient, heat, ~figures, figures, AePslConfig())
    assert flat.tolist() == [[0] * 5] * 2 + [[1] * 5] * 2
    assert (mined_labels(nothing, nothing != X, salient, heat, tags & False, figures, AePslConfig()) == X).all()


def test_online_mask_by_hand():
    """q = (0.6, 0.3, 0.1), v = (0.4, 1, 1): 0.24, 0.3, 0.1, so class 1; without its tag class 0; else unknown."""
    logits = torch.tensor([0.6, 0.3, 0.1]).log().view(1, 3, 1, 1).repeat(3, 1, 1, 1)
    tags = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    sure = torch.tensor([[0.4, 1.0, 1.0]]).repeat(3, 1)
    assert online_mask(logits, sure, tags).flatten().tolist() == [1, 0, IGNORE]
    assert online_mask(logits, torch.zeros(3, 3), tags).flatten().tolist() == [0, 0, IGNORE]


def test_both_losses_add_up(material):
    """Logits (2, 0, 0) in every cell, full confidence: the online mask is class 0; seeds are half class 0, half 1."""
    half = np.repeat(np.array([0, 1], dtype=np.uint8), (16, 17))[:, None].repeat(33, 1)
    known = replace(material, seeds=lambda _: half, heat=lambda _: np.ones((3, 1, 1), dtype=np.float32))
    cues = read_cues(known, [0, 1], [False, True], (33, 33))
    logits = torch.tensor([2.0, 0, 0]).view(1, 3, 1, 1).repeat(2, 1, 9, 9)
    cost = -logits[0, :, 0, 0].log_softmax(0)
    share = (half[::4] == 0).mean()
    expected = share * cost[0] + (1 - share) * cost[1] + cost[0]
    assert prohibitive_loss(logits, cues, 4).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_few_steps_lower_the_loss(material):
    network = material.network("largefov_small").train(False)
    known = replace(material, heat=lambda _: np.ones((3, 1, 1), dtype=np.float32))
    cues = read_cues(known, [0, 1], [False, False], (33, 33))
    optimizer = make_optimizer(network, TrainingConfig(steps=9, batch_size=2, learning_rate=0.01), network.head)
    losses = []
    for _ in range(9):
        loss = prohibitive_loss(network(cues.images), cues, 4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_confidence_is_of_the_labels_classes_and_1_for_what_the_classifier_does_not_know(material, run):
    """The classifier's map is its score at every place; equal cells shift that only a little."""
    material = with_background(material)
    miner = Miner(material, np.array([False, True, True]), (33, 33), AePslConfig(), run)
    miner.classifier.linear.weight.data.zero_()
    miner.classifier.linear.bias.data[:] = torch.tensor([0.0, 2.0])
    heat, sure = miner.look(0)
    assert sure == pytest.approx([1, 0.5, functional.sigmoid(torch.tensor(2.0)).item()])
    assert heat.shape[0] == 3
    assert not heat.any()


@pytest.mark.parametrize("frozen", [False, True])
def test_erasing_goes_on_until_the_classifier_is_no_longer_sure(material, run, frozen):
    """Confidence 0 is always reached, confidence 1 never: only the first adds a second part to the first one.

    Positive weights on features that are not negative give every class some heat.
    """
    material.classifier.linear.weight.data.abs_()
    material = replace(material, classifier_config=replace(material.classifier_config, frozen=frozen, crops=1))
    before = {name: value.clone() for name, value in material.classifier.state_dict().items()}
    areas = {}
    for confidence in (0.0, 1.0):
        config = AePslConfig(erasings=2, share=0.1, coldest=0.0, confidence=confidence, classifier_steps=1)
        miner = Miner(material, np.array([False, False, True]), (33, 33), config, run)
        losses = miner.mine_all()
        assert list(losses) == ["classifier 1"]
        areas[confidence] = [float((one == 2).mean()) for one in miner.mined]
        assert all(set(np.unique(one)) <= {2, X} for one in miner.mined)
    first = int(0.1 * 33 * 33) / 33**2
    assert areas[1.0][0] == pytest.approx(first, abs=0.03)
    assert areas[0.0][0] > areas[1.0][0]
    assert areas[0.0][1] == areas[1.0][1] == 0
    assert all(torch.equal(value, material.classifier.state_dict()[name]) for name, value in before.items())


def test_the_classifier_learns_from_erased_pictures_with_the_tags_it_knows(material, run, monkeypatch):
    """An absorbing class has no tag; what was mined is erased from what the classifier is shown."""
    seen = {}

    def instead(_, pictures, config, **others):
        seen.update(pictures=pictures, config=config, **others)
        return [0.0]

    monkeypatch.setattr("wsss_lib.baselines.ae_psl.train_classifier", instead)
    old = replace(material.pictures, targets=(2, IGNORE, 0))
    softmax = replace(material.classifier_config, activation="softmax")
    miner = Miner(
        replace(material, pictures=old, classifier_config=softmax), ONE, (33, 33), AePslConfig(classifier_steps=5), run
    )
    miner.erased[0][:2] = True
    miner.teach(1)
    assert np.array_equal(seen["pictures"].shows[:, 0], material.tags[:, 2])
    assert not seen["pictures"].shows[:, 1].any()
    assert (seen["pictures"].image(0)[:2] == (124, 116, 104)).all()
    assert np.array_equal(seen["pictures"].image(0)[2:], material.image(0)[2:])
    assert (seen["config"].activation, seen["config"].training.steps) == ("sigmoid", 5)


def test_no_two_trainings_of_the_classifier_see_the_same_batches(material, run, monkeypatch):
    """Neither two turns of one repetition, nor turn 1 of one and turn 0 of the next."""
    seeds = []
    monkeypatch.setattr(
        "wsss_lib.baselines.ae_psl.train_classifier", lambda *_, seed, **__: seeds.append(seed) or [0.0]
    )
    for seed, turn in ((0, 0), (0, 1), (1, 0), (1, 1)):
        Miner(material, ONE, (33, 33), AePslConfig(), replace(run, seed=seed)).teach(turn)
    assert len(set(seeds)) == 4


def test_later_parts_are_where_the_taught_classifier_looks_and_the_network_learns_from_all(
    material, settings, run, monkeypatch
):
    """Picture i has the grey value i and heat in row i; taught k times, the classifier finds sky in row 10 k + i.

    A part is one row, so rows i, 10 + i and 20 + i are mined; as all is salient, the rest is unknown. The mean of a map
    is the score: (class + 1) (i + 1) / 4 before any erasing, which is when its confidence is asked.
    """
    taught, phases = [], {}

    def maps(_classifier, image, *_, **__):
        i, turn = int(image[-1, 0, 0]), len(taught)
        found = torch.zeros(3, 33, 33)
        found[:, 10 * turn + i] = 33 / 4 * (i + 1) * torch.tensor([1.0, 2.0, 3.0])[:, None] / (turn + 1)
        return found

    def row(i):
        heat = np.zeros((3, 33, 33), dtype=np.float32)
        heat[0, i] = 1
        return heat

    def on_labels(_network, given, _settings, labels, _run, name):
        phases[name] = (given, labels)
        return [0.0]

    def on_cues(_network, given, _settings, _loss, _run, name):
        phases[name] = (given, [given.seeds(i) for i in range(len(given))])
        return [0.0]

    for name, instead in {
        "class_maps": maps,
        "train_classifier": lambda *_, **__: taught.append(1) or [0.0],
        "saliency": lambda image: np.ones(image.shape[:2], dtype=np.float32),
        "figure_classes": lambda *_: ONE,
        "train_on_labels": on_labels,
        "train_on_cues": on_cues,
    }.items():
        monkeypatch.setattr(ae_psl_module, name, instead)
    material.classifier.linear.bias.data.zero_()
    material = replace(material, image=lambda i: np.full((33, 33, 3), i, dtype=np.uint8), heat=row)
    config = AePslConfig(share=1.01 / 33, confidence=0.0)
    outcome = ae_psl(material, settings, config, run)

    assert len(taught) == 2
    assert list(phases) == ["masks", "online"]
    assert phases["masks"][0] is material
    expected = np.full((4, 33, 33), X, dtype=np.uint8)
    for i in range(4):
        expected[i, [i, 10 + i, 20 + i]] = 0
    for labels in (outcome.labels, phases["masks"][1], phases["online"][1]):
        assert np.array_equal(labels, expected)
    known = phases["online"][0]
    for i in range(4):
        assert np.array_equal(known.image(i), material.image(i))
        assert known.heat(i).shape == (3, 1, 1)
        sure = 1 / (1 + np.exp(-np.array([1, 2, 3]) * (i + 1) / 4))
        assert known.heat(i).ravel() == pytest.approx(sure, abs=1e-5)
    assert np.array_equal(known.tags, material.tags)


@pytest.mark.parametrize("background", [False, True])
def test_the_whole_system_runs(material, settings, run, background):
    if background:
        material = with_background(material)
    said = []
    config = AePslConfig(classifier_steps=2)
    outcome = ae_psl(material, settings, config, replace(run, report=Report(said.append)))
    assert {name: len(values) for name, values in outcome.losses.items()} == {
        "classifier 1": 2, "classifier 2": 2, "masks": 1, "online": 2
    }  # fmt: skip
    assert outcome.labels is not None
    assert [one.shape for one in outcome.labels] == [(33, 33)] * 4
    assert all(material.tags[i][np.setdiff1d(one, [X])].all() for i, one in enumerate(outcome.labels))
    assert any((one != X).any() for one in outcome.labels)
    with torch.no_grad():
        assert outcome.network(torch.zeros(1, 3, 33, 33)).isfinite().all()
    assert any("mined" in line for line in said)


@pytest.mark.parametrize(
    "values",
    [
        {"erasings": 0},
        {"share": 0.0},
        {"largest": 1.5},
        {"online_share": 1.0},
        {"confidence": 2.0},
        {"coldest": -0.1},
        {"low_saliency": -1.0},
        {"classifier_steps": 0},
    ],
)
def test_settings_that_cannot_be(values):
    with pytest.raises(SettingsError):
        AePslConfig(**values)
