"""Segmenting pictures with a trained network, at their own size and without tags; a network on disk as one folder."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import torch
import torch.nn.functional as functional
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from wsss_lib.classification.classifier import to_tensor
from wsss_lib.data.disk import few, list_pictures, replacing, unread_pictures, write_whole
from wsss_lib.data.label_spaces import LABEL_SPACES, label_space
from wsss_lib.data.pictures import (
    bounded,
    color_overlay,
    content_digest,
    read_image,
    resize_image,
    write_image,
    write_label_map,
)
from wsss_lib.segmentation.crf import DEEPLAB_V2, FLOOR, CrfConfig, dense_crf
from wsss_lib.segmentation.networks import SegmentationNetwork, build_network, predict_logits
from wsss_lib.training.compute import Compute, choose_compute
from wsss_lib.vocabulary import DataError, Image, LabelMap, LabelSpace, SettingsError, Tags, WsssError


@dataclass(frozen=True, kw_only=True)
class Segmenter:
    """A trained network with what it needs to be used: its classes and the size it works at (width, height).

    ``longest_side``: the longer side, in pixels, of the largest pictures that it learnt from, where that is known.
    """

    network: SegmentationNetwork
    network_name: str
    label_space: LabelSpace
    input_size: tuple[int, int]
    longest_side: int | None = None
    compute: Compute

    def predict(self, image: Image, crf: CrfConfig | None = None) -> LabelMap:
        """Class of every pixel, at the picture's own size; with ``crf`` after a dense random field.

        The picture is brought to the training size in the shape of the network, and the logits to the picture's size,
        so that a picture of any size is seen at the scale the network learnt; one that is larger than those it learnt
        from is first made as large, by means over areas, or its noise would be new to the network. The field is of that
        picture: its distances are in pixels, and it needs some 0.3 GB for a megapixel and class. No probability that it
        is given is below ``FLOOR``: it may overrule the network anywhere.
        """
        height, width = image.shape[:2]
        as_learnt = resize_image(image, bounded((width, height), self.longest_side or max(width, height)))
        resized = cv2.resize(as_learnt, self.input_size, interpolation=cv2.INTER_LINEAR)
        size = (height, width) if crf is None else as_learnt.shape[:2]
        with self.compute.autocast():
            logits = predict_logits(self.network, self.compute.tensor(to_tensor([resized])), size)
        if crf is not None:
            unary = -logits.float().log_softmax(0).clamp(min=math.log(FLOOR))
            smooth = torch.from_numpy(dense_crf(unary, as_learnt, crf))[None]
            logits = functional.interpolate(smooth, (height, width), mode="bilinear", align_corners=False)[0]
        return logits.argmax(0).cpu().numpy().astype("uint8")


@torch.no_grad()
def tagged_softmax(
    network: SegmentationNetwork,
    image: Image,
    tags: Tags,
    *,
    size: tuple[int, int],
    compute: Compute,
) -> Float[Tensor, "class height width"]:
    """Softmax over the tags of a training picture, as large as it is; absent tags 0.

    ``size``: (width, height) at which the network sees it.
    """
    network.eval()
    pixels = compute.tensor(to_tensor([cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)]))
    with compute.autocast():
        logits = predict_logits(network, pixels, image.shape[:2]).float()
    absent = torch.from_numpy(~tags).to(logits.device)[:, None, None]
    return logits.masked_fill(absent, -torch.inf).softmax(0)


def save_segmenter(segmenter: Segmenter, folder: Path) -> None:
    """``network.safetensors`` and ``network.json`` in ``folder``; the latter tells the checksum of the former."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous().cpu() for name, value in segmenter.network.state_dict().items()}
    with replacing(folder / "network.safetensors") as part:
        save_file(state, part)
    space = segmenter.label_space
    card = {
        "network": segmenter.network_name,
        "label_space": space.name,
        "classes": list(space.classes),
        "colors": [list(color) for color in space.colors],
        "background": space.background,
        "input_size": list(segmenter.input_size),
        "longest_side": segmenter.longest_side,
        "weights": content_digest(folder / "network.safetensors").hex(),
    }
    with replacing(folder / "network.json") as part:
        part.write_text(json.dumps(card, indent=1), encoding="utf-8")


def load_segmenter(folder: Path, compute: Compute) -> Segmenter:
    """The network that :func:`save_segmenter` wrote; ``DataError`` if the folder holds none, a damaged one, or the two
    files of different ones: as many classes in another order would pass for the right ones.
    """
    card = _read_card(folder / "network.json")
    try:
        space = _label_space(card)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{folder / 'network.json'} has no label space ({error}); train the network again") from None
    network = build_network(str(card["network"]), len(space))
    weights = folder / "network.safetensors"
    try:
        network.load_state_dict(load_file(weights))
    except Exception as error:
        raise DataError(
            f"{weights} is not a {card['network']} for {space.name} "
            f"({type(error).__name__}); train it again or name another folder"
        ) from error
    if broken := [name for name, value in network.state_dict().items() if not value.isfinite().all()]:
        raise DataError(f"{weights} holds NaN or infinite values, first in {broken[0]!r}; train the network again")
    if "weights" in card and card["weights"] != content_digest(weights).hex():  # earlier versions do not say
        raise DataError(
            f"{weights} is not what {folder / 'network.json'} was written for; copy both again, or train again"
        )
    return Segmenter(
        network=compute.place(network).eval(),
        network_name=str(card["network"]),
        label_space=space,
        input_size=(int(card["input_size"][0]), int(card["input_size"][1])),
        longest_side=card.get("longest_side"),
        compute=compute,
    )


