"""Each way in which a file can be no usable video, and its reason."""

import pickle
from pathlib import Path

import av
import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import open_video, probe
from schemas.names import Reason
from tests.media.conftest import FRAMES, audio_only, encode, numbered, remux


def reason_of(path) -> Reason:
    with pytest.raises(VideoError) as caught:
        open_video(path)
    assert str(path) in str(caught.value)
    return caught.value.reason


def test_an_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert reason_of(tmp_path / "empty.mp4") is Reason.EMPTY_FILE


@pytest.mark.parametrize(
    "content",
    [
        b"<html>this is no video</html>\n" * 50,
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n",
        b"\0" * 4096,
        b"x",
    ],
)
def test_other_content_named_mp4(tmp_path, content):
    (tmp_path / "text.mp4").write_bytes(content)
    assert reason_of(tmp_path / "text.mp4") is Reason.NOT_A_VIDEO


def test_sound_without_a_picture(tmp_path):
    assert reason_of(audio_only(tmp_path / "sound.mp4")) is Reason.NO_VIDEO_STREAM


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("options", [{}, {"movflags": "faststart"}])
def test_a_truncated_mp4_wherever_its_index_lies(library, tmp_path, options, share):
    whole = remux(library("h264.mp4"), tmp_path / "whole.mp4", **options)
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    assert reason_of(path) is Reason.TRUNCATED


@pytest.mark.parametrize(("codec", "suffix"), [("vp9", "webm"), ("h264", "mkv")])
def test_a_truncated_matroska_file(tmp_path, codec, suffix):
    whole = encode(
        tmp_path / f"whole.{suffix}",
        codec,
        numbered(),
        times=[6 * number for number in range(FRAMES)],
    )
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert reason_of(path) is Reason.TRUNCATED


@pytest.mark.parametrize("backend", ["decord", "pyav"])
def test_damage_in_the_middle_is_corrupt_and_spares_the_frames_before_it(
    library, tmp_path, backend
):
    data = bytearray(library("h264.mp4").read_bytes())
    with av.open(str(library("h264.mp4"))) as container:
        places = {
            packet.pts: (packet.pos, packet.size)
            for packet in container.demux(video=0)
            if packet.size
        }
    last_third = sorted(places.values())[len(places) * 2 // 3 :]
    for position, size in last_third:
        data[position : position + size] = bytes(size)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with open_video(path, backend) as video, open_video(library("h264.mp4"), backend) as whole:
        assert (
            np.abs(video.frames([0, 9]).astype(int) - whole.frames([0, 9])).mean() < 2
        )  # where decord gives up, PyAV converts the colours
        with pytest.raises(VideoError) as caught:
            video.frames([FRAMES - 1])
    assert caught.value.reason is Reason.CORRUPT


def test_an_unknown_codec(library, tmp_path):
    path = tmp_path / "unknown.mkv"
    path.write_bytes(
        library("h264.mkv").read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/AVC")
    )
    assert reason_of(path) is Reason.UNSUPPORTED_CODEC


def test_probe_refuses_the_same(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="0 bytes"):
        probe(tmp_path / "empty.mp4")


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(VideoError(Reason.CORRUPT, "damaged")))
    assert (error.reason, str(error)) == (Reason.CORRUPT, "damaged")


def test_a_path_that_looks_like_an_address_is_a_file(library, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("youtube:abc@0-1.mp4").symlink_to(library("h264.mp4"))
    with open_video("youtube:abc@0-1.mp4") as video:
        assert len(video) == FRAMES
