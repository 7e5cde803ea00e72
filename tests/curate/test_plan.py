"""The plan of a refresh: chunks of pending videos, and the counts of a run."""

from hypothesis import given, settings
from hypothesis import strategies as st

from argus.curate import RefreshPlan, RunTally, VideoSource, Work, WorkKind
from argus.curate.plan import pending_chunks

SOURCES = [VideoSource(f"url:{number}", f"http://example.org/{number}") for number in range(7)]


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
