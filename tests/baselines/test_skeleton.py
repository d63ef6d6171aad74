"""What every system is given arrives as it is, also mirrored, and both ways of training learn from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsss_lib.baselines.skeleton import (
    predicted_labels,
    read_cues,
    resize_flow,
    tagged_prediction,
    train_on_cues,
    train_on_labels,
)
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import IGNORE, DataError


def test_cues_of_a_mirrored_picture_are_mirrored_together(material):
    straight, turned = (read_cues(material, [0, 1], [side, False], (33, 33)) for side in (False, True))
    for name in ("images", "seeds", "heat"):
        torch.testing.assert_close(getattr(turned, name)[0], getattr(straight, name)[0].flip(-1))
        torch.testing.assert_close(getattr(turned, name)[1], getattr(straight, name)[1])
    assert turned.tags.tolist() == [[True, True, True], [True, True, False]]
    assert np.array_equal(straight.images[0].permute(1, 2, 0).numpy(), material.image(0))
    assert np.array_equal(straight.seeds[0].numpy(), material.seeds(0))


def test_a_picture_of_another_size_is_brought_to_the_size_of_the_network(material):
    """40 x 50 pixels become 25 x 33, beside a picture of 33 x 33: seeds are those under the centres of the new pixels.

    No class is between two others: sky beside nothing known (255) does not make road and car. Colours are bilinear.
    """
    patches = np.random.default_rng(0).choice(np.array([0, 2, IGNORE], np.uint8), (5, 5))
    large = np.kron(patches, np.ones((8, 10), np.uint8))
    ramp = np.tile(5 * np.arange(50, dtype=np.uint8)[:, None], (40, 1, 3))
    mixed = replace(
        material,
        image=lambda i: material.image(i) if i else ramp,
        seeds=lambda i: material.seeds(i) if i else large,
    )
    cues = read_cues(mixed, [0, 1], [False, False], (33, 25))
    assert cues.images.shape == (2, 3, 25, 33)
    assert cues.seeds.shape == (2, 25, 33)
    down, right = (np.arange(25) + 0.5) * 40 / 25, (np.arange(33) + 0.5) * 50 / 33
    assert np.array_equal(cues.seeds[0].numpy(), large[down.astype(int)][:, right.astype(int)])
    assert set(cues.seeds[1].unique().tolist()) <= {0, 1, 2, IGNORE}
    colours = np.clip(5 * (right - 0.5), 0, 245)
    np.testing.assert_allclose(cues.images[0].numpy(), np.broadcast_to(colours, (3, 25, 33)), atol=1)


def test_training_sees_every_picture_from_both_sides_at_the_size_of_the_network(material, settings, run):
    """40 x 50 pixels of colour 10 i + 10, sky on the left only; each is turned by itself, every step anew."""
    seen = []
    network = material.network("largefov_small")

    def forward(cues):
        seen.append(cues)
        return network(cues.images)

    left = np.tile(np.where(np.arange(50) < 25, 0, 1).astype(np.uint8), (40, 1))
    large = replace(material, image=lambda i: np.full((40, 50, 3), 10 * i + 10, np.uint8), seeds=lambda _: left)
    settings = replace(settings, input_size=(33, 25), training=replace(settings.training, steps=16))
    train_on_cues(network, large, settings, lambda logits, _: logits.square().mean(), run, forward=forward)
    assert {cues.images.shape for cues in seen} == {(2, 3, 25, 33)}
    assert {cues.seeds.shape for cues in seen} == {(2, 25, 33)}
    learnt = seen[: settings.training.steps]
    sides = torch.stack([cues.seeds[:, 0, 0] for cues in learnt])
    pictures = torch.stack([cues.images[:, 0, 0, 0] for cues in learnt])
    assert torch.equal(torch.stack([cues.seeds[:, 0, -1] for cues in learnt]), 1 - sides)
    assert 0.3 < sides.float().mean() < 0.7
    assert (sides[:, 0] != sides[:, 1]).any()
    assert (sides != sides[0]).any()
    assert {*zip(pictures.flatten().tolist(), sides.flatten().tolist(), strict=True)} == {
        (colour, side) for colour in (10, 20, 30, 40) for side in (0, 1)
    }


def test_flow_in_the_mirror_lies_and_goes_the_other_way(material):
    """What lies left and goes right lies right and goes left; down stays down. Without sequences there is no flow."""
    flow = np.zeros((33, 33, 2), np.float32)
    flow[10, 2] = (3, 1)
    moving = replace(material, flow=lambda _: flow)
    cues = read_cues(moving, [0, 0], [False, True], (33, 33))
    assert cues.flow[0, :, 10, 2].tolist() == [3, 1]
    assert cues.flow[1, :, 10, 30].tolist() == [-3, 1]
    assert (cues.flow != 0).sum() == 4
    assert read_cues(material, [0], [True], (33, 33)).flow is None


def test_resized_flow_is_in_the_new_pixels():
    """Twice as wide, three times as high: (3, 1) is (6, 3) there."""
    resized = resize_flow(np.tile(np.array([3, 1], np.float32), (4, 5, 1)), (10, 12))
    assert resized.shape == (2, 12, 10)
    np.testing.assert_allclose(resized[0], 6)
    np.testing.assert_allclose(resized[1], 3)


def test_a_network_that_sees_flow_is_trained_with_it(material, settings, run):
    """Pictures 0 to 3 flow by (i, 0) at twice the input size: half that arrives, each with its own picture."""
    seen = []
    network = material.network("largefov_small")

    def forward(cues):
        seen.append(cues)
        return network(cues.images)

    moving = replace(material, flow=lambda i: np.full((66, 66, 2), (i, 0), np.float32))
    train_on_cues(network, moving, settings, lambda logits, _: logits.square().mean(), run, forward=forward)
    assert len(seen) == settings.training.steps + settings.settling_batches
    pictures = [material.image(i) for i in range(4)]
    for cues in seen:
        for image, flow in zip(cues.images, cues.flow, strict=True):
            sides = (image, image.flip(-1))
            [(i, side)] = [
                (i, side)
                for i in range(4)
                for side in (0, 1)
                if np.array_equal(sides[side].permute(1, 2, 0).numpy(), pictures[i])
            ]
            assert torch.equal(flow, torch.tensor([i / 2 * (1 - 2 * side), 0.0])[:, None, None].expand(2, 33, 33))


def test_cues_on_a_grid_are_those_of_the_pixels_its_cells_lie_on(material):
    """33 pixels and 9 cells: cell k lies on pixel 4 k."""
    cues = read_cues(material, [0], [False], (33, 33))
    logits = torch.zeros(1, 3, 9, 9)
    assert torch.equal(cues.seeds_on(logits)[0], cues.seeds[0, ::4, ::4].long())
    torch.testing.assert_close(cues.images_on(logits), cues.images[..., ::4, ::4])
    assert cues.heat_on(logits).shape == (1, 3, 9, 9)


def test_heat_is_read_at_the_pixels_that_cells_of_the_logits_lie_on(material):
    """Heat that tells its own place: cells 0 and 8 of 9 lie on pixels 0 and 32, half a pixel inside the picture."""
    ramp = (np.arange(33, dtype=np.float32) + 0.5) / 33
    sloped = replace(material, heat=lambda _: np.stack([np.tile(ramp, (33, 1)), np.tile(ramp[:, None], (1, 33))]))
    heat = read_cues(sloped, [0], [False], (33, 33)).heat_on(torch.zeros(1, 3, 9, 9))
    places = (torch.arange(0, 33, 4) + 0.5) / 33
    torch.testing.assert_close(heat[0, 0], places.expand(9, 9))
    torch.testing.assert_close(heat[0, 1], places[:, None].expand(9, 9))


def test_batch_normalisation_settles_on_what_the_network_learns_from(material, settings, run):
    """A network that is fed something else than the pictures is fed that while settling, too."""
    network, seen = material.network("largefov_small"), []

    def forward(cues):
        seen.append(network.training)
        return network(cues.images)

    def loss(logits, cues):
        return torch.nn.functional.cross_entropy(logits, cues.seeds_on(logits), ignore_index=IGNORE)

    train_on_cues(network, material, replace(settings, settling_batches=4), loss, run, forward=forward)
    assert seen == [True] * (settings.training.steps + 4)


def test_both_ways_of_training_learn(material, settings, run):
    def seed_loss(logits, cues):
        return torch.nn.functional.cross_entropy(logits, cues.seeds_on(logits), ignore_index=IGNORE)

    settings = replace(settings, training=TrainingConfig(steps=12, batch_size=2, learning_rate=0.02))
    for losses in (
        train_on_cues(material.network("largefov_small"), material, settings, seed_loss, run),
        train_on_labels(
            material.network("largefov_small"), material, settings, [material.seeds(i) for i in range(4)], run
        ),
    ):
        assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_without_a_picture_nothing_is_learnt(material, settings, run):
    """STC's first network learns from pictures with few tags, of which there may be none."""
    nothing = replace(material, tags=material.tags[:0])
    with pytest.raises(DataError, match="there is no picture to train 'initial' on"):
        train_on_cues(material.network("largefov_small"), nothing, settings, lambda *_: torch.zeros(()), run, "initial")


