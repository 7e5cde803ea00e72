"""A small dataset with a history: two snapshots under two recipes, and a commit between them."""

from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from argus.dataset import (
    CuratedClip,
    Dataset,
    DatasetView,
    DecidedVideo,
    ShardClip,
    SourceRow,
)
from argus.files import sha256_file
from schemas.names import Decision, Reason, Split

RECIPES = {"monday": "0" * 16, "tuesday": "1" * 16}


def make_video(source_id: str, kept: int, *, run: str = "monday", **values: Any) -> DecidedVideo:
    """Return a video of three clips of 9 s, of which the first `kept` are kept."""
    spans = [(f"{source_id}@{start}-{start + 9000}", start) for start in (0, 9000, 18000)]
    clips = tuple(
        CuratedClip(
            clip_id=clip_id,
            start_ms=start,
            end_ms=start + 9000,
            frames=45,
            decision=Decision.KEPT if number < kept else Decision.DROPPED,
            reason=None if number < kept else Reason.TEXT,
            quality=0.5 if number < kept else None,
        )
        for number, (clip_id, start) in enumerate(spans)
    )
    decision = {
        "decision": Decision.KEPT if kept else Decision.DROPPED,
        "reason": None if kept else Reason.STATIC,
    }
    row = SourceRow(
        **{
            "source_id": source_id,
            "url": f"https://videos.example/{source_id}",
            "split": Split.TRAIN,
            "clips": clips,
            "recipe": RECIPES[run],
            "run_id": run,
            "code_version": "0",
            "decided_at": datetime(2026, 1, 1 + (run == "tuesday"), tzinfo=UTC),
            **decision,
            **values,
        }
    )
    return DecidedVideo(row, [make_clip(source_id, *span, run=run) for span in spans[:kept]])


def make_clip(source_id: str, clip_id: str, start_ms: int, *, run: str) -> ShardClip:
    """Return a clip whose bytes depend on the run."""
    return ShardClip(
        clip_id=clip_id,
        source_id=source_id,
        split=Split.TRAIN,
        start_ms=start_ms,
        end_ms=start_ms + 9000,
        frames=45,
        height=32,
        width=64,
        fps=Fraction(5),
        quality=0.5,
        video=f"{clip_id} {RECIPES[run]}".encode(),
    )


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Folder of a dataset that two runs decided.

    Monday: a with three clips, b with two, c failed. Tuesday, under another recipe: a keeps one
    clip (with other bytes), b none, d has one.
    """
    dataset = Dataset(tmp_path / "history")
    dataset.commit_chunk([make_video("url:a", 3), make_video("url:b", 2)])
    dataset.publish()
    failed = {"decision": Decision.FAILED, "reason": Reason.UNREACHABLE, "retryable": True}
    dataset.commit_chunk([make_video("url:c", 0, **failed)])
    dataset.commit_chunk(
        [
            make_video(source_id, kept, run="tuesday")
            for source_id, kept in (("url:a", 1), ("url:b", 0), ("url:d", 1))
        ]
    )
    dataset.publish()
    return Path(dataset.store.uri)


@pytest.fixture
def rows(sample_dataset: Path) -> dict[str, SourceRow]:
    """The rows of the shared dataset by the kind of video."""
    return {
        row.url.rsplit("/", 1)[-1].removesuffix(".mp4"): row
        for row in DatasetView(sample_dataset).list_videos()
    }


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): sha256_file(path) for path in files}
