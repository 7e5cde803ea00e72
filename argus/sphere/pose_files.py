"""Pose files of other programs: the published evaluation trajectories, MegaSaM, COLMAP text. `Trajectory.load` is the way in.

Each reader gives camera-to-world rotations float64 `[T, 3, 3]` (OpenCV axes) and the camera. Only rotations are taken: positions are
ignored, as a panorama has a single centre. The files may be hostile: nothing in them is executed, what is read of them is bounded, and
InvalidInput says what is wrong, without the file's name. Other exceptions mean a broken file too.
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

_MOST_TEXT = 64 << 20  # bytes: 260 000 frames as our JSON; ten times as much in memory
_MOST_ARRAY = 256 << 20  # bytes: 3.7 million frames as ours
_LONGEST_LINE = 4096
_DIGITS = re.compile(r"(\d+)")
_MOST_FRAMES = 200_000
_MOST_BEND_DEG = 0.5  # a map of 1024 columns has 0.35 degrees a pixel
_MODELS = {  # COLMAP's models, with their parameters by name
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
}


class Poses(NamedTuple):
    """What a reader found."""

    rotations: np.ndarray  # float64 [T, 3, 3], camera-to-world
    camera: Camera


def read_bounded(path: Path) -> str:
    """The text of a file of at most 64 MiB."""
    if path.stat().st_size > _MOST_TEXT:
        raise InvalidInput(
            f"{path.name} has {path.stat().st_size >> 20} MiB, but may have at most {_MOST_TEXT >> 20}; split it, or save it as npz"
        )
    return path.read_text(encoding="utf-8")


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an npz file holds; others, such as pictures, are not read, and none is unpickled."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        present = set(archive.namelist())
        for name in names:
            entry = f"{name}.npy"
            if entry not in present:
                continue
            if (size := archive.getinfo(entry).file_size) > _MOST_ARRAY:
                raise InvalidInput(
                    f"{name} has {size >> 20} MiB, but may have at most {_MOST_ARRAY >> 20}; split the file"
                )
            with archive.open(entry) as file:
                found[name] = np.lib.format.read_array(file, allow_pickle=False)
    return found


def read_evaluation(path: Path, size: tuple[int, int] | None) -> Poses:
    """The Argus paper's evaluation trajectories: `motion/NAME.txt` is (3, T), rows pitch, yaw, roll in radians; `fov/NAME.txt` is
    fov_x, fov_y in degrees. They do not say the size (height, width) of the pictures.
    """
    angles = _numbers(path)
    if angles.ndim != 2 or len(angles) != 3:
        raise InvalidInput(
            f"holds numbers of shape {angles.shape}, but must hold 3 rows (pitch, yaw, roll in radians) with a column for each frame"
        )
    pitch, yaw, roll = angles
    if max(np.abs(pitch).max(), np.abs(roll).max()) > math.pi:
        raise InvalidInput(
            f"has pitch up to {np.abs(pitch).max():.3g} and roll up to {np.abs(roll).max():.3g}, but these are radians; convert degrees"
        )
    beside = path.absolute().parent.parent / "fov" / path.name
    if not beside.is_file():
        raise InvalidInput(
            f"its field of view is missing: there is no file {beside} with fov_x and fov_y in degrees; add it"
        )
    fov = _numbers(beside).ravel()
    if fov.size != 2:
        raise InvalidInput(
            f"{beside} holds {fov.size} numbers, but must hold 2: fov_x and fov_y in degrees"
        )
    if size is None:
        raise InvalidInput(
            "the size of the pictures is not in this format; give size=(height, width)"
        )
    return Poses(
        from_euler_deg(*np.degrees([yaw, pitch, roll])),
        Camera(float(fov[0]), size[1], size[0], float(fov[1])),
    )


def _numbers(path: Path) -> np.ndarray:
    rows = [
        [float(word) for word in line.replace(",", " ").split()]
        for line in read_bounded(path).splitlines()
        if line.strip()
    ]
    numbers = np.array(rows, dtype=np.float64)
    if not numbers.size or not np.isfinite(numbers).all():
        raise InvalidInput(f"{path.name} is empty or holds numbers that are not finite")
    return numbers


def read_megasam(arrays: Mapping[str, np.ndarray]) -> Poses:
    """MegaSaM's `cam_c2w` [T, 4, 4] (OpenCV axes) and `intrinsic` [3, 3].

    Its pictures are whole frames, made smaller and then cut at the right and at the bottom to a multiple of 8; the principal point stays in the
    middle of the whole frame. So the whole frame is twice as large as the principal point, and `images` would tell too narrow a field of view.
    """
    poses, K = _real(arrays, "cam_c2w"), _real(arrays, "intrinsic")
    if poses.ndim != 3 or poses.shape[1:] != (4, 4):
        raise InvalidInput(f"cam_c2w has shape {poses.shape}, but must be [T, 4, 4]")
    if K.shape != (3, 3) or not (np.isfinite(K).all() and (K[:2, 2] > 0.5).all()):
        raise InvalidInput(
            f"intrinsic must be a finite [3, 3] matrix with the principal point in the middle of the picture, got {K.tolist()}"
        )
    return Poses(
        poses[:, :3, :3], Camera.from_intrinsics(K, round(2 * K[0, 2]), round(2 * K[1, 2]))
    )


def _real(arrays: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in arrays:
        raise InvalidInput(f"it has no array {name}; MegaSaM writes cam_c2w and intrinsic")
    if not np.can_cast(arrays[name].dtype, np.float64, "same_kind"):
        raise InvalidInput(f"{name} is {arrays[name].dtype}, but must be real numbers")
    return arrays[name].astype(np.float64)


def read_colmap(folder: Path) -> Poses:
    """A COLMAP model as text: `cameras.txt` and `images.txt` (https://colmap.github.io/format.html).

    The names of the pictures, with their numbers in numeric order, give the order of the frames. A number left out in the names is an error, as
    is a second camera that differs, and a lens that bends a ray by more than half a degree.
    """
    for name in ("cameras.txt", "images.txt"):
        if not (folder / name).is_file():
            binary = (
                "; it holds binary files, which `colmap model_converter --output_type TXT` converts"
                if any(folder.glob("images.bin"))
                else ""
            )
            raise InvalidInput(
                f"there is no {name} in it: a COLMAP model is a folder with cameras.txt and images.txt{binary}"
            )
    images = sorted(_images(folder / "images.txt"), key=lambda image: _natural(image.name))
    if not images:
        raise InvalidInput("images.txt lists no picture: COLMAP registered none")
    _require_all([image.name for image in images])
    cameras = _cameras(folder / "cameras.txt", {image.camera for image in images})
    if len(set(cameras)) > 1:
        raise InvalidInput(
            f"its pictures have {len(set(cameras))} different cameras, but a trajectory has one; run COLMAP with single_camera 1"
        )
    from scipy.spatial.transform import Rotation

    world_to_camera = Rotation.from_quat(
        np.array([image.quaternion for image in images])[:, [1, 2, 3, 0]]
    )
    return Poses(world_to_camera.inv().as_matrix(), cameras[0])


class _Image(NamedTuple):
    name: str
    quaternion: tuple[float, ...]  # world to camera: w, x, y, z
    camera: str


def _images(path: Path) -> Iterator[_Image]:
    """The poses of images.txt: each line of one is followed by a line of its points, which may be empty."""
    names: set[str] = set()
    lines = _lines(path)
    for number, line in lines:
        if not line or line.startswith("#"):
            continue
        if len(line) == _LONGEST_LINE:
            raise InvalidInput(
                f"images.txt line {number} is longer than {_LONGEST_LINE} characters, but should be a pose and a name"
            )
        words = line.split(maxsplit=9)
        if len(words) != 10:
            raise InvalidInput(
                f"images.txt line {number} has {len(words)} fields, but must have 10: IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME"
            )
        quaternion = tuple(float(word) for word in words[1:5])
        if not abs(math.hypot(*quaternion) - 1) < 0.01:
            raise InvalidInput(
                f"images.txt line {number} has a quaternion of length {math.hypot(*quaternion):.3g}, but must have length 1"
            )
        _, points = next(lines, (0, ""))
        if len(points) < _LONGEST_LINE and len(points.split()) % 3:
            raise InvalidInput(
                f"images.txt line {number + 1} is no line of points (X Y POINT3D_ID each); every picture has one, which may be empty"
            )
        if words[9] in names or len(names) >= _MOST_FRAMES:
            raise InvalidInput(
                f"images.txt lists {words[9]} twice"
                if words[9] in names
                else f"images.txt lists more than {_MOST_FRAMES} pictures"
            )
        names.add(words[9])
        yield _Image(words[9], quaternion, words[8])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number and beginning of each line; lines of points can be long, and hostile ones endless."""
    with path.open(encoding="utf-8") as file:
        for number in itertools.count(1):
            line = rest = file.readline(_LONGEST_LINE)
            if not line:
                return
            while len(rest) == _LONGEST_LINE and not rest.endswith("\n"):
                rest = file.readline(_LONGEST_LINE)
            yield number, line if len(line) == _LONGEST_LINE else line.strip()


def _natural(name: str) -> list[str | int]:
    """frame_10 comes after frame_9."""
    return [int(part) if k % 2 else part for k, part in enumerate(_DIGITS.split(name))]


def _require_all(names: Sequence[str]) -> None:
    """Refuses a gap in the numbers that sorted names end with; their smallest distance is the rule, so every fifth frame is no gap."""
    paths = [PurePosixPath(name) for name in names]
    parts = [_DIGITS.split(str(path.with_suffix(""))) for path in paths]  # odd ones are numbers
    numbers = [int(part[-2]) for part in parts if len(part) > 1]
    around = {
        ("".join(part[:-2]), part[-1], path.suffix) for part, path in zip(parts, paths, strict=True)
    }
    if len(around) != 1 or len(numbers) < 3:
        return
    before, after, suffix = around.pop()
    width = min(len(part[-2]) for part in parts)
    step = max(1, min(b - a for a, b in itertools.pairwise(numbers)))
    count = 0
    first: list[str] = []
    for a, b in itertools.pairwise(numbers):
        gap = max(0, (b - a + step // 2) // step - 1)
        first += [
            f"{before}{a + k * step:0{width}d}{after}{suffix}"
            for k in range(1, min(gap, 5 - len(first)) + 1)
        ]
        count += gap
    if count:
        more = f" and {count - len(first)} more" if count > len(first) else ""
        raise InvalidInput(
            f"images.txt leaves out {count} of {count + len(names)} frames, by their numbers: {', '.join(first)}{more}; each needs a pose: "
            "make COLMAP register them, or cut the video there"
        )


def _cameras(path: Path, wanted: set[str]) -> list[Camera]:
    found = {}
    for number, line in _lines(path):
        words = line.split()
        if not words or words[0].startswith("#") or words[0] not in wanted:
            continue
        names = _MODELS.get(words[1]) if len(words) > 1 else None
        if names is None:
            raise InvalidInput(
                f"cameras.txt line {number} has the model {words[1:2]}, but only {', '.join(_MODELS)} are perspective; undistort first"
            )
        if len(words) != 4 + len(names):
            raise InvalidInput(
                f"cameras.txt line {number} has {len(words)} fields, but {words[1]} has CAMERA_ID MODEL WIDTH HEIGHT {' '.join(names)}"
            )
        found[words[0]] = _camera(
            int(words[2]), int(words[3]), dict(zip(names, map(float, words[4:]), strict=True))
        )
    if absent := wanted - found.keys():
        raise InvalidInput(f"cameras.txt has no camera {min(absent)}, but images.txt names it")
    return list(found.values())


def _camera(width: int, height: int, lens: dict[str, float]) -> Camera:
    if not all(math.isfinite(value) for value in lens.values()):
        raise InvalidInput(f"the parameters of a camera must be finite, got {lens}")
    fx, fy = lens.get("fx", lens.get("f", 0.0)), lens.get("fy", lens.get("f", 0.0))
    camera = Camera.from_intrinsics(
        [[fx, 0.0, lens["cx"]], [0.0, fy, lens["cy"]], [0.0, 0.0, 1.0]], width, height
    )
    bend = _bend_deg(camera, lens)
    if not bend <= _MOST_BEND_DEG:
        raise InvalidInput(
            f"its lens bends rays by up to {bend:.3g} degrees, at most {_MOST_BEND_DEG} can be ignored; `colmap image_undistorter` first"
        )
    return camera


def _bend_deg(camera: Camera, lens: dict[str, float]) -> float:
    """The largest angle between a ray and where the lens shows it, over the picture (COLMAP's OPENCV model, of which the others are parts)."""
    k1, k2, p1, p2 = (lens.get(name, 0.0) for name in ("k1", "k2", "p1", "p2"))
    x, y = np.meshgrid(
        np.linspace(-0.5, 0.5, 33) * camera.width / camera.fx,
        np.linspace(-0.5, 0.5, 33) * camera.height / camera.fy,
    )
    r2 = x**2 + y**2
    radial = 1 + k1 * r2 + k2 * r2**2
    seen = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y**2),
            np.ones_like(x),
        ],
        -1,
    )
    ray = np.stack([x, y, np.ones_like(x)], -1)
    sine, cosine = np.linalg.norm(np.cross(ray, seen), axis=-1), (ray * seen).sum(-1)
    return float(np.degrees(np.arctan2(sine, cosine)).max())
