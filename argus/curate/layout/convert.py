"""A video as mono ERP frames, whatever its layout: what is cut off, which eye is taken, which projection is undone.

Which conversion a video needs is `argus.curate.layout.detect`'s to say.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples, StoredSamples, resized
from argus.curate.layout.continuity import EAC_MARGIN
from argus.media import VideoReader
from argus.sphere import CubeLayout, cube_to_erp, fisheye_to_erp


class SourceProjection(StrEnum):
    """The projection in which a sphere is stored."""

    ERP = "erp"
    EAC = "eac"
    C3X2 = "3x2"
    CBMP = "cbmp"
    C6X1 = "6x1"
    DUAL_FISHEYE = "dual_fisheye"


_FACES = {
    SourceProjection.EAC: (2, 3),
    SourceProjection.C3X2: (2, 3),
    SourceProjection.CBMP: (2, 3),
    SourceProjection.C6X1: (1, 6),
}  # rows and columns
_FACE_SIDE, _EAC_SIDE = 0.4, 0.3
"""A face's side in widths of the ERP map: more than its coarsest part needs to be as fine as the map, which is 1/π (the middle) and 1/4 (an EAC)."""


@dataclass(frozen=True)
class Conversion:
    """How stored frames become mono ERP frames; the default takes them as they are, squeezed or not.

    Of a frame only `crop` (top, left, bottom, right as shares) counts: an eye, or what lies between bars. `native` is the (height, width) in which
    a cubemap is stored, and `fov_deg` each lens's field of view.
    """

    stored: SourceProjection = SourceProjection.ERP
    crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    native: tuple[int, int] | None = None
    fov_deg: float = 0.0

    def __str__(self) -> str:
        """All of it in words, others for another conversion."""
        crop = (
            ""
            if self.crop == (0.0, 0.0, 1.0, 1.0)
            else " within " + ", ".join(f"{share!r}" for share in self.crop)
        )
        native = f" {self.native[1]}×{self.native[0]}" if self.native else ""
        return f"{self.stored}{native}{crop}" + (f" of {self.fov_deg!r}°" if self.fov_deg else "")

    def apply(self, frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Mono ERP frames [n, H, W, 3] at `size` (H, W) of stored ones [n, h, w, 3], in any scale."""
        height, width = frames.shape[1:3]
        top, left, bottom, right = (
            round(share * side) for share, side in zip(self.crop, (height, width) * 2, strict=True)
        )
        frames = frames[:, top:bottom, left:right]
        if self.stored is SourceProjection.ERP:
            return resized(frames, size)
        if self.stored is SourceProjection.DUAL_FISHEYE:
            return np.asarray(
                fisheye_to_erp(resized(frames, (height, 2 * height)), self.fov_deg, size)
            )
        rows, columns = _FACES[self.stored]
        whole = resized(
            frames, (max(1, round(height / rows)) * rows, max(1, round(width / columns)) * columns)
        )
        if self.stored is SourceProjection.EAC and self.native and self.native != (height, width):
            whole = _with_margins(
                whole, (EAC_MARGIN * height / self.native[0], EAC_MARGIN * width / self.native[1])
            )
        return np.asarray(cube_to_erp(whole, size, CubeLayout(self.stored.value)))

    def stored_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) at which to decode stored frames so that `apply` gives `size` without losing detail that it can show."""
        height, width = size
        if self.stored is SourceProjection.ERP:
            top, left, bottom, right = self.crop
            return round(height / (bottom - top)), round(width / (right - left))
        if self.stored is SourceProjection.DUAL_FISHEYE:
            lens = math.ceil(width * self.fov_deg / 360)
            return lens, 2 * lens
        rows, columns = _FACES[self.stored]
        face = math.ceil(width * (_EAC_SIDE if self.stored is SourceProjection.EAC else _FACE_SIDE))
        high, wide = self.native or (rows * face, columns * face)
        return min(rows * face, high // rows * rows), min(columns * face, wide // columns * columns)

    def erp_height(self, native: tuple[int, int]) -> float:
        """Rows of the ERP map that frames stored at `native` (height, width) hold: below what is written, clips are enlarged."""
        if self.stored is SourceProjection.DUAL_FISHEYE:
            return native[0] * 180 / self.fov_deg
        if self.stored is SourceProjection.ERP:
            return native[0] * (self.crop[2] - self.crop[0])
        return 2.0 * native[0] / _FACES[self.stored][0]


AS_STORED = Conversion()


def _with_margins(frames: NDArray[np.uint8], margin: tuple[float, float]) -> NDArray[np.uint8]:
    """EAC frames whose margins, scaled with them to (down, across) pixels, are as wide as those of a file again."""
    height, width = frames.shape[1] // 2, frames.shape[2]
    (sy, ty), (sx, tx) = (
        (
            (side - 2 * old) / (side - 2 * EAC_MARGIN),
            old - EAC_MARGIN * (side - 2 * old) / (side - 2 * EAC_MARGIN),
        )
        for side, old in zip((height, width), margin, strict=True)
    )
    turn = np.array(
        [[sx, 0, tx + (sx - 1) / 2], [0, sy, ty + (sy - 1) / 2]]
    )  # from the new pixel to the old one
    way = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    bands = frames.reshape(-1, height, width, 3)
    warped = [
        cv2.warpAffine(band, turn, (width, height), flags=way, borderMode=cv2.BORDER_REPLICATE)
        for band in bands
    ]
    return np.stack(warped).reshape(frames.shape).astype(np.uint8, copy=False)


class EquirectReader:
    """The mono ERP frames of a video."""

    def __init__(self, reader: VideoReader, conversion: Conversion) -> None:
        self.reader = reader
        self.conversion = conversion

    def __len__(self) -> int:
        return len(self.reader)

    def frames(self, indices: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Decodes frames and converts them: uint8 [n, H, W, 3] at `size` (H, W). Raises VideoError."""
        stored = self.reader.frames(indices, size=self.conversion.stored_size(size))
        return self.conversion.apply(stored, size)


def samples_of(stored: StoredSamples, conversion: Conversion, size: tuple[int, int]) -> Samples:
    """What filters judge, of frames that are decoded already."""
    return Samples(
        conversion.apply(stored.frames, size),
        conversion.apply(stored.following, size),
        stored.gaps_s,
    )
