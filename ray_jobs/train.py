"""Train a model with Ray Train and register it: `python -m ray_jobs.train --config FILE`.

The run folder contains all that a resumed job needs: checkpoints, the id of the MLflow run
(mlflow.json), and the summary of a finished training (trained.json). A stop request reaches the
ranks through the run folder; they end after saving a checkpoint.
"""

import logging
import os
from typing import Any

from pydantic import TypeAdapter

from argus.dataset import Dataset
from argus.errors import ArgusError, ServiceError
from argus.files import write_text
from argus.registry import (
    ModelVersion,
    RunLogger,
    TrackedData,
    TrackedRun,
    close_run,
    code_tags,
    open_run,
    register_model,
    resolve_tracking_uri,
)
from argus.runs import RunFolder
from argus.train import (
    DistributedContext,
    NullObserver,
    TrainSummary,
    check_training_data,
    recorded_snapshot,
    train,
)
from ray_jobs.client import check_resources, forwarded_environment, required_resources
from ray_jobs.entry import run_entry_point, start_ray, submission_tags
from schemas.config import TrainConfig
from schemas.credentials import redact_logs, to_public_uri
from schemas.names import JobKind, Outcome
from schemas.records import JobResult

_SUMMARY_FILE = "trained.json"
_SUMMARY = TypeAdapter(TrainSummary)
_log = logging.getLogger(__name__)


def run(config: TrainConfig, folder: RunFolder) -> JobResult:
    """Train, or resume training, and register the model once.

    Args:
        config: Dataset, model and training settings.
        folder: The run folder.

    Raises:
        InvalidInput: The dataset or the cluster's resources do not suffice.
        ServiceError: Ray or MLflow does not answer.
    """
    dataset = Dataset(config.dataset)
    snapshot = dataset.get_snapshot(read_snapshot_version(config, folder))
    config = config.model_copy(update={"snapshot": snapshot.version})
    tags = {"run_id": folder.run_id, **submission_tags()}
    summary = read_summary(folder)
    if summary is None:
        check_training_data(config, snapshot)  # before the workers, which would retry
        folder.phase("starting Ray")
        start_ray()
        _check_cluster(config)
    tracked = open_run(
        folder.path,
        config,
        experiment=config.tracking.experiment,
        name=folder.run_id,
        tracking_uri=config.tracking.uri,
        data=TrackedData.of(dataset, snapshot),
        tags=tags,
    )
    try:
        summary = summary or fit(config, folder, tracked)
        version = None
        if config.register_model and summary.pipeline:
            folder.phase("registering the model")
            version = _register(config, folder, tracked, summary, tags)
            folder.progress(summary.step, config.steps, "step", "done")
    except ArgusError:
        close_run(tracked, status="FAILED")
        raise
    close_run(tracked, status="KILLED" if summary.stopped else "FINISHED")
    reason = (
        f"stopped after {summary.step} of {config.steps} steps; the same run_id resumes it"
        if summary.stopped
        else ""
    )
    return folder.finish(
        Outcome.CANCELLED if summary.stopped else Outcome.DONE,
        reason,
        _result_outputs(summary, tracked, version),
        _result_metrics(summary),
    )


