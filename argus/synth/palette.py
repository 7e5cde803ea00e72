"""The colours and the light of one world, drawn from its seed. Colours are RGB in [0, 1]."""

import colorsys
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Palette:
    """Every row of an array is one colour that a thing may have."""

    walls: np.ndarray  # [8, 3]
    paints: np.ndarray  # [8, 3]
    cloths: np.ndarray  # [8, 3]
    skins: np.ndarray  # [4, 3]
    leaves: np.ndarray  # [4, 3]
    bark: np.ndarray  # [3]
    asphalt: np.ndarray  # [3]
    pavement: np.ndarray  # [3]
    grass: np.ndarray  # [3]
    zenith: np.ndarray  # [3]
    horizon: np.ndarray  # [3]
    sunlight: np.ndarray  # [3]
    sun: np.ndarray  # [3] unit direction towards the sun
    clouds: float  # share of the sky, about


def make_palette(seed: int) -> Palette:
    """The palette of a seed."""
    random = np.random.default_rng(np.random.SeedSequence((seed, 5)))

    def colours(
        count: int,
        hue: tuple[float, float],
        saturation: tuple[float, float],
        value: tuple[float, float],
    ) -> np.ndarray:
        return np.array(
            [
                colorsys.hsv_to_rgb(
                    random.uniform(*hue) % 1, random.uniform(*saturation), random.uniform(*value)
                )
                for _ in range(count)
            ]
        )

    warm = random.uniform(0, 1)  # from noon to evening
    turn, height = random.uniform(0, 2 * np.pi), np.radians(60 - 45 * warm)
    wall_hue = random.uniform(0, 1)
    return Palette(
        walls=np.concatenate(
            [
                colours(5, (0.02, 0.13), (0.08, 0.5), (0.5, 0.95)),
                colours(3, (wall_hue, wall_hue + 0.1), (0.2, 0.6), (0.4, 0.9)),
            ]
        ),
        paints=np.concatenate(
            [
                colours(5, (0, 1), (0.6, 0.95), (0.4, 0.95)),
                colours(3, (0, 1), (0, 0.08), (0.15, 0.95)),
            ]
        ),
        cloths=colours(8, (0, 1), (0.2, 0.9), (0.2, 0.95)),
        skins=colours(4, (0.04, 0.09), (0.3, 0.6), (0.4, 0.95)),
        leaves=colours(4, (0.16 + 0.1 * random.random(), 0.36), (0.5, 0.8), (0.3, 0.6)),
        bark=colours(1, (0.06, 0.1), (0.3, 0.5), (0.25, 0.45))[0],
        asphalt=colours(1, (0.5, 0.75), (0.02, 0.12), (0.24, 0.4))[0],
        pavement=colours(1, (0.05, 0.15), (0.02, 0.15), (0.55, 0.75))[0],
        grass=colours(1, (0.2, 0.34), (0.45, 0.7), (0.35, 0.55))[0],
        zenith=np.array(
            colorsys.hsv_to_rgb(
                0.56 + 0.06 * random.random(), 0.55 + 0.25 * random.random(), 0.85 - 0.3 * warm
            )
        ),
        horizon=np.array(colorsys.hsv_to_rgb(0.1 if warm > 0.6 else 0.57, 0.1 + 0.3 * warm, 0.92)),
        sunlight=np.array([1.0, 0.97 - 0.15 * warm, 0.92 - 0.35 * warm]),
        sun=np.array(
            [np.cos(height) * np.sin(turn), -np.sin(height), np.cos(height) * np.cos(turn)]
        ),
        clouds=random.uniform(0.1, 0.7),
    )
