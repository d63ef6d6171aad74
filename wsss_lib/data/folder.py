"""Your own pictures: any folder, with tags, simple pictures, and label maps if you have them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from wsss_lib.data.disk import PICTURE_SUFFIXES, few, list_pictures
from wsss_lib.data.label_spaces import did_you_mean, distinct_colors
from wsss_lib.data.pictures import (
    bounded,
    fingerprint_of_files,
    picture_size,
    read_image,
    read_label_map,
    resize_image,
    resize_label_map,
)
from wsss_lib.data.tags import classes_in_tags, one_spelling, read_tags
from wsss_lib.vocabulary import IGNORE, DataError, Image, LabelMap, LabelSpace, SceneSet, SettingsError, TagTable

MOST_CLASSES = 255


@dataclass(frozen=True, kw_only=True)
class OwnFolders:
    """Where one's own pictures, their tags, the simple pictures and perhaps label maps are, and the classes.

    Pictures are worked on with at most ``longest_side`` pixels, which bounds what many large ones take of memory.
    """

    images: Path
    tags: Path
    simple_images: Path
    label_space: LabelSpace
    labels: Path | None = None
    longest_side: int = 640


def own_label_space(tags: Path, classes: Sequence[str] = ()) -> LabelSpace:
    """The classes that are given, else all that the tags name, sorted, in colours that can be told apart."""
    named = tuple(map(one_spelling, classes)) or classes_in_tags(tags)
    if not 1 < len(named) <= MOST_CLASSES:
        source = "the list of classes" if classes else tags
        advice = "give another list" if classes else "check that every picture has its tags and every quote is closed"
        raise SettingsError(
            f"{source} names {len(named)} classes; a segmentation needs at least 2 and at most {MOST_CLASSES}: {advice}"
        )
    if repeated := sorted({name for name in named if named.count(name) > 1}):
        raise SettingsError(f"the class {repeated[0]!r} is named twice; give every class once")
    if strange := sorted(set(classes_in_tags(tags)) - set(named)):
        raise DataError(
            f"{tags} has the tag {strange[0]!r}, which is not among the classes that were given"
            f"{did_you_mean(strange[0], named)}; add it to them, or give none: then every tag is a class"
        )
    return LabelSpace(name="own", classes=named, colors=distinct_colors(len(named)))


def own_scenes(folders: OwnFolders) -> SceneSet:
    """The tagged pictures, no larger than ``longest_side``, with label maps where there is a folder of them.

    Pictures whose list of tags is empty are left out; the tags must speak of every picture all the same. A label map is
    called as its picture, is an index PNG of its size with the classes' places in the list (255 = unknown), and may be
    missing for some pictures: then nothing is known there.
    """
    files = _pictures_of(folders.images)
    tagged, tags = _tagged(folders, files)
    names, paths = tuple(tagged), list(tagged.values())
    labels = _labels_of(folders, files, names) if folders.labels else None
    label_files = [] if labels is None else [path for path in labels if path is not None]
    return SceneSet(
        label_space=folders.label_space,
        split="train",
        names=names,
        image=partial(_bounded, paths, folders.longest_side),
        label_map=None if labels is None else partial(_bounded_label_map, folders, paths, labels),
        tags=tags,
        fingerprint=fingerprint_of_files(paths, folders.label_space.classes, folders.longest_side, tags.tolist()),
        measured_with=fingerprint_of_files(label_files),
    )


def own_sizes(folders: OwnFolders) -> list[tuple[int, int]]:
    """(width, height) of every tagged picture as it is worked on; ``DataError`` as for :func:`own_scenes`."""
    tagged, _ = _tagged(folders, _pictures_of(folders.images))
    return [bounded_size(path, folders.longest_side) for path in tagged.values()]


def bounded_size(path: Path, longest_side: int) -> tuple[int, int]:
    """(width, height) of a picture once its longer side is at most ``longest_side``."""
    return bounded(picture_size(path), longest_side)


def _pictures_of(root: Path) -> dict[str, Path]:
    pictures = list_pictures(root)
    if not pictures:
        raise DataError(f"{root} holds no picture; it needs files that end in {', '.join(PICTURE_SUFFIXES)}")
    return pictures


def _tagged(folders: OwnFolders, files: Mapping[str, Path]) -> tuple[dict[str, Path], TagTable]:
    """The pictures with a tag and their rows of tags."""
    table = read_tags(folders.tags, list(files), folders.label_space)
    tagged = {name: path for (name, path), row in zip(files.items(), table, strict=True) if row.any()}
    if not tagged:
        raise DataError(f"{folders.tags} gives no tag to any picture; name what is in each of them")
    return tagged, table[table.any(1)]


def _labels_of(folders: OwnFolders, pictures: Iterable[str], names: Sequence[str]) -> list[Path | None]:
    assert folders.labels is not None
    found = {one_spelling(name): path for name, path in list_pictures(folders.labels).items()}
    if strange := sorted(found[name].stem for name in found.keys() - set(map(one_spelling, pictures))):
        raise DataError(f"{folders.labels} has label maps without a picture ({few(strange)}); call each as its picture")
    if not found:
        raise DataError(f"{folders.labels} holds no label map; leave out the labels, or give index PNGs")
    if lossy := sorted(path.name for path in found.values() if path.suffix.lower() != ".png"):
        raise DataError(
            f"{folders.labels} has label maps that are no PNG ({few(lossy)}), and other formats change or stretch their"
            " values; save them as index PNGs"
        )
    return [found.get(one_spelling(name)) for name in names]


def _bounded(paths: Sequence[Path], longest_side: int, index: int) -> Image:
    image = read_image(paths[index])
    height, width = image.shape[:2]
    return resize_image(image, bounded((width, height), longest_side))


def _bounded_label_map(
    folders: OwnFolders, paths: Sequence[Path], labels: Sequence[Path | None], index: int
) -> LabelMap:
    size, path = bounded_size(paths[index], folders.longest_side), labels[index]
    if path is None:
        return np.full(size[::-1], IGNORE, dtype=np.uint8)
    label_map = read_label_map(path, folders.label_space)
    if label_map.shape[::-1] != picture_size(paths[index]):
        raise DataError(f"{path} is not as large as its picture {paths[index]}; give a pair of one size")
    return resize_label_map(label_map, size)
