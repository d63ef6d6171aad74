"""Feature extractors by name: VGG16 in the variants of the literature, MobileNetV2, ResNet-50, and a small net.

Every backbone takes RGB pictures as ``Float[Tensor, "batch 3 height width"]`` with values 0..255, normalises them
itself, and returns ``Float[Tensor, "batch channels height/stride width/stride"]``. Where a network was published with
layers in front of its classifier (the 1024-channel convolutions of the VGG16 variants), they belong to the backbone.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models

from wsss_lib.classification.convolutions import DepthwiseConv2d
from wsss_lib.vocabulary import DataError, SettingsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """Convolutional layers with their output geometry.

    ``trunk`` holds the layers that pretrained weights exist for, ``neck`` the new ones behind them (often none).
    ``align_corners`` tells where the cells are: strided 3x3 layers with padding 1 centre cell (i, j) on pixel
    (stride * i, stride * j), so the corners of grid and picture coincide for sizes of stride * n + 1 and bilinear
    interpolation must align them; 2x2 pools centre it half a cell further, where corners are not aligned.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        trunk: nn.Sequential,
        neck: nn.Module,
        *,
        channels: int,
        stride: int,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        self.name, self.channels, self.stride, self.align_corners = name, channels, stride, align_corners
        self.trunk, self.neck = trunk, neck
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels rows columns"]:
        return self.neck(self.trunk((images - self.mean) / self.std))

    def maps(self, images: Float[Tensor, "batch 3 height width"], layers: Sequence[int]) -> Iterator[Tensor]:
        """Outputs of some layers of the trunk, by their position and in that order; ``()`` means the usual output.

        Raises ``SettingsError`` for a position that the trunk does not have.
        """
        if not layers:
            yield self(images)
            return
        if not set(layers) <= set(range(len(self.trunk))) or list(layers) != sorted(set(layers)):
            raise SettingsError(
                f"layers {tuple(layers)} of {self.name}: give rising numbers from 0 to {len(self.trunk) - 1}"
            )
        x = (images - self.mean) / self.std
        for position, layer in enumerate(self.trunk):
            x = layer(x)
            if position in layers:
                yield x
            if position == layers[-1]:
                return


# --------------------------------------------------------------------------------------------------------------- VGG16

VGG16_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def vgg16_trunk(pools: tuple[nn.Module | None, ...], conv5_dilation: int = 1) -> nn.Sequential:
    """The 13 convolutions of VGG16 with one pooling layer (or ``None``) behind each of the five blocks.

    Convolutions come in torchvision's order, so its weights fit whatever the pools are.
    """
    layers: list[nn.Module] = []
    channels = 3
    for block, widths in enumerate(VGG16_WIDTHS):
        dilation = conv5_dilation if block == 4 else 1
        for width in widths:
            layers += [nn.Conv2d(channels, width, 3, padding=dilation, dilation=dilation), nn.ReLU()]
            channels = width
        if (pool := pools[block]) is not None:
            layers.append(pool)
    return nn.Sequential(*layers)


def _halve() -> nn.Module:
    return nn.MaxPool2d(2, 2, ceil_mode=True)  # Caffe rounds up: 321 -> 161 -> 81 -> 41


def _halve_overlapping() -> nn.Module:
    return nn.MaxPool2d(3, 2, padding=1)


def _same_size() -> nn.Module:
    return nn.MaxPool2d(3, 1, padding=1)


def vgg16_zhou() -> Backbone:
    """VGG16-CAM of Zhou et al. (CVPR 2016): stride 16, one grouped 3x3 convolution of 1024 channels."""
    trunk = vgg16_trunk((_halve(), _halve(), _halve(), _halve(), None))
    neck = nn.Sequential(nn.Conv2d(512, 1024, 3, padding=1, groups=2), nn.ReLU(), nn.Dropout(0.5))
    return Backbone("vgg16_zhou", trunk, _gaussian(neck, 0.01), channels=1024, stride=16, align_corners=False)


def vgg16_sec() -> Backbone:
    """The seed network of SEC (ECCV 2016): pool4 and pool5 removed, stride 8, ReLU behind the first new layer only."""
    trunk = vgg16_trunk((_halve(), _halve(), _halve(), None, None))
    neck = nn.Sequential(
        nn.Conv2d(512, 1024, 3, padding=1),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(1024, 1024, 3, padding=1),
        nn.Dropout(0.5),
    )
    return Backbone("vgg16_sec", trunk, _gaussian(neck, 0.005), channels=1024, stride=8, align_corners=False)


