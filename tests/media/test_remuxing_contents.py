"""Tracks, texts, chapters, tags and attachments that an mp4 copy keeps, or that are named."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from argus.media import Omission, SphericalMetadata, read_spherical
from tests.support.ffmpeg import describe_with_ffmpeg, run_ffmpeg
from tests.support.remuxed_files import PICTURE, assert_same_frames, list_packets, tag

TEXTS = (
    "1\n00:00:00,500 --> 00:00:01,000\nOne <i>two</i>\n\n2\n00:00:01,500 --> 00:00:02,000\nThree\n"
)
KINDS = {"v": "video", "a": "audio"}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.srt"
    path.write_text(TEXTS)
    return path


@pytest.mark.parametrize("name", ["srt.mkv", "ass.mkv", "webvtt.mkv", "webvtt.webm"])
def test_text_subtitles_are_kept(h264_mkv, vp9_webm, texts, tmp_path, name):
    source = tmp_path / name
    run_ffmpeg(
        *("-i", vp9_webm if source.suffix == ".webm" else h264_mkv, "-i", texts),
        *("-map", "0:v", "-map", "1", "-c", "copy", "-c:s", source.stem),
        *("-metadata:s:s:0", "language=fre", "-metadata:s:s:0", "title=Sous-titres"),
        *("-disposition:s:0", "forced", source),
    )
    tagged, lost = tag(source)
    assert (
        run_ffmpeg("-i", tagged, "-map", "0:s:0", "-f", "srt", "-").decode().strip()
        == TEXTS.strip()
    )
    with av.open(str(tagged)) as container:
        stream = container.streams.subtitles[0]
        assert (stream.language, stream.metadata["name"]) == ("fre", "Sous-titres")
        assert "forced" in stream.disposition.name
    styles = {(source.stem, 1)} if source.stem != "srt" else set()
    assert {(detail, track) for part, detail, track in lost if part == "text styles"} == styles


@pytest.mark.parametrize("codec", ["srt", "ass", "webvtt"])
def test_texts_that_overlap_are_named(h264_mkv, texts, tmp_path, codec):
    texts.write_text(TEXTS.replace("00:00:01,000", "00:00:01,800"))
    run_ffmpeg("-i", h264_mkv, "-i", texts, "-c", "copy", "-c:s", codec, tmp_path / "source.mkv")
    _, lost = tag(tmp_path / "source.mkv")
    assert [track for part, _, track in lost if part == "text overlaps"] == [2]


@pytest.mark.parametrize("suffix", [".mkv", ".m2ts"])
def test_bitmap_subtitles_are_named(h264_mkv, tmp_path, suffix):
    segments = [
        b"PG" + struct.pack(">IIBH", 90000 * second, 0, kind, len(data)) + data
        for second in (1, 2)
        for kind, data in (
            (0x16, struct.pack(">HHBHBBBB", 160, 96, 16, second, 128, 0, 0, 0)),
            (0x80, b""),
        )
    ]
    (tmp_path / "source.sup").write_bytes(b"".join(segments))
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        *("-i", h264_mkv, "-i", tmp_path / "source.sup", "-map", "0", "-map", "1", "-c", "copy"),
        *("-metadata:s:s:0", "language=eng", source),
    )
    tagged, lost = tag(source)
    assert [
        detail.partition(",")[0]
        for part, detail, track in lost
        if (part, track) == ("subtitles", 2)
    ] == ["hdmv_pgs_subtitle"]
    assert_same_frames(source, tagged)


def test_dvd_subtitles_are_kept(h264_mkv, tmp_path):
    source = tmp_path / "source.mkv"
    packet = bytes.fromhex("0014000e") + bytes(10) + bytes.fromhex("0000000eff00")
    with av.open(str(h264_mkv)) as old, av.open(str(source), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        texts = new.add_mux_stream("dvd_subtitle")
        for one in old.demux(video=0):
            if one.size:
                one.stream = video
                new.mux(one)
        for second in (1, 2):
            subtitle = av.Packet(packet)
            subtitle.stream, subtitle.time_base = texts, Fraction(1, 1000)
            subtitle.pts = subtitle.dts = 1000 * second
            subtitle.duration = 500
            new.mux(subtitle)
    tagged, lost = tag(source)
    assert not [part for part, _, _ in lost if part == "subtitles"]
    assert list_packets(tagged, "s:0")[:1] == list_packets(source, "s:0")[:1]


@pytest.mark.parametrize("count", [2, 300])
@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_chapters_are_kept(h264_mkv, vp9_webm, tmp_path, suffix, count):
    titles = [f"Chapter {number} " + "x" * (number % 250) for number in range(count)]
    step = 3000 // count
    chapters = [
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n * step}\nEND={(n + 1) * step}\ntitle={title}\n"
        for n, title in enumerate(titles)
    ]
    (tmp_path / "chapters.txt").write_text(";FFMETADATA1\n" + "".join(chapters))
    source = tmp_path / f"source{suffix}"
    run_ffmpeg(
        *("-i", vp9_webm if suffix == ".webm" else h264_mkv, "-i", tmp_path / "chapters.txt"),
        *("-map_chapters", "1", "-c", "copy", source),
    )
    tagged, _ = tag(source)
    with av.open(str(tagged)) as container:
        found = container.chapters()
    assert [chapter["metadata"]["title"] for chapter in found] == titles
    starts = [float(chapter["start"] * chapter["time_base"]) for chapter in found]
    np.testing.assert_allclose(starts, np.arange(count) * step / 1000, atol=1e-3)


KEYS = (
    "title artist album_artist composer album date comment genre copyright grouping lyrics "
    "description synopsis show episode_id network keywords rating make model performer director "
    "publisher encoded_by my_own_key"
)


NUMBERS = "track disc media_type hd_video gapless_playback compilation season_number episode_sort"


@pytest.mark.parametrize("value", ["7", "seven"])
@pytest.mark.parametrize("suffix", [".mkv", ".flv", ".avi", ".webm"])
def test_every_tag_is_kept_or_named(h264_mkv, vp9_webm, tmp_path, suffix, value):
    tags = {key: f"{key} äöü" for key in KEYS.split()} | dict.fromkeys(NUMBERS.split(), value)
    tags |= {"location": "+48.1000+011.5000/", "creation_time": "2024-03-04T05:06:07.000000Z"}
    options = [part for key, text in tags.items() for part in ("-metadata", f"{key}={text}")]
    source = tmp_path / f"source{suffix}"
    codecs = ["-c", "copy", "-bsf:v", "h264_mp4toannexb"] if suffix == ".avi" else ["-c", "copy"]
    run_ffmpeg("-i", vp9_webm if suffix == ".webm" else h264_mkv, *codecs, *options, source)
    with av.open(str(source)) as container:
        stored = {key.lower(): text for key, text in container.metadata.items()}
    tagged, lost = tag(source)
    with av.open(str(tagged)) as container:
        kept = {key for key, text in container.metadata.items() if stored.get(key) == text}
    named = {
        key
        for part, keys, track in lost
        if (part, track) == ("tags", None)
        for key in keys.split(", ")
    }
    assert len(stored) > 5 or suffix == ".avi"
    assert set(stored) <= kept | named
    assert not kept & named


@pytest.mark.parametrize("kind", ["v", "a"])
@pytest.mark.parametrize(
    "disposition",
    ["default", "forced", "comment", "hearing_impaired", "visual_impaired", "original"],
)
def test_every_disposition_is_kept_or_named(h264_mkv, tmp_path, disposition, kind):
    source = tmp_path / "source.mkv"
    run_ffmpeg("-i", h264_mkv, "-c", "copy", f"-disposition:{kind}:0", disposition, source)
    with av.open(str(source)) as container:
        stored = {flag.name for flag in getattr(container.streams, KINDS[kind])[0].disposition}
    tagged, lost = tag(source)
    with av.open(str(tagged)) as container:
        kept = {flag.name for flag in getattr(container.streams, KINDS[kind])[0].disposition}
    named = {
        flag for part, flags, _ in lost if part == "dispositions" for flag in flags.split(", ")
    }
    assert disposition in stored
    assert stored <= kept | named
    assert not kept & named


def test_tracks_keep_their_order_languages_and_titles(h264_mkv, tmp_path):
    source = tmp_path / "source.mkv"
    run_ffmpeg(
        *(
            "-i",
            h264_mkv,
            "-i",
            h264_mkv,
            "-map",
            "0:a",
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-map",
            "1:v",
        ),
        *("-c", "copy", "-metadata:s:0", "language=ger", "-metadata:s:0", "title=Ton"),
        *("-metadata:s:2", "language=jpn", "-metadata:s:3", "title=Extra"),
        *("-disposition:1", "default", "-disposition:3", "0", source),
    )
    tagged, _ = tag(source)
    with av.open(str(tagged)) as container:
        tracks = [
            (stream.type, stream.language, stream.metadata.get("name"))
            for stream in container.streams
        ]
        assert container.streams[1].disposition & 1
        assert not container.streams[3].disposition & 1
    assert tracks == [
        ("audio", "ger", "Ton"),
        ("video", "und", None),
        ("audio", "jpn", None),
        ("video", "und", "Extra"),
    ]
    for stream in ("v:0", "v:1"):
        assert_same_frames(source, tagged, stream)
    assert read_spherical(tagged) == SphericalMetadata()


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("font.ttf", "application/x-truetype-font", "attachment"),
        ("notes.txt", "text/plain", "attachment"),
        ("cover.webp", "image/webp", "attachment"),
        ("cover.gif", "image/gif", "cover art"),
    ],
)
def test_attached_files_are_named(h264_mkv, tmp_path, name, kind, part):
    (tmp_path / name).write_bytes(b"not an image, but nobody has to know")
    if part == "cover art":
        run_ffmpeg(*PICTURE, "-frames:v", "1", tmp_path / name)
    source = tmp_path / "source.mkv"
    run_ffmpeg(
        *("-i", h264_mkv, "-c", "copy", "-attach", tmp_path / name),
        *("-metadata:s:t:0", f"mimetype={kind}", "-metadata:s:t:0", f"filename={name}", source),
    )
    assert (part, name, 2) in tag(source)[1]


@pytest.mark.parametrize(
    ("name", "kind"), [("cover.jpg", "image/jpeg"), ("cover.png", "image/png")]
)
def test_cover_art_is_kept(h264_mkv, tmp_path, name, kind):
    run_ffmpeg(*PICTURE, "-frames:v", "1", tmp_path / name)
    source = tmp_path / "source.mkv"
    run_ffmpeg(
        *("-i", h264_mkv, "-c", "copy", "-attach", tmp_path / name),
        *("-metadata:s:t:0", f"mimetype={kind}", "-metadata:s:t:0", f"filename={name}", source),
    )
    tagged, lost = tag(source)
    assert not [detail for part, detail, _ in lost if part != "tags"]
    assert list_packets(source, "v:1") == list_packets(tagged, "v:1")
    assert "attached pic" in describe_with_ffmpeg(tagged)
    assert (tmp_path / name).read_bytes() in tagged.read_bytes()


def test_data_tracks_and_program_names_are_named(h264_mkv, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"a telemetry record")
    source = tmp_path / "source.ts"
    run_ffmpeg(
        *("-i", h264_mkv, "-i", h264_mkv, "-f", "data", "-i", tmp_path / "data.bin"),
        *("-map", "0", "-map", "1", "-map", "2", "-c", "copy"),
        *("-program", "title=One:st=0:st=1:st=4", "-program", "title=Two:st=2:st=3", source),
    )
    tagged, lost = tag(source)
    assert {("programs", "One, Two", None)} <= lost
    assert [track for part, _, track in lost if part == "data"] == [2]
    for stream in ("v:0", "v:1"):
        assert_same_frames(source, tagged, stream)
    for stream in ("a:0", "a:1"):
        expected = list_packets(source, stream, "-bsf", "aac_adtstoasc")
        assert list_packets(tagged, stream) == expected


def test_an_omission_names_its_track():
    assert str(Omission("tags", "rating, mood")) == "tags (rating, mood)"
    assert str(Omission("data", "klv", 3)) == "track 3: data (klv)"
