"""Processed videos with their rows, as if their clips were committed."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from argus.curate import (
    PriorResult,
    Recipe,
    VideoSource,
    process_video,
    reevaluate_video,
    stage_result,
)
from argus.dataset import (
    CuratedVideo,
    FetchedFile,
    Provenance,
    SourceRow,
)
from argus.files import sha256_file
from argus.synth import VIDEO_KINDS, write_video_kind
from schemas.config import (
    ClipSettings,
    CurateConfig,
    FilterSettings,
)
from schemas.names import Decision, Reason, Split

KINDS = ("walk", "static", "cuts", "stereo_tb_2to1", "broken_seam", "truncated")
PROVENANCE = {
    "recipe",
    "run_id",
    "code_version",
    "decided_at",
    "measured_filters",
    "stage_seconds",
}
CLIPS = ClipSettings(height=64, clip_s=2.0, min_clip_s=0.8)


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
        return stage_row(
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
        return reevaluate_video(
            prior, self.source, recipe, Provenance(recipe.digest, "run", "0"), lost=lost
        )


def stage_row(
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


def place_clips(row: SourceRow) -> SourceRow:
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
        path, source, folder, place_clips(stage_row(path, source, video, config(), folder))
    )
