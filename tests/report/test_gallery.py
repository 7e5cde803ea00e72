"""The gallery: its content, and its behavior in a browser (Chromium; skipped without one)."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from argus.curate import MAX_CLIP_ROWS, encode_contact_sheet
from argus.dataset import DatasetView, SourceRow
from argus.report import select_videos, write_gallery
from schemas.names import Decision, Reason

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def videos(sample_dataset: Path) -> list[SourceRow]:
    return DatasetView(sample_dataset).list_videos()


def data(page: Path) -> Any:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL
    )
    assert found
    return json.loads(found[1])


def test_every_video_and_clip_has_its_scores_and_its_row_of_the_sheet(
    sample_dataset: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    made = write_gallery(tmp_path / "page.html", sample_dataset, videos, limit=100)
    assert (made.videos, made.clips, made.pictures) == (7, 4, None)
    page = data(made.page)
    items = {item["id"]: item for item in page["items"]}
    assert set(items) == {video.source_id for video in videos} | {
        clip.clip_id for video in videos for clip in video.clips
    }
    for video in videos:
        item = items[video.source_id]
        assert (item["d"], item["r"], item["t"], len(item["n"])) == (
            video.decision,
            video.reason,
            video.detail,
            len(video.scores),
        )
        assert (item["p"] is None) == (video.thumbnail is None)
        for number, clip in enumerate(video.clips, start=1):
            sheet, row, views = items[clip.clip_id]["p"]
            assert (sheet, row, views) == (item["p"][0], number, True)
            assert page["sheets"][sheet]["rows"] == 1 + len(video.clips)
    static = next(item for item in page["items"] if item["r"] == Reason.STATIC)
    values = {
        page["scores"][name]: (value, threshold, kept)
        for name, value, threshold, kept in static["n"]
    }
    assert values["static.difference"][1:] == (0.005, 0)
    assert values["seam.seam_value"][1:] == (None, 1)


def test_large_pictures_are_stored_beside_the_page(
    sample_dataset: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    made = write_gallery(
        tmp_path / "page.html", sample_dataset, videos, limit=100, embedded_bytes=1000
    )
    assert made.pictures == tmp_path / "page_pictures"
    sources = [sheet["src"] for sheet in data(made.page)["sheets"]]
    assert len(sources) == sum(video.thumbnail is not None for video in videos) == 5
    thumbnails = {
        (sample_dataset / video.thumbnail).read_bytes() for video in videos if video.thumbnail
    }
    assert {(tmp_path / source).read_bytes() for source in sources} == thumbnails
    again = write_gallery(
        tmp_path / "page.html", sample_dataset, videos, limit=100, embedded_bytes=1000
    )
    assert data(again.page)["sheets"][0]["src"] == sources[0]


def test_a_lost_thumbnail_is_left_out(
    sample_dataset: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    shutil.copytree(sample_dataset / "thumbs", tmp_path / "thumbs")
    lost = next(video for video in videos if video.clips and video.thumbnail)
    (tmp_path / str(lost.thumbnail)).unlink()
    made = write_gallery(tmp_path / "page.html", tmp_path, videos, limit=100)
    items = {item["id"]: item["p"] for item in data(made.page)["items"]}
    assert items[lost.source_id] is None
    assert items[lost.clips[0].clip_id] is None


def test_a_limited_selection_contains_every_reason(videos: list[SourceRow]) -> None:
    many = [
        replace(video, source_id=f"url:{k:04d}")
        for k, video in enumerate([videos[0]] * 50 + videos)
    ]
    few = select_videos(many, 7)
    assert {video.reason for video in few} == {video.reason for video in videos}
    assert len(few) == 7
    assert [video.source_id for video in few] == sorted(video.source_id for video in few)
    assert few == select_videos(many[::-1], 7), "the selection does not depend on the order"
    assert select_videos(many, 1000) == many


def test_a_sheet_has_a_maximum_size_and_is_deterministic() -> None:
    rows = [np.full((128, 768, 3), k, np.uint8) for k in range(MAX_CLIP_ROWS + 10)]
    sheet = cv2.imdecode(np.frombuffer(encode_contact_sheet(rows), np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (128 * (1 + MAX_CLIP_ROWS), 768, 3)
    assert np.abs(sheet[128 * 5 : 128 * 6].astype(int) - 5).max() <= 2
    assert encode_contact_sheet(rows) == encode_contact_sheet(rows)


def list_ids(page: Any) -> list[str]:
    """Return the ids of the cards."""
    return page.locator("article code").all_inner_texts()


@pytest.fixture
def gallery(sample_dataset: Path, videos: list[SourceRow], tmp_path: Path) -> Path:
    return write_gallery(tmp_path / "page.html", sample_dataset, videos, limit=100).page


def press(page: Any, facet: str, value: str) -> None:
    page.locator(f'[data-facet="{facet}"][data-value="{value}"]').click()


def test_the_filters_work_in_a_browser(
    opened: Any, gallery: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    page = opened(gallery)
    every = [
        name
        for video in videos
        for name in (video.source_id, *(clip.clip_id for clip in video.clips))
    ]
    assert list_ids(page) == every
    press(page, "decision", "dropped")
    assert list_ids(page) == [
        video.source_id for video in videos if video.decision is Decision.DROPPED
    ]
    press(page, "reason", "static")
    press(page, "reason", "seam")
    assert list_ids(page) == [
        video.source_id for video in videos if video.reason in (Reason.STATIC, Reason.SEAM)
    ]
    assert page.inner_text("#count").startswith("2 of 11")
    page.click("#reset")
    assert list_ids(page) == every
    page.click('[data-kind="clip"]')
    press(page, "split", "val")
    assert list_ids(page) == [
        clip.clip_id for video in videos if video.split == "val" for clip in video.clips
    ]
    page.click("#reset")
    press(page, "layout", "none")
    assert list_ids(page) == [video.source_id for video in videos if video.layout == "none"]
    page.click("#reset")
    page.fill("#text", "BOT youtube")
    assert list_ids(page) == ["youtube:dQw4w9WgXcQ"]
    page.fill("#text", "nothing like it")
    assert list_ids(page) == []
    assert page.is_visible("#empty")
    page.screenshot(path=tmp_path / "page.png")
    assert np.ptp(cv2.imread(str(tmp_path / "page.png"))) > 200


def test_scores_can_be_filtered_by_range_and_sorted(
    opened: Any, gallery: Path, videos: list[SourceRow]
) -> None:
    page = opened(gallery)
    values = {
        video.source_id: score.value
        for video in videos
        for score in video.scores
        if (score.filter, score.name) == ("variance", "second_largest_variance")
    }
    page.click('[data-kind="video"]')
    page.select_option("#score", label="variance.second_largest_variance")
    assert set(list_ids(page)) == set(values)
    page.fill("#low", "500")
    assert set(list_ids(page)) == {
        name for name, value in values.items() if value is not None and value >= 500
    }
    page.fill("#low", "")
    page.fill("#high", "500")
    assert set(list_ids(page)) == {
        name for name, value in values.items() if value is not None and value <= 500
    }
    page.fill("#high", "")
    page.select_option("#sort", label="score, highest first")
    assert list_ids(page) == sorted(values, key=lambda name: -(values[name] or 0))
    box = page.locator("#histogram").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] + 20, box["y"] + 20)
    page.mouse.up()
    kept = list_ids(page)
    assert 0 < len(kept) < len(values)
    page.reload()
    assert list_ids(page) == kept, "the address stores the filters"


def test_scores_are_added_when_the_details_are_opened(
    opened: Any, gallery: Path, videos: list[SourceRow]
) -> None:
    page = opened(gallery)
    press(page, "reason", "static")
    assert page.locator("article table").count() == 0
    page.click("article summary")
    bad = page.locator("article tr.bad").all_inner_texts()
    assert any(
        line.split()[0] == "static.difference" and line.split()[-1] == "0.005" for line in bad
    )
    assert page.locator("article tbody tr").count() == len(
        next(video for video in videos if video.reason is Reason.STATIC).scores
    )


def test_each_card_shows_its_row_of_the_sheet(
    opened: Any, sample_dataset: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    walk = next(video for video in videos if video.url.endswith("walk.mp4"))
    sheet = cv2.imread(str(sample_dataset / str(walk.thumbnail)))
    for limit in (0, 10**9):
        page = opened(
            write_gallery(
                tmp_path / f"page{limit}.html",
                sample_dataset,
                videos,
                limit=100,
                embedded_bytes=limit,
            ).page
        )
        page.fill("#text", walk.source_id)
        page.evaluate(
            "Promise.all([...document.images].map(image => image.decode()))"
        )  # an error where one is broken
        for row in range(3):
            crop = page.locator("article").nth(row).locator(".crop.map")
            seen = cv2.imdecode(np.frombuffer(crop.screenshot(), np.uint8), cv2.IMREAD_COLOR)
            small = cv2.resize(seen, (256, 128), interpolation=cv2.INTER_AREA).astype(int)
            errors = [np.abs(small - sheet[128 * k : 128 * (k + 1), :256]).mean() for k in range(3)]
            assert int(np.argmin(errors)) == row
            assert errors[row] < 8


def test_the_button_of_a_video_shows_its_clips(
    opened: Any, gallery: Path, videos: list[SourceRow]
) -> None:
    page = opened(gallery)
    walk = next(video for video in videos if video.url.endswith("walk.mp4"))
    page.locator("article", has=page.get_by_text(walk.source_id, exact=True)).locator(
        ".what button"
    ).click()
    assert list_ids(page) == [walk.source_id, *(clip.clip_id for clip in walk.clips)]


def test_text_of_strangers_is_escaped(
    opened: Any, sample_dataset: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    hostile = replace(
        videos[0],
        url=f"javascript:{HOSTILE}",
        detail=HOSTILE,
        source_id=HOSTILE,
        decision=Decision.DROPPED,
    )
    page = opened(write_gallery(tmp_path / "page.html", sample_dataset, [hostile], limit=100).page)
    assert HOSTILE in page.inner_text("article")
    assert page.title() != "owned"
    assert page.locator("article a").count() == 0, "only http URLs are links"


def test_thousands_of_clips_are_rendered_in_pages(
    opened: Any, sample_dataset: Path, videos: list[SourceRow], tmp_path: Path
) -> None:
    walk = next(video for video in videos if video.url.endswith("walk.mp4"))
    clips = tuple(replace(walk.clips[0], clip_id=f"{walk.source_id}@{k:04d}") for k in range(5000))
    page = opened(
        write_gallery(
            tmp_path / "page.html",
            sample_dataset,
            [replace(walk, clips=clips)],
            limit=1,
            embedded_bytes=0,
        ).page
    )
    assert page.inner_text("#count").startswith("5,001 of 5,001")
    assert page.locator("article").count() < 200
    before = page.locator("article").count()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator("article").nth(before).wait_for()
    page.fill("#text", "@4321")
    assert page.inner_text("#count").startswith("1 of 5,001")


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_it_supports_dark_mode_and_narrow_windows(
    opened: Any, gallery: Path, scheme: str, dark: bool
) -> None:
    page = opened(gallery, color_scheme=scheme)
    red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])")
    assert (red < 60) == dark
    page.set_viewport_size({"width": 380, "height": 800})
    page.reload()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not page.is_visible("#text"), "the filters are collapsed"
    page.click(".panel summary")
    assert page.is_visible("#text")
