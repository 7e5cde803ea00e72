"""Evaluate: a model's figures on held-out videos, beside the untrained model and the strongest fill."""

from prefect import flow

from flows.forms import evaluate_config
from flows.jobs import flow_run_id, run_job, show_result, stop_jobs
from schemas.forms import EvaluateForm
from schemas.names import JobKind
from schemas.records import JobResult


@flow(name="evaluate", persist_result=False, on_cancellation=[stop_jobs])
def evaluate(form: EvaluateForm) -> JobResult:
    """Measures a model; the figures are kept with its version, where the gate reads them."""
    result = run_job(JobKind.EVALUATE, evaluate_config(form, flow_run_id()))
    show_result(result)
    return result
