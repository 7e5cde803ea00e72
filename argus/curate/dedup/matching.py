"""Comparison of a clip with a video, moment by moment at one offset in time and one yaw.

A re-upload may start elsewhere, so a clip is compared with the whole series of a video's moments.
`argus.curate.dedup.index` finds the videos and offsets that are worth a comparison.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import BANDS, HARMONICS, Signature, compute_spectra

MIN_SIMILARITY = 0.85
"""Least mean correlation of a duplicate's matching moments with the other video's, at one yaw."""
MIN_CHANGE_CORRELATION = 0.6
"""Least correlation of the changes over the matching moments.

Two parts of a shot by a static camera have the same background, but other changes.
"""
MIN_COVERAGE = 0.5
"""Least share of a clip's moments that must match at one offset, and at least two moments."""

MIN_MOMENT_SIMILARITY = 0.7
"""Least correlation of two moments that may match."""

_MIN_CHANGE = 0.02  # RMS change, relative to the frame, below which a series is static
_YAWS = 256
_NO_TIMES = np.zeros(0, np.float64)
_NO_MOMENTS = np.zeros((0, BANDS, HARMONICS, 2), np.int8)


@dataclass(frozen=True)
class SignedClip:
    """A clip with its signature."""

    clip_id: str
    source_id: str
    start_ms: int  # from the first frame of its video
    signature: Signature


@dataclass(frozen=True)
class Duplicate:
    """A match: `clip_id` has the content of the earlier clip with the most common moments."""

    clip_id: str
    earlier: str  # clip_id
    source_id: str  # of the earlier clip
    similarity: float  # mean correlation of the matching moments, in [-1, 1]
    change_correlation: float  # of the changes over these moments, in [-1, 1]
    yaw_deg: float  # rotation to the right from the earlier clip to this one, in [-180, 180)
    offset_s: float  # time in this clip's video minus time in the earlier one's


@dataclass(frozen=True, eq=False)
class Series:
    """The comparable moments of a video in order of time."""

    source_id: str
    clips: tuple[str, ...]
    clip: NDArray[np.int32]  # [m] index in `clips` of each moment's clip
    times_ms: NDArray[np.float64]  # [m]
    spacing_ms: float
    moments: NDArray[np.int8]  # [m, BANDS, HARMONICS, 2]

    @classmethod
    def from_clips(cls, source_id: str, clips: Sequence[SignedClip]) -> "Series":
        """Return the series of a source's clips; it is empty without clips."""
        lengths = [len(clip.signature.moments) for clip in clips]
        owner = np.repeat(np.arange(len(clips), dtype=np.int32), lengths)
        times = np.concatenate(
            [_NO_TIMES, *(clip.start_ms + clip.signature.times_ms for clip in clips)]
        )
        moments = np.concatenate([_NO_MOMENTS, *(clip.signature.moments for clip in clips)])
        order = np.argsort(times, kind="stable")
        order = order[np.any(moments, axis=(1, 2, 3))[order]]
        spacing = max((clip.signature.spacing_ms for clip in clips), default=0)
        names = tuple(clip.clip_id for clip in clips)
        return cls(source_id, names, owner[order], times[order], spacing, moments[order])


def compare_clips(clip: SignedClip, other: SignedClip) -> Duplicate | None:
    """Compare two clips that start at the same time; return the match, or None."""
    own = Series.from_clips(clip.source_id, [clip])
    return match_series(own, Series.from_clips(other.source_id, [other]), 0.0)


def match_series(own: Series, other: Series, offset_ms: float) -> Duplicate | None:
    """Compare the moments of a clip with those of a video `offset_ms` earlier."""
    wanted = own.times_ms - offset_ms
    nearest = _find_nearest(other.times_ms, wanted)
    aligned = (
        np.abs(other.times_ms[nearest] - wanted) <= max(own.spacing_ms, other.spacing_ms) * 0.51
    )
    least = max(2, MIN_COVERAGE * len(wanted))
    if aligned.sum() < least:
        return None
    mine, theirs = (
        compute_spectra(own.moments[aligned]),
        compute_spectra(other.moments[nearest[aligned]]),
    )
    _, yaws = find_best_yaw((mine * theirs.conj()).sum(axis=(0, 1))[None])
    theirs = theirs * np.exp(-1j * yaws[0] * np.arange(1, HARMONICS + 1))
    similarities = (mine * theirs.conj()).sum(axis=(1, 2)).real
    matches = similarities >= MIN_MOMENT_SIMILARITY  # others may be material that was inserted
    if matches.sum() < least:
        return None
    similarity = float(similarities[matches].mean())
    change = _correlate_changes(mine[matches], theirs[matches])
    if similarity < MIN_SIMILARITY or change < MIN_CHANGE_CORRELATION:
        return None
    owners = other.clip[nearest[aligned][matches]]
    return Duplicate(
        clip_id=own.clips[0],
        earlier=other.clips[int(np.bincount(owners).argmax())],
        source_id=other.source_id,
        similarity=similarity,
        change_correlation=change,
        yaw_deg=float((np.degrees(yaws[0]) + 180) % 360 - 180),
        offset_s=offset_ms / 1000,
    )


def find_best_yaw(cross: NDArray[np.complex64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the largest correlation over all yaws, and that yaw in radians.

    Args:
        cross: cross spectra [n, HARMONICS]; an inverse Fourier transform gives the correlations.
    """
    padded = np.zeros((len(cross), _YAWS // 2 + 1), np.complex64)
    padded[:, 1 : HARMONICS + 1] = cross
    correlations = np.fft.irfft(padded, _YAWS, axis=1) * (_YAWS / 2)
    return correlations.max(axis=1), correlations.argmax(axis=1) * (2 * np.pi / _YAWS)


def _correlate_changes(mine: NDArray[np.complex64], theirs: NDArray[np.complex64]) -> float:
    """Return the correlation of two aligned series [m, BANDS, HARMONICS] minus their means.

    It is 1 if both are static.
    """
    one, other = mine - mine.mean(axis=0), theirs - theirs.mean(axis=0)
    sizes = [float((np.abs(part) ** 2).sum()) for part in (one, other)]
    if max(sizes) < len(mine) * _MIN_CHANGE**2:
        return 1.0
    return float((one * other.conj()).sum().real / max(np.sqrt(sizes[0] * sizes[1]), 1e-9))


def _find_nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the index in the ascending `times` that is nearest to each wanted time."""
    right = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    left = right - 1
    right = np.minimum(right, len(times) - 1)
    return np.where(wanted - times[left] <= times[right] - wanted, left, right)
