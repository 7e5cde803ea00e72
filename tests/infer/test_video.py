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
Write = Callable[..., Path]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made" / "out.mp4"


def read(path: Path) -> np.ndarray:
    with open_video(path) as reader:
        return reader.frames(range(len(reader)))


def test_an_ordinary_video_becomes_a_360_video(
    pipeline: ArgusPipeline, video: Write, output: Path
) -> None:
    told: list[tuple[int, int, str, str]] = []
    result = generate_video(
        pipeline, video(9), output, settings=SAMPLE, progress=lambda *values: told.append(values)
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
    assert told == [(k + 1, 3, "step", f"window {k + 1} of 3") for k in range(3)]
    assert list(output.parent.iterdir()) == [output]


def test_another_program_reads_it_as_equirectangular(
    pipeline: ArgusPipeline, video: Write, output: Path
) -> None:
    generate_video(pipeline, video(4), output, settings=SAMPLE)
    told = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", output],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.search(r"spherical(?: mapping)?: equirectangular", told.stderr, re.IGNORECASE), (
        told.stderr
    )
    metadata = probe(output).spherical
    assert metadata is not None
    assert (metadata.projection, metadata.stereo_mode) == ("equirectangular", "mono")


def test_a_fixed_camera_is_said_aloud(pipeline: ArgusPipeline, video: Write, output: Path) -> None:
    result = generate_video(pipeline, video(4), output, fov_deg=82.5, settings=SAMPLE)
    assert any("fixed" in note and "82.5°" in note for note in result.notes)


def test_the_same_seed_gives_the_same_file(
    pipeline: ArgusPipeline, video: Write, output: Path
) -> None:
    source = video(5)
    made = []
    for seed in (3, 3, 4):
        generate_video(pipeline, source, output, seed=seed, settings=SAMPLE)
        made.append(output.read_bytes())
    assert made[0] == made[1] != made[2]


def test_every_nth_frame_is_used_and_the_true_rate_kept(
    pipeline: ArgusPipeline, video: Write, output: Path
) -> None:
    fps = Fraction(24000, 1001)
    result = generate_video(pipeline, video(31, fps), output, settings=SAMPLE)
    assert (result.frames, result.fps) == (7, fps / 5), "frames 0, 5, … 30"
    assert probe(output).fps == fps / 5
    assert any("every 5th frame" in note for note in result.notes)


def test_only_the_beginning(pipeline: ArgusPipeline, video: Write, output: Path) -> None:
    source = video(9)
    result = generate_video(pipeline, source, output, max_seconds=1.0, settings=SAMPLE)
    assert result.frames == probe(output).frames == 5
    with pytest.raises(
        InvalidInput,
        match=r"max_seconds 0.5 leaves 3 frames at 5 fps, but this model needs at least 4 \(0.8 s\)",
    ):
        generate_video(pipeline, source, output, max_seconds=0.5, settings=SAMPLE)


@pytest.mark.parametrize("ending", ["npz", "json"])
@pytest.mark.parametrize(
    "rotations", [8, 16], ids=["a pose for each frame used", "a pose for each frame"]
)
def test_poses_from_a_file(
    ending: str, rotations: int, pipeline: ArgusPipeline, video: Write, output: Path, tmp_path: Path
) -> None:
    """Both ways of giving the poses are the same motion, and differ from a fixed camera."""
    source, poses = video(16, Fraction(10)), tmp_path / f"poses.{ending}"
    angles = np.arange(rotations) * (20.0 if rotations == 8 else 10.0)
    Trajectory(from_euler_deg(angles, 0, 0), Camera(75, 640, 480), Fraction(10)).save(poses)
    result = generate_video(pipeline, source, output, poses=poses, settings=SAMPLE)
    assert result.frames == 8
    assert not any("fixed" in note for note in result.notes)
    turning = output.read_bytes()
    Trajectory(from_euler_deg(np.arange(8) * 20.0, 0, 0), Camera(75, 640, 480), Fraction(5)).save(
        poses
    )
    generate_video(pipeline, source, output, poses=poses, settings=SAMPLE)
    assert output.read_bytes() == turning
    generate_video(pipeline, source, output, settings=SAMPLE)
    assert output.read_bytes() != turning


