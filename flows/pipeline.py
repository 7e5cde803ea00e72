"""Flow that runs refresh, train, evaluate and promote in sequence."""

from dataclasses import dataclass

from prefect import flow

from argus.registry import PromotionVerdict
from flows.forms import evaluate_stage, promote_stage, refresh_stage, train_stage
from flows.jobs import flow_run_id, stop_jobs
from flows.models import evaluate, promote, train
from flows.refresh import has_new_clips, refresh
from schemas.forms import PipelineForm
from schemas.records import JobResult


@dataclass(frozen=True)
class PipelineSummary:
    """Results of the stages; None for a stage that did not run."""

    run_id: str
    refresh: JobResult
    train: JobResult | None = None
    evaluate: JobResult | None = None
    verdict: PromotionVerdict | None = None


@flow(name="pipeline", persist_result=False, on_cancellation=[stop_jobs])
def pipeline(form: PipelineForm) -> PipelineSummary:
    """Run the four stages under one run id.

    The pipeline ends after the refresh if it finds nothing new, unless `train_anyway` is set. The
    same run id resumes it.

    Args:
        form: The catalogue, and settings of the stages.

    Returns:
        The results of the stages that ran.
    """
    run_id = form.run_id or flow_run_id()
    refresh_result = refresh(refresh_stage(form, run_id))
    if not (has_new_clips(refresh_result) or form.train_anyway):
        return PipelineSummary(run_id, refresh_result)
    snapshot = refresh_result.outputs.get("snapshot")
    train_result = train(train_stage(form, run_id, snapshot))
    version = train_result.outputs.get("model_version")
    model = (
        f"models:/{form.model_name}/{version}"
        if version
        else f"models:/{form.model_name}@candidate"
    )
    evaluate_result = evaluate(evaluate_stage(form, run_id, snapshot, model))
    verdict = promote(promote_stage(form, version))
    return PipelineSummary(run_id, refresh_result, train_result, evaluate_result, verdict)
