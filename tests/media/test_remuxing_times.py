"""Times of frames and sound in an mp4 copy of another container."""

import av
import numpy as np
import pytest

from tests.support.ffmpeg import run_ffmpeg
from tests.support.remuxed_files import (
    H264,
    HEVC,
    PICTURE,
    SOUND,
    assert_same_frames,
    list_frames,
    list_packets,
    read_start,
    read_times,
    tag,
)

FRAMES = 30


@pytest.mark.parametrize(
    ("codecs", "parts"),
    [([*H264], 2), ([*H264, "-c:a", "ac3"], 3), ([*HEVC], 2), (["-c:v", "mpeg2video"], 2)],
    ids=["h264", "three", "hevc", "mpeg2"],
)
def test_joined_transport_streams_lose_no_packet(tmp_path, codecs, parts):
    one, source = tmp_path / "one.ts", tmp_path / "joined.ts"
    run_ffmpeg(*PICTURE, *SOUND, *codecs, one)
    source.write_bytes(one.read_bytes() * parts)
    tagged, _ = tag(source)
    expected, found = list_frames(one), list_frames(tagged)
    assert [digest for _, digest in found] == [digest for _, digest in expected] * parts
    assert (np.diff([time for time, _ in found]) > 0).all()
    assert found[-1][0] - found[0][0] == pytest.approx(3 * parts - 0.1, abs=0.1)
    assert len(list_packets(tagged, "a:0")) == len(list_packets(one, "a:0")) * parts


@pytest.mark.parametrize("gap_s", [12, 40])
@pytest.mark.parametrize("suffix", [".ts", ".flv", ".mkv"])
def test_a_long_still_picture_keeps_its_duration(tmp_path, suffix, gap_s):
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        *(
            "-f",
            "lavfi",
            "-i",
            "testsrc2=s=160x96:r=10:d=1",
            "-f",
            "lavfi",
            "-i",
            f"sine=d={gap_s + 1}",
        ),
        *("-vf", f"setpts='PTS+gte(N,5)*{gap_s}/TB'", "-fps_mode", "vfr", *H264),
        *("-bf", "0" if suffix == ".flv" else "2", source),
    )
    tagged, _ = tag(source)
    assert_same_frames(source, tagged)


@pytest.mark.parametrize(
    "options",
    [
        ["-vf", "select='gte(t,2)+not(mod(n,5))'", "-fps_mode", "vfr"],
        ["-vf", "setpts='PTS+0.004*mod(N,3)/TB'", "-fps_mode", "vfr", "-enc_time_base", "1:1000"],
        ["-r", "30000/1001"],
    ],
    ids=["variable", "jitter", "ntsc"],
)
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv"])
def test_times_are_exact(tmp_path, suffix, options):
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(*PICTURE, *SOUND, *H264, *options, source)
    assert_same_frames(source, tag(source)[0])


@pytest.mark.parametrize("form", ["mpeg", "vob", "svcd"])
@pytest.mark.parametrize("codec", ["mpeg1video", "mpeg2video"])
def test_times_that_a_program_stream_leaves_out_are_kept(tmp_path, form, codec):
    source = tmp_path / "source.mpg"
    run_ffmpeg(*PICTURE, "-r", "25", "-c:v", codec, "-bf", "2", "-f", form, source)
    assert_same_frames(source, tag(source)[0])


@pytest.mark.parametrize("delayed", ["v", "a"])
@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".flv"])
def test_picture_and_sound_stay_together(h264_mkv, tmp_path, suffix, delayed):
    source = tmp_path / f"source{suffix}"
    first, second = ("1:v", "0:a") if delayed == "v" else ("0:v", "1:a")
    run_ffmpeg(
        *("-i", h264_mkv, "-itsoffset", "0.7", "-i", h264_mkv, "-map", first, "-map", second),
        *("-c", "copy", source),
    )
    tagged, _ = tag(source)
    starts = [read_start(path, "video") - read_start(path, "audio") for path in (source, tagged)]
    assert starts[1] == pytest.approx(starts[0], abs=2e-3)
    assert abs(starts[0]) > 0.6


