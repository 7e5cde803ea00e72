"""Why a video or a clip is what it is: every stage that it met, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from argus.dataset import ClipRow, ScoreRow, SourceRow
from argus.dataset.view import DatasetView, Found
from schemas.names import Decision

Facts = dict[str, str]


@dataclass(frozen=True)
class ScoreLine:
    """One stored number beside what decided by it."""

    filter: str
    score: str
    value: float | None
    threshold: float | None
    kept: bool

    @property
    def margin(self) -> str:
        """How far it is from the threshold, in words; empty where there is none."""
        if self.value is None or self.threshold is None:
            return ""
        distance = self.value - self.threshold
        side = "above" if distance > 0 else "below"
        if not distance:
            return "at the threshold"
        return f"{abs(distance):.4g} {side}" + (
            f" ({abs(distance / self.threshold):.0%})" if self.threshold else ""
        )


@dataclass(frozen=True)
class Stage:
    """One step of a video's way: facts by name, scores, and what was decided there; `kept` is None where nothing was."""

    title: str
    facts: Facts
    scores: tuple[ScoreLine, ...] = ()
    said: str = ""
    kept: bool | None = None


def lineage(ledger: DatasetView, found: Found) -> Iterator[Stage]:
    """The stages of a video, or of a clip and the video that it is of, in the order in which they happened."""
    video = found.video
    yield _source(video)
    yield _fetching(video)
    if video.media:
        yield _file(video)
    yield _layout(video)
    if judged := _lines(video, layout=False):
        yield Stage("Filters of the whole video", {}, judged, *_filtered(judged))
    if found.clip:
        yield _clip(found.clip)
    elif video.clips:
        kept = len(video.kept_clips)
        yield Stage(
            "Clips",
            {_span(clip): _outcome(clip) for clip in video.clips},
            (),
            f"{kept} of {len(video.clips)} kept",
            kept > 0,
        )
    if likes := _likes(ledger, (found.clip,) if found.clip else video.clips):
        yield Stage("Duplicates", likes)
    yield _verdict(video, found.clip)
    yield _provenance(ledger, video)


def _source(video: SourceRow) -> Stage:
    return Stage("Source", {"id": video.source_id, "url": video.url, "split": video.split})


def _fetching(video: SourceRow) -> Stage:
    fetch = video.fetch
    if fetch is None:
        return Stage(
            "Fetching", {}, (), f"nothing was fetched: {video.reason}: {video.detail}", kept=False
        )
    facts = {
        "tool": f"{fetch.tool} {fetch.version}",
        "client": fetch.client,
        "format": " ".join(filter(None, (fetch.format_id, fetch.format_note))),
        "size": f"{fetch.bytes / 1e6:.2f} MB" if fetch.bytes is not None else None,
        "SHA-256": fetch.sha256,
    }
    return Stage("Fetching", {name: value for name, value in facts.items() if value}, kept=True)


def _file(video: SourceRow) -> Stage:
    assert video.media is not None, "asked only where there is one"
    media = video.media
    rate = media.fps_num / max(1, media.fps_den)
    length = media.frames / rate if rate else 0.0
    facts = {
        "container": media.container,
        "codec": media.codec,
        "size": f"{media.width}×{media.height}",
    }
    return Stage(
        "File",
        {**facts, "length": f"{length:.2f} s, {media.frames} frames at {rate:.6g} per second"},
    )


def _layout(video: SourceRow) -> Stage:
    facts = {
        "metadata declares": video.layout_declared or "nothing",
        "pixels say": video.layout or "not looked at",
    }
    return Stage("Layout", facts, _lines(video, layout=True))


def _filtered(lines: tuple[ScoreLine, ...]) -> tuple[str, bool]:
    failing = list(dict.fromkeys(line.filter for line in lines if not line.kept))
    return (f"dropped by {', '.join(failing)}", False) if failing else ("all of them keep it", True)


def _clip(clip: ClipRow) -> Stage:
    facts = {"id": clip.clip_id, "span": _span(clip), "frames": str(clip.frames)}
    if clip.quality is not None:
        facts["quality"] = f"{clip.quality:.4f} of 1"
    if clip.shard:
        facts |= {"shard": clip.shard, "row": str(clip.row), "SHA-256": str(clip.checksum)}
    return Stage("Clip", facts, tuple(map(_line, clip.scores)))


def _verdict(video: SourceRow, clip: ClipRow | None) -> Stage:
    kept = video.decision is Decision.KEPT if clip is None else clip.decision is Decision.KEPT
    said = (
        _outcome(clip)
        if clip
        else " ".join(filter(None, (video.decision, f"({video.reason})" if video.reason else "")))
    )
    facts = {"in words": video.detail} if video.detail and not clip else {}
    if clip:
        facts["its video"] = (
            f"{video.decision}{f' ({video.reason})' if video.reason else ''}: {video.detail}"
        )
    if video.decision is Decision.FAILED:
        facts["again"] = (
            "a later refresh tries it again"
            if video.retryable
            else "it is not tried again under this recipe"
        )
    return Stage("Decision", facts, (), said, kept)


def _provenance(ledger: DatasetView, video: SourceRow) -> Stage:
    facts = {
        "decided": f"{video.decided:%Y-%m-%d %H:%M:%S} UTC",
        "run": video.run_id,
        "code version": video.code_version,
    }
    stored = f"recipes/{video.recipe}.json"
    facts["recipe"] = (
        f"{video.recipe} ({ledger.store.uri_of(stored)})"
        if ledger.store.exists(stored)
        else video.recipe
    )
    before = ledger.history(video.source_id)[:-1]
    for row in before[::-1]:
        facts[f"before, {row.decided:%Y-%m-%d %H:%M}"] = (
            f"{row.decision}{f' ({row.reason})' if row.reason else ''} under recipe {row.recipe}"
        )
    return Stage("Provenance", facts)


def _likes(ledger: DatasetView, clips: tuple[ClipRow, ...]) -> Facts:
    facts = {}
    for clip in clips:
        if clip.duplicate_of:
            numbers = {
                score.name: score.value
                for score in clip.scores
                if score.filter == "duplicate" and score.value is not None
            }
            turned = f", turned by {numbers['yaw_deg']:.0f}°" if "yaw_deg" in numbers else ""
            facts[clip.clip_id] = f"shows what {clip.duplicate_of} shows{turned}"
    if later := ledger.duplicates([clip.clip_id for clip in clips]):
        facts["shown again by"] = ", ".join(later)
    return facts


def _outcome(clip: ClipRow) -> str:
    quality = f", quality {clip.quality:.2f}" if clip.quality is not None else ""
    return f"{clip.decision}{f' ({clip.reason})' if clip.reason else ''}{quality}"


def _span(clip: ClipRow) -> str:
    return f"{clip.start_ms / 1000:g}–{clip.end_ms / 1000:g} s"


def _lines(video: SourceRow, *, layout: bool) -> tuple[ScoreLine, ...]:
    """The scores that decided the layout, or the others: filters come after the length was measured."""
    names = [score.filter for score in video.scores]
    border = names.index("length") if "length" in names else len(names)
    return tuple(map(_line, video.scores[:border] if layout else video.scores[border:]))


def _line(score: ScoreRow) -> ScoreLine:
    return ScoreLine(score.filter, score.name, score.value, score.threshold, score.kept)
