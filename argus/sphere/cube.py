"""Cubemaps: plain 3x2 and 6x1, and the equi-angular cubemap (EAC) in YouTube's layout.

The plain layouts hold the faces in ffmpeg's default order (right, left, up, down, front, back), row
by row; 6x1 is six side by side. "cbmp" is the 3x2 that Spherical Video V2 declares: its up and down
faces are rotated by half a turn, with the front at the top of up and the back at the top of down.

The upper row of an EAC is left, front, right; its lower row is down, back, up, rotated so that each
row is one continuous band. YouTube's files have margins of 2 pixels at the left and right of the
picture and above and below each row, as in ffmpeg's v360; the bands continue into them. YouTube's
pictures are 16:9, so faces are stretched and need not be whole pixels wide (1280×720).
"""

import math
from enum import StrEnum
from functools import cache

import numpy as np

from argus.errors import InvalidInput
from argus.sphere.arrays import (
    Array,
    Frames,
    Interpolation,
    as_float_like,
    from_channels_last,
    to_channels_last,
)
from argus.sphere.grid import rays_to_erp_pixels
from argus.sphere.packing import (
    EAC_FACES,
    PLAIN_FACES,
    CubeToErp,
    Packing,
    check_cube_size,
    compute_cube_rays,
    make_tile_axes,
    rays_to_cube_pixels,
    rotate_faces,
)
from argus.sphere.sampling import (
    PAD,
    compute_reduced_erp_size,
    pad_erp,
    reduce_area,
    sample_pixels,
)


class CubeLayout(StrEnum):
    """Arrangement of six cube faces in one picture."""

    C3X2 = "3x2"
    C6X1 = "6x1"
    CBMP = "cbmp"
    EAC = "eac"


@cache
def _make_packings() -> dict[CubeLayout, Packing]:
    plain, eac = rotate_faces(PLAIN_FACES), rotate_faces(EAC_FACES)
    cbmp = plain.copy()
    cbmp[2:4] *= -1, -1, 1  # half a turn about the axis of the face
    row = (1, 1, 1)
    return {
        CubeLayout.C3X2: Packing(2, row, plain),
        CubeLayout.CBMP: Packing(2, row, cbmp),
        CubeLayout.C6X1: Packing(1, 2 * row, plain),
        CubeLayout.EAC: Packing(2, row, eac, is_equiangular=True, margin=2),
    }


