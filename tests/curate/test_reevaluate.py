"""Reevaluation gives what processing gives, and decodes nothing."""

import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Le

from argus.curate import (
    Recipe,
)
from argus.curate import recompute as recompute_module
from argus.curate.layout import declared_layout
from argus.curate.thresholds import DECISION_SETTINGS
from argus.dataset import (
    Score,
    SourceRow,
    row_from_values,
)
from argus.media import VideoReader
from schemas.config import (
    CurateConfig,
    FilterSettings,
)
from schemas.names import Decision, Layout, Reason, Split
from tests.support.processed import (
    CLIPS,
    KINDS,
    ProcessedVideo,
    config,
    process_kind,
    without_provenance,
)

MORE = (
    "eac",
    "dual_fisheye",
    "mono_erp_anamorphic",
    "perspective_2to1",
    "title",
    "caps",
    "dark",
    "too_short",
    "vr180",
    "twice_converted",
    "corrupt",
)
NEVER_DECLARED = {
    Layout.MONO_ERP_16X9,
    Layout.MONO_ERP_LETTERBOXED,
    Layout.CONVERTED_TWICE,
    Layout.NONE,
}


def assert_same(again: SourceRow, fresh: SourceRow) -> None:
    """Check all that a snapshot or a person reads; a reevaluated row may hold further scores."""
    columns = (
        "source_id",
        "url",
        "split",
        "decision",
        "reason",
        "detail",
        "retryable",
        "layout_declared",
        "layout",
        "recipe",
        "media",
        "thumbnail",
    )
    for name in columns:
        assert getattr(again, name) == getattr(fresh, name), name
    assert [score for score in again.scores if score in fresh.scores] == list(fresh.scores)
    assert [clip.clip_id for clip in again.kept_clips] == [
        clip.clip_id for clip in fresh.kept_clips
    ]
    # A video that is dropped as a whole is not cut, so the fresh row may have no clips.
    for clip, one in zip(again.clips, fresh.clips, strict=False):
        compared = (
            "clip_id",
            "start_ms",
            "end_ms",
            "frames",
            "decision",
            "reason",
            "quality",
            "high_quality",
            "scores",
            "duplicate_of",
        )
        assert {name: getattr(clip, name) for name in compared} == {
            name: getattr(one, name) for name in compared
        }
        assert one.decision is Decision.DROPPED or clip.signature == one.signature
    assert len(again.clips) == len(fresh.clips) or not fresh.clips


def random_filters(chance: random.Random) -> FilterSettings:
    """Return settings with a few thresholds moved, some of them far."""
    fields: dict[str, Any] = {}
    for name in chance.sample(
        sorted(DECISION_SETTINGS - {"learned", "high_quality"}), k=chance.choice((1, 2, 5))
    ):
        match getattr(FilterSettings(), name):
            case float(value):
                fields[name] = min(
                    chance.choice((0.0, 0.3, 0.8, 1.2, 2.0, 5.0)) * value, _most(name)
                )
            case tuple(value):
                fields[name] = tuple(
                    layout for layout in (*value, Layout.DUAL_FISHEYE) if chance.random() < 0.6
                )
    fields.pop("fisheye_fov_deg", None)
    if chance.random() < 0.2:
        fields["fisheye_fov_deg"] = 220.0
    return FilterSettings(
        **{name: value for name, value in fields.items() if name != "seam_ratio" or value > 0}
    )


def _most(name: str) -> float:
    bounds = [
        part.le for part in FilterSettings.model_fields[name].metadata if isinstance(part, Le)
    ]
    return float(bounds[0]) if bounds else 1e6


def count_agreements(video: ProcessedVideo, seeds: range, folder: Path) -> tuple[int, int]:
    """Return how often stored scores sufficed, and how often a decision changed."""
    enough = changed = 0
    for seed in seeds:
        other = CurateConfig(
            catalogue="none", clip=CLIPS, filters=random_filters(random.Random(seed))
        )
        again = video.again(other)
        if again is not None:
            fresh = folder / str(seed)
            fresh.mkdir()
            assert_same(again, video.fresh(other, fresh))
            enough += 1
            changed += (again.decision, again.reason) != (video.row.decision, video.row.reason)
    return enough, changed


@pytest.mark.parametrize("kind", KINDS)
def test_reevaluating_gives_what_processing_gives(
    videos: dict[str, ProcessedVideo], kind: str, tmp_path: Path
) -> None:
    assert count_agreements(videos[kind], range(4), tmp_path)[0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *MORE])
def test_reevaluating_any_kind_under_any_thresholds_gives_what_processing_gives(
    kind: str, tmp_path: Path
) -> None:
    number = [*KINDS, *MORE].index(kind)
    enough, changed = count_agreements(
        process_kind(tmp_path, kind, number), range(100 * number, 100 * number + 15), tmp_path
    )
    assert enough >= 3
    assert changed or kind not in {"walk", "cuts"}


def test_returning_thresholds_restore_the_clips_without_decoding(
    videos: dict[str, ProcessedVideo],
) -> None:
    walk = videos["walk"]
    assert walk.row.decision is Decision.KEPT
    for strict in (
        {"seam_ratio": 0.01, "seam_value": 0.0},
        {"sharpness": 50.0},
        {"halves_similarity": 0.0},
        {"convert": (), "layout_evidence": 0.0},
    ):
        gone = walk.again(config(**strict))
        assert gone is not None
        back = walk.again(config(), gone)
        assert back is not None
        assert without_provenance(back) == without_provenance(walk.row)
    dropped = walk.again(config(seam_ratio=0.01, seam_value=0.0))
    assert dropped is not None
    assert (dropped.decision, dropped.reason, dropped.kept_clips) == (
        Decision.DROPPED,
        Reason.SEAM,
        (),
    )
    assert [(clip.decision, clip.reason, clip.shard) for clip in dropped.clips] == [
        (Decision.DROPPED, Reason.SEAM, "shards/a.arrow")
    ] * 2


