"""Joining of the two tracks of a GoPro MAX recording (`.360`) to an ERP map.

The first track holds the faces left, front, right of an equi-angular cubemap, the second one down,
back, up, rotated as in YouTube's layout (`argus.sphere.cube`) but without margins. The middle faces
are square. The side faces, which both lenses see, are cut in the middle: the two halves come from
different lenses and overlap, so that some columns are there twice and have to be blended.

| recording | track     | side face | middle face | columns there twice |
|-----------|-----------|-----------|-------------|---------------------|
| 5.6K      | 4096×1344 | 1376      | 1344        | 64                  |
| 3K        | 2272×736  | 768       | 736         | 32                  |

Sources: Paul Bourke, "GoPro MAX 360 Action Cam movie layout/format", September 2021,
paulbourke.net/panorama/gopromax2sphere; Trek View, "Reverse Engineering GoPro's 360 Video File
Format", parts 1 to 4, trekview.org, with the program max2sphere.
"""

from dataclasses import dataclass

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    array_namespace,
    as_float_like,
    from_channels_last,
    to_channels_last,
)
from argus.sphere.packing import EAC_FACES, CubeToErp, Packing, rotate_faces


@dataclass(frozen=True)
class GoproLayout:
    """Sizes in a track of a GoPro MAX recording, in pixels.

    Attributes:
        width: Width of a track.
        height: Height of a track, and side of the middle face.
        overlap: Columns that each side face has twice.
    """

    width: int
    height: int
    overlap: int

    @property
    def side(self) -> int:
        """Columns of a side face, with those that are there twice."""
        return (self.width - self.height) // 2

    @property
    def erp_size(self) -> tuple[int, int]:
        """(height, width) of a map as dense as the middle face."""
        return 2 * self.height, 4 * self.height


_LAYOUTS = (GoproLayout(4096, 1344, 64), GoproLayout(2272, 736, 32))


def find_gopro_layout(width: int, height: int) -> GoproLayout | None:
    """Return the layout of tracks of this size, or of a whole fraction of a known one.

    Args:
        width: Width of a track in pixels.
        height: Height of a track in pixels.

    Returns:
        The layout, or None if no recording has tracks of these proportions.
    """
    for layout in _LAYOUTS:
        overlap, rest = divmod(layout.overlap * height, layout.height)
        if width * layout.height == layout.width * height and not rest and overlap % 2 == 0:
            return GoproLayout(width, height, overlap)
    return None


class GoproToErp:
    """Projection of pairs of GoPro MAX pictures to ERP maps; coordinates are computed once.

    Args:
        layout: Sizes of the pictures.
        erp_size: (height, width) of the result.
        like: Array that gives library, device and precision.

    Raises:
        InvalidInput: `erp_size` is too small.
    """

    def __init__(self, layout: GoproLayout, erp_size: tuple[int, int], like: Array) -> None:
        self._layout = layout
        side = layout.side - layout.overlap
        packing = Packing(
            2, (side, layout.height, side), rotate_faces(EAC_FACES), is_equiangular=True
        )
        size = 2 * layout.height, 2 * side + layout.height
        self._project = CubeToErp(packing, size, erp_size, like)
        ramp = (np.arange(layout.overlap) + 0.5) / max(1, layout.overlap)
        self._ramp = as_float_like(ramp[:, None], like)

    def __call__(
        self, upper: Array, lower: Array, interpolation: Interpolation = "linear"
    ) -> Array:
        """Project the pictures of both tracks, `[T, h, w, C]` each, to `[T, H, W, C]`."""
        xp = array_namespace(upper)
        rows = xp.concat([self._blend(upper), self._blend(lower)], 1)
        return self._project(rows, interpolation)

    def _blend(self, row: Array) -> Array:
        """Return a row of faces with each column once."""
        xp = array_namespace(row)
        side, middle = self._layout.side, self._layout.height
        left, center, right = row[:, :, :side], row[:, :, side : side + middle], row[:, :, -side:]
        return xp.concat([self._blend_face(left), center, self._blend_face(right)], 2)

    def _blend_face(self, face: Array) -> Array:
        xp = array_namespace(face)
        middle, overlap = self._layout.side // 2, self._layout.overlap
        first, second = face[:, :, middle - overlap : middle], face[:, :, middle : middle + overlap]
        blended = first * (1 - self._ramp) + second * self._ramp
        if xp is np:
            blended = (np.rint(blended) if face.dtype.kind == "u" else blended).astype(face.dtype)
        parts = [face[:, :, : middle - overlap], blended, face[:, :, middle + overlap :]]
        return xp.concat(parts, 2)


def gopro_to_erp(
    upper: Frames,
    lower: Frames,
    erp_size: tuple[int, int] | None = None,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project pairs of GoPro MAX pictures to ERP frames.

    Args:
        upper: Pictures of the first track; numpy uint8 or float `[T, h, w, C]`, or torch float
            `[T, C, h, w]`.
        lower: Pictures of the second track, of the same shape.
        erp_size: (height, width) of the result; None for 2h × 4h, as dense as the middle face.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type, numpy `[T, H, W, C]` or torch `[T, C, H, W]`.

    Raises:
        InvalidInput: The shapes differ or are not those of a GoPro MAX.
    """
    first, second = to_channels_last(upper), to_channels_last(lower)
    if first.shape != second.shape:
        raise InvalidInput(
            f"the pictures of the two tracks have the shapes {tuple(first.shape)} and "
            f"{tuple(second.shape)}; give pictures of one size and number"
        )
    height, width = (int(n) for n in first.shape[1:3])
    layout = find_gopro_layout(width, height)
    if layout is None:
        sizes = " or ".join(f"{known.width}x{known.height}" for known in _LAYOUTS)
        raise InvalidInput(f"a track of a GoPro MAX is {sizes}, got {width}x{height}")
    project = GoproToErp(layout, erp_size or layout.erp_size, first)
    erp: Frames = from_channels_last(project(first, second, interpolation))
    return erp