def erp_to_cube(
    erp: Frames,
    face_size: int | tuple[int, int],
    layout: CubeLayout | str = CubeLayout.C3X2,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project ERP frames to packed cubemaps.

    A map that is denser than the faces is averaged first.

    Args:
        erp: numpy uint8 or float `[T, H, W, C]`, or torch float `[T, C, H, W]`.
        face_size: Side of a face in pixels, or (height, width) of a stretched one, such as
            (1080, 1280) for an EAC of 3840×2160.
        layout: Arrangement of the faces.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type with (height, width) = face_size · (rows, columns).

    Raises:
        InvalidInput: The layout is unknown, or the faces leave no room beside the margins.
    """
    frames = to_channels_last(erp)
    size = int(frames.shape[1]), int(frames.shape[2])
    cube: Frames = from_channels_last(
        ErpToCube(layout, face_size, size, frames)(frames, interpolation)
    )
    return cube


class ErpToCube:
    """Projection of ERP maps of one size to packed cubemaps; coordinates are computed once.

    Args:
        layout: Arrangement of the faces.
        face_size: Side of a face in pixels, or (height, width) of a stretched one.
        erp_size: (height, width) of the maps.
        like: Array that gives library, device and precision.

    Raises:
        InvalidInput: The layout is unknown, or the faces leave no room beside the margins.
    """

    def __init__(
        self,
        layout: CubeLayout | str,
        face_size: int | tuple[int, int],
        erp_size: tuple[int, int],
        like: Array,
    ) -> None:
        packing = _get_packing(layout)
        faces = (face_size, face_size) if isinstance(face_size, int) else face_size
        if min(faces) <= 2 * packing.margin:
            raise InvalidInput(
                f"face_size is {face_size}, but must be more than {2 * packing.margin} pixels"
            )
        ratio = erp_size[1] / (4 * math.sqrt(faces[0] * faces[1]))
        self._reduced_size = compute_reduced_erp_size(erp_size, ratio)
        height, width = packing.rows * faces[0], packing.columns * faces[1]
        axes = make_tile_axes(packing, (height, width))
        rays = compute_cube_rays(packing, axes, np.arange(height)[:, None], np.arange(width)[None])
        x, y, z = (as_float_like(axis[None], like) for axis in rays)
        column, row = rays_to_erp_pixels((x, y, z), self._reduced_size)
        self._column, self._row = column + PAD, row + PAD

    def __call__(self, frames: Array, interpolation: Interpolation = "linear") -> Array:
        """Project `[T, H, W, C]` to `[T, h, w, C]`."""
        padded = pad_erp(reduce_area(frames, self._reduced_size))
        return sample_pixels(padded, self._column, self._row, interpolation)


def cube_to_erp(
    cube: Frames,
    erp_size: tuple[int, int],
    layout: CubeLayout | str = CubeLayout.C3X2,
    *,
    interpolation: Interpolation = "linear",
) -> Frames:
    """Project packed cubemaps to ERP frames; faces may be stretched.

    Interpolation at the edge of a face uses the pixels of the neighboring face.

    Args:
        cube: numpy uint8 or float `[T, h, w, C]`, or torch float `[T, C, h, w]`.
        erp_size: (height, width) of the result.
        layout: Arrangement of the faces.
        interpolation: "linear" or "cubic".

    Returns:
        Frames of the input's type, numpy `[T, H, W, C]` or torch `[T, C, H, W]`.

    Raises:
        InvalidInput: The layout is unknown, or the picture does not divide into its faces.
    """
    packing = _get_packing(layout)
    frames = to_channels_last(cube)
    size = int(frames.shape[1]), int(frames.shape[2])
    check_cube_size(packing, layout, size)
    erp: Frames = from_channels_last(
        CubeToErp(packing, size, erp_size, frames)(frames, interpolation)
    )
    return erp


def cube_coordinates(
    directions: np.ndarray, size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2
) -> np.ndarray:
    """Project directions to texture coordinates of a packed cubemap.

    Args:
        directions: float `[N, 3]` of any positive length.
        size: (height, width) of the packed picture in pixels.
        layout: Arrangement of the faces.

    Returns:
        (x, y) `[N, 2]` from the left and from the top, as fractions of width and height.

    Raises:
        InvalidInput: The layout is unknown, or the picture does not divide into its faces.
    """
    packing = _get_packing(layout)
    check_cube_size(packing, layout, size)
    x, y, z = np.asarray(directions, np.float64).T[:, None, None]
    column, row = rays_to_cube_pixels(packing, (x, y, z), make_tile_axes(packing, size))
    return np.stack([(column[0, 0] + 0.5) / size[1], (row[0, 0] + 0.5) / size[0]], -1)


def cube_grid(
    size: tuple[int, int], layout: CubeLayout | str = CubeLayout.C3X2, steps: int = 8
) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid of points on each face of a packed cubemap, edges included.

    Args:
        size: (height, width) of the packed picture in pixels.
        layout: Arrangement of the faces.
        steps: Grid cells along a side; n = steps + 1 points.

    Returns:
        (directions `[6, n, n, 3]`, texture coordinates `[6, n, n, 2]` as of `cube_coordinates`);
        rows run down the picture.

    Raises:
        InvalidInput: The layout is unknown, or the picture does not divide into its faces.
    """
    packing = _get_packing(layout)
    check_cube_size(packing, layout, size)
    y_axis, x_axis = make_tile_axes(packing, size)
    fraction = np.arange(steps + 1) / steps
    signed = 2 * fraction - 1
    tangent = np.tan(signed * np.pi / 4) if packing.is_equiangular else signed
    s, t = np.meshgrid(tangent, tangent)
    directions = np.einsum(
        "kij,abj->kabi", packing.face_rotations, np.stack([s, t, np.ones_like(s)], -1)
    )
    rows, columns = np.divmod(np.arange(6), packing.columns)
    x = (
        np.array([x_axis.face_start(k) + fraction * x_axis.face_pixels(k) for k in columns])
        / size[1]
    )
    y = np.array([y_axis.face_start(k) + fraction * y_axis.face_pixels(k) for k in rows]) / size[0]
    n = steps + 1
    return directions, np.stack(
        [np.broadcast_to(x[:, None, :], (6, n, n)), np.broadcast_to(y[:, :, None], (6, n, n))], -1
    )


def _get_packing(layout: CubeLayout | str) -> Packing:
    if layout not in set(CubeLayout):
        raise InvalidInput(f"layout is '{layout}', but must be one of: {', '.join(CubeLayout)}")
    return _make_packings()[CubeLayout(layout)]
