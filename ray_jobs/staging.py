"""One video from its url to a staged folder: `DATASET/staging/{source hash}-{recipe}/` with row.json, clips.arrow and thumb.jpg.

The folder is renamed into place whole, so that what a killed refresh had finished is not worked on again. Only its path
travels between processes, and it does not count until its wave is committed.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argus.curate import CuratedClip, CuratedVideo, Fetched, VideoSource, assign_split, curate_isolated, fetch
from argus.curate.pacing import Pacer
from argus.errors import FetchError
from argus.files import replacing
from argus.media import MediaInfo
from argus.shards import ClipRow, DecidedVideo, FetchRow, MediaRow, ScoreRow, SecondsRow, ShardClip, ShardReader, SourceRow, write_shard
from schemas.config import CurateConfig
from schemas.names import Decision, Reason

if TYPE_CHECKING:
    from ray_jobs.scoring import Scoring


@dataclass(frozen=True)
class Stamp:
    """What all rows of one refresh have in common."""

    recipe: str
    run_id: str
    code_version: str


def stage_video(source: VideoSource, config: CurateConfig, stamp: Stamp, scoring: "Scoring | None" = None) -> Path:
    """Fetches and judges one video; returns its staged folder. A settled one that is already there is taken as it is.

    `scoring` are the learned scorers, which judge the clips that are left last.
    """
    dataset = Path(config.dataset).absolute()
    target = staged_folder(dataset, source.source_id, stamp.recipe)
    if target.exists():
        if read_staged(target).row.settled:
            return target
        shutil.rmtree(target)
    with replacing(target) as folder:
        folder.mkdir(parents=True)
        try:
            fetched = fetch(source, folder / "fetched", config.fetch, Pacer())
        except FetchError as error:
            row = failed_row(source, stamp, error.reason, str(error), retryable=error.retryable)
        else:
            samples = folder / "samples" if scoring and scoring.processes else None
            video = curate_isolated(fetched.path, source, config, folder, samples)
            row = stage_judgement(folder, scoring.judge(video, folder / "samples") if scoring else video, fetched, stamp)
            if config.fetch.keep_files:
                (dataset / "fetched").mkdir(exist_ok=True)
                fetched.path.replace(dataset / "fetched" / fetched.path.name)
        for part in ("fetched", "samples", "clips"):
            shutil.rmtree(folder / part, ignore_errors=True)
        (folder / "row.json").write_text(row.model_dump_json(), encoding="utf-8")
    return target


def read_staged(folder: Path) -> DecidedVideo:
    """The staged result; its clips are read one by one when they are asked for."""
    row = SourceRow.model_validate_json((folder / "row.json").read_text(encoding="utf-8"))
    return DecidedVideo(row, _read_clips(folder) if (folder / "clips.arrow").exists() else ())


def place_thumbnail(folder: Path, dataset: Path, row: SourceRow) -> None:
    """Moves a staged thumbnail to where its row says."""
    staged = folder / "thumb.jpg"
    if row.thumbnail and staged.exists():
        (dataset / row.thumbnail).parent.mkdir(parents=True, exist_ok=True)
        staged.replace(dataset / row.thumbnail)


def discard_staged(dataset: Path, recipe: str, source_ids: Iterable[str]) -> None:
    """Removes what is staged for these sources, whole or torn."""
    if not (dataset / "staging").is_dir():
        return
    names = {staged_folder(dataset, source_id, recipe).name for source_id in source_ids}
    for path in (dataset / "staging").iterdir():
        if path.name in names or path.name.removeprefix(".").partition(".")[0] in names:
            shutil.rmtree(path, ignore_errors=True)


def staged_folder(dataset: Path, source_id: str, recipe: str) -> Path:
    """Where the result of a source under a recipe is staged."""
    return dataset / "staging" / f"{_digits(source_id)}-{recipe}"


def failed_row(source: VideoSource, stamp: Stamp, reason: Reason, detail: str, *, retryable: bool) -> SourceRow:
    """The row of a video that could not be judged."""
    return _row(source, stamp, decision=Decision.FAILED, reason=reason, detail=detail, retryable=retryable)


def stage_judgement(folder: Path, video: CuratedVideo, fetched: Fetched, stamp: Stamp) -> SourceRow:
    """The row of what was judged into a folder that is being staged; the clips that were written there become clips.arrow."""
    thumbnail = f"thumbs/{_digits(video.source.source_id)}.jpg" if video.thumbnail else None
    row = _row(video.source, stamp, **_judged(video), fetch=_fetch_row(fetched), thumbnail=thumbnail)
    if any(clip.shard is None for clip in row.kept_clips):
        write_shard(folder / "clips.arrow", _shard_clips(folder, video, row))
    return row


def _row(source: VideoSource, stamp: Stamp, **values: Any) -> SourceRow:
    split = source.split or assign_split(source.source_id)
    fixed = {"source_id": source.source_id, "url": source.url, "split": split, "decided": datetime.now(UTC)}
    return SourceRow.model_validate({**fixed, **asdict(stamp), **values})


def _judged(video: CuratedVideo) -> dict[str, Any]:
    return {
        "decision": video.decision,
        "reason": video.reason,
        "detail": video.detail,
        "retryable": video.retryable,
        "layout_declared": video.layout_declared,
        "layout": video.layout,
        "conversion": video.conversion,
        "scores": tuple(ScoreRow(**asdict(score)) for score in video.scores),
        "clips": tuple(map(_clip_row, video.clips)),
        "media": _media_row(video.media) if video.media else None,
        "scored": video.scored,
        "networks": video.networks,
        "seconds": SecondsRow(**asdict(video.seconds)) if video.seconds else None,
    }


def _clip_row(clip: CuratedClip) -> ClipRow:
    return ClipRow(
        clip_id=clip.clip_id,
        start_ms=clip.start_ms,
        end_ms=clip.end_ms,
        frames=clip.frames,
        decision=clip.decision,
        reason=clip.reason,
        quality=clip.quality,
        high_quality=clip.high_quality,
        scores=tuple(ScoreRow(**asdict(score)) for score in clip.scores),
        signature=clip.signature,
        **(asdict(clip.place) if clip.place else {}),
    )


def _fetch_row(fetched: Fetched) -> FetchRow:
    return FetchRow.model_validate({name: value for name, value in asdict(fetched).items() if name != "path"})


def _media_row(media: MediaInfo) -> MediaRow:
    return MediaRow(
        width=media.width,
        height=media.height,
        fps_num=media.fps.numerator,
        fps_den=media.fps.denominator,
        frames=media.frames,
        codec=media.codec,
        container=media.container,
    )


def _shard_clips(folder: Path, video: CuratedVideo, row: SourceRow) -> Iterator[ShardClip]:
    """Those that lie in no shard yet."""
    for clip in video.clips:
        if clip.decision is Decision.KEPT and clip.place is None:
            assert clip.video is not None, "a kept clip has its video"
            yield ShardClip(
                clip_id=clip.clip_id,
                source_id=row.source_id,
                split=row.split,
                start_ms=clip.start_ms,
                end_ms=clip.end_ms,
                frames=clip.frames,
                height=clip.height,
                width=clip.width,
                fps=clip.fps,
                quality=clip.quality,
                video=(folder / clip.video).read_bytes(),
            )


def _read_clips(folder: Path) -> Iterator[ShardClip]:
    with ShardReader(folder / "clips.arrow") as reader:
        yield from map(reader.clip, range(len(reader)))


def _digits(source_id: str) -> str:
    return hashlib.sha256(source_id.encode()).hexdigest()[:16]
