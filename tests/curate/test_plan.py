import pytest

from argus.curate import VideoSource
from argus.curate.plan import RefreshPlan
from argus.curate.recipe import Work, WorkKind
from ray_jobs.curate.__main__ import Tally, pending_waves

SOURCES = [VideoSource(f"url:{number}", f"http://example.org/{number}") for number in range(7)]


def numbers(waves: list[list[VideoSource]]) -> list[list[int]]:
    return [[SOURCES.index(source) for source in wave] for wave in waves]


def plan(*settled: int) -> RefreshPlan:
    todo = Work(WorkKind.EVERYTHING)
    return RefreshPlan(
        tuple(SOURCES),
        {source.source_id: todo for number, source in enumerate(SOURCES) if number not in settled},
    )


def test_waves_are_fixed_slices_whatever_is_settled() -> None:
    assert numbers(pending_waves(plan(), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert numbers(pending_waves(plan(1, 3, 4, 5), 3)) == [[0, 2], [6]]
    assert pending_waves(plan(*range(7)), 3) == []


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_every_pending_video_is_in_one_wave(size: int) -> None:
    assert [number for wave in numbers(pending_waves(plan(), size)) for number in wave] == list(
        range(7)
    )


def test_a_tally_names_every_decision() -> None:
    assert Tally(considered=7, known=3).metrics() == {
        "considered": 7,
        "known": 3,
        "clips": 0,
        "redecided": 0,
        "kept": 0,
        "dropped": 0,
        "failed": 0,
    }
