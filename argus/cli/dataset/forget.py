"""The command `forget`: take videos down."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from argus.cli.console import (
    confirm,
    handle_errors,
    new_table,
    open_stdout,
    print_facts,
    print_json,
    print_next,
    print_note,
    stderr,
)
from argus.cli.jobs import has_registry, use_local_registry
from argus.cli.options import (
    DatasetOption,
    JsonOption,
    PreviewOption,
    YesOption,
    locate_dataset,
    require_dataset,
)
from argus.errors import ArgusError, InvalidInput
from argus.runs import argus_home

if TYPE_CHECKING:
    from argus.dataset import Dataset, Tombstone
    from argus.registry import DataUse


@handle_errors
def forget(
    video: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO", help="A source id (youtube:ID, url:DIGITS), a URL, or a YouTube id"
        ),
    ],
    *,
    why: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="The reason, such as a takedown notice; it is stored"),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Only look for what is left of a video that was forgotten"),
    ] = False,
    dataset: DatasetOption = None,
    dry_run: PreviewOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a video down: remove everything that shows it, and never fetch it again.

    Removes its clips from every shard and snapshot, its scores, signatures, pictures, staged and
    fetched files, and pages of runs that show it. Its row in the index stays, with the reason.
    Lists the models that were trained on it; they are not changed. Run it while no refresh runs;
    repeat it after a kill. Other machines, copies and exported files are not reached.

    Exit status 1: `--verify` found something.

    JSON keys: source_id, url, why, forgotten_at, snapshots (versions that held it), shards, runs
    (run_name, experiment, snapshot, models), duplicates (video ids), remains.

    Example: `argus dataset forget youtube:dQw4w9WgXcQ --why "notice of 3 May"`
    """
    place = require_dataset(locate_dataset(dataset))
    from argus.curate import find_remains, forget_video
    from argus.dataset import Dataset

    opened = Dataset(place)
    source_id, url = _identify(opened, video)
    if verify:
        remains = find_remains(opened, source_id, argus_home())
        _print_remains(opened, source_id, remains, as_json=as_json)
        raise typer.Exit(1 if remains else 0)
    reason = _require_reason(why)
    tombstone = opened.describe_source(source_id, url, reason)
    duplicates = _find_duplicates(opened, source_id)
    if not dry_run:
        if not yes:
            _confirm_removal(tombstone)
        with stderr.status("removing"):
            tombstone = forget_video(opened, source_id, url, reason, argus_home())
    uses = _find_uses(opened, tombstone)
    _print_report(tombstone, uses, duplicates, as_json=as_json, dry_run=dry_run)
    if dry_run:
        print_note("Nothing was changed.")
        return
    print_next(f"argus dataset forget {source_id} --verify")


def _identify(dataset: "Dataset", text: str) -> tuple[str, str]:
    """Return the id of a video, and its URL if it is known.

    Raises:
        InvalidInput: the text is no id or URL, or an id of a URL that the dataset does not know.
    """
    from argus.dataset import DatasetView, identify

    kind, _, name = text.strip().partition(":")
    if kind == "youtube" or "://" in text or not name:
        source_id, url = identify(name if kind == "youtube" else text)
        if source_id.startswith("youtube:") or "://" in url:
            return source_id, url
    elif kind == "url":
        row = DatasetView(dataset.store).find(text).video
        return row.source_id, row.url
    raise InvalidInput(
        f"{text!r} is no video: give a source id (youtube:ID, url:DIGITS), a URL, or a YouTube id"
    )


def _require_reason(why: str | None) -> str:
    if reason := (why or "").strip():
        return reason
    raise InvalidInput("no reason is given; add --why TEXT, which is stored with the video")


def _confirm_removal(tombstone: "Tombstone") -> None:
    held = f"{len(tombstone.digests)} snapshots and {len(tombstone.shards)} shards"
    confirm(f"Remove {tombstone.source_id} for good? {held} hold its clips.")


def _find_duplicates(dataset: "Dataset", source_id: str) -> list[str]:
    """Return the other videos that were dropped, or are marked, as duplicates of this one."""
    import pyarrow.compute as pc

    from argus.dataset import DatasetView

    rows = dataset.read_latest(["source_id", "clips.clip_id"])
    own = rows.filter(pc.equal(rows["source_id"], source_id))["clips"].to_pylist()
    clip_ids = [clip["clip_id"] for clips in own for clip in clips or ()]
    found = DatasetView(dataset.store).find_duplicates(clip_ids) if clip_ids else []
    return sorted({clip_id.rpartition("@")[0] for clip_id in found})


def _find_uses(dataset: "Dataset", tombstone: "Tombstone") -> list["DataUse"]:
    """Return the runs that read a snapshot with the video; none, and a note, if MLflow fails."""
    from argus.dataset import read_tombstones
    from argus.registry import find_data_uses

    digests = {
        digest
        for one in read_tombstones(dataset.store)
        for version, digest in one.digests.items()
        if tombstone.held_by(version)
    }
    digests |= set(tombstone.digests.values())

    def has_read(place: str, snapshot: int, digest: str) -> bool:
        is_here = place == dataset.store.uri and tombstone.held_by(snapshot)
        return is_here or digest in digests

    if not has_registry():
        return []
    try:
        use_local_registry()
        return find_data_uses(has_read)
    except ArgusError as error:
        print_note(f"The models trained on it could not be listed: {error}")
        return []


def _print_report(
    tombstone: "Tombstone",
    uses: Sequence["DataUse"],
    duplicates: Sequence[str],
    *,
    as_json: bool,
    dry_run: bool,
) -> None:
    runs = [
        {
            "run_name": use.run_name,
            "experiment": use.experiment,
            "snapshot": use.snapshot,
            "models": list(use.models),
        }
        for use in uses
    ]
    facts = {
        "source_id": tombstone.source_id,
        "url": tombstone.url,
        "why": tombstone.why,
        "forgotten_at": None if dry_run else tombstone.forgotten_at.isoformat(timespec="seconds"),
        "snapshots": sorted(tombstone.digests),
        "shards": list(tombstone.shards),
    }
    if as_json:
        print_json({**facts, "runs": runs, "duplicates": list(duplicates)})
        return
    out = open_stdout()
    shown = {name: ", ".join(map(str, value)) if isinstance(value, list) else value
             for name, value in facts.items()}  # fmt: skip
    print_facts(out, "Would be removed" if dry_run else "Removed", shown)
    table = new_table(out, "run that read it", "experiment", "snapshot", "models",
                      left=["experiment", "models"])  # fmt: skip
    for use in uses:
        table.add_row(use.run_name, use.experiment, str(use.snapshot), ", ".join(use.models))
    if uses:
        out.print(table)
        print_note("These models and the pictures of these runs are not changed.")
    if duplicates:
        print_note(
            f"{len(duplicates)} other videos show the same and were dropped or marked as its "
            f"duplicates; forget them too: {', '.join(duplicates)}"
        )


def _print_remains(
    dataset: "Dataset", source_id: str, remains: Sequence[str], *, as_json: bool
) -> None:
    """Print what is left of a video."""
    if as_json:
        print_json({"source_id": source_id, "remains": list(remains)})
    else:
        for one in remains:
            open_stdout().print(one, soft_wrap=True, markup=False)
        print_note(
            f"{len(remains)} places hold something of {source_id}"
            if remains
            else f"Nothing of {source_id} is left in {dataset.store.uri} and on this machine."
        )
