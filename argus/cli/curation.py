"""The command `refresh`: from a catalogue of videos to clips of a new snapshot."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

import typer

from argus.cli.console import handle_errors, print_note
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
    locate_dataset,
    require_dataset,
    require_folder,
    require_local_file,
    resolve_path,
)
from argus.errors import InvalidInput
from argus.files import is_url
from schemas.config import CurateConfig
from schemas.names import Decision, JobKind, Reason

RetryOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REASON",
        help="Also fetch and process again what failed or was dropped for this reason, such as "
        "not_found; all: every video that failed; may be repeated",
    ),
]


@handle_errors
def refresh(
    catalogue: Annotated[
        str,
        typer.Argument(
            metavar="CATALOGUE",
            help="Parquet, CSV, TSV or JSONL with a column `url` or `id` and optionally `split` "
            "(train, val or test), or one URL or YouTube id per line",
        ),
    ],
    *,
    dataset: DatasetOption = None,
    allow_private_hosts: PrivateHostsOption = False,
    retry: RetryOption = None,
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

    A video that failed is tried again if the failure may pass, if a setting that it depends on has
    changed (private hosts, limits, cookies, proxies), or with --retry. If every video that was
    tried failed, the exit status is 30 if all may pass, else 1.

    Example: `argus refresh videos.csv --set clip.height=512`
    """
    fields = {
        "catalogue": require_local_file(catalogue, "catalogue"),
        "dataset": resolve_path(dataset, "dataset"),
        "run_id": run_id,
        "fetch.allow_private_hosts": allow_private_hosts or None,
        "retry": _check_reasons(retry, dataset) if retry else None,
        "executor": executor,
    }
    settings = resolve_job_config(CurateConfig, JobKind.CURATE, fields, file=config, sets=sets)
    settings, cluster = choose_cluster(settings, ray_address)
    if not (cluster or is_url(settings.dataset)):
        require_folder(settings.dataset, "dataset")
    if dry_run:
        from argus.curate import preview_refresh

        plan = preview_refresh(settings)
        print_dry_run(settings, f"would process {plan}")
        _print_retry_hint(plan.failures)
        return
    result = run_job(JobKind.CURATE, settings, ray_address=cluster, as_json=as_json)
    _print_retry_hint(_select_known_failures(result.metrics))
    at = f" --dataset {dataset}" if dataset else ""
    last = f"argus train{at}" if result.outputs.get("snapshot") else f"argus dataset stats{at}"
    print_result(result, f"argus dataset gallery look.html{at}", last, as_json=as_json)


def _check_reasons(reasons: list[str], dataset: str | None) -> list[str]:
    """Return the reasons of --retry.

    Raises:
        InvalidInput: one is unknown; the message lists those in the dataset, or without one, all.
    """
    unknown = set(reasons) - {*Reason, "all"}
    if not unknown:
        return reasons
    wrong = ", ".join(sorted(unknown))
    try:
        place = require_dataset(locate_dataset(dataset))
    except InvalidInput:
        known = ", ".join(reason for reason in Reason if reason is not Reason.FORGOTTEN)
        raise InvalidInput(f"--retry {wrong} is no reason; give all, or one of {known}") from None
    from argus.dataset import Dataset

    rows = Dataset(place).read_decisions().to_pylist()
    counts = Counter(row["reason"] for row in rows if row["decision"] == Decision.FAILED)
    found = ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
    raise InvalidInput(
        f"--retry {wrong} is no reason; videos of {place} failed with "
        f"{found or 'none'}; give one of these, or all"
    )


def _select_known_failures(metrics: Mapping[str, float]) -> dict[str, int]:
    """Return the number of videos that failed before this refresh, by reason."""
    known = {name.partition(".")[2]: n for name, n in metrics.items() if name.startswith("known.")}
    return {reason: int(count) for reason, count in known.items()}


def _print_retry_hint(failures: Mapping[str, int]) -> None:
    if failures:
        options = " ".join(f"--retry {reason}" for reason in failures)
        print_note(
            f"known videos that failed earlier and are not tried again: {sum(failures.values())}; "
            f"to try them: {options}"
        )
