"""A video decided again from its stored numbers, under other thresholds, without a look at its frames: what a fresh judgement would say.

What was measured further on than the new decision needs stays in the row (clips of a video that is now dropped, with their places, among it), so
that thresholds may come back to where they were without decoding anything. Where more is needed than is stored, nothing is said.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import cache
from typing import Any

from argus.curate.filters.base import Numbers, ScorerFailed, clip_filters, decide, video_filters
from argus.curate.layout.detect import LayoutVerdict, decide_layout
from argus.curate.process import clips_detail, dropped_detail, no_shot_detail, too_short_detail
from argus.curate.quality import is_high_quality, quality
from argus.curate.recipe import Recipe
from argus.curate.records import Score, VideoSource
from argus.dataset import ClipRow, MediaRow, ScoreRow, SourceRow
from argus.dataset.ids import assign_split
from argus.media import MediaInfo, SphericalMetadata
from schemas.config import FilterPolicy
from schemas.names import Decision, Layout, Reason

READ_FAULTS = frozenset(
    {
        Reason.EMPTY_FILE,
        Reason.NOT_A_VIDEO,
        Reason.NO_VIDEO_STREAM,
        Reason.CORRUPT,
        Reason.UNSUPPORTED_CODEC,
        Reason.TRUNCATED,
    }
)
"""Why a file could not be read to its end, whatever the thresholds."""

STATING = {
    Layout.MONO_ERP: SphericalMetadata(),
    Layout.STEREO_TB: SphericalMetadata(stereo_mode="top-bottom"),
    Layout.STEREO_SBS: SphericalMetadata(stereo_mode="left-right"),
    Layout.HALF_ERP: SphericalMetadata(projection="half_equirectangular"),
    Layout.CUBEMAP: SphericalMetadata(projection="cubemap"),
    Layout.EAC: SphericalMetadata(projection="eac"),
    Layout.DUAL_FISHEYE: SphericalMetadata(projection="fisheye"),
    Layout.FLAT: SphericalMetadata(projection="rectilinear"),
    Layout.PARTIAL: SphericalMetadata(projection="mesh"),
    Layout.UNKNOWN: SphericalMetadata(projection="unknown"),
}
"""Metadata that declares each layout that can be declared: all that a stored row says of a file's metadata."""


class MissingScores(Exception):
    """A decision needs more than a row holds."""


def reevaluate(
    row: SourceRow,
    source: VideoSource,
    recipe: Recipe,
    *,
    run_id: str,
    code_version: str,
    decided: datetime,
    stale: Collection[str] = (),
    lost: Reason | None = None,
) -> SourceRow | None:
    """The row that a fresh judgement under the recipe would give, from stored numbers alone; None where they do not suffice.

    The recipe may differ from the row's in thresholds and in the numbers of the `stale` filters (`Recipe.work`), which do not count. Marks of
    duplicates are taken off, and the split is the source's own: `DuplicateResolver` marks anew. A clip that was kept but for a duplicate has no
    bytes: the settler leaves its video out where they are needed after all. Where the video cannot be fetched any more (`lost`: why), clips without
    bytes are dropped for that, and the others stay. A row with a failure that may pass is not decided again.
    """
    if not row.settled or set(stale) & _measured(row):
        return None
    try:
        again = decide_row(row, recipe)
    except MissingScores:
        return None
    pending = {clip.clip_id for clip in row.clips if clip.duplicate_of and clip.signature}
    if lost:
        again = (
            with_clips(again, [_lost(clip, lost) for clip in again.clips])
            if again.kept_clips
            else again
        )
    elif any(clip.shard is None and clip.clip_id not in pending for clip in again.kept_clips):
        return None
    stamp = {
        "recipe": recipe.digest,
        "run_id": run_id,
        "code_version": code_version,
        "decided": decided,
        "scored": (),
        "seconds": None,
    }
    return again.model_copy(update={**stamp, **origin(source)})


def origin(source: VideoSource) -> dict[str, Any]:
    """The columns that the catalogue decides."""
    return {"url": source.url, "split": source.split or assign_split(source.source_id)}


def decide_row(row: SourceRow, recipe: Recipe) -> SourceRow:
    """Its decisions, reasons, details and thresholds, made again from its numbers. A kept clip need not have bytes. Raises MissingScores."""
    row, ended = decide_whole(row, recipe)
    return (
        row
        if ended
        else with_clips(row, [decide_clip(clip, recipe, row.networks or ()) for clip in row.clips])
    )


