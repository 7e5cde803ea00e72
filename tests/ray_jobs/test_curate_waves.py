import pytest

from argus.curate import VideoSource
from ray_jobs.curate import Tally, pending_waves

SOURCES = [VideoSource(f"url:{number}", f"http://example.org/{number}") for number in range(7)]


def numbers(waves: list[list[VideoSource]]) -> list[list[int]]:
    return [[SOURCES.index(source) for source in wave] for wave in waves]


def test_waves_are_fixed_slices_whatever_is_settled() -> None:
    assert numbers(pending_waves(SOURCES, set(), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert numbers(pending_waves(SOURCES, {"url:1", "url:3", "url:4", "url:5"}, 3)) == [[0, 2], [6]]
    assert pending_waves(SOURCES, {source.source_id for source in SOURCES}, 3) == []


@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_every_pending_video_is_in_one_wave(size: int) -> None:
    assert [number for wave in numbers(pending_waves(SOURCES, set(), size)) for number in wave] == list(range(7))


def test_a_tally_names_every_decision() -> None:
    assert Tally(considered=7, known=3).metrics() == {"considered": 7, "known": 3, "clips": 0, "kept": 0, "dropped": 0, "failed": 0}
