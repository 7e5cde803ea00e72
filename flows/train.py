"""Train: a snapshot becomes a candidate model."""

from prefect import flow
from prefect.events import emit_event

from flows.forms import train_config
from flows.jobs import flow_run_id, run_job, show_result, stop_jobs
from schemas.config import TrainConfig
from schemas.forms import TrainForm
from schemas.names import JobKind
from schemas.records import JobResult

REGISTERED = "argus.model.registered"


@flow(name="train", persist_result=False, on_cancellation=[stop_jobs])
def train(form: TrainForm) -> JobResult:
    """Trains a model. Cancel stops the job after a checkpoint; the same run id resumes it.

    Emits `argus.model.registered` when a version was registered, and only then.
    """
    config = train_config(form, flow_run_id())
    result = run_job(JobKind.TRAIN, config)
    show_result(result)
    if version := result.outputs.get("model_version"):
        announce(config, result, int(version))
    return result


def announce(config: TrainConfig, result: JobResult, version: int) -> None:
    """The event that other deployments can wait for."""
    name = config.tracking.model_name
    emit_event(
        event=REGISTERED,
        resource={
            "prefect.resource.id": f"argus.model.{name.replace(' ', '-')}.{version}",
            "prefect.resource.name": name,
        },
        payload={
            "name": name,
            "version": version,
            "uri": f"models:/{name}/{version}",
            "run_id": result.run_id,
        },
    )
