"""The CAM classifier: scores by hand, fair draws, both losses, frozen training, and resumed equals uninterrupted."""

import numpy as np
import pytest
import torch
from torch import nn

from wsss_lib.classification.classifier import (
    CamClassifier,
    ClassifiedPictures,
    ClassifierConfig,
    accuracy_per_class,
    build_classifier,
    combine_targets,
    from_scenes,
    from_simple,
    random_view,
    to_tensor,
    train_classifier,
    view_features,
)
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace, SceneSet, SettingsError, SimpleSet

CPU = choose_compute("cpu", "float32")
COLORS = ((220, 30, 30), (30, 220, 30), (30, 30, 220))
SPACE = LabelSpace(name="three", classes=("red", "green", "blue"), colors=COLORS)


def config(**changes):
    training = TrainingConfig(
        steps=changes.pop("steps", 8), batch_size=6, learning_rate=changes.pop("rate", 0.01), checkpoint_every=3
    )
    return ClassifierConfig(**{"backbone": "small", "input_size": 17, "training": training, **changes})


def flat(index, noise=20):
    """A picture of nearly one colour."""
    rng = np.random.default_rng(index)
    return np.clip(np.array(COLORS[index % 3]) + rng.integers(-noise, noise, (24, 32, 3)), 0, 255).astype(np.uint8)


def flat_pictures(count=9):
    shows = np.arange(count)[:, None] % 3 == np.arange(3)
    return ClassifiedPictures(classes=SPACE.classes, targets=(0, 1, 2), shows=shows, image=flat)


def new_classifier(seed=0, num_classes=3):
    """A classifier whose random features differ between colours."""
    torch.manual_seed(seed)
    classifier = build_classifier(config(), num_classes)
    for layer in classifier.backbone.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return classifier


class ColorBackbone(nn.Module):
    """The picture itself as features, 0..1: what a classifier makes of it can be worked out by hand."""

    channels, stride, align_corners = 3, 1, False

    def forward(self, images):
        return images / 255


def color_classifier():
    """Class scores are the mean red, green and blue, minus one half."""
    classifier = CamClassifier(ColorBackbone(), 3)
    with torch.no_grad():
        classifier.linear.weight.copy_(torch.eye(3)[:, :, None, None])
        classifier.linear.bias.fill_(-0.5)
    return classifier


# ------------------------------------------------------------------------------------------------------ known answers


def test_scores_are_means_of_channels_by_hand():
    """Half of the picture red, a quarter green: scores 0.5 - 0.5, 0.25 - 0.5, 0 - 0.5."""
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, :, 0], image[1, 0, 1] = 255, 255
    scores = color_classifier()(to_tensor([image]).float())
    torch.testing.assert_close(scores, torch.tensor([[0.0, -0.25, -0.5]]))


def test_pictures_become_a_batch_with_channels_first():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    batch = to_tensor([image, image])
    assert batch.shape == (2, 3, 2, 2)
    assert batch.dtype == torch.uint8
    assert batch[1, 2].tolist() == [[2, 5], [8, 11]]


def test_several_simple_classes_may_stand_for_one_target():
    """Simple classes car, truck, sky, lawn stand for vehicle, vehicle, sky and nothing; nobody stands for person."""
    values, targets = torch.tensor([[1.0, 5], [2, 3], [4, 4], [9, 9]]), (0, 0, 1, IGNORE)
    assert combine_targets(values, targets, 3, "max").tolist() == [[2, 5], [4, 4], [0, 0]]
    assert combine_targets(values, targets, 3, "sum").tolist() == [[3, 8], [4, 4], [0, 0]]


def test_simple_pictures_show_one_class():
    simple = SimpleSet(
        classes=("car", "truck"), labels=(1, 0, 1), targets=(0, 0), label_space=SPACE, image=flat, fingerprint="f"
    )
    pictures = from_simple(simple)
    assert pictures.shows.tolist() == [[False, True], [True, False], [False, True]]
    assert (pictures.classes, pictures.targets) == (("car", "truck"), (0, 0))


