"""Facts about snapshots, for people and for programs."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset import Dataset, Snapshot

_SPAN = r"@(?P<start>\d+)-(?P<end>\d+)$"  # the end of a clip_id, in milliseconds
_NO_SUCH_SPAN = "no such span"  # the source is now cut at other times


def snapshot_facts(snapshot: Snapshot) -> dict[str, Any]:
    """Return the size and the composition of a snapshot.

    Returns:
        `version`, `digest`, `videos`, `clips`, `hours`, `frames`, `high_quality` (clips), mean
        `quality`, `shards`, and `splits` (clips by split).
    """
    table = snapshot.table
    return {
        "version": snapshot.version,
        "digest": snapshot.digest,
        "videos": pc.count_distinct(table["source_id"]).as_py(),
        "clips": len(table),
        "hours": round(clip_hours(table["clip_id"]), 4),
        "frames": pc.sum(table["frames"]).as_py() or 0,
        "high_quality": pc.sum(table["high_quality"]).as_py() or 0,
        "quality": pc.mean(table["quality"]).as_py(),
        "shards": pc.count_distinct(table["shard"]).as_py(),
        "splits": {str(split): count for split, count in snapshot.counts().items()},
    }


def clip_hours(clip_ids: Sequence[str] | pa.ChunkedArray) -> float:
    """Return the total length of clips in hours, read from their ids."""
    is_array = isinstance(clip_ids, pa.ChunkedArray)
    ids = clip_ids if is_array else pa.array(clip_ids, pa.string())
    spans = pc.extract_regex(ids, _SPAN)
    start, end = (pc.cast(pc.struct_field(spans, name), pa.int64()) for name in ("start", "end"))
    return float((pc.sum(pc.subtract(end, start)).as_py() or 0) / 3_600_000)


def removal_reasons(dataset: Dataset, clip_ids: Sequence[str]) -> dict[str, str]:
    """Return why clips of an older snapshot are no longer kept.

    Args:
        dataset: The dataset.
        clip_ids: Clips that the latest snapshot does not contain.

    Returns:
        By clip_id: the reason of the clip or of its source, or "no such span" if the source is
        now cut at other times.
    """
    if not clip_ids:
        return {}
    rows = dataset.read_latest(["source_id", "reason", "clips.clip_id", "clips.reason"])
    sources = {clip_id.rpartition("@")[0] for clip_id in clip_ids}
    rows = rows.filter(pc.is_in(rows["source_id"], pa.array(sorted(sources), pa.string())))
    source_reasons = dict(
        zip(rows["source_id"].to_pylist(), rows["reason"].to_pylist(), strict=True)
    )
    clip_reasons = {
        clip["clip_id"]: clip["reason"]
        for clips in rows["clips"].to_pylist()
        for clip in clips or ()
    }
    return {
        clip_id: clip_reasons.get(clip_id)
        or source_reasons.get(clip_id.rpartition("@")[0])
        or _NO_SUCH_SPAN
        for clip_id in clip_ids
    }
