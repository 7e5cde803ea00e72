"""Reevaluation and recomputation give what processing gives, and decode only what they need."""

import random
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Le

from argus.curate import (
    Recipe,
    VideoSource,
    WorkKind,
    clip_filters,
    clipping,
    process_video,
    video_filters,
)
from argus.curate import recompute as recompute_module
from argus.curate.clipping import ClipCutter
from argus.curate.filters.blur import BlurFilter
from argus.curate.filters.seam import SeamFilter
from argus.curate.layout import declared_layout
from argus.curate.recompute import recompute, recompute_isolated
from argus.curate.records import PriorResult
from argus.curate.reevaluate import reevaluate
from argus.curate.results import stage_result
from argus.curate.thresholds import DECISION_SETTINGS
from argus.dataset import (
    CuratedVideo,
    FetchedFile,
    Provenance,
    Score,
    SourceRow,
    row_from_values,
)
from argus.files import sha256_file
from argus.media import VideoReader
from argus.networks import WEIGHT_FILES
from argus.synth import VIDEO_KINDS, write_video_kind
from schemas.config import (
    ClipSettings,
    CurateConfig,
    FilterSettings,
    LearnedSettings,
    LearnedThresholds,
)
from schemas.names import Decision, Layout, Reason, Split

KINDS = ("walk", "static", "cuts", "stereo_tb_2to1", "broken_seam", "truncated")
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
CLIPS = ClipSettings(height=64, clip_s=2.0, min_clip_s=0.8)
PROVENANCE = {
    "recipe",
    "run_id",
    "code_version",
    "decided_at",
    "measured_filters",
    "stage_seconds",
}


def config(**filters: Any) -> CurateConfig:
    return CurateConfig(catalogue="none", clip=CLIPS, filters=FilterSettings(**filters))


def without_provenance(row: SourceRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name not in PROVENANCE}


@dataclass
class ProcessedVideo:
    """A processed video, and its row as if its clips were committed."""

    path: Path
    source: VideoSource
    folder: Path
    row: SourceRow

    def fresh(self, config: CurateConfig, folder: Path) -> SourceRow:
        """Return the row that processing from scratch gives."""
        return staged(
            self.path,
            self.source,
            process_video(self.path, self.source, config, folder),
            config,
            folder,
        )

    def again(
        self,
        config: CurateConfig,
        row: SourceRow | None = None,
        *,
        stale: frozenset[str] = frozenset(),
        lost: Reason | None = None,
    ) -> SourceRow | None:
        """Return the row that stored scores give."""
        recipe = Recipe.from_config(config)
        prior = PriorResult(row or self.row, stale)
        return reevaluate(
            prior, self.source, recipe, Provenance(recipe.digest, "run", "0"), lost=lost
        )


def staged(
    path: Path, source: VideoSource, video: CuratedVideo, config: CurateConfig, folder: Path
) -> SourceRow:
    fetched = FetchedFile(
        tool="yt-dlp",
        version="1",
        client="generic",
        format_id="0",
        format_note="",
        bytes=path.stat().st_size,
        sha256=sha256_file(path),
        path=path,
    )
    provenance = Provenance(Recipe.from_config(config).digest, "run", "0")
    return stage_result(folder, video, fetched, provenance)


def placed(row: SourceRow) -> SourceRow:
    clips = [
        replace(clip, shard="shards/a.arrow", row=k, checksum="0")
        if clip.decision is Decision.KEPT
        else clip
        for k, clip in enumerate(row.clips)
    ]
    return replace(row, clips=tuple(clips))


def process_kind(folder: Path, kind: str, seed: int) -> ProcessedVideo:
    """Process a video of four seconds under the defaults."""
    path = folder / "a.mp4"
    write_video_kind(
        path,
        kind,
        seed=seed,
        seconds=4,
        fps=5,
        height=64,
        tagged=VIDEO_KINDS[kind].spherical is not None,
    )
    source = VideoSource(f"url:{kind}", f"http://example.org/{kind}", Split.VAL)
    video = process_video(path, source, config(), folder)
    return ProcessedVideo(
        path, source, folder, placed(staged(path, source, video, config(), folder))
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProcessedVideo]:
    return {
        kind: process_kind(tmp_path_factory.mktemp(kind), kind, seed)
        for seed, kind in enumerate(KINDS)
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


def measured(row: SourceRow, value: float, networks: tuple[str, ...]) -> SourceRow:
    """Return the row as if LPIPS had measured its clips."""
    score = Score(filter="lpips", name="between", value=value)
    clips = tuple(replace(clip, scores=(*clip.scores, score)) for clip in row.clips)
    return replace(row, clips=clips, networks=networks)


def test_a_learned_threshold_accepts_scores_of_the_same_network_only(
    videos: dict[str, ProcessedVideo], tmp_path: Path
) -> None:
    walk = videos["walk"]
    for file in WEIGHT_FILES["lpips"]:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).touch()
    strict = config(learned=LearnedThresholds(lpips_between=0.002)).model_copy(
        update={"learned": LearnedSettings(weights=str(tmp_path))}
    )
    key = Recipe.from_config(strict).learned["lpips"]
    assert walk.again(strict) is None, "it was never measured"
    assert walk.again(strict, measured(walk.row, 0.1, ("lpips:1:other",))) is None
    kept = walk.again(strict, measured(walk.row, 0.1, (key,)))
    assert kept is not None
    assert (kept.decision, kept.clips[0].scores[-1].threshold) == (Decision.KEPT, 0.002)
    dropped = walk.again(strict, measured(walk.row, 0.001, (key,)))
    assert dropped is not None
    assert (dropped.decision, dropped.reason, dropped.detail) == (
        Decision.DROPPED,
        Reason.STATIC,
        "none of its 2 clips is kept",
    )
    back = walk.again(config(), dropped)
    assert back is not None
    assert [(clip.decision, clip.shard) for clip in back.clips] == [
        (Decision.KEPT, "shards/a.arrow")
    ] * 2
    video = recompute(
        walk.path,
        walk.source,
        PriorResult(measured(walk.row, 0.1, (key,))),
        strict,
        tmp_path,
        tmp_path / "samples",
    )
    assert (video.decision, video.networks, (tmp_path / "samples").exists()) == (
        Decision.KEPT,
        (key,),
        False,
    )
    video = recompute(
        walk.path,
        walk.source,
        PriorResult(measured(walk.row, 0.1, ("lpips:1:other",))),
        strict,
        tmp_path,
        tmp_path / "samples",
    )
    assert (video.decision, video.networks, len(list((tmp_path / "samples").iterdir()))) == (
        Decision.KEPT,
        (),
        2,
    )
    assert not any(score.filter == "lpips" for clip in video.clips for score in clip.scores), (
        "the networks must measure again"
    )


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


