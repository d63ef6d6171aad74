"""Painting on cases small enough to count the pixels."""

import numpy as np
import pytest

from wsss_lib.data.toy.camera import Camera
from wsss_lib.data.toy.canvas import Canvas
from wsss_lib.data.toy.light import Climate, Light, sample_light
from wsss_lib.data.toy.shapes import Panel, Thing, box, front, pane, right
from wsss_lib.data.toy.textures import matte
from wsss_lib.vocabulary import IGNORE

INDICES = {"sky": 0, "road": 1, "car": 2, "person": 3}
RED, BLUE = (0.8, 0.1, 0.1), (0.1, 0.1, 0.8)


@pytest.fixture
def light() -> Light:
    return sample_light(np.random.default_rng(0), Climate())


def canvas(light: Light) -> Canvas:
    """32 x 32 pixels; one metre at 10 m is 2 pixels; horizon between rows 15 and 16; eye height 1 m."""
    return Canvas(Camera(width=32, height=32, focal=20.0, horizon=15.5, center_x=15.5, y=1.0), light, INDICES)


def square(name: str, color: tuple[float, float, float] = RED, z: float = 10.0) -> Thing:
    """4 m wide and 4 m high, standing on the ground."""
    return Thing([Panel(front(-2.0, 2.0, 0.0, 4.0, 0.0), color, name)]).at(0.0, z)


def test_a_square_covers_the_pixels_of_its_projection(light: Light) -> None:
    """At 10 m it spans columns 11.5..19.5 and rows 9.5 (3 m above the eye) to 17.5 (1 m below): 8 x 8 inner pixels."""
    drawing = canvas(light)
    drawing.draw([square("car")])
    view = drawing.view()
    inner = np.zeros((32, 32), bool)
    inner[10:18, 12:20] = True
    outer = np.zeros((32, 32), bool)
    outer[9:19, 11:21] = True
    assert (view.label_map[inner] == 2).all()
    assert (view.label_map[~outer] == 0).all()
    np.testing.assert_allclose(view.inverse_depth[inner], 0.1, rtol=1e-5)
    assert (view.inverse_depth[~outer] == 0).all()


def test_colour_and_class_have_the_same_outline(light: Light) -> None:
    drawing = canvas(light)
    drawing.draw([square("car", RED)])
    view = drawing.view()
    inside = view.label_map == 2
    assert len(np.unique(view.color[inside], axis=0)) == 1
    assert (view.color[inside][:, 0] > 2 * view.color[inside][:, 2]).all()
    assert not (view.color[~inside][:, 0] > 2 * view.color[~inside][:, 2]).any()


def test_the_later_thing_hides_the_earlier(light: Light) -> None:
    far, near = square("car", RED, z=20.0), square("person", BLUE, z=10.0)
    both = canvas(light)
    both.draw([far, near])
    assert not (both.view().label_map == 2).any()
    reverse = canvas(light)
    reverse.draw([near, far])
    assert (reverse.view().label_map == 2).any()


def test_panels_face_outwards(light: Light) -> None:
    """Of a box straight ahead, below eye level, front and lid are seen, not the back and not the sides."""
    drawing = canvas(light)
    drawing.draw([Thing(box((2.0, 0.5, 2.0), RED, "car")).at(0.0, 10.0)])
    shown = {tuple(np.round(drawing.surfaces[k].inverse, 6).tolist()) for k in np.unique(drawing.shown) if k}
    assert len(shown) == 2


def test_depth_of_a_slanted_panel_is_that_of_its_plane(light: Light) -> None:
    """A wall along z at x = -2 m: a pixel at ray -0.4 sees it at 5 m."""
    drawing = canvas(light)
    drawing.draw([Thing([Panel(right(2.0, 40.0, 0.0, 6.0, -2.0), RED, "car")])])
    view = drawing.view()
    column = 7  # (7 - 15.5) / 20 = -0.425
    np.testing.assert_allclose(view.inverse_depth[15, column], 0.425 / 2.0, rtol=1e-5)


def test_a_see_through_panel_gives_its_class_to_the_holes(light: Light) -> None:
    def nothing_there(s: np.ndarray, t: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        return (s < -1) & (t < -1) & (footprint < 0)

    outline = front(-2.0, 2.0, 0.0, 4.0, 0.0)
    for see_through, expected in ((True, 3), (False, 0)):
        drawing = canvas(light)
        drawing.draw([Thing([Panel(outline, RED, "person", cut=nothing_there, see_through=see_through)]).at(0.0, 10.0)])
        view = drawing.view()
        assert view.label_map[12, 15] == expected
        assert view.inverse_depth[12, 15] == 0.0  # the sky behind is what is seen


def test_details_lie_on_their_panel_and_keep_their_class(light: Light) -> None:
    outline = front(-2.0, 2.0, 0.0, 4.0, 0.0)
    detail = pane(outline, BLUE, "person", 0.25, 0.75, 0.25, 0.75)
    drawing = canvas(light)
    drawing.draw([Thing([Panel(outline, RED, "car", details=(detail,))]).at(0.0, 10.0)])
    labels = drawing.view().label_map
    assert labels[13, 15] == 3
    assert labels[10, 12] == 2


def test_ground_lies_below_the_horizon_and_has_the_camera_height(light: Light) -> None:
    """Row 25 looks (25 - 15.5) / 20 = 0.475 down: the ground is 1 / 0.475 m ahead."""
    drawing = canvas(light)
    drawing.lay(np.ones(drawing.ground[1].shape, bool), matte(np.random.default_rng(0), RED), "road")
    view = drawing.view()
    assert (view.label_map[:16] == 0).all()
    assert (view.label_map[16:] == 1).all()
    np.testing.assert_allclose(view.inverse_depth[25], 0.475, rtol=1e-5)


def test_names_outside_the_label_space_are_ignored_pixels(light: Light) -> None:
    drawing = canvas(light)
    drawing.draw([square("spaceship")])
    assert drawing.view().label_map[12, 15] == IGNORE


def test_what_lies_behind_the_camera_is_not_drawn(light: Light) -> None:
    drawing = canvas(light)
    drawing.draw([square("car", z=-5.0), Thing(box((30.0, 5.0, 4.0), RED, "car")).at(200.0, 3.0)])
    assert (drawing.view().label_map == 0).all()
