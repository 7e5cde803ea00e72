"""Resolution of duplicates in a chunk: order, details, splits, and resumed refreshes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from argus.curate.dedup.resolve import DuplicateResolver
from argus.dataset import (
    Dataset,
    DecidedVideo,
    ShardReader,
    SourceRow,
)
from schemas.names import Decision, Reason, Split
from tests.support.signed_videos import make_signed_video as video


def resolve_chunks(
    folder: Path, *chunks: list[DecidedVideo], on_duplicate: str = "drop"
) -> list[SourceRow]:
    """Resolve and commit chunks, publish a snapshot, and return all rows."""
    dataset = Dataset(folder)
    resolver = DuplicateResolver(
        dataset,
        {video.row.source_id for chunk in chunks for video in chunk},
        on_duplicate,
        folder / "home",
    )
    rows = []
    for chunk in chunks:
        resolved = resolver.resolve(chunk)
        dataset.commit_chunk(resolved)
        dataset.publish()
        rows += [video.row for video in resolved]
    return rows


def kept(folder: Path) -> dict[str, str]:
    table = Dataset(folder).get_snapshot().table
    return dict(zip(table["clip_id"].to_pylist(), table["split"].to_pylist(), strict=True))


@pytest.mark.parametrize("chunks", [1, 2])
def test_the_earlier_of_two_copies_stays_and_the_later_names_it(
    tmp_path: Path, chunks: int
) -> None:
    first, second = video("url:b", 1, 2), video("url:a", 1, 2)
    rows = resolve_chunks(tmp_path, *([[first, second]] if chunks == 1 else [[first], [second]]))
    assert [(row.decision, row.reason) for row in rows] == [
        (Decision.KEPT, None),
        (Decision.DROPPED, Reason.DUPLICATE),
    ]
    assert (
        rows[1].detail
        == "every clip that it could give is there already: url:a@00000-10000 shows what url:b@00000-10000 shows, turned by 0°"
    )
    assert [(clip.decision, clip.reason, clip.duplicate_of) for clip in rows[1].clips] == [
        (Decision.DROPPED, Reason.DUPLICATE, "url:b@00000-10000"),
        (Decision.DROPPED, Reason.DUPLICATE, "url:b@10000-20000"),
    ]
    scores = {
        score.name: (score.value, score.threshold, score.kept) for score in rows[1].clips[0].scores
    }
    assert scores["likeness"] == (pytest.approx(1), 0.85, False)
    assert scores["change"] == (pytest.approx(1), 0.6, False)
    assert list(kept(tmp_path)) == ["url:b@00000-10000", "url:b@10000-20000"]


def test_a_source_that_is_kept_in_part_takes_the_split_of_the_earlier(tmp_path: Path) -> None:
    rows = resolve_chunks(tmp_path, [video("url:a", 1, split=Split.TEST), video("url:b", 3, 1, 2)])
    assert (rows[1].decision, rows[1].split) == (Decision.KEPT, Split.TEST)
    assert rows[1].detail.startswith(
        "3 of 3 clips kept; 1 of these dropped and 0 marked as duplicates: url:b@10000-20000 shows what url:a@00000-"
    )
    assert kept(tmp_path) == dict.fromkeys(
        ["url:a@00000-10000", "url:b@00000-10000", "url:b@20000-30000"], Split.TEST
    )
    snapshot = Dataset(tmp_path).get_snapshot()
    with ShardReader(tmp_path / snapshot.table["shard"][0].as_py()) as reader:
        clips = [reader.clip(row) for row in range(len(reader))]
    assert [(clip.clip_id, clip.split, clip.video) for clip in clips] == [
        ("url:a@00000-10000", Split.TEST, b"1"),
        ("url:b@00000-10000", Split.TEST, b"3"),
        ("url:b@20000-30000", Split.TEST, b"2"),
    ]


def test_kept_duplicates_are_in_one_split(tmp_path: Path) -> None:
    chunk = [
        video("url:a", 1, split=Split.VAL),
        video("url:b", 2, split=Split.TEST),
        video("url:c", 1, 2, 3),
    ]
    rows = resolve_chunks(tmp_path, chunk, on_duplicate="keep")
    assert [(clip.decision, clip.duplicate_of) for clip in rows[2].clips] == [
        (Decision.KEPT, "url:a@00000-10000"),
        (Decision.DROPPED, "url:b@00000-10000"),  # the same in two splits must not be
        (Decision.KEPT, None),
    ]
    assert kept(tmp_path) == {
        "url:a@00000-10000": Split.VAL,
        "url:b@00000-10000": Split.TEST,
        "url:c@00000-10000": Split.VAL,
        "url:c@20000-30000": Split.VAL,
    }


def chunks() -> list[list[DecidedVideo]]:
    scenes = [(1, 2), (2, 3), (4,), (4, 1), (3,), (5, 5, 2)]
    videos = [
        video(f"url:{9 - number}", *one, split=list(Split)[number % 3])
        for number, one in enumerate(scenes)
    ]
    return [videos[:2], videos[2:4], videos[4:]]


@pytest.mark.parametrize("on_duplicate", ["drop", "keep"])
@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_a_killed_refresh_resolves_as_an_undisturbed_one(
    tmp_path: Path, killed_after: int, on_duplicate: str
) -> None:
    whole = resolve_chunks(tmp_path / "whole", *chunks(), on_duplicate=on_duplicate)
    torn = resolve_chunks(tmp_path / "torn", *chunks()[:killed_after], on_duplicate=on_duplicate)
    torn += resolve_chunks(tmp_path / "torn", *chunks()[killed_after:], on_duplicate=on_duplicate)
    assert torn == whole
    assert (
        Dataset(tmp_path / "torn").get_snapshot().digest
        == Dataset(tmp_path / "whole").get_snapshot().digest
    )
    assert {row.decision for row in whole} == (
        {Decision.KEPT, Decision.DROPPED} if on_duplicate == "drop" else {Decision.KEPT}
    )


def test_clips_of_pending_sources_do_not_count(tmp_path: Path) -> None:
    resolve_chunks(tmp_path, [video("url:a", 1)])
    rows = resolve_chunks(
        tmp_path, [video("url:b", 1, recipe="1" * 16)], [video("url:a", 1, recipe="1" * 16)]
    )
    assert [(row.source_id, row.decision) for row in rows] == [
        ("url:b", Decision.KEPT),
        ("url:a", Decision.DROPPED),
    ]
    assert list(kept(tmp_path)) == ["url:b@00000-10000"]


def test_concurrent_commits_of_other_writers_count(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    resolver = DuplicateResolver(dataset, {"url:b", "url:c"}, "drop", tmp_path / "home")
    dataset.commit_chunk(resolver.resolve([video("url:b", 2)]))
    Dataset(tmp_path).commit_chunk([video("url:other", 1)])
    (resolved,) = resolver.resolve([video("url:c", 1)])
    assert resolved.row.clips[0].duplicate_of == "url:other@00000-10000"


def test_a_chunk_that_lost_a_race_is_resolved_anew(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    chunk = [video("url:a", 1), video("url:b", 2), video("url:c", 1, 2, 3)]
    resolver = DuplicateResolver(dataset, {"url:a", "url:b", "url:c"}, "keep", tmp_path / "home")
    assert [one.row for one in resolver.resolve(chunk)] == [
        one.row for one in resolver.resolve(chunk)
    ]
    race = iter([[video("url:other", 2)]])

    def resolve_while_another_commits(videos: Sequence[DecidedVideo]) -> Sequence[DecidedVideo]:
        resolved = resolver.resolve(videos)
        for other in race:
            Dataset(tmp_path).commit_chunk(other)
        return resolved

    commit = dataset.commit_chunk(chunk, resolve_while_another_commits)
    assert commit is not None
    marks = {
        clip.clip_id: clip.duplicate_of
        for row in commit.rows
        for clip in row.clips
        if clip.duplicate_of
    }
    assert marks == {
        "url:b@00000-10000": "url:other@00000-10000",
        "url:c@00000-10000": "url:a@00000-10000",
        "url:c@10000-20000": "url:other@00000-10000",
    }


def make_reevaluated(source: str, *scenes: int, shard: str | None = None) -> DecidedVideo:
    """Return a kept source decided from stored scores: no bytes, perhaps a location."""
    row = video(source, *scenes, recipe="1" * 16).row
    place = {"shard": shard, "row": 0, "checksum": "0"} if shard else {}
    return DecidedVideo(replace(row, clips=tuple(replace(clip, **place) for clip in row.clips)))


def test_a_clip_kept_again_without_bytes_is_unresolved_unless_it_is_a_duplicate(
    tmp_path: Path,
) -> None:
    resolve_chunks(tmp_path, [video("url:a", 1)])
    resolver = DuplicateResolver(
        Dataset(tmp_path), {"url:b", "url:c", "url:d"}, "drop", tmp_path / "home"
    )
    chunk = [
        make_reevaluated("url:b", 1),
        make_reevaluated("url:c", 2),
        make_reevaluated("url:d", 3, shard="shards/d.arrow"),
        video("url:e", 2),
    ]
    resolved = resolver.resolve(chunk)
    assert [(one.row.source_id, one.row.reason) for one in resolved] == [
        ("url:b", Reason.DUPLICATE),
        ("url:d", None),
        ("url:e", None),
    ]
    assert [row.source_id for row in resolver.unresolved] == ["url:c"]
    assert resolver.resolve(chunk[:1]) == resolved[:1]
    assert resolver.unresolved == ()


def test_a_duplicate_keeps_its_location(tmp_path: Path) -> None:
    resolve_chunks(tmp_path, [video("url:a", 1)])
    (resolved,) = DuplicateResolver(
        Dataset(tmp_path), {"url:b"}, "drop", tmp_path / "home"
    ).resolve([make_reevaluated("url:b", 1, shard="shards/b.arrow")])
    assert [(clip.decision, clip.reason, clip.shard) for clip in resolved.row.clips] == [
        (Decision.DROPPED, Reason.DUPLICATE, "shards/b.arrow")
    ]


def test_a_retryable_failure_hides_no_clips(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.commit_chunk([video("url:a", 1)])
    running = DuplicateResolver(dataset, {"url:b"}, "drop", tmp_path / "home")
    failed = replace(
        video("url:a", recipe="1" * 16).row,
        decision=Decision.FAILED,
        reason=Reason.TIMED_OUT,
        retryable=True,
    )
    dataset.commit_chunk([DecidedVideo(failed)])
    for resolver in (running, DuplicateResolver(dataset, {"url:b"}, "drop", tmp_path / "home")):
        (resolved,) = resolver.resolve([video("url:b", 1)])
        assert resolved.row.clips[0].duplicate_of == "url:a@00000-10000"


def test_failures_and_drops_pass_as_they_are(tmp_path: Path) -> None:
    dropped = DecidedVideo(
        replace(video("url:a").row, decision=Decision.DROPPED, reason=Reason.SEAM)
    )
    assert resolve_chunks(tmp_path, [dropped, video("url:b", 1)])[0] == dropped.row
