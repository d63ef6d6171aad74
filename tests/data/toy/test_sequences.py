"""Toy drives: the flow is the true one."""

import cv2
import numpy as np
import pytest

from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES
from wsss_lib.data.toy import ToySequence, next_street_frame, toy_sequence, toy_streets
from wsss_lib.data.toy.camera import Camera
from wsss_lib.data.toy.canvas import View
from wsss_lib.data.toy.sequences import true_flow
from wsss_lib.vocabulary import IGNORE, SettingsError


@pytest.fixture(scope="module", params=[0, 1, 2])
def drive(request: pytest.FixtureRequest) -> ToySequence:
    return toy_sequence(CITYSCAPES, "train", drive=request.param, length=3)


def pulled_back(following: np.ndarray, flow: np.ndarray, interpolation: int) -> tuple[np.ndarray, np.ndarray]:
    """The next frame as this frame's pixels see it, and which of them stay in the picture."""
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return cv2.remap(following, x, y, interpolation), inside


def test_flow_of_points_by_hand() -> None:
    """Focal length 100, 1 m ahead per frame.

    A point 20 px right of the centre at 10 m goes to 20 * 10 / 9; one that keeps pace stays; one 20 px to the left that
    also moves 0.9 m to the right goes to (-20 * 10 + 90) / 9; the sky stays.
    """
    camera = Camera(width=41, height=1, focal=100.0, horizon=0.0, center_x=20.0)
    inverse_depth = np.full((1, 41), 0.1, np.float32)
    inverse_depth[0, 39] = 0.0
    velocity = np.zeros((1, 41, 2), np.float32)
    velocity[0, 38] = (0.0, 1.0)
    velocity[0, 0] = (0.9, 0.0)
    view = View(np.zeros((1, 41, 3), np.float32), inverse_depth, np.zeros((1, 41), np.uint8), velocity)
    flow = true_flow(view, camera, speed=1.0)[0]
    np.testing.assert_allclose(flow[40], [20 * 10 / 9 - 20, 0.0], atol=1e-4)
    np.testing.assert_allclose(flow[[38, 39]], 0.0, atol=1e-5)
    np.testing.assert_allclose(flow[0], [(-20 * 10 + 90) / 9 + 20, 0.0], atol=1e-4)


def test_label_maps_agree_along_the_flow(drive: ToySequence) -> None:
    """Away from outlines, where a rounded pixel may fall on either side, and from road that slips under the bonnet."""
    for t, flow in enumerate(drive.flows):
        here = drive.label_maps[t]
        moved, inside = pulled_back(drive.label_maps[t + 1], flow, cv2.INTER_NEAREST)
        square = np.ones((5, 5), np.uint8)
        counted = inside & (moved != IGNORE) & (cv2.dilate(here, square) == cv2.erode(here, square))
        assert counted.mean() > 0.5
        assert (moved == here)[counted].mean() > 0.98


def test_the_flow_explains_the_pictures_better_than_standstill(drive: ToySequence) -> None:
    for t, flow in enumerate(drive.flows):
        here, following = drive.images[t].astype(float), drive.images[t + 1]
        moved, inside = pulled_back(following, flow, cv2.INTER_LINEAR)
        assert np.abs(moved - here)[inside].mean() < 0.9 * np.abs(following - here)[inside].mean()


def test_sky_and_bonnet_stay(drive: ToySequence) -> None:
    sky = drive.label_maps[0] == CITYSCAPES.index("sky")
    assert sky.any()
    assert (drive.flows[0][sky] == 0).all()
    bonnet = drive.label_maps[0][-1] == IGNORE
    assert bonnet.any()
    np.testing.assert_allclose(drive.flows[0][-1][bonnet], 0.0, atol=1e-4)


def test_the_road_flows_down(drive: ToySequence) -> None:
    flow = drive.flows[0][drive.label_maps[0] == CITYSCAPES.index("road")]
    assert (flow[:, 1] > 0).mean() > 0.95


def test_a_longer_sequence_starts_with_the_shorter() -> None:
    short, long = (toy_sequence(CAMVID, "test", seed=2, length=length, size=(64, 48)) for length in (2, 4))
    for t in range(2):
        np.testing.assert_array_equal(short.images[t], long.images[t])
        np.testing.assert_array_equal(short.label_maps[t], long.label_maps[t])
    np.testing.assert_array_equal(short.flows[0], long.flows[0])
    assert len(long.flows) == len(long) - 1
    assert short.fingerprint != long.fingerprint


def test_drives_differ() -> None:
    one, other = (toy_sequence(CAMVID, "train", drive=drive, length=2, size=(64, 48)) for drive in (0, 1))
    assert (one.images[0] != other.images[0]).any()
    assert one.name != other.name


def test_the_next_frame_of_a_street_is_of_that_street() -> None:
    """It differs from the street's picture (beyond noise), but less than from any other street's; and is repeatable."""
    streets = toy_streets(CAMVID, "train", seed=3, count=3, size=(120, 90))
    following = next_street_frame(CAMVID, "train", seed=3, size=(120, 90))
    for index in range(3):
        frame = following(index)
        assert frame.shape == (90, 120, 3)
        np.testing.assert_array_equal(frame, following(index))
        distance = [np.abs(frame.astype(float) - streets.image(other)).mean() for other in range(3)]
        assert distance[index] == min(distance)
        assert 2 < distance[index] < 0.7 * min(distance[:index] + distance[index + 1 :])


@pytest.mark.parametrize(
    ("change", "message"),
    [({"length": 1}, "at least 2"), ({"drive": -1}, "count from 0"), ({"split": "x"}, "not a split")],
)
def test_bad_requests_are_refused(change: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        toy_sequence(**({"label_space": CITYSCAPES, "split": "train", "length": 2} | change))
