"""Optical flow finds a known shift, and most of the true motion of a toy drive."""

import cv2
import numpy as np
import pytest

from wsss_lib.data.label_spaces import CAMVID
from wsss_lib.data.toy import toy_sequence
from wsss_lib.regions.flow import flow_between
from wsss_lib.vocabulary import DataError


def test_a_shifted_picture_is_found_shifted():
    """Soft noise goes 3 pixels to the right and 1 down: (3, 1) away from the border, and (-3, -1) on the way back."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    scene = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.5), None, 0, 255, cv2.NORM_MINMAX)
    first, second = scene[10:80, 10:110], scene[9:79, 7:107]
    for flow, expected in ((flow_between(first, second), (3, 1)), (flow_between(second, first), (-3, -1))):
        assert flow.shape == (70, 100, 2)
        assert flow.dtype == np.float32
        assert np.abs(flow[12:-12, 12:-12] - expected).max() < 0.3


def test_a_picture_stands_still_against_itself():
    """But for some noise of the method (0.12 pixels measured)."""
    image = toy_sequence(CAMVID, "train", length=2).images[0]
    assert np.abs(flow_between(image, image)).max() < 0.25


def test_the_true_flow_of_a_drive_is_nearer_than_standstill():
    """Measured on drives 1 and 2: median end-point error 0.70 and 0.65 pixels, of displacements of 1.97 and 2.43."""
    for drive in (1, 2):
        frames = toy_sequence(CAMVID, "train", drive=drive, length=2)
        flow, true = flow_between(*frames.images), frames.flows[0]
        error = np.median(np.linalg.norm(flow - true, axis=-1))
        assert error < 0.6 * np.median(np.linalg.norm(true, axis=-1))


def test_frames_of_different_size_are_refused():
    with pytest.raises(DataError, match="one size"):
        flow_between(np.zeros((40, 40, 3), np.uint8), np.zeros((40, 41, 3), np.uint8))
