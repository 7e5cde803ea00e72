"""The gallery: a page of kept and dropped videos and clips with pictures, reasons and scores.

The page filters in the browser. Its pictures are the contact sheets of `argus.curate.thumbnails`,
inside the page if they are few, otherwise in a folder beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from argus.curate import ROW_HEIGHT, SHEET_WIDTH, video_filters
from argus.dataset import CuratedClip, Score, SourceRow, Store
from argus.files import replace_atomically, write_text
from argus.report.page import data_uri, render_page
from argus.runs import ProgressHook
from schemas.config import FilterSettings

MAX_EMBEDDED_BYTES = 24_000_000
"""Maximum size of all pictures together that are put inside the page."""

_DIGITS = 5  # significant digits of scores


@dataclass(frozen=True)
class Gallery:
    """The files of a written gallery."""

    page: Path
    videos: int
    clips: int
    pictures: Path | None  # the folder beside the page; None if the pictures are inside it


@dataclass(frozen=True)
class _Sheet:
    """A video's contact sheet in the dataset: row 0 is the video, the others are its clips."""

    name: str
    bytes: int
    rows: int

    @classmethod
    def find(cls, store: Store, video: SourceRow) -> "_Sheet | None":
        """Return the sheet; None if it does not exist or has another size."""
        if not video.thumbnail or not store.exists(video.thumbnail):
            return None
        with store.open(video.thumbnail) as file, Image.open(file) as image:
            if image.width != SHEET_WIDTH:
                return None
            return cls(video.thumbnail, file.size(), image.height // ROW_HEIGHT)


def write_gallery(
    page: Path,
    dataset: Store | Path,
    videos: Sequence[SourceRow],
    *,
    limit: int,
    embedded_bytes: int = MAX_EMBEDDED_BYTES,
    on_progress: ProgressHook | None = None,
) -> Gallery:
    """Write the gallery of a dataset.

    Args:
        page: The HTML file to write. If the pictures are too large to embed, they are written to
            the folder `NAME_pictures` beside it.
        dataset: The dataset's folder or store.
        videos: The latest decision about each video.
        limit: Maximum number of videos (see `select_videos`).
        embedded_bytes: Maximum size of all pictures together inside the page.
        on_progress: Called after each video.

    Returns:
        The files that were written.
    """
    store = Store.of(dataset)
    selected = select_videos(videos, limit)
    sheets = {video.source_id: sheet for video in selected if (sheet := _Sheet.find(store, video))}
    is_embedded = sum(sheet.bytes for sheet in sheets.values()) <= embedded_bytes
    folder = None if is_embedded else page.with_name(f"{page.stem}_pictures")
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    names = sorted(
        {f"{score.filter}.{score.name}" for video in selected for score in _all_scores(video)}
    )
    name_indices = {name: index for index, name in enumerate(names)}
    items: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    for number, video in enumerate(selected, start=1):
        sheet = sheets.get(video.source_id)
        if sheet:
            sources.append({"src": _sheet_source(store, sheet, folder), "rows": sheet.rows})
        items += _video_items(video, sheet, len(sources) - 1, name_indices)
        if on_progress:
            on_progress(number, len(selected), "video", "")
    html = render_page(
        "gallery.html",
        data={"scores": names, "sheets": sources, "items": items},
        title=store.name,
        place=store.uri,
        total=len(videos),
        shown=len(selected),
        is_embedded=is_embedded,
    )
    write_text(page, html)
    return Gallery(page, len(selected), len(items) - len(selected), folder)


def select_videos(videos: Sequence[SourceRow], limit: int) -> list[SourceRow]:
    """Return at most `limit` videos, in equal numbers for each reason, so rare ones are included.

    Which videos of a reason are selected depends only on their ids.

    Args:
        videos: The videos; kept ones form a group of their own.
        limit: Maximum number of videos.

    Returns:
        All videos if they are not more than `limit`, else a selection sorted by source_id.
    """
    if len(videos) <= limit:
        return list(videos)
    groups: dict[str, list[SourceRow]] = defaultdict(list)
    for video in sorted(videos, key=lambda video: sha256(video.source_id.encode()).digest()):
        groups[video.reason or ""].append(video)
    interleaved = chain.from_iterable(zip_longest(*(groups[reason] for reason in sorted(groups))))
    selected = [video for video in interleaved if video is not None][:limit]
    return sorted(selected, key=lambda video: video.source_id)


def _sheet_source(store: Store, sheet: _Sheet, folder: Path | None) -> str:
    """Return the `src` of a sheet: a data URI, or a relative path to a copy in the folder."""
    if folder is None:
        return data_uri(store.read(sheet.name))
    path = folder / PurePosixPath(sheet.name).name
    with replace_atomically(path) as partial:
        partial.write_bytes(store.read(sheet.name))
    return f"{folder.name}/{path.name}"


def _video_items(
    video: SourceRow, sheet: _Sheet | None, sheet_index: int, name_indices: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return the records of a video and its clips.

    Keys are short, because there may be many thousands of records: `p` is (sheet, row, whether the
    row has perspective views), the others are listed in gallery.html.
    """
    filters = {video_filter.name for video_filter in video_filters(FilterSettings())}
    has_views = bool(video.clips) or any(score.filter in filters for score in video.scores)
    shared = {"v": video.source_id, "l": video.layout or "unread", "s": video.split}
    media = video.media
    first = {
        **shared,
        "k": "video",
        "id": video.source_id,
        "u": video.url,
        "d": video.decision,
        "r": video.reason,
        "t": video.detail,
        "c": [len(video.kept_clips), len(video.clips)],
        "m": f"{media.width}×{media.height} {media.codec}" if media else "",
        "p": [sheet_index, 0, has_views] if sheet else None,
        "n": _score_entries(video.scores, name_indices),
    }
    clips = [
        {
            **shared,
            **_clip_item(clip, video, name_indices),
            "p": [sheet_index, row, True] if sheet and row < sheet.rows else None,
        }
        for row, clip in enumerate(video.clips, start=1)
    ]
    return [first, *clips]


def _clip_item(
    clip: CuratedClip, video: SourceRow, name_indices: Mapping[str, int]
) -> dict[str, Any]:
    return {
        "k": "clip",
        "id": clip.clip_id,
        "u": _clip_url(video, clip),
        "d": clip.decision,
        "r": clip.reason,
        "q": _round(clip.quality),
        "at": [clip.start_ms, clip.end_ms],
        "n": _score_entries(clip.scores, name_indices),
    }


def _clip_url(video: SourceRow, clip: CuratedClip) -> str:
    """Return the video's URL with the clip's start, as YouTube or a browser understands it."""
    seconds = clip.start_ms // 1000
    if video.source_id.startswith("youtube:"):
        return f"{video.url}&t={seconds}s"
    return f"{video.url}#t={seconds}"


def _all_scores(video: SourceRow) -> Iterable[Score]:
    return chain(video.scores, *(clip.scores for clip in video.clips))


def _score_entries(scores: Iterable[Score], name_indices: Mapping[str, int]) -> list[list[object]]:
    """Return [index of the name, value, threshold, kept] of each score that has a value."""
    return [
        [
            name_indices[f"{score.filter}.{score.name}"],
            _round(score.value),
            _round(score.threshold),
            int(score.kept),
        ]
        for score in scores
        if score.value is not None
    ]


def _round(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