def test_a_tag_that_no_label_map_has_is_warned_of(material, settings, run):
    said = []
    without_car = [np.where(material.seeds(i) == 2, IGNORE, material.seeds(i)).astype(np.uint8) for i in range(4)]
    for labels, lost in ((without_car, "car"), ([np.full((33, 33), 1, np.uint8)] * 4, "sky, car")):
        network = material.network("largefov_small")
        train_on_labels(network, material, settings, labels, replace(run, report=Report(said.append)))
        assert said[0] == f"warning: no pixel is labelled {lost}: nothing can be learnt about that"
        said.clear()
    labels = [material.seeds(i) for i in range(4)]
    train_on_labels(
        material.network("largefov_small"), material, settings, labels, replace(run, report=Report(said.append))
    )
    assert not any("warning" in line for line in said)


def test_a_prediction_of_a_training_picture_is_a_distribution_over_its_tags(material, settings, run):
    probability = tagged_prediction(material.network("largefov_small"), material, 1, settings.input_size, run)
    assert probability.shape == (3, 33, 33)
    torch.testing.assert_close(probability.sum(0), torch.ones(33, 33))
    assert not probability[2].any()


def test_predicted_labels_are_tags_only(material, settings, run):
    """Picture 1 has no car; without any tag nothing is known."""
    network = material.network("largefov_small")
    network.fc8.bias.data[2] = 9.0
    tags = material.tags.copy()
    tags[3] = False
    found = predicted_labels(network, replace(material, tags=tags), settings, run)
    assert (found[0] == 2).all()
    assert set(np.unique(found[1])) <= {0, 1}
    assert (found[3] == IGNORE).all()
