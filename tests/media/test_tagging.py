"""Tagging: metadata is added in place, frames and audio are unchanged, other files become mp4."""

import struct
import subprocess

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import InvalidInput, VideoError
from argus.media import (
    SphericalMetadata,
    decode_clip,
    open_video,
    probe,
    read_spherical,
    tag_spherical,
    write_video,
)
from argus.media.mp4.boxes import pack_box
from argus.media.spherical import V1_UUID
from schemas.names import Reason
from tests.support.ffmpeg import describe_with_ffmpeg
from tests.support.mp4_tree import (
    Label,
    Ref,
    Tokens,
    assemble,
    assert_equal_but_for_tags,
    box,
    chunk_offsets,
    full,
    track,
    video_entry,
)
from tests.support.videos import (
    copy_video_packets,
    encode_video,
    numbered_frames,
    write_audio_only,
)


@pytest.mark.parametrize(
    "movflags",
    [None, "faststart", "frag_keyframe+empty_moov", "frag_keyframe+empty_moov+default_base_moof"],
)
def test_tagging_leaves_every_frame_unchanged(library, tmp_path, movflags):
    options = {"movflags": movflags} if movflags else {}
    plain = copy_video_packets(library("h264.mp4"), tmp_path / "plain.mp4", **options)
    tagged = tmp_path / "tagged.mp4"
    tag_spherical(plain, tagged, SphericalMetadata())
    assert "equirectangular" in describe_with_ffmpeg(tagged)
    for backend in ("decord", "pyav"):
        with open_video(plain, backend) as before, open_video(tagged, backend) as after:
            np.testing.assert_array_equal(before.frames([39, 2, 20]), after.frames([39, 2, 20]))


def test_64_bit_chunk_offsets_are_shifted_too(library, tmp_path):
    plain = copy_video_packets(
        library("h264.mp4"), tmp_path / "plain.mp4", movflags="faststart"
    ).read_bytes()
    start = plain.index(b"stco")
    count = struct.unpack_from(">I", plain, start + 8)[0]
    positions = struct.unpack_from(f">{count}I", plain, start + 12)
    growth = 4 * count
    table = pack_box(
        b"co64",
        bytes(4)
        + struct.pack(f">I{count}Q", count, *(position + growth for position in positions)),
    )
    data = bytearray(plain[: start - 4] + table + plain[start + 12 + 4 * count :])
    for box_type in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        header = data.index(box_type) - 4
        struct.pack_into(">I", data, header, struct.unpack_from(">I", data, header)[0] + growth)
    (tmp_path / "wide.mp4").write_bytes(data)
    tag_spherical(tmp_path / "wide.mp4", tmp_path / "tagged.mp4", SphericalMetadata())
    np.testing.assert_array_equal(
        decode_clip((tmp_path / "tagged.mp4").read_bytes()),
        decode_clip(library("h264.mp4").read_bytes()),
    )


def test_tagging_again_replaces_the_metadata_in_place(tmp_path):
    path = tmp_path / "sphere.mp4"
    stereo = SphericalMetadata(stereo_mode="top-bottom")
    write_video(path, numbered_frames(3), 30, spherical=stereo)
    size = path.stat().st_size
    tag_spherical(path, path, SphericalMetadata())
    assert read_spherical(path) == SphericalMetadata()
    assert path.read_bytes().count(V1_UUID) == 1
    assert path.stat().st_size == size + len("mono") - len("top-bottom")


def test_unusable_input_is_rejected_and_nothing_is_written(library, tmp_path):
    output = tmp_path / "never.mp4"
    with pytest.raises(InvalidInput, match=r"'mesh'.*equirectangular"):
        tag_spherical(library("h264.mp4"), output, SphericalMetadata(projection="mesh"))
    (tmp_path / "text.txt").write_text("not a video\n" * 100)
    (tmp_path / "cut.mp4").write_bytes(library("h264.mp4").read_bytes()[:400])
    audio = write_audio_only(tmp_path / "audio.mp4")
    with av.open(str(audio)) as old, av.open(str(tmp_path / "audio.mkv"), "w") as new:
        stream = new.add_stream_from_template(old.streams.audio[0])
        for packet in old.demux():
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    for source, reason in {
        library("vp8.webm"): Reason.UNSUPPORTED_CODEC,
        tmp_path / "text.txt": Reason.NOT_A_VIDEO,
        tmp_path / "cut.mp4": Reason.TRUNCATED,
        audio: Reason.NO_VIDEO_STREAM,
        tmp_path / "audio.mkv": Reason.NO_VIDEO_STREAM,
    }.items():
        with pytest.raises(VideoError) as caught:
            tag_spherical(source, output, SphericalMetadata())
        assert caught.value.reason is reason, source
    assert not [path for path in tmp_path.iterdir() if "never" in path.name]