class Counter:
    """Counts the calls of functions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: dict[str, int] = {}
        self._patch = monkeypatch

    def watch(self, owner: object, name: str, known_as: str) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **options: Any) -> Any:
            self.calls[known_as] = self.calls.get(known_as, 0) + 1
            return real(*args, **options)

        self._patch.setattr(owner, name, counting)


def test_only_a_changed_filter_measures_again(
    videos: dict[str, ProcessedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk, before = videos["walk"], Recipe.from_config(config())
    monkeypatch.setattr(BlurFilter, "version", BlurFilter.version + 1)
    work = Recipe.from_config(config()).compare(before)
    assert (work.kind, work.filters) == (WorkKind.SCORE, {"blur"})
    assert walk.again(config(), stale=work.filters) is None
    counter = Counter(monkeypatch)
    for one in (*video_filters(FilterSettings()), *clip_filters()):
        if one.name not in counter.calls:
            counter.calls[one.name] = 0
            counter.watch(type(one), "score", one.name)
    for owner, name in (
        (clipping, "detect_shots"),
        (recompute_module, "sample_native_frames"),
        (ClipCutter, "write_clip"),
        (ClipCutter, "read_frames"),
        (recompute_module, "open_video"),
    ):
        counter.watch(owner, name, name)
    video = recompute(
        walk.path, walk.source, PriorResult(walk.row, work.filters), config(), tmp_path
    )
    assert {name: count for name, count in counter.calls.items() if count} == {
        "blur": 2,
        "read_frames": 2,
        "open_video": 1,
    }
    assert video.measured_filters == ("blur",)
    row = staged(walk.path, walk.source, video, config(), tmp_path)
    assert without_provenance(row) == without_provenance(walk.row)
    assert list(tmp_path.iterdir()) == []


def test_a_changed_filter_of_whole_videos_may_drop(
    videos: dict[str, ProcessedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = videos["walk"]
    monkeypatch.setattr(
        SeamFilter,
        "score",
        lambda *_: {"seam_value": 1.0, "seam_ratio": 9.0, "center_value": 0.0, "center_ratio": 0.0},
    )
    video = recompute_isolated(
        walk.path, walk.source, PriorResult(walk.row, frozenset({"seam"})), config(), tmp_path
    )
    assert (video.decision, video.measured_filters) == (Decision.KEPT, ("seam",)), (
        "the child has its own, real filter"
    )
    video = recompute(
        walk.path, walk.source, PriorResult(walk.row, frozenset({"seam"})), config(), tmp_path
    )
    assert (video.decision, video.reason, video.measured_filters) == (
        Decision.DROPPED,
        Reason.SEAM,
        ("seam",),
    )
    assert {clip.shard is not None for clip in video.clips} == {True}


def test_only_newly_kept_clips_are_encoded(
    videos: dict[str, ProcessedVideo], tmp_path: Path
) -> None:
    walk = videos["walk"]
    first, second = walk.row.clips
    lost = replace(
        first, decision=Decision.DROPPED, reason=Reason.BLURRED, shard=None, signature=None
    )
    row = replace(walk.row, clips=(lost, second))
    assert walk.again(config(), row) is None
    video = recompute(walk.path, walk.source, PriorResult(row), config(), tmp_path)
    assert [
        (clip.decision, clip.file and clip.file.name, bool(clip.shard)) for clip in video.clips
    ] == [
        (Decision.KEPT, "clips/0-2000.mp4", False),
        (Decision.KEPT, None, True),
    ]
    assert (tmp_path / "clips/0-2000.mp4").read_bytes() == (
        walk.folder / "clips/0-2000.mp4"
    ).read_bytes()
    assert video.clips[0].signature == first.signature
    assert video.measured_filters == ()


def test_another_file_is_processed_from_scratch(
    videos: dict[str, ProcessedVideo], tmp_path: Path
) -> None:
    walk, cuts = videos["walk"], videos["cuts"]
    video = recompute(
        cuts.path, cuts.source, PriorResult(walk.row, frozenset({"blur"})), config(), tmp_path
    )
    assert "shots" in video.measured_filters
    assert video == process_video(cuts.path, cuts.source, config(), tmp_path)


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
