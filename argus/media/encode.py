"""Writing H.264 video, the same frames always as the same bytes."""

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
from argus.media.spherical import SphericalMetadata
from argus.media.tagging import tag_spherical

_PRESET = "veryfast"  # at CRF 18 and short groups: the size of "medium", 0.4 dB below it, in less than half its time
_REPEATABLE = {
    "mbtree": "0"
}  # x264's macroblock tree reads past its rows where a frame is not a multiple of 8 blocks wide: other bytes each time
_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INP
)  # on every processor
_BT709 = 1  # FFmpeg's number for its matrix, its primaries and its transfer alike: what players assume of HD, and here they are told
_WITHOUT_SEI = "filter_units=remove_types=6"  # x264 writes its version and options there, and nothing that a decoder needs


def write_video(
    path: Path | str,
    frames: Iterable[NDArray[np.uint8]] | NDArray[np.uint8],
    fps: Fraction | int,
    *,
    crf: int = 18,
    gop: int = 8,
    spherical: SphericalMetadata | None = None,
    threads: int = 1,
) -> None:
    """Writes an mp4 (H.264, yuv420p in BT.709, faststart), whole or not at all, holding a few frames at a time.

    Args:
        path: the file; replaced if it exists.
        frames: uint8 [H, W, 3] RGB each, all of one even height and width.
        fps: frames per second; exact, so a float is refused.
        crf: x264's quality, 0 (lossless in yuv420p) .. 51.
        gop: the most frames between keyframes.
        spherical: says how the sphere lies in the frames; None writes an ordinary video.
        threads: encoder threads; the bytes depend on their number.

    Raises:
        InvalidInput: no frames, an odd or changing size, another type, or a rate that is not a positive rational.
    """
    path = Path(path)
    with replace_atomically(path) as whole:
        if spherical is None:
            _encode(whole, frames, fps, crf=crf, gop=gop, threads=threads)
            return
        plain = whole.with_suffix(".plain" + whole.suffix)
        try:
            _encode(plain, frames, fps, crf=crf, gop=gop, threads=threads)
            tag_spherical(plain, whole, spherical)
        finally:
            plain.unlink(missing_ok=True)


def encode_clip(
    frames: NDArray[np.uint8],
    fps: Fraction | int,
    *,
    crf: int = 18,
    gop: int = 8,
    spherical: SphericalMetadata | None = None,
) -> bytes:
    """The bytes of an mp4 as `write_video` writes it, by one encoder thread: equal frames give equal bytes.

    Args:
        frames: uint8 [T, H, W, 3] RGB, even height and width.
        fps: frames per second, exact.
        crf: x264's quality, 0 .. 51.
        gop: the most frames between keyframes.
        spherical: as `write_video`.
    """
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # a file, because faststart reads back what was written
        path = Path(folder) / "clip.mp4"
        write_video(path, frames, fps, crf=crf, gop=gop, spherical=spherical)
        return path.read_bytes()


def _encode(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | int,
    *,
    crf: int,
    gop: int,
    threads: int,
) -> None:
    if not isinstance(fps, Fraction | int) or fps <= 0:
        raise InvalidInput(
            f"fps is {fps!r}; give a positive fractions.Fraction or int, such as Fraction(30000, 1001)"
        )
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InvalidInput("there are no frames to write; give at least one")
    height, width = _checked(first, None)
    with av.open(
        str(path.absolute()),
        "w",
        format="mp4",
        options={"movflags": "+faststart", "fflags": "+bitexact"},
    ) as container:
        stream: Any = container.add_stream(
            "libx264",
            rate=Fraction(fps),
            options={"crf": str(crf), "preset": _PRESET, **_REPEATABLE},
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.thread_count = gop, threads
        colours = stream.codec_context
        colours.colorspace = colours.color_primaries = colours.color_trc = _BT709
        colours.color_range = int(ColorRange.MPEG)
        stream.codec_context.time_base = 1 / Fraction(fps)
        stream.codec_context.flags |= int(av.codec.context.Flags.bitexact)
        for packet in _packets(stream, chain([first], rest), (height, width)):
            container.mux(packet)


def _packets(
    stream: Any, frames: Iterable[NDArray[np.uint8]], size: tuple[int, int]
) -> Iterator[Any]:
    stripped: Any = None
    for number, picture in enumerate(frames):
        _checked(picture, size)
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame = rgb.reformat(
            format="yuv420p",
            interpolation=_EXACT,
            threads=1,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts = number
        for packet in stream.encode(frame):
            stripped = stripped or BitStreamFilterContext(_WITHOUT_SEI, stream)
            yield from stripped.filter(packet)
    for packet in stream.encode(None):
        stripped = stripped or BitStreamFilterContext(_WITHOUT_SEI, stream)
        yield from stripped.filter(packet)
    yield from stripped.filter(None)


def _checked(picture: NDArray[np.uint8], size: tuple[int, int] | None) -> tuple[int, int]:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InvalidInput(
            f"a frame is {picture.dtype} {list(picture.shape)}; give uint8 [height, width, 3] RGB"
        )
    height, width = picture.shape[:2]
    if size is not None and (height, width) != size:
        raise InvalidInput(
            f"a frame is {width}x{height} after frames of {size[1]}x{size[0]}; give frames of one size"
        )
    if height % 2 or width % 2:
        raise InvalidInput(
            f"frames are {width}x{height}; H.264 in yuv420p needs an even width and height: crop or resize them by one pixel"
        )
    return height, width
