"""The one tag rule and the tag files."""

import json
from pathlib import Path

import numpy as np
import pytest

from wsss_lib.data.label_spaces import CAMVID, VOC
from wsss_lib.data.tags import classes_in_tags, names_in_tags_csv, read_tags, read_tags_csv, tags_from_label_map
from wsss_lib.vocabulary import IGNORE, DataError, LabelSpace, SettingsError


@pytest.fixture
def ten_by_ten() -> np.ndarray:
    """100 pixels: 70 of class 0, 7 of class 1, 1 of class 3 and 22 unknown."""
    return np.repeat(np.array([0, 1, 3, IGNORE], dtype=np.uint8), [70, 7, 1, 22]).reshape(10, 10)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, [True, True, False, True]),  # one pixel is enough, none is not
        (0.01, [True, True, False, True]),  # exactly the share is enough
        (0.07, [True, True, False, False]),  # 0.07 * 100 is more than 7 in floating point
        (0.0701, [True, False, False, False]),
        (0.7, [True, False, False, False]),  # 70 of all 100 pixels, although 90 % of the known ones
        (0.71, [False, False, False, False]),
    ],
)
def test_rule_by_hand(ten_by_ten: np.ndarray, share: float, expected: list[bool]) -> None:
    tags = tags_from_label_map(ten_by_ten, 4, share)
    assert tags.dtype == bool
    assert tags.tolist() == expected


def test_rule_leaves_the_label_map_alone_and_takes_views(ten_by_ten: np.ndarray) -> None:
    before = ten_by_ten.copy()
    assert tags_from_label_map(ten_by_ten[::2, ::2].T, 4).tolist() == [True, False, False, False]
    np.testing.assert_array_equal(ten_by_ten, before)


def test_all_unknown_has_no_tags() -> None:
    assert not tags_from_label_map(np.full((2, 2), IGNORE, dtype=np.uint8), 3).any()


def test_value_outside_the_label_space_is_named(ten_by_ten: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"holds \[3\], but 3 classes have 0\.\.2"):
        tags_from_label_map(ten_by_ten, 3)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_share_outside_zero_to_one_is_refused(ten_by_ten: np.ndarray, share: float) -> None:
    with pytest.raises(SettingsError, match="minimum_share"):
        tags_from_label_map(ten_by_ten, 4, share)


def _csv(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "tags.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "name,tags\nb,Car|Sky\na,\n",
        "\ufeffname,tags\r\na,\r\nb, Sky | Car \r\n",  # as spreadsheets save it
        "id,tags,repo,w\nb,Sky|Car,somewhere,3\na,,elsewhere,4\n",
        "name,split,tags\na,train,\nb,train,Car|Sky\n",
    ],
)
def test_table_follows_the_order_of_the_names(tmp_path: Path, text: str) -> None:
    table = read_tags_csv(_csv(tmp_path, text), ("a", "b"), CAMVID)
    assert table.shape == (2, 11)
    assert not table[0].any()
    assert np.flatnonzero(table[1]).tolist() == [CAMVID.index("Sky"), CAMVID.index("Car")]


def test_split_keeps_its_own_rows(tmp_path: Path) -> None:
    path = _csv(tmp_path, "name,split,tags\nb,train,Car\na,val,Sky\nc,train,Road\n")
    assert names_in_tags_csv(path, "train") == ("b", "c")
    assert names_in_tags_csv(path) == ("b", "a", "c")
    assert read_tags_csv(path, ("a",), CAMVID, split="val").sum() == 1


def test_background_is_in_every_picture_and_need_not_be_listed(tmp_path: Path) -> None:
    table = read_tags_csv(_csv(tmp_path, "name,tags\nx,\ny,cat\n"), ("x", "y"), VOC)
    assert [np.flatnonzero(row).tolist() for row in table] == [[VOC.background], [VOC.background, VOC.index("cat")]]


def test_names_may_hold_commas_and_quotes(tmp_path: Path) -> None:
    path = _csv(tmp_path, 'name,tags\n"with,comma",Car\n"with ""quotes""",Sky\n')
    table = read_tags_csv(path, ("with,comma", 'with "quotes"'), CAMVID)
    assert [np.flatnonzero(row).tolist() for row in table] == [[CAMVID.index("Car")], [CAMVID.index("Sky")]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "name,tags\na,Sky\nb,Cra\n",
            r"tag 'Cra' of 'b' is not a class of camvid \(did you mean 'Car'\?\); its classes",
        ),
        ("name,tags\na,Sky\n", "no row for b; add"),
        ("name,tags\na,Sky\nb,Sky\nc.png,Sky\n", r"not there: c\.png; remove the rows or add"),
        ("name,tags\na,Sky\nb,Sky\na.csv,Sky\n", r"not there: a\.csv"),
        ("name,tags\na,Sky\nb,Sky\na,Car\n", "two rows for the picture 'a'"),
        ("picture,classes\na,Sky\n", r"columns \['classes', 'picture'\]; its header must have name"),
        ("", "its header must have name"),
        ("name,tags\na,Sky\nb,Car,Sky\n", r"more cells than its header in line 3; separate the tags .* by \|"),
    ],
)
def test_bad_tag_files_say_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_tags_csv(_csv(tmp_path, text), ("a", "b"), CAMVID)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tags.csv", "name,tags\na.jpg,Road|Sky\na.png,Car\n"),
        ("tags.csv", "name,tags\na.png,Road|Sky\na,Car\n"),
        ("tags.csv", "name,tags\na,Road|Sky\na.JPG,Car\n"),
        ("tags.json", '{"a.jpg": ["Road", "Sky"], "a.png": ["Car"]}'),
        ("tags.json", '{"a": ["Road", "Sky"], "a.png": ["Car"]}'),
    ],
)
def test_two_rows_for_one_picture_are_not_merged(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=rf"{file} has two rows for the picture 'a' \(a.* and a.*\); keep one"):
        read_tags(tmp_path / file, ("a",), CAMVID)


