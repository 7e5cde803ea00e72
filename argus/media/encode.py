"""Deterministic H.264 encoder: equal frames give equal bytes."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray

from argus.errors import InvalidInput
from argus.files import replace_atomically
from argus.media.info import SphericalMetadata
from argus.media.mp4.copy_plan import Omission
from argus.media.mp4.tagging import tag_spherical
from argus.media.sound import SoundCopier, SoundSource

# At CRF 18 and short groups: the size of "medium" at 0.4 dB less, in less than half the time.
_PRESET = "veryfast"
# x264's macroblock tree reads uninitialized memory if a frame is not a multiple of 8 blocks wide,
# so the bytes would differ between runs.
_DETERMINISTIC = {"mbtree": "0"}
# The same results on every processor.
_INTERPOLATION = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INP
)
_BT709 = 1  # FFmpeg's number for the matrix, the primaries and the transfer function alike
_STRIP_SEI = "filter_units=remove_types=6"  # x264 writes its version there; decoders ignore it


def write_video(
    path: Path | str,
    frames: Iterable[NDArray[np.uint8]] | NDArray[np.uint8],
    fps: Fraction | int,
    *,
    crf: int = 18,
    gop: int = 8,
    spherical: SphericalMetadata | None = None,
    sound: SoundSource | None = None,
    threads: int = 1,
) -> tuple[Omission, ...]:
    """Write an mp4 (H.264, yuv420p in BT.709, faststart) atomically.

    Only a few frames are in memory at a time.

    Args:
        path: the file; replaced if it exists.
        frames: uint8 [H, W, 3] RGB frames, all of one even height and width.
        fps: exact frames per second; a float is rejected.
        crf: x264's constant rate factor, 0 (lossless in yuv420p) .. 51.
        gop: maximum number of frames from one keyframe to the next.
        spherical: spherical metadata to declare; None for an ordinary video.
        sound: a file whose audio tracks are copied, from the video's start to its end; None for
            a silent video.
        threads: number of encoder threads; the bytes depend on it.

    Returns:
        The audio tracks that an mp4 cannot hold and that were left out.

    Raises:
        InvalidInput: there are no frames, their size is odd or changes, their type is wrong, or
            the rate is not a positive rational number.
        VideoError: the file with the sound cannot be read.
    """
    options: dict[str, Any] = {"crf": crf, "gop": gop, "sound": sound, "threads": threads}
    with replace_atomically(Path(path)) as partial:
        return _write(partial, frames, fps, spherical, **options)


def encode_clip(
    frames: NDArray[np.uint8],
    fps: Fraction | int,
    *,
    crf: int = 18,
    gop: int = 8,
    spherical: SphericalMetadata | None = None,
) -> bytes:
    """Return the bytes of an mp4 as `write_video` writes it with one thread.

    Args:
        frames: uint8 [T, H, W, 3] RGB, of even height and width.
        fps: exact frames per second.
        crf: x264's constant rate factor, 0 .. 51.
        gop: maximum number of frames from one keyframe to the next.
        spherical: spherical metadata to declare; None for an ordinary video.

    Returns:
        The file; equal frames give equal bytes.

    Raises:
        InvalidInput: as `write_video`.
    """
    with tempfile.TemporaryDirectory() as folder:  # faststart reads the file back
        path = Path(folder) / "clip.mp4"
        _write(path, frames, fps, spherical, crf=crf, gop=gop, sound=None, threads=1)
        return path.read_bytes()


def _write(
    path: Path,
    frames: Iterable[NDArray[np.uint8]] | NDArray[np.uint8],
    fps: Fraction | int,
    spherical: SphericalMetadata | None,
    **options: Any,
) -> tuple[Omission, ...]:
    """Encode a video, and tag it; an error may leave a part."""
    if spherical is None:
        return _encode(path, frames, fps, **options)
    untagged = path.with_suffix(".plain" + path.suffix)
    omissions = _encode(untagged, frames, fps, **options)
    tag_spherical(untagged, path, spherical)
    untagged.unlink()
    return omissions


def _encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | int,
    *,
    crf: int,
    gop: int,
    sound: SoundSource | None,
    threads: int,
) -> tuple[Omission, ...]:
    if not isinstance(fps, Fraction | int) or fps <= 0:
        raise InvalidInput(
            f"fps is {fps!r}; "
            "give a positive fractions.Fraction or int, such as Fraction(30000, 1001)"
        )
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InvalidInput("there are no frames to write; give at least one")
    size = height, width = _check_frame(first, None)
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with contextlib.ExitStack() as stack:
        container = stack.enter_context(
            av.open(str(path.absolute()), "w", format="mp4", options=options)
        )
        x264_options = {"crf": str(crf), "preset": _PRESET, **_DETERMINISTIC}
        stream: Any = container.add_stream("libx264", rate=Fraction(fps), options=x264_options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.thread_count = gop, threads
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = int(ColorRange.MPEG)
        context.time_base = 1 / Fraction(fps)
        context.flags |= int(av.codec.context.Flags.bitexact)
        copier = stack.enter_context(SoundCopier(sound, container)) if sound else None
        count = 0
        for count, packet in enumerate(_iter_packets(stream, chain([first], rest), size), 1):
            container.mux(packet)
            if copier:
                copier.copy_until(float(count / Fraction(fps)))
    return copier.omissions if copier else ()


def _iter_packets(
    stream: Any, frames: Iterable[NDArray[np.uint8]], size: tuple[int, int]
) -> Iterator[Any]:
    bitstream_filter: Any = None
    for packet in _encode_frames(stream, frames, size):
        # The filter needs the encoder's header, which exists once there is a packet.
        bitstream_filter = bitstream_filter or BitStreamFilterContext(_STRIP_SEI, stream)
        yield from bitstream_filter.filter(packet)
    yield from bitstream_filter.filter(None)


def _encode_frames(
    stream: Any, frames: Iterable[NDArray[np.uint8]], size: tuple[int, int]
) -> Iterator[Any]:
    for number, picture in enumerate(frames):
        _check_frame(picture, size)
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            interpolation=_INTERPOLATION,
            threads=1,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts = number
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _check_frame(frame: NDArray[np.uint8], size: tuple[int, int] | None) -> tuple[int, int]:
    """Return the frame's (height, width); raise InvalidInput if it cannot be encoded."""
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise InvalidInput(
            f"a frame is {frame.dtype} {list(frame.shape)}; give uint8 [height, width, 3] RGB"
        )
    height, width = frame.shape[:2]
    if size is not None and (height, width) != size:
        raise InvalidInput(
            f"a frame is {width}x{height} after frames of {size[1]}x{size[0]}; "
            "give frames of one size"
        )
    if height % 2 or width % 2:
        raise InvalidInput(
            f"frames are {width}x{height}, but H.264 in yuv420p needs an even width and height; "
            "crop or resize them by one pixel"
        )
    return height, width
