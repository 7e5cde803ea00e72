"""The signature of a clip: what it shows and how that changes, whatever its yaw, encoding, size and start. Comparing lives in `duplicates`.

A moment is a triangle-weighted mean of the frames around it, so that it hardly changes when the frames are taken a little earlier or
later. Of its luma, eight bands of equal solid angle are averaged over latitude, and of each band the first harmonics along longitude are kept
but the mean: turning the camera by an angle multiplies harmonic k by exp(i·k·angle), and what every panorama has in common (a bright sky) is gone.
"""

import struct
from dataclasses import dataclass
from functools import cache
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

BANDS, HARMONICS = 8, 12
MOMENTS = 10
"""At most, in a clip: a signature has at most 4 + 10·8·12·2 = 1924 bytes."""

_ROWS, _COLUMNS = 128, 64  # of the luma that is averaged over latitude
_LEAST_CONTRAST = (
    2.0  # grey levels, rms along longitude; below it a moment shows nothing that could be compared
)
_HEADER = struct.Struct("<HH")  # version, spacing of the moments in ms
_VERSION = 1


@dataclass(frozen=True, eq=False)
class Signature:
    """The moments of a clip, `spacing_ms` apart, the first half a spacing after the clip's start."""

    spacing_ms: int
    moments: NDArray[
        np.int8
    ]  # [n, BANDS, HARMONICS, 2] real and imaginary parts, each moment scaled to its largest; all 0: nothing to compare

    @property
    def times_ms(self) -> NDArray[np.float64]:
        """Of each moment from the clip's start, [n]."""
        return np.asarray((np.arange(len(self.moments)) + 0.5) * self.spacing_ms)

    def to_bytes(self) -> bytes:
        """At most 1924 bytes, equal for equal signatures on every machine."""
        return _HEADER.pack(_VERSION, self.spacing_ms) + self.moments.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The signature that `to_bytes` wrote. Raises ValueError for other bytes."""
        size = BANDS * HARMONICS * 2
        if (
            len(data) < _HEADER.size
            or (len(data) - _HEADER.size) % size
            or data[: _HEADER.size] == bytes(_HEADER.size)
        ):
            raise ValueError(
                f"{len(data)} bytes are no signature, which has {_HEADER.size} + n·{size}"
            )
        version, spacing_ms = _HEADER.unpack_from(data)
        if version != _VERSION:
            raise ValueError(
                f"the signature has version {version}, but this code reads version {_VERSION}; curate the clip again"
            )
        return cls(
            spacing_ms,
            np.frombuffer(data, np.int8, offset=_HEADER.size).reshape(-1, BANDS, HARMONICS, 2),
        )


def clip_signature(frames: NDArray[np.uint8], fps: float, clip_s: float) -> Signature:
    """The signature of a clip of mono ERP frames [T, H, W, 3] RGB of any size at `fps`; `clip_s` is how long a clip may be.

    Moments are clip_s / MOMENTS apart in clips of any length, so that they can be compared.
    """
    spacing = clip_s / MOMENTS
    times = (np.arange(len(frames)) + 0.5) / fps
    count = min(MOMENTS, max(1, round(len(frames) / fps / spacing)))
    centres = (np.arange(count) + 0.5) * spacing
    reach = 2 * max(spacing, 1 / fps)
    weights = np.maximum(0, 1 - np.abs(times - centres[:, None]) / reach)  # [n, T]
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.tensordot(
        weights, np.stack([_harmonics(frame) for frame in frames]), axes=1
    )  # [n, BANDS, HARMONICS]
    contrast = np.sqrt((np.abs(means) ** 2).sum(axis=(1, 2)) / 2 / BANDS)
    means *= (contrast >= _LEAST_CONTRAST)[:, None, None] * np.sqrt(np.arange(1, HARMONICS + 1))
    parts = np.stack([means.real, means.imag], axis=-1)
    largest = np.abs(parts).max(axis=(1, 2, 3), keepdims=True)
    return Signature(
        round(spacing * 1000), np.rint(parts / np.maximum(largest, 1e-9) * 127).astype(np.int8)
    )


def spectra(moments: NDArray[np.int8]) -> NDArray[np.complex64]:
    """Unit vectors [n, BANDS, HARMONICS] of a signature's moments; zeros where there is nothing to compare."""
    values = moments.astype(np.float32)
    norms = np.sqrt((values**2).sum(axis=(1, 2, 3), keepdims=True))
    return np.ascontiguousarray(values / np.maximum(norms, 1)).view(np.complex64)[..., 0]


def _harmonics(frame: NDArray[np.uint8]) -> NDArray[np.complex128]:
    """Amplitudes in grey levels [BANDS, HARMONICS] along longitude; of tall frames some rows are enough."""
    rows = frame[:: max(1, len(frame) // (2 * _ROWS))]
    luma = cv2.resize(
        cv2.cvtColor(rows, cv2.COLOR_RGB2GRAY), (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA
    )
    return np.fft.rfft(_band_weights() @ luma, axis=1)[:, 1 : HARMONICS + 1] * (2 / _COLUMNS)


@cache
def _band_weights() -> NDArray[np.float64]:
    """[BANDS, _ROWS]: the share of each row in the mean of each band of equal solid angle; rows sum to 1.

    The area above sine s of a latitude is (1 − s)/2 of the sphere, and a row's pieces lie in one band or two.
    """
    top_down = (
        (1 - np.sin(np.linspace(np.pi / 2, -np.pi / 2, _ROWS + 1))) / 2 * BANDS
    )  # rows' edges in bands
    bands = np.arange(BANDS)[:, None]
    shares = np.clip(
        np.minimum(top_down[1:], bands + 1) - np.maximum(top_down[:-1], bands), 0, None
    )
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
