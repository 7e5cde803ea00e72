"""The report of a refresh: figures, bottleneck, Markdown, and the page in a browser."""

import base64
import random
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from argus.dataset import (
    CuratedClip,
    Dataset,
    DecidedVideo,
    FetchInfo,
    SourceRow,
    StageSeconds,
)
from argus.media import MediaInfo
from argus.report import (
    MAX_PAUSE_S,
    MAX_PICTURES,
    MAX_RETRIES,
    MAX_SLOWEST,
    RefreshedVideo,
    RefreshFigures,
    read_refreshed_videos,
    render_refresh_markdown,
    write_refresh_report,
)
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
    defaults = {
        "source_id": f"url:{number:04d}",
        "url": f"https://videos.example/{number}",
        "split": "train",
        "decision": decision,
        "reason": reason,
        "detail": "",
        "retryable": False,
        "layout": "mono_erp",
        "decided_at": START + timedelta(seconds=after_s),
        "recipe": "r",
        "code_version": "0",
        "seconds": seconds or {},
    }
    return RefreshedVideo(**{**defaults, **values})


def count(*videos: RefreshedVideo) -> RefreshFigures:
    figures = RefreshFigures()
    for each in videos:
        figures.add(each)
    return figures


def test_working_time_counts_parallel_work_once_and_no_long_pauses() -> None:
    work = {"fetch": 4.0, "decode": 6.0}
    parallel = [video(number, after_s=10, seconds=work, length_s=1800) for number in range(3)]
    assert count(*parallel).working_s == pytest.approx(10)
    after_pause = video(3, after_s=20 + MAX_PAUSE_S, seconds=work)
    assert count(*parallel, after_pause).working_s == pytest.approx(20 + MAX_PAUSE_S)
    after_stop = video(3, after_s=21 + MAX_PAUSE_S, seconds=work)
    assert count(*parallel, after_stop).working_s == pytest.approx(20)
    figures = count(*parallel)
    assert figures.rate_per_hour(figures.videos) == pytest.approx(3 * 360)
    assert figures.rate_per_hour(figures.hours_in) == pytest.approx(1.5 * 360)
    assert count(video(0), video(1)).rate_per_hour(2) is None, "no time was measured"


def test_the_selected_videos_do_not_depend_on_the_order() -> None:
    videos = [
        video(
            k,
            reason="" if k % 3 else "timed_out",
            retryable=not k % 3,
            seconds={"decode": float(k % 40)},
            thumbnail="thumbs/x.jpg",
        )
        for k in range(4 * MAX_RETRIES)
    ]
    first = count(*videos)
    slowest = sorted((each.work_s for each in videos), reverse=True)[:MAX_SLOWEST]
    assert [each.work_s for each in first.slowest] == slowest
    assert len(first.to_retry) == MAX_RETRIES
    assert first.retryable == sum(each.retryable for each in videos)
    pictured = {reason: len(selected) for reason, selected in first.pictured.items()}
    assert pictured == {"": MAX_PICTURES, "timed_out": MAX_PICTURES}
    random.Random(1).shuffle(videos)
    second = count(*videos)
    assert second.slowest == first.slowest
    assert second.to_retry == first.to_retry
    assert second.pictured == first.pictured


def count_series(
    number: int, interval_s: float, seconds: dict[str, float], **values: float
) -> RefreshFigures:
    """Return the figures of videos that end at regular intervals."""
    videos = (video(k, after_s=k * interval_s, seconds=seconds, **values) for k in range(number))
    return count(*videos)


STARTS = {
    "wait": 0.0,
    "startup": 3.0,
    "transfer": 0.2,
    "decode": 0.2,
    "filters": 0.1,
    "encode": 0.1,
}
WAITS = {"wait": 24.0, "startup": 2.0, "transfer": 6.0, "decode": 3, "filters": 1, "encode": 1}
SLOW_SITE = {"wait": 0.0, "startup": 6.0, "transfer": 2.0, "decode": 1, "filters": 1, "encode": 1}
SLOW_LINE = {"wait": 1.0, "startup": 2.0, "transfer": 20.0, "decode": 1, "filters": 1, "encode": 1}
FILTERS = {"wait": 0.0, "startup": 9.0, "transfer": 9.0, "decode": 2, "filters": 14, "encode": 4}


