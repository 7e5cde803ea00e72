"""Recomputation measures and decodes only what it needs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from argus.curate import (
    ROW_HEIGHT,
    Recipe,
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
from argus.curate.recompute import recompute, recompute_isolated
from argus.curate.records import PriorResult
from argus.dataset import (
    Dataset,
    DecidedVideo,
    Score,
    SourceRow,
)
from argus.networks import NETWORKS, accept_weights
from schemas.config import (
    FilterSettings,
    LearnedSettings,
    LearnedThresholds,
)
from schemas.names import Decision, Reason
from tests.support.processed import ProcessedVideo, config, stage_row, without_provenance


def measured(row: SourceRow, value: float, networks: tuple[str, ...]) -> SourceRow:
    """Return the row as if LPIPS had measured its clips."""
    score = Score(filter="lpips", name="between", value=value)
    clips = tuple(replace(clip, scores=(*clip.scores, score)) for clip in row.clips)
    return replace(row, clips=clips, networks=networks)


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


def test_a_learned_threshold_accepts_scores_of_the_same_network_only(
    videos: dict[str, ProcessedVideo], tmp_path: Path
) -> None:
    walk = videos["walk"]
    for file in NETWORKS["lpips"].files:
        (tmp_path / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file.path).touch()
    accept_weights(tmp_path, NETWORKS["lpips"].files)
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
        "sample_native_frames": 1,  # of the contact sheet, as are two of the next
        "read_frames": 4,
        "open_video": 1,
    }
    assert video.measured_filters == ("blur",)
    row = stage_row(walk.path, walk.source, video, config(), tmp_path)
    assert without_provenance(row) == without_provenance(walk.row)
    assert [path.name for path in tmp_path.iterdir()] == ["thumb.jpg"]


def test_a_changed_filter_of_whole_videos_may_drop(
    videos: dict[str, ProcessedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = videos["walk"]
    change_seam(monkeypatch)
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


def test_a_row_read_from_the_index_passes_through_the_sandbox(
    videos: dict[str, ProcessedVideo], tmp_path: Path
) -> None:
    walk = videos["walk"]
    dataset = Dataset(tmp_path / "dataset")
    dataset.commit_chunk([DecidedVideo(walk.row)])
    row = dataset.read_rows([walk.row.source_id])[walk.row.source_id]
    prior = PriorResult(row, frozenset({"black"}))
    video = recompute_isolated(walk.path, walk.source, prior, config(black_level=6), tmp_path)
    assert (video.decision, video.measured_filters) == (Decision.KEPT, ("black",))


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


def change_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the seam filter drop everything."""
    torn = {"seam_value": 1.0, "seam_ratio": 9.0, "center_value": 0.0, "center_ratio": 0.0}
    monkeypatch.setattr(SeamFilter, "score", lambda *_: torn)


@pytest.mark.parametrize("kind", ["walk", "static", "cuts", "stereo_tb_2to1"])
@pytest.mark.parametrize("stale", ["blur", "black"])
def test_the_contact_sheet_is_that_of_a_video_processed_from_scratch(
    videos: dict[str, ProcessedVideo], tmp_path: Path, kind: str, stale: str
) -> None:
    one = videos[kind]
    prior = PriorResult(replace(one.row, thumbnail=None), frozenset({stale}))
    video = recompute(one.path, one.source, prior, config(), tmp_path)
    assert video.thumbnail == "thumb.jpg"
    assert (tmp_path / "thumb.jpg").read_bytes() == (one.folder / "thumb.jpg").read_bytes()


def test_the_contact_sheet_shows_the_clips_that_the_row_still_has(
    videos: dict[str, ProcessedVideo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A video that is dropped now keeps its clips if they still count, and else only its own row."""
    change_seam(monkeypatch)
    walk = videos["walk"]
    for stale, rows in ((frozenset({"seam"}), 3), (frozenset({"seam", "blur"}), 1)):
        prior = PriorResult(walk.row, stale)
        video = recompute(walk.path, walk.source, prior, config(), tmp_path)
        assert (video.decision, len(video.clips)) == (Decision.DROPPED, rows - 1)
        sheet = cv2.imread(str(tmp_path / "thumb.jpg"))
        assert sheet is not None
        assert len(sheet) == rows * ROW_HEIGHT


def test_another_file_is_processed_from_scratch(
    videos: dict[str, ProcessedVideo], tmp_path: Path
) -> None:
    walk, cuts = videos["walk"], videos["cuts"]
    video = recompute(
        cuts.path, cuts.source, PriorResult(walk.row, frozenset({"blur"})), config(), tmp_path
    )
    assert "shots" in video.measured_filters
    assert video == process_video(cuts.path, cuts.source, config(), tmp_path)