@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("h264.avi", H264),
        ("mpeg4.avi", ["-c:v", "mpeg4", "-bf", "2"]),
        ("tagged.avi", ["-c:v", "mpeg4", "-bf", "2", "-vtag", "xvid"]),
        ("pyramid.avi", [*H264, "-bf", "5", "-b-pyramid", "normal"]),
        ("raw.h264", H264),
        ("raw.hevc", HEVC),
    ],
)
def test_reordered_frames_get_the_times_that_the_file_lacks(tmp_path, name, codecs):
    source = tmp_path / name
    run_ffmpeg(*PICTURE, *codecs, source)
    tagged, _ = tag(source)
    expected, found = list_frames(source), list_frames(tagged)
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    steps = np.diff([time for time, _ in found])
    np.testing.assert_allclose(steps, np.full(FRAMES - 1, 0.1), atol=1e-3)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
@pytest.mark.parametrize(
    "codecs",
    [
        [*H264, "-x264-params", "open-gop=1:keyint=10:bframes=3:b-adapt=0:scenecut=0"],
        [*HEVC[:-1], "log-level=none:keyint=10:open-gop=1:bframes=3:b-adapt=0:pools=1"],
        ["-c:v", "mpeg2video", "-bf", "2", "-g", "10"],
    ],
    ids=["h264", "hevc", "mpeg2"],
)
def test_a_cut_inside_open_groups_keeps_its_first_frames(tmp_path, codecs, suffix):
    """The first stored frame is not the first one shown."""
    whole, source = tmp_path / "whole.ts", tmp_path / f"source{suffix}"
    run_ffmpeg(*PICTURE, *SOUND, *codecs, "-c:a", "ac3", whole)
    run_ffmpeg("-ss", "1.5", "-i", whole, "-c", "copy", source)
    tagged, _ = tag(source)
    expected, found = list_frames(source), list_frames(tagged)
    assert [digest for _, digest in found] == [digest for _, digest in expected]
    assert_same_frames(source, tagged)
    assert len(list_packets(tagged, "v:0")) == len(list_packets(source, "v:0"))
    starts = [read_start(path, "video") - read_start(path, "audio") for path in (source, tagged)]
    assert starts[1] == pytest.approx(starts[0], abs=2e-3)


ORDERS = {
    "pairs": [0, 2, 1, 3],
    "groups": [0, 3, 2, 1],
    "pyramid": [0, 4, 2, 1, 3],
    "repeated": [0, 2, 2, 1, 5],
}


@pytest.mark.parametrize("delay", [0, 700])
@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_frames_in_an_order_that_no_header_states_keep_their_times(
    h264_mkv, tmp_path, order, delay
):
    """FFmpeg takes the stored order for the order of showing, and finds times that go back."""
    source, count = tmp_path / "source.mkv", len(order)
    run_ffmpeg(*PICTURE, "-c:v", "mjpeg", tmp_path / "pictures.mkv")
    with (
        av.open(str(tmp_path / "pictures.mkv")) as pictures,
        av.open(str(h264_mkv)) as sound,
        av.open(str(source), "w") as new,
    ):
        video = new.add_stream_from_template(pictures.streams[0], opaque=True)
        audio = new.add_stream_from_template(sound.streams.audio[0], opaque=True)
        for number, packet in enumerate(pictures.demux(video=0)):
            if packet.size:
                packet.pts = 100 * (number - number % count + order[number % count]) + delay
                packet.dts, packet.stream = 100 * number - 10_000, video
                new.mux(packet)
        for packet in sound.demux(audio=0):
            if packet.size:
                packet.stream = audio
                new.mux(packet)
    tagged, _ = tag(source)
    before, after = (read_times(path, "video") for path in (source, tagged))
    np.testing.assert_allclose(np.diff(after), np.diff(before), atol=1e-3)
    assert (np.diff(before) < 0).any()
    assert list_packets(tagged, "v:0") == list_packets(source, "v:0")
    starts = [read_start(path, "video") - read_start(path, "audio") for path in (source, tagged)]
    assert starts[1] == pytest.approx(starts[0], abs=2e-3)
