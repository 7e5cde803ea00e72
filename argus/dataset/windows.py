"""Windows: T consecutive frames of a clip, chosen purely by a key and decoded at the size that is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from argus.dataset.dataset import Dataset
from argus.dataset.records import SnapshotRow
from argus.dataset.snapshots import Snapshot
from argus.errors import InvalidInput
from schemas.names import Split


@dataclass(frozen=True)
class Window:
    """T consecutive frames of a clip."""

    clip_id: str
    erp: NDArray[np.uint8]  # [T, H, W, 3] RGB, W = 2H
    fps: Fraction
    start: int  # index of the first frame within the clip


@dataclass(frozen=True)
class UsableRows:
    """The clips of a split that a run can use, in the snapshot's order, and how many it must skip."""

    rows: tuple[SnapshotRow, ...]
    skipped: int  # shorter than the window, or not of the quality asked for


def usable_rows(
    snapshot: Snapshot,
    split: Split,
    *,
    frames: int,
    min_quality: float | None = None,
    high_quality: bool = False,
) -> UsableRows:
    """Clips of `split` with at least `frames` frames and, if given, `min_quality`; of high quality only, where that is asked for."""
    rows = [
        SnapshotRow.of(values) for values in snapshot.table.to_pylist() if values["split"] == split
    ]
    good = tuple(
        row
        for row in rows
        if row.frames >= frames
        and (min_quality is None or row.quality >= min_quality)
        and (row.high_quality or not high_quality)
    )
    return UsableRows(good, len(rows) - len(good))


def window_start(clip_frames: int, frames: int, key: Sequence[int]) -> int:
    """Where a window of `frames` begins in a clip of `clip_frames`: a pure function of the key, such as (seed, epoch, position)."""
    if frames < 1 or clip_frames < frames:
        raise InvalidInput(f"a window of {frames} frames does not fit into a clip of {clip_frames}")
    word = int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0])
    return word % (clip_frames - frames + 1)


def load_window(
    dataset: Dataset, row: SnapshotRow, *, frames: int, height: int, key: Sequence[int]
) -> Window:
    """Decodes `frames` consecutive frames of the clip at (height, 2·height). The key's numbers must not be negative."""
    from argus.media import decode_clip  # flows read datasets without video libraries

    start = window_start(row.frames, frames, key)
    with dataset.shard(row.shard) as reader:
        clip = reader.clip(row.row)
    if clip.clip_id != row.clip_id:
        raise InvalidInput(
            f"row {row.row} of {row.shard} holds {clip.clip_id}, but the snapshot says {row.clip_id}"
        )
    erp = decode_clip(clip.video, indices=range(start, start + frames), size=(height, 2 * height))
    return Window(row.clip_id, erp, clip.fps, start)
