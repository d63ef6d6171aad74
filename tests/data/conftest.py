"""Miniature trees that mirror the layouts of the real data sets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image as Pillow

Paint = Callable[..., Path]


@pytest.fixture
def paint() -> Paint:
    """Writes an array as a picture (the ending says how) and makes the folders it needs."""

    def write(path: Path, array: object, **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(np.asarray(array, dtype=np.uint8)).save(path, **options)
        return path

    return write


@pytest.fixture
def photo() -> Callable[..., np.ndarray]:
    """A colourful picture of 8 x 6 pixels (or ``shape``) that differs from seed to seed."""

    def draw(seed: int, shape: tuple[int, int] = (6, 8)) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)

    return draw


@pytest.fixture
def camvid_root(tmp_path: Path, paint: Paint, photo: Callable[..., np.ndarray]) -> Path:
    """SegNet's layout: 2 train, 1 val, 1 test pictures of 8 x 6; test without labels.

    Train picture ``a`` has Sky above Road, one pixel of Car and one void pixel; ``b`` is all Building.
    """
    root = tmp_path / "camvid"
    for seed, (split, stem) in enumerate((("train", "b"), ("train", "a"), ("val", "c"), ("test", "d"))):
        paint(root / split / f"{stem}.webp", photo(seed), lossless=True)
    street = np.repeat([[0], [0], [0], [3], [3], [3]], 8, axis=1)
    street[5, 7], street[0, 0] = 8, 11
    paint(root / "trainannot" / "a.png", street)
    paint(root / "trainannot" / "b.png", np.full((6, 8), 1))
    paint(root / "valannot" / "c.png", street)
    for split, stems in (("train", "ba"), ("val", "c"), ("test", "d")):
        lines = [f"/SegNet/CamVid/{split}/{stem}.png /SegNet/CamVid/{split}annot/{stem}.png\n" for stem in stems]
        (root / f"{split}.txt").write_text("".join(lines))
    return root


@pytest.fixture
def msrc21_root(tmp_path: Path, paint: Paint, photo: Callable[..., np.ndarray]) -> Path:
    """MSRC-21's layout: one picture of each split; the train label map is void, building, grass and boat."""
    root = tmp_path / "msrc21"
    for seed, name in enumerate(("1_1_s", "2_1_s", "3_1_s")):
        paint(root / "images" / f"{name}.jpg", photo(seed))
    labels = np.zeros((6, 8), dtype=np.uint8)
    labels[1], labels[2], labels[3] = 1, 2, 23
    paint(root / "labels" / "1_1_s.png", labels)
    paint(root / "labels" / "2_1_s.png", np.full((6, 8), 12))
    (root / "tags.csv").write_bytes(
        b"name,split,tags\r\n1_1_s,train,building|grass\r\n3_1_s,test,cow\r\n2_1_s,val,car\r\n"
    )
    return root


@pytest.fixture
def simple_root(tmp_path: Path, paint: Paint, photo: Callable[..., np.ndarray]) -> Path:
    """Class folders: two cars, one wall, one traffic light, one grass, and an empty folder."""
    root = tmp_path / "simple_images"
    files = ("car/x.jpg", "car/y.jpg", "wall/x.jpg", "traffic_light/x.jpg", "grass/x.jpg")
    for seed, file in enumerate(files):
        paint(root / file, photo(seed))
    (root / "boat").mkdir()
    return root


@pytest.fixture
def cityscapes_root(tmp_path: Path, paint: Paint, photo: Callable[..., np.ndarray]) -> Path:
    """Cityscapes' tree: train frames of two cities, one val and one test frame of 8 x 6, and the next frames of train.

    Label ids of every map: void (4) with one pixel of a bridge (15), road (7) below, one car (26).
    """
    root = tmp_path / "cityscapes"
    frames = ("train/aachen_000001_000019", "train/ulm_000002_000019", "val/lindau_000000_000019")
    ids = np.repeat([[4], [4], [4], [7], [7], [7]], 8, axis=1)
    ids[0, 0], ids[5, 7] = 15, 26
    for seed, frame in enumerate((*frames, "test/bonn_000003_000019")):
        split, name = frame.split("/")
        city = name.partition("_")[0]
        paint(root / "leftImg8bit" / split / city / f"{name}_leftImg8bit.png", photo(seed))
        labels = np.ones((6, 8)) if split == "test" else ids  # the published test files hold no evaluated class
        paint(root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png", labels)
        if split == "train":
            following = f"{name[:-6]}000020_leftImg8bit.png"
            paint(root / "leftImg8bit_sequence" / split / city / following, photo(100 + seed))
    return root


@pytest.fixture
def voc_root(tmp_path: Path, paint: Paint, photo: Callable[..., np.ndarray]) -> Path:
    """VOC's and SBD's trees. VOC: train a, val b, test t. SBD: train a, c and val b, d; so ``train`` is a, c, d.

    Label maps: a cat (8) on background under a border of 255; in SBD a dog (12) instead, without a border.
    """
    root = tmp_path / "voc"
    kit, benchmark = root / "VOCdevkit" / "VOC2012", root / "benchmark_RELEASE" / "dataset"
    lists = kit / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (benchmark / "cls").mkdir(parents=True)
    for seed, name in enumerate("abcdt"):
        paint(kit / "JPEGImages" / f"2007_00000{name}.jpg", photo(seed))
    cat = np.repeat([[255], [8], [8], [0], [0], [0]], 8, axis=1).astype(np.uint8)
    for name in "ab":
        picture = Pillow.fromarray(cat)
        picture.putpalette(list(range(256)) * 3)
        (kit / "SegmentationClass").mkdir(exist_ok=True)
        picture.save(kit / "SegmentationClass" / f"2007_00000{name}.png")
    dog = np.where(cat == 8, 12, 0).astype(np.uint8)
    for name in "abcd":
        truth = {"Boundaries": np.zeros((20, 1)), "Segmentation": dog, "CategoriesPresent": 12}
        scipy.io.savemat(benchmark / "cls" / f"2007_00000{name}.mat", {"GTcls": truth}, do_compression=True)
    for folder, split, names in ((lists, "train", "a"), (lists, "val", "b"), (lists, "test", "t"),
                                 (benchmark, "train", "ca"), (benchmark, "val", "bd")):  # fmt: skip
        (folder / f"{split}.txt").write_text("".join(f"2007_00000{name}\n" for name in names))
    return root
