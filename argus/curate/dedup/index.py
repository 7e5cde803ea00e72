"""Finds clips that show what an earlier clip of another video shows: by signature, in a time that hardly grows with the number of clips.

A clip is compared with whole videos, moment by moment at one offset in time, since a re-upload may begin elsewhere. Candidates come from
locality-sensitive hashing (Charikar, STOC 2002: signs of random projections) of what a moment's spectra say regardless of yaw: the products of
neighbouring bands' harmonics, in which the factor exp(i·k·yaw) cancels. What becomes of a duplicate is not decided here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import BANDS, HARMONICS, Signature, spectra

LIKENESS = 0.85
"""The least mean correlation of a duplicate's moments with those of the other video that are alike, all turned by one yaw."""
CHANGE = 0.6
"""The least correlation of what changes over these moments; another part of a shot by a camera that stands still has the same background."""
COVERED = 0.5
"""The least share of a clip's moments that must be alike at one offset in the other video, and at least two: half of a clip may be new."""

_TABLES, _BITS = 24, 24
_LOW = 8  # harmonics that are hashed: the finer ones suffer first
_ALIKE = 0.7  # the least correlation of two moments that may show the same
_STILL = 0.02  # rms change, as a share of the picture, below which there is none to compare
_YAWS = 256


@dataclass(frozen=True)
class SignedClip:
    """A clip to compare."""

    clip_id: str
    source_id: str
    start_ms: int  # from its video's first frame
    signature: Signature


@dataclass(frozen=True)
class Duplicate:
    """`clip_id` shows what the earlier clip shows (of several the one that shares most)."""

    clip_id: str
    earlier: str  # clip_id
    source_id: str  # of the earlier clip
    likeness: float  # mean correlation of the aligned moments, in [-1, 1]
    change: float  # correlation of their changes, in [-1, 1]
    yaw_deg: (
        float  # by which the earlier one is turned to the right to show the clip, in [-180, 180)
    )
    offset_s: float  # time in the clip's video − time in the earlier one


@dataclass(frozen=True, eq=False)
class _Series:
    """The comparable moments of a video, in the order of time."""

    source_id: str
    clips: tuple[str, ...]
    clip: NDArray[np.int32]  # [m] which clip a moment is of
    times_ms: NDArray[np.float64]  # [m]
    spacing_ms: float
    moments: NDArray[np.int8]  # [m, BANDS, HARMONICS, 2]

    @classmethod
    def of(cls, source_id: str, clips: Sequence[SignedClip]) -> "_Series":
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
    """What is already there. Finding and adding take about the same time however much that is."""

    def __init__(self) -> None:
        self._series: list[_Series | None] = []
        self._starts = np.zeros(0, np.int64)  # number of the first moment of each series
        self._numbers: dict[str, int] = {}  # by source_id
        self._count = 0  # moments that were ever added
        self._segments: list[_Segment] = []

    def add(self, clips: Iterable[SignedClip]) -> None:
        """Adds clips; what was there of their sources before is forgotten."""
        by_source: dict[str, list[SignedClip]] = {}
        for clip in clips:
            by_source.setdefault(clip.source_id, []).append(clip)
        added, starts = [], []
        for source_id, own in by_source.items():
            self.discard(source_id)
            series = _Series.of(source_id, own)
            if not len(series.moments):
                continue
            self._numbers[source_id] = len(self._series)
            self._series.append(series)
            starts.append(self._count)
            self._count += len(series.moments)
            added.append(series.moments)
        if added:
            self._starts = np.append(self._starts, starts)
            self._grow(_Segment.of(_keys(np.concatenate(added)), starts[0]))

    def discard(self, source_id: str) -> None:
        """Forgets a source, if it is there."""
        number = self._numbers.pop(source_id, None)
        if number is not None:
            self._series[number] = None

    def find(self, clip: SignedClip) -> Duplicate | None:
        """The clip of another source that shows the same; of several the likest. None for a clip that shows too little to compare."""
        own = _Series.of(clip.source_id, [clip])
        if len(own.moments) < 2:
            return None
        found = [
            match
            for series, offset in self._candidates(own)
            if (match := _match(own, series, offset))
        ]
        return max(found, key=lambda match: (match.likeness, match.earlier), default=None)

    def _grow(self, segment: "_Segment") -> None:
        """Segments at least halve in size one after the other, so that each moment is sorted again log(n) times only."""
        self._segments.append(segment)
        while len(self._segments) > 1 and len(self._segments[-2].keys) <= 2 * len(
            self._segments[-1].keys
        ):
            last = self._segments.pop()
            self._segments[-1] = self._segments[-1].merged(last)

    def _candidates(self, own: _Series) -> Iterator[tuple[_Series, float]]:
        """Series with a moment that is like one of these, and the offset in time that the two speak for; each once."""
        mine = spectra(own.moments)
        keys = _keys(own.moments)
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
        theirs = spectra(np.stack([series.moments[place] for _, series, place in found]))
        best, _ = _best_yaw((mine[[one for one, _, _ in found]] * theirs.conj()).sum(axis=1))
        seen = set()
        for like, (one, series, place) in zip(best, found, strict=True):
            half = max(series.spacing_ms, own.spacing_ms) / 2
            steps = round((own.times_ms[one] - series.times_ms[place]) / half)
            if like >= _ALIKE and (series.source_id, steps) not in seen:
                seen.add((series.source_id, steps))
                yield series, steps * half

    def _other(self, number: int, own: _Series) -> _Series | None:
        series = self._series[number]
        return series if series and series.source_id != own.source_id else None


