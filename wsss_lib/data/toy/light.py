"""Changing light: sun, sky and haze before the lens; exposure, colour, blur and noise behind it."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32

from wsss_lib.data.toy.camera import Points
from wsss_lib.data.toy.textures import Color, Noise, jitter, one_of
from wsss_lib.vocabulary import Image, SettingsError

WEATHERS = ("clear", "overcast", "dusk", "haze")


@dataclass(frozen=True, kw_only=True)
class Climate:
    """Which light a drive meets: the chance of each of ``WEATHERS``, and the camera's habits."""

    weather: tuple[float, float, float, float] = (0.45, 0.3, 0.12, 0.13)
    warmth: float = 0.0
    warmth_spread: float = 0.06
    exposure: float = 1.0
    exposure_spread: float = 0.13
    noise: tuple[float, float] = (0.008, 0.03)
    blur: tuple[float, float] = (0.45, 0.75)
    saturation: tuple[float, float] = (0.85, 1.1)

    def __post_init__(self) -> None:
        if min(self.weather) < 0 or abs(sum(self.weather) - 1) > 1e-6:
            raise SettingsError(f"the chances of {', '.join(WEATHERS)} must sum to 1, not {self.weather}")


@dataclass(frozen=True, kw_only=True)
class Light:
    """One picture's light. ``sun`` is the unit vector towards the sun; light colours multiply reflectance."""

    sun: np.ndarray
    ambient: np.ndarray
    direct: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    cloud_cover: float
    clouds: Noise
    haze: float
    gain: np.ndarray
    gamma: float
    noise: float
    blur: float
    saturation: float
    vignette: float

    def on(self, normal: np.ndarray) -> np.ndarray:
        """Light (red, green, blue) that a surface with this unit normal gets: ambient from above, sun by Lambert."""
        return self.on_all(normal[None])[0]

    def on_all(self, normals: Points) -> Points:
        """``on`` for every row."""
        return (
            self.ambient * (0.85 + 0.15 * normals[:, 1:2]) + self.direct * np.maximum(normals @ self.sun, 0.0)[:, None]
        )

    def shadow(self) -> np.ndarray:
        """Factor on the ground's colour in the sun's shadow."""
        up = np.array([0.0, 1.0, 0.0])
        return self.ambient / self.on(up)


def sample_light(rng: np.random.Generator, climate: Climate) -> Light:
    """Draw the light of one picture (or sequence) from a climate."""
    weather = one_of(rng, WEATHERS, climate.weather)
    azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.1)
    if weather == "dusk":
        elevation = rng.uniform(0.08, 0.3)
    level = np.cos(elevation)
    sun = np.array([level * np.cos(azimuth), np.sin(elevation), level * np.sin(azimuth)])
    strength = {"clear": rng.uniform(0.45, 0.75), "overcast": 0.06, "dusk": rng.uniform(0.25, 0.5), "haze": 0.18}[
        weather
    ]
    warm = climate.warmth + climate.warmth_spread * rng.standard_normal() + (0.12 if weather == "dusk" else 0.0)
    brightness = climate.exposure * np.exp(climate.exposure_spread * rng.standard_normal())
    brightness = max(brightness, 0.7) * (0.85 if weather == "dusk" else 1.0)
    zenith, horizon = _sky_colors(rng, weather)
    return Light(
        sun=sun,
        ambient=np.array([0.64, 0.67, 0.72]) * (1.25 if weather in ("overcast", "haze") else 1.0),
        direct=np.array([1.0, 0.94, 0.82]) * strength,
        zenith=zenith,
        horizon=horizon,
        cloud_cover={"clear": rng.uniform(-1.8, 0.2), "overcast": 1.6, "dusk": rng.uniform(-1, 1), "haze": 0.6}[
            weather
        ],
        clouds=Noise(rng, "cloud", 26.0),
        haze=rng.uniform(0.008, 0.022) if weather == "haze" else rng.uniform(0.0003, 0.004),
        gain=brightness * np.array([1 + warm, 1.0, 1 - warm]),
        gamma=rng.uniform(0.85, 1.15),
        noise=rng.uniform(*climate.noise) * (1.6 if weather == "dusk" else 1.0),
        blur=rng.uniform(*climate.blur),
        saturation=rng.uniform(*climate.saturation),
        vignette=rng.uniform(0.0, 0.25),
    )


_ZENITH: dict[str, Color] = {
    "clear": (0.36, 0.55, 0.84),
    "overcast": (0.74, 0.76, 0.79),
    "dusk": (0.36, 0.42, 0.6),
    "haze": (0.72, 0.74, 0.76),
}
_HORIZON: dict[str, Color] = {
    "clear": (0.78, 0.86, 0.93),
    "overcast": (0.86, 0.87, 0.88),
    "dusk": (0.95, 0.7, 0.5),
    "haze": (0.84, 0.84, 0.82),
}


def _sky_colors(rng: np.random.Generator, weather: str) -> tuple[np.ndarray, np.ndarray]:
    return np.array(jitter(rng, _ZENITH[weather], 0.03)), np.array(jitter(rng, _HORIZON[weather], 0.03, 0.06))


def sky(light: Light, across: np.ndarray, up: np.ndarray) -> Float32[np.ndarray, "pixel 3"]:
    """Colour of the sky along rays (``x / z``, ``y / z``): a gradient, and clouds on a far flat ceiling."""
    height = np.clip(up, 0.0, 1.2)
    share = np.clip(height * 1.6, 0.0, 1.0)[..., None] ** 0.7
    base = light.horizon * (1 - share) + light.zenith * share
    depth = 1.0 / (height + 0.15)
    cover = light.clouds(across * depth, depth)
    thick = np.clip(0.6 * (cover + light.cloud_cover), 0.0, 0.85)[..., None]
    white = np.minimum(1.0, 1.08 * light.horizon) * (0.96 + 0.05 * cover[..., None])
    return (base * (1 - thick) + white * thick).astype(np.float32)


def _saturate(amount: float) -> np.ndarray:
    """The 3 x 3 matrix that moves colours away from their grey (``amount`` > 1) or towards it."""
    return amount * np.eye(3) + (1 - amount) / 3


def develop(color: np.ndarray, inverse_depth: np.ndarray, light: Light, rng: np.random.Generator) -> Image:
    """From the light of every pixel to the picture: haze, exposure, lens blur, vignette, gamma, noise, 8 bits.

    Parameters
    ----------
    color : float32, height x width x 3, linear light
    inverse_depth : float32, height x width, 1 / metres; 0 is the sky, which carries its haze already
    light : the picture's light
    rng : chance of the sensor's noise
    """
    height, width = inverse_depth.shape
    clear = np.exp(-light.haze / np.maximum(inverse_depth, 1e-3))
    clear[inverse_depth == 0] = 1.0
    seen = color * clear[..., None]
    seen += light.horizon.astype(np.float32) * (1 - clear)[..., None]
    seen = cv2.transform(seen, _saturate(light.saturation) * light.gain[:, None])
    seen = cv2.GaussianBlur(seen, (0, 0), light.blur * max(1.0, width / 256) ** 0.5)
    if light.vignette > 0:
        rows, columns = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
        seen *= (1 - light.vignette * 0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2))[..., None]
    bright = np.power(np.clip(seen, 0.0, 1.0), np.float32(light.gamma))
    bright += light.noise * rng.standard_normal((height, width, 3), dtype=np.float32)
    return (np.clip(bright, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
