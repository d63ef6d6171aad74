"""The sheet, and the files that are saved from it."""

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wsss_lib.reporting.canvas import (
    LINE,
    WIDTH,
    PaperFigure,
    add_remark,
    arrow,
    drawn,
    legend_height,
    picture_grid,
    rendered,
    require_same_size,
    save_figure,
    show,
)
from wsss_lib.reporting.palette import legend_handles
from wsss_lib.vocabulary import DataError, LabelSpace


@drawn
def sample() -> PaperFigure:
    """A picture, text, an arrow and a curve with a marker and a clip path: all that gets an id in an SVG."""
    figure, axes = picture_grid(1, 2, (2, 3), title="Sample")
    show(axes[0, 0], np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14, "Picture")
    axes[0, 1].set_axis_on()
    axes[0, 1].plot([0, 1, 2], [1, 3, 2], "o-")
    arrow(figure, [(1, 1), (2, 1), (2, 2)])
    figure.data = {"curve": [1, 3, 2]}
    return figure


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_equal_figures_give_equal_bytes(kind: str) -> None:
    figure = sample()
    first = rendered(figure, kind)
    assert first == rendered(figure, kind)
    assert first == rendered(sample(), kind)
    assert len(first) > 1000


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_files_carry_no_date(kind: str) -> None:
    content = rendered(sample(), kind)
    assert b"dc:date" not in content
    assert b"CreationDate" not in content


def test_saved_files(tmp_path: Path) -> None:
    paths = save_figure(sample(), tmp_path / "figures", "fig.1")
    assert [path.name for path in paths] == ["fig.1.svg", "fig.1.png", "fig.1.pdf", "fig.1.json"]
    starts = [path.read_bytes()[:5] for path in paths[:3]]
    assert starts == [b"<?xml", b"\x89PNG\r", b"%PDF-"]
    assert json.loads(paths[3].read_text()) == {"curve": [1, 3, 2]}
    before = [path.read_bytes() for path in paths]
    assert [path.read_bytes() for path in save_figure(sample(), tmp_path / "figures", "fig.1")] == before


def test_given_data_replaces_the_figures_own(tmp_path: Path) -> None:
    large = np.arange(5000, dtype=np.int64)
    data = {
        "frame": pd.DataFrame({"name": ["a", "b"], "value": [1.5, math.nan]}),
        "small": np.array([[1, 2]], np.uint8),
        "large": large,
        "number": np.float32(0.5),
        3: (1, float("inf")),
    }
    path = save_figure(sample(), tmp_path, "x", data)[-1]
    assert json.loads(path.read_text()) == {
        "frame": {"columns": ["name", "value"], "rows": [["a", 1.5], ["b", None]]},
        "small": [[1, 2]],
        "large": {"shape": [5000], "dtype": "int64", "sha256": hashlib.sha256(large.tobytes()).hexdigest()},
        "number": 0.5,
        "3": [1, None],
    }


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot be written"):
        save_figure(sample(), tmp_path / "file", "x")


def test_jupyter_gets_a_png_1000_pixels_wide() -> None:
    png = sample()._repr_png_()
    assert png[:4] == b"\x89PNG"
    assert int.from_bytes(png[16:20], "big") == 1000


def test_no_global_figure_is_left_behind() -> None:
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    sample()._repr_png_()
    assert pyplot.get_fignums() == before


def test_pictures_keep_their_proportions_and_do_not_overlap(street_space: LabelSpace) -> None:
    legend = legend_handles(street_space, range(4))
    figure, axes = picture_grid(3, 4, (24, 32, 3), title="Grid", legend=legend, left=0.4)
    boxes = [place.get_position() for place in axes.flat]
    inches = [(box.width * WIDTH, box.height * figure.get_figheight()) for box in boxes]
    assert all(height / width == pytest.approx(24 / 32) for width, height in inches)
    assert not any(a.overlaps(b) for index, a in enumerate(boxes) for b in boxes[index + 1 :])
    assert min(box.y0 for box in boxes) * figure.get_figheight() >= legend_height(legend)
    assert max(box.x1 for box in boxes) <= 1


def test_legend_reads_row_by_row() -> None:
    """Nine classes on lines of seven: the second line starts with the eighth."""
    names = [f"c{number}" for number in range(9)]
    space = LabelSpace(name="nine", classes=tuple(names), colors=((0, 0, 0),) * 9)
    figure, _ = picture_grid(1, 1, (1, 4), title="", legend=legend_handles(space, range(9)))
    rendered(figure, "png", dpi=100)  # extents are measured with the last renderer
    texts = figure.legends[0].get_texts()
    places = {text.get_text(): text.get_window_extent() for text in texts}
    in_reading_order = sorted(places, key=lambda name: (-round(places[name].y0), places[name].x0))
    assert in_reading_order == names


def test_size_mismatch_names_the_map() -> None:
    require_same_size(np.zeros((2, 3, 3), np.uint8), cam=np.zeros((5, 2, 3)))
    with pytest.raises(DataError, match=r"cam is \(3, 2\) but its picture is \(2, 3\)"):
        require_same_size(np.zeros((2, 3, 3), np.uint8), cam=np.zeros((5, 3, 2)))


def test_long_subtitle_stays_between_title_and_pictures() -> None:
    """Two lines of it, which make the figure higher instead of covering the names of the columns."""
    said = "; ".join(["random textures, as large as CamVid 480x360"] * 4)
    figure, axes = picture_grid(1, 2, (1, 2), title="From seeds to labels", subtitle=said)
    name = axes[0, 0].set_title("Seeds", pad=4)
    renderer = figure.canvas.get_renderer()
    title, subtitle, below = (text.get_window_extent(renderer) for text in (*figure.texts, name))
    assert title.y0 >= subtitle.y1 > subtitle.y0 >= below.y1
    assert subtitle.x1 <= figure.bbox.width
    plain, _ = picture_grid(1, 2, (1, 2), title="From seeds to labels")
    assert figure.get_figheight() - plain.get_figheight() == pytest.approx(2 * LINE)


def test_long_remark_stays_beside_the_title() -> None:
    figure, _ = picture_grid(1, 2, (1, 2), title="Heat maps of the tags")
    add_remark(figure, "not tagged, removed: " + ", ".join(["traffic light"] * 8))
    title, remark = (text.get_window_extent(figure.canvas.get_renderer()) for text in figure.texts)
    assert title.x1 < remark.x0
    assert remark.y0 > figure.axes[0].get_window_extent().y1
