"""Archives for the test servers of Cityscapes and VOC, and what these servers would reject in one.

Cityscapes (``cityscapesScripts``, evaluation of pixel-level labels): a zip with one 8-bit PNG a frame, ``<frame>.png``,
2048 x 1024, holding *label ids* (7..33 of the evaluated classes), not trainIds. VOC (development kit, section 9): a
``.tar.gz`` with ``results/VOC2012/Segmentation/comp6_test_cls/<id>.png``, palette PNGs of the pictures' sizes holding
0..20; comp6 allows training data from elsewhere, such as ImageNet.
"""

import io
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image as Pillow

from wsss_lib.data.cityscapes import FRAME
from wsss_lib.data.disk import few, replacing
from wsss_lib.data.label_spaces import CITYSCAPES, CITYSCAPES_IDS, VOC
from wsss_lib.data.pictures import INDEX_MODES, Size, index_picture, resize_label_map
from wsss_lib.vocabulary import IGNORE, DataError, LabelMap

CITYSCAPES_SIZE: Size = (2048, 1024)
VOC_FOLDER = PurePosixPath("results/VOC2012/Segmentation/comp6_test_cls")

_IDS = np.array(CITYSCAPES_IDS, dtype=np.uint8)


def write_cityscapes_submission(path: Path, predictions: Iterable[tuple[str, LabelMap]]) -> Path:
    """A zip of (frame, label map in trainIds) pairs; maps of another size are brought to 2048 x 1024.

    ``DataError`` for an unknown pixel: the server has no class for it.
    """
    with replacing(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
        for frame, label_map in predictions:
            _refuse_unknown(frame, label_map)
            ids = Pillow.fromarray(_IDS[resize_label_map(label_map, CITYSCAPES_SIZE)])
            archive.writestr(f"{frame}.png", _png(ids))
    return path


def write_voc_submission(path: Path, predictions: Iterable[tuple[str, LabelMap]]) -> Path:
    """A gzipped tar of (picture id, label map at the picture's size) pairs; ``DataError`` for an unknown pixel."""
    with replacing(path) as unfinished, tarfile.open(unfinished, "w:gz") as archive:
        for name, label_map in predictions:
            _refuse_unknown(name, label_map)
            content = _png(index_picture(label_map, VOC))
            member = tarfile.TarInfo(str(VOC_FOLDER / f"{name}.png"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def _refuse_unknown(name: str, label_map: LabelMap) -> None:
    if (label_map == IGNORE).any():
        raise DataError(f"the prediction for {name} leaves pixels unknown; a server needs a class for every pixel")


def _png(picture: Pillow.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


# ---------------------------------------------------------------------------------------------------------- validating


def cityscapes_problems(path: Path, frames: Iterable[str]) -> list[str]:
    """What the Cityscapes server would reject in an archive that should hold these frames; empty if nothing."""
    return _problems(path, _zip_members, frames, _frame_of, lambda _: CITYSCAPES_SIZE, _cityscapes_values)


def voc_problems(path: Path, sizes: Mapping[str, Size]) -> list[str]:
    """What the VOC server would reject in an archive that should hold these pictures, (width, height) of each."""
    return _problems(path, _tar_members, sizes, _voc_id_of, sizes.__getitem__, _voc_values)


def _problems(
    path: Path,
    members: Callable[[Path], Iterator[tuple[str, bytes]]],
    names: Iterable[str],
    name_of: Callable[[str], str | None],
    size_of: Callable[[str], Size],
    values: Callable[[Pillow.Image], str],
) -> list[str]:
    wanted, found, problems = set(names), Counter(), []
    try:
        for member, content in members(path):
            name = name_of(member)
            if name not in wanted:
                problems.append(f"{member} belongs to no picture of the test split")
                continue
            found[name] += 1
            wrong = _wrong(content, size_of(name), values)
            problems += [f"{member} {wrong}"] if wrong else []
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        return [f"{path} cannot be read as an archive ({error})"]
    if missing := sorted(wanted - set(found)):
        problems.append(f"{len(missing)} of {len(wanted)} pictures are missing ({few(missing)})")
    problems += [f"{name} is there {count} times" for name, count in sorted(found.items()) if count > 1]
    return problems


def _wrong(content: bytes, size: Size, values: Callable[[Pillow.Image], str]) -> str:
    try:
        with Pillow.open(io.BytesIO(content), formats=["PNG"]) as picture:
            if picture.size != size:
                return f"is {picture.width} x {picture.height}, not {size[0]} x {size[1]}"
            if picture.mode not in INDEX_MODES:
                return f"has mode {picture.mode}, not one number a pixel"
            picture.load()
            return values(picture)
    except Exception as error:  # Pillow's decoders raise nearly any type on a damaged file
        return f"cannot be read as a PNG ({error})"


def _cityscapes_values(picture: Pillow.Image) -> str:
    strange = sorted(set(np.unique(np.asarray(picture)).tolist()) - set(CITYSCAPES_IDS))
    if not strange:
        return ""
    looks = ", which look like trainIds" if set(strange) <= {*range(len(CITYSCAPES)), IGNORE} else ""
    return f"holds the values {few(strange, 5)}{looks}, not label ids of evaluated classes"


def _voc_values(picture: Pillow.Image) -> str:
    strange = sorted(set(np.unique(np.asarray(picture)).tolist()) - set(range(len(VOC))))
    return f"holds the values {few(strange, 5)}, not classes 0..{len(VOC) - 1}" if strange else ""


def _frame_of(member: str) -> str | None:
    """The frame that a file name begins with: the server looks no further, and not at folders."""
    match = FRAME.match(PurePosixPath(member).name)
    return match[0] if match else None


def _voc_id_of(member: str) -> str | None:
    path = PurePosixPath(member)
    return path.stem if path.parent == VOC_FOLDER and path.suffix == ".png" else None


def _zip_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                yield member.filename, archive.read(member)


def _tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            if stream := archive.extractfile(member) if member.isfile() else None:
                yield member.name, stream.read()
