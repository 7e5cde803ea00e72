"""Video files of the world: one of any kind, the good ones, and one of every defect that a refresh must find."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

import av
import numpy as np

from argus.errors import InvalidInput
from argus.files import replace_atomically
from argus.media import tag_spherical, write_video
from argus.synth.clip_spec import ClipSpec
from argus.synth.part_mesh import tag_part
from argus.synth.video_kinds import VIDEO_KINDS, PART, VideoKind
from schemas.names import Layout, Reason

Codec = Literal["h264", "hevc", "vp9", "av1"]


@dataclass(frozen=True)
class SynthVideo:
    """A written file and the truth about it.

    `reasons` are those any one of which a drop may rightly give; empty where the video is kept as it is stored. A whole sphere in another layout may
    rightly be kept too, once converted. `also` are other right names of the layout; `cuts_s` the times of its shot boundaries. `tilt_deg` and
    `nadir_share` are as a `VideoKind`'s.
    """

    path: Path
    layout: Layout
    keep: bool
    reasons: frozenset[Reason] = frozenset()
    cuts_s: tuple[float, ...] = ()
    also: frozenset[Layout] = frozenset()
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
) -> SynthVideo:
    """Writes one mp4 of a kind (a name in `VIDEO_KINDS`). The same arguments show the same; in H.264 they are the same bytes.

    Args:
        seed: which world and path.
        height: rows of the whole ERP map, which other layouts are made from; a multiple of 4 from 16 on.
        tagged: declare the kind's layout in the file's metadata.
        crf: the codec's own scale, 0 .. 51 or 63.
        gop: the most frames between keyframes.
        threads: for rendering.

    Raises InvalidInput.
    """
    _require(kind, height, codec, tagged)
    path, what = Path(path), VIDEO_KINDS[kind]
    shot = ClipSpec(seed, max(2, round(seconds * fps)), Fraction(fps), height, threads)
    with replace_atomically(path) as whole:
        if what.frames is None:
            _write_audio(whole, seconds)
        else:
            if codec == "h264" and what.pixel_aspect == 1:
                write_video(whole, what.frames(shot), shot.fps, crf=crf, gop=gop)
            else:
                _encode(
                    whole,
                    what.frames(shot),
                    shot.fps,
                    what.pixel_aspect,
                    codec=codec,
                    crf=crf,
                    gop=gop,
                )
            if tagged:
                _tag(whole, what)
        if what.damage:
            whole.write_bytes(what.damage(whole.read_bytes()))
    every = shot.count // what.shots
    cuts = tuple(float(n * every / shot.fps) for n in range(1, what.shots))
    return SynthVideo(
        path,
        what.layout,
        not what.reasons,
        what.reasons,
        cuts,
        what.also,
        what.tilt_deg,
        what.nadir_share,
    )


def write_world_videos(
    folder: Path | str,
    *,
    seed: int = 0,
    count: int = 8,
    seconds: float = 4,
    fps: Fraction | int = 10,
    height: int = 128,
    threads: int = 1,
) -> list[SynthVideo]:
    """`count` good mono ERP videos (height × 2·height), each of another world, walking and driving in turn; every second one is tagged."""
    options: dict[str, Any] = {"seconds": seconds, "fps": fps, "height": height, "threads": threads}
    return [
        write_video_kind(
            Path(folder) / f"world_{seed + k:04d}.mp4",
            "drive" if k % 2 else "walk",
            seed=seed + k,
            tagged=not k % 2,
            **options,
        )
        for k in range(count)
    ]


_Entry = tuple[str, bool, int]
"""A kind, whether it is tagged, and how far its world is from the first seed."""

_NEGATIVES: tuple[_Entry, ...] = (
    *(
        ("stereo_tb", True, 0),
        ("stereo_tb", False, 1),
        ("stereo_sbs", True, 2),
        ("stereo_sbs_2to1", False, 3),
    ),
    *(("perspective_16x9", False, 4), ("perspective_2to1", False, 5)),
    *(
        ("cuts", False, 6),
        ("static", False, 9),
        ("half_black", True, 10),
        ("black", False, 9),
        ("fog", False, 11),
    ),
    *(("broken_seam", False, 12), ("too_short", False, 13), ("one_frame", False, 9)),
    *(
        ("corrupt", True, 14),
        ("corrupt_index", True, 14),
        ("truncated", True, 14),
        ("empty", False, 0),
        ("text", False, 0),
        ("audio_only", False, 0),
    ),
)
_LAYOUTS: tuple[_Entry, ...] = tuple(
    (name, tagged, number)
    for number, name in enumerate(
        (
            "vr180",
            "vr180_mono",
            "partial",
            "cubemap_3x2",
            "cubemap_v2",
            "cubemap_6x1",
            "eac",
            "dual_fisheye",
            "mono_erp_16x9",
            "stereo_tb_2to1",
        )
    )
    for tagged in (True, False)
    if VIDEO_KINDS[name].spherical or not tagged
)


def write_negatives(
    folder: Path | str,
    *,
    seed: int = 1000,
    seconds: float = 3,
    fps: Fraction | int = 10,
    height: int = 128,
    threads: int = 1,
) -> list[SynthVideo]:
    """One file of each defect, and one good video with cuts; the files' names say which is which."""
    return _write_set(Path(folder), _NEGATIVES, seed, seconds, Fraction(fps), height, threads)


