"""The report of a refresh: what it counts, what it says holds the refresh up, and what a browser makes of the page."""

import base64
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from argus.dataset import ClipRow, Dataset, DecidedVideo, FetchRow, MediaRow, SecondsRow, SourceRow
from argus.report.refresh import refresh_markdown, write_refresh_report
from argus.report.refresh_figures import (
    PAUSE_S,
    PICTURED,
    SLOWEST,
    TO_RETRY,
    RefreshedVideo,
    RefreshFigures,
)
from argus.report.refresh_rows import refreshed_videos
from schemas.names import Decision, Reason, Split

START = datetime(2026, 1, 1, tzinfo=UTC)
HOSTILE = "</td><img src=x onerror=\"document.title='owned'\"> | [a](javascript:1) `x`\n# h"


def video(
    number: int,
    *,
    after_s: float = 0.0,
    reason: str = "",
    seconds: dict[str, float] | None = None,
    **values: Any,
) -> RefreshedVideo:
    decision = "kept" if not reason else "failed" if values.get("retryable") else "dropped"
    fixed = {
        "url": f"https://videos.example/{number}",
        "split": "train",
        "detail": "",
        "retryable": False,
        "layout": "mono_erp",
    }
    time = {
        "decided": START + timedelta(seconds=after_s),
        "recipe": "r",
        "code_version": "0",
        "seconds": seconds or {},
    }
    return RefreshedVideo(
        **{
            "source_id": f"url:{number:04d}",
            "decision": decision,
            "reason": reason,
            **fixed,
            **time,
            **values,
        }
    )


def figures(*videos: RefreshedVideo) -> RefreshFigures:
    made = RefreshFigures()
    for one in videos:
        made.add(one)
    return made


def test_time_is_counted_once_however_many_work_and_stops_are_left_out() -> None:
    work = {"fetch": 4.0, "decode": 6.0}
    together = [video(number, after_s=10, seconds=work, length_s=1800) for number in range(3)]
    assert figures(*together).worked_s == pytest.approx(10)
    waited = video(3, after_s=20 + PAUSE_S, seconds=work)
    assert figures(*together, waited).worked_s == pytest.approx(20 + PAUSE_S), (
        "a pause for a site's sake is part of it"
    )
    resumed = video(3, after_s=21 + PAUSE_S, seconds=work)
    assert figures(*together, resumed).worked_s == pytest.approx(20), "a stop is not"
    whole = figures(*together)
    assert (whole.per_hour(whole.videos), whole.per_hour(whole.hours_in)) == (
        pytest.approx(3 * 360),
        pytest.approx(1.5 * 360),
    )
    assert figures(video(0), video(1)).per_hour(2) is None, "nothing was measured"


def test_the_chosen_videos_do_not_depend_on_the_order() -> None:
    many = [
        video(
            k,
            reason="" if k % 3 else "timed_out",
            retryable=not k % 3,
            seconds={"decode": float(k % 40)},
            thumbnail="thumbs/x.jpg",
        )
        for k in range(4 * TO_RETRY)
    ]
    first = figures(*many)
    assert [one.worked_s for one in first.slowest] == sorted(
        (one.worked_s for one in many), reverse=True
    )[:SLOWEST]
    assert (len(first.to_retry), first.retryable) == (TO_RETRY, sum(one.retryable for one in many))
    assert {reason: len(some) for reason, some in first.pictured.items()} == {
        "": PICTURED,
        "timed_out": PICTURED,
    }
    random.Random(1).shuffle(many)
    again = figures(*many)
    assert (again.slowest, again.to_retry, again.pictured) == (
        first.slowest,
        first.to_retry,
        first.pictured,
    )


def steady(count: int, every_s: float, seconds: dict[str, float]) -> RefreshFigures:
    """Videos that end one after the other."""
    return figures(*(video(k, after_s=k * every_s, seconds=seconds) for k in range(count)))


