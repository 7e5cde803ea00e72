"""prefect.yaml: every deployment points at a flow that accepts its parameters."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.events import DeploymentEventTrigger
from prefect.flows import Flow

from flows.jobs import JOB_KINDS
from flows.refresh import PUBLISHED_EVENT

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    deployment["name"]: deployment for deployment in FILE["deployments"]
}


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).exists()
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    return flow


def test_all_six_are_deployed_to_the_pool_that_is_served() -> None:
    from flows.serve import WORK_POOL

    assert set(DEPLOYMENTS) == {"refresh", "train", "evaluate", "promote", "generate", "pipeline"}
    assert {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS.values()} == {WORK_POOL}


def test_runs_start_in_the_checkout() -> None:
    assert "pull" not in FILE, "an empty pull would start them in an empty folder"


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_deployment_is_a_real_flow_and_its_parameters_are_right(name: str) -> None:
    flow = flow_of(DEPLOYMENTS[name])
    assert flow.name == name
    parameters = DEPLOYMENTS[name].get("parameters")
    if parameters is not None:
        flow.validate_parameters(parameters)


@pytest.mark.parametrize("name", sorted(JOB_KINDS))
def test_cancelling_a_flow_with_jobs_stops_them(name: str) -> None:
    assert flow_of(DEPLOYMENTS[name]).on_cancellation_hooks


def test_the_refresh_is_daily_and_never_twice_at_once() -> None:
    (schedule,) = DEPLOYMENTS["refresh"]["schedules"]
    assert schedule["slug"]
    assert schedule["cron"].split()[2:] == ["*", "*", "*"]
    assert DEPLOYMENTS["refresh"]["concurrency_limit"]["limit"] == 1


def test_new_data_starts_training_but_not_a_pipelines_own() -> None:
    (declared,) = DEPLOYMENTS["train"]["triggers"]
    trigger = DeploymentEventTrigger.model_validate(declared)
    assert trigger.expect == {PUBLISHED_EVENT}
    assert trigger.match.root == {"argus.origin": "refresh"}
    filled = {**declared["parameters"]["form"], "dataset": "/data", "snapshot": 3}
    flow_of(DEPLOYMENTS["train"]).validate_parameters({"form": filled})
