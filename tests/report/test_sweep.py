"""Sweeps over constructed rows: which decisions change with a threshold, and which never do."""

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction

import pytest

from argus.curate import (
    THRESHOLDS,
    RateFilter,
    Threshold,
    clip_filters,
    thresholds_of,
    video_filters,
)
from argus.dataset import CuratedClip, Score, SourceRow
from argus.errors import InvalidInput
from argus.media import MediaInfo
from argus.report import Sweep, compute_sweeps
from schemas.config import FilterSettings, LearnedThresholds
from schemas.names import Decision, Layout, Reason, Split

RECIPE = "0123456789abcdef"
SETTINGS = FilterSettings()
KEPT = {"variance": {"second_largest_variance": 2000.0}, "black": {"least_share": 0.0}}


def scores(table: dict[str, dict[str, float]]) -> tuple[Score, ...]:
    return tuple(
        Score(filter=name, name=score, value=value)
        for name, values in table.items()
        for score, value in values.items()
    )


def clip(
    number: int, values: dict[str, dict[str, float]], reason: Reason | None = None
) -> CuratedClip:
    return CuratedClip(
        clip_id=f"url:0@{number}",
        start_ms=36_000 * number,
        end_ms=36_000 * (number + 1),  # a hundredth of an hour
        frames=50,
        decision=Decision.DROPPED if reason else Decision.KEPT,
        reason=reason,
        scores=scores(values),
    )


def video(
    name: str,
    values: dict[str, dict[str, float]],
    *clips: CuratedClip,
    reason: Reason | None = None,
    recipe: str = RECIPE,
) -> SourceRow:
    return SourceRow(
        source_id=name,
        url=f"https://videos.example/{name}",
        split=Split.TRAIN,
        decision=Decision.DROPPED if reason else Decision.KEPT,
        reason=reason,
        layout=Layout.MONO_ERP,
        scores=scores(values),
        clips=clips,
        media=MediaInfo(256, 128, Fraction(10), 36_000, 3600.0, "h264", "mp4"),
        recipe=recipe,
        run_id="tests",
        code_version="0.1.0",
        decided_at=datetime.now(UTC),
    )


def yield_at(found: Sweep, threshold: float) -> tuple[int, int, float, int, float]:
    one = next(one for one in found.yields if one.threshold == threshold)
    return (
        one.videos,
        one.clips,
        pytest.approx(one.hours),
        one.unjudged,
        pytest.approx(one.unjudged_hours),
    )


def test_only_videos_that_the_filter_alone_dropped_come_back() -> None:
    videos = [
        video("kept", {**KEPT, "black": {"least_share": 0.05}}, clip(0, {}), clip(1, {})),
        video("black", {**KEPT, "black": {"least_share": 0.4}}, reason=Reason.BLACK),
        video(
            "also fog",
            {"variance": {"second_largest_variance": 10.0}, "black": {"least_share": 0.4}},
            reason=Reason.BLACK,
        ),
        video(
            "fog",
            {"variance": {"second_largest_variance": 10.0}, "black": {"least_share": 0.3}},
            reason=Reason.LOW_VARIANCE,
        ),
        video("stereo", {}, reason=Reason.STEREO),
    ]
    (found,) = compute_sweeps(videos, {RECIPE: SETTINGS}, "black")
    assert (found.score, found.setting, found.current) == (
        "least_share",
        "black_share",
        SETTINGS.black_share,
    )
    assert yield_at(found, SETTINGS.black_share) == (1, 2, 0.02, 0, 0)
    assert yield_at(found, 0.4) == (1, 2, 0.02, 1, 1.0), (
        "it was never cut, so its whole hour counts"
    )
    assert yield_at(found, 0.05) == (1, 2, 0.02, 0, 0), "a score equal to the threshold is kept"
    assert sorted(found.values) == [0.05, 0.3, 0.4, 0.4]


