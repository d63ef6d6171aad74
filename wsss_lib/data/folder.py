"""Your own pictures: any folder, with tags if you have them."""

from pathlib import Path

from wsss_lib.data.disk import PICTURE_SUFFIXES, list_pictures
from wsss_lib.data.pictures import fingerprint_of_files, image_reader
from wsss_lib.data.tags import read_tags_csv
from wsss_lib.vocabulary import DataError, LabelSpace, SceneSet


def picture_folder(root: Path, label_space: LabelSpace, tags_csv: Path | None = None) -> SceneSet:
    """The pictures of a folder (not of folders inside it), sorted by name, at their own sizes.

    Names are the files' stems; any stem is fine, but two files may not share one. ``tags_csv`` is read as
    ``wsss_lib.data.tags`` describes and must list exactly these pictures. Raises ``DataError`` for a missing folder,
    one without pictures, and tags that do not fit; a damaged picture raises when it is read.
    """
    pictures = list_pictures(root)
    if not pictures:
        raise DataError(f"{root} holds no picture; it needs files that end in {', '.join(PICTURE_SUFFIXES)}")
    names, files = tuple(pictures), list(pictures.values())
    tags = None if tags_csv is None else read_tags_csv(tags_csv, names, label_space)
    return SceneSet(
        label_space=label_space,
        split="folder",
        names=names,
        image=image_reader(files),
        label_map=None,
        tags=tags,
        fingerprint=fingerprint_of_files(files, label_space.name, None if tags is None else tags.tolist()),
    )
