"""Sweeps over made-up rows: whose decision changes with a threshold, and whose never does."""

from datetime import UTC, datetime

import pytest

from argus.dataset import CuratedClip, MediaInfo, Score, SourceRow
from argus.report.sweep import Sweep, sweep
from schemas.config import FilterSettings, LearnedThresholds
from schemas.names import Decision, Layout, Reason, Split

RECIPE = "0123456789abcdef"
POLICY = FilterSettings()
KEPT = {"variance": {"least_variance": 2000.0}, "black": {"least_share": 0.0}}


def scores(numbers: dict[str, dict[str, float]]) -> tuple[Score, ...]:
    return tuple(
        Score(filter=name, name=score, value=value)
        for name, values in numbers.items()
        for score, value in values.items()
    )


def clip(
    number: int, numbers: dict[str, dict[str, float]], reason: Reason | None = None
) -> CuratedClip:
    return CuratedClip(
        clip_id=f"url:0@{number}",
        start_ms=36_000 * number,
        end_ms=36_000 * (number + 1),  # a hundredth of an hour
        frames=50,
        decision=Decision.DROPPED if reason else Decision.KEPT,
        reason=reason,
        scores=scores(numbers),
    )


def video(
    name: str,
    numbers: dict[str, dict[str, float]],
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
        scores=scores(numbers),
        clips=clips,
        media=MediaInfo(
            width=256,
            height=128,
            fps_num=10,
            fps_den=1,
            frames=36_000,
            codec="h264",
            container="mp4",
        ),
        recipe=recipe,
        run_id="tests",
        code_version="0.1.0",
        decided=datetime.now(UTC),
    )


def at(found: Sweep, threshold: float) -> tuple[int, int, float, int, float]:
    one = next(one for one in found.yields if one.threshold == threshold)
    return (
        one.videos,
        one.clips,
        pytest.approx(one.hours),
        one.unjudged,
        pytest.approx(one.unjudged_hours),
    )


def test_only_what_the_filter_alone_dropped_comes_back() -> None:
    videos = [
        video("kept", {**KEPT, "black": {"least_share": 0.05}}, clip(0, {}), clip(1, {})),
        video("black", {**KEPT, "black": {"least_share": 0.4}}, reason=Reason.BLACK),
        video(
            "also fog",
            {"variance": {"least_variance": 10.0}, "black": {"least_share": 0.4}},
            reason=Reason.BLACK,
        ),
        video(
            "fog",
            {"variance": {"least_variance": 10.0}, "black": {"least_share": 0.3}},
            reason=Reason.LOW_VARIANCE,
        ),
        video("stereo", {}, reason=Reason.STEREO),
    ]
    found = sweep(videos, {RECIPE: POLICY}, "black")
    assert (found.score, found.setting, found.present) == (
        "least_share",
        "black_share",
        POLICY.black_share,
    )
    assert at(found, POLICY.black_share) == (1, 2, 0.02, 0, 0)
    assert at(found, 0.4) == (1, 2, 0.02, 1, 1.0), "its clips were never judged: its whole hour"
    assert at(found, 0.05) == (1, 2, 0.02, 0, 0), "kept up to and including the threshold"
    assert sorted(found.values) == [0.05, 0.3, 0.4, 0.4]


def test_a_video_that_was_dropped_when_it_was_decided_again_comes_back_with_its_clips() -> None:
    black = (
        Score(
            filter="black", name="least_share", value=0.3, threshold=POLICY.black_share, kept=False
        ),
    )
    own = (
        Score(filter="static", name="difference", value=0.1, threshold=POLICY.static_difference),
    )
    good = clip(0, {}, Reason.BLACK).model_copy(update={"scores": own})
    again = video("again", {}, good, reason=Reason.BLACK).model_copy(update={"scores": black})
    stereo = video(
        "stereo",
        {"black": {"least_share": 0.1}},
        good.model_copy(update={"reason": Reason.STEREO}),
        reason=Reason.STEREO,
    )
    found = sweep([again, stereo], {RECIPE: POLICY}, "black")
    assert at(found, POLICY.black_share) == (0, 0, 0, 0, 0)
    assert at(found, 0.3) == (1, 1, 0.01, 0, 0), (
        "nothing is decoded for it; the other was lost to its layout"
    )


def test_clips_come_and_go_by_their_own_scores_and_a_video_goes_with_its_last() -> None:
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
    found = sweep(videos, {RECIPE: POLICY}, "static.difference", steps=1000)
    now = POLICY.static_difference
    assert at(found, now) == (1, 2, 0.02, 0, 0)
    assert at(found, 0.004) == (1, 3, 0.03, 0, 0)
    assert at(found, 0.001) == (2, 4, 0.04, 0, 0)
    assert at(found, 0.3) == (1, 1, 0.01, 0, 0)
    assert at(found, 0.5) == (0, 0, 0, 0, 0), (
        "no clip is left of a video that is still lively enough"
    )


def test_a_laxer_threshold_brings_back_clips_that_were_judged() -> None:
    policy = POLICY.model_copy(update={"sharpness": 0.2})
    videos = [
        video(
            "soft",
            {},
            clip(0, {"blur": {"coarse": 0.5}}),
            clip(1, {"blur": {"coarse": 0.1}}, Reason.BLURRED),
        )
    ]
    found = sweep(videos, {RECIPE: policy}, "blur", steps=3)
    assert at(found, 0.2) == (1, 1, 0.01, 0, 0)
    assert at(found, 0.1) == (1, 2, 0.02, 0, 0)


def test_a_score_that_is_only_recorded_has_a_yield_at_every_threshold_that_it_could_have() -> None:
    videos = [
        video("measured", {}, *(clip(k, {"raft": {"speed_deg_s": float(k)}}) for k in range(4)))
    ]
    found = sweep(videos, {RECIPE: POLICY}, "raft", steps=4)
    assert (found.setting, found.present) == ("learned.raft_speed_deg_s", None)
    assert [one.clips for one in found.yields] == [4, 3, 2, 1]
    strict = POLICY.model_copy(update={"learned": LearnedThresholds(raft_speed_deg_s=2.0)})
    assert sweep(videos, {RECIPE: strict}, "raft").present == 2.0


def test_videos_of_a_recipe_that_is_not_stored_are_left_out_and_counted() -> None:
    videos = [video("kept", KEPT, clip(0, {})), video("old", KEPT, clip(0, {}), recipe="f" * 16)]
    found = sweep(videos, {RECIPE: POLICY}, "variance")
    assert found.left_out == 1
    assert at(found, POLICY.variance)[:2] == (1, 1)
