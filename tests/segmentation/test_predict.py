"""Prediction at a picture's own size, networks to disk and back, and folders of good and broken files."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from safetensors.torch import load_file, save_file

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES
from wsss_lib.data.pictures import color_overlay, read_image, read_label_map
from wsss_lib.segmentation import predict
from wsss_lib.segmentation.crf import DEEPLAB_V2, PSA_CAM
from wsss_lib.segmentation.networks import build_network
from wsss_lib.segmentation.predict import Segmenter, load_segmenter, predict_folder, save_segmenter
from wsss_lib.training.compute import choose_compute
from wsss_lib.vocabulary import DataError, SettingsError

CPU = choose_compute("cpu", "float32")


@pytest.fixture(scope="module")
def segmenter():
    """A network with random weights whose answer depends on the picture."""
    torch.manual_seed(0)
    network = build_network("largefov_small", len(CAMVID)).eval()
    for layer in network.head:
        torch.nn.init.kaiming_normal_(layer.weight)
    return Segmenter(
        network=network, network_name="largefov_small", label_space=CAMVID, input_size=(65, 49), compute=CPU
    )


@pytest.fixture
def model(segmenter, tmp_path):
    save_segmenter(segmenter, tmp_path / "model")
    return tmp_path / "model"


def noise(height, width, seed=0):
    """Coarse noise, so that pictures survive resizing."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)


# --------------------------------------------------------------------------------------------------------- prediction


@pytest.mark.parametrize("size", [(49, 65), (37, 53), (120, 31), (1, 1), (2, 300)])
def test_a_picture_is_labelled_at_its_own_size(segmenter, size):
    label_map = segmenter.predict(noise(*size))
    assert label_map.shape == size
    assert label_map.dtype == np.uint8
    assert label_map.max() < len(CAMVID)


