"""Frames and their times where clocks restart, times repeat or are missing, and edits hide frames.

The reference is the ffmpeg binary: as many frames as it shows, at its times.
"""

import os
import subprocess
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from argus.media import VideoReader, decode_clip, open_video, probe
from tests.support.edit_lists import replace_edits
from tests.support.ffmpeg import run_ffmpeg
from tests.support.ffmpeg_reference import describe
from tests.support.interlaced import write_field_coded
from tests.support.videos import encode_video, numbered_frames, read_frame_numbers

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "10", "-pix_fmt", "yuv420p")
OPEN_H264 = (*H264, "-x264-params", "open-gop=1")
HEVC = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params",
        "log-level=none:keyint=10:open-gop=1:bframes=2", "-pix_fmt", "yuv420p")  # fmt: skip
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "10", "-q:v", "3")
MPEG4 = ("-c:v", "mpeg4", "-bf", "2", "-g", "10", "-q:v", "3")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty numbered frames, 30 per second."""
    path = tmp_path_factory.mktemp("times") / "plain.mp4"
    return encode_video(path, "h264", numbered_frames(50), times=[3 * n for n in range(50)])


def write(source: Path, path: Path, *options: str, before: Iterable[str] = ()) -> Path:
    """Encode or copy the numbered frames."""
    run_ffmpeg(*before, "-i", source, "-an", "-fps_mode", "passthrough", *options, path)
    return path


def join(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def assert_shown_as_by_ffmpeg(path: Path) -> VideoReader:
    """Compare the times; where a stream was cut, ffmpeg's may go back, ours stay or are sorted."""
    theirs = describe(path, keeps_times=False).times
    theirs -= theirs[0]
    with open_video(path) as video:
        assert len(video) == len(theirs)
        expected = [np.maximum.accumulate(theirs), np.sort(theirs)]
        assert min(np.abs(video.timestamps - times).max() for times in expected) <= 1.001e-3
        assert (np.diff(video.timestamps) >= 0).all()
        assert video.info.duration_s >= video.timestamps[-1]
    return video


def read_numbers(path: Path) -> list[int]:
    """Return the numbers that the frames show, after reading some of them in another order."""
    with open_video(path) as video:
        numbers = read_frame_numbers(video.frames(range(len(video))))
        few = np.random.default_rng(0).choice(len(video), 7)
        for order in (few, few[::-1], sorted(few)):
            assert read_frame_numbers(video.frames(order)) == [numbers[index] for index in order]
    with open_video(path, threads=3) as video:
        assert read_frame_numbers(video.frames(range(len(video)))) == numbers
    assert read_frame_numbers(decode_clip(path.read_bytes())) == numbers
    return numbers


@pytest.mark.parametrize("codec", [H264, OPEN_H264, HEVC, MPEG2])
@pytest.mark.parametrize("suffix", ["ts", "m2ts"])
def test_joined_transport_streams_keep_all_frames(plain, tmp_path, codec, suffix):
    part = write(plain, tmp_path / f"part.{suffix}", *codec)
    joined = join(tmp_path / f"joined.{suffix}", part, part, part)
    assert_shown_as_by_ffmpeg(joined)
    assert read_numbers(joined) == [*range(50)] * 3


def test_joined_streams_with_sound_keep_all_frames(plain, tmp_path):
    part = tmp_path / "part.ts"
    run_ffmpeg("-i", plain, "-f", "lavfi", "-i", "sine=d=1.7", *H264, part)
    joined = join(tmp_path / "joined.ts", part, part)
    assert read_numbers(joined) == [*range(50)] * 2
    times = probe(joined)
    assert times.duration_s == pytest.approx(100 / 30, abs=0.1)


