"""Flows of a model's life: train, evaluate, promote, generate."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from argus.registry import PromotionVerdict
from flows.forms import evaluate_config, generate_config, promote_config, train_config
from flows.jobs import RETRY_OPTIONS, flow_run_id, run_ray_job, show_result, stop_jobs
from schemas.config import PromoteConfig, TrainConfig
from schemas.forms import EvaluateForm, GenerateForm, PromoteForm, TrainForm
from schemas.names import JobKind
from schemas.records import JobResult

REGISTERED_EVENT = "argus.model.registered"


@flow(name="train", persist_result=False, on_cancellation=[stop_jobs])
def train(form: TrainForm) -> JobResult:
    """Train a model on a snapshot and register it as a candidate.

    Cancelling stops the job after a checkpoint; the same run id resumes it. Emits the event
    `argus.model.registered` if a version was registered.
    """
    config = train_config(form, flow_run_id())
    result = run_ray_job(JobKind.TRAIN, config)
    show_result(result)
    if version := result.outputs.get("model_version"):
        emit_registered_event(config, result, int(version))
    return result


@flow(name="evaluate", persist_result=False, on_cancellation=[stop_jobs])
def evaluate(form: EvaluateForm) -> JobResult:
    """Evaluate a model on held-out videos; its metrics are recorded with its version."""
    result = run_ray_job(JobKind.EVALUATE, evaluate_config(form, flow_run_id()))
    show_result(result)
    return result


@flow(name="promote", persist_result=False)
def promote(form: PromoteForm) -> PromotionVerdict:
    """Promote a candidate to champion if its recorded metrics are better.

    No job is started. The former champion gets the alias `previous`.
    """
    config = promote_config(form)
    verdict = run_promotion(config)
    get_run_logger().info("%s: %s", verdict.decision, "; ".join(verdict.reasons))
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
    create_markdown_artifact(
        key="promotion-verdict", markdown=f"## {config.model_name}: {verdict.decision}\n\n{reasons}"
    )
    return verdict


@flow(name="generate", persist_result=False, on_cancellation=[stop_jobs])
def generate(form: GenerateForm) -> JobResult:
    """Generate a 360° video from an ordinary video with a registered model."""
    result = run_ray_job(JobKind.GENERATE, generate_config(form, flow_run_id()))
    show_result(result)
    return result


@task(name="promote", **RETRY_OPTIONS)
def run_promotion(config: PromoteConfig) -> PromotionVerdict:
    """Decide about a candidate and promote it if it is better."""
    from argus.registry import promote_if_better

    return promote_if_better(config)


def emit_registered_event(config: TrainConfig, result: JobResult, version: int) -> None:
    """Emit the event that a model version was registered, for triggers of other deployments."""
    name = config.tracking.model_name
    emit_event(
        event=REGISTERED_EVENT,
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
