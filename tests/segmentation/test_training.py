"""Training a segmentation network: loss by hand, unknown pixels left out, views in step, resumed as uninterrupted."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as functional

from wsss_lib.data.pictures import resize_label_map
from wsss_lib.segmentation.networks import build_network
from wsss_lib.segmentation.training import (
    SegmentationConfig,
    augment,
    picture_at,
    pixel_cross_entropy,
    train_segmentation,
)
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

CPU = choose_compute("cpu", "float32")
CONFIG = SegmentationConfig(
    network="largefov_small",
    input_size=(33, 33),
    crop_size=(33, 33),
    label_stride=4,
    training=TrainingConfig(steps=9, batch_size=2, learning_rate=0.02, checkpoint_every=4),
)


def image(index):
    """The left part of the picture is red, the rest blue; where the border is depends on the picture."""
    red = np.arange(36) < 10 + 5 * index
    picture = np.where(red[None, :, None], (200, 20, 20), (20, 20, 200)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(picture, (30, 36, 3)))


def label_map(index):
    """Class 2 for red, class 0 for blue, and a row of unknown pixels."""
    labels = np.where(image(index)[..., 0] > 100, 2, 0).astype(np.uint8)
    labels[4] = IGNORE
    return labels


def new_network(seed=0):
    torch.manual_seed(seed)
    return build_network("largefov_small", 3)


def trained(network, config=CONFIG, *, images=image, labels=label_map, seed=0, **arguments):
    return train_segmentation(network, images, labels, 4, config, compute=CPU, seed=seed, **arguments)


# ----------------------------------------------------------------------------------------------------------- the loss


def test_the_loss_by_hand():
    """Probabilities 1/2, 1/4 of the true classes of two known pixels, a third is unknown: (log 2 + log 4) / 2."""
    logits = torch.tensor([[0.5, 0.25, 0.1], [0.5, 0.75, 0.9]]).log().view(1, 2, 1, 3)
    truth = torch.tensor([[[1, 0, IGNORE]]])
    assert pixel_cross_entropy(logits, truth, 1).item() == pytest.approx(1.5 * np.log(2), rel=1e-5)


def test_symmetric_cross_entropy_by_hand():
    """The same pixels: a quarter of (log 2 + log 4) / 2 and three quarters of 4 times (1/2 + 3/4) / 2."""
    logits = torch.tensor([[0.5, 0.25, 0.1], [0.5, 0.75, 0.9]]).log().view(1, 2, 1, 3)
    truth = torch.tensor([[[1, 0, IGNORE]]])
    expected = 0.25 * 1.5 * np.log(2) + 0.75 * 4 * 0.625
    assert pixel_cross_entropy(logits, truth, 1, reverse=0.75).item() == pytest.approx(expected, rel=1e-5)


def test_a_sure_network_gives_in_to_a_wrong_label_less():
    """Cross entropy pulls with 1 - p_y of nearly 1; of the reverse term, times 4 p_y, nearly nothing is left."""

    def pull(reverse):
        logits = torch.tensor([6.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
        pixel_cross_entropy(logits, torch.ones(1, 1, 1, dtype=torch.long), 1, reverse).backward()
        assert logits.grad is not None
        return logits.grad[0, 0].item()

    wrong = 1 / (1 + np.exp(6))
    assert pull(0.0) == pytest.approx(1 - wrong, rel=1e-4)
    assert pull(0.5) == pytest.approx((0.5 + 0.5 * 4 * wrong) * (1 - wrong), rel=1e-4)


@pytest.mark.parametrize("weight", [-0.1, 1.5, float("nan")])
def test_a_weight_outside_0_to_1_is_refused(weight):
    with pytest.raises(SettingsError, match=r"reverse must be a weight within 0\.\.1"):
        replace(CONFIG, reverse=weight)


@pytest.mark.parametrize("reverse", [0.0, 0.5])
def test_unknown_pixels_have_no_gradient(reverse):
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    pixel_cross_entropy(logits, torch.tensor([[[0, IGNORE], [IGNORE, 2]]]), 1, reverse).backward()
    assert logits.grad is not None
    assert logits.grad[0, :, 0, 1].abs().max() == 0
    assert logits.grad[0, :, 0, 0].abs().min() > 0


@pytest.mark.parametrize("reverse", [0.0, 0.5])
def test_nothing_known_is_zero_and_harmless(reverse):
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = pixel_cross_entropy(logits, torch.full((1, 2, 2), IGNORE), 1, reverse)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert logits.grad.abs().max() == 0


def test_labels_are_taken_every_stride_pixels_from_the_corner():
    """Labels differ between the sampled pixels only: what lies between does not count."""
    logits = torch.randn(1, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    truth = torch.full((1, 9, 9), 3)
    truth[:, ::4, ::4] = torch.arange(9).view(3, 3) % 3
    expected = functional.cross_entropy(logits, truth[:, ::4, ::4])
    torch.testing.assert_close(pixel_cross_entropy(logits, truth, 4), expected)


def test_finer_labels_are_met_by_interpolated_logits():
    logits = torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(2))
    truth = torch.randint(0, 3, (2, 9, 9), generator=torch.Generator().manual_seed(3))
    fine = functional.interpolate(logits, (9, 9), mode="bilinear", align_corners=True)
    torch.testing.assert_close(pixel_cross_entropy(logits, truth, 1), functional.cross_entropy(fine, truth))


# ---------------------------------------------------------------------------------------------------------- the views


@pytest.mark.parametrize("count", [1, 4, 7])
def test_every_picture_comes_once_per_pass(count):
    passes = [[picture_at(turn * count + i, count, seed=5) for i in range(count)] for turn in range(4)]
    assert all(sorted(order) == list(range(count)) for order in passes)
    if count > 1:
        assert len({tuple(order) for order in passes}) > 1


@pytest.mark.parametrize("scale_range", [(1.0, 1.0), (0.5, 0.7), (0.6, 2.0)])
@pytest.mark.parametrize("crop", [(33, 33), (49, 25)])
def test_picture_and_labels_stay_together(scale_range, crop):
    """Wherever a label is known the picture has its colour; what was added around the picture is unknown."""
    config = replace(CONFIG, crop_size=crop, scale_range=scale_range)
    mirrored = 0
    for seed in range(20):
        view, labels = augment(image(1), label_map(1), config, np.random.default_rng(seed))
        assert view.shape == (crop[1], crop[0], 3)
        assert labels.shape == (crop[1], crop[0])
        certain = np.abs(view[..., 0].astype(int) - view[..., 2]) > 150  # not between red and blue
        assert set(np.unique(labels)) <= {0, 2, IGNORE}
        known = certain & (labels != IGNORE)
        assert np.array_equal(view[known][:, 0] > 100, labels[known] == 2)
        assert (labels[~certain & (view == (124, 116, 104)).all(2)] == IGNORE).all()
        mirrored += bool(labels[-1, -1] == 2 or labels[0, -1] == 2)
    if max(scale_range) <= 1 and crop == (33, 33) and min(scale_range) == 1:
        assert 3 < mirrored < 17


def resized_and_cut(image, label_map, config, rng):
    """What ``augment`` gives, in plain words: resize all of it, add what is missing, cut, mirror."""
    factor = np.exp(rng.uniform(*np.log(config.scale_range)))
    width, height = (max(2, round(side * factor)) for side in config.input_size)
    columns, rows = config.crop_size
    image, label_map = cv2.resize(image, (width, height)), resize_label_map(label_map, (width, height))
    below, right = max(0, rows - height), max(0, columns - width)
    full = np.full((height + below, width + right, 3), (124, 116, 104), np.uint8)
    known = np.full((height + below, width + right), IGNORE, np.uint8)
    full[:height, :width], known[:height, :width] = image, label_map
    top, left = rng.integers(len(full) - rows + 1), rng.integers(full.shape[1] - columns + 1)
    full, known = full[top : top + rows, left : left + columns], known[top : top + rows, left : left + columns]
    return (full[:, ::-1], known[:, ::-1]) if rng.random() < 0.5 else (full, known)


@pytest.mark.parametrize("scale_range", [(1.0, 1.0), (0.4, 0.9), (0.75, 2.0)])
@pytest.mark.parametrize(("size", "crop"), [((65, 49), (33, 33)), ((64, 48), (33, 21)), ((41, 57), (65, 33))])
def test_the_crop_is_that_of_the_whole_resized_picture(size, crop, scale_range):
    """Labels exactly, the picture but for rounding, and exactly where nothing is scaled."""
    config = replace(CONFIG, input_size=size, crop_size=crop, scale_range=scale_range)
    noise = np.random.default_rng(0)
    picture = cv2.GaussianBlur(noise.integers(0, 256, (48, 64, 3), dtype=np.uint8), (0, 0), 1)
    truth = noise.integers(0, 3, (48, 64), dtype=np.uint8)
    for seed in range(20):
        view, labels = augment(picture, truth, config, np.random.default_rng(seed))
        expected, known = resized_and_cut(picture, truth, config, np.random.default_rng(seed))
        assert np.array_equal(labels, known)
        same_size = size == (64, 48) and scale_range == (1.0, 1.0)
        assert np.abs(view.astype(int) - expected).max() <= (0 if same_size else 2)


@pytest.mark.parametrize("size", [(1024, 512), (1025, 513)])
def test_only_the_crop_is_computed(size):
    """A crop of 33 x 33 pixels of a picture with 1.5 MB takes less memory than a tenth of that."""
    config, picture = replace(CONFIG, input_size=size), np.zeros((512, 1024, 3), np.uint8)
    truth = np.zeros((512, 1024), np.uint8)
    tracemalloc.start()
    try:
        augment(picture, truth, config, np.random.default_rng(0))
        assert tracemalloc.get_traced_memory()[1] < 150_000
    finally:
        tracemalloc.stop()


def test_scaling_keeps_within_its_range():
    """Of a picture smaller than the crop, the known share of the crop tells the scale."""
    config = replace(CONFIG, crop_size=(66, 66), scale_range=(0.5, 2.0))
    full = np.zeros((30, 36), np.uint8)
    shares = [np.mean(augment(image(0), full, config, np.random.default_rng(s))[1] == 0) for s in range(40)]
    sides = 2 * np.sqrt(shares)
    assert 0.48 < min(sides) < 0.7
    assert 1.4 < max(sides) <= 2


# ----------------------------------------------------------------------------------------------------------- training


def test_training_lowers_the_loss_and_finds_both_classes():
    network = new_network()
    losses = trained(network, replace(CONFIG, training=replace(CONFIG.training, steps=40)))
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
    assert not network.training
    pixels = torch.from_numpy(image(1)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        predicted = network(functional.interpolate(pixels, (33, 33))).argmax(1)[0]
    assert predicted[:, 0].unique().tolist() == [2]
    assert predicted[:, -1].unique().tolist() == [0]


def test_pictures_without_any_known_pixel_do_no_harm():
    nothing = np.full((30, 36), IGNORE, np.uint8)
    losses = trained(new_network(), labels=lambda index: nothing if index else label_map(0))
    assert np.isfinite(losses).all()


def test_one_seed_gives_one_result():
    first = trained(new_network(), seed=1)
    assert first == trained(new_network(), seed=1)
    assert first != trained(new_network(), seed=2)


def test_resumed_equals_uninterrupted(tmp_path):
    whole, path, left = new_network(), tmp_path / "training.pt", 2 * 6
    expected = trained(whole)

    def dies(index):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return image(index)

    with pytest.raises(KeyboardInterrupt):
        trained(new_network(), images=dies, checkpoint=path)
    assert path.is_file()
    resumed = new_network(seed=8)  # other start values: everything must come from the checkpoint
    assert trained(resumed, checkpoint=path) == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_statistics_of_batch_norm_are_of_the_final_weights():
    """One step at a huge rate: running means would still remember the weights before it, and a spoilt one for good."""
    network = new_network()
    norm = next(layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    assert norm.running_var is not None
    norm.running_var.fill_(torch.inf)
    trained(network)
    assert norm.running_var.isfinite().all()
    assert norm.num_batches_tracked == CONFIG.settling_batches


# ---------------------------------------------------------------------------------------------------------- bad input


def test_no_picture_is_refused():
    with pytest.raises(DataError, match="no picture to train a segmentation network on"):
        train_segmentation(new_network(), image, label_map, 0, CONFIG, compute=CPU, seed=0)


def test_other_steps_change_nothing_else():
    shorter = CONFIG.with_steps(0.25 * CONFIG.training.steps)
    assert shorter.training.steps == 2  # a quarter of nine, rounded
    assert replace(shorter, training=CONFIG.training) == CONFIG
    assert replace(shorter.training, steps=9) == CONFIG.training
    assert CONFIG.with_steps(0.01).training.steps == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input_size": (16, 33)}, "at least 17"),
        ({"crop_size": (33, 8)}, "at least 17"),
        ({"label_stride": 0}, "label_stride and settling_batches of at least 1"),
        ({"settling_batches": 0}, "label_stride and settling_batches of at least 1"),
        ({"scale_range": (1.5, 1.0)}, "two positive numbers in order"),
        ({"scale_range": (0.0, 1.0)}, "two positive numbers in order"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        replace(CONFIG, **settings)