def test_the_label_is_the_largest_logit(segmenter):
    image = noise(49, 65)
    with torch.no_grad():
        logits = segmenter.network(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    label_map = segmenter.predict(image)
    assert np.array_equal(label_map[::4, ::4], logits.argmax(1)[0].numpy())  # cells lie on every fourth pixel
    assert len(np.unique(label_map)) > 1


def test_a_larger_picture_is_seen_at_the_size_the_network_learnt(segmenter):
    image = noise(49, 65)
    large = cv2.resize(image, (260, 196), interpolation=cv2.INTER_NEAREST)
    small = cv2.resize(segmenter.predict(large), (65, 49), interpolation=cv2.INTER_NEAREST)
    assert (small == segmenter.predict(image)).mean() > 0.8


def test_a_random_field_brings_labels_to_the_colours(segmenter, monkeypatch):
    """Dark left of column 20, light right of it. The network sees the border 4 pixels too far to the right, is unsure
    and is wrong in single pixels; where it is sure of one against the colours, the floor lets the field overrule it."""
    image = np.full((32, 48, 3), 200, np.uint8)
    image[:, :20] = 40
    wanted = np.where(np.arange(48) < 20, 3, 5)[None].repeat(32, 0)
    said = np.where(np.arange(48) < 24, 3, 5)[None].repeat(32, 0)
    said[4::7, 3::9] = 7
    logits = torch.nn.functional.one_hot(torch.from_numpy(said), len(CAMVID)).permute(2, 0, 1).float()
    logits[7, 11, 12] = 1e4
    monkeypatch.setattr(predict, "predict_logits", lambda *_: logits)
    assert np.array_equal(segmenter.predict(image)[:, :12], said[:, :12])
    assert np.array_equal(segmenter.predict(image, PSA_CAM), wanted)


def test_the_field_of_a_large_picture_is_that_of_the_size_that_was_learnt(segmenter):
    """Its distances are in pixels: at the picture's own size it would reach a quarter as far."""
    small = noise(48, 64, seed=1)
    large = np.kron(small, np.ones((4, 4, 1), np.uint8))
    learnt = replace(segmenter, longest_side=64)
    as_learnt = np.kron(learnt.predict(small, DEEPLAB_V2), np.ones((4, 4), np.uint8))
    inside = np.kron(np.pad(_apart(as_learnt[::4, ::4])[1:-1, 1:-1], 1), np.ones((4, 4), bool))
    found = learnt.predict(large, DEEPLAB_V2)
    assert found.shape == (192, 256)
    assert inside.mean() > 0.3
    assert np.array_equal(
        found[inside], as_learnt[inside]
    )  # borders are drawn between the pixels that were learnt from
    assert not np.array_equal(replace(segmenter, longest_side=256).predict(large, DEEPLAB_V2)[inside], found[inside])


def _apart(labels):
    """Where all eight neighbours have the same label; the frame has not all."""
    return cv2.erode(labels, np.ones((3, 3))) == cv2.dilate(labels, np.ones((3, 3)))


def test_what_was_saved_predicts_the_same(segmenter, model):
    loaded = load_segmenter(model, CPU)
    assert (loaded.network_name, loaded.label_space, loaded.input_size) == ("largefov_small", CAMVID, (65, 49))
    assert not loaded.network.training
    assert np.array_equal(loaded.predict(noise(50, 70)), segmenter.predict(noise(50, 70)))


# ------------------------------------------------------------------------------------------------------------ folders


@pytest.fixture
def mixed(tmp_path):
    """Good pictures of several kinds, and files that are none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Pillow.fromarray(noise(40, 60)).save(folder / "street.png")
    Pillow.fromarray(noise(33, 47, seed=1)).save(folder / "odd.jpg")
    Pillow.fromarray(noise(20, 30, seed=2)[..., 0]).save(folder / "grey.png")
    Pillow.fromarray(np.dstack([noise(20, 30, seed=3), np.full((20, 30), 128, np.uint8)])).save(folder / "clear.webp")
    whole = (folder / "street.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no picture")
    (folder / "empty.png").touch()
    (folder / "notes.txt").write_text("not meant")
    return folder


def test_a_folder_of_good_and_broken_files(segmenter, model, mixed, tmp_path):
    out = tmp_path / "out"
    lines = list(predict_folder(model, mixed, out, CPU))
    skipped = [line for line in lines if line.startswith("skipped: ")]
    assert len(skipped) == 3
    assert all(any(name in line for line in skipped) for name in ("cut.png", "text.jpg", "empty.png"))
    assert sorted(path.name for path in out.glob("*.png")) == ["clear.png", "grey.png", "odd.png", "street.png"]
    assert len(lines) == 7
    for name in ("street.png", "odd.jpg", "grey.png", "clear.webp"):
        image, stem = read_image(mixed / name), name.partition(".")[0]
        label_map = read_label_map(out / f"{stem}.png", CAMVID)
        assert label_map.shape == image.shape[:2]
        assert np.array_equal(label_map, segmenter.predict(image))
        assert np.array_equal(read_image(out / "overlays" / f"{stem}.png"), color_overlay(image, label_map, CAMVID))


def test_pictures_of_formats_that_are_not_read_are_told(model, mixed, tmp_path):
    (mixed / "phone.HEIC").write_bytes(b"a")
    (mixed / "notes.txt").write_bytes(b"a")
    told = [line for line in predict_folder(model, mixed, tmp_path / "out", CPU) if "this format" in line]
    assert told == [f"skipped: phone.HEIC in {mixed}: this format is not read; save as PNG or JPEG"]


def test_a_folder_is_labelled_with_a_random_field_if_asked(segmenter, model, tmp_path):
    (tmp_path / "pictures").mkdir()
    Pillow.fromarray(noise(40, 60)).save(tmp_path / "pictures" / "a.png")
    for crf in (False, True):
        list(predict_folder(model, tmp_path / "pictures", tmp_path / str(crf), CPU, crf=crf))
        expected = segmenter.predict(noise(40, 60), DEEPLAB_V2 if crf else None)
        assert np.array_equal(read_label_map(tmp_path / str(crf) / "a.png", CAMVID), expected)
    assert not np.array_equal(segmenter.predict(noise(40, 60)), expected)


def test_a_prediction_does_not_depend_on_the_pictures_beside_it(model, mixed, tmp_path):
    list(predict_folder(model, mixed, tmp_path / "all", CPU))
    alone = tmp_path / "alone"
    alone.mkdir()
    (mixed / "odd.jpg").rename(alone / "odd.jpg")
    list(predict_folder(model, alone, tmp_path / "one", CPU))
    assert (tmp_path / "one" / "odd.png").read_bytes() == (tmp_path / "all" / "odd.png").read_bytes()


def test_pictures_are_done_one_by_one(model, mixed, tmp_path):
    """Whoever stops after the first picture has its labels."""
    lines = predict_folder(model, mixed, tmp_path / "out", CPU)
    next(lines)
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["clear.png"]


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("inside", ["", "overlays"])
def test_pictures_are_not_written_over(model, mixed, tmp_path, inside):
    """An index PNG in place of a photograph cannot be undone."""
    out = mixed
    if inside:
        out = tmp_path / "all"
        (out / inside).parent.mkdir()
        mixed.rename(out / inside)
    before = {path: path.read_bytes() for path in (out / inside).iterdir()}
    with pytest.raises(SettingsError, match=r"would be written over the pictures in .*; give another folder as --out"):
        list(predict_folder(model, out / inside, out, CPU))
    assert {path: path.read_bytes() for path in (out / inside).iterdir()} == before


def test_pictures_that_are_links_into_the_results_are_not_written_over(model, mixed, tmp_path):
    links = tmp_path / "links"
    links.mkdir()
    (links / "street.png").symlink_to(mixed / "street.png")
    before = (mixed / "street.png").read_bytes()
    with pytest.raises(SettingsError, match=r"would be written over the pictures in .*links; give another folder"):
        list(predict_folder(model, links, mixed, CPU))
    assert (mixed / "street.png").read_bytes() == before


def test_only_earlier_predictions_are_written_over(model, mixed, tmp_path):
    """A label map that somebody drew by hand cannot be made again."""
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    (drawn / "street.png").write_bytes(b"by hand")
    with pytest.raises(SettingsError, match=r"street.png would be written over, and .*drawn holds no earlier predict"):
        list(predict_folder(model, mixed, drawn, CPU))
    assert {path.name for path in drawn.iterdir()} == {"street.png"}
    first = list(predict_folder(model, mixed, tmp_path / "out", CPU))
    assert list(predict_folder(model, mixed, tmp_path / "out", CPU)) == first


def test_label_maps_are_not_left_beside_a_legend_of_other_classes(segmenter, model, mixed, tmp_path):
    """Their numbers would be read as other classes. Where all are made again, nothing is left to misread."""
    out = tmp_path / "out"
    first = list(predict_folder(model, mixed, out, CPU))
    names = ("Road", *CAMVID.classes[1:])
    other = replace(segmenter, label_space=replace(CAMVID, name="own", classes=names))
    save_segmenter(other, tmp_path / "other")
    assert list(predict_folder(tmp_path / "other", mixed, out, CPU)) == first
    legend = (out / "legend.csv").read_text()
    (out / "earlier.png").write_bytes((out / "street.png").read_bytes())
    with pytest.raises(SettingsError, match=r"out holds label maps of other classes \(earlier\.png\)"):
        list(predict_folder(model, mixed, out, CPU))
    assert (out / "legend.csv").read_text() == legend
    assert list(predict_folder(tmp_path / "other", mixed, out, CPU)) == first


def test_a_legend_says_which_colour_is_which_class(model, mixed, tmp_path):
    list(predict_folder(model, mixed, tmp_path / "out", CPU))
    first, second, *others = (tmp_path / "out" / "legend.csv").read_text().splitlines()
    assert (first, second, len(others)) == ("index,class,color", "0,Sky,#808080", 10)


def test_a_folder_without_pictures_is_refused(model, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"no picture in .*none; give a folder with"):
        list(predict_folder(model, tmp_path / "none", tmp_path / "out", CPU))
    with pytest.raises(DataError, match="absent cannot be listed"):
        list(predict_folder(model, tmp_path / "absent", tmp_path / "out", CPU))
    assert not (tmp_path / "out").exists()


def test_a_larger_picture_is_first_made_as_large_as_those_that_were_learnt_from(segmenter, tmp_path):
    """By means over areas: what single pixels of a camera add must not reach a network that never saw it."""
    picture = noise(48, 64)
    rng = np.random.default_rng(0)
    spread = rng.normal(0, 60, (48 * 16, 64 * 16, 1))
    large = np.clip(picture.repeat(16, 0).repeat(16, 1) * 0.5 + 64 + spread, 0, 255).astype(np.uint8)
    clean = (picture * 0.5 + 64).astype(np.uint8)
    save_segmenter(replace(segmenter, longest_side=64), tmp_path)
    informed = load_segmenter(tmp_path, CPU)
    assert informed.longest_side == 64
    expected = informed.predict(clean)
    np.testing.assert_array_equal(expected, segmenter.predict(clean))  # as large as it learnt from: as it is
    agree = [(each.predict(large)[8::16, 8::16] == expected).mean() for each in (informed, segmenter)]
    assert agree[0] > 0.9 > agree[1]


def test_a_network_that_does_not_say_what_it_learnt_from_can_still_be_used(model):
    card = json.loads((model / "network.json").read_text())
    del card["longest_side"]
    (model / "network.json").write_text(json.dumps(card))
    assert load_segmenter(model, CPU).predict(noise(40, 50)).shape == (40, 50)


def test_a_folder_without_a_network_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no trained network in .*; run a profile first or give --model"):
        load_segmenter(tmp_path, CPU)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        '{"network": "largefov_small"}',
        '{"network": 1, "label_space": 2, "input_size": 3}',
        '{"network": "largefov_small", "label_space": "camvid", "input_size": [65, 49], "longest_side": 0}',
        '{"network": "largefov_small", "label_space": "camvid", "input_size": ["65", 49]}',
        '{"network": "largefov_small", "label_space": "camvid", "input_size": [null, 49]}',
        '{"network": "largefov_small", "label_space": "camvid", "input_size": [0, 49]}',
        '{"network": "largefov_small", "label_space": "camvid", "input_size": [65, -49]}',
        '{"network": "largefov_small", "label_space": "camvid", "input_size": [65, 9999999]}',
    ],
)
def test_a_damaged_card_is_refused(model, content):
    (model / "network.json").write_text(content)
    with pytest.raises(DataError, match=r"network.json is damaged: it must name network, label_space, input_size"):
        load_segmenter(model, CPU)


@pytest.mark.parametrize("color", [[0, 0, 300], [0, 0, -1], [0, 0], ["red", 0, 0]])
def test_colours_that_are_none_are_refused(model, color):
    card = json.loads((model / "network.json").read_text())
    card |= {"label_space": "own", "colors": [color] * len(CAMVID)}
    (model / "network.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=r"network.json has no label space .*; train the network again"):
        load_segmenter(model, CPU)


def test_a_card_of_another_data_set_does_not_fit_the_weights(model):
    card = json.loads((model / "network.json").read_text())
    (model / "network.json").write_text(json.dumps({**card, "label_space": CITYSCAPES.name}))
    with pytest.raises(DataError, match=r"network.safetensors is not a largefov_small for cityscapes"):
        load_segmenter(model, CPU)


def test_two_files_of_different_trainings_are_refused(model):
    """As while one network replaces another, or after a copy that broke off: the shapes fit, the classes do not."""
    state = {name: value + 1 for name, value in load_file(model / "network.safetensors").items()}
    save_file(state, model / "network.safetensors")
    with pytest.raises(DataError, match=r"network\.safetensors is not what .*network\.json was written for"):
        load_segmenter(model, CPU)


def test_truncated_and_missing_weights_are_refused(model):
    weights = model / "network.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(
        DataError, match=r"is not a largefov_small for camvid .*; train it again or name another folder"
    ):
        load_segmenter(model, CPU)
    weights.unlink()
    with pytest.raises(DataError, match="is not a largefov_small for camvid"):
        load_segmenter(model, CPU)


def test_weights_with_broken_numbers_are_refused(model):
    state = load_file(model / "network.safetensors")
    state["fc7.weight"][0, 0] = float("nan")
    save_file(state, model / "network.safetensors")
    with pytest.raises(DataError, match=r"holds NaN or infinite values, first in 'fc7.weight'"):
        load_segmenter(model, CPU)