@pytest.mark.parametrize(
    ("figures", "workers", "cpus", "stage"),
    [
        # One video per 12 s occupies 1.7 of 16 workers.
        (
            count_series(50, 12, {"transfer": 2, "decode": 12, "filters": 2, "encode": 6}),
            16,
            None,
            "network",
        ),
        # Downloads are long, but all workers are busy.
        (
            count_series(50, 2.5, {"transfer": 30, "decode": 12, "filters": 2, "encode": 6}),
            8,
            None,
            "decode",
        ),
        (count_series(50, 2.5, FILTERS), 8, None, "filters"),
        (
            count_series(50, 2.5, {"transfer": 1, "decode": 2, "filters": 4, "encode": 14}),
            8,
            None,
            "encode",
        ),
        # Without the number of workers, downloads must take longer than all other stages.
        (
            count_series(50, 5, {"transfer": 9, "decode": 4, "filters": 2, "encode": 2}),
            None,
            None,
            "network",
        ),
        (
            count_series(50, 5, {"transfer": 5, "decode": 4, "filters": 2, "encode": 2}),
            None,
            None,
            "decode",
        ),
        # Workers are idle in all that follows. What they wait for is the longest part.
        (count_series(50, 12, WAITS), 4, None, "rate limit"),
        (count_series(50, 5, SLOW_SITE), 4, None, "start-up"),
        (count_series(50, 5, SLOW_LINE), 4, None, "network"),
        (count_series(50, 5, {"fetch": 20, "decode": 1}), 4, None, "download"),
        (count_series(50, 5, {"startup": 2.0}), 4, 4, "start-up"),
        # The CPUs are busy, whoever waits: starting downloads, or processing, is the limit.
        (count_series(50, 1, STARTS, fetch_cpu_s=1.6, process_cpu_s=0.3), 2, 2, "start-up"),
        (
            count_series(200, 1, SLOW_LINE, fetch_cpu_s=1.6, process_cpu_s=0.3),
            8,
            2,
            "start-up",
        ),
        (count_series(50, 2.5, FILTERS, fetch_cpu_s=0.5, process_cpu_s=4), 16, 2, "filters"),
        # The CPUs are free, so it is the longest part again.
        (count_series(50, 12, WAITS, fetch_cpu_s=1.0, process_cpu_s=5), 4, 4, "rate limit"),
        (count_series(50, 5, SLOW_LINE, fetch_cpu_s=1.0, process_cpu_s=3), 4, 4, "network"),
        # Workers wait, but no download was measured.
        (count_series(50, 12, {"decode": 1.0, "filters": 0.5}), 4, None, "decode"),
    ],
)
def test_the_bottleneck_is_found(
    figures: RefreshFigures, workers: float | None, cpus: float | None, stage: str
) -> None:
    bottleneck = figures.find_bottleneck(workers, cpus)
    assert bottleneck
    assert bottleneck.stage == stage
    assert (bottleneck.idle is None) == (workers is None)
    is_cpu_known = bool(cpus and figures.fetch_cpu_s)
    assert (bottleneck.cpu is not None) == is_cpu_known
    assert ("proxies" in bottleneck.advice) == (stage == "rate limit")


