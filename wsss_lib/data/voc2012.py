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
from wsss_lib.data.pictures import check_pair, fingerprint_of_files, image_reader, read_label_map
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
HOW_TO_GET_TEST = (
    "register at host.robots.ox.ac.uk:8080, get VOC2012test.tar, and unpack it where VOCtrainval_11-May-2012.tar is "
    "unpacked, into the same VOCdevkit/"
)


def voc2012(root: Path, split: str) -> SceneSet:
    """One split at the pictures' own sizes, in the order of the lists.

    Tags are the classes of the label maps, and the background in every picture. All label maps are read once here,
    pictures only on demand. Raises ``DataError`` where anything is missing or damaged, or a picture and its label map
    are no pair; SBD is a part of ``train``.
    """
    names = find_names(root, split)
    pictures = find_pictures(root, split, names)
    labels = [] if split == "test" else find_labels(root, split, names)
    label_map = partial(_label_map, labels) if labels else None
    tags = tag_table(partial(_paired_label_map, pictures, labels), len(names), len(VOC)) if labels else None
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
    places = [place / "dataset" for place in _places_of_sbd(root)]
    return next((place for place in places if (place / "cls").is_dir()), None)


def is_begun(root: Path, split: str) -> bool:
    """Whether anything of the package that brings a split is there: SBD of ``train``, the test package of ``test``."""
    kit = devkit(root)
    if split == "train":
        return any(place.is_dir() for place in (kit / "SegmentationClassAug", *_places_of_sbd(root)))
    return split != "test" or _list_file(root, split).is_file()


def _places_of_sbd(root: Path) -> list[Path]:
    kit = devkit(root)
    return [parent / "benchmark_RELEASE" for parent in (root, kit, kit.parent, kit.parent.parent)]


def find_names(root: Path, split: str) -> list[str]:
    """The picture ids of a split, in the order of its list."""
    if split not in COUNTS:
        raise SettingsError(
            f"{split!r} is not a split of VOC 2012{did_you_mean(split, COUNTS)}; there are {few(COUNTS, 4)}"
        )
    if split != "train":
        return read_list(_list_file(root, split), HOW_TO_GET_TEST if split == "test" else HOW_TO_GET)
    own, held_out = (read_list(_list_file(root, part), HOW_TO_GET) for part in ("train_voc", "val"))
    return [*own, *sorted(_augmenting(root) - {*own, *held_out})]


def _list_file(root: Path, split: str) -> Path:
    return devkit(root) / "ImageSets" / "Segmentation" / f"{split.removesuffix('_voc')}.txt"


def _augmenting(root: Path) -> set[str]:
    """Every picture that SBD has labels of, whichever way they came."""
    maps, original = (devkit(root) / "SegmentationClassAug").glob("*.png"), sbd(root)
    if converted := {path.stem for path in maps if not path.name.startswith(".")}:
        return converted
    if original is None:
        raise DataError(f"the {COUNTS['train']:,} training pictures need SBD, which is not in {root}; {HOW_TO_GET_SBD}")
    return {name for part in ("train", "val") for name in read_list(original / f"{part}.txt", HOW_TO_GET_SBD)}


def read_list(path: Path, remedy: str) -> list[str]:
    """The first word of every line: picture ids. ``remedy`` says where the list comes from."""
    try:
        names = [line.split()[0] for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        raise DataError(f"there is no list {path}; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list {path} cannot be read ({error}); {remedy}") from None
    if strange := [name for name in names if Path(name).name != name]:
        raise DataError(f"{path} lists {strange[0]!r}, which is no picture id; take the list of the data set")
    if not names:
        raise DataError(f"the list {path} is empty; {remedy}")
    return names


def find_pictures(root: Path, split: str, names: Sequence[str]) -> list[Path]:
    """The pictures of the ids, in their order."""
    pictures = [devkit(root) / "JPEGImages" / f"{name}.jpg" for name in names]
    remedy = HOW_TO_GET_TEST if split == "test" else HOW_TO_GET
    _refuse_missing(f"pictures of VOC's {split} split", pictures, remedy)
    return pictures


def find_labels(root: Path, split: str, names: Sequence[str]) -> list[Path]:
    """The label file of every id: VOC's own for those on its list, else a converted one of SBD, else SBD's."""
    kit, original = devkit(root), sbd(root)
    own = set(read_list(_list_file(root, split), HOW_TO_GET))
    labels = []
    for name in names:
        if name in own:  # SBD drew these too, but scores are published on VOC's own
            places = [kit / "SegmentationClass" / f"{name}.png"]
        else:
            places = [kit / "SegmentationClassAug" / f"{name}.png"]
            places += [] if original is None else [original / "cls" / f"{name}.mat"]
        labels.append(next(filter(Path.is_file, places), places[-1]))
    of_voc, of_sbd = ([path for path in labels if (path.suffix == ".mat") is from_sbd] for from_sbd in (False, True))
    _refuse_missing(f"label maps of VOC's {split} split", of_voc, HOW_TO_GET)
    _refuse_missing(f"label maps of SBD for VOC's {split} split", of_sbd, HOW_TO_GET_SBD)
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


def _paired_label_map(pictures: Sequence[Path], labels: Sequence[Path], index: int) -> LabelMap:
    """:func:`_label_map`; ``DataError`` if its picture has another size. A ``.mat`` tells its size when it is read."""
    label_map = _label_map(labels, index)
    height, width = label_map.shape
    check_pair(pictures[index], labels[index], (width, height))
    return label_map
