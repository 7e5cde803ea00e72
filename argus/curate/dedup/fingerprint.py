"""The signature of a clip: its content over time, robust to yaw, encoding, size and start.

A moment is a triangle-weighted mean of the frames around it, so that it hardly changes if the
frames are taken a little earlier or later. Its luma is averaged over latitude in eight bands of
equal solid angle. Of each band the first harmonics along longitude are kept, without the mean: a
rotation of the camera by an angle multiplies harmonic k by exp(i·k·angle), and what all panoramas
have in common (a bright sky) is removed. `argus.curate.dedup.index` compares signatures.
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
"""Largest number of moments of a clip; a signature has at most 4 + 10·8·12·2 = 1924 bytes."""

_ROWS, _COLUMNS = 128, 64  # size of the luma image
_MIN_CONTRAST = 2.0  # gray levels, RMS along longitude; below it a moment cannot be compared
_HEADER = struct.Struct("<HH")  # version, spacing of the moments in ms
VERSION = 1
"""Version of the bytes; the index of another one is built anew."""


@dataclass(frozen=True, eq=False)
class Signature:
    """The moments of a clip, `spacing_ms` apart, the first half a spacing after its start.

    Attributes:
        spacing_ms: milliseconds between moments.
        moments: int8 [n, BANDS, HARMONICS, 2], real and imaginary parts; each moment is scaled to
            its largest value, and all zeros if there is nothing to compare.
    """

    spacing_ms: int
    moments: NDArray[np.int8]

    @property
    def times_ms(self) -> NDArray[np.float64]:
        """The time of each moment from the start of the clip, [n]."""
        return np.asarray((np.arange(len(self.moments)) + 0.5) * self.spacing_ms)

    def to_bytes(self) -> bytes:
        """Return at most 1924 bytes, the same on every machine."""
        return _HEADER.pack(VERSION, self.spacing_ms) + self.moments.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the signature that `to_bytes` wrote. Raises ValueError for other bytes."""
        size = BANDS * HARMONICS * 2
        if (
            len(data) < _HEADER.size
            or (len(data) - _HEADER.size) % size
            or data[: _HEADER.size] == bytes(_HEADER.size)
        ):
            raise ValueError(
                f"got {len(data)} bytes, but a signature has {_HEADER.size} + n·{size}"
            )
        version, spacing_ms = _HEADER.unpack_from(data)
        if version != VERSION:
            raise ValueError(
                f"the signature has version {version}, but this code reads version {VERSION}; "
                "curate the clip again"
            )
        return cls(
            spacing_ms,
            np.frombuffer(data, np.int8, offset=_HEADER.size).reshape(-1, BANDS, HARMONICS, 2),
        )


def compute_signature(frames: NDArray[np.uint8], fps: float, clip_s: float) -> Signature:
    """Compute the signature of a clip.

    Args:
        frames: uint8 [T, H, W, 3] RGB, mono ERP, of any size.
        fps: frame rate.
        clip_s: largest length of a clip. Moments are `clip_s / MOMENTS` apart in clips of any
            length, so that they can be compared.
    """
    spacing = clip_s / MOMENTS
    times = (np.arange(len(frames)) + 0.5) / fps
    count = min(MOMENTS, max(1, round(len(frames) / fps / spacing)))
    centers = (np.arange(count) + 0.5) * spacing
    reach = 2 * max(spacing, 1 / fps)
    weights = np.maximum(0, 1 - np.abs(times - centers[:, None]) / reach)  # [n, T]
    weights /= weights.sum(axis=1, keepdims=True)
    means = np.tensordot(
        weights, np.stack([_compute_harmonics(frame) for frame in frames]), axes=1
    )  # [n, BANDS, HARMONICS]
    contrast = np.sqrt((np.abs(means) ** 2).sum(axis=(1, 2)) / 2 / BANDS)
    means *= (contrast >= _MIN_CONTRAST)[:, None, None] * np.sqrt(np.arange(1, HARMONICS + 1))
    parts = np.stack([means.real, means.imag], axis=-1)
    largest = np.abs(parts).max(axis=(1, 2, 3), keepdims=True)
    return Signature(
        round(spacing * 1000), np.rint(parts / np.maximum(largest, 1e-9) * 127).astype(np.int8)
    )


def compute_spectra(moments: NDArray[np.int8]) -> NDArray[np.complex64]:
    """Return unit vectors [n, BANDS, HARMONICS] of a signature's moments; zeros stay zero."""
    values = moments.astype(np.float32)
    norms = np.sqrt((values**2).sum(axis=(1, 2, 3), keepdims=True))
    return np.ascontiguousarray(values / np.maximum(norms, 1)).view(np.complex64)[..., 0]


def _compute_harmonics(frame: NDArray[np.uint8]) -> NDArray[np.complex128]:
    """Return amplitudes in gray levels [BANDS, HARMONICS] along longitude.

    Rows of tall frames are subsampled.
    """
    rows = frame[:: max(1, len(frame) // (2 * _ROWS))]
    luma = cv2.resize(
        cv2.cvtColor(rows, cv2.COLOR_RGB2GRAY), (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA
    )
    return np.fft.rfft(_band_weights() @ luma, axis=1)[:, 1 : HARMONICS + 1] * (2 / _COLUMNS)


@cache
def _band_weights() -> NDArray[np.float64]:
    """Return the weight of each row in the mean of each band, [BANDS, _ROWS]; rows sum to 1.

    The bands have equal solid angle. The area north of a latitude with sine s is (1 − s)/2 of the
    sphere, and a row lies in one band or two.
    """
    latitudes = np.linspace(np.pi / 2, -np.pi / 2, _ROWS + 1)
    edges = (1 - np.sin(latitudes)) / 2 * BANDS  # of the rows, in bands
    bands = np.arange(BANDS)[:, None]
    shares = np.clip(np.minimum(edges[1:], bands + 1) - np.maximum(edges[:-1], bands), 0, None)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
