"""Label spaces against the tables of their data sets."""

import numpy as np
import pytest

from wsss_lib.data.camvid import merge_original_colors
from wsss_lib.data.label_spaces import (
    CAMVID,
    CITYSCAPES,
    CITYSCAPES_IDS,
    LABEL_SPACES,
    MSRC21,
    TOY_SCENES,
    UNKNOWN_COLOR,
    VOC,
    did_you_mean,
    distinct_colors,
    label_space,
    voc_palette,
)
from wsss_lib.reporting.paper import paper_table
from wsss_lib.vocabulary import IGNORE, LabelSpace, SettingsError


@pytest.mark.parametrize(
    ("name", "count", "background"),
    [("cityscapes", 19, None), ("camvid", 11, None), ("msrc21", 23, None), ("voc", 21, 0), ("toy_scenes", 9, 0)],
)
def test_every_label_space_has_its_number_of_classes(name: str, count: int, background: int | None) -> None:
    assert len(label_space(name)) == count
    assert label_space(name).background == background


@pytest.mark.parametrize("space", LABEL_SPACES.values(), ids=LABEL_SPACES)
def test_colours_and_names_are_distinct(space: LabelSpace) -> None:
    assert len(set(space.colors)) == len(set(space.classes)) == len(space)


@pytest.mark.parametrize("space", LABEL_SPACES.values(), ids=LABEL_SPACES)
def test_only_a_background_may_look_like_an_unknown_pixel(space: LabelSpace) -> None:
    objects = [color for index, color in enumerate(space.colors) if index != space.background]
    assert UNKNOWN_COLOR not in objects


def test_cityscapes_categories_are_the_index_sets_of_the_official_evaluation() -> None:
    assert list(CITYSCAPES.categories.items()) == [
        ("flat", (0, 1)),
        ("construction", (2, 3, 4)),
        ("object", (5, 6, 7)),
        ("nature", (8, 9)),
        ("sky", (10,)),
        ("human", (11, 12)),
        ("vehicle", (13, 14, 15, 16, 17, 18)),
    ]


def test_cityscapes_ids_leave_out_what_is_not_evaluated() -> None:
    ignored = {0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30}
    assert set(CITYSCAPES_IDS) | ignored == set(range(34))
    assert dict(zip(CITYSCAPES.classes, CITYSCAPES_IDS, strict=True))["train"] == 31


CITYSCAPES_TABLE = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
"""Class, label id and colour in the order of the trainIds: a copy of cityscapesScripts, so that no table is its own
answer."""


def test_cityscapes_is_the_table_of_cityscapes_scripts() -> None:
    assert tuple(zip(CITYSCAPES.classes, CITYSCAPES_IDS, CITYSCAPES.colors, strict=True)) == CITYSCAPES_TABLE


def test_camvid_has_the_classes_and_colours_of_segnet() -> None:
    assert tuple(zip(CAMVID.classes, CAMVID.colors, strict=True)) == (
        ("Sky", (128, 128, 128)),
        ("Building", (128, 0, 0)),
        ("Pole", (192, 192, 128)),
        ("Road", (128, 64, 128)),
        ("Pavement", (60, 40, 222)),
        ("Tree", (128, 128, 0)),
        ("SignSymbol", (192, 128, 128)),
        ("Fence", (64, 64, 128)),
        ("Car", (64, 0, 128)),
        ("Pedestrian", (64, 64, 0)),
        ("Bicyclist", (0, 128, 192)),
    )


