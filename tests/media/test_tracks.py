"""Which track of a file is read, and what is said about the others."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import open_video, probe
from argus.media.backends import BACKENDS
from argus.media.pyav_reader import PyAVReader
from schemas.names import Reason
from tests.support.ffmpeg import run_ffmpeg
from tests.support.ffmpeg_reference import describe

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
SMALL, MEDIUM, LARGE = (64, 48), (128, 96), (192, 144)  # width, height


def write_tracks(path: Path, sizes: list[tuple[int, int]], *options: str) -> Path:
    """Write a file of video tracks of half a second, one for each size."""
    sources = [f"testsrc2=s={width}x{height}:r=10:d=0.5" for width, height in sizes]
    inputs = [item for source in sources for item in ("-f", "lavfi", "-i", source)]
    maps = [item for number in range(len(sizes)) for item in ("-map", str(number))]
    run_ffmpeg(*inputs, *maps, *H264, *options, path)
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize(
    ("sizes", "dispositions", "chosen"),
    [
        ([SMALL, MEDIUM], ["0", "default"], 1),
        ([LARGE, SMALL], ["0", "default"], 1),
        ([SMALL, LARGE, MEDIUM], ["0", "0", "0"], 1),
        ([SMALL, MEDIUM, LARGE], ["default", "default", "0"], 1),
        ([MEDIUM, MEDIUM], ["default", "default"], 0),
    ],
)
def test_the_track_is_the_one_that_ffmpeg_reads(tmp_path, suffix, sizes, dispositions, chosen):
    options = [
        item
        for number, value in enumerate(dispositions)
        for item in (f"-disposition:{number}", value)
    ]
    path = write_tracks(tmp_path / f"tracks.{suffix}", sizes, *options)
    if suffix != "mkv" and set(dispositions) == {"0"}:
        chosen = 0  # the muxer makes the first track the default if none is
    info = probe(path)
    assert (info.video_track, info.width, info.height) == (chosen, *sizes[chosen])
    assert info.track_choice
    shown = describe(path)
    assert (shown.width, shown.height) == (info.width, info.height)
    with open_video(path) as video:
        assert video.frames([4]).shape == (1, info.height, info.width, 3)


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_track_without_packets_is_not_read(tmp_path, suffix, is_first):
    source = write_tracks(tmp_path / "source.mkv", [SMALL, LARGE])
    path = tmp_path / f"empty.{suffix}"
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        small, large = old.streams.video
        order = [large, small] if is_first else [small, large]
        copies = {stream.index: new.add_stream_from_template(stream) for stream in order}
        for packet in old.demux(small):
            if packet.size:
                packet.stream = copies[small.index]
                new.mux(packet)
    info = probe(path)
    assert (info.width, info.height, info.frames) == (*SMALL, 5)


def test_transport_streams_have_no_default_track(tmp_path):
    path = write_tracks(tmp_path / "tracks.ts", [SMALL, LARGE, MEDIUM])
    assert probe(path).video_track == 1
    assert describe(path).width == LARGE[0]


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "mjpeg"), ("mp4", "png"), ("mkv", "mjpeg"), ("mov", "mjpeg")]
)
def test_one_picture_before_the_default_track_is_not_read(tmp_path, suffix, codec):
    path = tmp_path / f"still.{suffix}"
    inputs = ("-f", "lavfi", "-i", "color=s=256x192:r=10:d=0.1")
    video = ("-f", "lavfi", "-i", "testsrc2=s=128x96:r=10:d=1")
    kinds = ("-c:v:0", codec, "-c:v:1", "libx264", "-pix_fmt:v:1", "yuv420p")
    marks = ("-disposition:v:0", "attached_pic" if suffix == "mp4" else "0")
    run_ffmpeg(*inputs, *video, "-map", "0", "-map", "1", *kinds, *marks,
               "-disposition:v:1", "default", path)  # fmt: skip
    info = probe(path)
    assert (info.width, info.codec, info.frames) == (128, "h264", 10)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts"])
def test_a_track_can_be_named(tmp_path, suffix):
    path = write_tracks(tmp_path / f"tracks.{suffix}", [SMALL, MEDIUM, LARGE])
    for number, (width, height) in enumerate([SMALL, MEDIUM, LARGE]):
        for threads in (1, 2):
            with PyAVReader(path, threads, track=number) as video:
                assert video.size == (height, width)
                assert video.info.video_track == number
                assert len(video) == 5
                frames = video.frames([4, 0, 2])
                np.testing.assert_array_equal(frames[[1, 2]], video.frames([0, 2]))


@pytest.mark.parametrize("track", [1, 2, 9, -1])
def test_tracks_that_are_no_video_are_refused(tmp_path, track):
    path = tmp_path / "sound.mkv"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "-f", "lavfi", "-i", "sine=d=0.2",
               "-map", "0", "-map", "1", *H264, path)  # fmt: skip
    with pytest.raises(InvalidInput, match="choose one of 0"):
        PyAVReader(path, track=track)


def test_a_picture_without_video_is_no_video(tmp_path):
    path = tmp_path / "cover.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", "-f", "lavfi", "-i", "color=s=64x48:d=0.04",
               "-map", "0", "-map", "1", "-c:v", "mjpeg", "-disposition:v:0", "attached_pic",
               path)  # fmt: skip
    with pytest.raises(VideoError) as caught:
        probe(path)
    assert caught.value.reason is Reason.NO_VIDEO_STREAM


def test_all_tracks_are_described(tmp_path):
    path = tmp_path / "all.mkv"
    texts = tmp_path / "texts.srt"
    texts.write_text("1\n00:00:00,000 --> 00:00:09,000\nlonger than the video\n")
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.2", "-f", "lavfi", "-i", "sine=d=0.2",
               "-i", texts, "-map", "0", "-map", "1", "-map", "2", *H264, "-c:a", "aac",
               "-metadata:s:a:0", "language=deu", "-metadata:s:a:0", "title=Ton",
               "-c:s", "srt", "-disposition:s:0", "0", path)  # fmt: skip
    tracks = probe(path).tracks
    assert [(track.number, track.kind, track.codec) for track in tracks] == [
        (0, "video", "h264"),
        (1, "audio", "aac"),
        (2, "subtitle", "subrip"),
    ]
    assert (tracks[0].width, tracks[0].height) == (64, 48)
    assert (tracks[1].language, tracks[1].title, tracks[1].width) == ("deu", "Ton", 0)
    assert [track.is_default for track in tracks][2] is False
    assert probe(path).track_choice == ""


@pytest.mark.parametrize(
    ("suffix", "codec", "aspect", "expected"),
    [
        ("mp4", "libx264", "16:9", Fraction(4, 3)),
        ("mkv", "libx264", "16:9", Fraction(4, 3)),
        ("mov", "libx264", "2:1", Fraction(3, 2)),
        ("mov", "mpeg4", "16:9", Fraction(4, 3)),
        ("webm", "libvpx-vp9", "2:1", Fraction(3, 2)),
    ],
)
def test_the_pixel_aspect_of_the_container_counts(tmp_path, suffix, codec, aspect, expected):
    square, wide = tmp_path / f"square.{suffix}", tmp_path / f"wide.{suffix}"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=128x96:r=10:d=0.3", "-c:v", codec,
               "-pix_fmt", "yuv420p", square)  # fmt: skip
    run_ffmpeg("-i", square, "-c", "copy", "-aspect", aspect, wide)
    assert probe(square).pixel_aspect == 1
    assert probe(wide).pixel_aspect == expected
    assert describe(wide).pixel_aspect == expected


@pytest.mark.parametrize("suffix", ["ts", "mkv", "mp4"])
def test_the_pixel_aspect_of_the_codec_counts_where_there_is_no_other(tmp_path, suffix):
    path = tmp_path / f"wide.{suffix}"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=128x96:r=10:d=0.3", *H264, "-vf", "setsar=8/9",
               path)  # fmt: skip
    assert probe(path).pixel_aspect == Fraction(8, 9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("range=tv:colorspace=bt709:color_trc=bt709:color_primaries=bt709", ["bt709"] * 3),
        (
            "range=tv:colorspace=bt2020nc:color_trc=smpte2084:color_primaries=bt2020",
            ["bt2020nc", "smpte2084", "bt2020"],
        ),
        (
            "range=pc:colorspace=smpte170m:color_trc=arib-std-b67:color_primaries=smpte432",
            ["smpte170m", "arib-std-b67", "smpte432"],
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_declared_colors_are_described(tmp_path, suffix, options, expected):
    path = tmp_path / f"colors.{suffix}"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.2", "-vf",
               f"format=yuv420p,setparams={options}", *H264, path)  # fmt: skip
    color = probe(path).color
    assert [color.matrix, color.transfer, color.primaries] == expected
    assert color.range == ("pc" if "range=pc" in options else "tv")
    assert color.is_hdr == (expected[1] != "bt709")


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "pyav"])
@pytest.mark.parametrize(
    "options",
    [
        ("-vf", "setparams=color_trc=smpte2084:color_primaries=bt2020:colorspace=bt2020nc"),
        ("-pix_fmt", "yuv420p10le"),
        ("-vf", "scale=1280:720"),
        ("-vf", "setfield=tff", "-flags", "+ildct+ilme", "-x264-params", "tff=1"),
        ("-vf", "setparams=colorspace=smpte240m"),
    ],
)
def test_other_backends_refuse_what_they_show_differently(tmp_path, backend, options):
    path = tmp_path / "other.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=128x96:r=10:d=0.3", *H264, *options, path)
    with pytest.raises(ValueError, match=backend):
        open_video(path, backend)
    with open_video(path) as video:
        assert len(video) == 3