def test_a_name_that_is_twice_in_a_json_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text('{"b": [], "a": ["Sky"], "a": ["Car"]}')
    with pytest.raises(DataError, match=r"tags\.json cannot be read .*a name is there twice: 'a'"):
        read_tags(tmp_path / "tags.json", ("a", "b"), CAMVID)


def test_empty_rows_say_nothing(tmp_path: Path) -> None:
    path = _csv(tmp_path, "name,tags,note\n,,\na,Sky,\n , ,\n\nb,,\n,,\n")
    assert read_tags_csv(path, ("a", "b"), CAMVID).sum() == 1
    assert names_in_tags_csv(path) == ("a", "b")
    assert classes_in_tags(path) == ("Sky",)


@pytest.mark.parametrize("nameless", [",Car", " ,Car"])
def test_a_row_with_tags_and_no_name_is_told_by_its_line(tmp_path: Path, nameless: str) -> None:
    """Empty lines and empty rows count, as an editor counts them."""
    path = _csv(tmp_path, f"name,tags\n,\n\na,Sky\n{nameless}\n")
    with pytest.raises(DataError, match=r"tags\.csv names no picture in line 5; add the picture's name or remove"):
        read_tags_csv(path, ("a",), CAMVID)


TOGETHER, APART = "caf\u00e9", "cafe\u0301"
"""One name in the two spellings of its accent: as spreadsheets have it, and as macOS names files."""


@pytest.mark.parametrize(("listed", "on_disk"), [(TOGETHER, APART), (APART, TOGETHER)])
@pytest.mark.parametrize("file", ["tags.csv", "tags.json"])
def test_names_are_met_in_either_spelling_of_their_accents(
    tmp_path: Path, file: str, listed: str, on_disk: str
) -> None:
    content = {listed: ["Sky"], f"{listed} 2.jpg": ["Car"]}
    csv_text = "name,tags\n" + "".join(f"{name},{tags[0]}\n" for name, tags in content.items())
    text = csv_text if file == "tags.csv" else json.dumps(content)
    (tmp_path / file).write_text(text, encoding="utf-8")
    table = read_tags(tmp_path / file, (f"{on_disk} 2", on_disk), CAMVID)
    assert [CAMVID.classes[row.argmax()] for row in table] == ["Car", "Sky"]


@pytest.mark.parametrize("file", ["tags.csv", "tags.json"])
def test_a_tag_in_two_spellings_is_one_class(tmp_path: Path, file: str) -> None:
    text = f"name,tags\na,{APART}|Sky\nb,{TOGETHER}\n"
    if file == "tags.json":
        text = json.dumps({"a": [APART, "Sky"], "b": [TOGETHER]})
    (tmp_path / file).write_text(text, encoding="utf-8")
    assert classes_in_tags(tmp_path / file) == ("Sky", TOGETHER)
    space = LabelSpace(name="own", classes=("Sky", TOGETHER), colors=((0, 0, 0), (1, 1, 1)))
    assert read_tags(tmp_path / file, ("a", "b"), space).tolist() == [[True, True], [False, True]]


def test_one_name_in_two_spellings_is_refused(tmp_path: Path) -> None:
    rows = _csv(tmp_path, f"name,tags\n{TOGETHER},Sky\n{APART},Car\n")
    with pytest.raises(DataError, match=r"tags\.csv has two rows for the picture"):
        read_tags_csv(rows, (TOGETHER,), CAMVID)
    with pytest.raises(DataError, match=r"two pictures are called .* rename or remove one"):
        read_tags_csv(rows, (TOGETHER, APART), CAMVID)


def test_names_not_met_are_shown_as_they_are_on_disk(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"has no row for {APART}; add"):
        read_tags_csv(_csv(tmp_path, "name,tags\na,Sky\n"), ("a", APART), CAMVID)


def test_empty_cells_at_the_end_of_a_row_say_nothing(tmp_path: Path) -> None:
    table = read_tags_csv(_csv(tmp_path, "name,tags\na,Sky,,\nb,Car, \n"), ("a", "b"), CAMVID)
    assert table.sum() == 2


def test_a_byte_order_mark_is_no_part_of_the_tags(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    (tmp_path / "tags.json").write_text('{"a": ["Sky"]}', encoding="utf-8-sig")
    (tmp_path / "tags.csv").write_text("name,tags\na,Sky\n", encoding="utf-8-sig")
    for name in ("tags.json", "tags.csv"):
        assert classes_in_tags(tmp_path / name) == ("Sky",)


def test_rows_may_be_called_as_files(tmp_path: Path) -> None:
    path = _csv(tmp_path, "name,tags\na.JPG,Sky\nb.x.png,Car\nc.png,Road\nd.csv,Road\n")
    table = read_tags_csv(path, ("a", "b.x", "c.png", "d.csv"), CAMVID)
    assert [CAMVID.classes[row.argmax()] for row in table] == ["Sky", "Car", "Road", "Road"]


def test_missing_and_binary_tag_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no tags file"):
        read_tags_csv(tmp_path / "tags.csv", ("a",), CAMVID)
    (tmp_path / "tags.csv").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(DataError, match="cannot be read as a CSV file"):
        read_tags_csv(tmp_path / "tags.csv", ("a",), CAMVID)


def test_split_needs_its_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column split"):
        names_in_tags_csv(_csv(tmp_path, "name,tags\na,Sky\n"), "train")
