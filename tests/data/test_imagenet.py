"""ImageNet's synset folders: the table, which pictures are taken, and the report."""

from pathlib import Path

import pytest

from wsss_lib.data.imagenet import SYNSET, imagenet, imagenet_report, synset_folders, synsets
from wsss_lib.data.label_spaces import CAMVID, CITYSCAPES
from wsss_lib.data.simple_images import missing_targets, target_of
from wsss_lib.vocabulary import IGNORE, DataError, SettingsError

FILES = {
    "n04096066": 2,  # road, main
    "n04335209": 3,  # street, main
    "n04334599": 2,  # street, further
    "n03028079": 1,  # church, stand-in of building
    "n02958343": 2,  # car
    "n12102133": 1,  # grass, main
    "n09468604": 1,  # valley, stand-in of grass
    "n01440764": 4,  # tench: in no class
}


def plant(root: Path, paint, photo) -> Path:
    for seed, (synset, count) in enumerate(FILES.items()):
        for k in range(count):
            paint(root / synset / f"{synset}_{k}.JPEG", photo(10 * seed + k))
    return root


@pytest.mark.parametrize("place", ["", "train", "ILSVRC/Data/CLS-LOC/train"])
def test_main_synsets_come_first_and_fill_up(tmp_path: Path, paint, photo, place: str) -> None:
    """Five roads of seven: both of the first synset, three of the second, none of the third."""
    plant(tmp_path / place, paint, photo)
    simple = imagenet(tmp_path, CAMVID, per_class=5)
    assert simple.classes == ("building", "car", "grass", "road")
    assert [simple.labels.count(c) for c in range(4)] == [1, 2, 1, 5]
    assert simple.targets == (CAMVID.index("Building"), CAMVID.index("Car"), IGNORE, CAMVID.index("Road"))
    assert simple.image(0).shape == (6, 8, 3)
    assert len(imagenet(tmp_path, CAMVID)) == 1 + 2 + 1 + 7


def test_the_report_says_what_was_found_and_what_stands_in(tmp_path: Path, paint, photo) -> None:
    reports = {each.simple_class: each for each in imagenet_report(plant(tmp_path, paint, photo), per_class=5)}
    road, building, grass, sky = (reports[name] for name in ("road", "building", "grass", "sky"))
    assert (road.taken, road.found) == (5, {"n04096066 road": 2, "n04335209 street": 3, "n04334599 street": 2})
    assert "n02744323 arterial road" in road.missing
    assert building.stand_in
    assert str(building).endswith("these are stand-ins)")
    assert "n03028079 church 1" in str(building)
    assert not grass.stand_in
    assert "n09468604 valley" not in {*grass.found, *grass.missing}
    assert (sky.taken, sky.found) == (0, {})


def test_every_class_of_the_table_stands_for_something_on_the_road() -> None:
    """All of Cityscapes and all of CamVid can be learnt; every synset has one class and a well-formed id."""
    names = {row.simple_class for row in synsets()}
    for space in (CITYSCAPES, CAMVID):
        assert {target_of(name, space) for name in names} >= set(range(len(space)))
    ids = [row.synset for row in synsets()]
    assert len(ids) == len(set(ids))
    assert all(SYNSET.fullmatch(each) for each in ids)
    assert {row.rank for row in synsets()} == {"main", "further", "stand-in"}
    assert all(row.ilsvrc for row in synsets() if row.rank == "stand-in")


def test_classes_without_pictures_are_gaps(tmp_path: Path, paint, photo) -> None:
    assert "Sky" in missing_targets(imagenet(plant(tmp_path, paint, photo), CAMVID))


def test_folders_that_hold_nothing_are_refused(tmp_path: Path, paint, photo) -> None:
    with pytest.raises(DataError, match=r"has no synset folders.*register at image-net\.org"):
        synset_folders(tmp_path)
    paint(tmp_path / "n01440764" / "tench.JPEG", photo(1))
    with pytest.raises(DataError, match="has no picture of any synset of the table"):
        imagenet(tmp_path, CAMVID)
    with pytest.raises(SettingsError, match="per_class must be at least 1"):
        imagenet(tmp_path, CAMVID, per_class=0)