def test_a_video_that_was_dropped_after_cutting_comes_back_with_its_clips() -> None:
    black = (
        Score(
            filter="black",
            name="least_share",
            value=0.3,
            threshold=SETTINGS.black_share,
            kept=False,
        ),
    )
    own = (
        Score(filter="static", name="difference", value=0.1, threshold=SETTINGS.static_difference),
    )
    good = replace(clip(0, {}, Reason.BLACK), scores=own)
    again = replace(video("again", {}, good, reason=Reason.BLACK), scores=black)
    stereo = video(
        "stereo",
        {"black": {"least_share": 0.1}},
        replace(good, reason=Reason.STEREO),
        reason=Reason.STEREO,
    )
    (found,) = compute_sweeps([again, stereo], {RECIPE: SETTINGS}, "black")
    assert yield_at(found, SETTINGS.black_share) == (0, 0, 0, 0, 0)
    assert yield_at(found, 0.3) == (1, 1, 0.01, 0, 0), "the other video was dropped for its layout"


def test_clips_are_decided_by_their_own_scores_and_a_video_with_its_last_clip() -> None:
    def moving(difference: float) -> dict[str, dict[str, float]]:
        return {"static": {"difference": difference}}

    videos = [
        video(
            "lively",
            moving(0.5),
            clip(0, moving(0.004), Reason.STATIC),
            clip(1, moving(0.2)),
            clip(2, moving(0.3)),
        ),
        video("still", moving(0.5), clip(0, moving(0.001), Reason.STATIC), reason=Reason.STATIC),
        video(
            "double", moving(0.5), clip(0, moving(0.4), Reason.DUPLICATE), reason=Reason.DUPLICATE
        ),
    ]
    (found,) = compute_sweeps(videos, {RECIPE: SETTINGS}, "static.difference", steps=1000)
    now = SETTINGS.static_difference
    assert yield_at(found, now) == (1, 2, 0.02, 0, 0)
    assert yield_at(found, 0.004) == (1, 3, 0.03, 0, 0)
    assert yield_at(found, 0.001) == (2, 4, 0.04, 0, 0)
    assert yield_at(found, 0.3) == (1, 1, 0.01, 0, 0)
    assert yield_at(found, 0.5) == (0, 0, 0, 0, 0), (
        "the video moves enough, but none of its clips does"
    )


def test_a_laxer_threshold_brings_back_decided_clips() -> None:
    settings = SETTINGS.model_copy(update={"sharpness": 0.2})
    videos = [
        video(
            "soft",
            {},
            clip(0, {"blur": {"coarse": 0.5}}),
            clip(1, {"blur": {"coarse": 0.1}}, Reason.BLURRED),
        )
    ]
    (found,) = compute_sweeps(videos, {RECIPE: settings}, "blur", steps=3)
    assert yield_at(found, 0.2) == (1, 1, 0.01, 0, 0)
    assert yield_at(found, 0.1) == (1, 2, 0.02, 0, 0)


def test_a_score_without_a_threshold_is_swept_over_its_values() -> None:
    videos = [
        video("measured", {}, *(clip(k, {"raft": {"speed_deg_s": float(k)}}) for k in range(4)))
    ]
    (found,) = compute_sweeps(videos, {RECIPE: SETTINGS}, "raft", steps=4)
    assert (found.setting, found.current) == ("learned.raft_speed_deg_s", None)
    assert [one.clips for one in found.yields] == [4, 3, 2, 1]
    strict = SETTINGS.model_copy(update={"learned": LearnedThresholds(raft_speed_deg_s=2.0)})
    assert compute_sweeps(videos, {RECIPE: strict}, "raft")[0].current == 2.0


def test_videos_of_an_unknown_recipe_are_left_out_and_counted() -> None:
    videos = [video("kept", KEPT, clip(0, {})), video("old", KEPT, clip(0, {}), recipe="f" * 16)]
    (found,) = compute_sweeps(videos, {RECIPE: SETTINGS}, "variance")
    assert found.left_out == 1
    assert yield_at(found, SETTINGS.variance)[:2] == (1, 1)


def decided_by(row: Threshold, *, is_clip: bool) -> SourceRow:
    """Return a row, or the row of a clip, that one threshold drops, as curation stores it."""
    limit = row.limit(STRICT)
    assert limit is not None
    beyond = (1 + limit) / 2 if limit < 1 else 2 * limit
    outside = beyond if row.direction == "max" else limit / 2
    values = {other.score: 1e-6 if other.direction == "max" else 1e6 for other in
              thresholds_of(row.filter)}  # fmt: skip
    guards = (other.guard for other in thresholds_of(row.filter) if other.guard)
    values |= {guard.score: 2 * float(getattr(STRICT, guard.setting)) + 0.1 for guard in guards}
    table = {row.filter: {**values, row.score: outside}}
    if not is_clip:
        return video(row.key, table, reason=row.reason)
    return video(row.key, {}, clip(0, table, row.reason), reason=row.reason)


