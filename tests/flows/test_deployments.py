"""Deployments of prefect.yaml: each names a flow that accepts its parameters."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.events import DeploymentEventTrigger
from prefect.flows import Flow

from flows.jobs import JOB_KINDS
from flows.refresh import PUBLISHED_EVENT
from flows.serve import WORK_POOL

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    deployment["name"]: deployment for deployment in FILE["deployments"]
}


def load_flow(deployment: dict[str, Any]) -> Flow[..., Any]:
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).exists()
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    return flow


def test_all_flows_are_deployed_to_the_work_pool() -> None:
    assert set(DEPLOYMENTS) == {"refresh", "train", "evaluate", "promote", "generate", "pipeline"}
    assert {deployment["work_pool"]["name"] for deployment in DEPLOYMENTS.values()} == {WORK_POOL}


def test_there_is_no_pull_step() -> None:
    assert "pull" not in FILE, "an empty pull step would start runs in an empty folder"


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_a_deployment_has_a_flow_and_valid_parameters(name: str) -> None:
    flow = load_flow(DEPLOYMENTS[name])
    assert flow.name == name
    parameters = DEPLOYMENTS[name].get("parameters")
    if parameters is not None:
        flow.validate_parameters(parameters)


@pytest.mark.parametrize("name", sorted(JOB_KINDS))
def test_a_flow_with_jobs_has_a_cancellation_hook(name: str) -> None:
    assert load_flow(DEPLOYMENTS[name]).on_cancellation_hooks


def test_the_refresh_runs_daily_without_overlap() -> None:
    (schedule,) = DEPLOYMENTS["refresh"]["schedules"]
    assert schedule["slug"]
    assert schedule["cron"].split()[2:] == ["*", "*", "*"]
    assert DEPLOYMENTS["refresh"]["concurrency_limit"]["limit"] == 1


def test_new_data_starts_training_unless_it_comes_from_a_pipeline() -> None:
    (declared,) = DEPLOYMENTS["train"]["triggers"]
    trigger = DeploymentEventTrigger.model_validate(declared)
    assert trigger.expect == {PUBLISHED_EVENT}
    assert trigger.match.root == {"argus.origin": "refresh"}
    form = {**declared["parameters"]["form"], "dataset": "/data", "snapshot": 3}
    load_flow(DEPLOYMENTS["train"]).validate_parameters({"form": form})
