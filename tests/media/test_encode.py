"""Encoding: equal frames give equal bytes, and the frames are preserved."""

import subprocess
import tracemalloc
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import InvalidInput
from argus.media import SphericalMetadata, decode_clip, encode_clip, open_video, probe, write_video
from argus.synth import render_clip
from tests.support.ffmpeg import describe_with_ffmpeg
from tests.support.videos import FPS, numbered_frames, read_frame_numbers


def moving_gradients(count: int = 25, height: int = 64, width: int = 128) -> np.ndarray:
    """Return moving color gradients, uint8 [count, H, W, 3]."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [
        np.sin((columns + 2 * number) * 2 * np.pi / width) * np.cos(rows * np.pi / height)
        for number in range(count)
    ]
    return np.stack(
        [np.stack([128 + 90 * wave, 128 - 90 * wave, 128 + 40 * wave], -1) for wave in waves]
    ).astype(np.uint8)


def compute_psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def test_equal_frames_give_equal_bytes_in_both_functions(tmp_path):
    frames = moving_gradients()
    clip = encode_clip(frames, FPS)
    assert clip == encode_clip(frames.copy(), FPS)
    for name in ("one.mp4", "another_name.mp4"):
        write_video(tmp_path / name, iter(frames), FPS)
        assert (tmp_path / name).read_bytes() == clip
    assert clip != encode_clip(frames, FPS, crf=30)


def test_bytes_do_not_depend_on_uninitialized_memory():
    """At ten blocks wide, x264's macroblock tree would read uninitialized memory."""
    frames = render_clip(3, 20, (80, 160)).frames
    random = np.random.default_rng(0)
    clips = set()
    for size in random.integers(1_000, 3_000_000, 10):
        garbage = random.integers(0, 256, size, np.uint8)
        clips.add(encode_clip(frames, Fraction(5)))
        del garbage
    assert len(clips) == 1


def test_bytes_contain_no_tool_name_and_no_time():
    clip = encode_clip(moving_gradients(), FPS)
    for mark in (b"x264", b"Lavf", b"Lavc", b"core "):
        assert mark not in clip
    at = clip.index(b"mvhd")
    assert clip[at + 8 : at + 16] == bytes(8)  # creation and modification time


def test_round_trip_preserves_the_frames():
    frames = moving_gradients()
    decoded = decode_clip(encode_clip(frames, FPS, crf=18))
    assert decoded.shape == frames.shape
    assert compute_psnr(decoded, frames) > 38


def test_colors_are_declared_and_exact_to_two_levels(tmp_path):
    """Flat patches are read here and by ffmpeg, which uses the declared matrix and range."""
    patches = np.random.default_rng(1).integers(0, 256, (1, 6, 10, 3), np.uint8)
    write_video(tmp_path / "patches.mp4", patches.repeat(16, 1).repeat(16, 2), 25, crf=6)
    assert "yuv420p(tv, bt709" in describe_with_ffmpeg(tmp_path / "patches.mp4")
    with open_video(tmp_path / "patches.mp4") as video:
        ours = video.frames([0])
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        tmp_path / "patches.mp4",
        "-sws_flags",
        "accurate_rnd+full_chroma_int",
    ]
    theirs = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True
    ).stdout
    for read in (ours, np.frombuffer(theirs, np.uint8).reshape(ours.shape)):
        assert np.abs(read[:, 8::16, 8::16].astype(int) - patches).max() <= 2


def test_format_is_h264_yuv420p_faststart_with_short_gops(tmp_path):
    write_video(tmp_path / "form.mp4", moving_gradients(50), Fraction(24000, 1001), gop=8)
    info = probe(tmp_path / "form.mp4")
    assert (info.codec, info.container, info.fps, info.frames) == (
        "h264",
        "mp4",
        Fraction(24000, 1001),
        50,
    )
    data = (tmp_path / "form.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "form.mp4")) as container:
        assert container.streams.video[0].pix_fmt == "yuv420p"
        keys = sorted(
            packet.pts // packet.duration
            for packet in container.demux(video=0)
            if packet.is_keyframe
        )
    assert max(np.diff([*keys, 50])) <= 8


@pytest.mark.parametrize("indices", [[0], [49], range(17, 33), [48, 3, 3], None])
def test_any_range_of_a_clip_decodes(indices):
    clip = encode_clip(numbered_frames(50), FPS)
    wanted = list(range(50) if indices is None else indices)
    assert read_frame_numbers(decode_clip(memoryview(clip), indices)) == wanted
    assert decode_clip(clip, indices, size=(32, 64)).shape == (len(wanted), 32, 64, 3)


def test_frames_are_not_collected_in_memory(tmp_path):
    picture = np.zeros((256, 512, 3), np.uint8)  # 384 KiB
    tracemalloc.start()
    write_video(tmp_path / "long.mp4", (picture + number for number in range(200)), 30, crf=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert probe(tmp_path / "long.mp4").frames == 200
    assert peak < 20 * picture.nbytes


def test_failure_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "video.mp4"
    write_video(path, moving_gradients(3), 30)
    before = path.read_bytes()

    def failing():
        yield moving_gradients(1)[0]
        raise OSError("connection lost")

    for spherical in (None, SphericalMetadata()):
        with pytest.raises(OSError, match="connection lost"):
            write_video(path, failing(), 30, spherical=spherical)
    assert [file.name for file in tmp_path.iterdir()] == ["video.mp4"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("frames", "fps", "value"),
    [
        (np.zeros((2, 63, 128, 3), np.uint8), 30, "128x63"),
        (np.zeros((2, 64, 128, 3), np.float32), 30, "float32"),
        ([np.zeros((64, 128, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)], 30, "64x64.*128x64"),
        (np.zeros((2, 64, 128, 3), np.uint8), 29.97, "29.97"),
        (np.zeros((2, 64, 128, 3), np.uint8), 0, "0"),
    ],
)
def test_invalid_frames_and_rates_are_rejected_with_their_value(tmp_path, frames, fps, value):
    with pytest.raises(InvalidInput, match=value):
        write_video(tmp_path / "never.mp4", frames, fps)
    assert not list(tmp_path.iterdir())


def test_no_frames_are_rejected(tmp_path):
    with pytest.raises(InvalidInput):
        write_video(tmp_path / "never.mp4", [], 30)
    assert not list(tmp_path.iterdir())


def test_single_frame_is_a_video(tmp_path):
    write_video(tmp_path / "one.mp4", moving_gradients(1), 30)
    with open_video(tmp_path / "one.mp4") as video:
        assert compute_psnr(video.frames([0]), moving_gradients(1)) > 35
