"""Noise and textures: statistics known by construction."""

import numpy as np
import pytest

from wsss_lib.data.toy.textures import ROUGHNESS, TILE, Noise, jitter, matte, noise_tile, one_of, slabs


@pytest.mark.parametrize("kind", ROUGHNESS)
def test_tiles_are_normalised_and_differ(kind: str) -> None:
    tile = noise_tile(kind)
    assert tile.shape == (TILE, TILE)
    assert abs(float(tile.mean())) < 1e-4
    assert float(tile.std()) == pytest.approx(1.0, abs=1e-3)


def test_rougher_spectra_make_smoother_neighbours() -> None:
    steps = [float(np.abs(np.diff(noise_tile(kind), axis=1)).mean()) for kind in ("grain", "mottle", "cloud")]
    assert steps == sorted(steps, reverse=True)


def test_noise_is_periodic_and_fades_with_distance() -> None:
    noise = Noise(np.random.default_rng(0), "grain", detail=4.0)
    s, t = np.linspace(0, 10, 50), np.zeros(50)
    np.testing.assert_array_equal(noise(s, t), noise(s + TILE / 4.0, t))
    np.testing.assert_allclose(noise(s, t, 2.5), noise(s, t) / 10, rtol=1e-6)


def test_texture_of_a_point_does_not_depend_on_its_neighbours() -> None:
    for texture in (
        matte(np.random.default_rng(1), (0.5, 0.4, 0.3)),
        slabs(np.random.default_rng(1), (0.5,) * 3, 1, 1),
    ):
        s, t, footprint = np.linspace(0, 5, 20), np.linspace(1, 4, 20), np.full(20, 0.02)
        whole = texture(s, t, footprint)
        assert whole.shape == (20, 3)
        np.testing.assert_array_equal(whole[7:9], texture(s[7:9], t[7:9], footprint[7:9]))


def test_jitter_without_spread_is_the_colour_itself_and_stays_in_range() -> None:
    rng = np.random.default_rng(0)
    assert jitter(rng, (0.2, 0.3, 0.4), 0.0, 0.0) == (0.2, 0.3, 0.4)
    assert all(0.0 < channel <= 1.0 for _ in range(50) for channel in jitter(rng, (0.9, 0.5, 0.05), 0.5, 0.5))


def test_one_of_follows_its_chances() -> None:
    rng = np.random.default_rng(0)
    drawn = [one_of(rng, "abc", (0.7, 0.3, 0.0)) for _ in range(2000)]
    assert drawn.count("c") == 0
    assert drawn.count("a") / 2000 == pytest.approx(0.7, abs=0.04)
    assert {one_of(rng, "xy") for _ in range(50)} == {"x", "y"}
