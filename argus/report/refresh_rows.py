"""Reading of the decisions that a refresh committed, for its report."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset import Dataset
from argus.report.refresh_figures import STAGES, RefreshedVideo

_COLUMNS = (
    "source_id",
    "url",
    "split",
    "decision",
    "reason",
    "detail",
    "retryable",
    "layout",
    "fetch",
    "media",
    "thumbnail",
    "recipe",
    "run_id",
    "code_version",
    "decided_at",
    "stage_seconds",
    "clips.start_ms",
    "clips.end_ms",
    "clips.reason",
)
_BATCH_ROWS = 1024


def read_refreshed_videos(dataset: Dataset, run_id: str) -> Iterator[RefreshedVideo]:
    """Yield the videos that a run decided, in no particular order, with little memory.

    A video that the run decided repeatedly is yielded once, with its last decision.

    Args:
        dataset: The dataset.
        run_id: The run.
    """
    last = _last_sequences(dataset, run_id)
    for part in dataset.iter_parts_after(0, _COLUMNS):
        rows_of_run = part.filter(pc.equal(part["run_id"], run_id))
        for batch in rows_of_run.to_batches(max_chunksize=_BATCH_ROWS):
            rows = batch.drop_columns(["clips"]).to_pylist()
            for row, clips in zip(rows, _read_clips(batch["clips"]), strict=True):
                if row["sequence"] >= last.get(row["source_id"], 0):
                    yield _to_video(row, clips)


def _last_sequences(dataset: Dataset, run_id: str) -> dict[str, int]:
    """Return the sequence number of the last row of each source with more than one."""
    parts = [
        part.filter(pc.equal(part["run_id"], run_id))
        for part in dataset.iter_parts_after(0, ["source_id", "run_id"])
    ]
    if not parts:
        return {}
    rows = (
        pa.concat_tables(parts)
        .group_by("source_id")
        .aggregate([("sequence", "max"), ("sequence", "count")])
    )
    repeated = rows.filter(pc.greater(rows["sequence_count"], 1))
    return dict(
        zip(repeated["source_id"].to_pylist(), repeated["sequence_max"].to_pylist(), strict=True)
    )


def _to_video(row: Mapping[str, Any], clips: list[tuple[int, str | None]]) -> RefreshedVideo:
    """Convert a row; `clips` are (length in ms, reason), and the reason of a kept one is None."""
    media, fetch, seconds = row["media"], row["fetch"] or {}, row["stage_seconds"] or {}
    kept = [length for length, reason in clips if reason is None]
    return RefreshedVideo(
        source_id=row["source_id"],
        url=row["url"],
        split=row["split"],
        decision=row["decision"],
        reason=row["reason"] or "",
        detail=row["detail"] or "",
        retryable=bool(row["retryable"]),
        layout=row["layout"] or "",
        decided_at=row["decided_at"],
        recipe=row["recipe"],
        code_version=row["code_version"],
        seconds=_select_stages(seconds),
        fetch_cpu_s=seconds.get("fetch_cpu") or 0.0,
        process_cpu_s=seconds.get("process_cpu") or 0.0,
        length_s=media["frames"] * media["fps_den"] / max(1, media["fps_num"]) if media else 0.0,
        download_bytes=fetch.get("bytes") or 0,
        clips=len(kept),
        clips_s=sum(kept) / 1000,
        clip_reasons=tuple(reason for _, reason in clips if reason is not None),
        thumbnail=row["thumbnail"],
    )


def _select_stages(seconds: Mapping[str, float | None]) -> dict[str, float]:
    """Return the measured seconds by stage: of a download the parts, or the whole without them."""
    whole = {"fetch"} if seconds.get("startup") is not None else set()
    found = {name: seconds.get(name) for name in STAGES if name not in whole}
    return {name: value for name, value in found.items() if value is not None}


def _read_clips(lists: pa.ListArray) -> Iterator[list[tuple[int, str | None]]]:
    """Yield the clips of each row as (length in ms, reason), without converting their scores."""
    flat = lists.flatten()
    lengths = pc.subtract(flat.field("end_ms"), flat.field("start_ms")).to_pylist()
    clips = iter(zip(lengths, flat.field("reason").to_pylist(), strict=True))
    for count in pc.fill_null(pc.list_value_length(lists), 0).to_pylist():
        yield list(islice(clips, count))
