"""The doors through which files come in: for each a valid file, and the function that reads it.

What a door gives back for a file that is still valid is checked as well: nothing half-read may pass.
"""

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io
import torch
from PIL import Image as Pillow
from safetensors.torch import save_file
from torchvision.models import mobilenet_v2

from wsss_lib.classification.backbones import build_backbone
from wsss_lib.data.fetch import unpack
from wsss_lib.data.label_spaces import CAMVID, VOC
from wsss_lib.data.pictures import read_image, read_label_map
from wsss_lib.data.simple_images import find_simple_pictures
from wsss_lib.data.tags import classes_in_tags, read_tags
from wsss_lib.data.voc2012 import read_list, read_voc_labels
from wsss_lib.experiments.files import load_arrays, load_json, save_arrays, save_json
from wsss_lib.segmentation.networks import build_network
from wsss_lib.segmentation.predict import Segmenter, load_segmenter, save_segmenter
from wsss_lib.training.compute import choose_compute
from wsss_lib.training.loop import TrainingConfig, train
from wsss_lib.vocabulary import WsssError

CPU = choose_compute("cpu", "float32")
NAMES = ("a", "b")


@dataclass(frozen=True)
class Door:
    """``write(folder)`` makes a valid file and returns its path, ``read(path)`` is the door itself."""

    write: Callable[[Path], Path]
    read: Callable[[Path], object]


def _picture(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        pixels = np.random.default_rng(0).integers(0, 255, (12, 16, 3)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"picture{suffix}")
        return folder / f"picture{suffix}"

    return write


def _label_map(folder: Path) -> Path:
    labels = np.random.default_rng(0).integers(0, len(CAMVID), (12, 16)).astype(np.uint8)
    Pillow.fromarray(labels).save(folder / "labels.png")
    return folder / "labels.png"


def _text(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return write


def _arrays(folder: Path) -> Path:
    save_arrays(folder / "arrays.npz", {"array": np.arange(40, dtype=np.float32).reshape(5, 8)})
    return folder / "arrays.npz"


def _record(folder: Path) -> Path:
    save_json(folder / "record.json", {"stage": "seeds", "params": {"seed": 0}, "inputs": {"a": "b"}})
    return folder / "record.json"


def _backbone_weights(folder: Path) -> Path:
    path = folder / "mobilenet_v2.safetensors"
    save_file({name: value.contiguous() for name, value in mobilenet_v2().state_dict().items()}, path)
    return path


def _network(file: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        torch.manual_seed(0)
        network = build_network("largefov_small", len(CAMVID)).eval()
        save_segmenter(
            Segmenter(
                network=network, network_name="largefov_small", label_space=CAMVID, input_size=(33, 33), compute=CPU
            ),
            folder,
        )
        return folder / file

    return write


def _manifest(folder: Path) -> Path:
    for name in ("sky", "road"):
        (folder / name).mkdir()
        _picture(".png")(folder / name)
    return _text("manifest.csv", "file,class\nsky/picture.png,sky\nroad/picture.png,road\n")(folder)


def _sbd_labels(folder: Path) -> Path:
    labels = np.random.default_rng(0).integers(0, len(VOC), (12, 16)).astype(np.uint8)
    scipy.io.savemat(folder / "labels.mat", {"GTcls": {"Segmentation": labels}}, do_compression=True)
    return folder / "labels.mat"


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("camvid/train.txt", "camvid/val.txt"):
            packed.writestr(name, "a.png\nb.png\n" * 20)
    return folder / "data.zip"


def _tar(folder: Path) -> Path:
    with tarfile.open(folder / "data.tar.gz", "w:gz") as packed:
        for name in ("camvid/train.txt", "camvid/val.txt"):
            content = b"a.png\nb.png\n" * 20
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return folder / "data.tar.gz"


def _unpacked(path: Path) -> object:
    """What comes out of a copy: an archive that is refused is removed, and one that is not leaves a folder."""
    with tempfile.TemporaryDirectory() as aside:
        copy, target = Path(aside) / path.name, Path(aside) / "camvid"
        copy.write_bytes(path.read_bytes())
        try:
            unpack(copy, target, "camvid")
        except WsssError:
            assert not copy.exists()
            assert not list(Path(aside).iterdir())
            raise
        return {file.name: file.read_bytes() for file in target.iterdir()}


def _predict(path: Path) -> object:
    labels = load_segmenter(path.parent, CPU).predict(np.zeros((12, 16, 3), dtype=np.uint8))
    assert labels.shape == (12, 16)
    return labels


def _training(checkpoint: Path, steps: int) -> list[float]:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 1)
    config = TrainingConfig(steps=steps, batch_size=1, learning_rate=0.01, checkpoint_every=2)
    return train(
        model, lambda _: torch.ones(1, 2), lambda batch: model(batch).sum(), config, compute=CPU, seed=0,
        checkpoint=checkpoint,
    )  # fmt: skip


def _checkpoint(folder: Path) -> Path:
    _training(folder / "training.pt", 3)
    return folder / "training.pt"


def _resumed(path: Path) -> object:
    copy = path.with_name("copy.pt")  # a training goes on writing its checkpoint; what was handed in must stay
    copy.write_bytes(path.read_bytes())
    losses = _training(copy, 3)
    copy.unlink()
    assert len(losses) == 3
    return losses


def _image(path: Path) -> object:
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    return image


TAGS_CSV = "name,tags\na,Road|Sky\nb,Car|Tree|Building\n"
TAGS_JSON = '{"a": ["Road", "Sky"], "b": ["Car", "Tree"]}'

DOORS: dict[str, Door] = {
    "png picture": Door(_picture(".png"), _image),
    "jpeg picture": Door(_picture(".jpg"), _image),
    "webp picture": Door(_picture(".webp"), _image),
    "tiff picture": Door(_picture(".tif"), _image),
    "label map": Door(_label_map, lambda path: read_label_map(path, CAMVID)),
    "tags csv": Door(_text("tags.csv", TAGS_CSV), lambda path: read_tags(path, NAMES, CAMVID)),
    "tags json": Door(_text("tags.json", TAGS_JSON), lambda path: read_tags(path, NAMES, CAMVID)),
    "classes of tags": Door(_text("tags.csv", TAGS_CSV), classes_in_tags),
    "arrays of the store": Door(_arrays, load_arrays),
    "record of the store": Door(_record, load_json),
    "backbone weights": Door(_backbone_weights, lambda path: build_backbone("mobilenet_v2", path)),
    "network weights": Door(_network("network.safetensors"), _predict),
    "manifest of simple pictures": Door(_manifest, lambda path: find_simple_pictures(path.parent)),
    "list of pictures": Door(_text("val.txt", "a\nb 1\n\nc\n"), lambda path: read_list(path, "unpack the data again")),
    "label map of SBD": Door(_sbd_labels, read_voc_labels),
    "zip archive": Door(_zip, _unpacked),
    "tar archive": Door(_tar, _unpacked),
    "network description": Door(_network("network.json"), _predict),
    "checkpoint": Door(_checkpoint, _resumed),
}
