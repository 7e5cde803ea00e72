"""Remuxing of any container into an mp4, without re-encoding, by the bundled ffmpeg program."""

import errno
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np

from argus.errors import ArgusError, VideoError
from argus.media import errors
from argus.media.info import UNDECLARED_COLOR
from argus.media.mp4.boxes import is_mp4
from argus.media.mp4.copy_plan import (
    KEPT_DISPOSITIONS,
    PROBE_OPTIONS,
    RAW_CONTAINERS,
    FileContents,
    Omission,
    SourceStream,
    plan_copy,
    read_contents,
)
from argus.media.mp4.patches import (
    PLACEHOLDER_COLOR,
    TrackPatch,
    patch_tracks,
)
from argus.media.packet_times import NO_TIME
from argus.media.probing import OPEN_OPTIONS, open_container
from schemas.names import Reason

_TIME_TOLERANCE_S = 1.5e-3  # Matroska and FLV round to milliseconds
_OS_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM}
_MAX_LOG_BYTES = 4096


@dataclass
class _TimedCopy:
    """A video stream in a file of its own, with all times; `start_s` of the source is its 0."""

    path: Path
    start_s: Fraction = Fraction(0)


def remux(src: Path, dst: Path) -> tuple[Omission, ...]:
    """Copy a video of any container into an mp4, packet by packet.

    All tracks, chapters and tags that an mp4 can hold are copied; text subtitles become mov_text.
    HEVC is marked `hvc1`, as Apple's players want it. Where timestamps restart, as in joined
    transport streams, they are continued. Spherical metadata is not copied; `tag_spherical` writes
    it.

    Args:
        src: the video.
        dst: the mp4 to write.

    Returns:
        What the copy does not hold.

    Raises:
        VideoError: with the reasons of `probe`; UNSUPPORTED_CODEC also if an mp4 cannot hold a
            video or audio track.
        OSError: the mp4 cannot be written.
    """
    contents = read_contents(src)
    copied, omissions = plan_copy(contents, str(src))
    timed: dict[int, _TimedCopy] = {}
    try:
        for stream in copied:
            if stream.lacks_times or _is_disordered(stream):
                path = dst.with_suffix(f".{stream.number}.mp4")
                timed[stream.number] = _TimedCopy(path)
                timed[stream.number].start_s = _restore_times(src, contents, stream.number, path)
        _run_ffmpeg(_build_arguments(contents, copied, timed, src, dst), src, dst)
    finally:
        for copy in timed.values():
            copy.path.unlink(missing_ok=True)
    patches = (
        TrackPatch(stream.color[:3], _compute_early_s(stream))
        for stream in copied
        if not stream.is_picture
    )
    patch_tracks(dst, list(patches))
    _require_all_packets(contents, copied, src, dst)
    return (*omissions, *_list_programs(contents, src))


def list_omissions(src: Path) -> tuple[Omission, ...]:
    """Return what `tag_spherical` would leave out, without writing; nothing for an mp4 or mov.

    Raises the errors of `remux`.
    """
    if is_mp4(src):
        return ()
    contents = read_contents(src)
    return (*plan_copy(contents, str(src))[1], *_list_programs(contents, src))


