"""`argus dataset log | show | diff | export-manifest | rebuild | compact`: a dataset's versions, and how they are shared and kept small."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from argus.cli.dataset import dataset_app
from argus.cli.errors import console, guarded
from argus.cli.jobs import ConfigFile, PrivateHosts, RunId, Sets, run_job
from argus.cli.tables import LEFT, Folder, absolute, new_table, output, place
from argus.errors import InvalidInput
from schemas.names import Decision, JobKind

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.table import Table

    from argus.dataset import ClipRow, ManifestReport
    from argus.dataset.view import Found

__all__ = ["dataset_app"]  # with these commands in it

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a program to read")]

_YOUTUBE_ID = 11  # letters; so long a number is a video's


@dataset_app.command()
@guarded
def log(
    dataset: Folder = None,
    limit: Annotated[int, typer.Option(min=0, help="Newest commits to show; 0: all")] = 30,
    as_json: AsJson = False,
) -> None:
    """List the commits, newest first: when, by which run, under which recipe, what was decided. A `*` marks those with a snapshot."""
    from argus.dataset import Dataset

    commits = Dataset(place(dataset)).log()[::-1]
    shown = commits[: limit or None]
    if as_json:
        typer.echo(
            json.dumps([{**asdict(one), "time": one.time.isoformat()} for one in shown], indent=2)
        )
        return
    out = output()
    table = new_table(
        out,
        "commit",
        "kept",
        "dropped",
        "failed",
        "clips",
        f"{LEFT}time, UTC",
        f"{LEFT}run",
        f"{LEFT}recipe",
    )
    for one in shown:
        counts = [
            str(count or "")
            for count in (*(one.decisions[decision] for decision in Decision), one.clips)
        ]
        mark = "*" if one.published else ""
        table.add_row(
            f"{one.sequence}{mark}",
            *counts,
            f"{one.time:%Y-%m-%d %H:%M:%S}",
            ", ".join(one.run_ids),
            ", ".join(one.recipes),
        )
    out.print(table)
    if len(shown) < len(commits):
        console.print(f"{len(shown)} of {len(commits)} commits; --limit 0 shows all")


@dataset_app.command()
@guarded
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[SNAPSHOT|VIDEO|CLIP]",
            help="A snapshot's number, or what `why` takes [default: the newest snapshot]",
        ),
    ] = None,
    dataset: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Show a snapshot, or a video and its clips: what is in it and where it lies.

    Examples: `argus dataset show`, `argus dataset show 12`, `argus dataset show youtube:dQw4w9WgXcQ --json`
    """
    if name is None or (name.isdecimal() and len(name) < _YOUTUBE_ID):
        _show_snapshot(place(dataset), int(name) if name else None, as_json=as_json)
        return
    from argus.dataset.view import DatasetView

    found = DatasetView(place(dataset)).find(name)
    if as_json:
        typer.echo((found.clip or found.video).model_dump_json(indent=2))
    else:
        _show_video(output(), found)


@dataset_app.command()
@guarded
def diff(
    before: Annotated[int, typer.Argument(metavar="A", help="A snapshot's number")],
    after: Annotated[
        int | None, typer.Argument(metavar="[B]", help="Another one's [default: the newest]")
    ] = None,
    dataset: Folder = None,
    limit: Annotated[int, typer.Option(min=0, help="Clips to name; 0: all")] = 30,
    as_json: AsJson = False,
) -> None:
    """Compare two snapshots: the clips that came, those that went and why, and those with other bytes, another split or another quality."""
    from argus.dataset import Dataset
    from argus.report.versions import hours, reasons_now

    opened = Dataset(place(dataset))
    found = opened.diff(before, after)
    reasons = reasons_now(opened, found.removed)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "removed": reasons}, indent=2))
        return
    out = output()
    out.print(Text(f"Snapshot {found.before} to {found.after}", "bold"))
    table = new_table(out, "clips", "", "hours")
    for name, clips in (
        ("added", found.added),
        ("removed", found.removed),
        ("changed", found.changed),
    ):
        table.add_row(name, str(len(clips)), f"{hours(clips):.3f}")
    for reason, count in Counter(reasons.values()).most_common():
        table.add_row(f"  removed: {reason}", str(count), "")
    out.print(table)
    named = [("+", clip, "") for clip in found.added] + [
        ("-", clip, reason) for clip, reason in reasons.items()
    ]
    _print_clips(out, named + [("~", clip, "") for clip in found.changed], limit)