@pytest.mark.parametrize(
    ("original", "color", "merged"),
    [
        ("Animal", (64, 128, 64), "Pedestrian"),
        ("Archway", (192, 0, 128), "Building"),
        ("Bicyclist", (0, 128, 192), "Bicyclist"),
        ("Bridge", (0, 128, 64), "Building"),
        ("Building", (128, 0, 0), "Building"),
        ("Car", (64, 0, 128), "Car"),
        ("CartLuggagePram", (64, 0, 192), "Pedestrian"),
        ("Child", (192, 128, 64), "Pedestrian"),
        ("Column_Pole", (192, 192, 128), "Pole"),
        ("Fence", (64, 64, 128), "Fence"),
        ("LaneMkgsDriv", (128, 0, 192), "Road"),
        ("LaneMkgsNonDriv", (192, 0, 64), "Road"),
        ("Misc_Text", (128, 128, 64), "SignSymbol"),
        ("MotorcycleScooter", (192, 0, 192), "Bicyclist"),
        ("OtherMoving", (128, 64, 64), "Car"),
        ("ParkingBlock", (64, 192, 128), "Pavement"),
        ("Pedestrian", (64, 64, 0), "Pedestrian"),
        ("Road", (128, 64, 128), "Road"),
        ("RoadShoulder", (128, 128, 192), "Pavement"),
        ("Sidewalk", (0, 0, 192), "Pavement"),
        ("SignSymbol", (192, 128, 128), "SignSymbol"),
        ("Sky", (128, 128, 128), "Sky"),
        ("SUVPickupTruck", (64, 128, 192), "Car"),
        ("TrafficCone", (0, 0, 64), "Pole"),
        ("TrafficLight", (0, 64, 64), "SignSymbol"),
        ("Train", (192, 64, 128), "Car"),
        ("Tree", (128, 128, 0), "Tree"),
        ("Truck_Bus", (192, 128, 192), "Car"),
        ("Tunnel", (64, 0, 64), "Building"),
        ("VegetationMisc", (192, 192, 0), "Tree"),
        ("Void", (0, 0, 0), None),
        ("Wall", (64, 192, 0), "Building"),
    ],
)
def test_camvid_merges_its_32_classes_as_segnet_does(
    original: str, color: tuple[int, int, int], merged: str | None
) -> None:
    found = merge_original_colors(np.array([[color]], dtype=np.uint8))[0, 0]
    assert found == (IGNORE if merged is None else CAMVID.index(merged)), original


def test_camvid_has_the_categories_of_cityscapes_in_the_same_order() -> None:
    assert list(CAMVID.categories) == list(CITYSCAPES.categories)


def test_paper_columns_name_columns_of_the_paper() -> None:
    """Every class of Cityscapes has one; CamVid's Bicyclist and SignSymbol hold what the paper scores apart."""
    columns = [name for name in paper_table(10).columns if name not in ("method", "miou")]
    assert [CITYSCAPES.paper_columns[name] for name in CITYSCAPES.classes] == columns
    assert set(CAMVID.classes) - set(CAMVID.paper_columns) == {"Bicyclist", "SignSymbol"}
    assert set(CAMVID.paper_columns.values()) <= set(columns)
    assert CAMVID.paper_columns["Pavement"] == "sidewalk"


def test_voc_palette_by_hand() -> None:
    """Index 15 = 0b1111: bits 0 and 3 give red 128 + 64, bit 1 green 128, bit 2 blue 128."""
    palette = voc_palette(256)
    assert palette[0] == (0, 0, 0)
    assert palette[1] == (128, 0, 0)
    assert palette[15] == (192, 128, 128)
    assert palette[255] == (224, 224, 192)
    assert VOC.colors == palette[:21]


def test_msrc21_leaves_the_voc_palette_after_chair() -> None:
    assert MSRC21.colors[MSRC21.index("chair")] == voc_palette(19)[18]
    assert MSRC21.colors[MSRC21.index("road")] == (128, 64, 128)


def test_toy_scenes_start_with_the_background() -> None:
    assert TOY_SCENES.classes[0] == "background"


def test_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(
        SettingsError, match=r"'camvit' is not a label space \(did you mean 'camvid'\?\); known are city"
    ):
        label_space("camvit")


def test_suggestion_ignores_case_and_is_silent_when_nothing_is_near() -> None:
    assert did_you_mean("PAVEMENTS", CAMVID.classes) == " (did you mean 'Pavement'?)"
    assert did_you_mean("zebra", CAMVID.classes) == ""


def test_colours_of_ones_own_classes_are_told_apart_whichever_colours_one_sees(least_difference) -> None:
    """VOC's are not: the first ten come as near as 3, where 2 is just seen. Black stands for unknown."""
    assert least_difference([*distinct_colors(16), (0, 0, 0)]) > 15
    assert least_difference(voc_palette(11)[1:]) < 5
    assert len(set(distinct_colors(255))) == 255
    assert (0, 0, 0) not in distinct_colors(255)
