"""What a person wants to know of a snapshot, in figures that a program can read too."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.shards import Snapshot

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


def hours(clip_ids: pa.ChunkedArray) -> float:
    """The length of clips together, which their ids tell."""
    spans = pc.extract_regex(clip_ids, _SPAN)
    start, end = (pc.cast(pc.struct_field(spans, name), pa.int64()) for name in ("start", "end"))
    return float((pc.sum(pc.subtract(end, start)).as_py() or 0) / 3_600_000)
