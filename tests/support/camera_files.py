"""Files as two-lens cameras write them, with pictures of a known scene."""

import json
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from tests.support.two_lenses import show_gopro_tracks, show_through_lens

FPS = 10
PHASES = (0.0, 1.1, 2.2, 3.3)
"""Phase of the scene in each frame."""

GOPRO_SMALL = (184, 568, 8)  # 3K at a quarter: height, width, overlap
LENS_SIZE = 240
LENSES = (
    {
        "fov_deg": 197.0,
        "yaw_deg": 178.2,
        "pitch_deg": -2.4,
        "roll_deg": 3.1,
        "picture": [2880, 2880],
        "center": [1461.3, 1422.8],
        "radius": 1401.5,
        "k": [0.081, -0.022, 0.0031, -0.0004],
    },
    {
        "fov_deg": 200.0,
        "yaw_deg": -0.7,
        "pitch_deg": 1.9,
        "roll_deg": -91.2,
        "picture": [2880, 2880],
        "center": [1432.1, 1447.2],
        "radius": 1408.0,
        "k": [0.07, 0.004, -0.003, 0.0003],
    },
)
TRAILER = b"\0\0\0\x05GYRO" * 500  # reads as the length of a box

_BT709 = 1
_ENCODERS = {
    "libx265": {
        "crf": "4",
        "preset": "ultrafast",
        "x265-params": "log-level=none:pools=1:frame-threads=1:bframes=0:keyint=4",
    },
    "libx264": {"crf": "4", "preset": "ultrafast", "g": "4"},
}


def write_tracks(
    path: Path,
    tracks: Sequence[Sequence[NDArray[np.uint8]]],
    *,
    codec: str = "libx265",
    starts: Sequence[int] = (),
    steps: Sequence[int] = (),
    has_sound: bool = True,
    handler: str = "VideoHandler",
) -> Path:
    """Write an mp4 with sound between its video tracks.

    Args:
        path: the file; any suffix.
        tracks: frames of each video track.
        codec: the encoder.
        starts: number of the first frame of each track.
        steps: number of frames from one frame of a track to the next.
        has_sound: False for a file without sound.
        handler: name of the handler of video tracks.
    """
    with av.open(str(path), "w", format="mp4") as container:
        streams = []
        for number, frames in enumerate(tracks):
            if number == 1 and has_sound:
                sound = container.add_stream("aac", rate=48000, layout="mono")
            stream = container.add_stream(codec, rate=FPS, options=_ENCODERS[codec])
            stream.height, stream.width = frames[0].shape[:2]
            stream.pix_fmt, stream.metadata["handler_name"] = "yuv420p", handler
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = int(ColorRange.MPEG)
            context.time_base = Fraction(1, FPS)
            streams.append(stream)
        if len(tracks) == 1 and has_sound:
            sound = container.add_stream("aac", rate=48000, layout="mono")
        for number, (stream, frames) in enumerate(zip(streams, tracks, strict=True)):
            start = starts[number] if starts else 0
            step = steps[number] if steps else 1
            for count, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                    format="yuv420p",
                    dst_colorspace=Colorspace.ITU709,
                    dst_color_range=ColorRange.MPEG,
                )
                frame.pts = start + count * step
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if has_sound:
            _write_tone(container, sound, max(map(len, tracks)) / FPS)
    return path


def _write_tone(container, stream, seconds: float) -> None:
    samples = np.sin(np.arange(int(48000 * seconds)) * 0.05).astype(np.float32)[None]
    for start in range(0, samples.shape[1], 1024):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts = 48000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def append_trailer(path: Path, records: bytes = TRAILER) -> Path:
    """Append a trailer as Insta360 does: records, 32 bytes, length, version, magic."""
    size = len(records) + 72
    footer = bytes(32) + struct.pack("<II", size, 3) + b"8db42d694ccc418790edff439fe026bf"
    with path.open("ab") as file:
        file.write(records + footer)
    return path


@cache
def show_gopro(phases=PHASES, size=GOPRO_SMALL):
    """Return the frames of both tracks of a GoPro MAX."""
    pairs = [show_gopro_tracks(size[:2], size[2], phase) for phase in phases]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


@cache
def show_lenses(phases=PHASES, size=LENS_SIZE):
    """Return the frames of both lenses of `LENSES`, `_00_` first."""
    return [[show_through_lens(lens, (size, size), phase) for phase in phases] for lens in LENSES]


def write_lens_file(path: Path, lenses=LENSES) -> Path:
    path.write_text(json.dumps({"lenses": list(lenses)}))
    return path
