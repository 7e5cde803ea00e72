"""Writing: the same bytes for the same frames, and the pictures that were given."""

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
from tests.media.conftest import FPS, numbered, numbers_shown


def smooth(count: int = 25, height: int = 64, width: int = 128) -> np.ndarray:
    """Moving colour gradients, uint8 [count, H, W, 3]."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [
        np.sin((columns + 2 * number) * 2 * np.pi / width) * np.cos(rows * np.pi / height)
        for number in range(count)
    ]
    return np.stack(
        [np.stack([128 + 90 * wave, 128 - 90 * wave, 128 + 40 * wave], -1) for wave in waves]
    ).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def test_equal_frames_give_equal_bytes_by_either_way_in(tmp_path):
    frames = smooth()
    clip = encode_clip(frames, FPS)
    assert clip == encode_clip(frames.copy(), FPS)
    for name in ("one.mp4", "another_name.mp4"):
        write_video(tmp_path / name, iter(frames), FPS)
        assert (tmp_path / name).read_bytes() == clip
    assert clip != encode_clip(frames, FPS, crf=30)


def test_what_lies_in_memory_does_not_show_in_the_bytes():
    """Ten blocks wide: there x264's macroblock tree reads what is left in memory, and gave other bytes nearly every time."""
    frames = render_clip(3, 20, (80, 160)).frames
    random = np.random.default_rng(0)
    clips = set()
    for size in random.integers(1_000, 3_000_000, 10):
        left_over = random.integers(0, 256, size, np.uint8)
        clips.add(encode_clip(frames, Fraction(5)))
        del left_over
    assert len(clips) == 1


def test_nothing_in_the_bytes_names_a_tool_or_a_time():
    clip = encode_clip(smooth(), FPS)
    for mark in (b"x264", b"Lavf", b"Lavc", b"core "):
        assert mark not in clip
    at = clip.index(b"mvhd")
    assert clip[at + 8 : at + 16] == bytes(8)  # creation and modification time


def test_round_trip_keeps_the_picture():
    frames = smooth()
    decoded = decode_clip(encode_clip(frames, FPS, crf=18))
    assert decoded.shape == frames.shape
    assert psnr(decoded, frames) > 38


def test_colours_are_stated_and_right_to_two_levels(tmp_path, ffmpeg_says):
    """Flat patches, read by us and by ffmpeg, which takes the matrix and the range from the file."""
    patches = np.random.default_rng(1).integers(0, 256, (1, 6, 10, 3), np.uint8)
    write_video(tmp_path / "patches.mp4", patches.repeat(16, 1).repeat(16, 2), 25, crf=6)
    assert "yuv420p(tv, bt709" in ffmpeg_says(tmp_path / "patches.mp4")
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


def test_the_form_is_h264_yuv420p_faststart_with_short_groups(tmp_path):
    write_video(tmp_path / "form.mp4", smooth(50), Fraction(24000, 1001), gop=8)
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
def test_any_window_of_a_clip_decodes(indices):
    clip = encode_clip(numbered(50), FPS)
    wanted = list(range(50) if indices is None else indices)
    assert numbers_shown(decode_clip(memoryview(clip), indices)) == wanted
    assert decode_clip(clip, indices, size=(32, 64)).shape == (len(wanted), 32, 64, 3)


def test_frames_are_not_gathered_in_memory(tmp_path):
    picture = np.zeros((256, 512, 3), np.uint8)  # 384 KiB
    tracemalloc.start()
    write_video(tmp_path / "long.mp4", (picture + number for number in range(200)), 30, crf=40)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert probe(tmp_path / "long.mp4").frames == 200
    assert peak < 20 * picture.nbytes


def test_a_failure_leaves_nothing_behind_and_the_old_file_in_place(tmp_path):
    path = tmp_path / "video.mp4"
    write_video(path, smooth(3), 30)
    before = path.read_bytes()

    def failing():
        yield smooth(1)[0]
        raise OSError("the source went away")

    for spherical in (None, SphericalMetadata()):
        with pytest.raises(OSError, match="went away"):
            write_video(path, failing(), 30, spherical=spherical)
    assert [file.name for file in tmp_path.iterdir()] == ["video.mp4"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        ([], 30, "no frames"),
        (np.zeros((2, 63, 128, 3), np.uint8), 30, "even width and height"),
        (np.zeros((2, 64, 128, 3), np.float32), 30, "give uint8"),
        ([np.zeros((64, 128, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)], 30, "one size"),
        (np.zeros((2, 64, 128, 3), np.uint8), 29.97, "Fraction"),
        (np.zeros((2, 64, 128, 3), np.uint8), 0, "positive"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, frames, fps, message):
    with pytest.raises(InvalidInput, match=message):
        write_video(tmp_path / "never.mp4", frames, fps)
    assert not list(tmp_path.iterdir())


def test_a_single_frame_is_a_video(tmp_path):
    write_video(tmp_path / "one.mp4", smooth(1), 30)
    with open_video(tmp_path / "one.mp4") as video:
        assert psnr(video.frames([0]), smooth(1)) > 35
