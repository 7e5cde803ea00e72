"""Colors and light of one world, drawn from its seed. Colors are RGB in [0, 1]."""

import colorsys
from dataclasses import dataclass
from functools import partial

import numpy as np


@dataclass(frozen=True)
class Palette:
    """Colors and light of a world; each row of a 2-D array is one color to choose from."""

    walls: np.ndarray  # [8, 3]
    car_paints: np.ndarray  # [8, 3]
    clothes: np.ndarray  # [8, 3]
    skins: np.ndarray  # [4, 3]
    leaves: np.ndarray  # [4, 3]
    bark: np.ndarray  # [3]
    asphalt: np.ndarray  # [3]
    sidewalk: np.ndarray  # [3]
    grass: np.ndarray  # [3]
    zenith: np.ndarray  # [3]
    horizon: np.ndarray  # [3]
    sunlight: np.ndarray  # [3]
    sun_direction: np.ndarray  # [3] unit vector toward the sun
    cloudiness: float  # approximate share of the sky that clouds cover


def make_palette(seed: int) -> Palette:
    """Draw the palette of a seed."""
    generator = np.random.default_rng(np.random.SeedSequence((seed, 5)))
    draw = partial(_draw_colors, generator)
    # The order of the draws is part of the output.
    warmth = generator.uniform(0, 1)  # 0 at noon, 1 in the evening
    azimuth, elevation = generator.uniform(0, 2 * np.pi), np.radians(60 - 45 * warmth)
    wall_hue = generator.uniform(0, 1)
    return Palette(
        walls=np.concatenate(
            [
                draw(5, (0.02, 0.13), (0.08, 0.5), (0.5, 0.95)),
                draw(3, (wall_hue, wall_hue + 0.1), (0.2, 0.6), (0.4, 0.9)),
            ]
        ),
        car_paints=np.concatenate(
            [
                draw(5, (0, 1), (0.6, 0.95), (0.4, 0.95)),
                draw(3, (0, 1), (0, 0.08), (0.15, 0.95)),
            ]
        ),
        clothes=draw(8, (0, 1), (0.2, 0.9), (0.2, 0.95)),
        skins=draw(4, (0.04, 0.09), (0.3, 0.6), (0.4, 0.95)),
        leaves=draw(4, (0.16 + 0.1 * generator.random(), 0.36), (0.5, 0.8), (0.3, 0.6)),
        bark=draw(1, (0.06, 0.1), (0.3, 0.5), (0.25, 0.45))[0],
        asphalt=draw(1, (0.5, 0.75), (0.02, 0.12), (0.24, 0.4))[0],
        sidewalk=draw(1, (0.05, 0.15), (0.02, 0.15), (0.55, 0.75))[0],
        grass=draw(1, (0.2, 0.34), (0.45, 0.7), (0.35, 0.55))[0],
        zenith=np.array(
            colorsys.hsv_to_rgb(
                0.56 + 0.06 * generator.random(),
                0.55 + 0.25 * generator.random(),
                0.85 - 0.3 * warmth,
            )
        ),
        horizon=np.array(
            colorsys.hsv_to_rgb(0.1 if warmth > 0.6 else 0.57, 0.1 + 0.3 * warmth, 0.92)
        ),
        sunlight=np.array([1.0, 0.97 - 0.15 * warmth, 0.92 - 0.35 * warmth]),
        sun_direction=np.array(
            [
                np.cos(elevation) * np.sin(azimuth),
                -np.sin(elevation),
                np.cos(elevation) * np.cos(azimuth),
            ]
        ),
        cloudiness=generator.uniform(0.1, 0.7),
    )


def _draw_colors(
    generator: np.random.Generator,
    count: int,
    hue: tuple[float, float],
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> np.ndarray:
    """Draw RGB colors `[count, 3]` uniformly from ranges of HSV in [0, 1]; hue wraps around."""
    return np.array(
        [
            colorsys.hsv_to_rgb(
                generator.uniform(*hue) % 1,
                generator.uniform(*saturation),
                generator.uniform(*value),
            )
            for _ in range(count)
        ]
    )
