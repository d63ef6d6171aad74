"""A pinhole camera over flat ground: metres in the world to pixels in the picture.

World axes: ``x`` to the right, ``y`` up from the ground, ``z`` along the street; the camera looks along ``z``. A
pitched or turned camera is modelled by a shifted lens (``horizon``, ``center_x`` away from the middle): verticals stay
vertical, and the inverse depth of a plane is linear in the pixel.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "point 3"]
Pixels = Float[np.ndarray, "point 2"]

NEAR = 0.8
"""Nothing closer than this many metres is drawn."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """Where the camera stands (metres) and how it projects (pixels; the centre of the first pixel is at 0)."""

    width: int
    height: int
    focal: float
    horizon: float
    center_x: float
    x: float = 0.0
    y: float = 1.5
    z: float = 0.0

    @property
    def position(self) -> np.ndarray:
        return np.array([self.x, self.y, self.z])

    def project(self, relative: Points) -> Pixels:
        """Pixel (column, row) of points relative to the camera; those nearer than ``NEAR`` are treated as at it."""
        scale = self.focal / np.maximum(relative[:, 2:], NEAR)
        return relative[:, :2] * np.array([1.0, -1.0]) * scale + np.array([self.center_x, self.horizon])

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """``x / z`` of every column (1 x width) and ``y / z`` of every row (height x 1)."""
        across = (np.arange(self.width, dtype=np.float32) - np.float32(self.center_x)) / np.float32(self.focal)
        up = (np.float32(self.horizon) - np.arange(self.height, dtype=np.float32)) / np.float32(self.focal)
        return across[None, :], up[:, None]


def clip_near(points: Points, near: float = NEAR) -> Points:
    """The part of a polygon beyond the plane z = near (Sutherland and Hodgman 1974, one plane); may be empty."""
    inside = points[:, 2] >= near
    if inside.all():
        return points
    kept: list[np.ndarray] = []
    for index in range(len(points)):
        start, end = points[index - 1], points[index]
        if inside[index - 1] != inside[index]:
            kept.append(start + (near - start[2]) / (end[2] - start[2]) * (end - start))
        if inside[index]:
            kept.append(end)
    return np.array(kept).reshape(-1, 3)