def test_poses_of_another_video_are_refused(
    pipeline: ArgusPipeline, video: Write, output: Path, tmp_path: Path
) -> None:
    poses = tmp_path / "poses.npz"
    Trajectory(np.tile(np.eye(3), (7, 1, 1)), Camera(75, 64, 48), Fraction(5)).save(poses)
    with pytest.raises(
        InvalidInput, match=r"poses.npz has 7 rotations, but the video needs 16 or 8"
    ):
        generate_video(pipeline, video(16, Fraction(10)), output, poses=poses, settings=SAMPLE)
    assert not output.exists()


def test_poses_that_are_not_there(
    pipeline: ArgusPipeline, video: Write, output: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match="does not exist"):
        generate_video(pipeline, video(4), output, poses=tmp_path / "absent.npz", settings=SAMPLE)


def test_a_video_of_one_frame(pipeline: ArgusPipeline, video: Write, output: Path) -> None:
    with pytest.raises(
        VideoError,
        match=r"in.mp4: it has 1 frame at 5 fps; this model needs at least 4 \(0.8 s\); give a longer video",
    ) as caught:
        generate_video(pipeline, video(1), output, settings=SAMPLE)
    assert caught.value.reason == Reason.TOO_SHORT
    assert caught.value.outcome == Outcome.INVALID
    assert list(output.parent.iterdir()) == []


def test_a_video_with_too_few_frames_that_are_used(
    pipeline: ArgusPipeline, video: Write, output: Path
) -> None:
    with pytest.raises(
        VideoError,
        match=r"18 frames, of which every 6th is used, so 3 at 5 fps; this model needs at least 4",
    ):
        generate_video(pipeline, video(18, Fraction(30)), output, settings=SAMPLE)


def test_paths_are_checked_before_any_work(
    pipeline: ArgusPipeline, video: Write, tmp_path: Path
) -> None:
    source = video(4)
    before = source.read_bytes()
    link = tmp_path / "link.mp4"
    link.symlink_to(source)
    (tmp_path / "folder.mp4").mkdir()
    cases = [
        (tmp_path / "absent.mp4", tmp_path / "out.mp4", "there is no such file"),
        (source, tmp_path / "out.webm", "must end in .mp4"),
        (source, tmp_path / "nowhere" / "out.mp4", "nowhere of the output does not exist"),
        (source, source, "is the input itself"),
        (source, link, "is the input itself"),
        (source, tmp_path / "folder.mp4", "is a folder"),
    ]
    for given, wanted, message in cases:
        with pytest.raises(InvalidInput, match=re.escape(message)):
            generate_video(pipeline, given, wanted, settings=SAMPLE)
    assert source.read_bytes() == before
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", Reason.EMPTY_FILE), (b"no video at all\n" * 99, Reason.NOT_A_VIDEO)],
)
def test_a_file_that_is_no_video(
    content: bytes, reason: Reason, pipeline: ArgusPipeline, output: Path, tmp_path: Path
) -> None:
    source = tmp_path / "text.mp4"
    source.write_bytes(content)
    with pytest.raises(VideoError) as caught:
        generate_video(pipeline, source, output, settings=SAMPLE)
    assert caught.value.reason == reason


def test_an_interruption_leaves_the_old_file(
    pipeline: ArgusPipeline, video: Write, output: Path
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
def test_real_videos(name: str, media: Path, pipeline: ArgusPipeline, output: Path) -> None:
    result = generate_video(
        pipeline, media / "perspective" / name, output, settings=SAMPLE, max_seconds=6
    )
    assert read(output).shape == (result.frames, 32, 64, 3)
    assert probe(output).spherical is not None