def scenes(tags, background=None):
    space = LabelSpace(name="three", classes=SPACE.classes, colors=COLORS, background=background)
    return SceneSet(
        label_space=space, split="train", names=("a", "b"), image=flat, label_map=None, tags=tags, fingerprint="f"
    )


def test_the_background_is_no_class_of_the_classifier():
    tags = np.array([[True, True, False], [True, False, True]])
    pictures = from_scenes(scenes(tags, background=0))
    assert pictures.classes == ("green", "blue")
    assert pictures.targets == (1, 2)
    assert pictures.shows.tolist() == [[True, False], [False, True]]
    assert from_scenes(scenes(tags)).targets == (0, 1, 2)


def test_accuracy_by_hand():
    """Pictures red, red, green, green shown as red, green, green, green: 1 of 1 red, 2 of 3 green, no blue."""
    shows = np.array([[True, False, False], [False, True, False], [False, True, False], [False, True, False]])
    pictures = ClassifiedPictures(
        classes=SPACE.classes, targets=(0, 1, 2), shows=shows, image=lambda i: flat([0, 0, 1, 1][i])
    )
    for activation in ("softmax", "sigmoid"):
        accuracy = accuracy_per_class(color_classifier(), pictures, config(activation=activation), compute=CPU)
        np.testing.assert_allclose(accuracy, [100, 200 / 3, np.nan])


# ---------------------------------------------------------------------------------------------------------- the views


