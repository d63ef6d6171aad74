"""A segmentation network that also sees motion: the two streams of BBF (Saleh et al., ICCV 2017; specification 6.4).

    x_A = appearance(picture)         x_M = motion(flow picture)         conv5 of two backbones of one kind
    x_ST = relu(conv3x3([x_A, x_M]))                                     early fusion
    z = fc8_A(h(x_A)) + fc8_ST(h(x_ST)),  h = fc7(fc6(.))                late fusion, h with the same weights in both

The published network is two VGG16 at stride 8; its details are not confirmed. Choices:

- "Shared" fc6 and fc7 are read as shared by the appearance stream and the fused one: that is why the fusion gives as
  many channels as conv5 has.
- The motion stream sees a flow picture of half the size, and its features are brought to the grid of the appearance
  stream: flow is smooth, and the second stream costs a quarter.
- On MobileNetV2, 1x1 convolutions reduce its 1280 channels to 256 in front of everything else. With 1280 the fusion
  alone would cost ten times the backbone.
- Without flow, nothing moves. The features of the motion stream are then the same for every picture and are computed
  once per batch.
"""

import math
from pathlib import Path

import torch
import torch.nn.functional as functional
from jaxtyping import Float
from torch import Tensor, nn

from wsss_lib.classification.backbones import Backbone, build_backbone
from wsss_lib.classification.convolutions import WideConv2d
from wsss_lib.segmentation.base import SegmentationNetwork
from wsss_lib.vocabulary import SettingsError

MOTION_REACH = 1 / 16
"""Displacement, in widths of the picture, that the flow picture shows at full strength; longer ones are cut (choice:
about the 20 pixels of 340 that two-stream networks for actions cut at, Wang et al., ECCV 2016; unconfirmed for BBF)."""

COUNTERPARTS = {
    "deeplab_largefov": "two_stream_largefov",
    "largefov_mobilenet_v2": "two_stream_mobilenet_v2",
    "largefov_small": "two_stream_small",
}
"""The network of one stream, and the one of two streams on the same backbone."""


def two_stream_of(name: str) -> str:
    """The two-stream network on the backbone of a segmentation network; ``SettingsError`` if there is none."""
    if name in COUNTERPARTS.values():
        return name
    if name not in COUNTERPARTS:
        raise SettingsError(f"no two-stream network goes with {name!r}; there is one for {', '.join(COUNTERPARTS)}")
    return COUNTERPARTS[name]


def flow_picture(flow: Float[Tensor, "batch 2 height width"], longest: float) -> Float[Tensor, "batch 3 height width"]:
    """Flow as a picture with values 0..255: right, down and length; a displacement of ``longest`` pixels is the end.

    Standstill is (127.5, 127.5, 0). With ``longest`` 10, (3, -4) is (127.5 * 1.3, 127.5 * 0.6, 255 * 0.5).
    """
    component = (flow / longest).clamp(-1, 1)
    length = (torch.linalg.vector_norm(flow, dim=1, keepdim=True) / longest).clamp(max=1)
    return torch.cat([127.5 * (1 + component), 255 * length], dim=1)