_CARD = ("network", "label_space", "input_size")
_LARGEST = 1 << 15  # pixels of a side, as OpenCV has it


def _read_card(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise DataError(f"no trained network in {path.parent} (no network.json); run a profile first or give --model")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        width, height = card["input_size"]
        longest = card.get("longest_side")  # networks of earlier versions do not say
        sides = (width, height) if longest is None else (width, height, longest)
        if all(key in card for key in _CARD) and all(map(_is_side, sides)):
            return card
    except (ValueError, TypeError, AttributeError, KeyError):
        pass
    raise DataError(f"{path} is damaged: it must name {', '.join(_CARD)}; train the network again")


def _is_side(value: object) -> bool:
    return type(value) is int and 0 < value < _LARGEST


def _label_space(card: Mapping[str, Any]) -> LabelSpace:
    """The known label space of this name, or one of one's own that the card describes."""
    name = str(card["label_space"])
    if name in LABEL_SPACES or "classes" not in card:
        return label_space(name)
    colors = tuple((int(red), int(green), int(blue)) for red, green, blue in card["colors"])
    if not all(0 <= value <= 255 for color in colors for value in color):
        raise ValueError("colours are not within 0..255")
    classes = tuple(str(each) for each in card["classes"])
    return LabelSpace(name=name, classes=classes, colors=colors, background=card.get("background"))


SKIPPED = "skipped: "
"""What the line about a picture that could not be read begins with."""

_LEGEND = "legend.csv"
"""Written before the first label map: where it lies, label maps are of an earlier prediction."""


def predict_folder(
    model: Path, images: Path, out: Path, compute: Compute | None = None, *, crf: bool = False
) -> Iterator[str]:
    """Segment every picture of a folder into ``<out>/<stem>.png`` (index PNG) and ``<out>/overlays/<stem>.png``.

    ``<out>/legend.csv`` says which number and colour stand for which class. With ``crf`` outlines follow the colours,
    by a dense random field with DeepLab's values. Yields one line per picture. A picture that cannot be read is
    reported and skipped, the others are still done. Raises ``DataError`` if the folder has no picture or ``model`` no
    network, ``SettingsError`` if a picture would be written over, a file that no earlier prediction has written, or the
    legend of label maps that stay.
    """
    segmenter = load_segmenter(model, compute or choose_compute())
    pictures = list_pictures(images)
    if not pictures:
        raise DataError(f"no picture in {images}; give a folder with .png, .jpg or .webp files")
    legend = _legend(segmenter.label_space)
    _refuse_to_overwrite(pictures, images, out, legend)
    (out / "overlays").mkdir(parents=True, exist_ok=True)
    write_whole(out / _LEGEND, legend)
    if unread := unread_pictures(images):
        yield f"{SKIPPED}{few(unread)} in {images}: this format is not read; save as PNG or JPEG"
    for stem, path in pictures.items():
        try:
            image = read_image(path)
        except WsssError as error:
            yield f"{SKIPPED}{error}"
            continue
        label_map = segmenter.predict(image, DEEPLAB_V2 if crf else None)
        write_label_map(out / f"{stem}.png", label_map, segmenter.label_space)
        write_image(out / "overlays" / f"{stem}.png", color_overlay(image, label_map, segmenter.label_space))
        yield f"{out / f'{stem}.png'}"


def _refuse_to_overwrite(pictures: Mapping[str, Path], images: Path, out: Path, legend: bytes) -> None:
    """``SettingsError`` if label maps or overlays would take the place of the pictures or of anybody's other files, or
    ``legend`` that of one by which label maps that stay are read.
    """
    places = (out, out / "overlays")
    written = [place / f"{stem}.png" for stem in pictures for place in places]
    originals = {path.resolve() for path in pictures.values()}  # a picture may be a link into the folder of results
    if images.resolve() in {place.resolve() for place in places} or originals & {path.resolve() for path in written}:
        raise SettingsError(f"label maps would be written over the pictures in {images}; give another folder as --out")
    if not (out / _LEGEND).exists() and (others := [path for path in written if path.exists()]):
        raise SettingsError(
            f"{few(others)} would be written over, and {out} holds no earlier prediction; give another folder as --out"
        )
    if not (out / _LEGEND).exists() or (out / _LEGEND).read_bytes() == legend:
        return
    if left := sorted(path.name for path in out.glob("*.png") if path not in written):
        raise SettingsError(
            f"{out} holds label maps of other classes ({few(left)}), and their legend would be replaced; give another"
            " folder as --out"
        )


def _legend(space: LabelSpace) -> bytes:
    """Number, name and colour of every class, as CSV."""
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in space.colors]
    frame = pd.DataFrame({"index": range(len(space)), "class": space.classes, "color": colors})
    return frame.to_csv(index=False, lineterminator="\n").encode()
