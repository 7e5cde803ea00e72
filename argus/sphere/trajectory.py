"""`Trajectory`: the orientation of a camera over time, and its files."""

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from argus.errors import InvalidInput
from argus.files import replacing, write_text
from argus.sphere.arrays import turns_of
from argus.sphere.camera import Camera

VERSION = 1


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Camera-to-world rotations float64 `[T, 3, 3]` (OpenCV axes), one camera, frames per second."""

    rotations: np.ndarray
    camera: Camera
    fps: Fraction

    def __post_init__(self) -> None:
        object.__setattr__(self, "rotations", turns_of(np.asarray(self.rotations, dtype=np.float64), np.empty(0)))
        object.__setattr__(self, "fps", Fraction(self.fps))
        if self.fps <= 0:
            raise InvalidInput(f"fps is {self.fps}, but must be positive")

    def __len__(self) -> int:
        return len(self.rotations)

    def relative(self) -> "Trajectory":
        """The same motion with frame 0 as the reference: R_0ᵀ R_k."""
        return Trajectory(self.rotations[0].T @ self.rotations, self.camera, self.fps)

    def save(self, path: Path | str) -> None:
        """Writes `.npz` or `.json`, by the name."""
        path = Path(path)
        fields: dict[str, Any] = {
            "schema": VERSION,
            "fps": [self.fps.numerator, self.fps.denominator],
            "fov_deg": [self.camera.fov_x_deg, self.camera.fov_y],
            "square_pixels": self.camera.fov_y_deg is None,
            "size": [self.camera.width, self.camera.height],
        }
        match path.suffix:
            case ".npz":
                with replacing(path) as beside:
                    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in fields.items()}
                    np.savez(beside, rotations=self.rotations, **arrays)
            case ".json":
                write_text(path, json.dumps({**fields, "rotations": self.rotations.tolist()}, indent=1) + "\n")
            case _:
                raise InvalidInput(f"a trajectory is saved as .npz or .json, got '{path.name}'")

    @classmethod
    def load(cls, path: Path | str) -> "Trajectory":
        """Reads what `save` wrote. Raises InvalidInput for another file."""
        path = Path(path)
        if path.suffix not in (".npz", ".json"):
            raise InvalidInput(f"a trajectory is a .npz or .json file, got '{path.name}'")
        if not path.exists():
            raise InvalidInput(f"trajectory {path} does not exist")
        try:
            fields = _read(path)
            version = int(fields["schema"])
            fov, size, fps = (np.asarray(fields[name]).tolist() for name in ("fov_deg", "size", "fps"))
            camera = Camera(float(fov[0]), int(size[0]), int(size[1]), None if bool(fields["square_pixels"]) else float(fov[1]))
            trajectory = cls(np.asarray(fields["rotations"], dtype=np.float64), camera, Fraction(int(fps[0]), int(fps[1])))
        except InvalidInput:
            raise
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OSError, ZeroDivisionError) as error:
            raise InvalidInput(f"{path} is not a trajectory that this version reads: {error}") from error
        if version != VERSION:
            raise InvalidInput(f"{path} has trajectory schema {version}; this version reads {VERSION}")
        return trajectory


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".json":
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return fields
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)
