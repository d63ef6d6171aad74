"""The pictures that a role works on: from a profile's source to the readers and generators of the data floor."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from wsss_lib.data.camvid import camvid
from wsss_lib.data.cityscapes import cityscapes, next_frames
from wsss_lib.data.folder import own_scenes
from wsss_lib.data.imagenet import imagenet
from wsss_lib.data.label_spaces import label_space
from wsss_lib.data.msrc21 import msrc21
from wsss_lib.data.pictures import fingerprint_of_files, image_reader
from wsss_lib.data.simple_images import simple_images
from wsss_lib.data.toy import next_street_frame, toy_scenes, toy_simple, toy_streets
from wsss_lib.data.toy.sequences import Flow
from wsss_lib.data.voc2012 import voc2012
from wsss_lib.experiments.memory import kept
from wsss_lib.experiments.profiles import Profile, Source
from wsss_lib.regions.flow import flow_between
from wsss_lib.vocabulary import DataError, SceneSet, SettingsError, SimpleSet

SPLITS = ("train", "val", "test")
GENERATED = ("toy_streets", "toy_scenes", "own")
"""Readers that take nothing from the data folder."""
WEIGHT_WORDS = ("none", "torchvision")


def playable(profile: Profile, data: Path | None) -> Profile:
    """The profile with those of its roles whose data set is there, if it is content with these.

    ``DataError`` if none is, with the folders that would be.
    """
    if not profile.present_only:
        return profile
    found = {name: role for name, role in profile.roles.items() if own_folder(role.source, data).is_dir()}
    if not found:
        wanted = ", ".join(f"{role.source.reader}/" for role in profile.roles.values())
        raise DataError(
            f"{data_folder(data)} has none of the folders {wanted}; "
            "wsss data fetch and wsss data check say how to get them"
        )
    if all(role.learns_from == "tags" for role in found.values()):
        streets = [f"{role.source.reader}/" for role in profile.roles.values() if role.learns_from == "simple"]
        raise DataError(
            f"{data_folder(data)} has none of the folders {', '.join(streets)}: six of the seven notebooks are about "
            "street pictures; add one of them"
        )
    return replace(profile, roles=found)


def check_inputs(profile: Profile, data: Path | None, weights: Path | None) -> None:
    """``DataError`` unless the folders and files that a profile starts from are there; none of them is opened."""
    if profile.textures and data is None:
        return
    roles = playable(profile, data).roles.values()
    for role in roles:
        if role.source.reader not in GENERATED and not own_folder(role.source, data).is_dir():
            raise DataError(
                f"{data_folder(data)} has no folder {role.source.reader}, from which profile {profile.name} starts; "
                "wsss data check tells what is in a data folder, wsss data fetch how to get the rest"
            )
    for role in roles:
        for config in (role.classifier, role.segmentation, *role.networks.values()):
            weights_source(config.weights, weights)


def weights_source(name: str, folder: Path | None) -> str | Path:
    """Where the weights that a configuration names are: a word of ``WEIGHT_WORDS``, or a file.

    ``DataError`` if they are a file and no folder is known, or it is not in it.
    """
    if name in WEIGHT_WORDS:
        return name
    if folder is None:
        raise DataError(
            f"this profile starts from the file {name}: give its folder, WEIGHTS=<folder> to make, --weights <folder>"
            " to wsss"
        )
    if not (folder / name).is_file():
        raise DataError(f"this profile starts from the file {name}, which is not in {folder}; pass another --weights")
    return folder / name


def read_scenes(source: Source, split: str, data: Path | None) -> SceneSet:
    """One split of a source; ``data`` is the folder that holds all data sets, each under its own name."""
    if source.own is not None:
        return own_scenes(source.own)
    space = label_space(source.label_space)
    count = source.counts[SPLITS.index(split)]
    match source.reader:
        case "toy_streets":
            return toy_streets(space, split, count=count, size=source.size)
        case "toy_scenes":
            return toy_scenes(split, count=count, size=source.size)
        case "camvid":
            return camvid(own_folder(source, data), split, size=source.size)
        case "cityscapes":
            return cityscapes(own_folder(source, data), split, size=source.size)
        case "msrc21":
            return msrc21(own_folder(source, data), split)
        case "voc2012":
            return voc2012(own_folder(source, data), split)
        case "own":
            raise SettingsError("a source of one's own pictures needs their folders")


@dataclass(frozen=True)
class FrameFlow:
    """Optical flow from every picture of a split to the frame after it; ``fingerprint`` says which frames these are."""

    of: Callable[[int], Flow]
    fingerprint: str

    def __call__(self, index: int) -> Flow:
        return self.of(index)


def read_flow(source: Source, scenes: SceneSet, data: Path | None) -> FrameFlow | None:
    """Optical flow from every picture of a split to the frame after it; ``None`` where the data have no sequences.

    The toy's streets have a next frame, and Cityscapes where its sequences are unpacked; the flow is estimated from the
    two pictures.
    """
    if source.reader == "toy_streets":  # their code and the recipe of the pictures say all
        following = next_street_frame(scenes.label_space, scenes.split, size=source.size)
        fingerprint = "drawn"
    elif source.reader == "cityscapes" and (files := next_frames(own_folder(source, data), scenes.split, scenes.names)):
        following, fingerprint = image_reader(files, source.size), fingerprint_of_files(files, source.size)
    else:
        return None
    return FrameFlow(kept(lambda i: flow_between(scenes.image(i), following(i))), fingerprint)


def read_simple(source: Source, data: Path | None) -> SimpleSet:
    """The simple pictures of a driving source."""
    if source.own is not None:
        return simple_images(source.own.simple_images, source.own.label_space)
    space = label_space(source.label_space)
    if source.reader == "toy_streets":
        return toy_simple(space, per_class=source.simple_count, size=source.simple_size)
    read = imagenet if source.simple_pictures == "imagenet" else simple_images
    return read(data_folder(data) / source.simple_pictures, space)


def own_folder(source: Source, data: Path | None) -> Path:
    """The folder of a real data set, which is called as its reader."""
    return data_folder(data) / source.reader


def data_folder(data: Path | None) -> Path:
    """``data`` itself, or its ``data/`` folder where the data sets lie one level deeper."""
    if data is None:
        raise DataError(
            "this profile works on real pictures: give their folder, DATA=<folder> to make, --data <folder> to wsss"
        )
    return data / "data" if (data / "data").is_dir() else data
