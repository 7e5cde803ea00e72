"""Deciding about a video again from its stored scores, without reading its frames.

The result is what processing the video under the other thresholds would give. What was computed
further than the new decision needs stays in the row (for example the clips of a video that is now
dropped, with their locations), so that thresholds may return to earlier values without decoding. If
the stored scores do not suffice, the result is None.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from argus.curate.details import (
    add_reading,
    describe_clips,
    describe_drop,
    describe_no_shot,
    describe_too_short,
)
from argus.curate.filters import (
    RateFilter,
    ScorerFailed,
    ScoreTable,
    apply_thresholds,
    clip_deciders,
    clip_filters,
    video_filters,
)
from argus.curate.layout import LayoutVerdict, decide_layout, mark_layout_scores
from argus.curate.quality import compute_quality, is_high_quality
from argus.curate.recipe import Recipe
from argus.curate.records import PriorResult, VideoSource
from argus.curate.results import renew_row
from argus.dataset import CuratedClip, Provenance, Score, SourceRow
from argus.media import MediaInfo
from schemas.config import FilterSettings
from schemas.names import Decision, Reason

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
"""Reasons why a file could not be read to its end, whatever the thresholds."""


class MissingScores(Exception):
    """A decision needs scores that a row does not hold."""


def reevaluate_video(
    prior: PriorResult,
    source: VideoSource,
    recipe: Recipe,
    provenance: Provenance,
    lost: Reason | None = None,
) -> SourceRow | None:
    """Return the row that processing the video under a recipe would give, from stored scores alone.

    Marks of duplicates are removed: `DuplicateResolver` sets them anew. The split is the
    catalogue's; if it names none, the stored one. A clip that was dropped only as a duplicate has
    no bytes; the resolver leaves its video out if they are needed after all.

    Args:
        prior: the stored row; its recipe may differ in thresholds, and in the filters that are
            stale.
        source: the video's entry in the catalogue.
        recipe: the new recipe.
        provenance: of the refresh.
        lost: why the video cannot be fetched any more, if so. Clips without bytes are then dropped
            for this reason, and the others stay.

    Returns:
        The row, or None if the stored scores do not suffice, or it is a failure that is retried.
    """
    row = prior.row
    if not row.is_final or prior.stale_filters & _list_measured(row):
        return None
    try:
        decided = decide_row(row, recipe)
    except MissingScores:
        return None
    if lost:
        if decided.kept_clips:
            decided = with_clips(decided, [_drop_lost(clip, lost) for clip in decided.clips])
    elif _needs_bytes(row, decided):
        return None
    settings = row.failure_settings if decided is row else None
    return renew_row(replace(decided, failure_settings=settings), source, provenance)


def decide_row(row: SourceRow, recipe: Recipe) -> SourceRow:
    """Return the row with its decisions, details and thresholds made anew from its scores.

    A kept clip need not have bytes.

    Raises:
        MissingScores: the scores do not suffice.
    """
    row, is_decided = decide_whole(row, recipe)
    if is_decided:
        return row
    return with_clips(row, [decide_clip(clip, recipe, row.networks) for clip in row.clips])


def decide_whole(row: SourceRow, recipe: Recipe) -> tuple[SourceRow, bool]:
    """Decide about a video as a whole, before its clips.

    Returns:
        The row, and True if the decision does not depend on its clips.

    Raises:
        MissingScores: the scores do not suffice.
    """
    scores = tabulate(row.scores)
    if "layout" not in scores or row.media is None:
        return row, True  # it failed before it was measured
    if "pixel_aspect" not in scores["layout"]:
        raise MissingScores(f"{row.source_id}: its pixel aspect was not stored")
    if row.media.is_variable_rate and not row.media.irregularity:
        raise MissingScores(f"{row.source_id}: its frames were chosen by number, not by time")
    try:
        return _decide_whole(row, row.media, scores, recipe)
    except (KeyError, ScorerFailed) as error:  # an earlier version measured less
        raise MissingScores(f"{row.source_id}: {error}") from error


def decide_clip(clip: CuratedClip, recipe: Recipe, networks: Collection[str]) -> CuratedClip:
    """Decide about a clip by its scores.

    Args:
        clip: the clip.
        recipe: the recipe.
        networks: keys of the learned scorers that its scores are from.

    Raises:
        MissingScores: the scores do not suffice.
    """
    table = tabulate(clip.scores)
    limit = recipe.filters.shot_boundary
    try:
        scores, verdict = apply_thresholds(table, clip_deciders(table), recipe.filters)
        boundary = Score("shots", "max_score", table["shots"]["max_score"], limit)
    except (KeyError, ScorerFailed) as error:
        raise MissingScores(f"{clip.clip_id}: {error}") from error
    measured = {name: values for name, values in table.items() if name not in own_filters()}
    learned, reason = _decide_learned(measured, recipe, networks, is_needed=not verdict)
    reason = verdict.reason if verdict else reason
    blanks = (score for score in clip.scores if score.value is None)
    marks = (score for score in clip.scores if score.filter == "duplicate" and reason)
    values = {
        f"{name}.{score}": value for name, own in table.items() for score, value in own.items()
    }
    return replace(
        clip,
        decision=Decision.DROPPED if reason else Decision.KEPT,
        reason=reason,
        quality=compute_quality(values),
        high_quality=reason is None and is_high_quality(values, recipe.filters),
        scores=(boundary, *scores, *learned, *blanks, *marks),
        duplicate_of=clip.duplicate_of if reason else None,
    )


def with_clips(row: SourceRow, clips: Sequence[CuratedClip]) -> SourceRow:
    """Return the row of a video that was cut, decided by its clips."""
    kept = sum(clip.decision is Decision.KEPT for clip in clips)
    filters = {RateFilter.name, *(one.name for one in clip_filters())}
    by_networks = (
        clip.reason
        for clip in clips
        if all(score.kept for score in clip.scores if score.filter in filters)
    )
    return replace(
        row,
        clips=tuple(clips),
        decision=Decision.KEPT if kept else Decision.DROPPED,
        reason=None if kept else next(by_networks, clips[0].reason),
        detail=add_reading(describe_clips(kept, len(clips)), row.media),
    )


@cache
def own_filters() -> frozenset[str]:
    """Return the names of everything that measures clips without a network."""
    filters = (one.name for one in clip_filters())
    return frozenset({"shots", "duplicate", RateFilter.name, *filters})


def tabulate(scores: Iterable[Score]) -> ScoreTable:
    """Return the values of scores by filter and name, without those that were not measured."""
    found: ScoreTable = {}
    for score in scores:
        if score.value is not None:
            found.setdefault(score.filter, {})[score.name] = score.value
    return found


def _decide_whole(
    row: SourceRow, media: MediaInfo, table: ScoreTable, recipe: Recipe
) -> tuple[SourceRow, bool]:
    settings, filters = recipe.filters, video_filters(recipe.filters)
    layout = decide_layout(media, table["layout"], settings)
    is_measured = all(one.name in table for one in filters)
    scores, verdict = apply_thresholds(table, filters, settings) if is_measured else ((), None)
    has_clips = bool(row.clips)
    updated = _update_scores(row.scores, media, layout, scores, settings, has_clips=has_clips)
    row = replace(row, layout=layout.layout, scores=tuple(updated))
    if layout.reason:
        return _drop_whole(row, layout.reason, layout.detail), True
    if not all(score.kept for score in row.scores if score.filter == "length"):
        detail = describe_too_short(table["length"]["seconds"], recipe.clip)
        return _drop_whole(row, Reason.TOO_SHORT, detail), True
    if not is_measured or str(layout.conversion) != row.conversion:
        return _require_read_fault(row, "it was converted differently"), True
    if verdict and verdict.reason:
        return _drop_whole(row, verdict.reason, describe_drop(verdict)), True
    if "shots" not in table:
        return _require_read_fault(row, "it was never cut"), True
    max_scores = (tabulate(clip.scores)["shots"]["max_score"] for clip in row.clips)
    if not max(max_scores, default=0.0) <= settings.shot_boundary < table["shots"]["min_cut_score"]:
        raise MissingScores(f"{row.source_id}: its shots end elsewhere")
    if row.clips:
        return row, False
    return _drop_whole(row, Reason.TOO_SHORT, describe_no_shot(recipe.clip)), True


def _update_scores(
    stored: Sequence[Score],
    media: MediaInfo,
    layout: LayoutVerdict,
    scores: Sequence[Score],
    settings: FilterSettings,
    *,
    has_clips: bool,
) -> Iterator[Score]:
    """Yield the scores of a whole video in their order, with the thresholds of the settings."""
    measured = {score.filter for score in scores}
    height = layout.conversion.erp_height((media.height, media.width))
    layout_scores = (
        replace(score, value=height) if score.name == "erp_height" else score
        for score in stored
        if score.filter == "layout"
    )
    yield from mark_layout_scores(
        layout_scores, layout.layout, settings, is_accepted=layout.reason is None
    )
    for score in stored:
        if score.filter == "length" or not (measured or score.filter in {"layout", "shots"}):
            yield score
    yield from scores
    for score in stored:
        if score.filter == "shots":
            yield replace(score, threshold=settings.shot_boundary, kept=has_clips)


def _decide_learned(
    measured: Mapping[str, Mapping[str, float]],
    recipe: Recipe,
    networks: Collection[str],
    *,
    is_needed: bool,
) -> tuple[tuple[Score, ...], Reason | None]:
    """Decide by the learned scores of a clip.

    Args:
        measured: the learned scores.
        recipe: the recipe.
        networks: keys of the learned scorers that they are from.
        is_needed: True if the filters keep the clip, so that the recipe's scorers must have run.

    Raises:
        MissingScores: a scorer that the recipe needs did not measure the clip.
    """
    missing = [
        name for name, key in recipe.learned.items() if name not in measured or key not in networks
    ]
    if is_needed and missing:
        raise MissingScores(f"{', '.join(missing)} did not measure it")
    if not measured:
        return (), None
    from argus.curate.scorers import decide_by_scorers

    scores = {name: dict(values) for name, values in measured.items()}
    return decide_by_scorers(scores, recipe.filters.learned)


def _drop_whole(row: SourceRow, reason: Reason, detail: str) -> SourceRow:
    """Drop a video as a whole; its clips, if it was ever cut, keep their locations."""
    clips = tuple(
        replace(clip, decision=Decision.DROPPED, reason=reason, high_quality=False)
        for clip in row.clips
    )
    return replace(
        row,
        clips=clips,
        decision=Decision.DROPPED,
        reason=reason,
        detail=add_reading(detail, row.media),
    )


def _drop_lost(clip: CuratedClip, reason: Reason) -> CuratedClip:
    """Drop the clip if it would be kept and is in no shard."""
    if clip.decision is not Decision.KEPT or clip.shard is not None:
        return clip
    return replace(clip, decision=Decision.DROPPED, reason=reason, high_quality=False)


def _needs_bytes(row: SourceRow, decided: SourceRow) -> bool:
    """Return True if a clip is kept now that has no bytes, except former duplicates."""
    former = {clip.clip_id for clip in row.clips if clip.duplicate_of and clip.signature}
    return any(clip.shard is None and clip.clip_id not in former for clip in decided.kept_clips)


def _require_read_fault(row: SourceRow, detail: str) -> SourceRow:
    """Return the row if its file could not be read, since other thresholds do not change that.

    Raises:
        MissingScores: any other row.
    """
    if row.reason in READ_FAULTS:
        return row
    raise MissingScores(f"{row.source_id}: {detail}")


def _list_measured(row: SourceRow) -> set[str]:
    """Return the filters whose scores the row holds."""
    groups = (row.scores, *(clip.scores for clip in row.clips))
    return {score.filter for scores in groups for score in scores}
