"""The command `refresh`: from a catalogue of videos to clips of a new snapshot."""

from typing import Annotated

import typer

from argus.cli.console import handle_errors
from argus.cli.jobs import (
    choose_cluster,
    print_dry_run,
    print_result,
    resolve_job_config,
    run_job,
)
from argus.cli.options import (
    ConfigOption,
    DatasetOption,
    DryRunOption,
    ExecutorOption,
    JsonOption,
    PrivateHostsOption,
    RayAddressOption,
    RunIdOption,
    SetOption,
    require_folder,
    require_local_file,
    resolve_path,
)
from argus.files import is_url
from schemas.config import CurateConfig
from schemas.names import JobKind


@handle_errors
def refresh(
    catalogue: Annotated[
        str,
        typer.Argument(
            metavar="CATALOGUE",
            help="Parquet, CSV, TSV or JSONL with a column `url` or `id` and optionally `split` "
            "(train, val or test), or one URL per line",
        ),
    ],
    *,
    dataset: DatasetOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    executor: ExecutorOption = None,
    ray_address: RayAddressOption = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    run_id: RunIdOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Download and filter the new videos of a catalogue, and commit their clips as a snapshot.

    Videos that are decided already cost nothing, and keep their split. It may be stopped at any
    moment: the same command continues.

    Example: `argus refresh videos.csv --set clip.height=512`
    """
    fields = {
        "catalogue": require_local_file(catalogue, "catalogue"),
        "dataset": resolve_path(dataset, "dataset"),
        "run_id": run_id,
        "fetch.allow_private_hosts": allow_private_hosts or None,
        "executor": executor,
    }
    settings = resolve_job_config(CurateConfig, JobKind.CURATE, fields, file=config, sets=sets)
    settings, cluster = choose_cluster(settings, ray_address)
    if not (cluster or is_url(settings.dataset)):
        require_folder(settings.dataset, "dataset")
    if dry_run:
        from argus.curate import preview_refresh

        print_dry_run(settings, f"would process {preview_refresh(settings)}")
        return
    result = run_job(JobKind.CURATE, settings, ray_address=cluster, as_json=as_json)
    at = f" --dataset {dataset}" if dataset else ""
    last = f"argus train{at}" if result.outputs.get("snapshot") else f"argus dataset stats{at}"
    print_result(result, f"argus dataset gallery look.html{at}", last, as_json=as_json)
