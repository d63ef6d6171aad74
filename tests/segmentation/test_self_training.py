"""Self-training: which pixels are kept, by hand; views that undo what they do; and tags that nothing gets past."""

import numpy as np
import pytest
import torch
from torch import nn

from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.segmentation.predict import Segmenter
from wsss_lib.segmentation.self_training import SelfTrainingConfig, own_labels, surest, tagged_probability
from wsss_lib.training.compute import choose_compute
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

CPU = choose_compute("cpu", "float32")
CLASSES = len(CAMVID)
ONE_VIEW = SelfTrainingConfig(kept=1.0, scales=(1.0,), mirror=False)


class Brightness(nn.Module):
    """Looks at one pixel at a time: red speaks for class 0, green for class 1, blue for class 2."""

    def forward(self, images):
        self.seen = [*getattr(self, "seen", []), tuple(images.shape[-2:])]
        rest = torch.full((len(images), CLASSES - 3, *images.shape[-2:]), -9.0)
        return torch.cat([images / 25, rest], dim=1)


def segmenter(size=(17, 17)):
    return Segmenter(network=Brightness(), network_name="", label_space=CAMVID, input_size=size, compute=CPU)


def tags(*present):
    return np.isin(np.arange(CLASSES), present)


def maps(*rows):
    return [np.array([row], dtype=np.uint8) for row in rows]


# ------------------------------------------------------------------------------------------------ which pixels are kept


def test_the_surest_half_of_every_class_is_kept_over_all_pictures():
    """Class 0 has certainties 10, 200 | 30, 40 in two pictures, class 1 has 5 and 6: each keeps its upper half."""
    labels, certainty = maps([0, 0, 1], [0, 0, 1]), maps([10, 200, 5], [30, 40, 6])
    first, second = surest(labels, certainty, 0.5)
    assert first.tolist() == [[IGNORE, 0, IGNORE]]
    assert second.tolist() == [[IGNORE, 0, 1]]


def test_pixels_as_sure_as_the_last_one_kept_are_kept_too():
    (only,) = surest(maps([0, 0, 0, 0]), maps([7, 7, 7, 9]), 0.5)
    assert only.tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 1.0])
def test_no_class_is_lost_and_the_share_is_met(share):
    rng = np.random.default_rng(0)
    labels = [rng.integers(0, 5, (20, 30), dtype=np.uint8) for _ in range(4)]
    certainty = [rng.integers(0, 256, (20, 30), dtype=np.uint8) for _ in range(4)]
    kept = np.stack(surest(labels, certainty, share))
    for c in range(5):
        number = np.sum(np.stack(labels) == c)
        wanted = max(1, np.ceil(share * number))
        assert wanted <= np.sum(kept == c) <= wanted + number / 50  # ties: about 480 pixels share 256 levels


def test_unknown_pixels_stay_unknown():
    (only,) = surest(maps([IGNORE, 0, IGNORE]), maps([255, 3, 1]), 1.0)
    assert only.tolist() == [[IGNORE, 0, IGNORE]]


# ---------------------------------------------------------------------------------------------------------------- views


def half_red_half_green():
    image = np.zeros((16, 24, 3), dtype=np.uint8)
    image[:, :12, 0] = 250
    image[:, 12:, 1] = 250
    return image


def test_mirrored_views_are_turned_back():
    """The mean with the mirrored view is as lopsided as the picture; unturned it would be even."""
    config = SelfTrainingConfig(scales=(1.0,), mirror=True)
    probability = tagged_probability(segmenter(), half_red_half_green(), tags(0, 1), config)
    assert probability.shape == (CLASSES, 16, 24)
    assert probability[0, :, :8].min() > 0.99
    assert probability[1, :, 16:].min() > 0.99


def test_every_scale_is_seen_and_all_views_count_alike():
    network = segmenter(size=(33, 17))
    config = SelfTrainingConfig(scales=(0.5, 1.0, 2.0), mirror=True)
    probability = tagged_probability(network, half_red_half_green(), tags(0, 1), config)
    assert network.network.seen == [(17, 17)] * 2 + [(17, 33)] * 2 + [(33, 65)] * 2
    torch.testing.assert_close(probability.sum(0), torch.ones(16, 24))


def test_only_tags_are_predicted():
    """Blue is no tag, so its pixels go to one of the tags, and class 2 has no probability anywhere."""
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    image[..., 2] = 250
    probability = tagged_probability(segmenter(), image, tags(0, 1), ONE_VIEW)
    assert probability[2:].max() == 0
    (label_map,) = own_labels(segmenter(), lambda _: image, tags(0, 1)[None], ONE_VIEW)
    assert set(np.unique(label_map)) <= {0, 1}


def test_labels_are_those_of_the_pictures_in_their_order():
    pictures = [half_red_half_green(), half_red_half_green()[:, ::-1].copy()]
    first, second = own_labels(segmenter(), pictures.__getitem__, np.stack([tags(0, 1)] * 2), ONE_VIEW)
    assert first[:, :8].max() == 0
    assert second[:, 16:].max() == 0
    assert first.dtype == np.uint8
    assert first[:, 16:].min() == second[:, :8].min() == 1


# ------------------------------------------------------------------------------------------------------------ bad input


def test_a_picture_without_tags_is_refused():
    with pytest.raises(DataError, match="1 pictures have no tag, first number 1"):
        own_labels(segmenter(), lambda _: half_red_half_green(), np.stack([tags(0), tags()]), ONE_VIEW)


@pytest.mark.parametrize("wrong", [{"kept": 0.0}, {"kept": 1.1}, {"scales": ()}, {"scales": (0.0,)}])
def test_settings_that_cannot_be(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        SelfTrainingConfig(**wrong)
