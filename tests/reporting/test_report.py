"""The page about a network trained on one's own pictures: every panel is what it is called, and all text is escaped."""

import base64
import io
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from wsss_lib.reporting.overlays import class_heat_overlay, seed_overlay
from wsss_lib.reporting.palette import colorize
from wsss_lib.reporting.report import WIDTH, Example, report_page
from wsss_lib.vocabulary import Image, LabelSpace


@pytest.fixture
def example(street: SimpleNamespace) -> Example:
    return Example(
        name="a <b> & c", tags=["road", "sky"], image=street.image, heat=street.cam, seeds=street.seeds,
        labels=np.zeros_like(street.truth), prediction=street.truth,
    )  # fmt: skip


def page_of(space: LabelSpace, *examples: Example, iou: float = 12.3) -> str:
    classes = pd.DataFrame({"class": space.classes, "IoU": [iou, *[50.0] * (len(space) - 1)]})
    return report_page(
        title="T", facts=["a < b"], warnings=["w & w"], classes=classes, label_space=space, examples=examples
    )


def pictures_in(page: str) -> dict[str, Image]:
    found = re.findall(r'title="(\w+)" src="data:image/png;base64,([^"]+)"', page)
    return {name: np.asarray(Pillow.open(io.BytesIO(base64.b64decode(data)))) for name, data in found}


def test_every_panel_is_what_it_is_called(example: Example, street_space: LabelSpace) -> None:
    shown = pictures_in(page_of(street_space, example))
    expected = {
        "picture": example.image,
        "heat": class_heat_overlay(example.image, example.heat, street_space),
        "seeds": seed_overlay(example.image, example.seeds, street_space),
        "labels": colorize(example.labels, street_space),
        "prediction": colorize(example.prediction, street_space),
    }
    assert list(shown) == list(expected)
    for name, picture in expected.items():
        np.testing.assert_array_equal(shown[name], picture, err_msg=name)


def test_names_and_sentences_are_escaped(example: Example, street_space: LabelSpace) -> None:
    page = page_of(street_space, example)
    for written in ("a &lt;b&gt; &amp; c: road, sky", "<li>a &lt; b</li>", "w &amp; w"):
        assert written in page
    assert "<b>" not in page


def test_no_number_is_a_dash(street_space: LabelSpace) -> None:
    page = page_of(street_space, iou=float("nan"))
    assert "<td>\N{EN DASH}</td>" in page
    assert "nan" not in page
    assert "<td>12.3</td>" in page_of(street_space)


def test_wide_pictures_are_scaled_down(street: SimpleNamespace, street_space: LabelSpace) -> None:
    wide = {name: getattr(street, name).repeat(20, 0).repeat(20, 1) for name in ("image", "seeds", "truth")}
    example = Example(
        name="wide", tags=[], image=wide["image"], heat=street.cam.repeat(20, 1).repeat(20, 2), seeds=wide["seeds"],
        labels=wide["truth"], prediction=wide["truth"],
    )  # fmt: skip
    page = page_of(street_space, example)
    assert {picture.shape for picture in pictures_in(page).values()} == {(240, WIDTH, 3)}
    assert "wide: no tags" in page