def write_layouts(
    folder: Path | str,
    *,
    seed: int = 2000,
    seconds: float = 3,
    fps: Fraction | int = 10,
    height: int = 128,
    threads: int = 1,
) -> list[SynthVideo]:
    """A file of each way in which a sphere, or a part of it, is stored; those that metadata can declare with and without it."""
    return _write_set(Path(folder), _LAYOUTS, seed, seconds, Fraction(fps), height, threads)


def _write_set(
    folder: Path,
    entries: Sequence[_Entry],
    seed: int,
    seconds: float,
    fps: Fraction,
    height: int,
    threads: int,
) -> list[SynthVideo]:
    """A file for each entry; of a kind that is there both ways, the untagged one says so in its name."""
    both = {name for name, tagged, _ in entries if tagged} & {
        name for name, tagged, _ in entries if not tagged
    }
    options: dict[str, Any] = {"seconds": seconds, "fps": fps, "height": height, "threads": threads}
    return [
        write_video_kind(
            folder / f"{name}{'_untagged' * (name in both and not tagged)}.mp4",
            name,
            seed=seed + world,
            tagged=tagged,
            **options,
        )
        for name, tagged, world in entries
    ]


def _require(kind: str, height: int, codec: str, tagged: bool) -> None:
    if kind not in VIDEO_KINDS:
        raise InvalidInput(f"kind is '{kind}', but must be one of: {', '.join(VIDEO_KINDS)}")
    if codec not in get_args(Codec):
        raise InvalidInput(f"codec is '{codec}', but must be one of: {', '.join(get_args(Codec))}")
    if height < 16 or height % 4:
        raise InvalidInput(f"height is {height}, but must be a multiple of 4 from 16 on")
    if tagged and VIDEO_KINDS[kind].spherical is None:
        raise InvalidInput(f"no metadata declares '{kind}': leave it untagged")


def _tag(path: Path, what: VideoKind) -> None:
    assert what.spherical is not None
    if what.spherical.projection == "mesh":
        tag_part(path, PART)
    else:
        tag_spherical(path, path, what.spherical)


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
    """What `write_video` does not write: other codecs, other pixels."""
    name, options = {
        "h264": ("libx264", {"preset": "veryfast", "threads": "1", "g": f"{gop}"}),
        "hevc": ("libx265", {"x265-params": f"log-level=none:keyint={gop}:open-gop=0:pools=1"}),
        "vp9": ("libvpx-vp9", {"b": "0", "g": f"{gop}", "cpu-used": "8", "deadline": "realtime"}),
        "av1": ("libsvtav1", {"g": f"{gop}", "preset": "12", "svtav1-params": "lp=1"}),
    }[codec]
    os.environ.setdefault("SVT_LOG", "1")  # errors alone
    rest = iter(frames)
    first = next(rest)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(name, rate=fps, options={"crf": str(crf), **options})
        stream.width, stream.height, stream.pix_fmt = first.shape[1], first.shape[0], "yuv420p"
        stream.codec_context.sample_aspect_ratio = pixel_aspect
        for picture in chain([first], rest):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def _write_audio(path: Path, seconds: float) -> None:
    """An mp4 whose only stream is a tone."""
    rate = 44100
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        samples = (0.2 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(
            np.float32
        )
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + 1024], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
