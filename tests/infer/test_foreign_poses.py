"""Generation with poses of other programs; frame rate and size come from the video."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from argus.diffusion import ArgusPipeline
from argus.infer import generate_video
from argus.media import open_video
from argus.sphere import Camera, Trajectory
from schemas.config import SampleSettings

FOV = (75.0, 61.0)
TURNS = Rotation.from_euler("YXZ", np.linspace([10, -20, 5], [90, 40, -10], 16), degrees=True)


def write_evaluation_files(folder: Path) -> Path:
    yaw, pitch, roll = TURNS.as_euler("YXZ").T
    for name, numbers in (("motion", [pitch, yaw, roll]), ("fov", FOV)):
        (folder / name).mkdir()
        np.savetxt(folder / name / "clip.txt", numbers)
    return folder / "motion/clip.txt"


def write_megasam(folder: Path) -> Path:
    poses = np.tile(np.eye(4), (16, 1, 1))
    poses[:, :3, :3] = TURNS.as_matrix()
    fx, fy = np.array([256, 192]) / np.tan(np.radians(FOV) / 2)
    np.savez(
        folder / "out.npz",
        cam_c2w=poses,
        intrinsic=np.array([[fx, 0, 256], [0, fy, 192], [0, 0, 1]]),
    )
    return folder / "out.npz"


def write_colmap(folder: Path) -> Path:
    fx, fy = np.array([32, 24]) / np.tan(np.radians(FOV) / 2)
    (folder / "cameras.txt").write_text(f"1 PINHOLE 64 48 {fx} {fy} 32 24\n")
    lines = [
        f"{k + 1} {w} {x} {y} {z} 0 0 {k} 1 {k}.png\n\n"
        for k, (x, y, z, w) in enumerate(TURNS.inv().as_quat())
    ]
    (folder / "images.txt").write_text("".join(lines))
    return folder


@pytest.mark.parametrize("write", [write_evaluation_files, write_megasam, write_colmap])
def test_poses_of_other_programs_equal_our_own(
    write: Callable[[Path], Path],
    pipeline: ArgusPipeline,
    video: Callable[..., Path],
    tmp_path: Path,
) -> None:
    source = video(16, Fraction(10))
    (tmp_path / "poses").mkdir()
    Trajectory(TURNS.as_matrix(), Camera(FOV[0], 64, 48, FOV[1]), Fraction(10)).save(
        tmp_path / "own.npz"
    )
    videos = []
    for poses in (write(tmp_path / "poses"), tmp_path / "own.npz", None):
        result = generate_video(
            pipeline,
            source,
            tmp_path / "out.mp4",
            poses=poses,
            fov_deg=FOV[0],
            settings=SampleSettings(steps=1),
        )
        assert (result.frames, result.fps) == (8, Fraction(5))
        with open_video(tmp_path / "out.mp4") as reader:
            videos.append(reader.frames(range(8)).astype(float))
    foreign, own, still = videos
    assert np.abs(foreign - own).mean() < 0.05
    assert np.abs(foreign - still).mean() > 1
