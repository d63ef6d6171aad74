"""Figure 2."""

from types import SimpleNamespace

import numpy as np
import pytest

from wsss_lib.reporting.canvas import PaperFigure, rendered
from wsss_lib.reporting.overlays import class_heat_overlay, patch_borders, region_borders, seed_overlay
from wsss_lib.reporting.overview_figure import framework
from wsss_lib.vocabulary import DataError, LabelSpace


def draw(street: SimpleNamespace, space: LabelSpace, rounds: int = 3, grid: tuple[int, int] = (2, 4)) -> PaperFigure:
    return framework(
        [street.image] * 5,
        street.image,
        grid,
        street.cam,
        street.regions,
        street.seeds,
        [street.truth] * rounds,
        street.truth,
        space,
    )


def test_stages_in_order(street: SimpleNamespace, street_space: LabelSpace) -> None:
    figure = draw(street, street_space)
    assert [axes.get_title() for axes in figure.axes] == [
        "Simple pictures",
        "Patches of the scene",
        "Heat maps",
        "Superpixels",
        "Seeds",
        "",
        "Labels, round 1",
        "Labels, round 2",
        "Labels, round 3",
        "Prediction",
    ]
    by_title = {axes.get_title(): axes.get_images() for axes in figure.axes}
    np.testing.assert_array_equal(by_title["Patches of the scene"][0].get_array(), patch_borders(street.image, (2, 4)))
    np.testing.assert_array_equal(by_title["Superpixels"][0].get_array(), region_borders(street.image, street.regions))
    np.testing.assert_array_equal(
        by_title["Heat maps"][0].get_array(), class_heat_overlay(street.image, street.cam, street_space)
    )
    written = " ".join(text.get_text() for text in figure.texts)
    assert all(section in written for section in ("(3.1)", "(3.2)", "(3.3)", "train again"))
    assert figure.data["grid"] == [2, 4]


def test_uncut_scene_is_not_called_patches(street: SimpleNamespace, street_space: LabelSpace) -> None:
    scene = draw(street, street_space, grid=(1, 1)).axes[1]
    assert scene.get_title() == "Scene"
    np.testing.assert_array_equal(scene.get_images()[0].get_array(), street.image)


def test_every_round_shows_its_own_labels(street: SimpleNamespace, street_space: LabelSpace) -> None:
    maps = [np.full_like(street.truth, index) for index in range(3)]
    figure = framework(
        [street.image], street.image, (2, 4), street.cam, street.regions, street.seeds, maps, street.truth, street_space
    )
    shown = {axes.get_title(): axes.get_images() for axes in figure.axes}
    names = ["Seeds", *(f"Labels, round {number}" for number in (1, 2, 3)), "Prediction"]
    for name, label_map in zip(names, [street.seeds, *maps, street.truth], strict=True):
        expected = seed_overlay(street.image, label_map, street_space)
        np.testing.assert_array_equal(shown[name][0].get_array(), expected)


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_any_number_of_rounds(street: SimpleNamespace, street_space: LabelSpace, rounds: int) -> None:
    """The last three are drawn under their own numbers; one round alone has no way back."""
    figure = draw(street, street_space, rounds)
    names = [axes.get_title() for axes in figure.axes if axes.get_title().startswith("Labels")]
    assert names == [f"Labels, round {number}" for number in range(max(1, rounds - 2), rounds + 1)]
    assert any("train again" in text.get_text() for text in figure.texts) == (rounds > 1)


def test_twice_is_the_same(street: SimpleNamespace, street_space: LabelSpace) -> None:
    assert rendered(draw(street, street_space), "svg") == rendered(draw(street, street_space), "svg")


def test_sizes_must_agree(street: SimpleNamespace, street_space: LabelSpace) -> None:
    street.regions = street.regions[:3]
    with pytest.raises(DataError, match="regions is"):
        draw(street, street_space)
