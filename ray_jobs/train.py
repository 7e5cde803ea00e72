"""Training on Ray Train, then registration: `python -m ray_jobs.train --config FILE`.

The run folder holds everything that a resumed job needs: checkpoints, the MLflow run, and trained.json, which says that training is over.
A stop request reaches the ranks through the run folder; they leave with a checkpoint.
"""

import logging
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter

from argus.dataset import Dataset, Snapshot
from argus.diffusion.serialization import read_settings
from argus.errors import ArgusError, InvalidInput, ServiceError
from argus.files import write_text
from argus.registry import models
from argus.registry.tracking import RunLogger, TrackedRun, close_run, code_tags, open_run
from argus.runs import RunFolder
from argus.train import DistributedContext, NullObserver, TrainSummary, train, training_rows
from ray_jobs.client import check_needs, needs
from ray_jobs.entry import run_job, start_ray
from ray_jobs.tracked import job_tags, tracked_data
from schemas.config import TrainConfig
from schemas.names import JobKind, Outcome, Split
from schemas.records import JobResult

TRAINED = "trained.json"
_SUMMARY = TypeAdapter(TrainSummary)
_log = logging.getLogger(__name__)


def run(config: TrainConfig, folder: RunFolder) -> JobResult:
    """Trains, or goes on, and registers the model once. Raises InvalidInput for data or resources that do not suffice."""
    dataset = Dataset(config.dataset)
    snapshot = dataset.snapshot(bound_snapshot(config, folder))
    config = config.model_copy(update={"snapshot": snapshot.version})
    tags = {"run_id": folder.run_id, **job_tags()}
    data = tracked_data(dataset, snapshot)
    summary = read_summary(folder)
    if summary is None:
        check_data(config, snapshot)
        start_ray()
        _check_cluster(config)
    tracked = open_run(
        folder.path,
        config,
        experiment=config.tracking.experiment,
        name=folder.run_id,
        tracking_uri=config.tracking.uri,
        data=data,
        tags=tags,
    )
    try:
        summary = summary or fit(config, folder, tracked)
        version = (
            _register(config, folder, tracked, summary, tags)
            if config.register_model and summary.pipeline
            else None
        )
    except ArgusError:
        close_run(tracked, status="FAILED")
        raise
    close_run(tracked, status="KILLED" if summary.stopped else "FINISHED")
    reason = (
        f"stopped after {summary.step} of {config.steps} steps; the same run_id goes on"
        if summary.stopped
        else ""
    )
    return folder.finish(
        Outcome.CANCELLED if summary.stopped else Outcome.DONE,
        reason,
        _outputs(summary, tracked, version),
        _metrics(summary),
    )