def test_one_long_video_at_the_end_is_no_wait_for_the_network() -> None:
    short = [
        video(k, after_s=10 + k // 8 * 10, seconds={"fetch": 0.1, "decode": 10}) for k in range(80)
    ]
    long = video(99, after_s=600, seconds={"fetch": 0.1, "decode": 590})
    bottleneck = count(*short, long).find_bottleneck(8)
    assert bottleneck
    assert bottleneck.stage == "decode"


def test_without_measured_time_there_is_no_bottleneck() -> None:
    reevaluated = count(video(0, length_s=10), video(1, length_s=10, reason="static"))
    assert reevaluated.find_bottleneck(4) is None
    assert reevaluated.reevaluated == 2
    assert count(video(0, reason="not_found")).reevaluated == 0


def row(source_id: str, run_id: str = "nightly", **values: Any) -> SourceRow:
    defaults = {
        "source_id": source_id,
        "url": f"https://videos.example/{source_id}",
        "split": Split.TRAIN,
        "decision": Decision.DROPPED,
        "reason": Reason.SEAM,
        "recipe": "r",
        "run_id": run_id,
        "code_version": "0",
        "decided_at": START,
    }
    return SourceRow(**{**defaults, **values})


def clip(start_s: int, reason: Reason | None) -> CuratedClip:
    return CuratedClip(
        clip_id=f"url:a@{start_s}",
        start_ms=1000 * start_s,
        end_ms=1000 * start_s + 9000,
        frames=45,
        decision=Decision.DROPPED if reason else Decision.KEPT,
        reason=reason,
    )


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Create a dataset of two runs. The second one decided the video `url:c` twice."""
    dataset = Dataset(tmp_path / "dataset")
    earlier = (row(name, "yesterday", recipe="another") for name in ("url:old", "url:a"))
    dataset.commit_chunk([DecidedVideo(each) for each in earlier])
    failure = {"decision": Decision.FAILED, "reason": Reason.UNREACHABLE, "retryable": True}
    dataset.commit_chunk(
        [
            DecidedVideo(row("url:c", **failure, stage_seconds=StageSeconds(fetch=1.0))),
            DecidedVideo(row("url:b", **failure, detail=HOSTILE)),
        ]
    )
    processed = row(
        "url:a",
        clips=(clip(0, Reason.TEXT), clip(10, Reason.STATIC), clip(20, Reason.TEXT)),
        media=MediaInfo(8, 4, Fraction(30000, 1001), 3000, 100.1, "h264", "mp4"),
        fetch=FetchInfo(
            tool="t",
            version="1",
            client="c",
            format_id="0",
            format_note="",
            bytes=12_345_678,
            sha256="0",
        ),
        stage_seconds=StageSeconds(fetch=1.5, decode=2.5, filters=0.5),
        detail="no clip is kept",
    )
    dataset.commit_chunk([DecidedVideo(processed), DecidedVideo(row("url:c", reason=Reason.BLACK))])
    return dataset


def test_the_last_row_of_each_source_of_a_run_is_read(dataset: Dataset) -> None:
    videos = {video.source_id: video for video in read_refreshed_videos(dataset, "nightly")}
    assert {name: video.reason for name, video in videos.items()} == {
        "url:b": "unreachable",
        "url:a": "seam",
        "url:c": "black",
    }
    processed = videos["url:a"]
    assert processed.seconds == {"fetch": 1.5, "decode": 2.5, "filters": 0.5}
    assert processed.length_s == pytest.approx(100.1)
    assert (processed.download_bytes, processed.clips) == (12_345_678, 0)
    assert processed.clip_reasons == ("text", "static", "text")
    assert videos["url:c"].seconds == {}, "the earlier attempt is not counted"
    assert list(read_refreshed_videos(dataset, "tomorrow")) == []
    assert list(read_refreshed_videos(Dataset(f"{dataset.store.uri}/none"), "nightly")) == []


def test_kept_clips_are_counted_with_their_length(sample_dataset: Path) -> None:
    videos = read_refreshed_videos(Dataset(sample_dataset), "tests")
    kept = [(video.clips, video.clips_s) for video in videos if video.decision == "kept"]
    assert kept == [(2, 4.0), (2, 4.0)]


def test_markdown_shows_the_figures_and_escapes_text_of_strangers(
    dataset: Dataset, tmp_path: Path
) -> None:
    metrics = {"considered": 10.0, "known": 3.0, "failed": 5.0}
    report = write_refresh_report(dataset, "nightly", metrics, tmp_path / "report.html")
    text = (tmp_path / "report.md").read_text()
    assert text == render_refresh_markdown(report)
    rows = {
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in text.splitlines()
        if line.startswith("|")
    }
    assert rows >= {
        ("considered", "10"),
        ("decided", "3"),
        ("failed again", "4"),
        ("downloaded", "12.3 MB"),
        ("kept", "0", "0%"),
        ("unreachable", "1", "33%"),
        ("decode", "2.5 s", "56%"),
    }
    (line,) = (line for line in text.splitlines() if "owned" in line)
    escaped = (
        "\\</td\\>\\<img src=x onerror=\"document.title='owned'\"\\> "
        "\\| \\[a\\](javascript:1) \\`x\\` \\# h"
    )
    assert line == f"| url:b | unreachable | {escaped} |"


def test_the_markdown_has_one_picture_with_all_outcomes(
    sample_dataset: Path, tmp_path: Path
) -> None:
    report = write_refresh_report(Dataset(sample_dataset), "tests", {}, tmp_path / "report.html")
    assert [strip.name for strip in report.strips] == ["kept", "black", "seam", "static"]
    markdown = (tmp_path / "report.md").read_text()
    (encoded,) = re.findall(r"\(data:image/jpeg;base64,([^)]+)\)", markdown)
    sheet = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
    pictures = sum(len(strip.pictures) for strip in report.strips)
    assert sheet.shape[1] == 4 * 256 + 3 * 6
    assert sheet.shape[0] == -(-pictures // 4) * (128 + 28 + 6) - 6


def test_a_lost_picture_is_left_out(sample_dataset: Path, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "dataset")
    videos = read_refreshed_videos(Dataset(sample_dataset), "tests")
    rows = [row(video.source_id, thumbnail="thumbs/lost.jpg") for video in videos]
    dataset.commit_chunk([DecidedVideo(each) for each in rows])
    assert write_refresh_report(dataset, "nightly", {}, tmp_path / "report.html").strips == ()


def test_a_browser_shows_the_page_without_other_files(
    opened: Any, sample_dataset: Path, tmp_path: Path
) -> None:
    metrics = {"considered": 9.0, "known": 2.0, "workers": 1.0}
    path = tmp_path / "report.html"
    report = write_refresh_report(Dataset(sample_dataset), "tests", metrics, path)
    assert not re.search(r'(src|href)="(?!data:)', path.read_text())
    page = opened(path)
    names, values = page.locator("dl dt"), page.locator("dl dd")
    facts = dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True))
    expected = {
        "considered": "9",
        "known before": "2",
        "decided": "7",
        "kept": "2",
        "clips kept": "4",
    }
    assert facts.items() >= expected.items()
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    assert page.locator("img").count() == sum(len(strip.pictures) for strip in report.strips) > 4
    bars = page.locator("table.bars").first.locator("i").all()
    widths = [bar.bounding_box()["width"] for bar in bars]
    assert len(widths) == 6, "kept, four reasons and a failure"
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.02)
    assert "youtube:dQw4w9WgXcQ" in page.inner_text("table.words")


def test_the_page_escapes_text_of_strangers(opened: Any, dataset: Dataset, tmp_path: Path) -> None:
    write_refresh_report(dataset, "nightly", {}, tmp_path / "report.html")
    page = opened(tmp_path / "report.html")
    assert page.title() == "Refresh nightly"
    assert "owned" in page.inner_text("table.words")
    assert page.locator("img").count() == 0


def test_a_refresh_without_new_videos_has_only_facts(opened: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    metrics = {"considered": 3.0, "known": 3.0}
    write_refresh_report(Dataset(tmp_path / "none"), "nightly", metrics, path)
    page = opened(path)
    assert page.locator("dl dd").all_inner_texts()[:2] == ["3", "3"]
    assert page.locator("table.bars").count() == 0
