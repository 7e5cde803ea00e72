"""Each way in which a file can be an unusable video, and its reason."""

import os
import pickle
import subprocess
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import decode_clip, open_video, probe, read_spherical
from argus.media.backends import BACKENDS
from schemas.names import Reason
from tests.support.ffmpeg import run_ffmpeg
from tests.support.videos import FRAMES, write_audio_only


def find_reason(path) -> Reason:
    """Return the reason with which both `open_video` and `probe` reject a file."""
    reasons = set()
    for function in (open_video, probe):
        with pytest.raises(VideoError) as caught:
            function(path)
        assert str(path) in caught.value.message
        reasons.add(caught.value.reason)
    (reason,) = reasons
    return reason


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert find_reason(tmp_path / "empty.mp4") is Reason.EMPTY_FILE


@pytest.mark.parametrize(
    ("name", "kind"),
    [("folder", "folder"), ("pipe", "pipe"), ("link", "pipe"), ("none", "no such")],
)
@pytest.mark.parametrize("read", [probe, open_video, read_spherical])
def test_what_is_no_file_is_named(tmp_path, name, kind, read):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with pytest.raises(InvalidInput, match=kind):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>this is not a video</html>\n" * 50,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"\0" * 4096,
        b"x",
    ],
)
def test_other_content_named_mp4(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    assert find_reason(tmp_path / "text.mp4") is Reason.NOT_A_VIDEO


def test_audio_without_video(tmp_path):
    assert find_reason(write_audio_only(tmp_path / "audio.mp4")) is Reason.NO_VIDEO_STREAM


CUT_FILES = {
    "faststart.mp4": ("-c", "copy", "-movflags", "+faststart"),
    "last.mp4": ("-c", "copy"),
    "fragments.mp4": ("-c", "copy", "-movflags", "+frag_keyframe+empty_moov"),
    "frames.mp4": ("-c", "copy", "-movflags", "+frag_every_frame+empty_moov+default_base_moof"),
    "h264.mov": ("-c", "copy"),
    "h264.mkv": ("-c", "copy"),
    "vp9.webm": ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"),
    "live.mkv": ("-c", "copy", "-f", "matroska"),  # sizes are not known while it is written
    "live.webm": ("-c:v", "libvpx", "-c:a", "libopus", "-f", "webm"),
    "h264.ts": ("-c", "copy"),
    "h264.m2ts": ("-c", "copy"),
    "mpeg4.avi": ("-c:v", "mpeg4", "-an"),
    "h264.flv": ("-c", "copy"),
    "theora.ogv": ("-c:v", "libtheora", "-an"),
}


@pytest.fixture(scope="module")
def with_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cut") / "sound.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=2", "-f", "lavfi", "-i", "sine=d=2",
               "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p",
               "-c:a", "aac", path)  # fmt: skip
    return path


@pytest.mark.parametrize("name", CUT_FILES)
def test_truncated_files(with_sound, tmp_path, name):
    """Cut anywhere, as a file and in memory, with sound as the last thing stored or not."""
    complete = tmp_path / name
    if name.startswith("live"):
        data = encode_to_pipe(with_sound, *CUT_FILES[name])
    else:
        run_ffmpeg("-i", with_sound, *CUT_FILES[name], complete)
        data = complete.read_bytes()
    complete.write_bytes(data)
    assert probe(complete).frames in {49, 50}  # ffmpeg leaves the last one out of an ogv
    random = np.random.default_rng(len(data))
    is_fragmented = name in {"fragments.mp4", "frames.mp4"}
    path = tmp_path / f"cut_{name}"
    ends = [*random.integers(len(data) // 50, len(data) - 2, 12), len(data) - 2]
    for end in ends:
        if is_fragmented and is_start_of_box(data, end):
            continue
        path.write_bytes(data[:end])
        assert find_reason(path) is Reason.TRUNCATED
        with pytest.raises(VideoError) as caught:
            decode_clip(data[:end], [0])
        assert caught.value.reason is Reason.TRUNCATED


def is_start_of_box(data: bytes, position: int) -> bool:
    """Return whether a file may end here: nothing tells that fragments would follow."""
    return data[position + 4 : position + 8] in {b"moof", b"mfra"}


def encode_to_pipe(source: Path, *options: str) -> bytes:
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", "-i", source, *options, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout


@pytest.mark.parametrize("name", ["last.mp4", "faststart.mp4", "frames.mp4", "h264.mov"])
@pytest.mark.parametrize(
    "trailer",
    [
        *(b"\0\0\0" + bytes([head]) + b"GYRO" * 9 for head in (1, 5, 8)),
        *(b"8db42d694ccc418790edff439fe026bf", b"\0\0\0\0", b"\xff" * 32, b"x"),
    ],
)
def test_what_follows_a_complete_mp4_is_no_missing_part(with_sound, tmp_path, name, trailer):
    if name == "frames.mp4" and trailer == b"x":
        return  # the start of another fragment
    path = tmp_path / name
    run_ffmpeg("-i", with_sound, *CUT_FILES[name], path)
    path.write_bytes(path.read_bytes() + trailer)
    assert probe(path).frames == 50
    assert len(decode_clip(path.read_bytes(), [49])) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_damaged_frames_are_corrupt_and_frames_before_them_are_read(library, tmp_path, backend):
    data = bytearray(library("h264.mp4").read_bytes())
    with av.open(str(library("h264.mp4"))) as container:
        packets = {packet.pts: packet for packet in container.demux(video=0) if packet.size}
        extents = sorted((packet.pos, packet.size) for packet in packets.values())
    for position, size in extents[len(extents) * 2 // 3 :]:
        data[position : position + size] = bytes(size)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with open_video(path, backend) as video, open_video(library("h264.mp4"), backend) as intact:
        # Not equal: where decord fails, PyAV converts the colors.
        difference = np.abs(video.frames([0, 9]).astype(int) - intact.frames([0, 9]))
        assert difference.mean() < 2
        with pytest.raises(VideoError) as caught:
            video.frames([FRAMES - 1])
    assert caught.value.reason is Reason.CORRUPT


def test_unknown_codec(library, tmp_path):
    path = tmp_path / "unknown.mkv"
    path.write_bytes(
        library("h264.mkv").read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC")
    )
    assert find_reason(path) is Reason.UNSUPPORTED_CODEC


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(VideoError(Reason.CORRUPT, "damaged")))
    assert (error.reason, str(error)) == (Reason.CORRUPT, "damaged")


def test_path_that_looks_like_a_url_is_a_file(library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("youtube:abc@0-1.mp4").symlink_to(library("h264.mp4"))
    with open_video("youtube:abc@0-1.mp4") as video:
        assert len(video) == FRAMES