def decide_whole(row: SourceRow, recipe: Recipe) -> tuple[SourceRow, bool]:
    """The part before the clips, and whether it ends there. Raises MissingScores."""
    numbers = numbers_of(row.scores)
    if "layout" not in numbers or row.media is None:
        return row, True  # lost before it was looked at
    try:
        return _decide_whole(row, row.media, numbers, recipe)
    except (KeyError, ScorerFailed) as error:  # an earlier version measured less
        raise MissingScores(f"{row.source_id}: {error}") from error


def decide_clip(clip: ClipRow, recipe: Recipe, networks: Collection[str]) -> ClipRow:
    """A clip decided by its numbers, those of learned scorers (which they are: `networks`) among them. Raises MissingScores."""
    numbers = numbers_of(clip.scores)
    try:
        scores, dropped = decide(numbers, clip_filters(), recipe.policy)
        worst = Score(
            "shots", "worst", numbers["shots"]["worst"], recipe.policy.shot_boundary, True
        )
    except (KeyError, ScorerFailed) as error:
        raise MissingScores(f"{clip.clip_id}: {error}") from error
    measured = {name: values for name, values in numbers.items() if name not in own_filters()}
    learned, reason = _decide_learned(measured, recipe, networks, needed=not dropped)
    reason = dropped.reason if dropped else reason
    blanks = (score for score in clip.scores if score.value is None)
    marks = (score for score in clip.scores if score.filter == "duplicate" and reason)
    flat = {
        f"{name}.{score}": value
        for name, values in numbers.items()
        for score, value in values.items()
    }
    return clip.model_copy(
        update={
            "decision": Decision.DROPPED if reason else Decision.KEPT,
            "reason": reason,
            "quality": quality(flat),
            "high_quality": reason is None and is_high_quality(flat, recipe.policy.high_quality),
            "scores": (*_rows((worst, *scores, *learned), clip.scores), *blanks, *marks),
            "duplicate_of": clip.duplicate_of if reason else None,
        }
    )


def with_clips(row: SourceRow, clips: Sequence[ClipRow]) -> SourceRow:
    """The row of a video that was cut, decided by its clips."""
    kept = sum(clip.decision is Decision.KEPT for clip in clips)
    filters = {one.name for one in clip_filters()}
    by_networks = (
        clip.reason
        for clip in clips
        if all(score.kept for score in clip.scores if score.filter in filters)
    )
    reason = None if kept else next(by_networks, clips[0].reason)
    decision = Decision.KEPT if kept else Decision.DROPPED
    return row.model_copy(
        update={
            "clips": tuple(clips),
            "decision": decision,
            "reason": reason,
            "detail": clips_detail(kept, len(clips)),
        }
    )


@cache
def own_filters() -> frozenset[str]:
    """What measures clips without a network."""
    return frozenset({"shots", "duplicate", *(one.name for one in clip_filters())})


def numbers_of(scores: Iterable[ScoreRow]) -> Numbers:
    """What was measured."""
    found: Numbers = {}
    for score in scores:
        if score.value is not None:
            found.setdefault(score.filter, {})[score.name] = score.value
    return found


def _rows(scores: Iterable[Score], stored: Iterable[ScoreRow]) -> Iterator[ScoreRow]:
    """Scores as they are stored; those that are the same already are taken as they are, which most are, and which is quick."""
    known = {(row.filter, row.name): row for row in stored}
    for score in scores:
        row = known.get((score.filter, score.name))
        if row is None or (row.value, row.threshold, row.kept) != (
            score.value,
            score.threshold,
            score.kept,
        ):
            row = ScoreRow(
                filter=score.filter,
                name=score.name,
                value=score.value,
                threshold=score.threshold,
                kept=score.kept,
            )
        yield row