def _list_programs(contents: FileContents, src: Path) -> list[Omission]:
    """Return the names of a transport stream's programs as an omission: PyAV does not read them."""
    if contents.container != "mpegts":
        return []
    command = [_find_ffmpeg(), "-hide_banner", "-nostdin", *_input_arguments(src)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    names = re.findall(r"(?m)^ +service_name *: (.*)$", done.stderr.decode(errors="replace"))
    return [Omission("programs", ", ".join(names))] if names else []


def _find_ffmpeg() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as exc:
        raise ArgusError(
            "there is no ffmpeg program, which converts other containers to mp4; install a wheel "
            "of imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to the path of an ffmpeg program"
        ) from exc


def _compute_early_s(stream: SourceStream) -> Fraction:
    """Return by how many seconds frames are shown before the first one that is stored."""
    if stream.kind != "video" or stream.is_picture or stream.lacks_times:
        return Fraction(0)
    return stream.times.first_s - stream.times.start_s


def _input_arguments(src: Path, start_s: Fraction = Fraction(0)) -> Iterator[str | bytes]:
    """Yield the options for an input whose time `start_s`, in seconds, becomes 0."""
    for name, value in (OPEN_OPTIONS | PROBE_OPTIONS).items():
        yield from (f"-{name}", value)
    yield from ("-fflags", "+genpts")  # as PyAV: MPEG program streams leave times out
    yield from ("-itsoffset", repr(-float(start_s)), "-i", b"file:" + os.fsencode(src.absolute()))


def _build_arguments(
    contents: FileContents,
    copied: list[SourceStream],
    timed: dict[int, _TimedCopy],
    src: Path,
    dst: Path,
) -> list[str | bytes]:
    """Return ffmpeg's arguments.

    Args:
        contents: of the source.
        copied: its streams that an mp4 can hold.
        timed: copies with all times of some of them, by number.
        src: the source.
        dst: the mp4.
    """
    # -copyts: times are corrected here; -copyinkf: frames before the first keyframe are kept too
    arguments: list[str | bytes] = ["-v", "error", "-nostdin", "-y", "-copyts"]
    leads = [
        _compute_early_s(stream) - stream.times.first_s + contents.start_s
        for stream in copied
        if _compute_early_s(stream)
    ]
    start_s = contents.start_s - max([Fraction(0), *leads])
    arguments += _input_arguments(src, start_s)
    for number, copy in timed.items():
        lacks_times = contents.streams[number].lacks_times
        arguments += _input_arguments(copy.path, (0 if lacks_times else start_s) - copy.start_s)
    files = list(timed)
    has_default = any(
        stream.kind == "video" and "default" in stream.dispositions for stream in copied
    )
    for output, stream in enumerate(copied):
        is_timed = stream.number in timed
        source = f"{1 + files.index(stream.number)}:0" if is_timed else f"0:{stream.number}"
        arguments += ["-map", source, *_stream_arguments(output, stream)]
        flags = stream.dispositions & KEPT_DISPOSITIONS
        if stream.number == contents.main and not has_default:
            flags |= {"default"}  # else the first video track of the mp4 becomes it
        arguments += [f"-disposition:{output}", "+".join(sorted(flags)) or "0"]
        if not is_timed and (expression := _correct_times(contents, stream)):
            arguments += [f"-bsf:{output}", expression]
    for name, source_name in {"creation_time": "creation_time", "encoding_tool": "encoder"}.items():
        if source_name in contents.tags:
            arguments += ["-metadata", f"{name}={contents.tags[source_name]}"]
    # experimental: Dolby Vision, TrueHD
    arguments += ["-map_metadata", "0", "-copyinkf", "-strict", "experimental"]
    arguments += ["-movflags", "+faststart", "-fflags", "+bitexact", "-f", "mp4"]
    return [*arguments, b"file:" + os.fsencode(dst.absolute())]


def _stream_arguments(output: int, stream: SourceStream) -> Iterator[str]:
    """Yield the options for a stream of the mp4, `output` being its number there."""
    is_converted = stream.is_text and stream.codec != "ttml"
    yield from (f"-c:{output}", "mov_text" if is_converted else "copy")
    if stream.codec == "hevc":
        yield from (f"-tag:{output}", "hvc1")
    if _is_partly_declared(stream.color):
        names = ("color_primaries", "color_trc", "colorspace")
        for name, number in zip(names, stream.color, strict=False):
            yield from (
                f"-{name}:{output}",
                str(PLACEHOLDER_COLOR if number == UNDECLARED_COLOR else number),
            )
    if "creation_time" in stream.tags:  # the only tag that ffmpeg does not copy
        yield from (f"-metadata:s:{output}", f"creation_time={stream.tags['creation_time']}")


def _correct_times(contents: FileContents, stream: SourceStream) -> str:
    """Return the bitstream filter that completes the times of a stream; empty if all are right."""
    shift = "".join(
        f"+gte(N,{start})*{float(offset)!r}/TB" for start, offset in contents.list_offsets(stream)
    )
    dts = f"DTS{shift}"
    if stream.kind == "video":
        for number, delay in reversed(list(enumerate(stream.times.list_delays()))):
            dts = f"if(eq(N,{number}),PTS{shift}-{float(delay)!r}/TB,{dts})"
    return f"setts=pts='PTS{shift}':dts='{dts}'" if dts != "DTS" else ""  # codespell:ignore setts


def _is_disordered(stream: SourceStream) -> bool:
    has_all_times = NO_TIME not in stream.times.pts
    is_video = stream.kind == "video" and not stream.is_picture
    return is_video and stream.times.is_disordered and has_all_times


def _restore_times(src: Path, contents: FileContents, number: int, dst: Path) -> Fraction:
    """Copy a video stream to an mp4 with the times at which its frames are decoded and shown.

    AVI and raw streams store the frames in the order of decoding, without the times of showing. The
    order of showing is found by decoding. The times of decoding are those of showing, in order.

    Returns:
        The time in the source, in seconds, at which the mp4 begins: it has no edit list, which
        would hide frames.

    Raises:
        VideoError: CORRUPT: not every packet gives one frame.
    """
    source = contents.streams[number]
    shown = _find_shown_times(src, number) if source.lacks_times else list(source.times.pts)
    for start, offset in contents.list_offsets(source):
        shift = round(offset / source.times.time_base)
        shown[start:] = [time + shift for time in shown[start:]]
    decoded = sorted(shown)
    for index in range(1, len(decoded)):  # times may repeat
        decoded[index] = max(decoded[index], decoded[index - 1] + 1)
    delay = max(time - late for time, late in zip(decoded, shown, strict=True))
    begin = decoded[0] - delay
    options = {"use_editlist": "0"}
    with (
        open_container(src, decode=True) as old,
        av.open(str(dst), "w", format="mp4", options=options) as new,
    ):
        stream = old.streams[number]
        copy = new.add_stream_from_template(stream, opaque=True)
        copy.metadata.update(stream.metadata)
        copy.time_base = time_base = _find_time_base(stream)
        packets = (packet for packet in old.demux(stream) if packet.size)
        for index, packet in enumerate(packets):
            packet.pts, packet.dts = shown[index] - begin, decoded[index] - decoded[0]
            packet.duration = packet.duration if time_base == stream.time_base else 1
            packet.stream, packet.time_base = copy, time_base
            new.mux(packet)
    return (begin - (min(shown) if source.lacks_times else 0)) * time_base


def _find_shown_times(src: Path, number: int) -> list[int]:
    """Return when the frame of each packet is shown, in units of `_find_time_base`.

    They are the decoding times, in the order in which a decoder returns the frames.
    """
    times: list[int] = []
    order: list[int] = []
    with errors.map_decode_errors(str(src)), open_container(src, decode=True) as container:
        for packet in container.demux(container.streams[number]):
            if packet.size:
                packet.pts = len(times)
                times.append(packet.pts if packet.dts is None else packet.dts)
                packet.dts = packet.pts
            order += [frame.pts for frame in packet.decode()]
    if sorted(order) != list(range(len(times))):
        detail = f"{len(times)} packets give {len(order)} frames, which cannot be put in order"
        raise errors.corrupt_error(str(src), detail)
    shown = dict(zip(order, sorted(times), strict=True))
    return [shown[packet] for packet in range(len(times))]


def _find_time_base(stream: Any) -> Fraction:
    """Return the unit of decoding times; a raw stream has none, only a frame rate."""
    is_raw = stream.container.format.name in RAW_CONTAINERS
    return Fraction(1 / stream.guessed_rate if is_raw else stream.time_base)


def _run_ffmpeg(arguments: list[str | bytes], src: Path, dst: Path) -> None:
    """Run ffmpeg without a shell.

    Raises:
        OSError: the mp4 cannot be written.
        VideoError: CORRUPT, or DECODER_CRASHED.
    """
    with tempfile.TemporaryFile() as log:
        command = [_find_ffmpeg(), *arguments]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stderr=log,
            check=False,
            restore_signals=False,  # a limit on the size of files is an error, not a signal
        )
        log.seek(max(0, log.seek(0, os.SEEK_END) - _MAX_LOG_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()
    if done.returncode == 0:
        return
    if done.returncode < 0:
        cause = signal.Signals(-done.returncode).name
        raise VideoError(
            Reason.DECODER_CRASHED,
            f"{src}: ffmpeg was ended by {cause} while copying it; "
            "try again with more free memory, or export it again",
        )
    number = 256 - done.returncode  # ffmpeg exits with the low byte of a negative error number
    if number in _OS_ERRORS:
        raise OSError(number, os.strerror(number), str(dst))
    detail = lines[-1] if lines else f"ffmpeg's exit status is {done.returncode}"
    raise errors.corrupt_error(str(src), f"its packets cannot be copied to an mp4: {detail}")


def _is_partly_declared(color: tuple[int, ...]) -> bool:
    """Return True for a color that ffmpeg does not write, because a part of it is unknown."""
    *names, sample_range = color or (0,)
    is_any_known = sample_range > 0 or any(number != UNDECLARED_COLOR for number in names)
    return is_any_known and UNDECLARED_COLOR in names


def _require_all_packets(
    contents: FileContents, copied: list[SourceStream], src: Path, dst: Path
) -> None:
    """Raise VideoError(CORRUPT) if the mp4 lacks packets of video or audio, or shows others' times.

    PCM samples are grouped otherwise in an mp4, so their bytes are counted.
    """
    streams = read_contents(dst).streams
    copies = [stream for stream in streams if not stream.is_picture]  # cover art is at the end
    sources = [stream for stream in copied if not stream.is_picture]
    for source, copy in zip(sources, copies, strict=False):  # chapters are a further track
        is_pcm = source.codec.startswith("pcm_")
        is_whole = source.size == copy.size if is_pcm else source.packets == copy.packets
        is_shown = copy.discarded <= source.discarded
        if source.kind != "subtitle" and not (is_whole and is_shown):
            count = copy.packets - copy.discarded
            detail = f"only {count} of {source.packets} packets of track {source.number}"
            raise errors.corrupt_error(str(src), f"{detail} can be copied to an mp4")
        if source.kind == "video" and not source.lacks_times:
            _require_equal_times(contents, source, copy, src)


def _require_equal_times(
    contents: FileContents, source: SourceStream, copy: SourceStream, src: Path
) -> None:
    expected, found = source.times.to_seconds(), copy.times.to_seconds()
    for start, offset in contents.list_offsets(source):
        expected[start:] += float(offset)
    difference = (found - found[0]) - (expected - expected[0])
    if np.nanmax(np.abs(difference)) > _TIME_TOLERANCE_S:
        detail = f"the times of track {source.number} cannot be copied to an mp4"
        raise errors.corrupt_error(str(src), detail)