def vgg16_psa() -> Backbone:
    """The classifier of PSA (CVPR 2018): overlapping pools, pool4 at stride 1, conv5 dilated by 2, stride 8."""
    pools = (_halve_overlapping(), _halve_overlapping(), _halve_overlapping(), _same_size(), None)
    neck = nn.Sequential(
        nn.Conv2d(512, 1024, 3, padding=1),
        nn.ReLU(),
        nn.Dropout2d(0.5),
        nn.Conv2d(1024, 1024, 1),
        nn.ReLU(),
        nn.Dropout2d(0.5),
    )
    for layer in neck:
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
    return Backbone("vgg16_psa", vgg16_trunk(pools, conv5_dilation=2), neck, channels=1024, stride=8)


def vgg16_largefov() -> Backbone:
    """The trunk of DeepLab-LargeFOV up to pool5: a maximum and then an average, both 3x3 at stride 1."""
    pool5 = nn.Sequential(_same_size(), nn.AvgPool2d(3, 1, padding=1))
    pools = (_halve_overlapping(), _halve_overlapping(), _halve_overlapping(), _same_size(), pool5)
    trunk = vgg16_trunk(pools, conv5_dilation=2)
    return Backbone("vgg16_largefov", trunk, nn.Identity(), channels=512, stride=8)


def _gaussian(neck: nn.Sequential, deviation: float) -> nn.Sequential:
    for layer in neck:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # these convolutions have a bias
    return neck


# --------------------------------------------------------------------------------------------- other ImageNet networks


def mobilenet_v2() -> Backbone:
    """torchvision's MobileNetV2 with its last reduction replaced by dilation: stride 16 instead of 32."""
    trunk = models.mobilenet_v2(weights=None).features
    for block in list(trunk)[14:18]:
        _dilate(block)
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            layer.__class__ = DepthwiseConv2d  # torchvision has no way to pass another class
    return Backbone("mobilenet_v2", trunk, nn.Identity(), channels=1280, stride=16)


def _dilate(block: nn.Module) -> None:
    """Stride 2 becomes stride 1, and every later 3x3 convolution looks two cells far instead of one."""
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            if layer.stride == (2, 2):
                layer.stride = (1, 1)
            else:
                layer.dilation = layer.padding = (2, 2)


def resnet50() -> Backbone:
    """torchvision's ResNet-50 without its classifier, last reduction replaced by dilation: stride 16."""
    network = models.resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
    layers = [(name, layer) for name, layer in network.named_children() if name not in ("avgpool", "fc")]
    return Backbone("resnet50", nn.Sequential(OrderedDict(layers)), nn.Identity(), channels=2048, stride=16)


