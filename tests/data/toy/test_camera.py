"""Projection and clipping, worked out by hand."""

import numpy as np

from wsss_lib.data.toy.camera import Camera, clip_near


def test_a_point_on_the_ground_projects_by_similar_triangles() -> None:
    """focal 100, camera 1.5 m up: a ground point 10 m ahead and 2 m right is 20 px right, 15 px below the horizon."""
    camera = Camera(width=200, height=100, focal=100.0, horizon=40.0, center_x=99.0, y=1.5)
    relative = np.array([[2.0, 0.0 - camera.y, 10.0]])
    np.testing.assert_allclose(camera.project(relative), [[119.0, 55.0]])


def test_rays_are_the_inverse_of_the_projection() -> None:
    camera = Camera(width=8, height=6, focal=5.0, horizon=2.5, center_x=3.5)
    across, up = camera.rays()
    points = np.stack(np.broadcast_arrays(7 * across, 7 * up, np.float32(7)), axis=-1).reshape(-1, 3)
    expected = np.stack(np.meshgrid(np.arange(8), np.arange(6)), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(camera.project(points), expected, atol=1e-5)


def test_a_square_through_the_near_plane_loses_the_part_behind_it() -> None:
    """The square z = 0..4 cut at z = 1 keeps z = 1..4."""
    square = np.array([[-1.0, 0, 0], [1, 0, 0], [1, 0, 4], [-1, 0, 4]])
    clipped = clip_near(square, near=1.0)
    assert sorted(map(tuple, clipped.tolist())) == [
        (-1.0, 0.0, 1.0),
        (-1.0, 0.0, 4.0),
        (1.0, 0.0, 1.0),
        (1.0, 0.0, 4.0),
    ]


def test_clipping_keeps_what_is_before_and_drops_what_is_behind() -> None:
    triangle = np.array([[0.0, 0, 2], [1, 0, 2], [0, 1, 3]])
    assert clip_near(triangle, near=1.0) is triangle
    assert clip_near(triangle, near=5.0).shape == (0, 3)
