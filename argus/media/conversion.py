"""Conversion of decoded frames to upright RGB pictures of the requested size."""

from typing import Any

import av.filter
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from argus.media import errors
from argus.media.colorimetry import (
    ColorConverter,
    Encoding,
    is_dolby_vision_5,
    read_encoding,
)
from argus.media.description import complete_color
from argus.media.info import UNDECLARED_COLOR, MediaInfo
from argus.media.orientation import Orientation

_EXACT = (
    Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# Area averaging if smaller, linear if larger; chroma is interpolated; flat colors are exact to
# half a level.
_INTERPOLATION = Interpolation.AREA | _EXACT
_PLANAR_RGB = "gbrp"  # the same values as rgb24, three to seven times faster
_DOLBY_VISION_CODECS = {"hevc", "av1"}
_DEINTERLACER = ("estdif", "mode=frame:deint=interlaced")  # needs no other frame


class FrameConverter:
    """Converter of the decoded frames of one stream; not to be shared by threads.

    Args:
        info: the video's properties. All frames are turned alike, because a decoder attaches the
            orientation that a bitstream declares to single frames only. Colors that a frame does
            not declare are those of the video.
        name: names the video in messages.
        threads: number of threads of the conversion.
    """

    def __init__(self, info: MediaInfo, name: str, threads: int = 1) -> None:
        self._orientation = Orientation(info.is_mirrored, info.rotation)
        self._color = info.color
        self._may_be_dolby_vision = info.codec in _DOLBY_VISION_CODECS
        self._name, self._threads = name, threads
        self._reformatter = VideoReformatter()

    def convert(self, frame: Any, output: NDArray[np.uint8]) -> None:
        """Deinterlace, resize, convert to SDR RGB in BT.709 and turn upright.

        Args:
            frame: PyAV's frame.
            output: uint8 [height, width, 3]; filled.

        Raises:
            VideoError: UNSUPPORTED_CODEC for Dolby Vision profile 5.
        """
        if self._may_be_dolby_vision and is_dolby_vision_5(frame):
            raise errors.unsupported_codec_error(self._name, "Dolby Vision profile 5")
        orientation = self._orientation
        complete_color(frame, self._color)
        encoding = read_encoding(frame)
        frame.colorspace = encoding.matrix or UNDECLARED_COLOR  # FFmpeg refuses some others
        if frame.interlaced_frame:
            frame = self._filter(frame, *_DEINTERLACER)
        if not orientation.is_right_angle:
            frame = self._filter(frame, "rotate", f"{360 - orientation.rotation_deg}*PI/180")
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
        samples = cv2.merge(self._resize(frame, output, encoding.sample_format))
        ColorConverter(encoding).convert(samples, output)

    def _resize(
        self, frame: Any, output: NDArray[np.uint8], pixel_format: str
    ) -> list[NDArray[Any]]:
        """Resize and convert in one pass of swscale.

        Returns:
            Red, green and blue, or luma and chroma, [height, width] each.
        """
        height, width = output.shape[:2]
        color_range = None if pixel_format == _PLANAR_RGB else ColorRange.MPEG  # convert none
        resized = self._reformatter.reformat(
            frame,
            width,
            height,
            pixel_format,
            interpolation=_INTERPOLATION,
            src_color_range=color_range,
            dst_color_range=color_range,
            threads=self._threads,
        )
        dtype = np.dtype(np.uint8 if pixel_format == _PLANAR_RGB else np.uint16)
        first, second, third = (
            np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)[
                :height, :width
            ]
            for plane in resized.planes[:3]
        )
        is_rgb = pixel_format.startswith(_PLANAR_RGB)
        return [third, first, second] if is_rgb else [first, second, third]

    def _filter(self, frame: Any, name: str, options: str) -> Any:
        """Pass a frame through one of FFmpeg's filters, which sees no other frame."""
        source = (
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1:"
            f"colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
        )
        graph = av.filter.Graph()
        graph.threads = self._threads
        stages = (("buffer", source), (name, options), ("buffersink", None))
        graph.link_nodes(*(graph.add(*stage) for stage in stages))
        graph.configure()
        graph.push(frame)
        graph.push(None)
        return graph.vpull()
