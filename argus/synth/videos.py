"""Writer of synthetic video files: any kind, in any of four codecs, with ground truth."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Literal, get_args

import av
import numpy as np

from argus.errors import InvalidInput
from argus.files import replace_atomically
from argus.media import tag_spherical, write_video
from argus.synth.clip_spec import ClipSpec
from argus.synth.partial_mesh import tag_partial_mesh
from argus.synth.rooms import Room
from argus.synth.transforms import PARTIAL_BOUNDS
from argus.synth.video_kinds import VIDEO_KINDS, VideoKind
from schemas.names import Layout, Reason

Codec = Literal["h264", "hevc", "vp9", "av1"]
"""Video codec of a written file."""

_AUDIO_RATE_HZ, _TONE_HZ = 44100, 440


@dataclass(frozen=True)
class SynthVideo:
    """A written video file and its ground truth.

    Attributes:
        path: The file.
        layout: Correct layout.
        is_kept: True if curation should keep the video as stored. A whole sphere in another layout
            may also be kept after conversion.
        reasons: Acceptable reasons to drop it; empty if it is kept.
        cuts_s: Times of the shot boundaries in seconds.
        other_layouts: Further acceptable layouts.
        tilt_deg: As of `VideoKind`.
        nadir_share: As of `VideoKind`.
    """

    path: Path
    layout: Layout
    is_kept: bool
    reasons: frozenset[Reason] = frozenset()
    cuts_s: tuple[float, ...] = ()
    other_layouts: frozenset[Layout] = frozenset()
    tilt_deg: float | None = None
    nadir_share: float | None = None


def write_video_kind(
    path: Path | str,
    kind: str,
    *,
    seed: int = 0,
    seconds: float = 3,
    fps: Fraction | int = 10,
    height: int = 128,
    tagged: bool = False,
    codec: Codec = "h264",
    crf: int = 18,
    gop: int = 8,
    threads: int = 1,
    room: Room | None = None,
) -> SynthVideo:
    """Write one mp4 of a kind.

    The same arguments give the same frames, and in H.264 with square pixels the same bytes.

    Args:
        path: File to write.
        kind: Name of a kind in `VIDEO_KINDS`.
        seed: Seed of the world and the path.
        seconds: Duration; some kinds are shorter.
        fps: Frames per second.
        height: Rows of the whole ERP map, from which other layouts are made; a multiple of 4, at
            least 16.
        tagged: Declare the layout in the file's metadata.
        codec: Video codec.
        crf: Constant rate factor on the codec's scale: 0 .. 51 (H.264, HEVC) or 63.
        gop: Maximum number of frames between keyframes.
        threads: Number of rendering threads.
        room: Room that is filmed instead of the city.

    Raises:
        InvalidInput: An argument is out of range, or no metadata can declare the kind.
    """
    _check_arguments(kind, height, codec, tagged)
    path, video_kind = Path(path), VIDEO_KINDS[kind]
    spec = ClipSpec(seed, max(2, round(seconds * fps)), Fraction(fps), height, threads, room)
    with replace_atomically(path) as partial:
        if video_kind.render is None:
            _write_audio(partial, seconds)
        else:
            _write_frames(partial, video_kind, spec, codec=codec, crf=crf, gop=gop)
            if tagged:
                _tag(partial, video_kind)
        if video_kind.damage:
            partial.write_bytes(video_kind.damage(partial.read_bytes()))
    shot_frames = spec.count // video_kind.shots
    return SynthVideo(
        path,
        video_kind.layout,
        not video_kind.reasons,
        video_kind.reasons,
        tuple(float(n * shot_frames / spec.fps) for n in range(1, video_kind.shots)),
        video_kind.other_layouts,
        video_kind.tilt_deg,
        video_kind.nadir_share,
    )


def _check_arguments(kind: str, height: int, codec: str, tagged: bool) -> None:
    if kind not in VIDEO_KINDS:
        raise InvalidInput(f"kind is '{kind}', but must be one of: {', '.join(VIDEO_KINDS)}")
    if codec not in get_args(Codec):
        raise InvalidInput(f"codec is '{codec}', but must be one of: {', '.join(get_args(Codec))}")
    if height < 16 or height % 4:
        raise InvalidInput(f"height is {height}, but must be a multiple of 4 and at least 16")
    if tagged and VIDEO_KINDS[kind].spherical is None:
        raise InvalidInput(f"no metadata can declare the kind '{kind}'; set tagged=False")


def _tag(path: Path, video_kind: VideoKind) -> None:
    assert video_kind.spherical is not None
    if video_kind.spherical.projection == "mesh":
        tag_partial_mesh(path, PARTIAL_BOUNDS)
    else:
        tag_spherical(path, path, video_kind.spherical)


def _write_frames(
    path: Path, video_kind: VideoKind, spec: ClipSpec, *, codec: Codec, crf: int, gop: int
) -> None:
    """Write frames with `write_video` if it supports their codec and pixels."""
    assert video_kind.render is not None
    frames = video_kind.render(spec)
    if codec == "h264" and video_kind.pixel_aspect == 1:
        write_video(path, frames, spec.fps, crf=crf, gop=gop)
    else:
        _encode(path, frames, spec.fps, video_kind.pixel_aspect, codec=codec, crf=crf, gop=gop)


def _encode(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    pixel_aspect: Fraction,
    *,
    codec: Codec,
    crf: int,
    gop: int,
) -> None:
    """Encode frames in any codec, with any pixel aspect ratio."""
    encoder, options = {
        "h264": ("libx264", {"preset": "veryfast", "threads": "1", "g": f"{gop}"}),
        "hevc": ("libx265", {"x265-params": f"log-level=none:keyint={gop}:open-gop=0:pools=1"}),
        "vp9": ("libvpx-vp9", {"b": "0", "g": f"{gop}", "cpu-used": "8", "deadline": "realtime"}),
        "av1": ("libsvtav1", {"g": f"{gop}", "preset": "12", "svtav1-params": "lp=1"}),
    }[codec]
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 logs only errors
    rest = iter(frames)
    first = next(rest)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(encoder, rate=fps, options={"crf": str(crf), **options})
        stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        for picture in chain([first], rest):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _write_audio(path: Path, seconds: float) -> None:
    """Write an mp4 whose only stream is a tone."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=_AUDIO_RATE_HZ, layout="mono")
        sample_index = np.arange(round(seconds * _AUDIO_RATE_HZ))
        samples = 0.2 * np.sin(2 * np.pi * _TONE_HZ * sample_index / _AUDIO_RATE_HZ)
        samples = samples.astype(np.float32)
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + 1024], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = _AUDIO_RATE_HZ, start
            frame.time_base = Fraction(1, _AUDIO_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
