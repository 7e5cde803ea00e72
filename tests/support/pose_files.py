"""Writers of every trajectory format, independent of the readers in `argus.sphere`."""

from fractions import Fraction

import numpy as np
from scipy.spatial.transform import Rotation

from argus.sphere import Camera, Trajectory

FPS, SIZE = Fraction(30000, 1001), (480, 640)
CAMERA = Camera(70, 640, 480, 50)
FORMATS = ["npz", "json", "evaluation", "megasam", "colmap"]


def rotation_matrices(yaw, pitch, roll):
    """Return R_y(yaw) · R_x(pitch) · R_z(roll) from angles in degrees, [T] each."""
    axes = np.eye(3)[[1, 0, 2]]
    y, x, z = (
        Rotation.from_rotvec(np.multiply.outer(angle, axis), degrees=True).as_matrix()
        for angle, axis in zip((yaw, pitch, roll), axes, strict=True)
    )
    return y @ x @ z


def write_trajectory(kind, folder, rotations):
    """Write a file of a format in `FORMATS` and return its path."""
    match kind:
        case "npz" | "json":
            path = folder / f"poses.{kind}"
            Trajectory(rotations, CAMERA, FPS).save(path)
            return path
        case "evaluation":
            return write_evaluation(folder, rotations)
        case "megasam":
            return write_megasam(folder, rotations)
        case "colmap":
            return write_colmap(folder, rotations)
    raise ValueError(kind)


def write_evaluation(folder, rotations):
    """Write `motion/clip.txt` and `fov/clip.txt`."""
    yaw, pitch, roll = Rotation.from_matrix(rotations).as_euler("YXZ").T
    for name in ("motion", "fov"):
        (folder / name).mkdir()
    np.savetxt(folder / "motion/clip.txt", [pitch, yaw, roll])
    np.savetxt(folder / "fov/clip.txt", [CAMERA.fov_x_deg, CAMERA.fov_y])
    return folder / "motion/clip.txt"


def write_megasam(folder, rotations, scale=0.5, **arrays):
    """Write `megasam.npz` for frames downscaled by `scale`; `arrays` replace those in it."""
    count = len(rotations)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = rotations
    poses[:, :3, 3] = np.random.default_rng(0).normal(size=(count, 3))
    K = np.diag([CAMERA.fx * scale, CAMERA.fy * scale, 1])
    K[:2, 2] = CAMERA.width / 2 * scale, CAMERA.height / 2 * scale
    arrays = {
        "cam_c2w": poses.astype(np.float32),
        "intrinsic": K,
        "images": np.zeros((count, 232, 312, 3), np.uint8),
        **arrays,
    }
    np.savez(folder / "megasam.npz", **arrays)
    return folder / "megasam.npz"


def write_colmap(folder, rotations, camera_lines=None, names=None):
    """Write a COLMAP text model.

    Images come in random order with random signs of the quaternions, random positions, and a line
    of points each, some of them empty.
    """
    random = np.random.default_rng(1)
    names = names or [f"frame_{k}.png" for k in range(len(rotations))]
    camera_lines = (
        camera_lines
        or f"7 PINHOLE {CAMERA.width} {CAMERA.height} {CAMERA.fx!r} {CAMERA.fy!r} 320 240"
    )
    (folder / "cameras.txt").write_text(
        f"# Camera list\n3 OPENCV_FISHEYE 99 99 1 2 3 4 5 6 7 8\n{camera_lines}\n"
    )
    images = []
    for k in random.permutation(len(rotations)):
        quaternion = random.choice([-1, 1]) * Rotation.from_matrix(rotations[k].T).as_quat()
        x, y, z, w = quaternion.tolist()
        position = " ".join(str(value) for value in random.normal(size=3).tolist())
        points = " ".join("12.5 7.25 -1" for _ in range(random.integers(0, 9_000) * (k % 2)))
        images.append(f"{k + 1} {w!r} {x!r} {y!r} {z!r} {position} 7 {names[k]}\n{points}\n")
    (folder / "images.txt").write_text(
        "# Image list with two lines of data per image:\n#   IMAGE_ID, QW, ...\n" + "".join(images)
    )
    return folder
