"""Which files of Cityscapes' tree count where several could."""

from pathlib import Path

import numpy as np

from wsss_lib.data.cityscapes import cityscapes
from wsss_lib.data.label_spaces import CITYSCAPES


def test_label_ids_come_before_train_ids(cityscapes_root: Path, paint) -> None:
    folder = cityscapes_root / "gtFine" / "val" / "lindau"
    sky = np.full((6, 8), CITYSCAPES.index("sky"))
    paint(folder / "lindau_000000_000019_gtFine_labelTrainIds.png", sky)
    tags = cityscapes(cityscapes_root, "val").tags
    assert tags is not None
    assert np.array(CITYSCAPES.classes)[tags[0]].tolist() == ["road", "car"]


def test_hidden_files_are_no_pictures(cityscapes_root: Path) -> None:
    """A Mac leaves one beside every file."""
    folder = cityscapes_root / "leftImg8bit" / "val" / "lindau"
    (folder / "._lindau_000000_000019_leftImg8bit.png").write_bytes(b"Mac OS X")
    assert cityscapes(cityscapes_root, "val").names == ("lindau_000000_000019",)
