"""The plan of a refresh: what is made again, chunks of pending videos, and the counts of a run."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate import (
    AccessSettings,
    Recipe,
    RefreshPlan,
    RetryRules,
    RunTally,
    VideoSource,
    Work,
    WorkKind,
    failed_row,
    plan_refresh,
    store_recipe,
)
from argus.curate.plan import pending_chunks
from argus.dataset import Dataset, DecidedVideo, Provenance, SourceRow
from schemas.config import CurateConfig, FetchSettings
from schemas.names import Decision, Reason

SOURCES = [VideoSource(f"url:{number}", f"http://example.org/{number}") for number in range(7)]
RECIPE = Recipe.from_config(CurateConfig(catalogue="none", dataset="none", home="none"))
TERMINAL = (
    Reason.FORBIDDEN_HOST,
    Reason.TOO_LONG,
    Reason.PRIVATE,
    Reason.NOT_FOUND,
    Reason.NO_SPHERICAL_FORMAT,
    Reason.FORGOTTEN,
)


def numbers(chunks: list[list[VideoSource]]) -> list[list[int]]:
    return [[SOURCES.index(source) for source in chunk] for chunk in chunks]


def plan(*known: int) -> RefreshPlan:
    work = Work(WorkKind.EVERYTHING)
    return RefreshPlan(
        tuple(SOURCES),
        {source.source_id: work for number, source in enumerate(SOURCES) if number not in known},
    )


def test_chunks_are_fixed_slices_whatever_is_known() -> None:
    assert numbers(pending_chunks(plan(), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert numbers(pending_chunks(plan(1, 3, 4, 5), 3)) == [[0, 2], [6]]
    assert pending_chunks(plan(*range(7)), 3) == []


@settings(max_examples=50, deadline=None, derandomize=True)
@given(known=st.sets(st.integers(0, 6)), size=st.integers(1, 9))
def test_every_pending_video_is_in_its_slice_once(known: set[int], size: int) -> None:
    refresh = plan(*known)
    chunks = numbers(pending_chunks(refresh, size))
    pending = [number for number in range(7) if number not in known]
    assert [number for chunk in chunks for number in chunk] == pending
    assert all(len({number // size for number in chunk}) == 1 for chunk in chunks)
    assert refresh.known == len(known) == len(refresh.known_ids)


@pytest.mark.parametrize("change", [{}, {"height": 64}, {"fps": 4}, {"crf": 30}])
def test_a_video_that_was_taken_down_is_known(tmp_path: Path, change: dict[str, Any]) -> None:
    """Under every recipe, also one that was never seen, and before anything was committed."""
    dataset = Dataset(tmp_path)
    source = SOURCES[0]
    other = failed_row(
        SOURCES[1], Provenance("0" * 12, "r", "0"), Reason.PRIVATE, "", retryable=False
    )
    dataset.commit_chunk([DecidedVideo(other)])
    dataset.forget(source.source_id, source.url, "a notice")
    config = CurateConfig(catalogue="none", dataset="none", home="none", clip=change)
    for rules in (RetryRules(), RetryRules(reasons=("all",))):
        found = plan_refresh([source], dataset, Recipe.from_config(config), rules)
        assert (found.work, found.known) == ({}, 1)


def test_a_tally_has_every_decision() -> None:
    metrics = RunTally(considered=7, known=3).metrics()
    assert metrics == {
        "considered": 7,
        "known": 3,
        "clips": 0,
        "reevaluated": 0,
        "kept": 0,
        "dropped": 0,
        "failed": 0,
    }


def test_a_tally_counts_what_is_rare_if_there_is_any() -> None:
    tally = RunTally(considered=7, known=3, empty_entries=2, known_failures={"private": 1})
    metrics = tally.metrics()
    assert (metrics["empty_entries"], metrics["known.private"]) == (2, 1)
    assert "resplit" not in metrics


def failure(number: int, reason: Reason, run_id: str = "first", **fetch: Any) -> SourceRow:
    provenance = Provenance(RECIPE.digest, run_id, "0")
    row = failed_row(SOURCES[number], provenance, reason, "", retryable=False)
    described = AccessSettings(FetchSettings(**fetch)).describe(reason, row.url)
    return replace(row, failure_settings=described)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A dataset with a terminal failure of each reason, and a video dropped as static."""
    dataset = Dataset(tmp_path / "dataset")
    store_recipe(dataset.store, RECIPE)
    rows = [failure(number, reason) for number, reason in enumerate(TERMINAL)]
    static = replace(failure(6, Reason.STATIC), decision=Decision.DROPPED)
    dataset.commit_chunk([DecidedVideo(row) for row in (*rows, static)])
    return dataset


