"""The commands `export-manifest` and `rebuild`: share a dataset without its frames."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from argus.cli.console import (
    handle_errors,
    new_table,
    open_stdout,
    print_json,
    print_next,
    print_note,
)
from argus.cli.jobs import choose_cluster, run_job
from argus.cli.options import (
    ConfigOption,
    DatasetOption,
    DryRunOption,
    JsonOption,
    PrivateHostsOption,
    RunIdOption,
    SetOption,
    locate_dataset,
    require_dataset,
)
from argus.config import resolve_config
from argus.errors import InvalidInput
from argus.files import (
    replace_atomically,
    require_file,
    require_utf8,
    require_writable,
    sha256_file,
)
from argus.runs import argus_home
from schemas.config import CurateConfig
from schemas.names import JobKind

if TYPE_CHECKING:
    import pyarrow as pa

    from argus.dataset import ManifestReport


@handle_errors
def export_manifest(
    manifest: Annotated[Path, typer.Argument(metavar="OUT.parquet", help="The file to write")],
    *,
    dataset: DatasetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be written, and stop")
    ] = False,
) -> None:
    """Write a manifest of the kept videos: everything except their frames, to be shared.

    A manifest holds URLs, spans, scores, checksums and settings. It is also a catalogue, and
    `argus dataset rebuild` rebuilds the dataset from it.

    Example: `argus dataset export-manifest shared.parquet`
    """
    require_writable(manifest, "manifest", (".parquet",))
    require_utf8(manifest.absolute(), "manifest")  # Arrow opens no other names
    place = require_dataset(locate_dataset(dataset))
    from argus.dataset import Dataset, read_manifest
    from argus.dataset import export_manifest as export

    opened = Dataset(place)
    if dry_run:
        snapshot = opened.get_snapshot()
        videos = len(snapshot.table["source_id"].unique())
        print_note(
            f"would write {manifest.absolute()} with {videos} videos and "
            f"{len(snapshot.table)} clips of snapshot {snapshot.version}"
        )
        return
    videos = export(opened, manifest)
    typer.echo(f"videos: {videos}\nclips: {_count_kept(read_manifest(manifest))}")
    typer.echo(f"manifest: {manifest.absolute()}")
    print_next(f"argus dataset rebuild {manifest} --dataset DIR")


@handle_errors
def rebuild(
    manifest: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST", help="A file that `export-manifest` wrote"),
    ],
    *,
    dataset: DatasetOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    config: ConfigOption = None,
    sets: SetOption = None,
    run_id: RunIdOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Rebuild a dataset from a manifest: download its videos and apply its settings.

    A clip is the *same* (byte for byte), *changed* (the site serves another file, or another
    encoder wrote it) or *missing* (with the reason). It may be stopped at any moment: the same
    command continues.

    JSON keys: same, changed (clip ids), missing (reason by clip id).

    Example: `argus dataset rebuild shared.parquet --dataset copy`
    """
    require_file(manifest, "manifest")
    require_utf8(manifest.absolute(), "manifest")
    location = locate_dataset(dataset)
    from argus.dataset import Dataset, compare_manifest, read_manifest

    table = read_manifest(manifest)
    fields = {
        "dataset": location,
        "run_id": run_id,
        "fetch.allow_private_hosts": allow_private_hosts or None,
    }
    configs = rebuild_configs(manifest, config, sets or (), fields, write=not dry_run)
    print_note(
        f"{'would process ' if dry_run else ''}{manifest}: {len(table)} videos, "
        f"{_count_kept(table)} clips, {len(configs)} recipe{'s' * (len(configs) > 1)}"
    )
    for settings, cluster in map(choose_cluster, configs):
        if dry_run:
            typer.echo(settings.model_dump_json(indent=2))
        else:
            run_job(JobKind.CURATE, settings, ray_address=cluster)
    if not dry_run:
        report = compare_manifest(Dataset(location), manifest)
        _print_rebuilt(open_stdout(), report, as_json=as_json)


def rebuild_configs(
    manifest: Path,
    file: Path | None,
    sets: Sequence[str],
    fields: Mapping[str, Any],
    *,
    write: bool,
) -> list[CurateConfig]:
    """Return the refreshes that rebuild the dataset of a manifest, one for each recipe.

    Args:
        manifest: the manifest. One with several recipes is split into catalogues below
            ARGUS_HOME, in the order of their commits.
        file: a YAML file of settings.
        sets: strings of the form name=value; only they may change the recipe's own settings of
            clips and thresholds.
        fields: further settings by dotted name.
        write: write those catalogues; otherwise they are only named.

    Raises:
        InvalidInput: the manifest does not hold the settings of a recipe, or this version cannot
            use them.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from argus.dataset import read_manifest, read_manifest_recipes

    table, recipes = read_manifest(manifest), read_manifest_recipes(manifest)
    digests = table["recipe"].unique().to_pylist()
    configs = []
    for digest in digests:
        catalogue, names = manifest.absolute(), {}
        if len(digests) > 1:
            catalogue = argus_home() / "rebuild" / f"{sha256_file(manifest)[:16]}-{digest}.parquet"
            names = {"run_id": f"{fields['run_id']}-{digest}"} if fields.get("run_id") else {}
            if write:
                with replace_atomically(catalogue) as partial:
                    pq.write_table(table.filter(pc.equal(table["recipe"], digest)), partial)
        given = {"home": str(argus_home()), **fields, **names, "catalogue": str(catalogue)}
        configs.append(_recipe_config(digest, recipes.get(digest), file, sets, given))
    return configs


def _recipe_config(
    digest: str, text: str | None, file: Path | None, sets: Sequence[str], fields: Mapping[str, Any]
) -> CurateConfig:
    """Return the configuration of a refresh under a stored recipe, and warn if it differs."""
    from argus.curate import Recipe

    if text is None:
        raise InvalidInput(
            f"the manifest names recipe {digest} without its settings: an earlier version wrote "
            "it; ask for a new export"
        )
    try:
        recipe = Recipe.from_json(text)
    except ValueError as error:
        raise InvalidInput(
            f"this version cannot use recipe {digest} of the manifest: {error}"
        ) from error
    settings = {
        "clip": recipe.clip.model_dump(),
        "filters": recipe.filters.model_dump(),
        "learned.scorers": tuple(recipe.learned) or None,
    }
    config = resolve_config(
        CurateConfig, "curate", file=file, sets=sets, fields={**settings, **fields}
    )
    if (own := Recipe.from_config(config).digest) != digest:
        print_note(
            f"The manifest's recipe is {digest}, this one is {own}: settings or versions of "
            "filters differ, so clips may differ too."
        )
    return config


def _print_rebuilt(out: Console, report: "ManifestReport", *, as_json: bool) -> None:
    if as_json:
        print_json({"same": report.same, "changed": report.changed, "missing": report.missing})
        return
    total = len(report.same) + len(report.changed) + len(report.missing)
    table = new_table(out, "clips of the manifest", "count", "share")
    lines = [
        ("same, byte for byte", len(report.same)),
        ("changed: kept with other bytes", len(report.changed)),
    ]
    missing = Counter(report.missing.values()).most_common()
    lines += [(f"missing: {reason}", count) for reason, count in missing]
    for name, count in lines:
        table.add_row(name, str(count), f"{count / total:.0%}" if total else "")
    out.print(table)


def _count_kept(manifest: "pa.Table") -> int:
    """Return the number of kept clips of a manifest."""
    import pyarrow.compute as pc

    clips = manifest["clips"].combine_chunks().flatten()
    return int(pc.sum(pc.equal(clips.field("decision"), "kept")).as_py() or 0)
