"""Promote: the gate. It reads what was measured and moves an alias; no job, no weights."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from argus.registry.promotion import GateVerdict
from flows.forms import promote_config
from flows.jobs import RETRIED
from schemas.config import PromoteConfig
from schemas.forms import PromoteForm


@flow(name="promote", persist_result=False)
def promote(form: PromoteForm) -> GateVerdict:
    """Judges a candidate by its recorded figures; PROMOTE makes it the champion, and the champion before it `previous`."""
    config = promote_config(form)
    verdict = pass_gate(config)
    get_run_logger().info("%s: %s", verdict.decision, "; ".join(verdict.reasons))
    reasons = "\n".join(f"- {reason}" for reason in verdict.reasons)
    create_markdown_artifact(
        key="gate-verdict", markdown=f"## {config.model_name}: {verdict.decision}\n\n{reasons}"
    )
    return verdict


@task(name="gate", **RETRIED)
def pass_gate(config: PromoteConfig) -> GateVerdict:
    """The gate's verdict, carried out."""
    from argus.registry.models import judge

    return judge(config)
