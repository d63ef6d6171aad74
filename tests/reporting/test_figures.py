"""Figures 1, 3 and 4."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.axes import Axes

from wsss_lib.reporting.canvas import PaperFigure, rendered
from wsss_lib.reporting.figures import simple_cams, superpixels_and_seeds, teaser, views_of_tags
from wsss_lib.reporting.overlays import (
    class_heat_overlay,
    heat_overlay,
    heat_scale,
    region_borders,
    seed_overlay,
    thumbnail,
)
from wsss_lib.vocabulary import DataError, LabelSpace


def shown_in(axes: Axes) -> np.ndarray:
    return np.asarray(axes.get_images()[0].get_array())


def titles(figure: PaperFigure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def draw_teaser(street: SimpleNamespace, space: LabelSpace) -> PaperFigure:
    rounds = [street.seeds, street.truth, street.truth]
    return teaser(street.image, street.tags, street.cam, street.seeds, rounds, street.truth, space)


def test_teaser_shows_every_stage(street: SimpleNamespace, street_space: LabelSpace) -> None:
    figure = draw_teaser(street, street_space)
    assert titles(figure) == [
        "Picture",
        "Image tags",
        "Heat maps of the tags",
        "Seeds",
        "Round 1",
        "Round 2",
        "Round 3",
        "Segmentation",
    ]
    picture, tags, heat, seeds, *_, prediction = figure.axes
    np.testing.assert_array_equal(shown_in(picture), street.image)
    np.testing.assert_array_equal(shown_in(heat), class_heat_overlay(street.image, street.cam, street_space))
    np.testing.assert_array_equal(shown_in(seeds), seed_overlay(street.image, street.seeds, street_space))
    np.testing.assert_array_equal(shown_in(prediction), seed_overlay(street.image, street.truth, street_space))
    assert [text.get_text() for text in tags.texts] == ["road", "traffic light", "sky"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["road", "traffic light", "sky"]
    assert figure.data["tags"] == ["road", "traffic light", "sky"]


def test_heat_too_pale_to_be_seen_is_in_no_legend(street: SimpleNamespace, street_space: LabelSpace) -> None:
    street.truth, street.cam = street.seeds, 0.1 * street.cam
    legend = draw_teaser(street, street_space).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["road", "sky"]


def test_tags_fit_their_chips(street: SimpleNamespace) -> None:
    """Nineteen names as long as "traffic light" stay inside the panel and apart from each other."""
    space = LabelSpace(name="long", classes=tuple(f"traffic light{n:02d}" for n in range(19)), colors=((9, 9, 9),) * 19)
    cam = np.zeros((19, 24, 32), np.float32)
    figure = teaser(street.image, np.ones(19, bool), cam, street.seeds, [], street.truth, space)
    rendered(figure, "png", dpi=100)  # extents are measured with the last renderer
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    assert len(boxes) == 19
    assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[index + 1 :])


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_teaser_twice_is_the_same(street: SimpleNamespace, street_space: LabelSpace, kind: str) -> None:
    first, second = (rendered(draw_teaser(street, street_space), kind) for _ in range(2))
    assert first == second


def test_simple_pictures_beside_their_maps(street: SimpleNamespace) -> None:
    heats = [street.cam[0], street.cam[2]]
    figure = simple_cams([street.image] * 2, heats, ["road", "traffic_light"])
    assert titles(figure) == ["road", "traffic light"]
    for axes, heat in zip(figure.axes, heats, strict=False):
        pair = shown_in(axes)
        assert pair.shape == (160, 320, 3)
        np.testing.assert_array_equal(pair[80, 80], street.image[12, 16])
        np.testing.assert_array_equal(pair[:, 160:], thumbnail(heat_overlay(street.image, heat), 160, 160))
    assert len([axes for axes in figure.axes if axes.get_images()]) == 2 + 1  # and the scale of heat
    assert figure.data["classes"] == ["road", "traffic_light"]


def test_heat_maps_of_tags_only(street: SimpleNamespace, street_space: LabelSpace) -> None:
    views = {"whole": np.ones_like(street.cam), "patches": street.cam, "dense": np.zeros_like(street.cam)}
    figure = views_of_tags(street.image, views, street.tags, (2, 4), street_space)
    assert titles(figure) == ["Picture", "road", "traffic light", "sky"]
    for index in range(3):
        column = shown_in(figure.axes[1 + index])
        for row, heat in enumerate(views.values()):  # 24 rows of the picture each, 2 of white between
            np.testing.assert_array_equal(column[26 * row : 26 * row + 24], heat_overlay(street.image, heat[index]))
    first = figure.axes[0]
    assert [text.get_text() for text in first.texts] == ["whole", "patches", "dense"]
    np.testing.assert_array_equal(shown_in(first)[52:], street.image)  # only the patches have borders drawn in
    assert not np.array_equal(shown_in(first)[26:50], street.image)
    assert any(text.get_text() == "not tagged, removed: lane" for text in figure.texts)
    assert figure.data["patches"].shape == (3, 24, 32)


def test_superpixels_heat_and_seeds_beside_each_other(street: SimpleNamespace, street_space: LabelSpace) -> None:
    figure = superpixels_and_seeds(street.image, street.regions, street.cam, street.seeds, street_space)
    assert titles(figure) == ["Superpixels", "Heat: the hottest tag", "Seeds: the first labels"]
    regions, heat, seeds = (shown_in(axes) for axes in figure.axes)
    np.testing.assert_array_equal(regions, region_borders(street.image, street.regions))
    np.testing.assert_array_equal(heat, class_heat_overlay(street.image, street.cam, street_space))
    np.testing.assert_array_equal(seeds, seed_overlay(street.image, street.seeds, street_space))
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["road", "traffic light", "sky"]  # the light is in the heat alone


def test_heat_has_a_scale_from_0_to_1_below_the_pictures(street: SimpleNamespace, street_space: LabelSpace) -> None:
    figures = [
        simple_cams([street.image], [street.cam[0]], ["road"]),
        views_of_tags(street.image, {"whole": street.cam}, street.tags, (2, 4), street_space),
    ]
    for figure in figures:
        *places, scale = [axes for axes in figure.axes if axes.get_images()]
        np.testing.assert_array_equal(shown_in(scale), heat_scale())
        assert [text.get_text() for text in scale.texts] == ["heat 0", "1"]
        assert scale.get_position().y1 < min(axes.get_position().y0 for axes in places)


def test_bad_input(street: SimpleNamespace, street_space: LabelSpace) -> None:
    with pytest.raises(DataError, match="cam is"):
        teaser(street.image, street.tags, street.cam[:, 1:], street.seeds, [], street.truth, street_space)
    with pytest.raises(DataError, match="holds 7"):
        teaser(street.image, street.tags, street.cam, street.seeds, [], np.full_like(street.truth, 7), street_space)