@dataset_app.command("export-manifest")
@guarded
def export_manifest(
    manifest: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="The file to write")],
    dataset: Folder = None,
) -> None:
    """Write all that is known of the kept videos but their pixels: urls, spans, scores, checksums, settings. It may be shared.

    It is a catalogue too: `argus dataset rebuild` makes the dataset again from it.
    """
    from argus.dataset import Dataset, read_manifest
    from argus.dataset import export_manifest as export

    if manifest.suffix.lower() != ".parquet":
        raise InvalidInput(f"the file to write is {manifest}, but its name must end in .parquet")
    videos = export(Dataset(place(dataset)), manifest)
    typer.echo(
        f"videos: {videos}\nclips: {_kept(read_manifest(manifest))}\nmanifest: {manifest.absolute()}"
    )


@dataset_app.command()
@guarded
def rebuild(
    manifest: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST", help="What `export-manifest` wrote, here or elsewhere"),
    ],
    dataset: Folder = None,
    allow_private_hosts: PrivateHosts = False,
    config: ConfigFile = None,
    sets: Sets = None,
    run_id: RunId = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved configurations and stop")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a dataset again from a manifest: fetch its videos, judge them under its settings, and say what came out.

    A clip is the *same* byte for byte, *changed* where the site serves another file now or another encoder wrote it, or *missing* with the reason.
    Videos that are settled already cost nothing; kill it at any moment and start it again.
    """
    from argus.cli.rebuild import rebuild_configs
    from argus.dataset import Dataset, compare_manifest, read_manifest

    table = read_manifest(manifest)
    fields = {
        "dataset": absolute(place(dataset)),
        "run_id": run_id,
        "fetch.allow_private_hosts": allow_private_hosts or None,
    }
    configs = rebuild_configs(manifest, config, sets or (), fields, write=not dry_run)
    console.print(
        f"{manifest}: {len(table)} videos, {_kept(table)} clips, {len(configs)} recipe{'s' * (len(configs) > 1)}",
        highlight=False,
    )
    if dry_run:
        for one in configs:
            typer.echo(one.model_dump_json(indent=2))
        return
    for one in configs:
        run_job(JobKind.CURATE, one, figures=not as_json)
    _print_rebuilt(output(), compare_manifest(Dataset(place(dataset)), manifest), as_json=as_json)


@dataset_app.command()
@guarded
def compact(
    dataset: Folder = None,
    keep_snapshots: Annotated[
        int | None, typer.Option(min=1, help="Keep the newest so many [default: all]")
    ] = None,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0, help="Keep those published within so many days [default: all]"),
    ] = None,
    grace_hours: Annotated[
        float,
        typer.Option(min=0, help="Leave younger files alone; 0 only where nobody else is at work"),
    ] = 24.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed")
    ] = False,
) -> None:
    """Make few files of the index's many, and remove what nothing names any more: older snapshots, shards, pictures, left-overs of killed refreshes.

    Snapshots go only where a bound is given; what either bound keeps stays, and the newest always. It may run beside refreshes and training runs.
    """
    from argus.dataset import Dataset

    with console.status("compacting"):
        report = Dataset(place(dataset)).compact(
            keep_snapshots, keep_days, dry_run=dry_run, grace_h=grace_hours
        )
    out = output()
    table = new_table(out, "would be removed" if report.dry_run else "removed", "")
    rows = {
        "snapshots": report.snapshots,
        "shards": report.shards,
        "pictures": report.thumbnails,
        "files of staged results": report.staged,
    }
    for name, gone in rows.items():
        table.add_row(name, str(len(gone)))
    table.add_row("files of earlier versions of the index", str(report.index_removed))
    table.add_row("megabytes, but for the index", f"{report.bytes / 1e6:.1f}")
    out.print(table)
    out.print(
        f"the index is made of {report.index_files[1]} files, of {report.index_files[0]} before"
    )


def _show_snapshot(dataset: str, version: int | None, *, as_json: bool) -> None:
    from argus.dataset import Dataset
    from argus.report.versions import snapshot_facts

    snapshot = Dataset(dataset).snapshot(version)
    facts = {**snapshot_facts(snapshot), "path": snapshot.uri}
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    splits = facts.pop("splits")
    facts["quality"] = (
        f"{facts['quality']:.3f} in the mean" if facts["quality"] is not None else "not measured"
    )
    out = output()
    _print_facts(
        out,
        f"Snapshot {facts.pop('version')}",
        {name.replace("_", " "): value for name, value in facts.items()},
    )
    table = new_table(out, "split", "clips")
    for split, count in splits.items():
        table.add_row(split, str(count))
    out.print(table)


def _show_video(out: Console, found: "Found") -> None:
    video = found.video
    media = video.media
    facts = {
        "url": video.url,
        "decision": f"{video.decision}{f' ({video.reason})' if video.reason else ''}",
        "in words": video.detail,
        "layout": video.layout,
        "file": media and f"{media.width}×{media.height} {media.codec}, {media.frames} frames",
        "split": video.split,
        "cost": video.seconds
        and ", ".join(
            f"{name} {spent:.1f} s" for name, spent in video.seconds if spent is not None
        ),
        "decided": f"{video.decided:%Y-%m-%d %H:%M:%S} UTC by run {video.run_id} under recipe {video.recipe}",
    }
    _print_facts(out, video.source_id, facts)
    clips = (found.clip,) if found.clip else video.clips
    if clips:
        out.print(_clip_table(out, clips))
    out.print(
        Text(
            f"argus dataset why {found.clip.clip_id if found.clip else video.source_id} tells every score",
            "dim",
        )
    )


def _clip_table(out: Console, clips: "tuple[ClipRow, ...]") -> "Table":
    table = new_table(out, "clip", "seconds", "quality", f"{LEFT}decision", f"{LEFT}lies at")
    for clip in clips:
        lies = f"{clip.shard}, row {clip.row}" if clip.shard else ""
        quality = f"{clip.quality:.2f}" if clip.quality is not None else ""
        outcome = f"{clip.decision}{f' ({clip.reason})' if clip.reason else ''}"
        table.add_row(
            clip.clip_id, f"{(clip.end_ms - clip.start_ms) / 1000:g}", quality, outcome, lies
        )
    return table


def _print_clips(out: Console, clips: Sequence[tuple[str, str, str]], limit: int) -> None:
    """(sign, clip_id, remark) each."""
    colours = {"+": "green", "-": "red", "~": "yellow"}
    for sign, clip_id, remark in clips[: limit or None]:
        out.print(Text(f"{sign} {clip_id}  {remark}".rstrip(), colours[sign]), soft_wrap=True)
    if limit and len(clips) > limit:
        console.print(f"{limit} of {len(clips)} clips are named; --limit 0 names all")


def _print_facts(out: Console, title: str, facts: dict[str, Any]) -> None:
    shown = {name: str(value) for name, value in facts.items() if value not in (None, "")}
    width = max(map(len, shown), default=0)
    out.print(Text(title, "bold"), soft_wrap=True)
    for name, value in shown.items():
        out.print(Text.assemble("  ", (f"{name:<{width}}  ", "dim"), value), soft_wrap=True)
    out.print()


def _print_rebuilt(out: Console, report: "ManifestReport", *, as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps(
                {"same": report.same, "changed": report.changed, "missing": report.missing},
                indent=2,
            )
        )
        return
    total = len(report.same) + len(report.changed) + len(report.missing)
    table = new_table(out, "clips of the manifest", "", "")
    lines = [
        ("same, byte for byte", len(report.same)),
        ("changed: kept with other bytes", len(report.changed)),
    ]
    lines += [
        (f"missing: {reason}", count)
        for reason, count in Counter(report.missing.values()).most_common()
    ]
    for name, count in lines:
        table.add_row(name, str(count), f"{count / total:.0%}" if total else "")
    out.print(table)


def _kept(manifest: "pa.Table") -> int:
    """The kept clips of a manifest."""
    import pyarrow.compute as pc

    clips = manifest["clips"].combine_chunks().flatten()
    return int(pc.sum(pc.equal(clips.field("decision"), "kept")).as_py() or 0)
