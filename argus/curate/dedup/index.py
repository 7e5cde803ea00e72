"""Search for clips with the same content as an earlier clip of another video, by signature.

The time of a search hardly grows with the number of clips. A clip is compared with whole videos,
moment by moment at one offset in time, since a re-upload may start elsewhere. Candidates come from
locality-sensitive hashing (signs of random projections: Charikar, STOC 2002) of a yaw-invariant
feature of each moment: products of the harmonics of neighboring bands, in which the factor
exp(i·k·yaw) cancels. `argus.curate.dedup.resolve` decides about duplicates.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

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

_TABLES, _BITS = 24, 24
_LOW = 8  # harmonics that are hashed; higher ones are less robust
_MIN_MOMENT_SIMILARITY = 0.7  # least correlation of two moments that may match
_MIN_CHANGE = 0.02  # RMS change, relative to the frame, below which a series is static
_YAWS = 256


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
class _Series:
    """The comparable moments of a video in order of time."""

    source_id: str
    clips: tuple[str, ...]
    clip: NDArray[np.int32]  # [m] index in `clips` of each moment's clip
    times_ms: NDArray[np.float64]  # [m]
    spacing_ms: float
    moments: NDArray[np.int8]  # [m, BANDS, HARMONICS, 2]

    @classmethod
    def from_clips(cls, source_id: str, clips: Sequence[SignedClip]) -> "_Series":
        times = np.concatenate([clip.start_ms + clip.signature.times_ms for clip in clips])
        owner = np.repeat(
            np.arange(len(clips), dtype=np.int32), [len(clip.signature.moments) for clip in clips]
        )
        moments = np.concatenate([clip.signature.moments for clip in clips])
        order = np.argsort(times, kind="stable")
        order = order[moments[order].any(axis=(1, 2, 3))]
        spacing = max(clip.signature.spacing_ms for clip in clips)
        return cls(
            source_id,
            tuple(clip.clip_id for clip in clips),
            owner[order],
            times[order],
            spacing,
            moments[order],
        )


class DuplicateIndex:
    """The known clips. The time of a search or an addition hardly grows with their number."""

    def __init__(self) -> None:
        self._series: list[_Series | None] = []
        self._starts = np.zeros(0, np.int64)  # index of the first moment of each series
        self._numbers: dict[str, int] = {}  # by source_id
        self._count = 0  # moments added so far
        self._segments: list[_Segment] = []

    def add(self, clips: Iterable[SignedClip]) -> None:
        """Add clips, in place of earlier clips of their sources."""
        by_source: dict[str, list[SignedClip]] = {}
        for clip in clips:
            by_source.setdefault(clip.source_id, []).append(clip)
        added, starts = [], []
        for source_id, own in by_source.items():
            self.discard(source_id)
            series = _Series.from_clips(source_id, own)
            if not len(series.moments):
                continue
            self._numbers[source_id] = len(self._series)
            self._series.append(series)
            starts.append(self._count)
            self._count += len(series.moments)
            added.append(series.moments)
        if added:
            self._starts = np.append(self._starts, starts)
            self._grow(_Segment.from_keys(_compute_keys(np.concatenate(added)), starts[0]))

    def discard(self, source_id: str) -> None:
        """Remove a source; an unknown one is ignored."""
        number = self._numbers.pop(source_id, None)
        if number is not None:
            self._series[number] = None

    def find(self, clip: SignedClip) -> Duplicate | None:
        """Return the best match of a clip in another source.

        Returns:
            The match, or None if there is none, or the clip has too little contrast to compare.
        """
        own = _Series.from_clips(clip.source_id, [clip])
        if len(own.moments) < 2:
            return None
        found = [
            match
            for series, offset in self._iter_candidates(own)
            if (match := _match_series(own, series, offset))
        ]
        return max(found, key=lambda match: (match.similarity, match.earlier), default=None)

    def _grow(self, segment: "_Segment") -> None:
        """Add a segment; merge those of similar size, so a moment is sorted O(log n) times."""
        self._segments.append(segment)
        while len(self._segments) > 1 and len(self._segments[-2].keys) <= 2 * len(
            self._segments[-1].keys
        ):
            last = self._segments.pop()
            self._segments[-1] = self._segments[-1].merge(last)

    def _iter_candidates(self, own: _Series) -> Iterator[tuple[_Series, float]]:
        """Yield each series with a similar moment, and the time offset of the two moments, once."""
        mine = compute_spectra(own.moments)
        keys = _compute_keys(own.moments)
        hits = [segment.lookup(keys) for segment in self._segments]
        if not hits:
            return
        asked, numbers = (np.concatenate(parts) for parts in zip(*hits, strict=True))
        asked, numbers = np.unique(np.stack([asked, numbers]), axis=1)
        owners = np.searchsorted(self._starts, numbers, side="right") - 1
        places = numbers - self._starts[owners]
        found = [
            (one, series, place)
            for one, owner, place in zip(asked, owners, places, strict=True)
            if (series := self._other(owner, own))
        ]
        if not found:
            return
        theirs = compute_spectra(np.stack([series.moments[place] for _, series, place in found]))
        best, _ = _find_best_yaw((mine[[one for one, _, _ in found]] * theirs.conj()).sum(axis=1))
        seen = set()
        for similarity, (one, series, place) in zip(best, found, strict=True):
            half = max(series.spacing_ms, own.spacing_ms) / 2
            steps = round((own.times_ms[one] - series.times_ms[place]) / half)
            if similarity >= _MIN_MOMENT_SIMILARITY and (series.source_id, steps) not in seen:
                seen.add((series.source_id, steps))
                yield series, steps * half

    def _other(self, number: int, own: _Series) -> _Series | None:
        series = self._series[number]
        return series if series and series.source_id != own.source_id else None


def find_duplicates(clips: Iterable[SignedClip]) -> list[Duplicate]:
    """Return the clips that match an earlier clip of another source, in order.

    Duplicates are not compared with, so all copies name the first clip.

    Args:
        clips: the clips of each source in sequence.
    """
    index = DuplicateIndex()
    by_source: dict[str, list[SignedClip]] = {}
    for clip in clips:
        by_source.setdefault(clip.source_id, []).append(clip)
    found = []
    for own in by_source.values():
        matches = [index.find(clip) for clip in own]
        found += [match for match in matches if match]
        index.add(clip for clip, match in zip(own, matches, strict=True) if match is None)
    return found


def compare_clips(clip: SignedClip, other: SignedClip) -> Duplicate | None:
    """Compare two clips that start at the same time; return the match, or None."""
    own = _Series.from_clips(clip.source_id, [clip])
    return _match_series(own, _Series.from_clips(other.source_id, [other]), 0.0)


@dataclass(frozen=True, eq=False)
class _Segment:
    """Hash tables as one sorted array; a key holds the number of its table in the high bits."""

    keys: NDArray[np.uint32]
    moments: NDArray[np.int32]

    @classmethod
    def from_keys(cls, keys: NDArray[np.uint32], first: int) -> "_Segment":
        """Build the segment of keys [m, _TABLES] of moments that are numbered from `first`."""
        numbers = np.repeat(np.arange(first, first + len(keys), dtype=np.int32), _TABLES)
        return cls._sort(keys.reshape(-1), numbers)

    @classmethod
    def _sort(cls, keys: NDArray[np.uint32], moments: NDArray[np.int32]) -> "_Segment":
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], moments[order])

    def merge(self, other: "_Segment") -> "_Segment":
        """Return the segment with the entries of both."""
        return self._sort(
            np.concatenate([self.keys, other.keys]), np.concatenate([self.moments, other.moments])
        )

    def lookup(self, keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return, for every hit of the keys [m, _TABLES], the querying and the found moment."""
        flat = keys.reshape(-1)
        first, last = (
            np.searchsorted(self.keys, flat, side="left"),
            np.searchsorted(self.keys, flat, side="right"),
        )
        counts = last - first
        asked = np.repeat(np.arange(len(flat)) // _TABLES, counts)
        places = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        return asked, self.moments[places]


def _compute_keys(moments: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return the keys [m, _TABLES] of moments [m, BANDS, HARMONICS, 2], a few thousand at a time.

    The projections are sums of integers, so the keys do not depend on the batch.
    """
    parts = [
        _hash_vectors(compute_spectra(moments[first : first + 4096]))
        for first in range(0, len(moments), 4096)
    ]
    return np.concatenate(parts)


def _hash_vectors(vectors: NDArray[np.complex64]) -> NDArray[np.uint32]:
    low = vectors[:, :, :_LOW]
    products = [low[:, :-step] * low[:, step:].conj() for step in (1, 2)]
    blind = np.concatenate(
        [(x / np.sqrt(np.abs(x) + 1e-9)).reshape(len(x), -1) for x in products], axis=1
    )
    values = np.concatenate(
        [blind.real - blind.real.mean(axis=1, keepdims=True), blind.imag], axis=1
    )  # the mean over bands carries no information
    bits = (np.rint(values * 1000) @ _projections() > 0).reshape(len(values), _TABLES, _BITS)
    return np.asarray(
        bits @ (1 << np.arange(_BITS)) + (np.arange(_TABLES) << _BITS), dtype=np.uint32
    )


@cache
def _projections() -> NDArray[np.float32]:
    """Return random signs [values, _TABLES·_BITS] from raw Philox words, which never change."""
    values = 2 * _LOW * (2 * BANDS - 3)
    words = np.random.Philox(20).random_raw(values * _TABLES * _BITS)
    return np.where(words >> np.uint64(63), 1, -1).astype(np.float32).reshape(values, -1)


def _match_series(own: _Series, other: _Series, offset_ms: float) -> Duplicate | None:
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
    _, yaws = _find_best_yaw((mine * theirs.conj()).sum(axis=(0, 1))[None])
    theirs = theirs * np.exp(-1j * yaws[0] * np.arange(1, HARMONICS + 1))
    similarities = (mine * theirs.conj()).sum(axis=(1, 2)).real
    matches = similarities >= _MIN_MOMENT_SIMILARITY  # others may be material that was inserted
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


def _find_best_yaw(cross: NDArray[np.complex64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