def pending_reasons(
    dataset: Dataset,
    retry: Collection[Reason | Literal["all"]] = (),
    run_id: str = "second",
    **fetch: Any,
) -> set[Reason]:
    rules = RetryRules(AccessSettings(FetchSettings(**fetch)), retry, run_id)
    found = plan_refresh(SOURCES, dataset, RECIPE, rules)
    assert set(found.work) == set(found.replaced)
    every = [*TERMINAL, Reason.STATIC]
    return {every[int(source_id.removeprefix("url:"))] for source_id in found.work}


def test_a_failure_is_planned_again_when_its_setting_changes(dataset: Dataset) -> None:
    assert pending_reasons(dataset) == set()
    assert pending_reasons(dataset, allow_private_hosts=True) == {Reason.FORBIDDEN_HOST}
    assert pending_reasons(dataset, max_duration_s=1e6) == {Reason.TOO_LONG}
    assert pending_reasons(dataset, max_duration_s=60) == set()
    assert pending_reasons(dataset, max_bytes=1 << 50) == set()


def test_retry_plans_failed_and_dropped_videos_of_its_reasons(dataset: Dataset) -> None:
    spherical = Reason.NO_SPHERICAL_FORMAT
    assert pending_reasons(dataset, [spherical]) == {spherical}
    assert pending_reasons(dataset, [spherical, Reason.STATIC]) == {spherical, Reason.STATIC}
    assert pending_reasons(dataset, [Reason.BLACK]) == set()
    assert pending_reasons(dataset, ["all"]) == set(TERMINAL) - {Reason.FORGOTTEN}
    assert pending_reasons(dataset, [Reason.FORGOTTEN]) == set()


def test_what_a_run_has_tried_again_is_not_tried_once_more_by_it(dataset: Dataset) -> None:
    retry = [Reason.NOT_FOUND, Reason.PRIVATE]
    rules = RetryRules(reasons=retry, run_id="second")
    replaced = plan_refresh(SOURCES, dataset, RECIPE, rules).replaced
    again = DecidedVideo(failure(3, Reason.NOT_FOUND, "second"))
    assert SOURCES[3].source_id not in dataset.find_final(
        RECIPE.digest, [SOURCES[3].source_id], replaced
    )
    assert dataset.commit_chunk([again]) is None  # the same failure, not asked for
    assert dataset.commit_chunk([again], replaced=replaced) is not None
    assert dataset.commit_chunk([again], replaced=replaced) is None  # it is newer than the plan
    assert dataset.find_final(RECIPE.digest, [SOURCES[3].source_id], replaced)
    assert pending_reasons(dataset, retry, "second") == {Reason.PRIVATE}
    assert pending_reasons(dataset, retry, "third") == {Reason.NOT_FOUND, Reason.PRIVATE}


def test_rows_of_earlier_versions_are_planned_again_by_the_default_limits(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    store_recipe(dataset.store, RECIPE)
    rows = [
        replace(failure(number, reason), failure_settings=None)
        for number, reason in enumerate(TERMINAL)
    ]
    too_long = replace(rows[1], decision=Decision.DROPPED)
    dataset.commit_chunk([DecidedVideo(row) for row in (rows[0], too_long, *rows[2:])])
    static = replace(failure(6, Reason.STATIC), decision=Decision.DROPPED)
    dataset.commit_chunk([DecidedVideo(static)])
    assert pending_reasons(dataset) == set()
    found = pending_reasons(dataset, allow_private_hosts=True, max_duration_s=1e6)
    assert found == {Reason.FORBIDDEN_HOST, Reason.TOO_LONG}


def test_a_plan_says_how_many_known_videos_failed(dataset: Dataset) -> None:
    found = plan_refresh(SOURCES, dataset, RECIPE)
    assert found.failures == dict.fromkeys(TERMINAL, 1)
    assert "7 known, of which 6 failed (forbidden_host 1, " in str(found)
    again = plan_refresh(SOURCES, dataset, RECIPE, RetryRules(reasons=["all"]))
    assert again.failures == {Reason.FORGOTTEN: 1}


def test_a_plan_counts_empty_entries(dataset: Dataset) -> None:
    assert "2 empty entries" in str(plan_refresh(SOURCES, dataset, RECIPE, empty_entries=2))
