"""The commands `why`, `show` and `gallery`: one video, one clip, one snapshot, or all pictures."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argus.cli.console import (
    format_decision,
    format_number,
    handle_errors,
    new_table,
    open_stdout,
    print_facts,
    print_json,
    print_next,
    print_note,
    stderr,
)
from argus.cli.options import (
    DatasetOption,
    JsonOption,
    LimitOption,
    locate_dataset,
    require_dataset,
)
from argus.cli.progress import ProgressDisplay
from argus.files import require_utf8, require_writable

if TYPE_CHECKING:
    from argus.dataset import CuratedClip, DatasetView, FoundItem, SourceRow
    from argus.report import ScoreLine, Stage

_WIDE = 100  # columns of a console with room for the settings of thresholds
_YOUTUBE_ID_LENGTH = 11  # a number with as many digits names a video, not a snapshot


@handle_errors
def why(
    name: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO_OR_CLIP",
            help="A source id (youtube:ID, url:DIGITS), a URL, a YouTube id, or a clip id",
        ),
    ],
    *,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain the decision on one video or clip: download, file, layout, scores, thresholds.

    The margin is the distance of a score from its threshold; the scores in red dropped the video.
    For a clip, its shard, row and checksum are shown too.

    JSON: a list of stages with the keys title, facts, scores (filter, score, value, threshold,
    kept, setting), summary, kept.

    Example: `argus dataset why youtube:dQw4w9WgXcQ@0-10000`
    """
    view = open_view(dataset)
    from argus.report import explain_decision

    stages = list(explain_decision(view, view.find(name)))
    if as_json:
        print_json([_stage_values(stage) for stage in stages])
        return
    out = open_stdout()
    for stage in stages:
        _print_stage(out, stage)