def fit(config: TrainConfig, folder: RunFolder, tracked: TrackedRun) -> TrainSummary:
    """Trains on Ray; what rank 0 summed up. A lost worker restarts the group from the newest checkpoint, `max_failures` times."""
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    on_gpu = config.gpus_per_worker > 0
    threads = (
        {} if on_gpu else {"OMP_NUM_THREADS": "1"}
    )  # several workers share the cores: spinning threads would slow them twentyfold
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "config": config.model_dump_json(),
            "run_id": folder.run_id,
            "tracked": asdict(tracked),
        },
        scaling_config=ScalingConfig(
            num_workers=config.workers,
            use_gpu=on_gpu,
            resources_per_worker={"CPU": 1} | ({"GPU": config.gpus_per_worker} if on_gpu else {}),
        ),
        run_config=RunConfig(
            name=folder.run_id,
            storage_path=str(folder.path / "ray"),
            failure_config=FailureConfig(max_failures=config.max_failures),
            worker_runtime_env={"env_vars": {"OMP_WAIT_POLICY": "passive", **threads}},
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise _cause(error) from error
    summary = read_summary(folder, stopped=True)
    assert summary is not None, "rank 0 writes it before it reports"
    return summary


def train_worker(settings: dict[str, Any]) -> None:
    """What each rank runs."""
    import ray.train
    from ray.train.torch import get_device

    config = TrainConfig.model_validate_json(settings["config"])
    folder = RunFolder(config.home, JobKind.TRAIN, settings["run_id"])
    context = ray.train.get_context()
    world = DistributedContext(context.get_world_rank(), context.get_world_size(), get_device())
    logger = RunLogger(TrackedRun(**settings["tracked"])) if world.first else None
    summary = train(
        config, folder, Dataset(config.dataset), world=world, observer=logger or NullObserver()
    )
    if logger:
        _flush(logger)
        write_text(folder.path / TRAINED, _SUMMARY.dump_json(summary, indent=2).decode())
    ray.train.report({"step": summary.step, "validation_loss": summary.last_validation_loss})


def read_summary(folder: RunFolder, *, stopped: bool = False) -> TrainSummary | None:
    """What a finished training left; with `stopped`, also what a stopped one left."""
    path = folder.path / TRAINED
    summary = _SUMMARY.validate_json(path.read_bytes()) if path.exists() else None
    return summary if summary and (stopped or not summary.stopped) else None


def bound_snapshot(config: TrainConfig, folder: RunFolder) -> int | None:
    """The snapshot that a run began with, though newer ones came; before that, the configured one."""
    untrained = folder.path / "untrained"
    settings = read_settings(untrained) if untrained.exists() else None
    return int(settings.provenance["snapshot"] or 0) if settings else config.snapshot


def check_data(config: TrainConfig, snapshot: Snapshot) -> None:
    """Raises InvalidInput where a split that training needs has no usable clip: better here than on every worker, again and again."""
    for split in (Split.TRAIN, Split.VAL):
        usable = training_rows(snapshot, split, config)
        if not usable.rows:
            raise InvalidInput(
                f"snapshot {snapshot.version} has no usable clip in split '{split}' ({usable.skipped} skipped for length or quality); "
                "add videos, or name splits in the catalogue's split column"
            )


def _check_cluster(config: TrainConfig) -> None:
    import ray

    check_needs(JobKind.TRAIN, needs(config), ray.cluster_resources())


def _flush(logger: RunLogger) -> None:
    try:
        logger.flush()
    except ServiceError as error:
        _log.warning("the last entries of the curves are lost: %s", error)


def _cause(error: Exception) -> ArgusError:
    """Our own error out of a failed group's, the ranks' in order; else one that names the first."""
    failures = getattr(error, "worker_failures", {})
    for _, failure in sorted(failures.items()):
        seen: BaseException | None = failure
        while seen is not None:
            if isinstance(seen, ArgusError):
                return seen
            seen = getattr(seen, "cause", None) or seen.__cause__
    first = str(next((failure for _, failure in sorted(failures.items())), error))
    return ArgusError(f"training failed: {first.strip().splitlines()[-1]}")


def _register(
    config: TrainConfig,
    folder: RunFolder,
    tracked: TrackedRun,
    summary: TrainSummary,
    tags: dict[str, str],
) -> models.ModelVersion:
    assert summary.pipeline is not None
    return models.register(
        summary.pipeline,
        config.tracking.model_name,
        mlflow_run_id=tracked.run_id,
        run_id=folder.run_id,
        tracking_uri=tracked.tracking_uri,
        untrained=summary.untrained,
        metrics={
            "validation_loss": summary.last_validation_loss,
            "untrained.validation_loss": summary.first_validation_loss,
        },
        step=summary.step,
        tags={
            "snapshot": str(summary.snapshot),
            "snapshot_digest": summary.snapshot_digest,
            **code_tags(),
            **tags,
        },
    )


def _outputs(
    summary: TrainSummary, tracked: TrackedRun, version: models.ModelVersion | None
) -> dict[str, Any]:
    return {
        "mlflow_run_id": tracked.run_id,
        "mlflow_experiment_id": tracked.experiment_id,
        "tracking_uri": tracked.tracking_uri,
        "model_uri": version.uri if version else None,
        "model_version": version.version if version else None,
        "pipeline": str(summary.pipeline) if summary.pipeline else None,
        "untrained": str(summary.untrained),
        "snapshot": summary.snapshot,
        "digest": summary.snapshot_digest,
    }


def _metrics(summary: TrainSummary) -> dict[str, float]:
    pace = (
        {} if summary.seconds_per_step is None else {"seconds_per_step": summary.seconds_per_step}
    )
    losses = {
        "validation_loss_first": summary.first_validation_loss,
        "validation_loss_last": summary.last_validation_loss,
    }
    return {"steps": float(summary.step), **losses, **pace}


if __name__ == "__main__":
    from ray_jobs.train import (
        run as importable,  # so that the workers import this module instead of unpickling it
    )

    run_job(JobKind.TRAIN, TrainConfig, importable)