def coordinates(height=60, width=80):
    """Red tells the row, green the column."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.indices((height, width))
    return image


def test_views_hold_enough_of_the_picture_and_some_are_mirrored():
    image, mirrored, shares = coordinates(), 0, []
    for seed in range(60):
        view = random_view(image, config(minimum_crop=0.35), np.random.default_rng(seed))
        assert view.shape == (17, 17, 3)
        rows, columns = (np.ptp(view[..., axis].astype(int)) for axis in (0, 1))
        shares.append((rows + 3) * (columns + 4) / image[..., 0].size)  # area interpolation loses half a cell a side
        mirrored += int(view[0, 0, 1]) > int(view[0, -1, 1])
    assert 0.3 < min(shares) < 0.5
    assert max(shares) > 0.85
    assert 15 < mirrored < 45


def test_a_view_is_a_function_of_the_generator():
    one, same = (random_view(coordinates(), config(), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, random_view(coordinates(), config(), np.random.default_rng(4)))


def test_the_whole_picture_is_the_only_view_where_nothing_may_be_cut():
    views = {random_view(coordinates(), config(minimum_crop=1), np.random.default_rng(i)).tobytes() for i in range(9)}
    assert len(views) == 2  # as it is, and mirrored


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (200, 3)])
def test_views_of_tiny_and_thin_pictures(size):
    view = random_view(np.full((*size, 3), 9, np.uint8), config(), np.random.default_rng(0))
    assert view.shape == (17, 17, 3)
    assert (view == 9).all()


# ----------------------------------------------------------------------------------------------------------- training


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("frozen", [False, True])
def test_training_lowers_the_loss_and_finds_the_classes(activation, frozen):
    classifier, settings = new_classifier(1), config(steps=40, activation=activation, frozen=frozen, crops=2)
    trunk = {name: value.clone() for name, value in classifier.backbone.state_dict().items()}
    losses = train_classifier(classifier, flat_pictures(), settings, compute=CPU, seed=1)
    assert np.mean(losses[-5:]) < 0.7 * losses[0]
    assert np.nanmean(accuracy_per_class(classifier, flat_pictures(), settings, compute=CPU)) > 60
    unchanged = all(torch.equal(value, trunk[name]) for name, value in classifier.backbone.state_dict().items())
    assert unchanged is frozen
    assert not classifier.training


def test_pictures_of_several_classes_are_not_taught_as_if_they_had_one():
    shows = np.array([[True, False, False], [True, False, True]])
    several = ClassifiedPictures(classes=SPACE.classes, targets=(0, 1, 2), shows=shows, image=flat)
    with pytest.raises(SettingsError, match="use sigmoid for pictures with tags"):
        train_classifier(new_classifier(1), several, config(steps=1), compute=CPU, seed=1)


def test_a_rare_class_is_drawn_as_often_as_a_frequent_one():
    """One green picture beside eleven red ones takes half of all places of the batches."""
    asked = []

    def image(index):
        asked.append(index)
        return flat(0)

    shows = np.array([[True, False]] * 11 + [[False, True]])
    pictures = ClassifiedPictures(classes=("red", "green"), targets=(0, 1), shows=shows, image=image)
    train_classifier(new_classifier(num_classes=2), pictures, config(steps=30), compute=CPU, seed=0)
    assert len(asked) == 180
    assert 0.4 < asked.count(11) / len(asked) < 0.6
    assert set(asked) == set(range(12))


@pytest.mark.parametrize("frozen", [False, True])
def test_two_trainings_with_one_seed_are_equal(frozen):
    def losses(seed):
        return train_classifier(new_classifier(), flat_pictures(), config(frozen=frozen), compute=CPU, seed=seed)

    first = losses(1)
    assert first == losses(1)
    assert first != losses(2)


def test_resumed_equals_uninterrupted(tmp_path):
    whole = new_classifier()
    expected = train_classifier(whole, flat_pictures(), config(), compute=CPU, seed=0)
    left = 6 * 5  # pictures of five batches of six; checkpoints come after steps 3 and 6

    def image(index):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return flat(index)

    dying = ClassifiedPictures(classes=SPACE.classes, targets=(0, 1, 2), shows=flat_pictures().shows, image=image)
    path = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        train_classifier(new_classifier(), dying, config(), compute=CPU, seed=0, checkpoint=path)
    assert path.is_file()
    resumed = new_classifier(seed=9)  # other start values: everything must come from the checkpoint
    assert train_classifier(resumed, flat_pictures(), config(), compute=CPU, seed=0, checkpoint=path) == expected
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_features_of_views_do_not_depend_on_the_pictures_beside_them():
    """Eleven pictures are done in blocks of eight and three; each alone gives the same."""
    classifier, settings = new_classifier(), config(crops=2)
    together = view_features(classifier, flat_pictures(11), settings, compute=CPU, seed=4)
    assert together.shape == (11, 2, classifier.backbone.channels)
    short = view_features(classifier, flat_pictures(2), settings, compute=CPU, seed=4)
    torch.testing.assert_close(short, together[:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0, 0], together[0, 1])  # two views of one picture differ


# ---------------------------------------------------------------------------------------------------------- bad input


def test_scenes_without_tags_are_refused():
    with pytest.raises(DataError, match="the train split of three has no tags"):
        from_scenes(scenes(None))


def test_pictures_without_any_class_are_refused():
    nothing = ClassifiedPictures(classes=("a",), targets=(0,), shows=np.zeros((3, 1), bool), image=flat)
    with pytest.raises(DataError, match="at least one picture with a class"):
        train_classifier(new_classifier(num_classes=1), nothing, config(), compute=CPU, seed=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "relu"}, "softmax or sigmoid, not 'relu'"),
        ({"input_size": 8}, "input_size >= 16"),
        ({"crops": 0}, "crops >= 1"),
        ({"minimum_crop": 0.0}, "0 < minimum_crop <= 1"),
        ({"minimum_crop": 1.5}, "0 < minimum_crop <= 1"),
    ],
)
def test_bad_settings_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        config(**changes)


def test_weights_that_are_not_there_are_named(tmp_path):
    settings = config(weights="absent.safetensors")
    with pytest.raises(DataError, match=r"no weights at .*elsewhere.safetensors"):
        build_classifier(settings, 3, tmp_path / "elsewhere.safetensors")
    with pytest.raises(DataError, match=r"no weights at absent.safetensors"):
        build_classifier(settings, 3)
