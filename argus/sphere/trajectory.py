"""Camera trajectories: orientation over time, and the files that store it."""

import json
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from argus.errors import InvalidInput
from argus.files import replace_atomically, write_text
from argus.sphere.arrays import as_rotations
from argus.sphere.camera import Camera
from argus.sphere.pose_files import (
    read_bounded_text,
    read_colmap,
    read_evaluation,
    read_megasam,
    read_npz_arrays,
)

SCHEMA_VERSION = 1
"""Version of the files that `Trajectory.save` writes."""

_FIELDS = ("schema", "fps", "fov_deg", "square_pixels", "size", "rotations")


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Orientation of a camera in every frame of a video.

    Attributes:
        rotations: Camera-to-world matrices, float64 `[T, 3, 3]`, OpenCV axes.
        camera: Camera of all frames.
        fps: Frames per second.
    """

    rotations: np.ndarray
    camera: Camera
    fps: Fraction

    def __post_init__(self) -> None:
        matrices = np.asarray(self.rotations, dtype=np.float64)
        object.__setattr__(self, "rotations", as_rotations(matrices, np.empty(0)))
        object.__setattr__(self, "fps", Fraction(self.fps))
        if not len(self.rotations):
            raise InvalidInput("a trajectory needs at least one frame, got none")
        if (np.linalg.det(self.rotations) < 0).any():
            raise InvalidInput(
                "rotations must have determinant 1, but at least one mirrors (axes are x right, "
                "y down, z forward)"
            )
        if self.fps <= 0:
            raise InvalidInput(f"fps is {self.fps}, but must be positive")

    def __len__(self) -> int:
        return len(self.rotations)

    def relative(self) -> "Trajectory":
        """Return the same motion relative to frame 0: R_0ᵀ · R_k."""
        return Trajectory(self.rotations[0].T @ self.rotations, self.camera, self.fps)

    def save(self, path: Path | str) -> None:
        """Write the trajectory to a file.

        Args:
            path: File whose name ends in `.npz` or `.json`, which selects the format.

        Raises:
            InvalidInput: The name ends otherwise.
        """
        path = Path(path)
        fields: dict[str, Any] = {
            "schema": SCHEMA_VERSION,
            "fps": [self.fps.numerator, self.fps.denominator],
            "fov_deg": [self.camera.fov_x_deg, self.camera.fov_y],
            "square_pixels": self.camera.fov_y_deg is None,
            "size": [self.camera.width, self.camera.height],
        }
        match path.suffix:
            case ".npz":
                arrays: dict[str, Any] = {name: np.asarray(value) for name, value in fields.items()}
                with replace_atomically(path) as partial:
                    np.savez(partial, rotations=self.rotations, **arrays)
            case ".json":
                fields["rotations"] = self.rotations.tolist()
                write_text(path, json.dumps(fields, indent=1) + "\n")
            case _:
                raise InvalidInput(f"'{path.name}' must end in .npz or .json")

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        fps: Fraction | float | None = None,
        size: tuple[int, int] | None = None,
    ) -> "Trajectory":
        """Read a trajectory; name and content determine the format.

        Positions are ignored; only rotations are kept.

        | path | format | lacks |
        |---|---|---|
        | `.npz`, `.json` | written by `save` | |
        | `.npz` with `cam_c2w` and `intrinsic` | MegaSaM | fps |
        | folder with `cameras.txt` and `images.txt` | COLMAP text | fps |
        | `motion/NAME.txt`, with `fov/NAME.txt` beside `motion` | evaluation trajectory of the
          Argus paper | fps, size |

        Args:
            path: File, or folder of a COLMAP model.
            fps: Frames per second of the video; overrides the file.
            size: (height, width) of the video in pixels; overrides the file and keeps its field of
                view.

        Raises:
            InvalidInput: The file is broken or of another format, lacks frames, or has a camera
                that is not a pinhole camera with a centered principal point; or the format lacks a
                value that was not given.
        """
        path = Path(path)
        if not path.exists():
            raise InvalidInput(f"trajectory {path} does not exist")
        try:
            trajectory = cls(*_read_trajectory(path, fps, size))
        except InvalidInput as error:
            raise InvalidInput(f"trajectory {path}: {error}") from error
        except Exception as error:  # an untrusted file may cause any exception
            raise InvalidInput(
                f"trajectory {path} is broken or of another format: {type(error).__name__}: {error}"
            ) from error
        camera = trajectory.camera
        if size is None or size == (camera.height, camera.width):
            return trajectory
        return replace(trajectory, camera=camera.with_size(size[1], size[0]))


def _read_trajectory(
    path: Path, fps: Fraction | float | None, size: tuple[int, int] | None
) -> tuple[np.ndarray, Camera, Fraction]:
    if path.is_dir():
        poses = read_colmap(path)
    elif not path.is_file():
        raise InvalidInput("it is not a file")
    elif path.suffix == ".txt":
        poses = read_evaluation(path, size)
    elif path.suffix == ".json":
        return _parse_fields(json.loads(read_bounded_text(path)), fps)
    elif path.suffix == ".npz":
        arrays = read_npz_arrays(path, {*_FIELDS, "cam_c2w", "intrinsic"})
        if "cam_c2w" not in arrays:
            return _parse_fields(arrays, fps)
        poses = read_megasam(arrays)
    else:
        raise InvalidInput("a trajectory is a .npz, .json or .txt file, or a COLMAP folder")
    if fps is None:
        raise InvalidInput("the format has no frame rate; give fps")
    return poses.rotations, poses.camera, Fraction(fps)


def _parse_fields(fields: Any, fps: Fraction | float | None) -> tuple[np.ndarray, Camera, Fraction]:
    """Parse the fields that `Trajectory.save` writes."""
    if missing := [name for name in _FIELDS if name not in fields]:
        raise InvalidInput(f"it has no {', '.join(missing)}; expected {', '.join(_FIELDS)}")
    if int(fields["schema"]) != SCHEMA_VERSION:
        raise InvalidInput(
            f"it has schema {int(fields['schema'])}, but this version reads {SCHEMA_VERSION}"
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
