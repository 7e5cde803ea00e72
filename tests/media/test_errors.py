"""Each way in which a file can be an unusable video, and its reason."""

import pickle
from pathlib import Path

import av
import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import open_video, probe
from argus.media.backends import BACKENDS
from schemas.names import Reason
from tests.support.videos import (
    FRAMES,
    copy_video_packets,
    encode_video,
    numbered_frames,
    write_audio_only,
)


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


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}])
def test_truncated_mp4_with_its_index_at_either_end(library, tmp_path, options, share):
    complete = copy_video_packets(library("h264.mp4"), tmp_path / "complete.mp4", **options)
    path = tmp_path / "cut.mp4"
    path.write_bytes(complete.read_bytes()[: int(share * complete.stat().st_size)])
    assert find_reason(path) is Reason.TRUNCATED


@pytest.mark.parametrize(("codec", "suffix"), [("vp9", "webm"), ("h264", "mkv")])
def test_truncated_matroska(tmp_path, codec, suffix):
    times = [6 * number for number in range(FRAMES)]
    complete = encode_video(tmp_path / f"complete.{suffix}", codec, numbered_frames(), times=times)
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(complete.read_bytes()[: complete.stat().st_size // 2])
    assert find_reason(path) is Reason.TRUNCATED


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
