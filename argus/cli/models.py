"""The commands `train`, `evaluate` and `promote`."""

from typing import Annotated

import typer

from argus.cli.console import handle_errors, open_stdout, print_facts, print_json, print_next
from argus.cli.jobs import (
    named_cluster,
    print_dry_run,
    print_result,
    require_registered,
    resolve_job_config,
    run_job,
    use_local_registry,
)
from argus.cli.options import (
    ConfigOption,
    DatasetOption,
    DryRunOption,
    JsonOption,
    RunIdOption,
    SetOption,
    SnapshotOption,
    require_dataset,
    require_model,
    resolve_path,
)
from argus.errors import ArgusError, InvalidInput
from schemas.config import EvaluateConfig, PromoteConfig, TrainConfig
from schemas.names import JobKind, PromotionDecision


@handle_errors
def train(
    *,
    preset: Annotated[
        str | None,
        typer.Option(help="tiny (a laptop), demo, stage1 or stage2 (the full-size model)"),
    ] = "tiny",
    dataset: DatasetOption = None,
    snapshot: SnapshotOption = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps [default: the preset's]")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Training processes; they share the global batch [default: 2]"),
    ] = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    run_id: RunIdOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a model on a snapshot and register it as the candidate.

    The same --run-id resumes from the newest checkpoint.

    Example: `argus train --preset stage1 --steps 20000 --set optim.lr=1e-4`
    """
    fields = {
        "dataset": resolve_path(dataset, "dataset"),
        "snapshot": snapshot,
        "steps": steps,
        "workers": workers,
        "run_id": run_id,
    }
    settings = resolve_job_config(
        TrainConfig, JobKind.TRAIN, fields, file=config, sets=sets, preset=preset
    )
    if dry_run:
        print_dry_run(
            settings,
            f"would train {settings.model.name} for {settings.steps} steps of {settings.batch} "
            f"clips in {settings.workers} processes on "
            f"{_describe_snapshot(settings.dataset, settings.snapshot)}",
        )
        return
    cluster = named_cluster()
    if not cluster:
        require_dataset(settings.dataset, "index")
    use_local_registry()
    result = run_job(JobKind.TRAIN, settings, ray_address=cluster, as_json=as_json)
    at = f" --dataset {dataset}" if dataset else ""
    print_result(result, f"argus evaluate{at}", as_json=as_json)


@handle_errors
def evaluate(
    *,
    model: Annotated[
        str | None,
        typer.Option(help="A registry URI or a pipeline folder [default: models:/argus@candidate]"),
    ] = None,
    dataset: DatasetOption = None,
    snapshot: SnapshotOption = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    run_id: RunIdOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Evaluate a model on held-out videos, and compare it with baselines.

    The baselines are the untrained model, the champion and the fill without a network.

    Example: `argus evaluate --model models:/argus@champion --set max_clips=16`
    """
    fields = {
        "model": require_model(model),
        "dataset": resolve_path(dataset, "dataset"),
        "snapshot": snapshot,
        "run_id": run_id,
    }
    settings = resolve_job_config(EvaluateConfig, JobKind.EVALUATE, fields, file=config, sets=sets)
    if dry_run:
        print_dry_run(
            settings,
            f"would evaluate {settings.model} on at most {settings.max_clips} {settings.split} "
            f"clips of {_describe_snapshot(settings.dataset, settings.snapshot)}",
        )
        return
    cluster = named_cluster()
    if not cluster:
        require_dataset(settings.dataset, "index")
        require_registered(settings.model)
    use_local_registry()
    result = run_job(JobKind.EVALUATE, settings, ray_address=cluster, as_json=as_json)
    print_result(result, "argus promote", as_json=as_json)


@handle_errors
def promote(
    *,
    model_name: Annotated[
        str | None, typer.Option(help="Registered model [default: argus]")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="Version to compare [default: the candidate]")
    ] = None,
    config: ConfigOption = None,
    sets: SetOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Promote a candidate to champion if its metrics are better than the champion's.

    Evaluate it with `argus evaluate` first.

    JSON keys: model_name, decision, reasons.

    Example: `argus promote --version 3 --dry-run`
    """
    fields = {"model_name": model_name, "version": version}
    settings = resolve_job_config(PromoteConfig, "promote", fields, file=config, sets=sets)
    if dry_run:
        print_dry_run(settings, _describe_promotion(settings))
        return
    if not settings.tracking_uri:
        require_registered(f"models:/{settings.model_name}")
    from argus.registry import promote_if_better

    use_local_registry()
    verdict = promote_if_better(settings)
    if as_json:
        reasons = list(verdict.reasons)
        print_json(
            {"model_name": settings.model_name, "decision": verdict.decision, "reasons": reasons}
        )
        return
    facts = {"decision": verdict.decision, "reasons": "; ".join(verdict.reasons)}
    print_facts(open_stdout(), f"Model {settings.model_name}", facts)
    command = "argus generate VIDEO.mp4 -o OUT.mp4"
    if verdict.decision is PromotionDecision.PROMOTE:
        print_next(command)
    else:  # there may be no champion
        print_next("argus train", f"{command} --model models:/{settings.model_name}@candidate")


def _describe_snapshot(dataset: str, version: int | None) -> str:
    """Return what a job would read; a missing snapshot is not an error here."""
    from argus.dataset import Dataset

    try:
        snapshot = Dataset(dataset).get_snapshot(version)
    except InvalidInput as error:
        return f"{dataset}, which is not ready: {error}"
    return f"snapshot {snapshot.version} of {dataset} ({len(snapshot.table)} clips)"


def _describe_promotion(settings: PromoteConfig) -> str:
    """Return the decision that would be made; nothing is changed."""
    try:
        if not settings.tracking_uri:
            require_registered(f"models:/{settings.model_name}")
            use_local_registry()
        from argus.registry import promote_if_better

        verdict = promote_if_better(settings, dry_run=True)
    except ArgusError as error:
        return f"would fail: {error}"
    return f"would {verdict.decision} {settings.model_name}: {'; '.join(verdict.reasons)}"