@pytest.mark.parametrize(
    ("made", "workers", "stage"),
    [
        (
            steady(50, 12, {"fetch": 2, "decode": 12, "filters": 2, "encode": 6}),
            16,
            "network",
        ),  # one every 12 s: 1.7 of 16 workers have work
        (
            steady(50, 2.5, {"fetch": 30, "decode": 12, "filters": 2, "encode": 6}),
            8,
            "decode",
        ),  # long downloads, but every worker has work
        (steady(50, 2.5, {"fetch": 1, "decode": 2, "filters": 14, "encode": 4}), 8, "filters"),
        (steady(50, 2.5, {"fetch": 1, "decode": 2, "filters": 4, "encode": 14}), 8, "encode"),
        (
            steady(50, 5, {"fetch": 9, "decode": 4, "filters": 2, "encode": 2}),
            None,
            "network",
        ),  # the longest stage, where workers are not known
        (steady(50, 5, {"fetch": 5, "decode": 4, "filters": 2, "encode": 2}), None, "decode"),
    ],
)
def test_what_holds_it_up(made: RefreshFigures, workers: float | None, stage: str) -> None:
    found = made.bottleneck(workers)
    assert found
    assert found.stage == stage
    assert ("more workers will not help" in found.advice) == (stage == "network")
    assert (found.idle is None) == (workers is None)


