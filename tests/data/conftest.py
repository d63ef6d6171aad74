"""Miniature trees that mirror the layouts of the real data sets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
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
