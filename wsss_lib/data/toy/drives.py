"""Two towns to drive through: one for train and val, another one, with another camera, for test."""

from dataclasses import dataclass, field

import numpy as np

from wsss_lib.data.toy.camera import Camera
from wsss_lib.data.toy.light import Climate
from wsss_lib.data.toy.textures import Color

BLOCKS = ("houses", "park", "walled", "fenced", "field", "crossing")
"""What a stretch of roadside can be."""


@dataclass(frozen=True, kw_only=True)
class Drive:
    """How a town looks and how the camera sits in the car. Pairs are ranges; chances are per picture."""

    houses: tuple[Color, ...]
    road: tuple[Color, ...]
    walk: tuple[Color, ...]
    grass: tuple[Color, ...]
    storeys: tuple[float, float]
    blocks: tuple[float, float, float, float, float, float]  # chances of BLOCKS
    setback: tuple[float, float]
    half_road: tuple[float, float]
    climate: Climate
    focal: tuple[float, float]  # in picture widths
    horizon: tuple[float, float]  # in picture heights from the top
    camera_height: tuple[float, float]
    lane_offset: tuple[float, float]
    bonnet: tuple[float, float]  # in picture heights

    def camera(self, rng: np.random.Generator, size: tuple[int, int], half_road: float) -> Camera:
        """Put the camera into the right-hand lane."""
        width, height = size
        return Camera(
            width=width,
            height=height,
            focal=rng.uniform(*self.focal) * width,
            horizon=rng.uniform(*self.horizon) * height,
            center_x=width * rng.uniform(0.44, 0.56),
            x=half_road * rng.uniform(*self.lane_offset),
            y=rng.uniform(*self.camera_height),
        )


RIVERSIDE = Drive(
    houses=(
        (0.56, 0.47, 0.36),
        (0.47, 0.25, 0.19),
        (0.62, 0.58, 0.5),
        (0.4, 0.38, 0.36),
        (0.66, 0.55, 0.34),
        (0.5, 0.44, 0.4),
    ),
    road=((0.36, 0.36, 0.37), (0.44, 0.43, 0.42), (0.3, 0.3, 0.31), (0.5, 0.48, 0.45)),
    walk=((0.5, 0.48, 0.46), (0.42, 0.41, 0.41), (0.56, 0.46, 0.4), (0.6, 0.58, 0.54)),
    grass=((0.24, 0.34, 0.12), (0.34, 0.4, 0.16), (0.46, 0.42, 0.22)),
    storeys=(2.0, 6.0),
    blocks=(0.5, 0.14, 0.1, 0.12, 0.08, 0.06),
    setback=(0.0, 5.0),
    half_road=(3.2, 6.0),
    climate=Climate(),
    focal=(0.82, 1.0),
    horizon=(0.38, 0.47),
    camera_height=(1.2, 1.6),
    lane_offset=(0.2, 0.5),
    bonnet=(0.04, 0.09),
)

HILLTOP = Drive(
    houses=(
        (0.66, 0.65, 0.63),
        (0.36, 0.37, 0.4),
        (0.46, 0.36, 0.34),
        (0.55, 0.56, 0.52),
        (0.44, 0.47, 0.5),
    ),
    road=((0.42, 0.39, 0.36), (0.5, 0.47, 0.43), (0.27, 0.27, 0.29)),
    walk=((0.58, 0.52, 0.46), (0.46, 0.43, 0.4), (0.38, 0.38, 0.39)),
    grass=((0.3, 0.35, 0.15), (0.45, 0.4, 0.2), (0.22, 0.28, 0.12)),
    storeys=(2.0, 8.0),
    blocks=(0.46, 0.16, 0.11, 0.1, 0.09, 0.08),
    setback=(0.0, 8.0),
    half_road=(3.6, 7.0),
    climate=Climate(
        weather=(0.3, 0.34, 0.2, 0.16), warmth=-0.04, exposure=0.9, exposure_spread=0.18, noise=(0.012, 0.04)
    ),
    focal=(0.7, 0.86),
    horizon=(0.33, 0.42),
    camera_height=(1.7, 2.3),
    lane_offset=(0.05, 0.4),
    bonnet=(0.0, 0.05),
)

DRIVES: dict[str, Drive] = {"train": RIVERSIDE, "val": RIVERSIDE, "test": HILLTOP}


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """How often things are met: the chance that a street has any, or the mean number. The tail is long on purpose."""

    truck: float = 0.1
    bus: float = 0.1
    train: float = 0.05
    motorcycle: float = 0.17
    rider: float = 0.3
    bicycle: float = 0.36
    clutter: float = 0.35
    lights: float = 0.8
    street_trees: float = 0.45
    persons: float = 2.2
    signs: float = 2.3
    moving_cars: float = 1.6
    parked: float = 0.55
    parked_density: tuple[float, float] = field(default=(0.2, 0.9))


TRAFFIC = Traffic()
