"""Commits and plans against the number of rows of a dataset; a part of `ingest.py`."""

import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from argus.curate import Recipe, preview_refresh, read_catalogue, store_recipe
from argus.dataset import CuratedClip, Dataset, DecidedVideo, Score, SourceRow
from schemas.config import CurateConfig
from schemas.names import Decision, Reason, Split

CHUNK = 32


def make_row(number: int, recipe: str, source_id: str = "") -> SourceRow:
    """Return a row of realistic size: a source with two dropped clips."""
    source_id = source_id or f"url:{number:016x}"
    scores = tuple(
        Score(filter="static", name=f"number{k}", value=k / 7, threshold=0.5) for k in range(20)
    )
    dropped: dict[str, Any] = {"decision": Decision.DROPPED, "reason": Reason.TEXT}
    clips = tuple(
        CuratedClip(
            clip_id=f"{source_id}@{start}-{start + 1}",
            start_ms=start,
            end_ms=start + 1,
            frames=50,
            scores=scores,
            **dropped,
        )
        for start in range(2)
    )
    return SourceRow(
        source_id=source_id,
        url=f"https://videos.example/{number}",
        split=Split.TRAIN,
        scores=scores,
        clips=clips,
        recipe=recipe,
        run_id="bench",
        code_version="0",
        decided_at=datetime.now(UTC),
        **dropped,
    )


def measure_commits(folder: Path, sizes: tuple[int, ...]) -> list[tuple[int, float]]:
    """Commit chunks to datasets of several sizes; return (rows, median seconds)."""
    found = []
    for size in sizes:
        dataset = Dataset(folder / f"commits{size}")
        for start in range(0, size, 5_000):
            numbers = range(start, min(size, start + 5_000))
            dataset.commit_chunk([DecidedVideo(make_row(one, "0" * 16)) for one in numbers])
        dataset = Dataset(folder / f"commits{size}")
        times = []
        for turn in range(12):
            numbers = range(10**9 + turn * CHUNK, 10**9 + (turn + 1) * CHUNK)
            chunk = [DecidedVideo(make_row(one, "0" * 16)) for one in numbers]
            start_s = time.perf_counter()
            dataset.commit_chunk(chunk)
            times.append(time.perf_counter() - start_s)
        found.append((size, statistics.median(times[2:])))
        print(
            f"  {size:7,d} rows: {found[-1][1] * 1e3:.0f} ms per commit of {CHUNK} "
            f"(first {times[0] * 1e3:.0f} ms)",
            flush=True,
        )
    return found


def measure_known(config: CurateConfig, known: int, new: int) -> None:
    """Time how long it takes to find the new videos in a catalogue that is mostly known."""
    recipe, dataset = Recipe.from_config(config), Dataset(config.dataset)
    sources = read_catalogue(Path(config.catalogue)).sources
    for start in range(0, known, 5_000):
        numbers = range(start, min(known, start + 5_000))
        dataset.commit_chunk(
            [
                DecidedVideo(make_row(number, recipe.digest, sources[number].source_id))
                for number in numbers
            ]
        )
    store_recipe(dataset.store, recipe)
    start_s = time.perf_counter()
    plan = preview_refresh(config)
    print(f"  {plan}: found in {time.perf_counter() - start_s:.1f} s")
    assert (plan.known, len(plan.work)) == (known, new)
