"""What a person wants to know of a snapshot, in figures that a program can read too."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset import Dataset, Snapshot

_SPAN = r"@(?P<start>\d+)-(?P<end>\d+)$"  # the end of a clip_id


def snapshot_facts(snapshot: Snapshot) -> dict[str, Any]:
    """`version`, `digest`, `videos`, `clips`, `hours`, `frames`, `high_quality`, `shards`, `splits` (clips by split) and mean `quality`."""
    table = snapshot.table
    return {
        "version": snapshot.version,
        "digest": snapshot.digest,
        "videos": pc.count_distinct(table["source_id"]).as_py(),
        "clips": len(table),
        "hours": round(hours(table["clip_id"]), 4),
        "frames": pc.sum(table["frames"]).as_py() or 0,
        "high_quality": pc.sum(table["high_quality"]).as_py() or 0,
        "quality": pc.mean(table["quality"]).as_py(),
        "shards": pc.count_distinct(table["shard"]).as_py(),
        "splits": {str(split): count for split, count in snapshot.counts().items()},
    }


def hours(clip_ids: Sequence[str] | pa.ChunkedArray) -> float:
    """The length of clips together, which their ids tell."""
    spans = pc.extract_regex(
        clip_ids if isinstance(clip_ids, pa.ChunkedArray) else pa.array(clip_ids, pa.string()),
        _SPAN,
    )
    start, end = (pc.cast(pc.struct_field(spans, name), pa.int64()) for name in ("start", "end"))
    return float((pc.sum(pc.subtract(end, start)).as_py() or 0) / 3_600_000)


def reasons_now(dataset: Dataset, clip_ids: Sequence[str]) -> dict[str, str]:
    """Why clips that were kept once are not any more, by clip_id: the reason of the clip or of its source, or "no such span"."""
    if not clip_ids:
        return {}
    rows = dataset.latest_rows(["source_id", "reason", "clips.clip_id", "clips.reason"])
    sources = {clip_id.rpartition("@")[0] for clip_id in clip_ids}
    rows = rows.filter(pc.is_in(rows["source_id"], pa.array(sorted(sources), pa.string())))
    of_sources = dict(zip(rows["source_id"].to_pylist(), rows["reason"].to_pylist(), strict=True))
    of_clips = {
        clip["clip_id"]: clip["reason"]
        for clips in rows["clips"].to_pylist()
        for clip in clips or ()
    }
    return {
        clip_id: of_clips.get(clip_id)
        or of_sources.get(clip_id.rpartition("@")[0])
        or "no such span"
        for clip_id in clip_ids
    }