@pytest.mark.parametrize("offsets", [(0, 60), (60, 0), (5000, 100), (0, 95443)])
def test_clocks_that_jump_go_on(plain, tmp_path, offsets):
    parts = [
        write(plain, tmp_path / f"{offset}.ts", *H264, "-output_ts_offset", str(offset))
        for offset in offsets
    ]
    joined = join(tmp_path / "joined.ts", *parts)
    assert_shown_as_by_ffmpeg(joined)
    assert read_numbers(joined) == [*range(50)] * 2
    assert probe(joined).duration_s == pytest.approx(100 / 30, abs=0.1)


@pytest.mark.parametrize("offset", [95441.0, 95442.3, 95443.717, 95443.0])
def test_clocks_that_overflow_go_on(plain, tmp_path, offset):
    """The clock of a transport stream has 33 bits at 90 kHz: 26.5 hours."""
    path = write(plain, tmp_path / "wrap.ts", *H264, "-output_ts_offset", str(offset))
    assert_shown_as_by_ffmpeg(path)
    assert read_numbers(path) == [*range(50)]


@pytest.mark.parametrize("rate", [1500, 3000, 6000])
def test_times_that_repeat_in_milliseconds_keep_all_frames(plain, tmp_path, rate):
    """Matroska stores milliseconds; with B-frames their order does not give that of the frames."""
    fast = ("-vf", f"setpts=N/{rate}/TB", "-enc_time_base", f"1:{rate}")
    path = write(plain, tmp_path / "fast.mkv", *H264, *fast)
    assert len(np.unique(probe_times(path))) < 50
    assert_shown_as_by_ffmpeg(path)
    assert read_numbers(path) == [*range(50)]


def probe_times(path: Path) -> NDArray[np.float64]:
    with open_video(path) as video:
        return video.timestamps


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_frames_with_the_same_time_are_kept(plain, tmp_path, suffix):
    path = tmp_path / f"equal.{suffix}"
    equal = "setts=pts='if(eq(mod(N,5),4),PREV_OUTPTS,PTS)':dts=DTS-0.2/TB"
    write(plain, path, *H264, "-bf", "0", "-bsf:v", equal)
    assert len(np.unique(probe_times(path))) < 50
    assert_shown_as_by_ffmpeg(path)
    assert read_numbers(path) == [*range(50)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("b_frames.avi", H264),
        ("b_frames_mpeg4.avi", MPEG4),
        ("packets_of_several_frames.mpg", MPEG2),
        ("pictures.avi", ("-c:v", "mjpeg", "-q:v", "3")),
    ],
)
def test_times_that_are_not_stored(plain, tmp_path, name, codec):
    path = write(plain, tmp_path / name, *codec, "-fps_mode", "cfr", "-r", "30")
    assert_shown_as_by_ffmpeg(path)
    assert read_numbers(path) == [*range(50)]
    assert probe(path).fps == 30


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("are_fields", [True, False])
def test_two_fields_are_one_frame(tmp_path, suffix, are_fields):
    levels = list(range(30, 230, 10))
    path = write_field_coded(tmp_path / f"fields.{suffix}", levels, are_fields=are_fields)
    assert_shown_as_by_ffmpeg(path)
    with open_video(path) as video:
        assert video.info.is_interlaced == are_fields
        shown = video.frames([19, 0, 7]).mean((1, 2, 3))
    expected = (np.array([levels[19], levels[0], levels[7]]) - 16) * 255 / 219
    np.testing.assert_allclose(shown, expected, atol=1)


