"""The GPU gives what the processor gives, within rounding; two runs on the processor are equal bit for bit elsewhere.

Both compute in float32, but a GPU's convolutions round products to 10 binary places (TF32), so values may differ by a
hundredth of the largest one, and a loss by a hundredth of itself.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from wsss_lib.experiments.segmentation import Segmentation
from wsss_lib.localization.patches import class_maps
from wsss_lib.segmentation.networks import predict_logits
from wsss_lib.segmentation.predict import load_segmenter
from wsss_lib.segmentation.training import train_segmentation
from wsss_lib.training.compute import Compute, choose_compute

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU, to compare the processor with")

TOLERANCE = 0.01


@pytest.fixture
def both() -> tuple[Compute, Compute]:
    return choose_compute("cpu", "float32"), choose_compute("cuda", "float32")


def assert_near(one: np.ndarray, other: np.ndarray) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=TOLERANCE * np.abs(one).max())


def test_bytes_of_pictures_arrive_as_the_same_numbers(both):
    pictures = torch.randint(256, (2, 5, 7, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    placed, sent = (each.tensor(pictures) for each in both)
    assert sent.device.type == "cuda"
    assert sent.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(sent.cpu(), placed)


def test_class_maps(finished, both):
    stages = finished.main
    image, classifier = stages.scenes("train").image(0), stages.classifier()
    maps = [
        class_maps(each.place(classifier), image, stages.role.patches, compute=each).float().numpy() for each in both
    ]
    assert_near(*maps)


def test_logits_of_a_trained_network(finished, both):
    stages = finished.main
    folder, image = Segmentation(stages=stages).artefact().folder, stages.scenes("val").image(0)
    pixels = torch.from_numpy(cv2.resize(image, stages.role.segmentation.input_size)).permute(2, 0, 1)[None].float()
    logits = [
        predict_logits(load_segmenter(folder, each).network, each.tensor(pixels), image.shape[:2]).cpu().numpy()
        for each in both
    ]
    assert_near(*logits)


def test_losses_of_a_training(finished, both):
    """Without dropout, whose draws differ between the devices."""
    stages = finished.main
    run, scenes = Segmentation(stages=stages), stages.scenes("train")
    maps = stages.label_maps(stages.rounds()[-1])
    losses = []
    for each in both:
        network = load_segmenter(run.artefact().folder, each).network
        for part in network.modules():
            if isinstance(part, torch.nn.Dropout | torch.nn.Dropout2d):
                part.p = 0.0
        losses.append(
            train_segmentation(network, scenes.image, maps.__getitem__, len(scenes), run.config, compute=each, seed=0)
        )
    np.testing.assert_allclose(losses[0], losses[1], rtol=TOLERANCE)


def test_regions_are_pooled_where_the_network_is(finished, both):
    kept = finished.main.features("paper_rules")
    some = np.array([3, 0, 3])
    pooled = [replace(kept, device=each.device).of(1, some) for each in both]
    assert [each.device.type for each in pooled] == ["cpu", "cuda"]
    assert_near(pooled[0].numpy(), pooled[1].cpu().numpy())
