"""Small videos of every codec and container, whose frames show their own number."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from argus.media import open_video

FRAMES, HEIGHT, WIDTH = 40, 96, 160
FPS = Fraction(30000, 1001)
BITS = 8

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": ("libx264", {"crf": "10", "g": "12"}),
    "hevc": ("libx265", {"crf": "10", "x265-params": "log-level=none:keyint=12:open-gop=0"}),
    "openhevc": ("libx265", {"crf": "10", "x265-params": "log-level=none:keyint=12:open-gop=1"}),
    "openh264": ("libx264", {"crf": "10", "x264-params": "keyint=12:open-gop=1"}),
    "vp8": (
        "libvpx",
        {
            "crf": "4",
            "b": "4M",
            "g": "12",
            "auto-alt-ref": "1",
            "lag-in-frames": "8",
            "deadline": "realtime",
        },
    ),
    "vp9": (
        "libvpx-vp9",
        {"crf": "10", "b": "0", "g": "12", "cpu-used": "8", "deadline": "realtime"},
    ),
    "av1": ("libsvtav1", {"crf": "20", "g": "12", "preset": "12", "svtav1-params": "lp=1"}),
}
FILES = [
    *("h264.mp4", "h264.mkv", "h264.ts", "openh264.mp4", "openh264.ts"),
    *("hevc.mp4", "hevc.mkv", "openhevc.mp4"),
    *("vp8.webm", "vp9.webm", "vp9.mp4", "av1.mp4", "av1.webm"),
]
DECORD_FILES = ["h264.mp4", "h264.mkv", "hevc.mp4", "hevc.mkv", "vp9.webm", "vp9.mp4"]


def read_frames(path: Path) -> NDArray[np.uint8]:
    """Return all frames of a video, uint8 [T, H, W, 3]."""
    with open_video(path) as reader:
        return reader.frames(range(len(reader)))


def numbered_frames(
    count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH
) -> NDArray[np.uint8]:
    """Return frames that show their number in binary above a smooth color gradient.

    The upper half has one black or white block per bit. Returns uint8 [count, H, W, 3].
    """
    frames = np.empty((count, height, width, 3), np.uint8)
    rows, columns = np.mgrid[0:height, 0:width]
    for number, frame in enumerate(frames):
        frame[..., 0] = 60 + 120 * columns / width
        frame[..., 1] = 60 + 120 * rows / height
        frame[..., 2] = 60 + 120 * number / count
        bits = (number >> np.arange(BITS)) & 1
        frame[: height // 2] = (20 + 210 * bits[np.arange(width) * BITS // width])[None, :, None]
    return frames


def read_frame_numbers(frames: NDArray[np.uint8]) -> list[int]:
    """Return the number that each frame of `numbered_frames` shows."""
    upper = frames[:, frames.shape[1] // 8 : frames.shape[1] * 3 // 8].mean((1, 3))  # [n, W]
    blocks = np.stack(
        [
            block[:, block.shape[1] // 4 : -block.shape[1] // 4].mean(1)
            for block in np.array_split(upper, BITS, axis=1)
        ],
        1,
    )
    return ((blocks > 125) @ (1 << np.arange(BITS))).tolist()


def encode_video(
    path: Path,
    codec: str,
    frames: NDArray[np.uint8],
    *,
    times: list[int] | None = None,
    rotation: int = 0,
    pixel_aspect: Fraction | None = None,
) -> Path:
    """Encode a video with PyAV; `times` in units of 1/90 s make its rate variable."""
    encoder, options = ENCODERS[codec]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 90) if times else 1 / FPS
        if pixel_aspect:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = times[number] if times else number
            frame.time_base = stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_patches(path: Path, yuv: NDArray[np.integer], pix_fmt: str, matrix: int) -> Path:
    """Encode one lossless frame of flat patches, 16 pixels wide.

    Args:
        path: the file to write.
        yuv: uint8 [3, rows, columns] values of the patches.
        pix_fmt: FFmpeg's pixel format.
        matrix: FFmpeg's AVColorSpace.
    """
    luma, *chroma = (
        np.kron(plane, np.ones((size, size))).astype(np.uint8)
        for plane, size in zip(yuv, (16, 8, 8), strict=True)
    )
    height, width = luma.shape
    planes = np.concatenate([luma.ravel(), *(plane.ravel() for plane in chroma)]).reshape(
        height * 3 // 2, width
    )
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.colorspace = matrix
        frame = av.VideoFrame.from_ndarray(planes, format=pix_fmt)
        frame.pts, frame.colorspace = 0, matrix
        frame.color_range = 2 if pix_fmt == "yuvj420p" else 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def yuv_to_rgb(
    yuv: NDArray[np.integer], weights: tuple[float, float], *, is_full_range: bool
) -> NDArray[np.float64]:
    """Convert by the definition of the matrices (Rec. ITU-R BT.601 and BT.709).

    Args:
        yuv: uint8 [3, rows, columns].
        weights: the matrix's K_R and K_B.
        is_full_range: True for 0 .. 255, False for 16 .. 235 and 16 .. 240.

    Returns:
        R'G'B' in 0 .. 255, [rows, columns, 3].
    """
    low, high, swing = (0, 255, 255) if is_full_range else (16, 235, 224)
    y, cb, cr = (yuv[0] - low) / (high - low), (yuv[1] - 128) / swing, (yuv[2] - 128) / swing
    k_red, k_blue = weights
    red, blue = y + 2 * (1 - k_red) * cr, y + 2 * (1 - k_blue) * cb
    green = (y - k_red * red - k_blue * blue) / (1 - k_red - k_blue)
    return 255 * np.stack([red, green, blue], -1)


def write_audio_only(path: Path) -> Path:
    """Write a tenth of a second of audio without a video stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def copy_video_packets(source: Path, path: Path, **options: str) -> Path:
    """Copy the video packets of an mp4 into another one, with the given muxer options."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return path
