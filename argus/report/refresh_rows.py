"""Reads what a refresh committed, for its report."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from argus.dataset import Dataset
from argus.report.refresh_figures import STAGES, RefreshedVideo

_COLUMNS = (
    *(
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
    ),
    *(
        "recipe",
        "run_id",
        "code_version",
        "decided",
        "seconds",
        "clips.start_ms",
        "clips.end_ms",
        "clips.reason",
    ),
)
_BATCH = 1024  # rows


def refreshed_videos(dataset: Dataset, run_id: str) -> Iterator[RefreshedVideo]:
    """The videos that a run decided, in no order; one that it tried again counts once, as it ended. Only some of them are in memory at once."""
    ended = _ended(dataset, run_id)
    for part in dataset.parts_after(0, _COLUMNS):
        for batch in part.filter(pc.equal(part["run_id"], run_id)).to_batches(max_chunksize=_BATCH):
            rows = batch.drop_columns(["clips"]).to_pylist()
            for row, clips in zip(rows, _clips(batch["clips"]), strict=True):
                if row["sequence"] >= ended.get(row["source_id"], 0):
                    yield _video(row, clips)


def _ended(dataset: Dataset, run_id: str) -> dict[str, int]:
    """The sequences of the last rows of the sources that a run decided more than once."""
    parts = [
        part.filter(pc.equal(part["run_id"], run_id))
        for part in dataset.parts_after(0, ["source_id", "run_id"])
    ]
    if not parts:
        return {}
    rows = (
        pa.concat_tables(parts)
        .group_by("source_id")
        .aggregate([("sequence", "max"), ("sequence", "count")])
    )
    again = rows.filter(pc.greater(rows["sequence_count"], 1))
    return dict(zip(again["source_id"].to_pylist(), again["sequence_max"].to_pylist(), strict=True))


def _video(row: Mapping[str, Any], clips: list[tuple[int, str | None]]) -> RefreshedVideo:
    """`clips` are (milliseconds, reason) each; the kept ones have no reason."""
    media, fetch, seconds = row["media"], row["fetch"] or {}, row["seconds"] or {}
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
        decided=row["decided"],
        recipe=row["recipe"],
        code_version=row["code_version"],
        seconds={name: seconds[name] for name in STAGES if seconds.get(name) is not None},
        length_s=media["frames"] * media["fps_den"] / max(1, media["fps_num"]) if media else 0.0,
        fetched=fetch.get("bytes") or 0,
        clips=len(kept),
        clips_s=sum(kept) / 1000,
        clip_reasons=tuple(reason for _, reason in clips if reason is not None),
        thumbnail=row["thumbnail"],
    )


def _clips(lists: pa.ListArray) -> Iterator[list[tuple[int, str | None]]]:
    """Of each row, its clips as (milliseconds, reason); their scores are not looked at."""
    flat = lists.flatten()
    lengths = pc.subtract(flat.field("end_ms"), flat.field("start_ms")).to_pylist()
    clips = iter(zip(lengths, flat.field("reason").to_pylist(), strict=True))
    for count in pc.fill_null(pc.list_value_length(lists), 0).to_pylist():
        yield list(islice(clips, count))
