"""Promote: the gate. It reads what was measured and moves an alias; no job, no weights."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from argus.registry.gate import GateVerdict
from flows.forms import promote_config
from flows.jobs import may_pass
from schemas.config import PromoteConfig
from schemas.forms import PromoteForm


@flow(name="promote", persist_result=False)
def promote(form: PromoteForm) -> GateVerdict:
    """Judges a candidate by its recorded figures; PROMOTE makes it the champion, and the champion before it `previous`."""
    config = promote_config(form)
    verdict = pass_gate(config)
    get_run_logger().info("%s: %s", verdict.decision, "; ".join(verdict.reasons))
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
    create_markdown_artifact(key="gate-verdict", markdown=f"## {config.model_name}: {verdict.decision}\n\n{reasons}")
    return verdict


@task(
    name="gate",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=3,
    retry_delay_seconds=exponential_backoff(backoff_factor=5),
    retry_jitter_factor=0.5,
    retry_condition_fn=may_pass,
)
def pass_gate(config: PromoteConfig) -> GateVerdict:
    """The gate's verdict, carried out."""
    from argus.registry.models import judge

    return judge(config)