def _decide_whole(
    row: SourceRow, media: MediaRow, numbers: Numbers, recipe: Recipe
) -> tuple[SourceRow, bool]:
    policy, filters = recipe.policy, video_filters(recipe.policy)
    layout = decide_layout(
        _media_info(media, row.layout_declared, numbers["layout"]["pixel_aspect"]),
        numbers["layout"],
        policy,
    )
    is_scored = all(one.name in numbers for one in filters)
    scores, dropped = decide(numbers, filters, policy) if is_scored else ((), None)
    row = row.model_copy(
        update={
            "layout": layout.layout,
            "scores": tuple(_scores(row.scores, media, layout, scores, policy)),
        }
    )
    if layout.reason:
        return _dropped(row, layout.reason, layout.detail), True
    if not all(score.kept for score in row.scores if score.filter == "length"):
        return _dropped(
            row, Reason.TOO_SHORT, too_short_detail(numbers["length"]["seconds"], recipe.clip)
        ), True
    if not is_scored or str(layout.conversion) != row.conversion:
        return _as_it_was(row, "it was not converted like this"), True
    if dropped and dropped.reason:
        return _dropped(row, dropped.reason, dropped_detail(dropped)), True
    if "shots" not in numbers:
        return _as_it_was(row, "it was never cut"), True
    worst = max((numbers_of(clip.scores)["shots"]["worst"] for clip in row.clips), default=0.0)
    if not worst <= policy.shot_boundary < numbers["shots"]["weakest"]:
        raise MissingScores(f"{row.source_id}: its shots end elsewhere")
    return (
        (row, False)
        if row.clips
        else (_dropped(row, Reason.TOO_SHORT, no_shot_detail(recipe.clip)), True)
    )


def _scores(
    stored: Sequence[ScoreRow],
    media: MediaRow,
    layout: LayoutVerdict,
    scores: Sequence[Score],
    policy: FilterPolicy,
) -> Iterator[ScoreRow]:
    """The scores of a whole video with the thresholds of a policy, in their order."""
    measured = {score.filter for score in scores}
    for score in stored:
        if (score.filter, score.name) == ("layout", "erp_height"):
            yield score.model_copy(
                update={"value": layout.conversion.erp_height((media.height, media.width))}
            )
        elif score.filter == "layout" and score.threshold is not None:
            yield score.model_copy(update={"threshold": policy.halves_similarity})
        elif score.filter in {"layout", "length"} or not (measured or score.filter == "shots"):
            yield score
    yield from _rows(scores, stored)
    yield from (
        score.model_copy(update={"threshold": policy.shot_boundary})
        for score in stored
        if score.filter == "shots"
    )


def _decide_learned(
    measured: Mapping[str, Mapping[str, float]],
    recipe: Recipe,
    networks: Collection[str],
    *,
    needed: bool,
) -> tuple[tuple[Score, ...], Reason | None]:
    """As of networks' numbers of a clip; `needed` where the filters keep it. Raises MissingScores."""
    if needed and (
        lacking := [
            name
            for name, key in recipe.learned.items()
            if name not in measured or key not in networks
        ]
    ):
        raise MissingScores(f"{', '.join(lacking)} did not measure it")
    if not measured:
        return (), None
    from argus.curate.scorers import decide as decide_measured

    return decide_measured(
        {name: dict(values) for name, values in measured.items()}, recipe.policy.learned
    )


def _dropped(row: SourceRow, reason: Reason, detail: str) -> SourceRow:
    """Dropped as a whole; its clips, if it was ever cut, stay where they are."""
    clips = tuple(
        clip.model_copy(
            update={"decision": Decision.DROPPED, "reason": reason, "high_quality": False}
        )
        for clip in row.clips
    )
    return row.model_copy(
        update={"clips": clips, "decision": Decision.DROPPED, "reason": reason, "detail": detail}
    )


def _lost(clip: ClipRow, reason: Reason) -> ClipRow:
    """Dropped where it would be kept and lies nowhere."""
    if clip.decision is not Decision.KEPT or clip.shard is not None:
        return clip
    return clip.model_copy(
        update={"decision": Decision.DROPPED, "reason": reason, "high_quality": False}
    )


def _as_it_was(row: SourceRow, why: str) -> SourceRow:
    """A file that could not be read any further is as little use to other thresholds. Raises MissingScores for any other."""
    if row.reason in READ_FAULTS:
        return row
    raise MissingScores(f"{row.source_id}: {why}")


def _measured(row: SourceRow) -> set[str]:
    """The filters whose numbers the row holds."""
    return {
        score.filter
        for scores in (row.scores, *(clip.scores for clip in row.clips))
        for score in scores
    }


def _media_info(media: MediaRow, declared: Layout | None, pixel_aspect: float) -> MediaInfo:
    fps = Fraction(media.fps_num, media.fps_den)
    return MediaInfo(
        width=media.width,
        height=media.height,
        fps=fps,
        frames=media.frames,
        duration_s=float(media.frames / fps),
        codec=media.codec,
        container=media.container,
        pixel_aspect=Fraction(pixel_aspect),
        spherical=STATING[declared] if declared else None,
    )
