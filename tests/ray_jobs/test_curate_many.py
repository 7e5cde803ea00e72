"""Two hundred videos from a faulty site, changed settings over them, and a catalogue mostly known."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from argus.curate import Recipe, preview_refresh, read_catalogue, store_recipe
from argus.dataset import Dataset, DecidedVideo, SourceRow, row_from_values
from argus.synth import write_video_kind
from schemas.config import CurateConfig
from schemas.names import Decision, Outcome, Reason, Split
from schemas.records import JobResult
from tests.ray_jobs.conftest import NewRefresh
from tests.support.faulty_server import Fault, FaultyServer, serve_with_faults
from tests.support.refreshes import Refresh

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1700)]

COUNTS = {"local": 200, "ray": 60}  # videos; the executors share the scheduler
BASES, PER_HOUR, AT_ONCE = 10, 5400, 4
LASTING = {
    Fault.NOT_FOUND: Reason.NOT_FOUND,
    Fault.GONE: Reason.NOT_FOUND,
    Fault.FORBIDDEN: Reason.FORBIDDEN,
    Fault.SERVER_ERROR: Reason.SERVER_ERROR,
    Fault.TRUNCATED: Reason.TRUNCATED,
    Fault.OVERSIZED: Reason.TOO_LARGE,
    Fault.ENDLESS: Reason.TOO_LARGE,
    Fault.REDIRECT_LOOP: Reason.FETCH_FAILED,
}
PASSING = (
    Fault.TOO_MANY_REQUESTS,
    Fault.TOO_MANY_REQUESTS_DATE,
    Fault.UNAVAILABLE,
    Fault.RESET,
    Fault.RESET_IN_BODY,
    Fault.STALL,
    Fault.SERVER_ERROR,
    Fault.TRUNCATED,
    Fault.SURPLUS,
)
SETTINGS: dict[str, Any] = {
    "chunk_size": 16,
    "filters": {"duplicates": "keep"},  # two hundred names of ten videos
    "fetch": {
        "allow_private_hosts": True,
        "attempts": 3,
        "backoff_s": 0.2,
        "stall_s": 2,
        "max_bytes": 4_000_000,
        "min_free_bytes": 0,
        "per_hour": PER_HOUR,
        "max_concurrent_downloads": AT_ONCE,
    },
}


@dataclass
class Many:
    """A refresh of many videos, its first result, and the site."""

    count: int
    refresh: Refresh
    result: JobResult
    site: FaultyServer
    lasting: dict[str, Reason]  # by name


@pytest.fixture(scope="module", params=["local", "ray"])
def many(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    new_refresh: NewRefresh,
) -> Iterator[Many]:
    folder = tmp_path_factory.mktemp("site")
    names = [f"v{number:03d}.mp4" for number in range(COUNTS[request.param])]
    for number, name in enumerate(names):
        if number < BASES:
            write_video_kind(
                folder / name,
                "static" if number % 5 == 4 else "walk",
                seed=number,
                seconds=3,
                height=64,
                tagged=True,
            )
        else:
            os.link(folder / names[number % BASES], folder / name)
    lasting = dict(zip(names[3::12], [*LASTING] * 2, strict=False))
    passing = dict(zip(names[1::6], [*PASSING] * 4, strict=False))
    with serve_with_faults(folder) as site:
        urls = [
            site.url(name, lasting[name], repeat_last=True)
            if name in lasting
            else site.url(name, *filter(None, [passing.get(name)]))
            for name in names
        ]
        folder = tmp_path_factory.mktemp("many")
        refresh = new_refresh(folder, urls, executor=request.param, **SETTINGS)
        yield Many(
            len(names),
            refresh,
            refresh.run(timeout_s=1200),
            site,
            {name: LASTING[fault] for name, fault in lasting.items()},
        )


def test_each_ends_with_its_reason_and_what_may_pass_recovers(many: Many) -> None:
    assert many.result.outcome is Outcome.DONE
    rows = many.refresh.rows()
    assert len(rows) == many.count
    failed = {
        name: row["reason"] for name, row in rows.items() if row["decision"] == Decision.FAILED
    }
    assert failed == many.lasting
    retryable = {
        row["reason"]
        for row in rows.values()
        if row["decision"] == Decision.FAILED and row["retryable"]
    }
    assert retryable == {Reason.SERVER_ERROR, Reason.TRUNCATED}
    others = Counter(
        (row["decision"], row["reason"]) for name, row in rows.items() if name not in failed
    )
    assert set(others) == {(Decision.KEPT, None), (Decision.DROPPED, Reason.STATIC)}
    assert all(
        row["fetch"]["bytes"] == len(many.site.body(name))
        for name, row in rows.items()
        if name not in failed
    )
    assert many.refresh.leftovers() == []


def test_the_site_was_never_asked_faster_than_the_limit(many: Many) -> None:
    window_s = 60
    assert (
        many.site.max_fetches(window_s) <= window_s * PER_HOUR / 3600 + 1 + AT_ONCE
    )  # those that were let through, and are on their way
    times = many.site.fetches()
    assert len(times) / (times[-1] - times[0]) <= PER_HOUR / 3600 * 1.02


def test_a_changed_threshold_decides_all_again_and_decodes_nothing(many: Many) -> None:
    settled = many.count - sum(
        reason in (Reason.SERVER_ERROR, Reason.TRUNCATED) for reason in many.lasting.values()
    )
    many.refresh.config |= {
        "filters": {"duplicates": "keep", "moving_share": 0.26},
        "run_id": "threshold",
    }
    before = len(many.site.log)
    result = many.refresh.run()
    assert (result.outcome, result.metrics["reevaluated"]) == (Outcome.DONE, settled)
    assert [name for name in result.metrics if name.startswith("scored.")] == []
    failing = {
        name
        for name, reason in many.lasting.items()
        if reason in (Reason.SERVER_ERROR, Reason.TRUNCATED)
    }
    assert {
        request.name for request in many.site.log[before:]
    } == failing  # what may pass is tried again, as ever


def test_a_changed_filter_measures_again_alone(many: Many) -> None:
    many.refresh.config |= {
        "filters": {"duplicates": "keep", "moving_share": 0.26, "black_level": 6},
        "run_id": "filter",
    }
    judged = many.count - len(many.lasting)
    result = many.refresh.run(timeout_s=1200)
    scored = {
        name.removeprefix("scored."): count
        for name, count in result.metrics.items()
        if name.startswith("scored.")
    }
    assert scored == {"black": judged, "caps": judged}  # the two that read it
    assert many.refresh.shards() == {
        name: digest
        for name, digest in many.refresh.shards().items()
        if name in _named(many.refresh.dataset)
    }


def _named(dataset: Dataset) -> set[str]:
    """Return the shards that the newest snapshot names: nothing was encoded anew."""
    return {
        name.removeprefix("shards/") for name in dataset.get_snapshot().table["shard"].to_pylist()
    }


def test_of_a_hundred_thousand_urls_those_not_known_are_fetched(
    tmp_path: Path, new_refresh: NewRefresh
) -> None:
    known, new = 99_900, 100
    with serve_with_faults(tmp_path) as site:
        refresh = new_refresh(
            tmp_path / "refresh",
            [site.url(f"{number}.mp4") for number in range(known + new)],
            run_id="known",
            chunk_size=64,
        )
        config = CurateConfig.model_validate(refresh.config)
        recipe, dataset = Recipe.from_config(config), Dataset(config.dataset)
        sources = read_catalogue(config.catalogue).sources
        for start in range(0, known, 9_990):
            dataset.commit_chunk(
                [
                    DecidedVideo(dropped(source.source_id, recipe.digest))
                    for source in sources[start : start + 9_990]
                ]
            )
        store_recipe(dataset.store, recipe)
        assert (preview_refresh(config).known, len(preview_refresh(config).work)) == (known, new)
        result = refresh.run()
    assert (
        result.metrics["considered"],
        result.metrics["known"],
        result.metrics["failed.not_found"],
    ) == (known + new, known, new)
    assert {request.name for request in site.log} == {
        f"{number}.mp4" for number in range(known, known + new)
    }


def dropped(source_id: str, recipe: str) -> SourceRow:
    """Return the row of a dropped video."""
    decided = {
        "decision": Decision.DROPPED,
        "reason": Reason.BLACK,
        "decided": datetime.now(UTC),
        "recipe": recipe,
    }
    source = {"source_id": source_id, "url": "http://127.0.0.1/", "split": Split.TRAIN}
    return row_from_values({**source, **decided, "run_id": "made", "code_version": "0"})
