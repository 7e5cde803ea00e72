"""Readers of camera poses that other programs write: evaluation trajectories, MegaSaM, COLMAP.

Use them through `Trajectory.load`. Each reader returns camera-to-world rotations in OpenCV axes and
the camera. Positions are ignored, because a panorama has a single center.

Files are untrusted: nothing in them is executed and the amount read is bounded. Readers raise
InvalidInput with the problem but without the file's name; any other exception also means a broken
file.
"""

import itertools
import math
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.camera import Camera
from argus.sphere.rotations import from_euler_deg

_MAX_TEXT_BYTES = 64 << 20  # 260,000 frames of our JSON; needs ten times as much memory
_MAX_ARRAY_BYTES = 256 << 20  # 3.7 million frames of our npz
_MAX_LINE_CHARS = 4096
_MAX_IMAGES = 200_000
_MAX_DISTORTION_DEG = 0.5  # a pixel of a map of 1024 columns is 0.35 degrees
_DIGITS = re.compile(r"(\d+)")
_COLMAP_MODELS = {  # names of the parameters
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
}


class CameraPoses(NamedTuple):
    """Result of a reader."""

    rotations: np.ndarray  # float64 [T, 3, 3], camera-to-world
    camera: Camera


def read_bounded_text(path: Path) -> str:
    """Return the text of a file of at most 64 MiB.

    Raises:
        InvalidInput: The file is larger.
    """
    if (size := path.stat().st_size) > _MAX_TEXT_BYTES:
        raise InvalidInput(
            f"{path.name} has {size >> 20} MiB, but may have at most {_MAX_TEXT_BYTES >> 20}; "
            "split it, or save it as npz"
        )
    return path.read_text(encoding="utf-8")


def read_npz_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read the named arrays that an npz file contains.

    Other arrays, such as pictures, are not read. Nothing is unpickled.

    Raises:
        InvalidInput: An array has more than 256 MiB.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        entries = set(archive.namelist())
        for name in names:
            entry = f"{name}.npy"
            if entry not in entries:
                continue
            if (size := archive.getinfo(entry).file_size) > _MAX_ARRAY_BYTES:
                raise InvalidInput(
                    f"{name} has {size >> 20} MiB, but may have at most "
                    f"{_MAX_ARRAY_BYTES >> 20}; split the file"
                )
            with archive.open(entry) as file:
                arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    return arrays


def read_evaluation(path: Path, size: tuple[int, int] | None) -> CameraPoses:
    """Read an evaluation trajectory of the Argus paper.

    `motion/NAME.txt` holds (3, T) numbers, the rows being pitch, yaw, roll in radians;
    `fov/NAME.txt` holds fov_x and fov_y in degrees.

    Args:
        path: The file below `motion`.
        size: (height, width) of the pictures, which the format does not contain.
    """
    angles = _read_numbers(path)
    if angles.ndim != 2 or len(angles) != 3:
        raise InvalidInput(
            f"it has numbers of shape {angles.shape}, but must have 3 rows (pitch, yaw, roll in "
            "radians) with one column per frame"
        )
    pitch, yaw, roll = angles
    if max(np.abs(pitch).max(), np.abs(roll).max()) > math.pi:
        raise InvalidInput(
            f"it has pitch up to {np.abs(pitch).max():.3g} and roll up to "
            f"{np.abs(roll).max():.3g}, but angles are in radians; convert degrees"
        )
    fov_path = path.absolute().parent.parent / "fov" / path.name
    if not fov_path.is_file():
        raise InvalidInput(
            f"its field of view is missing: create {fov_path} with fov_x and fov_y in degrees"
        )
    fov = _read_numbers(fov_path).ravel()
    if fov.size != 2:
        raise InvalidInput(
            f"{fov_path} has {fov.size} numbers, but must have 2: fov_x and fov_y in degrees"
        )
    if size is None:
        raise InvalidInput("the format has no picture size; give size=(height, width)")
    return CameraPoses(
        from_euler_deg(*np.degrees([yaw, pitch, roll])),
        Camera(float(fov[0]), size[1], size[0], float(fov[1])),
    )


def _read_numbers(path: Path) -> np.ndarray:
    rows = [
        [float(word) for word in line.replace(",", " ").split()]
        for line in read_bounded_text(path).splitlines()
        if line.strip()
    ]
    numbers = np.array(rows, dtype=np.float64)
    if not numbers.size or not np.isfinite(numbers).all():
        raise InvalidInput(f"{path.name} is empty or has numbers that are not finite")
    return numbers


