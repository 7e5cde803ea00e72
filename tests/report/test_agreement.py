"""Agreement with clip lists of the authors, on rows made by hand."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from argus.dataset import CuratedClip, SourceRow
from argus.errors import InvalidInput
from argus.media import MediaInfo
from argus.report import compare_clip_list, describe_small_splits, read_clip_list
from schemas.names import Decision, Reason, Split

WALK, RIDE, GONE = "walk_______", "ride_______", "gone_______"


def video(name: str, seconds: float, *clips: tuple[float, float, Reason | None]) -> SourceRow:
    cut = tuple(
        CuratedClip(
            clip_id=f"youtube:{name}@{start}",
            start_ms=int(start * 1000),
            end_ms=int(end * 1000),
            frames=1,
            decision=Decision.DROPPED if reason else Decision.KEPT,
            reason=reason,
        )
        for start, end, reason in clips
    )
    reason = None if any(clip.reason is None for clip in cut) else Reason.STATIC
    return SourceRow(
        source_id=f"youtube:{name}",
        url="http://e.com/",
        split=Split.TRAIN,
        decision=Decision.DROPPED if reason else Decision.KEPT,
        reason=reason,
        clips=cut,
        media=MediaInfo(
            width=64, height=32, fps=30, frames=int(30 * seconds), codec="h264", container="mp4",
            duration_s=seconds,
        ),
        recipe="0",
        run_id="r",
        code_version="0",
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


def write(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "list.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("header", [[], ["category, video_id, clip"], ["category\tvideo_id\tclip"]])
@pytest.mark.parametrize("name", ["{}", "clip_{:04d}", "v2_{:06d}.mp4"])
def test_lists_are_read_with_and_without_a_header(
    tmp_path: Path, header: list[str], name: str
) -> None:
    lines = [f"Ride, walk\t{WALK}\t{name.format(number)}" for number in (0, 3, 12)]
    assert read_clip_list(write(tmp_path, *header, *lines)) == {WALK: {0, 3, 12}}


@pytest.mark.parametrize(
    "line", [f"Ride\t{WALK}", f"Ride\t{WALK}\tclip", "Ride\tshort\t1", f"Ride,{WALK},1", "{}"]
)
def test_another_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    with pytest.raises(InvalidInput, match="line 2"):
        read_clip_list(write(tmp_path, f"Ride\t{WALK}\t1", line))


def test_spans_are_counted_by_what_both_did() -> None:
    walk = video(
        WALK, 42.5,
        (0, 10, None), (10, 16, None), (16, 20, Reason.TEXT), (20, 24, None), (24, 30, Reason.TEXT),
        (30, 40, Reason.TILTED), (40, 42.5, None),
    )  # fmt: skip
    found = compare_clip_list({WALK: {0, 2, 4}, GONE: {1}}, [walk, video("else_______", 10)])
    assert (found.videos, found.present, found.first) == (2, 1, 0)
    assert (found.both_kept, found.both_dropped, found.only_dataset) == (2, 1, 1)
    assert found.only_list == {Reason.TEXT: 1}
    assert (found.spans, found.agreement) == (5, 3 / 5)
    assert found.recall == 2 / 3


def test_videos_without_a_decision_on_their_content_are_apart() -> None:
    static = video(RIDE, 21.0)
    lost = video(GONE, 0.0)
    failed = SourceRow(
        **{**vars(lost), "decision": Decision.FAILED, "reason": Reason.REMOVED, "media": None}
    )
    found = compare_clip_list({RIDE: {1, 2, 9}, GONE: {1}}, [static, failed])
    assert found.first == 1  # no list begins at 0
    assert found.unread == {Reason.REMOVED: 1}
    assert found.only_list == {Reason.STATIC: 2, "beyond_the_end": 1}
    assert (found.agreement, found.recall) == (0, 0)
    nothing = compare_clip_list({GONE: {1}}, [])
    assert (nothing.agreement, nothing.recall) == (None, None)


def test_small_splits_are_named() -> None:
    enough = {"val": 30, "test": 31, "train": 1}
    assert describe_small_splits(enough, {"val": 5, "test": 9}) == ""
    assert "val has 30 clips of 4 videos" in describe_small_splits(enough, {"val": 4, "test": 9})
    said = describe_small_splits({"train": 900, "val": 29}, {"train": 90, "val": 9})
    assert "val has 29 clips of 9 videos" in said
    assert "test has 0 clips of 0 videos" in said
