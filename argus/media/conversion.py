"""Conversion of decoded frames to upright RGB pictures of the requested size."""

from typing import Any

import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from argus.media.colorimetry import UNDECLARED, ColorConverter, Encoding, read_encoding
from argus.media.orientation import Orientation, read_orientation

# Area averaging if smaller, linear if larger; chroma is interpolated; flat colors are exact to
# half a level.
_SCALER_FLAGS = "area+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp"
_PLANAR_RGB = "gbrp"  # the same values as rgb24, three to seven times faster
_DEEP_RGB, _DEEP_YUV = "gbrp16le", "yuv444p16le"
_DEINTERLACER = ("estdif", "mode=frame:deint=interlaced")  # needs no other frame
_Filters = tuple[tuple[str, str], ...]


class FrameConverter:
    """Converter of the decoded frames of one stream; not to be shared by threads.

    Args:
        threads: number of threads of the conversion.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._graph: tuple[Any, Any] = (None, None)  # the last one, after what it was built for

    def convert(self, frame: Any, output: NDArray[np.uint8]) -> None:
        """Deinterlace, resize, convert to SDR RGB in BT.709 and turn upright.

        Args:
            frame: PyAV's frame.
            output: uint8 [height, width, 3]; filled.
        """
        orientation = read_orientation(frame)
        encoding = read_encoding(frame)
        frame.colorspace = encoding.matrix or UNDECLARED  # libavfilter refuses some others
        if frame.interlaced_frame:
            frame = self._filter_alone(frame, _DEINTERLACER)
        if not orientation.is_right_angle:
            angle = f"{360 - orientation.rotation_deg}*PI/180"
            frame = self._filter_alone(frame, ("rotate", angle))
            orientation = Orientation()
        if orientation == Orientation():
            self._convert_color(frame, encoding, output)
            return
        height, width = output.shape[1::-1] if orientation.swaps_axes else output.shape[:2]
        picture = np.empty((height, width, 3), np.uint8)
        self._convert_color(frame, encoding, picture)
        if orientation.is_mirrored:
            picture = picture[:, ::-1]
        output[...] = np.rot90(picture, orientation.rotation_deg // 90)

    def _convert_color(self, frame: Any, encoding: Encoding, output: NDArray[np.uint8]) -> None:
        if encoding.is_bt709_sdr:
            cv2.merge(self._resize(frame, output, _PLANAR_RGB), output)
            return
        samples = self._resize(frame, output, _DEEP_YUV if encoding.matrix else _DEEP_RGB)
        ColorConverter(encoding).convert(cv2.merge(samples), output)

    def _resize(
        self, frame: Any, output: NDArray[np.uint8], pixel_format: str
    ) -> list[NDArray[Any]]:
        """Resize and convert in one pass of swscale.

        Returns:
            Red, green and blue, or luma and chroma, [height, width] each.
        """
        height, width = output.shape[:2]
        filters = (
            ("scale", f"{width}:{height}:flags={_SCALER_FLAGS}"),
            ("format", pixel_format),
        )
        key = (_describe_source(frame), filters)
        if self._graph[0] != key:
            self._graph = key, _build_graph(*key, self._threads)
        graph = self._graph[1]
        graph.push(frame)
        planes = graph.vpull().planes
        dtype = np.dtype(np.uint8 if pixel_format == _PLANAR_RGB else np.uint16)
        first, second, third = (
            np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)[
                :height, :width
            ]
            for plane in planes
        )
        return [first, second, third] if pixel_format == _DEEP_YUV else [third, first, second]

    def _filter_alone(self, frame: Any, *filters: tuple[str, str]) -> Any:
        """Pass a frame through filters that see no other frame."""
        graph = _build_graph(_describe_source(frame), filters, self._threads)
        graph.push(frame)
        graph.push(None)
        return graph.vpull()


def _describe_source(frame: Any) -> str:
    """Return the options of FFmpeg's buffer source for such frames."""
    return (
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:"
        f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    )


def _build_graph(source: str, filters: _Filters, threads: int) -> Any:
    graph = av.filter.Graph()
    graph.threads = threads
    stages = (("buffer", source), *filters, ("buffersink", None))
    graph.link_nodes(*(graph.add(name, options) for name, options in stages))
    graph.configure()
    return graph
