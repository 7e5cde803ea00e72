"""Explanation of a decision: every stage that a video or a clip went through, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from argus.curate import find_layout_setting, find_threshold
from argus.dataset import CuratedClip, DatasetView, FoundItem, Score, SourceRow
from schemas.names import Decision

Facts = dict[str, str]


@dataclass(frozen=True)
class ScoreLine:
    """A stored score and the threshold that decided about it."""

    filter: str
    score: str
    value: float | None
    threshold: float | None
    kept: bool

    @property
    def margin(self) -> str:
        """Distance from the threshold in words; empty without a value or a threshold."""
        if self.value is None or self.threshold is None:
            return ""
        distance = self.value - self.threshold
        if not distance:
            return "at the threshold"
        side = "above" if distance > 0 else "below"
        relative = f" ({abs(distance / self.threshold):.0%})" if self.threshold else ""
        return f"{abs(distance):.4g} {side}{relative}"

    @property
    def setting(self) -> str:
        """Setting that holds the threshold; empty if there is none."""
        if self.threshold is None:
            return ""
        row = find_threshold(self.filter, self.score)
        setting = row.setting if row else None
        if self.filter == "layout":
            setting = find_layout_setting(self.score)
        return f"filters.{setting}" if setting else ""


@dataclass(frozen=True)
class Stage:
    """One stage of processing: facts by name, scores and the decision."""

    title: str
    facts: Facts
    scores: tuple[ScoreLine, ...] = ()
    summary: str = ""
    kept: bool | None = None  # None for a stage without a decision


def explain_decision(dataset: DatasetView, found: FoundItem) -> Iterator[Stage]:
    """Yield the stages of a video, or of a clip and its video, in processing order.

    Args:
        dataset: The dataset, from which duplicates and earlier decisions are read.
        found: The video, or the clip and its video.
    """
    video = found.video
    yield Stage("Source", {"id": video.source_id, "url": video.url, "split": video.split})
    yield _describe_download(video)
    if video.media:
        yield _describe_file(video)
    if video.media or video.layout or video.layout_declared:
        yield _describe_layout(video)
    if lines := _score_lines(video, layout=False):
        yield Stage("Filters of the whole video", {}, lines, *_summarize_filters(lines))
    if found.clip:
        yield _describe_clip(found.clip)
    elif video.clips:
        yield _list_clips(video)
    if duplicates := _find_duplicates(dataset, (found.clip,) if found.clip else video.clips):
        yield Stage("Duplicates", duplicates)
    yield _describe_decision(video, found.clip)
    yield _describe_provenance(dataset, video)


def _describe_download(video: SourceRow) -> Stage:
    fetch = video.fetch
    if fetch is None:
        summary = "not downloaded"  # the decision has the reason
        return Stage("Download", {}, (), summary, kept=False)
    facts = {
        "tool": f"{fetch.tool} {fetch.version}",
        "client": fetch.client,
        "format": " ".join(filter(None, (fetch.format_id, fetch.format_note))),
        "size": f"{fetch.bytes / 1e6:.2f} MB" if fetch.bytes is not None else None,
        "HTTP status": str(fetch.status) if fetch.status else None,
        "entity tag": fetch.etag,
        "SHA-256": fetch.sha256,
    }
    return Stage("Download", {name: value for name, value in facts.items() if value}, kept=True)


def _describe_file(video: SourceRow) -> Stage:
    assert video.media is not None, "called only for a video that could be read"
    media = video.media
    color = media.color
    turns = {"mirrored": media.is_mirrored, f"turned by {media.rotation}°": media.rotation}
    facts = {
        "container": media.container,
        "codec": media.codec,
        "camera": media.camera,
        "track": media.track_choice,
        "size": f"{media.width}×{media.height}",
        "pixel aspect": f"{media.pixel_aspect}" if media.pixel_aspect != 1 else "",
        "orientation": ", ".join(name for name, is_so in turns.items() if is_so),
        "color": f"{color.matrix}, {color.transfer}, {color.primaries}, {color.range}",
        "fields": "interlaced" if media.is_interlaced else "",
        "length": f"{media.duration_s:.2f} s, {media.frames} frames, "
        f"{float(media.fps):.6g} per second",
        "irregular": f"{media.irregularity:.0%} of the length" if media.is_variable_rate else "",
    }
    return Stage("File", {name: value for name, value in facts.items() if value})


def _describe_layout(video: SourceRow) -> Stage:
    facts = {
        "declared in metadata": video.layout_declared or "nothing",
        "detected in the pixels": video.layout or "not examined",
    }
    lines = _score_lines(video, layout=True)
    if all(line.kept for line in lines):
        return Stage("Layout", facts, lines)
    return Stage("Layout", facts, lines, f"dropped: {video.reason}", kept=False)


def _summarize_filters(lines: tuple[ScoreLine, ...]) -> tuple[str, bool]:
    """Return the summary and whether all filters keep the video."""
    dropping = list(dict.fromkeys(line.filter for line in lines if not line.kept))
    return (f"dropped by {', '.join(dropping)}", False) if dropping else ("all passed", True)


def _list_clips(video: SourceRow) -> Stage:
    kept = len(video.kept_clips)
    facts = {_format_span(clip): _format_clip_decision(clip) for clip in video.clips}
    return Stage("Clips", facts, (), f"{kept} of {len(video.clips)} kept", kept > 0)


def _describe_clip(clip: CuratedClip) -> Stage:
    facts = {"id": clip.clip_id, "span": _format_span(clip), "frames": str(clip.frames)}
    if clip.quality is not None:
        facts["quality"] = f"{clip.quality:.4f} of 1"
    if clip.shard:
        facts |= {"shard": clip.shard, "row": str(clip.row), "SHA-256": str(clip.checksum)}
    return Stage("Clip", facts, tuple(map(_score_line, clip.scores)))


def _describe_decision(video: SourceRow, clip: CuratedClip | None) -> Stage:
    facts = {}
    if clip is None:
        kept = video.decision is Decision.KEPT
        summary = _format_decision(video)
        if video.detail:
            facts["detail"] = video.detail
    else:
        kept = clip.decision is Decision.KEPT
        summary = _format_clip_decision(clip)
        facts["its video"] = f"{_format_decision(video)}: {video.detail}"
    if video.decision is Decision.FAILED:
        facts["retry"] = (
            "the next refresh tries again"
            if video.retryable
            else f"with --retry {video.reason}, or other settings: {video.failure_settings}"
            if video.failure_settings
            else f"with --retry {video.reason}"
        )
    return Stage("Decision", facts, (), summary, kept)


def _describe_provenance(dataset: DatasetView, video: SourceRow) -> Stage:
    recipe_file = f"recipes/{video.recipe}.json"
    recipe = video.recipe
    if dataset.store.exists(recipe_file):
        recipe = f"{recipe} ({dataset.store.uri_of(recipe_file)})"
    facts = {
        "decided": f"{video.decided_at:%Y-%m-%d %H:%M:%S} UTC",
        "run": video.run_id,
        "code version": video.code_version,
        "recipe": recipe,
    }
    for row in dataset.read_history(video.source_id)[-2::-1]:
        name = f"earlier, {row.decided_at:%Y-%m-%d %H:%M}"
        facts[name] = f"{_format_decision(row)} with recipe {row.recipe}"
    return Stage("Provenance", facts)


def _find_duplicates(dataset: DatasetView, clips: tuple[CuratedClip, ...]) -> Facts:
    facts = {}
    for clip in clips:
        if clip.duplicate_of:
            scores = {
                score.name: score.value
                for score in clip.scores
                if score.filter == "duplicate" and score.value is not None
            }
            rotation = f", rotated by {scores['yaw_deg']:.0f}°" if "yaw_deg" in scores else ""
            facts[clip.clip_id] = f"duplicate of {clip.duplicate_of}{rotation}"
    if duplicates := dataset.find_duplicates([clip.clip_id for clip in clips]):
        facts["duplicated by"] = ", ".join(duplicates)
    return facts


def _format_decision(video: SourceRow) -> str:
    return f"{video.decision} ({video.reason})" if video.reason else str(video.decision)


def _format_clip_decision(clip: CuratedClip) -> str:
    quality = f", quality {clip.quality:.2f}" if clip.quality is not None else ""
    reason = f" ({clip.reason})" if clip.reason else ""
    return f"{clip.decision}{reason}{quality}"


def _format_span(clip: CuratedClip) -> str:
    return f"{clip.start_ms / 1000:g}–{clip.end_ms / 1000:g} s"


def _score_lines(video: SourceRow, *, layout: bool) -> tuple[ScoreLine, ...]:
    """Return the scores of layout detection, or those of the filters, which follow `length`."""
    names = [score.filter for score in video.scores]
    border = names.index("length") if "length" in names else len(names)
    return tuple(map(_score_line, video.scores[:border] if layout else video.scores[border:]))


def _score_line(score: Score) -> ScoreLine:
    return ScoreLine(score.filter, score.name, score.value, score.threshold, score.kept)
