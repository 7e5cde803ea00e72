"""Generate: an ordinary video becomes a 360° video."""

from prefect import flow

from flows.forms import generate_config
from flows.jobs import flow_run_id, run_job, show_result, stop_jobs
from schemas.forms import GenerateForm
from schemas.names import JobKind
from schemas.records import JobResult


@flow(name="generate", persist_result=False, on_cancellation=[stop_jobs])
def generate(form: GenerateForm) -> JobResult:
    """Generates with a registered model, the champion by default."""
    result = run_job(JobKind.GENERATE, generate_config(form, flow_run_id()))
    show_result(result)
    return result