@handle_errors
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[SNAPSHOT|VIDEO|CLIP]",
            help="A snapshot's version, or a name as in `why` [default: the newest snapshot]",
        ),
    ] = None,
    *,
    dataset: DatasetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a snapshot, a video or a clip contains and where it is stored.

    JSON keys of a snapshot: version, digest, videos, clips, hours, frames, high_quality, quality
    (mean), shards, splits (clips), path. Of a video or a clip: the fields of its row in the index.

    Example: `argus dataset show 12` or `argus dataset show youtube:dQw4w9WgXcQ --json`
    """
    if name is None or (name.isdecimal() and len(name) < _YOUTUBE_ID_LENGTH):
        _show_snapshot(
            require_dataset(locate_dataset(dataset)), int(name) if name else None, as_json=as_json
        )
        return
    found = open_view(dataset).find(name)
    if as_json:
        _print_row(found)
        return
    _show_video(open_stdout(), found)
    print_next(f"argus dataset why {found.clip.clip_id if found.clip else found.video.source_id}")


@handle_errors
def gallery(
    page: Annotated[Path, typer.Argument(metavar="OUT.html", help="The page to write")],
    *,
    dataset: DatasetOption = None,
    limit: LimitOption = 2000,
) -> None:
    """Write one page with pictures, reasons and scores of kept and dropped videos.

    The page works without a server. A few pictures are inside it; many are in the folder
    `OUT_pictures` beside it, and both belong together. With more videos than --limit, some of
    every reason are taken.

    Example: `argus dataset gallery look.html --limit 500`
    """
    require_writable(page, "page", (".html", ".htm"))
    require_utf8(page, "page")  # it names the folder of its pictures
    view = open_view(dataset)
    from argus.report import write_gallery

    videos = read_videos(view)
    with ProgressDisplay("gallery", transient=True) as display:
        made = write_gallery(
            page, view.store, videos, limit=limit or len(videos), on_progress=display.update
        )
    if made.videos < len(videos):
        print_note(f"{made.videos} of {len(videos)} videos are shown; --limit 0 shows all")
    facts = {"videos": made.videos, "clips": made.clips, "page": made.page.absolute()}
    pictures = {"pictures": made.pictures.absolute()} if made.pictures else {}
    for key, value in {**facts, **pictures}.items():
        typer.echo(f"{key}: {value}")


def open_view(dataset: str | None) -> "DatasetView":
    """Open a dataset for reading.

    Raises:
        InvalidInput: there is no dataset.
    """
    place = require_dataset(locate_dataset(dataset))
    from argus.dataset import DatasetView

    return DatasetView(place)


def read_videos(view: "DatasetView") -> "list[SourceRow]":
    """Return the latest decision on every video.

    Raises:
        typer.Exit: nothing is decided yet; with status 0.
    """
    with stderr.status("reading the index"):
        videos = view.list_videos()
    if not videos:
        print_note(f"The dataset at {view.store.uri} is empty: no video is decided yet.")
        print_next(f"argus refresh CATALOGUE --dataset {view.store.uri}")
        raise typer.Exit
    return videos


def _stage_values(stage: "Stage") -> dict[str, Any]:
    scores = [{**asdict(line), "setting": line.setting or None} for line in stage.scores]
    return {**asdict(stage), "scores": scores}


def _print_stage(out: Console, stage: "Stage") -> None:
    title = Text(stage.title, "bold")
    if stage.summary:
        style = {True: "bold green", False: "bold red", None: ""}[stage.kept]
        title.append(": ").append(stage.summary, style)
    out.print(title, soft_wrap=True)
    print_facts(out, "", stage.facts)
    if stage.scores:
        out.print(_score_table(out, stage.scores))
    out.print()


def _score_table(out: Console, lines: "Sequence[ScoreLine]") -> Table:
    """Return a table of scores; a wide console also gets the settings of the thresholds."""
    headers = ["  score", "value", "threshold", "margin", "decision", "setting"]
    if out.width < _WIDE:
        headers.pop()
    table = new_table(out, *headers, left=["setting"])
    for line in lines:
        is_dropping = line.threshold is not None and not line.kept
        cells = (
            f"  {line.filter}.{line.score}",
            format_number(line.value),
            format_number(line.threshold),
            line.margin,
            "recorded" if line.threshold is None else "drop" if is_dropping else "keep",
            line.setting,
        )
        style = "red" if is_dropping else "dim" if line.threshold is None else None
        table.add_row(*cells[: len(headers)], style=style)
    return table


def _show_snapshot(dataset: str, version: int | None, *, as_json: bool) -> None:
    from argus.dataset import Dataset
    from argus.report import snapshot_facts

    snapshot = Dataset(dataset).get_snapshot(version)
    facts = {**snapshot_facts(snapshot), "path": snapshot.uri}
    if as_json:
        print_json(facts)
        return
    splits = facts.pop("splits")
    quality = facts["quality"]
    facts["quality"] = "not measured" if quality is None else f"{quality:.3f} (mean)"
    out = open_stdout()
    title = f"Snapshot {facts.pop('version')}"
    print_facts(out, title, {name.replace("_", " "): value for name, value in facts.items()})
    table = new_table(out, "split", "clips")
    for split, count in splits.items():
        table.add_row(split, str(count))
    out.print(table)


def _print_row(found: "FoundItem") -> None:
    """Print the row of a video, or of its clip, as JSON."""
    from argus.dataset import row_to_json

    values = json.loads(row_to_json(found.video))
    if found.clip:
        values = next(clip for clip in values["clips"] if clip["clip_id"] == found.clip.clip_id)
    print_json(values)


def _show_video(out: Console, found: "FoundItem") -> None:
    video = found.video
    media = video.media
    spent = asdict(video.stage_seconds) if video.stage_seconds else {}
    stages = (f"{name} {seconds:.1f} s" for name, seconds in spent.items() if seconds is not None)
    facts = {
        "url": video.url,
        "decision": format_decision(video.decision, video.reason),
        "detail": video.detail,
        "layout": video.layout,
        "file": media and f"{media.width}×{media.height} {media.codec}, {media.frames} frames",
        "split": video.split,
        "time spent": ", ".join(stages),
        "decided": f"{video.decided_at:%Y-%m-%d %H:%M:%S} UTC by run {video.run_id} "
        f"under recipe {video.recipe}",
    }
    print_facts(out, video.source_id, facts)
    if clips := (found.clip,) if found.clip else video.clips:
        out.print(_clip_table(out, clips))


def _clip_table(out: Console, clips: "tuple[CuratedClip, ...]") -> Table:
    """Return a table of a video's clips; a narrow console gets their ids from the `@` on."""
    table = new_table(
        out, "clip", "seconds", "quality", "decision", "location", left=["decision", "location"]
    )
    for clip in clips:
        table.add_row(
            clip.clip_id if out.width >= _WIDE else f"@{clip.clip_id.rpartition('@')[2]}",
            f"{(clip.end_ms - clip.start_ms) / 1000:g}",
            f"{clip.quality:.2f}" if clip.quality is not None else "",
            format_decision(clip.decision, clip.reason),
            f"{clip.shard}, row {clip.row}" if clip.shard else "",
        )
    return table