def find_duplicates(clips: Iterable[SignedClip]) -> list[Duplicate]:
    """The clips that equal an earlier one of another source, in the order given; a source's clips must follow one another.

    Duplicates are not compared with: of many copies, all name the first.
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


@dataclass(frozen=True, eq=False)
class _Segment:
    """Hash tables as one sorted array: the number of a table in the high bits, its key in the low ones."""

    keys: NDArray[np.uint32]
    moments: NDArray[np.int32]

    @classmethod
    def of(cls, keys: NDArray[np.uint32], first: int) -> "_Segment":
        """Of moments' keys [m, _TABLES], the first one's number being `first`."""
        numbers = np.repeat(np.arange(first, first + len(keys), dtype=np.int32), _TABLES)
        return cls._sorted(keys.reshape(-1), numbers)

    @classmethod
    def _sorted(cls, keys: NDArray[np.uint32], moments: NDArray[np.int32]) -> "_Segment":
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], moments[order])

    def merged(self, other: "_Segment") -> "_Segment":
        return self._sorted(
            np.concatenate([self.keys, other.keys]), np.concatenate([self.moments, other.moments])
        )

    def lookup(self, keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """For every hit of the moments' keys [m, _TABLES]: which of them asked, and which moment answers."""
        flat = keys.reshape(-1)
        first, last = (
            np.searchsorted(self.keys, flat, side="left"),
            np.searchsorted(self.keys, flat, side="right"),
        )
        counts = last - first
        asked = np.repeat(np.arange(len(flat)) // _TABLES, counts)
        places = np.arange(counts.sum()) + np.repeat(first - np.cumsum(counts) + counts, counts)
        return asked, self.moments[places]


def _keys(moments: NDArray[np.int8]) -> NDArray[np.uint32]:
    """[m, _TABLES] of moments [m, BANDS, HARMONICS, 2], a few thousand at a time. ErrorSums of whole numbers, so that they do not depend on how many."""
    parts = [
        _some_keys(spectra(moments[first : first + 4096])) for first in range(0, len(moments), 4096)
    ]
    return np.concatenate(parts)


def _some_keys(vectors: NDArray[np.complex64]) -> NDArray[np.uint32]:
    low = vectors[:, :, :_LOW]
    products = [low[:, :-step] * low[:, step:].conj() for step in (1, 2)]
    blind = np.concatenate(
        [(x / np.sqrt(np.abs(x) + 1e-9)).reshape(len(x), -1) for x in products], axis=1
    )
    values = np.concatenate(
        [blind.real - blind.real.mean(axis=1, keepdims=True), blind.imag], axis=1
    )  # bands are alike: not information
    bits = (np.rint(values * 1000) @ _projections() > 0).reshape(len(values), _TABLES, _BITS)
    return np.asarray(
        bits @ (1 << np.arange(_BITS)) + (np.arange(_TABLES) << _BITS), dtype=np.uint32
    )


@cache
def _projections() -> NDArray[np.float32]:
    """Random signs [values, _TABLES·_BITS], the same for ever: raw Philox words."""
    values = 2 * _LOW * (2 * BANDS - 3)
    words = np.random.Philox(20).random_raw(values * _TABLES * _BITS)
    return np.where(words >> np.uint64(63), 1, -1).astype(np.float32).reshape(values, -1)


def _match(own: _Series, other: _Series, offset_ms: float) -> Duplicate | None:
    """Compares a clip's moments with those of a video that lie `offset_ms` before them."""
    wanted = own.times_ms - offset_ms
    nearest = _nearest(other.times_ms, wanted)
    aligned = (
        np.abs(other.times_ms[nearest] - wanted) <= max(own.spacing_ms, other.spacing_ms) * 0.51
    )
    least = max(2, COVERED * len(wanted))
    if aligned.sum() < least:
        return None
    mine, theirs = spectra(own.moments[aligned]), spectra(other.moments[nearest[aligned]])
    _, yaws = _best_yaw((mine * theirs.conj()).sum(axis=(0, 1))[None])
    theirs = theirs * np.exp(-1j * yaws[0] * np.arange(1, HARMONICS + 1))
    likes = (mine * theirs.conj()).sum(axis=(1, 2)).real
    alike = likes >= _ALIKE  # the others may be equirect that was cut in or put after it
    if alike.sum() < least:
        return None
    likeness, change = float(likes[alike].mean()), _change(mine[alike], theirs[alike])
    if likeness < LIKENESS or change < CHANGE:
        return None
    owners = other.clip[nearest[aligned][alike]]
    return Duplicate(
        clip_id=own.clips[0],
        earlier=other.clips[int(np.bincount(owners).argmax())],
        source_id=other.source_id,
        likeness=likeness,
        change=change,
        yaw_deg=float((np.degrees(yaws[0]) + 180) % 360 - 180),
        offset_s=offset_ms / 1000,
    )


def _best_yaw(cross: NDArray[np.complex64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The largest correlation over all yaws, and that yaw in radians, of cross spectra [n, HARMONICS]: an inverse Fourier transform each."""
    padded = np.zeros((len(cross), _YAWS // 2 + 1), np.complex64)
    padded[:, 1 : HARMONICS + 1] = cross
    correlations = np.fft.irfft(padded, _YAWS, axis=1) * (_YAWS / 2)
    return correlations.max(axis=1), correlations.argmax(axis=1) * (2 * np.pi / _YAWS)


def _change(mine: NDArray[np.complex64], theirs: NDArray[np.complex64]) -> float:
    """The correlation of how two aligned series [m, BANDS, HARMONICS] differ from their means; 1 where neither changes."""
    one, other = mine - mine.mean(axis=0), theirs - theirs.mean(axis=0)
    sizes = [float((np.abs(part) ** 2).sum()) for part in (one, other)]
    if max(sizes) < len(mine) * _STILL**2:
        return 1.0
    return float((one * other.conj()).sum().real / max(np.sqrt(sizes[0] * sizes[1]), 1e-9))


def _nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """The index in the rising `times` that is nearest to each wanted one."""
    right = np.clip(np.searchsorted(times, wanted), 1, max(1, len(times) - 1))
    left = right - 1
    right = np.minimum(right, len(times) - 1)
    return np.where(wanted - times[left] <= times[right] - wanted, left, right)
