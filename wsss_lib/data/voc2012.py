"""PASCAL VOC 2012 as it is unpacked, with SBD: 10,582 / 1,449 / 1,456 pictures, background and 20 objects (Everingham
et al. 2015; Hariharan et al., ICCV 2011).

Layout; ``VOCdevkit/VOC2012`` may also be the folder that is given::

    VOCdevkit/VOC2012/JPEGImages/<id>.jpg
    VOCdevkit/VOC2012/SegmentationClass/<id>.png              palette PNGs, 0..20 and 255 = border or difficult
    VOCdevkit/VOC2012/ImageSets/Segmentation/<split>.txt      train, val, and test where its package is unpacked too
    benchmark_RELEASE/dataset/cls/<id>.mat, train.txt, val.txt                        SBD, or, converted by others:
    VOCdevkit/VOC2012/SegmentationClassAug/<id>.png

The split ``train`` is the usual one of 10,582: VOC's own 1,464 and all of SBD that is not in VOC's val; ``train_voc``
is the 1,464 alone. A picture that both have keeps VOC's label map. The labels of the test split are at the server.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import scipy.io

from wsss_lib.data.disk import few
from wsss_lib.data.label_spaces import VOC, did_you_mean
from wsss_lib.data.pictures import check_sizes, fingerprint_of_files, image_reader, read_label_map
from wsss_lib.data.tags import tag_table
from wsss_lib.vocabulary import IGNORE, DataError, LabelMap, SceneSet, SettingsError

COUNTS: Mapping[str, int] = {"train": 10_582, "train_voc": 1_464, "val": 1_449, "test": 1_456}
"""Pictures of every split."""

HOW_TO_GET = (
    "get VOCtrainval_11-May-2012.tar from host.robots.ox.ac.uk, unpack it, and give the folder that holds VOCdevkit/"
)
HOW_TO_GET_SBD = (
    "get benchmark.tgz of SBD, unpack benchmark_RELEASE/ beside VOCdevkit/, or put the converted label maps into "
    "VOCdevkit/VOC2012/SegmentationClassAug/"
)


def voc2012(root: Path, split: str) -> SceneSet:
    """One split at the pictures' own sizes, in the order of the lists.

    Tags are the classes of the label maps, and the background in every picture. All label maps are read once here,
    pictures only on demand. Raises ``DataError`` where anything is missing or damaged; SBD is a part of ``train``.
    """
    names = find_names(root, split)
    pictures = find_pictures(root, split, names)
    labels = [] if split == "test" else find_labels(root, split, names)
    if labels:
        pairs = [(a, b) for a, b in zip(pictures, labels, strict=True) if b.suffix == ".png"]
        check_sizes([a for a, _ in pairs], [b for _, b in pairs])
    label_map = partial(_label_map, labels) if labels else None
    tags = None if label_map is None else tag_table(label_map, len(names), len(VOC))
    if tags is not None:
        tags[:, VOC.background] = True
    return SceneSet(
        label_space=VOC,
        split=split,
        names=tuple(names),
        image=image_reader(pictures),
        label_map=label_map,
        tags=tags,
        fingerprint=fingerprint_of_files([*pictures, *labels], names),
    )


def devkit(root: Path) -> Path:
    """The folder of VOC 2012 in what was unpacked."""
    places = (root / "VOCdevkit" / "VOC2012", root / "VOC2012", root)
    found = next((place for place in places if (place / "JPEGImages").is_dir()), None)
    if found is None:
        raise DataError(f"there is no VOCdevkit/VOC2012/JPEGImages in {root}; {HOW_TO_GET}")
    return found


def sbd(root: Path) -> Path | None:
    """The folder of SBD, beside the development kit or in it; ``None`` without it."""
    kit = devkit(root)
    places = [parent / "benchmark_RELEASE" / "dataset" for parent in (root, kit, kit.parent, kit.parent.parent)]
    return next((place for place in places if (place / "cls").is_dir()), None)


def find_names(root: Path, split: str) -> list[str]:
    """The picture ids of a split, in the order of its list."""
    if split not in COUNTS:
        raise SettingsError(
            f"{split!r} is not a split of VOC 2012{did_you_mean(split, COUNTS)}; there are {few(COUNTS, 4)}"
        )
    lists = devkit(root) / "ImageSets" / "Segmentation"
    if split != "train":
        return read_list(lists / f"{split.removesuffix('_voc')}.txt")
    own, held_out = read_list(lists / "train.txt"), set(read_list(lists / "val.txt"))
    return [*own, *sorted(_augmenting(root) - set(own) - held_out)]


def _augmenting(root: Path) -> set[str]:
    """Every picture that SBD has labels of, whichever way they came."""
    converted, original = devkit(root) / "SegmentationClassAug", sbd(root)
    if converted.is_dir():
        return {path.stem for path in converted.glob("*.png")}
    if original is None:
        raise DataError(f"the {COUNTS['train']:,} training pictures need SBD, which is not in {root}; {HOW_TO_GET_SBD}")
    return {name for part in ("train", "val") for name in read_list(original / f"{part}.txt")}


def read_list(path: Path) -> list[str]:
    """The first word of every line: picture ids."""
    try:
        names = [line.split()[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        raise DataError(f"there is no list {path}; {HOW_TO_GET}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list {path} cannot be read ({error}); {HOW_TO_GET}") from None
    if strange := [name for name in names if Path(name).name != name]:
        raise DataError(f"{path} lists {strange[0]!r}, which is no picture id; take the list of the data set")
    if not names:
        raise DataError(f"the list {path} is empty; {HOW_TO_GET}")
    return names


def find_pictures(root: Path, split: str, names: Sequence[str]) -> list[Path]:
    """The pictures of the ids, in their order."""
    pictures = [devkit(root) / "JPEGImages" / f"{name}.jpg" for name in names]
    _refuse_missing(f"pictures of VOC's {split} split", pictures, HOW_TO_GET)
    return pictures


def find_labels(root: Path, split: str, names: Sequence[str]) -> list[Path]:
    """The label file of every id: VOC's own, else a converted one of SBD, else SBD's."""
    kit, original = devkit(root), sbd(root)
    labels = []
    for name in names:
        places = [kit / "SegmentationClass" / f"{name}.png", kit / "SegmentationClassAug" / f"{name}.png"]
        places += [] if original is None else [original / "cls" / f"{name}.mat"]
        labels.append(next(filter(Path.is_file, places), places[0]))
    _refuse_missing(f"label maps of VOC's {split} split", labels, HOW_TO_GET)
    return labels


def _refuse_missing(what: str, files: Sequence[Path], remedy: str) -> None:
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} of {len(files)} {what} are missing ({few(missing)}); {remedy}")


def read_voc_labels(path: Path) -> LabelMap:
    """A label map from a palette PNG, or from a file of SBD (MATLAB: ``GTcls.Segmentation``, no border)."""
    if path.suffix != ".mat":
        return read_label_map(path, VOC)
    try:
        found = np.asarray(
            scipy.io.loadmat(path, variable_names=["GTcls"], simplify_cells=True)["GTcls"]["Segmentation"]
        )
        values = found.astype(np.uint8)
    except Exception as error:  # SciPy raises nearly any type on a damaged file
        raise DataError(f"{path} cannot be read as a label map of SBD ({error}); {HOW_TO_GET_SBD}") from None
    if values.ndim != 2 or not np.array_equal(values, found) or ((values >= len(VOC)) & (values != IGNORE)).any():
        raise DataError(f"{path} holds no map of the classes 0..{len(VOC) - 1}; {HOW_TO_GET_SBD}")
    return values


def _label_map(files: Sequence[Path], index: int) -> LabelMap:
    return read_voc_labels(files[index])
