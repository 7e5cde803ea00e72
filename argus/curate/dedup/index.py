"""Search for clips with the same content as an earlier clip of another video, by signature.

The time of a search hardly grows with the number of clips. A clip is compared with whole videos,
moment by moment at one offset in time. Candidates are the moments that share a hash key with one of
the clip's (`hashing`), and correlate with it at some yaw. `resolve` decides about duplicates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import compute_spectra
from argus.curate.dedup.hashing import compute_keys
from argus.curate.dedup.matching import (
    MIN_MOMENT_SIMILARITY,
    Duplicate,
    Series,
    SignedClip,
    find_best_yaw,
    match_series,
)
from argus.curate.dedup.segment import Segment, SignedSource, hash_source, merge_segments

IsHidden = Callable[[str, int], bool]
"""Returns True for a source id and sequence that a search leaves out."""


class DuplicateIndex:
    """The known clips, in memory. The latest row of a source counts, as in a dataset's index."""

    def __init__(self) -> None:
        self._recent: list[Segment] = []
        self._sequence = 0

    def add(self, clips: Iterable[SignedClip]) -> None:
        """Add clips, in place of earlier clips of their sources."""
        by_source: dict[str, list[SignedClip]] = {}
        for clip in clips:
            by_source.setdefault(clip.source_id, []).append(clip)
        self._sequence += 1
        self.add_sources(
            [SignedSource(name, self._sequence, clips=own) for name, own in by_source.items()]
        )

    def discard(self, source_id: str) -> None:
        """Remove a source; an unknown one is ignored."""
        self._sequence += 1
        self.add_sources([SignedSource(source_id, self._sequence)])

    def add_sources(self, sources: Sequence[SignedSource]) -> None:
        """Add rows of sources.

        Segments of similar size are merged, so a moment is sorted O(log n) times.
        """
        if not sources:
            return
        self._recent.append(Segment.build(sources))
        while len(self._recent) > 1 and len(self._recent[-2]) <= 2 * len(self._recent[-1]):
            self._recent[-2:] = [merge_segments(self._recent[-2:])]

    def find(self, clip: SignedClip, is_hidden: IsHidden | None = None) -> Duplicate | None:
        """Return the best match of a clip in another source.

        Args:
            clip: the clip to find.
            is_hidden: tells which rows are left out.

        Returns:
            The match, or None if there is none, or the clip has too little contrast to compare.
        """
        own = Series.from_clips(clip.source_id, [clip])
        if len(own.moments) < 2:
            return None
        found = [
            match
            for series, offset in self._iter_candidates(own, is_hidden)
            if (match := match_series(own, series, offset))
        ]
        return max(found, key=lambda match: (match.similarity, match.earlier), default=None)

    def find_split(self, source_id: str) -> str:
        """Return the split of a source. Raises KeyError if it is unknown."""
        source_hash = hash_source(source_id)
        found = [
            (*latest, segment)
            for segment in self._segments
            if (latest := segment.find_latest(source_hash))
        ]
        if not found:
            raise KeyError(source_id)
        _, row, segment = max(found, key=lambda one: one[0])
        return segment.split(row)

    @property
    def _segments(self) -> Sequence[Segment]:
        return self._recent

    def _iter_candidates(
        self, own: Series, is_hidden: IsHidden | None
    ) -> Iterator[tuple[Series, float]]:
        """Yield each series with a similar moment, and the time offset of the two moments, once."""
        mine, keys = compute_spectra(own.moments), compute_keys(own.moments)
        seen = set()
        for segment in self._segments:
            asked, numbers = _find_similar(segment, mine, keys)
            rows = segment.find_rows(numbers)
            series = {row: self._read_other(segment, row, own, is_hidden) for row in set(rows)}
            for one, number, row in zip(asked, numbers, rows, strict=True):
                other = series[row]
                if other is None:
                    continue
                half = max(other.spacing_ms, own.spacing_ms) / 2
                place = number - segment.starts[row]
                steps = round((own.times_ms[one] - other.times_ms[place]) / half)
                if (other.source_id, steps) not in seen:
                    seen.add((other.source_id, steps))
                    yield other, steps * half

    def _read_other(
        self, segment: Segment, row: int, own: Series, is_hidden: IsHidden | None
    ) -> Series | None:
        """Return the series of a row if it counts and belongs to another source."""
        source_id, sequence = segment.source_id(row), int(segment.sequences[row])
        if source_id == own.source_id or (is_hidden and is_hidden(source_id, sequence)):
            return None
        source_hash = hash_source(source_id)
        found = (other.find_latest(source_hash) for other in self._segments)
        is_latest = all(latest is None or latest[0] <= sequence for latest in found)
        return segment.read_series(row) if is_latest else None


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


def _find_similar(
    segment: Segment, mine: NDArray[np.complex64], keys: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the moments that share a key and correlate: which of mine, and of the segment."""
    asked, numbers = segment.lookup(keys)
    theirs = compute_spectra(segment.moments["values"][numbers])
    best, _ = find_best_yaw((mine[asked] * theirs.conj()).sum(axis=1))
    is_similar = best >= MIN_MOMENT_SIMILARITY
    return asked[is_similar], numbers[is_similar]