def test_one_long_video_at_the_end_is_no_wait_for_the_network() -> None:
    short = [
        video(k, after_s=10 + k // 8 * 10, seconds={"fetch": 0.1, "decode": 10}) for k in range(80)
    ]
    long = video(99, after_s=600, seconds={"fetch": 0.1, "decode": 590})
    found = figures(*short, long).bottleneck(8)
    assert found
    assert found.stage == "decode"


def test_nothing_measured_has_no_bottleneck() -> None:
    again = figures(video(0, length_s=10), video(1, length_s=10, reason="static"))
    assert again.bottleneck(4) is None
    assert again.decided_again == 2
    assert figures(video(0, reason="not_found")).decided_again == 0


def row(source: str, run: str = "nightly", **values: Any) -> SourceRow:
    fixed = {
        "source_id": source,
        "url": f"https://videos.example/{source}",
        "split": Split.TRAIN,
        "recipe": "r",
        "run_id": run,
        "code_version": "0",
    }
    return SourceRow.model_validate(
        {**fixed, "decided": START, "decision": Decision.DROPPED, "reason": Reason.SEAM, **values}
    )


def clip(start_s: int, reason: Reason | None) -> ClipRow:
    decision = Decision.DROPPED if reason else Decision.KEPT
    return ClipRow(
        clip_id=f"url:a@{start_s}",
        start_ms=1000 * start_s,
        end_ms=1000 * start_s + 9000,
        frames=45,
        decision=decision,
        reason=reason,
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Two runs; the second met one video twice."""
    dataset = Dataset(tmp_path / "dataset")
    clips = (clip(0, Reason.TEXT), clip(10, Reason.STATIC), clip(20, Reason.TEXT))
    media = MediaRow(
        width=8, height=4, fps_num=30000, fps_den=1001, frames=3000, codec="h264", container="mp4"
    )
    fetch = FetchRow(
        tool="t",
        version="1",
        client="c",
        format_id="0",
        format_note="",
        bytes=12_345_678,
        sha256="0",
    )
    dataset.commit_chunk(
        [
            DecidedVideo(row(source, "yesterday", recipe="another"))
            for source in ("url:old", "url:a")
        ]
    )
    away = {"decision": Decision.FAILED, "reason": Reason.UNREACHABLE, "retryable": True}
    dataset.commit_chunk(
        [
            DecidedVideo(row("url:c", **away, seconds=SecondsRow(fetch=1.0))),
            DecidedVideo(row("url:b", **away, detail=HOSTILE)),
        ]
    )
    cut = row(
        "url:a",
        clips=clips,
        media=media,
        fetch=fetch,
        seconds=SecondsRow(fetch=1.5, decode=2.5, filters=0.5),
        detail="none is kept",
    )
    dataset.commit_chunk([DecidedVideo(cut), DecidedVideo(row("url:c", reason=Reason.BLACK))])
    return dataset


def test_a_run_has_its_own_rows_and_the_last_of_each_source(dataset: Dataset) -> None:
    found = {one.source_id: one for one in refreshed_videos(dataset, "nightly")}
    assert {name: one.reason for name, one in found.items()} == {
        "url:b": "unreachable",
        "url:a": "seam",
        "url:c": "black",
    }
    cut = found["url:a"]
    assert cut.seconds == {"fetch": 1.5, "decode": 2.5, "filters": 0.5}
    assert (cut.length_s, cut.fetched, cut.clips, cut.clip_reasons) == (
        pytest.approx(100.1),
        12_345_678,
        0,
        ("text", "static", "text"),
    )
    assert found["url:c"].seconds == {}, "the try before is not counted"
    assert list(refreshed_videos(dataset, "tomorrow")) == []
    assert list(refreshed_videos(Dataset(f"{dataset.store.uri}/none"), "nightly")) == []


def test_kept_clips_are_counted_with_their_length(decided: Path) -> None:
    kept = [one for one in refreshed_videos(Dataset(decided), "tests") if one.decision == "kept"]
    assert [(one.clips, one.clips_s) for one in kept] == [(2, 4.0), (2, 4.0)]


def test_markdown_says_what_strangers_wrote_and_does_nothing(
    dataset: Dataset, tmp_path: Path
) -> None:
    report = write_refresh_report(
        dataset,
        "nightly",
        {"considered": 10.0, "known": 3.0, "failed": 5.0},
        tmp_path / "report.html",
    )
    text = (tmp_path / "report.md").read_text()
    assert text == refresh_markdown(report)
    figures = {
        "considered": "10",
        "decided": "3",
        "failed as they did before": "4",
        "fetched": "12.3 MB",
    }
    lines = {f"| {name} | {value} |" for name, value in figures.items()}
    assert lines | {
        "| kept | 0 | 0% |",
        "| unreachable | 1 | 33% |",
        "| decode | 2.5 s | 56% |",
    } <= set(text.splitlines())
    (said,) = (line for line in text.splitlines() if "owned" in line)
    assert (
        said
        == "| url:b | unreachable | \\</td\\>\\<img src=x onerror=\"document.title='owned'\"\\> \\| \\[a\\](javascript:1) \\`x\\` \\# h |"
    )


def test_the_markdown_shows_one_picture_of_every_kind(decided: Path, tmp_path: Path) -> None:
    report = write_refresh_report(Dataset(decided), "tests", {}, tmp_path / "report.html")
    assert [strip.name for strip in report.strips] == ["kept", "black", "seam", "static"]
    (encoded,) = re.findall(
        r"\(data:image/jpeg;base64,([^)]+)\)", (tmp_path / "report.md").read_text()
    )
    sheet = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape[1] == 4 * 256 + 3 * 6
    pictures = sum(len(strip.pictures) for strip in report.strips)
    assert sheet.shape[0] == -(-pictures // 4) * (128 + 28 + 6) - 6


def test_a_lost_picture_is_left_out(decided: Path, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "dataset")
    rows = [
        replace(one, thumbnail="thumbs/lost.jpg")
        for one in refreshed_videos(Dataset(decided), "tests")
    ]
    dataset.commit_chunk(
        [DecidedVideo(row(one.source_id, thumbnail=one.thumbnail)) for one in rows]
    )
    assert write_refresh_report(dataset, "nightly", {}, tmp_path / "report.html").strips == ()


def test_the_page_needs_nothing_else_and_a_browser_shows_all_of_it(
    opened: Any, decided: Path, tmp_path: Path
) -> None:
    report = write_refresh_report(
        Dataset(decided),
        "tests",
        {"considered": 9.0, "known": 2.0, "workers": 1.0},
        tmp_path / "report.html",
    )
    assert not re.search(r'(src|href)="(?!data:)', (tmp_path / "report.html").read_text())
    page = opened(tmp_path / "report.html")
    facts = dict(
        zip(
            page.locator("dl dt").all_inner_texts(),
            page.locator("dl dd").all_inner_texts(),
            strict=True,
        )
    )
    assert (
        facts.items()
        >= {
            "considered": "9",
            "known before": "2",
            "decided": "7",
            "kept": "2",
            "clips kept": "4",
        }.items()
    )
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    assert page.locator("img").count() == sum(len(strip.pictures) for strip in report.strips) > 4
    widths = [
        bar.bounding_box()["width"] for bar in page.locator("table.bars").first.locator("i").all()
    ]
    assert len(widths) == 6, "kept, four reasons and a failure"
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.02)
    assert "youtube:dQw4w9WgXcQ" in page.inner_text("table.words")


def test_a_strangers_words_are_words(opened: Any, dataset: Dataset, tmp_path: Path) -> None:
    write_refresh_report(dataset, "nightly", {}, tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert page.title() == "Refresh nightly"
    assert "owned" in page.inner_text("table.words")
    assert page.locator("img").count() == 0


def test_a_refresh_that_found_nothing_says_so(opened: Any, tmp_path: Path) -> None:
    write_refresh_report(
        Dataset(tmp_path / "none"),
        "nightly",
        {"considered": 3.0, "known": 3.0},
        tmp_path / "report.html",
    )
    page = opened(tmp_path / "report.html")
    assert "Nothing was decided" in page.inner_text("main")
    assert page.locator("table.bars").count() == 0