def read_megasam(arrays: Mapping[str, np.ndarray]) -> CameraPoses:
    """Convert MegaSaM's arrays: `cam_c2w` [T, 4, 4] (OpenCV axes) and `intrinsic` [3, 3].

    MegaSaM downscales whole frames and then crops them at the right and at the bottom to a multiple
    of 8. The principal point stays in the middle of the whole frame, so the whole frame has twice
    its coordinates; the size of `images` would give too narrow a field of view.
    """
    poses, K = _get_real_array(arrays, "cam_c2w"), _get_real_array(arrays, "intrinsic")
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise InvalidInput(f"cam_c2w has shape {poses.shape}, but must be [T, 4, 4]")
    if K.shape != (3, 3) or not (np.isfinite(K).all() and (K[:2, 2] > 0.5).all()):
        raise InvalidInput(
            "intrinsic must be a finite [3, 3] matrix with the principal point in the middle of "
            f"the picture, got {K.tolist()}"
        )
    return CameraPoses(
        poses[:, :3, :3], Camera.from_intrinsics(K, round(2 * K[0, 2]), round(2 * K[1, 2]))
    )


def _get_real_array(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise InvalidInput(f"it has no array {name}; MegaSaM writes cam_c2w and intrinsic")
    if not np.can_cast(arrays[name].dtype, np.float64, "same_kind"):
        raise InvalidInput(f"{name} is {arrays[name].dtype}, but must be real numbers")
    return arrays[name].astype(np.float64)


def read_colmap(folder: Path) -> CameraPoses:
    """Read a COLMAP text model: `cameras.txt` and `images.txt`.

    See https://colmap.github.io/format.html. Frames are sorted by image name, numbers in numeric
    order. Errors are: a gap in the numbers, a second camera that differs, and a lens that deflects
    rays by more than half a degree.
    """
    for name in ("cameras.txt", "images.txt"):
        if not (folder / name).is_file():
            hint = ""
            if any(folder.glob("images.bin")):
                hint = "; convert its binary files with `colmap model_converter --output_type TXT`"
            raise InvalidInput(
                f"it has no {name}; a COLMAP model is a folder with cameras.txt and images.txt"
                + hint
            )
    images = sorted(_read_images(folder / "images.txt"), key=lambda image: _sort_key(image.name))
    if not images:
        raise InvalidInput("images.txt is empty: COLMAP registered no image")
    _check_no_gaps([image.name for image in images])
    cameras = _read_cameras(folder / "cameras.txt", {image.camera for image in images})
    if len(set(cameras)) > 1:
        raise InvalidInput(
            f"its images have {len(set(cameras))} different cameras, but a trajectory has one; run "
            "COLMAP with single_camera 1"
        )
    from scipy.spatial.transform import Rotation

    world_to_camera = Rotation.from_quat(
        np.array([image.quaternion for image in images])[:, [1, 2, 3, 0]]
    )
    return CameraPoses(world_to_camera.inv().as_matrix(), cameras[0])


class _ColmapImage(NamedTuple):
    name: str
    quaternion: tuple[float, ...]  # world-to-camera: w, x, y, z
    camera: str


def _read_images(path: Path) -> Iterator[_ColmapImage]:
    """Yield the images of images.txt.

    Each takes two lines: the pose, and the points, which may be empty.
    """
    names: set[str] = set()
    lines = _read_lines(path)
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        image = _parse_image(number, line)
        _, points = next(lines, (0, ""))
        if len(points) < _MAX_LINE_CHARS and len(points.split()) % 3:
            raise InvalidInput(
                f"images.txt line {number + 1} is not a line of points (X Y POINT3D_ID each); "
                "every image has one, which may be empty"
            )
        if image.name in names:
            raise InvalidInput(f"images.txt lists {image.name} twice")
        if len(names) >= _MAX_IMAGES:
            raise InvalidInput(f"images.txt lists more than {_MAX_IMAGES} images")
        names.add(image.name)
        yield image


def _parse_image(number: int, line: str) -> _ColmapImage:
    if len(line) == _MAX_LINE_CHARS:
        raise InvalidInput(
            f"images.txt line {number} has more than {_MAX_LINE_CHARS} characters, but must be a "
            "pose and a name"
        )
    words = line.split(maxsplit=9)
    if len(words) != 10:
        raise InvalidInput(
            f"images.txt line {number} has {len(words)} fields, but must have 10: IMAGE_ID QW QX "
            "QY QZ TX TY TZ CAMERA_ID NAME"
        )
    quaternion = tuple(float(word) for word in words[1:5])
    if not abs(math.hypot(*quaternion) - 1) < 0.01:
        raise InvalidInput(
            f"images.txt line {number} has a quaternion of length {math.hypot(*quaternion):.3g}, "
            "but it must have length 1"
        )
    return _ColmapImage(words[9], quaternion, words[8])


def _read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number and the first characters of each line.

    Lines of points can be long, and untrusted ones arbitrarily long.
    """
    with path.open(encoding="utf-8") as file:
        for number in itertools.count(1):
            line = rest = file.readline(_MAX_LINE_CHARS)
            if not line:
                return
            while len(rest) == _MAX_LINE_CHARS and not rest.endswith("\n"):
                rest = file.readline(_MAX_LINE_CHARS)
            yield number, line if len(line) == _MAX_LINE_CHARS else line.strip()


def _sort_key(name: str) -> list[str | int]:
    """Return a key that sorts frame_10 after frame_9."""
    return [int(part) if k % 2 else part for k, part in enumerate(_DIGITS.split(name))]


def _check_no_gaps(names: Sequence[str]) -> None:
    """Raise InvalidInput if sorted names skip a number.

    The smallest step between neighbors is the expected one, so every fifth frame is not a gap.
    """
    paths = [PurePosixPath(name) for name in names]
    parts = [_DIGITS.split(str(path.with_suffix(""))) for path in paths]  # odd ones are numbers
    numbers = [int(part[-2]) for part in parts if len(part) > 1]
    patterns = {
        ("".join(part[:-2]), part[-1], path.suffix) for part, path in zip(parts, paths, strict=True)
    }
    if len(patterns) != 1 or len(numbers) < 3:
        return
    before, after, suffix = patterns.pop()
    width = min(len(part[-2]) for part in parts)
    step = max(1, min(b - a for a, b in itertools.pairwise(numbers)))
    missing = 0
    examples: list[str] = []
    for a, b in itertools.pairwise(numbers):
        gap = max(0, (b - a + step // 2) // step - 1)
        examples += [
            f"{before}{a + k * step:0{width}d}{after}{suffix}"
            for k in range(1, min(gap, 5 - len(examples)) + 1)
        ]
        missing += gap
    if missing:
        more = f" and {missing - len(examples)} more" if missing > len(examples) else ""
        raise InvalidInput(
            f"images.txt lacks {missing} of {missing + len(names)} frames, by their numbers: "
            f"{', '.join(examples)}{more}; every frame needs a pose: make COLMAP register them, or "
            "cut the video there"
        )


def _read_cameras(path: Path, ids: set[str]) -> list[Camera]:
    """Return the cameras of cameras.txt that have one of the ids."""
    cameras = {}
    for number, line in _read_lines(path):
        words = line.split()
        if not words or words[0].startswith("#") or words[0] not in ids:
            continue
        names = _COLMAP_MODELS.get(words[1]) if len(words) > 1 else None
        if names is None:
            raise InvalidInput(
                f"cameras.txt line {number} has the model {words[1:2]}, but must have one of "
                f"{', '.join(_COLMAP_MODELS)}; undistort the images first"
            )
        if len(words) != 4 + len(names):
            raise InvalidInput(
                f"cameras.txt line {number} has {len(words)} fields, but {words[1]} needs "
                f"CAMERA_ID MODEL WIDTH HEIGHT {' '.join(names)}"
            )
        cameras[words[0]] = _make_camera(
            int(words[2]), int(words[3]), dict(zip(names, map(float, words[4:]), strict=True))
        )
    if missing := ids - cameras.keys():
        raise InvalidInput(f"cameras.txt has no camera {min(missing)}, which images.txt refers to")
    return list(cameras.values())


def _make_camera(width: int, height: int, parameters: dict[str, float]) -> Camera:
    if not all(math.isfinite(value) for value in parameters.values()):
        raise InvalidInput(f"camera parameters must be finite, got {parameters}")
    f = parameters.get("f", 0.0)
    fx, fy = parameters.get("fx", f), parameters.get("fy", f)
    camera = Camera.from_intrinsics(
        [[fx, 0.0, parameters["cx"]], [0.0, fy, parameters["cy"]], [0.0, 0.0, 1.0]], width, height
    )
    distortion = _compute_distortion_deg(camera, parameters)
    if not distortion <= _MAX_DISTORTION_DEG:
        raise InvalidInput(
            f"its lens distorts rays by up to {distortion:.3g} degrees, but at most "
            f"{_MAX_DISTORTION_DEG} are allowed; run `colmap image_undistorter` first"
        )
    return camera


def _compute_distortion_deg(camera: Camera, parameters: dict[str, float]) -> float:
    """Return the maximum angle between a ray and its distorted ray over the picture, in degrees.

    The lens is COLMAP's OPENCV model, which contains the other models.
    """
    k1, k2, p1, p2 = (parameters.get(name, 0.0) for name in ("k1", "k2", "p1", "p2"))
    x, y = np.meshgrid(
        np.linspace(-0.5, 0.5, 33) * camera.width / camera.fx,
        np.linspace(-0.5, 0.5, 33) * camera.height / camera.fy,
    )
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2
    distorted = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y**2),
            np.ones_like(x),
        ],
        -1,
    )
    ray = np.stack([x, y, np.ones_like(x)], -1)
    sine = np.linalg.norm(np.cross(ray, distorted), axis=-1)
    cosine = (ray * distorted).sum(-1)
    return float(np.degrees(np.arctan2(sine, cosine)).max())
