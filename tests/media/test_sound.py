"""Sound that is copied into a written video: all packets of its span, in step with the frames."""

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import SoundSource, SphericalMetadata, open_video, probe, write_video

FPS = Fraction(10)
CLICK_S = 1.0
PICTURE = "testsrc2=s=64x48:r=10:d=2"
CLICK = f"aevalsrc='if(between(t,{CLICK_S},{CLICK_S}+0.01),0.8,0)':s=48000:d=2"


def make_source(path: Path, *options: str, sound: str = CLICK) -> Path:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", PICTURE]
    command += ["-f", "lavfi", "-i", sound, "-map", "0", "-map", "1", "-c:v", "libx264"]
    subprocess.run([*command, *options, str(path)], check=True)
    return path


def write_with_sound(source: Path, path: Path, start_s: float = 0.0, count: int = 20):
    frames = [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(count)]
    sound = SoundSource(source, start_s)
    return write_video(path, iter(frames), FPS, spherical=SphericalMetadata(), sound=sound)


def read_packets(path: Path, start_s: float = 0.0, end_s: float = 1e9):
    """Return the bytes of the audio packets that begin in a span, by track."""
    with av.open(str(path)) as container:
        tracks: dict[int, list[bytes]] = {stream.index: [] for stream in container.streams.audio}
        for packet in container.demux(*container.streams.audio):
            if packet.size and start_s <= float(packet.pts * packet.time_base) < end_s:
                tracks[packet.stream_index].append(bytes(packet))
    return list(tracks.values())


def find_click(path: Path) -> float:
    """Return the time of the loudest sample in seconds since the first frame of the video."""
    with av.open(str(path)) as container:
        times, levels = [], []
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float)).reshape(-1)
            times.append(float(frame.pts * frame.time_base) + samples.argmax() / frame.sample_rate)
            levels.append(samples.max())
    return times[int(np.argmax(levels))] - probe(path).start_s


SOURCES = {
    "aac.mp4": ["-c:a", "aac"],
    "opus.mkv": ["-c:a", "libopus"],
    "mp3.ts": ["-c:a", "libmp3lame"],
    "aac.ts": ["-c:a", "aac"],
    "flac.mkv": ["-c:a", "flac"],
    "pcm.mov": ["-c:a", "pcm_s16le"],
    "ac3.mkv": ["-c:a", "ac3"],
}


@pytest.mark.parametrize("name", SOURCES)
def test_packets_are_copied_in_step(name, tmp_path):
    source = make_source(tmp_path / name, *SOURCES[name])
    written = tmp_path / "written.mp4"
    assert write_with_sound(source, written, probe(source).start_s) == ()
    info = probe(written)
    assert [track.kind for track in info.tracks] == ["video", "audio"]
    assert (info.frames, info.start_s) == (20, 0)
    assert abs(find_click(written) - CLICK_S) < 0.03
    assert abs(find_click(written) - find_click(source)) < 0.002
    if name != "aac.ts":  # an mp4 stores AAC without the ADTS headers
        kept, original = read_packets(written)[0], read_packets(source)[0]
        first = original.index(kept[0])
        assert kept == original[first : first + len(kept)]
        assert len(original) - len(kept) <= 3


@pytest.mark.parametrize("start_s", [0.5, 0.73])
def test_a_later_start_shifts_the_sound(start_s, tmp_path):
    source = make_source(tmp_path / "source.mp4", "-c:a", "aac")
    written = tmp_path / "written.mp4"
    write_with_sound(source, written, start_s, count=10)
    assert abs(find_click(written) - (CLICK_S - start_s)) < 0.002
    kept = read_packets(written)[0]
    assert abs(len(kept) - 48000 / 1024) <= 3


def test_sound_that_begins_later_stays_later(tmp_path):
    source = make_source(tmp_path / "source.mkv", "-c:a", "flac", sound=f"{CLICK},adelay=0")
    late = tmp_path / "late.mkv"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(source)]
    command += ["-itsoffset", "0.4", "-i", str(source), "-map", "0:v", "-map", "1:a"]
    subprocess.run([*command, "-c", "copy", str(late)], check=True)
    written = tmp_path / "written.mp4"
    write_with_sound(late, written)
    assert abs(find_click(written) - CLICK_S - 0.4) < 0.002


def test_sound_ends_with_the_video(tmp_path):
    source = make_source(tmp_path / "source.mp4", "-c:a", "aac")
    written = tmp_path / "written.mp4"
    write_with_sound(source, written, count=7)
    kept = read_packets(written)[0]
    assert kept == read_packets(source, end_s=0.7)[0]


def test_all_tracks_are_copied_with_their_languages(tmp_path):
    options = ["-map", "1", "-c:a:0", "aac", "-c:a:1", "libopus"]
    languages = ["-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra"]
    source = make_source(tmp_path / "source.mkv", *options, *languages)
    written = tmp_path / "written.mp4"
    assert write_with_sound(source, written) == ()
    tracks = probe(written).tracks[1:]
    assert [(track.codec, track.language) for track in tracks] == [("aac", "deu"), ("opus", "fra")]


@pytest.mark.parametrize("codec", ["pcm_alaw", "wmav2", "adpcm_ima_wav"])
def test_sound_that_an_mp4_cannot_hold_is_named(codec, tmp_path):
    source = make_source(tmp_path / "source.mkv", "-map", "1", "-c:a:0", codec, "-c:a:1", "aac")
    written = tmp_path / "written.mp4"
    (omission,) = write_with_sound(source, written)
    assert (omission.part, omission.detail, omission.track) == ("sound", codec, 1)
    assert [track.codec for track in probe(written).tracks] == ["h264", "aac"]


def test_a_source_without_sound_gives_a_silent_video(tmp_path):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", PICTURE]
    silent = tmp_path / "silent.mp4"
    subprocess.run([*command, str(silent)], check=True)
    written, plain = tmp_path / "written.mp4", tmp_path / "plain.mp4"
    assert write_with_sound(silent, written) == ()
    frames = [np.full((48, 64, 3), 10 * number, np.uint8) for number in range(20)]
    write_video(plain, frames, FPS, spherical=SphericalMetadata())
    assert written.read_bytes() == plain.read_bytes()


def test_frames_and_bytes_are_the_same_with_sound(tmp_path):
    source = make_source(tmp_path / "source.mp4", "-c:a", "aac")
    written, again, silent = (tmp_path / f"{name}.mp4" for name in ("one", "two", "silent"))
    write_with_sound(source, written)
    write_with_sound(source, again)
    assert written.read_bytes() == again.read_bytes()
    write_video(silent, [np.full((48, 64, 3), 10 * n, np.uint8) for n in range(20)], FPS)
    with open_video(written) as one, open_video(silent) as other:
        np.testing.assert_array_equal(one.frames(range(20)), other.frames(range(20)))


def test_a_source_that_is_no_video_writes_nothing(tmp_path):
    source = tmp_path / "source.mp4"
    source.write_bytes(b"no video at all" * 100)
    with pytest.raises(VideoError):
        write_with_sound(source, tmp_path / "written.mp4")
    assert list(tmp_path.iterdir()) == [source]