@pytest.mark.parametrize(
    "name", ["h264.mkv", "h264.ts", "openh264.ts", "hevc.mkv", "vp9.webm", "av1.webm"]
)
def test_other_containers_are_remuxed_to_mp4_with_equal_frames(library, tmp_path, name):
    source, tagged = library(name), tmp_path / "tagged.mp4"
    stereo = SphericalMetadata(stereo_mode="top-bottom")
    tag_spherical(source, tagged, stereo)
    info = probe(tagged)
    assert (info.container, info.codec) == ("mp4", probe(source).codec)
    assert info.spherical == stereo
    with open_video(source, "pyav") as before, open_video(tagged, "pyav") as after:
        np.testing.assert_allclose(before.timestamps, after.timestamps, atol=2e-3)
        every = range(len(before))
        assert len(after) == len(before)
        np.testing.assert_array_equal(before.frames(every), after.frames(every))
    assert [path.name for path in tmp_path.iterdir()] == ["tagged.mp4"]


def write_video_with_audio(path):
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        audio = container.add_stream("aac", rate=8000, layout="mono")
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        for number, picture in enumerate(numbered_frames(10)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            for part in range(number * 800 // 1024, (number + 1) * 800 // 1024):
                samples = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                samples.sample_rate, samples.pts = 8000, part * 1024
                container.mux(audio.encode(samples))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def measure_audio_delay(path):
    """Return the start of the video relative to the audio in seconds, and the codecs."""
    with av.open(str(path)) as container:
        first = {}
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                time = float(packet.pts * packet.time_base)
                first[packet.stream.type] = min(first.get(packet.stream.type, 1e9), time)
        codecs = {stream.codec_context.name for stream in container.streams}
        return first["video"] - first["audio"], codecs


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_audio_stays_in_sync(tmp_path, suffix):
    source, tagged = tmp_path / f"both{suffix}", tmp_path / "tagged.mp4"
    tag_spherical(write_video_with_audio(source), tagged, SphericalMetadata())
    (before, _), (after, codecs) = measure_audio_delay(source), measure_audio_delay(tagged)
    assert codecs == {"h264", "aac"}
    assert after == pytest.approx(before, abs=0.13)  # an encoder's first 1024 samples
    assert probe(tagged).frames == 10


SMALL, LARGE = video_entry(size=(48, 64)), video_entry(size=(3000, 6000))
DATA = box(b"mdat", Label("data"), b"samples")
TABLES = [chunk_offsets(Ref("data"))]
CHAPTERS = box(b"tref", box(b"chap", full(9)[4:]))


@pytest.mark.parametrize(
    ("tracks", "chosen"),
    [
        ([track(TABLES, entries=[SMALL]), track(TABLES, entries=[video_entry()])], 1),
        ([track(TABLES, entries=[SMALL], is_enabled=False), track(TABLES)], 1),
        ([track(TABLES), track(TABLES)], 0),
        (
            [
                track(TABLES),
                track(TABLES, entries=[video_entry(size=(2000, 2000))], is_enabled=False),
            ],
            0,
        ),
        ([track(TABLES), track(TABLES, entries=[LARGE], is_enabled=False)], 1),
        ([track(TABLES, handler=b"soun"), track(TABLES)], 1),
        ([track(TABLES, entries=[LARGE], samples=0), track(TABLES)], 1),
        ([track(TABLES, entries=[LARGE], number=9), track(TABLES, tail=CHAPTERS)], 1),
        ([track(TABLES, samples=0)], 0),
    ],
)
def test_the_track_that_readers_show_is_tagged(tmp_path, tracks: list[Tokens], chosen):
    path = tmp_path / "tracks.mp4"
    data = assemble(box(b"moov", *(token for item in tracks for token in item)), DATA)
    path.write_bytes(data)
    tag_spherical(path, path, SphericalMetadata(stereo_mode="top-bottom"))
    tagged = path.read_bytes()
    assert_equal_but_for_tags(data, tagged)
    assert read_spherical(path) == SphericalMetadata(stereo_mode="top-bottom")
    assert [b"sv3d" in part for part in tagged.split(b"trak")[1:]].index(True) == chosen
    assert tagged.count(b"sv3d") == tagged.count(V1_UUID) == 1


@pytest.mark.parametrize("order", ["preview first", "preview last"])
@pytest.mark.parametrize("preview", ["h264", "hevc", "vp9"])
def test_the_track_that_is_read_is_tagged(library, tmp_path, preview, order):
    small = encode_video(tmp_path / "small.mp4", preview, numbered_frames(5, 48, 64))
    sources = [small, library("h264.mp4")][:: 1 if order == "preview first" else -1]
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", sources[0], "-i", sources[1]]
    both = ["-map", "0:v", "-map", "1:v", "-c", "copy", tmp_path / "two.mp4"]
    subprocess.run([*ffmpeg, *both], check=True)
    tag_spherical(tmp_path / "two.mp4", tmp_path / "tagged.mp4", SphericalMetadata())
    info = probe(tmp_path / "tagged.mp4")
    assert (info.width, info.spherical) == (160, SphericalMetadata())
    parts = (tmp_path / "tagged.mp4").read_bytes().split(b"trak")
    assert [b"sv3d" in part for part in parts].index(True) - 1 == info.video_track


def test_every_sample_entry_of_the_track_is_tagged(tmp_path):
    entries = [
        video_entry(),
        video_entry(box(b"avcC", b"x"), size=(480, 960)),
        video_entry(bytes(4)),
    ]
    path = tmp_path / "entries.mp4"
    path.write_bytes(data := assemble(box(b"moov", track(TABLES, entries=entries)), DATA))
    tag_spherical(path, path, SphericalMetadata(projection="eac"))
    assert_equal_but_for_tags(data, path.read_bytes())
    assert path.read_bytes().count(b"sv3d") == 3
    assert read_spherical(path) == SphericalMetadata(projection="eac")


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_boxes_follow_the_color_table_of_quicktime(tmp_path, depth):
    colors = 1 << depth
    fields = bytearray(78)
    struct.pack_into(">HHHH", fields, 24, 160, 96, 0, 0)
    struct.pack_into(">HH", fields, 74, depth, 0)
    table = struct.pack(">IHH", 0, 0x8000, colors - 1) + b"\xff" * 8 * colors
    entry = box(b"rle ", bytes(fields), table, box(b"pasp", bytes(8)))
    path = tmp_path / "colors.mov"
    path.write_bytes(assemble(box(b"moov", track(TABLES, entries=[entry])), DATA))
    tag_spherical(path, path, SphericalMetadata())
    tagged = path.read_bytes()
    assert tagged[tagged.index(table) + len(table) + 4 :].startswith(b"pasp")
    assert read_spherical(path) == SphericalMetadata()


@pytest.mark.parametrize("stereo", ["mono", "top-bottom", "left-right"])
@pytest.mark.parametrize("projection", ["equirectangular", "cubemap", "eac"])
def test_the_projection_that_apple_reads_is_replaced(library, tmp_path, projection, stereo):
    """FFmpeg writes a vexu box beside V2 metadata if it is allowed to."""
    first, copy, tagged = (tmp_path / f"{name}.mp4" for name in ("first", "copy", "tagged"))
    tag_spherical(library("h264.mp4"), first, SphericalMetadata(stereo_mode="top-bottom"))
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", first, "-c", "copy"]
    subprocess.run([*ffmpeg, "-strict", "unofficial", copy], check=True)
    assert b"vexu" in copy.read_bytes()
    metadata = SphericalMetadata(projection, stereo)
    tag_spherical(copy, tagged, metadata)
    assert read_spherical(tagged) == metadata
    np.testing.assert_array_equal(
        decode_clip(tagged.read_bytes()), decode_clip(library("h264.mp4").read_bytes())
    )
    with av.open(str(tagged)) as container:
        frame = next(container.decode(video=0))
    data = {item.type.name: bytes(item) for item in frame.side_data}
    if projection != "eac":
        number = struct.unpack_from("=i", data["SPHERICAL"])[0]
        assert number == ["equirectangular", "cubemap"].index(projection)
    packing = ["mono", "left-right", "top-bottom"][struct.unpack_from("=i", data["STEREO3D"])[0]]
    assert packing == stereo
