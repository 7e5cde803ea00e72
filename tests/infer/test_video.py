"""Conversion of video files, and the errors of its input."""

import re
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput, VideoError
from argus.infer import generate_video
from argus.media import open_video, probe
from argus.sphere import Camera, Trajectory, from_euler_deg
from schemas.config import SampleSettings
from schemas.names import Outcome, Reason

SAMPLE = SampleSettings(steps=1)
WriteVideo = Callable[..., Path]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "generated").mkdir()
    return tmp_path / "generated" / "out.mp4"


def read(path: Path) -> np.ndarray:
    with open_video(path) as reader:
        return reader.frames(range(len(reader)))


def test_ordinary_video_becomes_a_360_video(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    calls: list[tuple[int, int, str, str]] = []
    result = generate_video(
        pipeline, video(9), output, settings=SAMPLE, progress=lambda *values: calls.append(values)
    )
    info = probe(output)
    assert (info.frames, info.fps, info.width, info.height, info.codec) == (
        9,
        Fraction(5),
        64,
        32,
        "h264",
    )
    assert (result.path, result.frames, result.fps, result.windows) == (output, 9, Fraction(5), 3)
    assert (result.height, result.width, result.seconds) == (32, 64, pytest.approx(1.8))
    assert [call[:3] for call in calls] == [(k + 1, 3, "step") for k in range(3)]
    assert list(output.parent.iterdir()) == [output]


def test_ffmpeg_reads_the_output_as_equirectangular(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    generate_video(pipeline, video(4), output, settings=SAMPLE)
    ffmpeg = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", output],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.search(r"spherical(?: mapping)?: equirectangular", ffmpeg.stderr, re.IGNORECASE), (
        ffmpeg.stderr
    )
    metadata = probe(output).spherical
    assert metadata is not None
    assert (metadata.projection, metadata.stereo_mode) == ("equirectangular", "mono")


def test_assumption_of_a_fixed_camera_is_noted(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    result = generate_video(pipeline, video(4), output, fov_deg=82.5, settings=SAMPLE)
    assert any("82.5°" in note for note in result.notes)


def test_file_is_a_function_of_the_seed(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    source = video(5)
    files = []
    for seed in (3, 3, 4):
        generate_video(pipeline, source, output, seed=seed, settings=SAMPLE)
        files.append(output.read_bytes())
    assert files[0] == files[1] != files[2]


def test_fast_video_is_sampled_at_its_true_rate(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    fps = Fraction(24000, 1001)
    result = generate_video(pipeline, video(31, fps), output, settings=SAMPLE)
    assert (result.frames, result.fps) == (7, fps / 5), "frames 0, 5, … 30"
    assert probe(output).fps == fps / 5
    assert any("5th" in note for note in result.notes)


def test_max_seconds_limits_the_video(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    source = video(9)
    result = generate_video(pipeline, source, output, max_seconds=1.0, settings=SAMPLE)
    assert result.frames == probe(output).frames == 5
    with pytest.raises(InvalidInput) as caught:
        generate_video(pipeline, source, output, max_seconds=0.5, settings=SAMPLE)
    assert all(named in str(caught.value) for named in ("max_seconds", "0.5", "0.8 s"))


@pytest.mark.parametrize("ending", ["npz", "json"])
@pytest.mark.parametrize(
    "rotations", [8, 16], ids=["pose for each frame used", "pose for each frame"]
)
def test_poses_from_a_file(
    ending: str,
    rotations: int,
    pipeline: ArgusPipeline,
    video: WriteVideo,
    output: Path,
    tmp_path: Path,
) -> None:
    """Poses for all frames and for the used frames give the same motion."""
    source, poses = video(16, Fraction(10)), tmp_path / f"poses.{ending}"
    angles = np.arange(rotations) * (20.0 if rotations == 8 else 10.0)
    Trajectory(from_euler_deg(angles, 0, 0), Camera(75, 640, 480), Fraction(10)).save(poses)
    result = generate_video(pipeline, source, output, poses=poses, settings=SAMPLE)
    assert result.frames == 8
    assert not any("75°" in note for note in result.notes)
    turning = output.read_bytes()
    Trajectory(from_euler_deg(np.arange(8) * 20.0, 0, 0), Camera(75, 640, 480), Fraction(5)).save(
        poses
    )
    generate_video(pipeline, source, output, poses=poses, settings=SAMPLE)
    assert output.read_bytes() == turning
    generate_video(pipeline, source, output, settings=SAMPLE)
    assert output.read_bytes() != turning


def test_poses_of_another_length_are_refused(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path, tmp_path: Path
) -> None:
    poses = tmp_path / "poses.npz"
    Trajectory(np.tile(np.eye(3), (7, 1, 1)), Camera(75, 64, 48), Fraction(5)).save(poses)
    with pytest.raises(InvalidInput) as caught:
        generate_video(pipeline, video(16, Fraction(10)), output, poses=poses, settings=SAMPLE)
    assert all(named in str(caught.value) for named in ("poses.npz", "7", "16", "8"))
    assert not output.exists()


def test_missing_poses_are_refused(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as caught:
        generate_video(pipeline, video(4), output, poses=tmp_path / "absent.npz", settings=SAMPLE)
    assert "absent.npz" in str(caught.value)


@pytest.mark.parametrize(("frames", "fps"), [(1, 5), (18, 30)], ids=["one frame", "too few used"])
def test_short_video_is_refused(
    frames: int, fps: int, pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    with pytest.raises(VideoError) as caught:
        generate_video(pipeline, video(frames, Fraction(fps)), output, settings=SAMPLE)
    assert caught.value.reason == Reason.TOO_SHORT
    assert caught.value.outcome == Outcome.INVALID
    assert all(named in str(caught.value) for named in ("in.mp4", str(frames), "4 (0.8 s)"))
    assert list(output.parent.iterdir()) == []


def test_paths_are_checked_before_any_work(
    pipeline: ArgusPipeline, video: WriteVideo, tmp_path: Path
) -> None:
    source = video(4)
    before = source.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    (tmp_path / "folder.mp4").mkdir()
    cases = [
        (tmp_path / "absent.mp4", tmp_path / "out.mp4", "absent.mp4"),
        (source, tmp_path / "out.webm", ".mp4"),
        (source, tmp_path / "nowhere" / "out.mp4", "nowhere"),
        (source, source, "in.mp4"),
        (source, link, "link.mp4"),
        (source, tmp_path / "folder.mp4", "folder.mp4"),
    ]
    for input_path, output_path, named in cases:
        with pytest.raises(InvalidInput) as caught:
            generate_video(pipeline, input_path, output_path, settings=SAMPLE)
        assert named in str(caught.value)
    assert source.read_bytes() == before
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", Reason.EMPTY_FILE), (b"no video at all\n" * 99, Reason.NOT_A_VIDEO)],
)
def test_file_that_is_not_a_video_is_refused(
    content: bytes, reason: Reason, pipeline: ArgusPipeline, output: Path, tmp_path: Path
) -> None:
    source = tmp_path / "text.mp4"
    source.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        generate_video(pipeline, source, output, settings=SAMPLE)
    assert caught.value.reason == reason


def test_interrupted_generation_keeps_the_old_file(
    pipeline: ArgusPipeline, video: WriteVideo, output: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(step: int, *_: object) -> None:
        if step == 2:
            raise Stopped

    shutil.copy(video(4, name="old.mp4"), output)
    before = output.read_bytes()
    with pytest.raises(Stopped):
        generate_video(pipeline, video(9), output, settings=SAMPLE, progress=stop)
    assert output.read_bytes() == before
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.media
@pytest.mark.parametrize(
    "name",
    [
        "mapillary_sample-5s.mp4",
        "mapillary_sample-5s_h265_vertical.mp4",
        "datajuicer_video10_1fps.mp4",
    ],
)
def test_real_videos_are_converted(
    name: str, media: Path, pipeline: ArgusPipeline, output: Path
) -> None:
    result = generate_video(
        pipeline, media / "perspective" / name, output, settings=SAMPLE, max_seconds=6
    )
    assert read(output).shape == (result.frames, 32, 64, 3)
    assert probe(output).spherical is not None