def test_a_clip_that_was_never_cut_or_encoded_is_not_kept_from_scores(
    videos: dict[str, ProcessedVideo],
) -> None:
    assert videos["broken_seam"].again(config(seam_ratio=1e6)) is None  # never cut
    assert videos["static"].again(config(static_difference=0.0, moving_share=0.0)) is None
    assert videos["stereo_tb_2to1"].again(config(convert=())) is not None
    walk = videos["walk"]
    bare = replace(walk.row, clips=tuple(replace(clip, shard=None) for clip in walk.row.clips))
    assert walk.again(config(variance=400.0), bare) is None  # never written
    assert walk.again(config(shot_boundary=0.0)) is None  # it would be cut elsewhere
    cuts = videos["cuts"]
    assert cuts.again(config(shot_boundary=1.0)) is None  # it would not be cut
    assert cuts.again(config(shot_boundary=0.18)) is not None


def test_a_retryable_failure_is_not_reevaluated(videos: dict[str, ProcessedVideo]) -> None:
    walk = videos["walk"]
    failed = replace(walk.row, decision=Decision.FAILED, reason=Reason.TIMED_OUT, retryable=True)
    assert walk.again(config(), failed) is None
    gone = replace(
        walk.row, decision=Decision.FAILED, reason=Reason.REMOVED, media=None, scores=(), clips=()
    )
    again = walk.again(config(variance=400.0), gone)
    assert again is not None
    assert (again.decision, again.reason, again.recipe) == (
        Decision.FAILED,
        Reason.REMOVED,
        Recipe.from_config(config(variance=400.0)).digest,
    )


def test_reevaluating_removes_the_marks_of_duplicates(
    videos: dict[str, ProcessedVideo],
) -> None:
    walk = videos["walk"]
    mark = Score(filter="duplicate", name="likeness", value=1.0, threshold=0.85, kept=False)
    dropped = {
        "decision": Decision.DROPPED,
        "reason": Reason.DUPLICATE,
        "duplicate_of": "url:a@0-2000",
        "shard": None,
    }
    clips = tuple(replace(clip, **dropped, scores=(*clip.scores, mark)) for clip in walk.row.clips)
    copy = replace(
        walk.row, decision=Decision.DROPPED, reason=Reason.DUPLICATE, clips=clips, split=Split.TEST
    )
    again = walk.again(config(variance=400.0), copy)
    assert again is not None
    assert (again.decision, again.split, [clip.duplicate_of for clip in again.clips]) == (
        Decision.KEPT,
        Split.VAL,
        [None, None],
    )
    assert not any(score.filter == "duplicate" for clip in again.clips for score in clip.scores)


def test_a_lost_video_keeps_its_clips_in_shards(videos: dict[str, ProcessedVideo]) -> None:
    walk = videos["walk"]
    first, second = walk.row.clips
    row = replace(walk.row, clips=(first, replace(second, shard=None)))
    again = walk.again(config(variance=400.0), row, lost=Reason.REMOVED)
    assert again is not None
    assert [(clip.decision, clip.reason) for clip in again.clips] == [
        (Decision.KEPT, None),
        (Decision.DROPPED, Reason.REMOVED),
    ]
    assert again.detail == "1 of 2 clips kept"
    assert videos["broken_seam"].again(config(seam_ratio=1e6), lost=Reason.REMOVED) is None


def test_reevaluating_decodes_nothing_and_takes_a_hundredth_of_a_second(
    videos: dict[str, ProcessedVideo], monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = videos["walk"]
    rows = [
        replace(walk.row, source_id=f"url:{k}", clips=walk.row.clips * 10) for k in range(200)
    ]  # 4,000 clips
    monkeypatch.setattr(VideoReader, "frames", refuse)
    monkeypatch.setattr(recompute_module, "open_video", refuse)
    start = time.process_time()
    again = [walk.again(config(text_share=0.0), row) for row in rows]
    assert time.process_time() - start < 2
    assert all(
        row is not None and row.measured_filters == () and row.stage_seconds is None
        for row in again
    )


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a video was opened")


@pytest.mark.parametrize("layout", sorted(set(Layout) - NEVER_DECLARED))
def test_media_of_version_1_declares_the_layout_that_its_row_declared(layout: Layout) -> None:
    media = {"width": 8, "height": 4, "fps_num": 30000, "fps_den": 1001, "frames": 60}
    values = {
        "source_id": "url:a",
        "url": "http://example.org/a",
        "split": "train",
        "decision": "kept",
        "layout_declared": layout,
        "scores": [{"filter": "layout", "name": "pixel_aspect", "value": 1.5}],
        "media": {**media, "codec": "h264", "container": "mp4"},
        "recipe": "0" * 16,
        "run_id": "run",
        "code_version": "0",
        "decided": datetime(2026, 1, 1, tzinfo=UTC),
    }
    found = row_from_values(values).media
    assert found is not None
    assert (declared_layout(found.spherical), found.pixel_aspect) == (layout, Fraction(3, 2))
    assert found.duration_s == pytest.approx(2.002)