STRICT = FilterSettings(
    tilt_deg=20.0,
    nadir_share=0.5,
    dark_share=0.4,
    bright_share=0.3,
    learned=LearnedThresholds(**dict.fromkeys(LearnedThresholds.model_fields, 0.2)),
)
VIDEO_KEYS = {
    f"{one.name}.{getattr(one, 'decide_by', row.score)}"
    for one in video_filters(STRICT)
    for row in thresholds_of(one.name)
}
CLIP_KEYS = {
    f"{one.name}.{getattr(one, 'decide_by', row.score)}"
    for one in (RateFilter(), *clip_filters())
    for row in thresholds_of(one.name)
} | {row.key for row in THRESHOLDS if row.setting.startswith("learned.")}
DROPPING = [
    (row, is_clip)
    for row in THRESHOLDS
    for is_clip, keys in ((False, VIDEO_KEYS), (True, CLIP_KEYS))
    if row.key in keys and row.reason
]


@pytest.mark.parametrize(
    ("row", "is_clip"), DROPPING, ids=[f"{row.key}-{is_clip}" for row, is_clip in DROPPING]
)
def test_a_sweep_by_its_reason_brings_back_whatever_a_filter_dropped(
    row: Threshold, is_clip: bool
) -> None:
    dropped = decided_by(row, is_clip=is_clip)
    assert dropped.reason
    for name in (dropped.reason, row.filter, row.key):
        found = compute_sweeps([dropped], {RECIPE: STRICT}, name)
        (own,) = (one for one in found if one.dropped)
        assert (own.filter, own.setting, own.alone) == (row.filter, row.setting, 1)
        assert max(point.clips + point.unjudged for point in own.yields) == (not row.is_strict)


def test_every_filter_that_drops_for_a_reason_is_swept_by_it() -> None:
    """Of two still videos and two still clips, each filter drops some, and one drops what the other drops too."""

    def still(difference: float, share: float) -> dict[str, dict[str, float]]:
        return {"static": {"difference": difference}, "motion": {"share": share}}

    moving = {"static": {"difference": 0.5}, "motion": {"largest_share": 0.9}}
    videos = [
        video(
            "video",
            {"static": {"difference": 0.5}, "motion": {"largest_share": 0.1}},
            reason=Reason.STATIC,
        ),
        video(
            "clips",
            moving,
            clip(0, still(0.1, 0.2), Reason.STATIC),
            clip(1, still(0.001, 0.9), Reason.STATIC),
            clip(2, still(0.001, 0.1), Reason.STATIC),
            clip(3, still(0.1, 0.9)),
        ),
    ]
    found = {one.setting: one for one in compute_sweeps(videos, {RECIPE: SETTINGS}, "static")}
    assert set(found) == {"static_difference", "moving_share"}
    difference, share = found["static_difference"], found["moving_share"]
    assert (difference.dropped, difference.alone) == (2, 1)
    assert (share.dropped, share.alone) == (3, 2)
    assert max(point.clips for point in difference.yields) == 2
    assert max(point.clips for point in share.yields) == 2
    assert max(point.unjudged for point in share.yields) == 1


def test_the_clips_of_a_video_that_another_filter_dropped_as_a_whole_stay_dropped() -> None:
    black = Score("black", "least_share", 0.3, SETTINGS.black_share, kept=False)
    sharp = Score("blur", "coarse", 2.0, SETTINGS.sharpness)
    once_cut = replace(
        video("black", {}, replace(clip(0, {}, Reason.BLACK), scores=(sharp,))),
        scores=(black,),
        decision=Decision.DROPPED,
        reason=Reason.BLACK,
    )
    kept = video("kept", {}, clip(0, {"blur": {"coarse": 1.0}}))
    (found,) = compute_sweeps([once_cut, kept], {RECIPE: SETTINGS}, "blur")
    assert max(point.clips for point in found.yields) == 1


@pytest.mark.parametrize("name", ["not_360", "duplicate", "fetch_failed", "nonsense", "seam.x"])
def test_what_no_threshold_decides_cannot_be_swept(name: str) -> None:
    with pytest.raises(InvalidInput):
        compute_sweeps([video("kept", KEPT, clip(0, {}))], {RECIPE: SETTINGS}, name)