@pytest.mark.parametrize("codec", [H264, OPEN_H264, HEVC, MPEG2])
@pytest.mark.parametrize("share", [0.15, 0.37, 0.6])
def test_streams_that_start_between_keyframes(plain, tmp_path, codec, share):
    """Frames that nothing could decode are not counted, as in ffmpeg."""
    data = write(plain, tmp_path / "whole.ts", *codec).read_bytes()
    path = tmp_path / "late.ts"
    path.write_bytes(data[round(len(data) * share) // 188 * 188 :])
    assert_shown_as_by_ffmpeg(path)
    numbers = read_numbers(path)
    assert numbers == [*range(numbers[0], 50)]


def test_streams_that_refresh_without_keyframes(plain, tmp_path):
    refresh = (*H264, "-x264-params", "intra-refresh=1:keyint=8:bframes=0")
    data = write(plain, tmp_path / "whole.ts", *refresh).read_bytes()
    path = tmp_path / "late.ts"
    path.write_bytes(data[len(data) // 4 // 188 * 188 :])
    assert_shown_as_by_ffmpeg(path)


@pytest.mark.parametrize("suffix", ["webm", "mkv", "mp4", "ivf"])
@pytest.mark.parametrize("is_split", [True, False])
def test_frames_that_are_not_shown_are_not_counted(plain, tmp_path, suffix, is_split):
    """VP9 stores pictures that only others refer to, in a packet of their own or not."""
    vp9 = ("-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "400k")
    whole = write(plain, tmp_path / "whole.webm", *vp9, "-cpu-used", "8", "-g", "20")
    path = tmp_path / f"hidden.{suffix}"
    splitting = ("-bsf:v", "vp9_superframe_split") if is_split and suffix != "ivf" else ()
    run_ffmpeg("-i", whole, "-c", "copy", *splitting, path)
    assert_shown_as_by_ffmpeg(path)
    assert read_numbers(path) == [*range(50)]


EDITS: dict[str, list[tuple[float, float | None, float]]] = {
    "keyframe": [(0.8, 0.4, 1)],
    "between": [(0.8, 0.52, 1)],
    "two": [(0.4, 0.12, 1), (0.4, 1.2, 1)],
    "backward": [(0.4, 1.2, 1), (0.4, 0.12, 1)],
    "repeated": [(0.4, 0.4, 1), (0.4, 0.4, 1)],
    "delayed": [(0.5, None, 1), (1.0, 0, 1)],
    "gap": [(0.4, 0.12, 1), (0.5, None, 1), (0.4, 1.2, 1)],
    "fast": [(0.4, 0.4, 2)],
    "slow": [(0.4, 0.4, 0.5)],
    "too_long": [(9, 1.0, 1)],
}


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", H264), ("mov", MPEG4), ("mp4", (*H264, "-bf", "0")), ("mp4", OPEN_H264)],
)
def test_edit_lists_are_shown_as_by_ffmpeg(plain, tmp_path, suffix, codec, name):
    source = write(plain, tmp_path / f"whole.{suffix}", *codec)
    path = replace_edits(source, tmp_path / f"{name}.{suffix}", EDITS[name])
    video = assert_shown_as_by_ffmpeg(path)
    assert video.info.has_edit_list
    assert len(read_numbers(path)) == video.info.frames < 50


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize(("start", "length"), [(0.4, 0.4), (0.5, 0.6), (1.37, 0.2)])
def test_lossless_trims_are_complete_files(plain, tmp_path, suffix, start, length):
    whole = write(plain, tmp_path / f"whole.{suffix}", *H264)
    path = tmp_path / f"trim.{suffix}"
    run_ffmpeg("-ss", str(start), "-i", whole, "-t", str(length), "-c", "copy", path)
    assert_shown_as_by_ffmpeg(path)
    numbers = read_numbers(path)
    assert abs(numbers[0] - start * 30) <= 1


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_other_tracks_may_be_longer_than_the_video(plain, tmp_path, suffix):
    path = tmp_path / f"long.{suffix}"
    codec = ("-c:v", "libvpx", "-b:v", "1M") if suffix == "webm" else H264
    sound = "libopus" if suffix == "webm" else "aac"
    run_ffmpeg("-i", plain, "-f", "lavfi", "-i", "sine=d=30", *codec, "-c:a", sound, path)
    info = probe(path)
    assert (info.frames, info.has_edit_list) == (50, False)
    assert info.duration_s == pytest.approx(50 / 30, abs=0.01)


@pytest.mark.parametrize("delay", [0.48, 1.2])
def test_the_start_in_the_file_is_described(plain, tmp_path, delay):
    path = tmp_path / "late.mkv"
    run_ffmpeg("-i", plain, "-c", "copy", "-output_ts_offset", str(delay), path)
    info = probe(path)
    assert info.start_s == pytest.approx(delay, abs=2e-3)
    assert info.duration_s == pytest.approx(50 / 30, abs=0.01)


def sample_with_ffmpeg(path: Path, rate: str) -> list[int]:
    """Return the frames that ffmpeg shows at multiples of 1 / rate: the last one not after."""
    command = ["-i", path, "-vf", f"fps={rate}:round=up:start_time=0", "-fps_mode", "passthrough"]
    raw = path.with_suffix(".raw")
    run_ffmpeg(*command, "-f", "rawvideo", "-pix_fmt", "rgb24", raw)
    return read_frame_numbers(np.fromfile(raw, np.uint8).reshape(-1, 96, 160, 3))


@pytest.mark.parametrize("rate", ["25", "24", "10", "7", "30000/1001", "100"])
@pytest.mark.parametrize(
    "times",
    [
        [3 * n for n in range(50)],
        [0, 3, 6, 9, 20, 23, 40, 41, 42, 90],
        [0, 90, 91, 92, 93, 180],
    ],
)
def test_frames_are_those_shown_at_a_time(tmp_path, times, rate):
    path = encode_video(tmp_path / "times.mp4", "h264", numbered_frames(len(times)), times=times)
    theirs = sample_with_ffmpeg(path, rate)
    with open_video(path) as video:
        wanted = np.arange(len(theirs)) / float(Fraction(rate))
        wanted = wanted[wanted <= video.timestamps[-1]]
        assert read_frame_numbers(video.frames_at(wanted)) == theirs[: len(wanted)]
        assert video.indices_at([video.info.duration_s])[0] == len(times) - 1


@pytest.mark.parametrize(("suffix", "rate"), [("mp4", 480), ("mkv", 240), ("mp4", 1000)])
def test_times_between_frames_give_the_earlier_one(plain, tmp_path, suffix, rate):
    """At high rates too, where a millisecond is a frame."""
    path = write(plain, tmp_path / f"fast.{suffix}", *H264, "-vf", f"setpts=N/{rate}/TB",
                 "-enc_time_base", f"1:{rate}")  # fmt: skip
    with open_video(path) as video:
        numbers = np.arange(50)
        for part in (0, 0.3, 0.6):
            np.testing.assert_array_equal(video.indices_at((numbers + part) / rate), numbers)


def test_a_single_frame_is_shown_all_the_time(tmp_path):
    path = encode_video(tmp_path / "one.mp4", "h264", numbered_frames(1))
    with open_video(path) as video:
        assert video.indices_at([0, 0.01, video.info.duration_s]).tolist() == [0, 0, 0]
        assert video.resample(8).indices.tolist() == [0]


@pytest.mark.parametrize(
    "name",
    [b"caf\xe9 \xff.mp4", b"-i.mp4", b"%03d.mp4", b"concat:a|b.mp4", b"pipe:0", b"a\nb.mp4",
     b"http:x", b"file:b.mp4", b"[x]*?.mkv", "日本.mp4".encode(), b"subfile,,start,1,end,9,,:b.mp4"],
)  # fmt: skip
def test_every_legal_name_is_a_local_file(plain, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path.write_bytes(plain.read_bytes())
    for given in (path, path.absolute()):
        with open_video(given, threads=2) as video:
            assert read_frame_numbers(video.frames([40, 3, 17])) == [40, 3, 17]


def test_numbered_names_are_no_sequence(tmp_path, plain):
    """`%03d` names one file, not the pictures of a sequence."""
    for number in range(3):
        subprocess.run(["cp", plain, tmp_path / f"{number:03}.mkv"], check=True)
    with pytest.raises(Exception, match="no such file"):
        open_video(tmp_path / "%03d.mkv")