def small() -> Backbone:
    """Seven 3x3 convolutions with batch normalisation, stride 4: learns the toy from nothing within a minute."""
    widths, strides, dilations = (3, 16, 32, 32, 64, 64, 64, 96), (2, 1, 2, 1, 1, 1, 1), (1, 1, 1, 1, 2, 2, 1)
    layers: list[nn.Module] = []
    for (before, after), stride, dilation in zip(pairwise(widths), strides, dilations, strict=True):
        convolution = nn.Conv2d(before, after, 3, stride, padding=dilation, dilation=dilation, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    return Backbone("small", nn.Sequential(*layers), nn.Identity(), channels=96, stride=4)


BACKBONES: dict[str, Callable[[], Backbone]] = {
    builder.__name__: builder
    for builder in (vgg16_sec, vgg16_psa, vgg16_zhou, vgg16_largefov, mobilenet_v2, resnet50, small)
}


def build_backbone(name: str, weights: str | Path = "none") -> Backbone:
    """A backbone by name with its weights (:func:`load_weights`); ``SettingsError`` names the known ones."""
    if name not in BACKBONES:
        raise SettingsError(f"unknown backbone {name!r}; known are {', '.join(BACKBONES)}")
    return load_weights(BACKBONES[name](), weights)


def load_weights(backbone: Backbone, weights: str | Path) -> Backbone:
    """The same backbone with weights in its trunk: ``none`` (as it is), ``torchvision`` (downloaded by it), or a file.

    A file is a torchvision state dict of the same network, as ``.safetensors`` or ``.pth``; layers behind the trunk are
    ignored. Raises ``SettingsError`` where torchvision has none, ``DataError`` for a missing, damaged or foreign file
    and where torchvision cannot get its own.
    """
    if str(weights) == "torchvision":
        _load_trunk(backbone, _torchvision_state(backbone.name), source="torchvision")
    elif str(weights) != "none":
        _load_trunk(backbone, read_weights(Path(weights)), source=str(weights))
    return backbone


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from disk, floating-point tensors as float32; never unpickles code."""
    if not path.is_file():
        raise DataError(f"no weights at {path}; name an existing .safetensors or .pth file, or use weights 'none'")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise DataError(f"the weights file {path} cannot be read ({error}); get it again") from error
    except Exception as error:  # the unpickler's own error class is private to the pickle module of torch
        raise DataError(f"the weights file {path} is not a plain state dict ({type(error).__name__})") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise DataError(f"the weights file {path} holds no state dict of tensors; save one with safetensors")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _torchvision_state(name: str) -> dict[str, Tensor]:
    network = "vgg16" if name.startswith("vgg16") else name
    if network == "small":
        raise SettingsError("the small backbone has no published weights; use weights 'none'")
    if network not in models.list_models():
        raise SettingsError(f"torchvision has no weights of {name}; use weights 'none' or a file made for this network")
    try:
        return models.get_model(network, weights="IMAGENET1K_V1").state_dict()
    except Exception as error:  # no network, a proxy's page, a damaged copy: each has an error class of its own
        address = models.get_model_weights(network)["IMAGENET1K_V1"].url
        raise DataError(
            f"the ImageNet weights of {network} could not be had from {address} ({type(error).__name__}); get that file"
            f" where there is a network and name its folder with --weights, or remove a damaged copy from"
            f" {Path(torch.hub.get_dir()) / 'checkpoints'}"
        ) from error


def _load_trunk(backbone: Backbone, state: dict[str, Tensor], *, source: str) -> None:
    own = backbone.trunk.state_dict()
    given = dict(zip(_torchvision_names(backbone, own), own, strict=True))
    state = {theirs: _shaped(value, own[given[theirs]]) for theirs, value in state.items() if theirs in given}
    uncounted = {name: own[name] for theirs, name in given.items() if theirs.endswith("num_batches_tracked")}
    missing = [theirs for theirs, ours in given.items() if theirs not in state and ours not in uncounted]
    wrong = [theirs for theirs, ours in given.items() if theirs in state and state[theirs].shape != own[ours].shape]
    if missing or wrong:
        first = (missing or wrong)[0]
        raise DataError(
            f"the weights {source} are not of {backbone.name}: {len(missing)} tensors are missing and {len(wrong)} "
            f"have another shape, first {first!r}; give the torchvision weights of this network"
        )
    unit = uncounted | {ours: state[theirs] for theirs, ours in given.items() if theirs in state}
    if bad := [name for name, value in unit.items() if value.is_floating_point() and not value.isfinite().all()]:
        raise DataError(f"the weights {source} hold NaN or infinite values, first in {bad[0]!r}; get the file again")
    backbone.trunk.load_state_dict(unit)


def _shaped(theirs: Tensor, ours: Tensor) -> Tensor:
    """A fully connected layer over a map is a convolution as large as the map: its weights, in that shape."""
    linear = theirs.ndim == 2 and ours.ndim == 4 and theirs.shape == ours.flatten(1).shape
    return theirs.view_as(ours) if linear else theirs


def _torchvision_names(backbone: Backbone, own: dict[str, Tensor]) -> list[str]:
    """torchvision's name of each trunk tensor, in the trunk's order."""
    if not backbone.name.startswith("vgg16"):
        numbered = next(iter(own)).split(".")[0].isdigit()  # layers with names of their own keep them
        return [f"features.{name}" if numbered else name for name in own]
    names, position = [], 0
    for widths in VGG16_WIDTHS:
        for _ in widths:
            names += [f"features.{position}.weight", f"features.{position}.bias"]
            position += 2  # the convolution and its ReLU
        position += 1  # the pool
    names += [f"classifier.{layer}.{kind}" for layer in (0, 3) for kind in ("weight", "bias")]
    return names[: len(own)]  # fc6 and fc7 belong to few trunks