class TwoStream(SegmentationNetwork):
    """Appearance and motion, fused early and late; ``backbone`` is the appearance stream, ``motion`` the other one.

    ``reduced``: channels after the 1x1 convolutions, ``None`` to go without. ``width`` and ``dilation`` are of fc6.
    """

    def __init__(
        self, backbone: Backbone, motion: Backbone, num_classes: int,
        *, width: int, dilation: int, dropout: float, reduced: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone, self.motion = backbone, motion
        channels = reduced or backbone.channels

        def entrance() -> nn.Module:
            return nn.Identity() if reduced is None else nn.Conv2d(backbone.channels, reduced, 1)

        self.enter_appearance, self.enter_motion = entrance(), entrance()
        self.fusion = WideConv2d(2 * channels, channels, 3, padding=1)
        self.fc6 = WideConv2d(channels, width, 3, padding=dilation, dilation=dilation)
        self.fc7 = nn.Conv2d(width, width, 1)
        self.fc8 = nn.Conv2d(width, num_classes, 1)
        self.fc8_fused = nn.Conv2d(width, num_classes, 1)
        self.dropout = nn.Dropout(dropout)
        for layer in self.head:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]  # these convolutions have a bias
        for layer in (self.fc8, self.fc8_fused):
            nn.init.normal_(layer.weight, std=0.01)

    @property
    def head(self) -> list[nn.Module]:
        return [
            self.enter_appearance, self.enter_motion, self.fusion, self.fc6, self.fc7, self.fc8, self.fc8_fused,
        ]  # fmt: skip

    def forward(
        self,
        images: Float[Tensor, "batch 3 height width"],
        flow: Float[Tensor, "batch 2 height width"] | None = None,
    ) -> Float[Tensor, "batch class rows columns"]:
        """``flow``: (right, down) in pixels of these pictures; ``None`` for standstill."""
        appearance = self.backbone(images)
        moving = self.motion_features(
            images.new_zeros(1, 2, *images.shape[-2:]) if flow is None else flow,
            (appearance.shape[-2], appearance.shape[-1]),
        ).expand(len(images), -1, -1, -1)
        if not isinstance(self.enter_appearance, nn.Identity):
            appearance, moving = self.enter_appearance(appearance).relu(), self.enter_motion(moving).relu()
        fused = self.fusion(torch.cat([appearance, moving], dim=1)).relu()
        return (self.fc8(self.hidden(appearance)) + self.fc8_fused(self.hidden(fused))).float()

    def motion_features(
        self, flow: Float[Tensor, "batch 2 height width"], grid: tuple[int, int]
    ) -> Float[Tensor, "batch channel rows columns"]:
        """Features of the motion stream on the (rows, columns) ``grid`` of the appearance stream.

        The flow picture has half the size, rounded up to a multiple of the stride plus 1, so that its corners coincide
        with those of the grid.
        """
        size = [self.motion.stride * math.ceil((cells - 1) / 2) + 1 for cells in grid]
        longest = MOTION_REACH * flow.shape[-1]
        halved = functional.interpolate(flow, size, mode="bilinear", align_corners=True)
        features = self.motion(flow_picture(halved, longest))
        return functional.interpolate(features, grid, mode="bilinear", align_corners=True)

    def hidden(self, x: Float[Tensor, "batch channel rows columns"]) -> Float[Tensor, "batch width rows columns"]:
        """fc6 and fc7, the layers that the appearance stream and the fused stream share."""
        return self.dropout(self.fc7(self.dropout(self.fc6(x).relu())).relu())


def two_stream_largefov(num_classes: int, weights: str | Path = "none") -> TwoStream:
    """Two VGG16 at stride 8 with the head of DeepLab-LargeFOV: 1024 channels, dilation 12, dropout 0.5."""
    appearance, motion = (build_backbone("vgg16_largefov", weights) for _ in range(2))
    return TwoStream(appearance, motion, num_classes, width=1024, dilation=12, dropout=0.5)


def two_stream_mobilenet_v2(num_classes: int, weights: str | Path = "none") -> TwoStream:
    """Two MobileNetV2 at stride 16, reduced to 256 channels, with the head that our own network has on them."""
    appearance, motion = (build_backbone("mobilenet_v2", weights) for _ in range(2))
    return TwoStream(appearance, motion, num_classes, width=256, dilation=6, dropout=0.1, reduced=256)


def two_stream_small(num_classes: int, weights: str | Path = "none") -> TwoStream:
    """Two of the toy's small backbones at stride 4."""
    appearance, motion = (build_backbone("small", weights) for _ in range(2))
    return TwoStream(appearance, motion, num_classes, width=64, dilation=4, dropout=0.1)
