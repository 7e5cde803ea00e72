"""Conversion of decoded frames to upright RGB pictures of the requested size."""

from typing import Any

import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from argus.media.info import MediaInfo

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
_COLORSPACE_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_CONVERTIBLE_COLORSPACES = {0, 1, 2, 4, 5, 6, 7, 9}  # AVColorSpace; others count as unspecified


class FrameConverter:
    """Converter of the decoded frames of one stream; not to be shared by threads.

    Args:
        info: the video's properties.
        threads: number of threads of the conversion.
    """

    def __init__(self, info: MediaInfo, threads: int = 1) -> None:
        self._info, self._threads = info, threads
        self._reformatter = VideoReformatter()

    def convert(self, frame: Any, output: NDArray[np.uint8]) -> None:
        """Convert to RGB and resize in one pass of swscale, then rotate.

        Args:
            frame: PyAV's frame.
            output: uint8 [height, width, 3]; filled.
        """
        turns = self._info.rotation // 90
        height, width = output.shape[1::-1] if turns % 2 else output.shape[:2]
        if frame.colorspace not in _CONVERTIBLE_COLORSPACES:
            frame.colorspace = _COLORSPACE_UNSPECIFIED
        planar = self._reformatter.reformat(
            frame,
            width,
            height,
            _PLANAR_RGB,
            interpolation=_INTERPOLATION,
            threads=self._threads,
        )
        green, blue, red = (
            np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
            for plane in planar.planes
        )
        if turns:
            output[...] = np.rot90(cv2.merge([red, green, blue]), turns)
        else:
            cv2.merge([red, green, blue], output)
