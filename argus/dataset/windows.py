"""Windows: T consecutive frames of a clip, chosen by a key and decoded at the requested size."""

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
    """Consecutive frames of a clip."""

    clip_id: str
    erp: NDArray[np.uint8]  # [T, H, W, 3] RGB, W = 2H
    fps: Fraction
    start: int  # index of the first frame within the clip


@dataclass(frozen=True)
class UsableRows:
    """The clips of a split that a run can use, in the snapshot's order."""

    rows: tuple[SnapshotRow, ...]
    skipped: int  # shorter than the window, or below the requested quality


def select_usable_rows(
    snapshot: Snapshot,
    split: Split,
    *,
    frames: int,
    min_quality: float | None = None,
    high_quality: bool = False,
) -> UsableRows:
    """Select the clips of a split that are long enough and good enough.

    Args:
        snapshot: the version of the dataset.
        split: the split.
        frames: least number of frames, the length of a window.
        min_quality: least quality in [0, 1]; None accepts all.
        high_quality: accept only clips that curation marked as high quality.
    """
    rows = [
        SnapshotRow.from_values(values)
        for values in snapshot.table.to_pylist()
        if values["split"] == split
    ]
    good = tuple(
        row
        for row in rows
        if row.frames >= frames
        and (min_quality is None or row.quality >= min_quality)
        and (row.high_quality or not high_quality)
    )
    return UsableRows(good, len(rows) - len(good))


def require_rows(usable: UsableRows, snapshot: Snapshot, split: Split) -> tuple[SnapshotRow, ...]:
    """Return the usable clips of a split.

    Raises:
        InvalidInput: there are none.
    """
    if not usable.rows:
        raise InvalidInput(
            f"snapshot {snapshot.version} has no usable clip in split '{split}' "
            f"({usable.skipped} skipped for length or quality); add videos, and name their split "
            "in the catalogue's column split (a video that is known keeps its split)"
        )
    return usable.rows


def choose_window_start(clip_frames: int, frames: int, key: Sequence[int]) -> int:
    """Return the first frame of a window in a clip: a pure function of the key.

    Args:
        clip_frames: frames of the clip.
        frames: frames of the window, from 1 to `clip_frames`.
        key: non-negative integers, such as (seed, epoch, position).
    """
    if frames < 1 or clip_frames < frames:
        raise InvalidInput(f"a window of {frames} frames does not fit into a clip of {clip_frames}")
    word = int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0])
    return word % (clip_frames - frames + 1)


def load_window(
    dataset: Dataset, row: SnapshotRow, *, frames: int, height: int, key: Sequence[int]
) -> Window:
    """Decode a window of a clip.

    Args:
        dataset: the dataset of the snapshot.
        row: the clip.
        frames: frames of the window.
        height: height of the decoded frames; the width is twice that.
        key: see `choose_window_start`.
    """
    from argus.media import decode_clip  # flows read datasets without video libraries

    start = choose_window_start(row.frames, frames, key)
    with dataset.open_shard(row.shard) as reader:
        clip = reader.clip(row.row)
    if clip.clip_id != row.clip_id:
        raise InvalidInput(
            f"row {row.row} of {row.shard} is {clip.clip_id}, but the snapshot expects "
            f"{row.clip_id}; restore the shard"
        )
    erp = decode_clip(clip.video, indices=range(start, start + frames), size=(height, 2 * height))
    return Window(row.clip_id, erp, clip.fps, start)
