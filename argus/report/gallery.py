"""The gallery: one page of the kept and dropped videos and clips of a dataset with their pictures, reasons and scores, which filters itself.

The pictures are the contact sheets of `argus.curate.thumbnails`: inside the page while they are few, else in a folder beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from argus.curate import video_filters
from argus.curate.thumbnails import ROW_WIDTH, SIDE
from argus.dataset import ClipRow, ScoreRow, SourceRow, Store
from argus.files import write_text
from argus.report.page import data_uri, render_page
from argus.runs import ProgressHook
from schemas.config import FilterPolicy

EMBEDDED_BYTES = 24_000_000
"""Up to so many bytes of pictures are put inside the page."""

_DIGITS = 5  # of scores


@dataclass(frozen=True)
class Gallery:
    """What was written."""

    page: Path
    videos: int
    clips: int
    pictures: Path | None  # the folder beside the page; None where they are inside it


@dataclass(frozen=True)
class _Sheet:
    name: str  # in the dataset
    bytes: int
    rows: int

    @classmethod
    def of(cls, store: Store, video: SourceRow) -> "_Sheet | None":
        """None where there is none, or it is no sheet."""
        if not video.thumbnail or not store.exists(video.thumbnail):
            return None
        with store.open(video.thumbnail) as file, Image.open(file) as image:
            return (
                cls(video.thumbnail, file.size(), image.height // SIDE)
                if image.width == ROW_WIDTH
                else None
            )


def write_gallery(
    page: Path,
    place: Store | Path,
    videos: Sequence[SourceRow],
    *,
    limit: int,
    embedded_bytes: int = EMBEDDED_BYTES,
    told: ProgressHook | None = None,
) -> Gallery:
    """Writes the page, and `NAME_pictures/` beside it where the pictures are more than `embedded_bytes`. At most `limit` videos (see `chosen`)."""
    dataset = Store.of(place)
    shown = chosen(videos, limit)
    sheets = {video.source_id: sheet for video in shown if (sheet := _Sheet.of(dataset, video))}
    inside = sum(sheet.bytes for sheet in sheets.values()) <= embedded_bytes
    pictures = None if inside else page.with_name(f"{page.stem}_pictures")
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    names = sorted(
        {f"{score.filter}.{score.name}" for video in shown for score in _all_scores(video)}
    )
    places = {name: place for place, name in enumerate(names)}
    items: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    for done, video in enumerate(shown, start=1):
        sheet = sheets.get(video.source_id)
        if sheet:
            sources.append({"src": _placed(dataset, sheet, pictures), "rows": sheet.rows})
        items += _items(video, sheet, len(sources) - 1, places)
        if told:
            told(done, len(shown), "video", "")
    data = {"scores": names, "sheets": sources, "items": items}
    facts = {
        "title": dataset.name,
        "place": dataset.uri,
        "total": len(videos),
        "shown": len(shown),
        "inside": inside,
    }
    write_text(page, render_page("gallery.html", data=data, **facts))
    return Gallery(page, len(shown), len(items) - len(shown), pictures)


def chosen(videos: Sequence[SourceRow], limit: int) -> list[SourceRow]:
    """At most `limit` videos, one of each reason in turn (kept is one), so that rare reasons are seen; which of a reason is by a hash of the id."""
    if len(videos) <= limit:
        return list(videos)
    groups: dict[str, list[SourceRow]] = defaultdict(list)
    for video in sorted(videos, key=lambda video: sha256(video.source_id.encode()).digest()):
        groups[video.reason or ""].append(video)
    turns = chain.from_iterable(zip_longest(*(groups[reason] for reason in sorted(groups))))
    picked = [video for video in turns if video is not None][:limit]
    return sorted(picked, key=lambda video: video.source_id)


def _placed(dataset: Store, sheet: _Sheet, pictures: Path | None) -> str:
    if pictures is None:
        return data_uri(dataset.read(sheet.name))
    path = pictures / PurePosixPath(sheet.name).name
    path.write_bytes(dataset.read(sheet.name))
    return f"{pictures.name}/{path.name}"


def _items(
    video: SourceRow, sheet: _Sheet | None, number: int, places: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The video's record and its clips', with short keys: there may be many thousands. `p` is sheet, row, and whether the row has views."""
    filters = {one.name for one in video_filters(FilterPolicy())}
    converted = bool(video.clips) or any(score.filter in filters for score in video.scores)
    shared = {"v": video.source_id, "l": video.layout or "unread", "s": video.split}
    media = video.media
    first = {
        "k": "video",
        "id": video.source_id,
        "u": video.url,
        "d": video.decision,
        "r": video.reason,
        "t": video.detail,
        "c": [len(video.kept_clips), len(video.clips)],
        "m": f"{media.width}×{media.height} {media.codec}" if media else "",
        "p": [number, 0, converted] if sheet else None,
        "n": _scores(video.scores, places),
    }
    places_of = [
        [number, row, True] if sheet and row < sheet.rows else None
        for row in range(1, 1 + len(video.clips))
    ]
    clips = (
        {**_clip(clip, video, places), "p": place}
        for clip, place in zip(video.clips, places_of, strict=True)
    )
    return [{**shared, **item} for item in (first, *clips)]


def _clip(clip: ClipRow, video: SourceRow, places: Mapping[str, int]) -> dict[str, Any]:
    return {
        "k": "clip",
        "id": clip.clip_id,
        "u": _moment(video, clip),
        "d": clip.decision,
        "r": clip.reason,
        "q": _short(clip.quality),
        "at": [clip.start_ms, clip.end_ms],
        "n": _scores(clip.scores, places),
    }


def _moment(video: SourceRow, clip: ClipRow) -> str:
    """The url at the clip's first second, as the site, or a browser, understands it."""
    seconds = clip.start_ms // 1000
    return (
        f"{video.url}&t={seconds}s"
        if video.source_id.startswith("youtube:")
        else f"{video.url}#t={seconds}"
    )


def _all_scores(video: SourceRow) -> Iterable[ScoreRow]:
    return chain(video.scores, *(clip.scores for clip in video.clips))


def _scores(scores: Iterable[ScoreRow], places: Mapping[str, int]) -> list[list[object]]:
    """[which name, value, threshold, kept] each."""
    return [
        [
            places[f"{score.filter}.{score.name}"],
            _short(score.value),
            _short(score.threshold),
            int(score.kept),
        ]
        for score in scores
        if score.value is not None
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
