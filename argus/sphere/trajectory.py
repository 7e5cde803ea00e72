"""`Trajectory`: the orientation of a camera over time, and its files."""

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from argus.errors import InvalidInput
from argus.files import replace_atomically, write_text
from argus.sphere.arrays import turns_of
from argus.sphere.camera import Camera
from argus.sphere.pose_files import (
    read_arrays,
    read_bounded,
    read_colmap,
    read_evaluation,
    read_megasam,
)

VERSION = 1
_FIELDS = ("schema", "fps", "fov_deg", "square_pixels", "size", "rotations")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Camera-to-world rotations float64 `[T, 3, 3]` (OpenCV axes), one camera, frames per second."""

    rotations: np.ndarray
    camera: Camera
    fps: Fraction

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "rotations", turns_of(np.asarray(self.rotations, dtype=np.float64), np.empty(0))
        )
        object.__setattr__(self, "fps", Fraction(self.fps))
        if not len(self.rotations):
            raise InvalidInput("a trajectory has at least one frame, got none")
        if (np.linalg.det(self.rotations) < 0).any():
            raise InvalidInput(
                "rotations must have determinant 1; at least one mirrors (axes are x right, y down, z forward)"
            )
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
                with replace_atomically(path) as beside:
                    arrays: dict[str, Any] = {
                        name: np.asarray(value) for name, value in fields.items()
                    }
                    np.savez(beside, rotations=self.rotations, **arrays)
            case ".json":
                write_text(
                    path,
                    json.dumps({**fields, "rotations": self.rotations.tolist()}, indent=1) + "\n",
                )
            case _:
                raise InvalidInput(f"a trajectory is saved as .npz or .json, got '{path.name}'")

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        fps: Fraction | float | None = None,
        size: tuple[int, int] | None = None,
    ) -> "Trajectory":
        """Reads a trajectory; the name and the content tell the format. Positions are ignored: only rotations are kept.

        | path | format | holds no |
        |---|---|---|
        | `.npz`, `.json` | what `save` wrote | |
        | `.npz` with `cam_c2w` and `intrinsic` | MegaSaM | fps |
        | folder with `cameras.txt` and `images.txt` | COLMAP text | fps |
        | `motion/NAME.txt`, with `fov/NAME.txt` beside `motion` | the paper's evaluation trajectories | fps, size |

        Args:
            fps: frames per second of the video that the poses belong to; replaces the file's own.
            size: its (height, width) in pixels; replaces the file's own, and the field of view stays.

        Raises:
            InvalidInput: the file is broken or of another kind, frames are missing in it, its camera is no perspective camera with the
                principal point in the middle, or it does not hold what was not given.
        """
        path = Path(path)
        if not path.exists():
            raise InvalidInput(f"trajectory {path} does not exist")
        try:
            trajectory = cls(*_read(path, fps, size))
        except InvalidInput as error:
            raise InvalidInput(f"trajectory {path}: {error}") from error
        except Exception as error:  # a hostile file fails in any way
            raise InvalidInput(
                f"trajectory {path} cannot be read, it is broken or of another kind: {type(error).__name__}: {error}"
            ) from error
        camera = trajectory.camera
        if size is None or size == (camera.height, camera.width):
            return trajectory
        return replace(trajectory, camera=camera.resized(size[1], size[0]))


def _read(
    path: Path, fps: Fraction | float | None, size: tuple[int, int] | None
) -> tuple[np.ndarray, Camera, Fraction]:
    if path.is_dir():
        found = read_colmap(path)
    elif not path.is_file():
        raise InvalidInput("it is no file")
    elif path.suffix == ".txt":
        found = read_evaluation(path, size)
    elif path.suffix == ".json":
        return _own(json.loads(read_bounded(path)), fps)
    elif path.suffix == ".npz":
        arrays = read_arrays(path, {*_FIELDS, "cam_c2w", "intrinsic"})
        if "cam_c2w" not in arrays:
            return _own(arrays, fps)
        found = read_megasam(arrays)
    else:
        raise InvalidInput("a trajectory is a .npz, .json or .txt file, or COLMAP's folder")
    if fps is None:
        raise InvalidInput("the frame rate is not in this format; give fps")
    return found.rotations, found.camera, Fraction(fps)


def _own(fields: Any, fps: Fraction | float | None) -> tuple[np.ndarray, Camera, Fraction]:
    """From what `save` wrote."""
    if absent := [name for name in _FIELDS if name not in fields]:
        raise InvalidInput(
            f"it has no {', '.join(absent)}; this version saves {', '.join(_FIELDS)}"
        )
    if int(fields["schema"]) != VERSION:
        raise InvalidInput(
            f"it has trajectory schema {int(fields['schema'])}; this version reads {VERSION}"
        )
    fov, size, rate = (np.asarray(fields[name]).tolist() for name in ("fov_deg", "size", "fps"))
    camera = Camera(
        float(fov[0]),
        int(size[0]),
        int(size[1]),
        None if bool(fields["square_pixels"]) else float(fov[1]),
    )
    return (
        np.asarray(fields["rotations"], dtype=np.float64),
        camera,
        Fraction(int(rate[0]), int(rate[1])) if fps is None else Fraction(fps),
    )
