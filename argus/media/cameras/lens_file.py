"""Lens files: the parameters of the lenses of a camera, measured by its owner.

A lens file is JSON with the fields of `argus.sphere.FisheyeLens` for each lens, in the order of the
pictures: from left to right, or the first track, or the file `_00_` first:

    {
      "lenses": [
        {
          "fov_deg": 200,
          "yaw_deg": 180,
          "picture": [2880, 2880],
          "center": [1439.2, 1441.7],
          "radius": 1407.5,
          "k": [0.012, -0.003, 0.0, 0.0]
        },
        {"fov_deg": 200, "yaw_deg": 0, "pitch_deg": 0.4, "roll_deg": -0.2}
      ]
    }
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from argus.errors import InvalidInput
from argus.files import require_file
from argus.sphere import FisheyeLens, erp_grid, ideal_lenses, rotate_rays, solid_angle

Lenses = tuple[FisheyeLens, FisheyeLens]
"""Both lenses of a camera, in the order of its pictures."""

_NOMINAL = re.compile(r"nominal:(.*)", re.DOTALL)
_MAX_BYTES = 1 << 20
_MAX_UNSEEN = 0.005  # of the sphere: ideal lenses of 180 degrees have rims
_GRID = (64, 128)


@dataclass(frozen=True)
class _LensFile:
    lenses: Lenses

    __pydantic_config__: ClassVar = {"extra": "forbid"}


def read_lenses(source: Path | str) -> Lenses:
    """Return the lenses of a camera.

    Args:
        source: a lens file, or "nominal:FOV" for two ideal equidistant lenses with that field of
            view in degrees, the first one looking backward, in the middle of square pictures.

    Raises:
        InvalidInput: the file is missing, damaged or describes impossible lenses, or the lenses
            leave a part of the sphere unseen.
    """
    name = str(source)
    nominal = _NOMINAL.fullmatch(name)
    lenses = _parse_nominal(name, nominal[1]) if nominal else _read_file(Path(source))
    unseen = _measure_unseen(lenses)
    if unseen > _MAX_UNSEEN:
        remedy = "a field of view" if nominal else "each lens its yaw_deg, and a fov_deg"
        raise InvalidInput(
            f"the lenses of {name} leave {unseen:.0%} of the sphere unseen; "
            f"give {remedy} of at least 180"
        )
    return lenses


def _parse_nominal(name: str, fov: str) -> Lenses:
    try:
        first, second = ideal_lenses(float(fov))
    except ValueError as error:  # InvalidInput is one too
        raise InvalidInput(
            f"lens is '{name}', but must be a lens file or nominal:FOV with a field of view in "
            "degrees, such as nominal:200"
        ) from error
    return first, second


def _read_file(path: Path) -> Lenses:
    require_file(path, "lens file")
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInput(f"the lens file {path} is larger than 1 MiB; give a JSON file of lenses")
    try:
        return TypeAdapter(_LensFile).validate_json(path.read_bytes()).lenses
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        detail = f"{place}: {first['msg']}" if place else first["msg"]
        raise InvalidInput(
            f"the lens file {path} is invalid ({detail}); see argus stitch --help for its form"
        ) from error


def _measure_unseen(lenses: Lenses) -> float:
    """Return the share of the sphere that no lens sees."""
    like = np.empty(0)
    grid, is_seen = erp_grid(_GRID, like), np.zeros(_GRID, bool)
    for lens in lenses:
        rays = rotate_rays(grid, lens.rotation.T[None])
        angle, _, _ = lens.project(rays, _GRID, 1.0)
        is_seen |= angle[0] <= lens.half_fov
    return float(solid_angle(_GRID)[~is_seen].sum() / (4 * np.pi))
