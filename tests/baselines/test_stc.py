"""STC: which pictures are simple, soft targets and their loss by hand, and the three networks on the street."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from wsss_lib.baselines import stc as stc_module
from wsss_lib.baselines.skeleton import read_cues
from wsss_lib.baselines.stc import (
    StcConfig,
    on_grid,
    only,
    simple_pictures,
    soft_cross_entropy,
    soft_targets,
    stc,
)
from wsss_lib.segmentation.networks import build_network
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.training.report import Report
from wsss_lib.vocabulary import LabelSpace, SettingsError

FRONT = np.array([False, False, True])


def with_background(material):
    """The same street, its sky as the background class."""
    space = material.label_space
    return replace(material, label_space=LabelSpace(name="s", classes=space.classes, colors=space.colors, background=0))


def test_simple_pictures_by_hand():
    """Background and 3 classes; pictures with 1, 2, 0 and 3 objects. Class 3 is only in the last one, so it is lent."""
    tags = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=bool)
    assert simple_pictures(tags[:3], 0, StcConfig(least=1)) == [0, 1]
    assert simple_pictures(tags, 0, StcConfig(least=1)) == [0, 1, 3]
    assert simple_pictures(tags[:3], 0, StcConfig(simple_tags=2, least=1)) == [0, 1]
    assert simple_pictures(tags[:, 1:], None, StcConfig(least=1)) == [0, 1, 3]


def test_the_published_soft_target_is_saliency_and_its_rest():
    """One figure and a background: s for the figure and 1 - s for the background, in every cell."""
    salient = np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3)
    heat = np.random.default_rng(0).random((3, 2, 2), dtype=np.float32)
    target = soft_targets(heat, salient, np.array([True, False, True]), FRONT, (3, 3))
    np.testing.assert_allclose(target[2], salient, atol=1e-6)
    np.testing.assert_allclose(target[0], 1 - salient, atol=1e-6)
    assert not target[1].any()


def test_grounds_share_by_heat_and_without_ground_the_rest_is_unknown():
    """Saliency 0.4 everywhere; heat 3 to 1 for the two grounds: 0.45 and 0.15. The figure alone has 0.4 in all."""
    salient = np.full((5, 5), 0.4, dtype=np.float32)
    heat = np.array([3, 1, 2], dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), dtype=np.float32)
    target = soft_targets(heat, salient, np.array([True, True, True]), FRONT, (3, 3))
    np.testing.assert_allclose(target[:, 1, 1], [0.45, 0.15, 0.4], atol=1e-6)
    lonely = soft_targets(heat, salient, FRONT, FRONT, (3, 3))
    np.testing.assert_allclose(lonely[:, 1, 1], [0, 0, 0.4], atol=1e-6)
    flat = soft_targets(heat, salient, ~FRONT, FRONT, (3, 3))
    np.testing.assert_allclose(flat[:, 1, 1], [0.75, 0.25, 0], atol=1e-6)


def test_cells_lie_on_the_pixels_and_between_heat_cells():
    """A ramp 0..8 read at 3 cells is 0, 4, 8; two heat cells 0 and 1 have their centres a quarter inside."""
    ramp = np.tile(np.arange(9, dtype=np.float32), (9, 1))
    np.testing.assert_allclose(on_grid(ramp, (3, 3))[1], [2 / 3, 4, 8 - 2 / 3], atol=1e-5)  # corners are averaged
    heat = np.array([[0, 1]], dtype=np.float32)
    np.testing.assert_allclose(on_grid(heat, (1, 5), centers=True)[0], [0, 0, 0.5, 1, 1], atol=1e-2)
    assert on_grid(heat, (4, 5), centers=True).shape == (4, 5)


def test_soft_cross_entropy_by_hand():
    """Probabilities (0.8, 0.2) in both cells; targets (1, 0) and (0.25, 0.25): - (log .8 + .25 log .16) / 1.5."""
    logits = torch.tensor([0.8, 0.2]).log().view(1, 2, 1, 1).expand(1, 2, 1, 2)
    target = torch.tensor([[[[1.0, 0.25]], [[0.0, 0.25]]]])
    expected = -(np.log(0.8) + 0.25 * np.log(0.16)) / 1.5
    assert soft_cross_entropy(logits, target).item() == pytest.approx(expected)
    assert soft_cross_entropy(logits, torch.zeros_like(target)).item() == 0


def test_hard_targets_give_plain_cross_entropy_and_batches_are_means():
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    hard = torch.nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(
        soft_cross_entropy(logits, hard), torch.nn.functional.cross_entropy(logits, labels), rtol=1e-5, atol=1e-6
    )
    one_by_one = [soft_cross_entropy(logits[k : k + 1], hard[k : k + 1]) for k in range(2)]
    torch.testing.assert_close(soft_cross_entropy(logits, hard), torch.stack(one_by_one).mean())


def test_targets_are_batched_and_mirrored_with_their_pictures(material):
    chosen = only(material, [2, 0], lambda i: np.full((3, 9, 9), i, dtype=np.float32))
    cues = read_cues(chosen, [0, 1], [False, False], (33, 33))
    assert cues.heat[:, 0, 0, 0].tolist() == [2, 0]
    assert np.array_equal(cues.images[0].permute(1, 2, 0).numpy(), material.image(2))
    assert np.array_equal(cues.seeds[1].numpy(), material.seeds(0))
    assert len(chosen) == 2


@pytest.mark.parametrize("background", [False, True])
def test_the_three_networks_learn_one_after_the_other(material, settings, run, background):
    if background:
        material = with_background(material)
    settings = replace(settings, training=TrainingConfig(steps=24, batch_size=2, learning_rate=0.02))
    said = []
    outcome = stc(
        material, settings, StcConfig(least=1, shares=(0.5, 0.25, 0.25)), replace(run, report=Report(said.append))
    )
    assert {name: len(values) for name, values in outcome.losses.items()} == {
        "initial": 12, "enhanced": 6, "powerful": 6
    }  # fmt: skip
    first = outcome.losses["initial"]
    assert np.mean(first[-3:]) < 0.9 * np.mean(first[:3])
    assert outcome.labels is not None
    assert [one.shape for one in outcome.labels] == [(33, 33)] * 4
    assert all(material.tags[i][np.unique(one)].all() for i, one in enumerate(outcome.labels))
    with torch.no_grad():
        assert outcome.network(torch.zeros(1, 3, 33, 33)).isfinite().all()
    assert any("pictures are simple" in line for line in said)


def test_two_networks_learn_simple_pictures_with_their_own_tags_and_the_third_all(material, settings, run, monkeypatch):
    """Pictures 1 and 3 are simple, and 0 is lent by the car. Picture i is grey i, its saliency i / 4.

    Masks say which picture they are of and, in tens, how many trainings there were before.
    """
    given, road = {}, np.array([False, True, False])

    def trained(_network, pictures, _settings, what, _run, name):
        given[name] = (pictures, what)
        return [0.0]

    def told(_network, pictures, _settings, _run):
        return [pictures.image(i)[..., 0] + 10 * len(given) for i in range(len(pictures))]

    monkeypatch.setattr(stc_module, "train_on_cues", trained)
    monkeypatch.setattr(stc_module, "train_on_labels", trained)
    monkeypatch.setattr(stc_module, "predicted_labels", told)
    monkeypatch.setattr(stc_module, "saliency", lambda image: (image[..., 0] / 4).astype(np.float32))
    monkeypatch.setattr(stc_module, "figure_classes", lambda *_: road)
    material = replace(material, image=lambda i: np.full((33, 33, 3), i, dtype=np.uint8))
    outcome = stc(material, settings, StcConfig(least=1), run)

    assert list(given) == ["initial", "enhanced", "powerful"]
    for name, chosen in (("initial", [0, 1, 3]), ("enhanced", [0, 1, 3]), ("powerful", [0, 1, 2, 3])):
        pictures, _ = given[name]
        assert [pictures.image(k)[0, 0, 0] for k in range(len(pictures))] == chosen
        assert np.array_equal(pictures.tags, material.tags[chosen])
    initial = given["initial"][0]
    for k, i in enumerate((0, 1, 3)):
        salient = np.full((33, 33), i / 4, dtype=np.float32)
        target = soft_targets(material.heat(i), salient, material.tags[i], road, (9, 9))
        assert initial.heat(k) == pytest.approx(target, abs=1e-6)
    assert [np.unique(one).tolist() for one in given["enhanced"][1]] == [[10], [11], [13]]
    assert [np.unique(one).tolist() for one in given["powerful"][1]] == [[20], [21], [22], [23]]
    assert outcome.labels is given["powerful"][1]


def test_one_seed_one_result_and_a_killed_run_goes_on(material, settings, run, tmp_path):
    """The second run in the folder finds the checkpoints of the first, as if it had been killed in the last step."""

    def start(name):
        torch.manual_seed(5)
        return build_network(name, 3)

    material = replace(material, network=start)
    training = TrainingConfig(steps=8, batch_size=1, learning_rate=0.01, checkpoint_every=1)
    settings = replace(settings, training=training)
    plain, *resumed = (
        stc(material, settings, StcConfig(), replace(run, folder=folder)) for folder in (None, tmp_path, tmp_path)
    )
    assert {path.stem for path in tmp_path.iterdir()} == {"initial", "enhanced", "powerful"}
    for other in resumed:
        assert other.losses == plain.losses
        assert all(
            torch.equal(value, plain.network.state_dict()[name]) for name, value in other.network.state_dict().items()
        )


@pytest.mark.parametrize(
    "values", [{"simple_tags": 0}, {"least": 0}, {"shares": (0.5, 0.0, 0.5)}, {"shares": (1.0, 1.0, 1.0)}]
)
def test_settings_that_cannot_be(values):
    with pytest.raises(SettingsError):
        StcConfig(**values)
