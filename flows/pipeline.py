"""Pipeline: refresh → train → evaluate → promote. Urls in, champion out."""

from dataclasses import dataclass

from prefect import flow

from argus.registry.promotion import GateVerdict
from flows.evaluate import evaluate
from flows.forms import evaluate_stage, promote_stage, refresh_stage, train_stage
from flows.jobs import flow_run_id, stop_jobs
from flows.promote import promote
from flows.refresh import published, refresh
from flows.train import train
from schemas.forms import PipelineForm
from schemas.records import JobResult


@dataclass(frozen=True)
class PipelineSummary:
    """What each stage made; None for a stage that was not run, because nothing new was found."""

    run_id: str
    refresh: JobResult
    train: JobResult | None = None
    evaluate: JobResult | None = None
    verdict: GateVerdict | None = None


@flow(name="pipeline", persist_result=False, on_cancellation=[stop_jobs])
def pipeline(form: PipelineForm) -> PipelineSummary:
    """Runs the four in a row, all under one run id: the same run id goes on where it stopped."""
    run_id = form.run_id or flow_run_id()
    refreshed = refresh(refresh_stage(form, run_id))
    if not (published(refreshed) or form.train_anyway):
        return PipelineSummary(run_id, refreshed)
    snapshot = refreshed.outputs.get("snapshot")
    trained = train(train_stage(form, run_id, snapshot))
    version = trained.outputs.get("model_version")
    model = (
        f"models:/{form.model_name}/{version}"
        if version
        else f"models:/{form.model_name}@candidate"
    )
    evaluated = evaluate(evaluate_stage(form, run_id, snapshot, model))
    return PipelineSummary(
        run_id, refreshed, trained, evaluated, promote(promote_stage(form, version))
    )
