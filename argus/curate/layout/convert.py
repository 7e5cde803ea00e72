"""Conversion of a video of any layout to mono ERP frames: crop, choice of an eye, reprojection.

Which conversion a video needs is decided in `argus.curate.layout.detect`.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import NativeFrames, SampledFrames, resize_frames
from argus.curate.layout.continuity import EAC_MARGIN
from argus.media import VideoReader
from argus.sphere import CubeLayout, cube_to_erp, fisheye_to_erp


class SourceProjection(StrEnum):
    """Projection in which a video stores the sphere."""

    ERP = "erp"
    EAC = "eac"
    C3X2 = "3x2"
    CBMP = "cbmp"
    C6X1 = "6x1"
    DUAL_FISHEYE = "dual_fisheye"


_FACE_GRIDS = {
    SourceProjection.EAC: (2, 3),
    SourceProjection.C3X2: (2, 3),
    SourceProjection.CBMP: (2, 3),
    SourceProjection.C6X1: (1, 6),
}
"""Rows and columns of faces."""

_FACE_SIDE, _EAC_FACE_SIDE = 0.4, 0.3
"""Side of a face over the width of the ERP map, so that its coarsest part is as fine as the map.

The least sufficient values are 1/π for a cubemap (at the middle of a face) and 1/4 for an EAC.
"""

_WHOLE_FRAME = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Conversion:
    """Conversion of stored frames to mono ERP frames; by default only the size changes.

    Attributes:
        projection: projection of the stored frames.
        crop: the part of a frame that counts (an eye, or what black bars enclose), as top, left,
            bottom and right in shares of the frame.
        native_size: (height, width) in which a cubemap is stored.
        fov_deg: field of view of each lens of a dual fisheye.
    """

    projection: SourceProjection = SourceProjection.ERP
    crop: tuple[float, float, float, float] = _WHOLE_FRAME
    native_size: tuple[int, int] | None = None
    fov_deg: float = 0.0

    def __str__(self) -> str:
        """Describe the conversion completely; equal conversions have equal descriptions."""
        text = str(self.projection)
        if self.native_size:
            text += f" {self.native_size[1]}×{self.native_size[0]}"
        if self.crop != _WHOLE_FRAME:
            text += " within " + ", ".join(f"{share!r}" for share in self.crop)
        if self.fov_deg:
            text += f" of {self.fov_deg!r}°"
        return text

    def apply(self, frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Convert stored frames.

        Args:
            frames: uint8 [n, h, w, 3], at any scale.
            size: (H, W) of the result.

        Returns:
            Mono ERP frames, uint8 [n, H, W, 3].
        """
        height, width = frames.shape[1:3]
        top, left, bottom, right = (
            round(share * side) for share, side in zip(self.crop, (height, width) * 2, strict=True)
        )
        frames = frames[:, top:bottom, left:right]
        if self.projection is SourceProjection.ERP:
            return resize_frames(frames, size)
        if self.projection is SourceProjection.DUAL_FISHEYE:
            lenses = resize_frames(frames, (height, 2 * height))
            return np.asarray(fisheye_to_erp(lenses, self.fov_deg, size))
        return self._convert_cube(frames, (height, width), size)

    def _convert_cube(
        self, frames: NDArray[np.uint8], frame_size: tuple[int, int], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """Convert a cubemap or an EAC, whose margins are scaled with the frames."""
        height, width = frame_size
        rows, columns = _FACE_GRIDS[self.projection]
        packed = resize_frames(
            frames, (max(1, round(height / rows)) * rows, max(1, round(width / columns)) * columns)
        )
        is_scaled = self.native_size is not None and self.native_size != (height, width)
        if self.projection is SourceProjection.EAC and self.native_size and is_scaled:
            margin_y = EAC_MARGIN * height / self.native_size[0]
            margin_x = EAC_MARGIN * width / self.native_size[1]
            packed = _restore_margins(packed, (margin_y, margin_x))
        return np.asarray(cube_to_erp(packed, size, CubeLayout(self.projection.value)))

    def stored_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (h, w) at which to decode so that `apply` loses no detail at `size` (H, W)."""
        height, width = size
        if self.projection is SourceProjection.ERP:
            top, left, bottom, right = self.crop
            return round(height / (bottom - top)), round(width / (right - left))
        if self.projection is SourceProjection.DUAL_FISHEYE:
            lens = math.ceil(width * self.fov_deg / 360)
            return lens, 2 * lens
        rows, columns = _FACE_GRIDS[self.projection]
        is_eac = self.projection is SourceProjection.EAC
        face = math.ceil(width * (_EAC_FACE_SIDE if is_eac else _FACE_SIDE))
        native_height, native_width = self.native_size or (rows * face, columns * face)
        return (
            min(rows * face, native_height // rows * rows),
            min(columns * face, native_width // columns * columns),
        )

    def erp_height(self, native_size: tuple[int, int]) -> float:
        """Return the rows of ERP detail in frames of `native_size` (height, width).

        A clip with more rows than this is enlarged.
        """
        if self.projection is SourceProjection.DUAL_FISHEYE:
            return native_size[0] * 180 / self.fov_deg
        if self.projection is SourceProjection.ERP:
            return native_size[0] * (self.crop[2] - self.crop[0])
        return 2.0 * native_size[0] / _FACE_GRIDS[self.projection][0]


NO_CONVERSION = Conversion()


def _restore_margins(frames: NDArray[np.uint8], margin: tuple[float, float]) -> NDArray[np.uint8]:
    """Warp EAC frames so that their margins are `EAC_MARGIN` pixels wide again.

    Args:
        frames: uint8 [n, h, w, 3].
        margin: present margins (down, across) in pixels.
    """
    height, width = frames.shape[1] // 2, frames.shape[2]
    (scale_y, shift_y), (scale_x, shift_x) = (
        (
            (side - 2 * old) / (side - 2 * EAC_MARGIN),
            old - EAC_MARGIN * (side - 2 * old) / (side - 2 * EAC_MARGIN),
        )
        for side, old in zip((height, width), margin, strict=True)
    )
    new_to_old = np.array(
        [[scale_x, 0, shift_x + (scale_x - 1) / 2], [0, scale_y, shift_y + (scale_y - 1) / 2]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    bands = frames.reshape(-1, height, width, 3)
    warped = [
        cv2.warpAffine(
            band, new_to_old, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        for band in bands
    ]
    return np.stack(warped).reshape(frames.shape).astype(np.uint8, copy=False)


class EquirectReader:
    """Reader of a video's mono ERP frames."""

    def __init__(self, reader: VideoReader, conversion: Conversion) -> None:
        self.reader = reader
        self.conversion = conversion

    def __len__(self) -> int:
        return len(self.reader)

    def frames(self, indices: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Decode and convert frames.

        Args:
            indices: frame numbers [n].
            size: (H, W) of the result.

        Returns:
            uint8 [n, H, W, 3].

        Raises:
            VideoError: a frame cannot be decoded.
        """
        stored = self.reader.frames(indices, size=self.conversion.stored_size(size))
        return self.conversion.apply(stored, size)


def convert_native_frames(
    native: NativeFrames, conversion: Conversion, size: tuple[int, int]
) -> SampledFrames:
    """Convert sampled frames to mono ERP of `size` (H, W)."""
    return SampledFrames(
        conversion.apply(native.frames, size),
        conversion.apply(native.next_frames, size),
        native.intervals_s,
    )
