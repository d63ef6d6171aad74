"""Superpixels: pictures of flat squares by hand, ids, majority labels; OpenCV against scikit-image on real pictures."""

import time

import numpy as np
import pytest
from skimage.segmentation import felzenszwalb

from wsss_lib.data.camvid import camvid
from wsss_lib.evaluation.confusion import confusion_matrix
from wsss_lib.evaluation.scores import scores
from wsss_lib.regions.superpixels import (
    BACKENDS,
    SuperpixelConfig,
    in_raster_order,
    oracle_label_map,
    paint_regions,
    region_majority,
    superpixels,
)
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

TWO_REGIONS = np.array([[0, 0], [1, 1]], dtype=np.int32)


def four_squares():
    """A 32 x 48 picture of four flat rectangles in colours far apart."""
    image = np.zeros((32, 48, 3), dtype=np.uint8)
    image[:16, 24:] = (255, 0, 0)
    image[16:, :24] = (0, 255, 0)
    image[16:, 24:] = (0, 0, 255)
    return image


def noise(seed=0, height=40, width=56):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_four_flat_squares_are_four_regions_in_raster_order(backend):
    """Smoothing blurs the borders; their strips of 16 or 24 pixels are below the minimum and join a square."""
    config = SuperpixelConfig(min_size=100, reference_pixels=32 * 48, backend=backend)
    regions = superpixels(four_squares(), config)
    assert regions.dtype == np.int32
    assert regions.max() == 3
    assert [regions[4, 4], regions[4, 40], regions[28, 4], regions[28, 40]] == [0, 1, 2, 3]
    assert regions.shape == (32, 48)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flat_picture_is_one_region(backend):
    config = SuperpixelConfig(reference_pixels=400, backend=backend)
    assert not superpixels(np.full((20, 20, 3), 99, dtype=np.uint8), config).any()


def test_ids_by_hand():
    assert in_raster_order(np.array([[7, 3], [3, 7]])).tolist() == [[0, 1], [1, 0]]
    assert in_raster_order(np.array([[2, 0, 9, 0]])).tolist() == [[0, 1, 2, 1]]


def test_majority_by_hand():
    """Region 0 holds classes 1, unknown; region 1 a tie of 2 and 0 (the lower wins)."""
    label_map = np.array([[1, IGNORE], [2, 0]], dtype=np.uint8)
    assert region_majority(label_map, TWO_REGIONS, 3).tolist() == [1, 0]
    assert oracle_label_map(label_map, TWO_REGIONS, 3).tolist() == [[1, 1], [0, 0]]


def test_a_region_without_labels_stays_unknown():
    label_map = np.array([[IGNORE, IGNORE], [2, 2]], dtype=np.uint8)
    assert region_majority(label_map, TWO_REGIONS, 3).tolist() == [IGNORE, 2]


def test_painting_is_the_way_back():
    assert paint_regions(np.array([5, IGNORE], dtype=np.uint8), TWO_REGIONS).tolist() == [[5, 5], [255, 255]]


def test_min_size_grows_with_the_picture():
    config = SuperpixelConfig()
    assert config.min_size_for(480 * 360) == config.min_size
    assert config.min_size_for(960 * 720) == 4 * config.min_size
    assert config.min_size_for(1) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_region_has_the_minimum_size_and_is_in_raster_order(backend):
    config = SuperpixelConfig(min_size=30, reference_pixels=40 * 56, backend=backend)
    regions = superpixels(noise(), config)
    first_pixels = np.unique(regions, return_index=True)[1]
    assert len(first_pixels) == regions.max() + 1 > 1
    assert (np.diff(first_pixels) > 0).all()
    assert np.bincount(regions.ravel()).min() >= 30


@pytest.mark.parametrize("backend", BACKENDS)
def test_same_picture_same_regions_whatever_the_memory_layout(backend):
    image = noise()
    config = SuperpixelConfig(min_size=20, reference_pixels=40 * 56, backend=backend)
    kept = image.copy()
    first = superpixels(image, config)
    other_layout = np.asfortranarray(image)
    other_layout.flags.writeable = False
    assert np.array_equal(first, superpixels(other_layout, config))
    assert np.array_equal(image, kept)


def test_the_reference_is_scikit_image_itself():
    image = noise()
    ours = superpixels(image, SuperpixelConfig(min_size=20, reference_pixels=40 * 56, backend="skimage"))
    theirs = felzenszwalb(image, scale=100, sigma=0.5, min_size=20)
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == ours.max() + 1 == theirs.max() + 1


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((1, 40, 3), dtype=np.uint8), "40 x 1 pixels is too small"),
        (np.zeros((8, 8), dtype=np.uint8), "uint8 RGB"),
        (np.zeros((8, 8, 3), dtype=np.float32), "float32"),
    ],
)
def test_pictures_that_cannot_be_cut(image, words):
    with pytest.raises(DataError, match=words):
        superpixels(image)


def test_settings_that_cannot_be():
    with pytest.raises(SettingsError, match="opencv, skimage"):
        SuperpixelConfig(backend="slic")
    with pytest.raises(SettingsError, match="scale"):
        SuperpixelConfig(scale=0)


def test_label_maps_and_labels_that_do_not_fit():
    with pytest.raises(DataError, match="3 x 2 but the region map is 2 x 2"):
        region_majority(np.zeros((2, 3), dtype=np.uint8), TWO_REGIONS, 3)
    with pytest.raises(DataError, match="label 7"):
        region_majority(np.full((2, 2), 7, dtype=np.uint8), TWO_REGIONS, 3)
    with pytest.raises(DataError, match="1 labels given for 2 regions"):
        paint_regions(np.array([1], dtype=np.uint8), TWO_REGIONS)


def test_opencv_agrees_with_scikit_image_on_real_pictures(shared_folder):
    """Same parameters: numbers of regions within 5 %, oracle mIoU within 1 point; the speeds are printed."""
    pictures = camvid(shared_folder / "data" / "camvid", "train")
    assert pictures.label_map is not None
    num_classes = len(pictures.label_space)
    counts, oracle, seconds = {}, {}, {}
    for backend in BACKENDS:
        pairs, counts[backend], seconds[backend] = [], 0, 0.0
        for index in range(0, len(pictures), 45):
            image, label_map = pictures.image(index), pictures.label_map(index)
            start = time.perf_counter()
            regions = superpixels(image, SuperpixelConfig(backend=backend))
            seconds[backend] += time.perf_counter() - start
            counts[backend] += int(regions.max()) + 1
            pairs.append((oracle_label_map(label_map, regions, num_classes), label_map))
        oracle[backend] = scores(confusion_matrix(pairs, num_classes), pictures.label_space).miou_class
    print(f"oracle mIoU {oracle}, regions {counts}, {seconds['skimage'] / seconds['opencv']:.1f} times faster")
    assert counts["opencv"] == pytest.approx(counts["skimage"], rel=0.05)
    assert oracle["opencv"] == pytest.approx(oracle["skimage"], abs=1.0)
