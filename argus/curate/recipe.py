"""The whole judgement of one video file: probe → layout → length → filters → clips. Which video, where and when is decided elsewhere."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from argus.curate.cascade import ScorerFailed, clip_filters, judge, video_filters
from argus.curate.clips import cut, spans, stride
from argus.curate.footage import Footage, samples_of
from argus.curate.layout import judge_layout
from argus.curate.records import CuratedClip, CuratedVideo, Score, VideoSource
from argus.curate.samples import SIZE, Samples, StoredSamples, sample_stored
from argus.curate.sheet import encode_sheet, video_row
from argus.curate.shots import VERSION as SHOTS_VERSION
from argus.errors import VideoError
from argus.files import write_text
from argus.media import MediaInfo, VideoReader, isolated, open_video
from schemas.config import CurateConfig, LearnedThresholds
from schemas.names import Decision, Layout, Reason

RECIPE_VERSION = 2
"""Grows when the same settings would make other clips or other decisions."""

MEMORY_BYTES = 8 << 30
_OURS = {Reason.DECODER_CRASHED, Reason.TIMED_OUT, Reason.SCORER_FAILED}  # not judged: never a judgement on the video
_MAY_PASS = _OURS - {Reason.DECODER_CRASHED}  # the same bytes would crash it again


def recipe_digest(config: CurateConfig) -> str:
    """Sixteen hexadecimal digits of everything that shapes a clip's bytes or its decision; not of how and where it is fetched or run."""
    return hashlib.sha256(recipe_text(config).encode()).hexdigest()[:16]


def recipe_text(config: CurateConfig) -> str:
    """What the digest is of, as JSON: `version`, `clip` (ClipSettings), `policy` (FilterPolicy), and the versions of filters and learned scorers."""
    parts: dict[str, object] = {
        "version": RECIPE_VERSION,
        "clip": config.clip.model_dump(mode="json"),
        "policy": config.policy.model_dump(mode="json"),
        "filters": {one.name: one.version for one in (*video_filters(config.policy), *clip_filters())} | {"shots": SHOTS_VERSION},
    }
    if config.policy.learned != LearnedThresholds():
        from argus.curate.learned import demanded

        parts["learned"] = demanded(config.policy.learned)
    return json.dumps(parts, sort_keys=True)


def store_recipe(dataset: Path, config: CurateConfig) -> None:
    """Writes `recipes/DIGEST.json` below a dataset's folder, where it is not yet: with which settings and thresholds it was decided."""
    path = dataset / "recipes" / f"{recipe_digest(config)}.json"
    if not path.exists():
        write_text(path, recipe_text(config))


def curate_isolated(path: Path, source: VideoSource, config: CurateConfig, samples_folder: Path | None = None) -> CuratedVideo:
    """`curate_video` in a process that may crash or be killed: the whole judgement runs there, so nothing hostile is decoded here.

    This is what a job calls. Every fault of the video or of a filter becomes a decision; what is raised is a fault of the machine.
    """
    try:
        return isolated(curate_video, path, source, config, samples_folder, timeout_s=config.fetch.timeout_s, memory_bytes=MEMORY_BYTES)
    except VideoError as error:
        return _Sheet(source).ends(error.reason, error.message)
    except RuntimeError as error:  # what the child did not foresee
        return _Sheet(source).ends(Reason.SCORER_FAILED, f"curation failed: {str(error).strip().splitlines()[-1]}")


def curate_video(path: Path, source: VideoSource, config: CurateConfig, samples_folder: Path | None = None) -> CuratedVideo:
    """Judges a file and cuts it into clips. Never raises for what the video holds: that is a decision with a reason.

    Where there is a `samples_folder`, it receives what learned scorers see of each kept clip (`argus.curate.learned`).
    """
    sheet = _Sheet(source)
    try:
        with open_video(path) as reader:
            return _judge(reader, sheet, config, samples_folder)
    except VideoError as error:
        if sheet.stored is None:
            sheet.layout = Layout.NONE  # no picture was seen
        return sheet.ends(error.reason, error.message.removeprefix(f"{path}: "))
    except ScorerFailed as error:
        return sheet.ends(Reason.SCORER_FAILED, str(error))


@dataclass
class _Sheet:
    """What is known of a video so far; whatever ends the judgement, this much is recorded."""

    source: VideoSource
    media: MediaInfo | None = None
    declared: Layout | None = None
    layout: Layout = Layout.UNKNOWN
    stored: StoredSamples | None = None
    samples: Samples | None = None
    scores: list[Score] = field(default_factory=list)

    def ends(self, reason: Reason | None, detail: str, clips: tuple[CuratedClip, ...] = ()) -> CuratedVideo:
        """The decision: kept without a reason; FAILED for faults of ours; else dropped."""
        decision = Decision.KEPT if reason is None else Decision.FAILED if reason in _OURS else Decision.DROPPED
        return CuratedVideo(
            source=self.source,
            decision=decision,
            reason=reason,
            detail=detail,
            layout_declared=self.declared,
            layout=self.layout,
            scores=tuple(self.scores),
            clips=clips,
            media=self.media,
            thumbnail=self._thumbnail(clips),
            retryable=reason in _MAY_PASS,
        )

    def _thumbnail(self, clips: tuple[CuratedClip, ...]) -> bytes | None:
        return None if self.stored is None else encode_sheet([video_row(self.stored, self.samples), *(clip.picture for clip in clips)])


def _judge(reader: VideoReader, sheet: _Sheet, config: CurateConfig, samples_folder: Path | None) -> CuratedVideo:
    """Each step adds to the sheet, or ends it."""
    sheet.media = reader.info
    stored = sheet.stored = sample_stored(reader, stride(reader.fps, config.clip.fps))
    verdict = judge_layout(reader.info, stored, config.policy)
    sheet.declared, sheet.layout = verdict.declared, verdict.layout
    sheet.scores += verdict.scores
    if verdict.reason:
        return sheet.ends(verdict.reason, verdict.detail)
    length = reader.info.duration_s
    enough = bool(spans(reader.timestamps, reader.fps, config.clip))
    sheet.scores.append(Score("length", "seconds", length, config.clip.min_clip_s, enough))
    if not enough:
        return sheet.ends(Reason.TOO_SHORT, f"it is {length:.2f} s long, but a clip needs {config.clip.min_clip_s:g} s")
    samples = sheet.samples = samples_of(stored, verdict.conversion, SIZE)
    scores, dropped = judge(samples, video_filters(config.policy), config.policy)
    sheet.scores += scores
    if dropped:
        detail = f"{dropped.filter}: {dropped.name} is {dropped.value:.4g}, the threshold is {dropped.threshold:g}"
        return sheet.ends(dropped.reason, detail)
    clips = tuple(cut(Footage(reader, verdict.conversion), sheet.source.source_id, config.clip, config.policy, samples_folder))
    if not clips:
        return sheet.ends(Reason.TOO_SHORT, f"none of its shots is {config.clip.min_clip_s:g} s long")
    kept = sum(clip.decision == Decision.KEPT for clip in clips)
    if not kept:
        return sheet.ends(clips[0].reason, f"none of its {len(clips)} clips is kept", clips)
    return sheet.ends(None, f"{kept} of {len(clips)} clips kept", clips)