def fit(config: TrainConfig, folder: RunFolder, tracked: TrackedRun) -> TrainSummary:
    """Train on Ray and return the summary of rank 0.

    If a worker dies, the group restarts from the newest checkpoint, at most `max_failures` times.

    Raises:
        ArgusError: The training failed; an ArgusError of a worker is raised as it was.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    on_gpu = config.gpus_per_worker > 0
    # Workers share the cores: with several spinning threads each, they are 20 times slower.
    threads = {} if on_gpu else {"OMP_NUM_THREADS": "1"}
    trainer = TorchTrainer(
        train_worker,
        train_loop_config={
            "config": config.model_dump_json(),
            "run_id": folder.run_id,
            "mlflow_run_id": tracked.run_id,
            "mlflow_experiment_id": tracked.experiment_id,
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
            worker_runtime_env={
                "env_vars": {
                    "OMP_WAIT_POLICY": "passive",
                    **threads,
                    **forwarded_environment(os.environ),
                }
            },
        ),
    )
    folder.phase(f"starting {config.workers} worker{'s' if config.workers > 1 else ''}")
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise find_cause(error) from error
    summary = read_summary(folder, include_stopped=True)
    assert summary is not None, "rank 0 writes the summary before it reports"
    return summary


def train_worker(settings: dict[str, Any]) -> None:
    """Run the training loop of one rank."""
    import ray.train
    from ray.train.torch import get_device

    redact_logs()
    config = TrainConfig.model_validate_json(settings["config"])
    folder = RunFolder(config.home, JobKind.TRAIN, settings["run_id"])
    context = ray.train.get_context()
    rank = context.get_world_rank()
    distributed = DistributedContext(rank, context.get_world_size(), get_device())
    logger = None
    if rank == 0:
        # Ray stores the settings, so the URI and its credential come from the environment.
        uri = resolve_tracking_uri(config.tracking.uri)
        tracked = TrackedRun(uri, settings["mlflow_run_id"], settings["mlflow_experiment_id"])
        logger = RunLogger(tracked)
    summary = train(
        config,
        folder,
        Dataset(config.dataset),
        distributed=distributed,
        observer=logger or NullObserver(),
    )
    if logger:
        _flush(logger)
        write_summary(folder, summary)
    ray.train.report({"step": summary.step, "validation_loss": summary.last_validation_loss})


def write_summary(folder: RunFolder, summary: TrainSummary) -> None:
    """Write the summary of a training to the run folder (trained.json)."""
    write_text(folder.path / _SUMMARY_FILE, _SUMMARY.dump_json(summary, indent=2).decode())


def read_summary(folder: RunFolder, *, include_stopped: bool = False) -> TrainSummary | None:
    """Return the summary of a finished training, or None.

    Args:
        folder: The run folder.
        include_stopped: Also return the summary of a stopped training.
    """
    path = folder.path / _SUMMARY_FILE
    summary = _SUMMARY.validate_json(path.read_bytes()) if path.exists() else None
    return summary if summary and (include_stopped or not summary.stopped) else None


def read_snapshot_version(config: TrainConfig, folder: RunFolder) -> int | None:
    """Return the snapshot with which a run started; before that, the configured one.

    A resumed run thus keeps its snapshot even if there are newer ones.
    """
    recorded = recorded_snapshot(folder)
    return config.snapshot if recorded is None else recorded


def _check_cluster(config: TrainConfig) -> None:
    import ray

    check_resources(JobKind.TRAIN, required_resources(config), ray.cluster_resources())


def _flush(logger: RunLogger) -> None:
    try:
        logger.flush()
    except ServiceError as error:
        _log.warning("the last metrics were not logged: %s", error)


def find_cause(error: Exception) -> ArgusError:
    """Return the ArgusError of the first failed rank that has one, or a new one for the first."""
    failures = getattr(error, "worker_failures", {})
    for _, failure in sorted(failures.items()):
        cause: BaseException | None = failure
        while cause is not None:
            if isinstance(cause, ArgusError):
                return cause
            cause = getattr(cause, "cause", None) or cause.__cause__
    first = str(next((failure for _, failure in sorted(failures.items())), error))
    return ArgusError(f"training failed: {first.strip().splitlines()[-1]}")


def _register(
    config: TrainConfig,
    folder: RunFolder,
    tracked: TrackedRun,
    summary: TrainSummary,
    tags: dict[str, str],
) -> ModelVersion:
    assert summary.pipeline is not None
    return register_model(
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


def _result_outputs(
    summary: TrainSummary, tracked: TrackedRun, version: ModelVersion | None
) -> dict[str, Any]:
    return {
        "mlflow_run_id": tracked.run_id,
        "mlflow_experiment_id": tracked.experiment_id,
        "tracking_uri": to_public_uri(tracked.tracking_uri),
        "model_uri": version.uri if version else None,
        "model_version": version.version if version else None,
        "pipeline": str(summary.pipeline) if summary.pipeline else None,
        "untrained": str(summary.untrained),
        "snapshot": summary.snapshot,
        "digest": summary.snapshot_digest,
    }


def _result_metrics(summary: TrainSummary) -> dict[str, float]:
    metrics = {
        "steps": float(summary.step),
        "validation_loss_first": summary.first_validation_loss,
        "validation_loss_last": summary.last_validation_loss,
    }
    if summary.seconds_per_step is not None:
        metrics["seconds_per_step"] = summary.seconds_per_step
    return metrics


if __name__ == "__main__":
    # Imported by name, so that workers import this module instead of unpickling __main__.
    from ray_jobs.train import run as importable_run

    run_entry_point(JobKind.TRAIN, TrainConfig, importable_run)
