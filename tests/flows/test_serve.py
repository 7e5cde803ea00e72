"""Deployments on real servers, used through Prefect's API."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from argus.runs import RunFolder
from flows.local import LocalStack
from flows.serve import deploy_flows, start_worker
from ray_jobs.client import JobClient
from ray_jobs.supervisor import SupervisedProcess, descendants
from schemas.names import JobKind, Outcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
TRAIN = {
    "preset": "demo",
    "steps": 4,
    "batch": 2,
    "workers": 2,
    "overrides": [
        "model.height=32",
        "model.view_height=32",
        "validation_clips=1",
        "sample.steps=2",
    ],
}


@dataclass(frozen=True)
class Served:
    """A Prefect server with all deployments and a worker."""

    stack: LocalStack
    worker: SupervisedProcess
    home: Path

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.stack.prefect_url}/api{path}",
            method=method,
            data=data,
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def deployment(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"/deployments/name/{name}/{name}")

    def start(self, name: str, form: dict[str, Any]) -> str:
        return self.call(
            "POST",
            f"/deployments/{self.deployment(name)['id']}/create_flow_run",
            {"parameters": {"form": form}},
        )["id"]

    def wait(self, run: str, *types: str) -> dict[str, Any]:
        """Return the state of a flow run when it has one of these types, or is final."""
        while (state := self.call("GET", f"/flow_runs/{run}")["state"])["type"] not in (
            *types,
            "COMPLETED",
            "FAILED",
            "CRASHED",
            "CANCELLED",
        ):
            assert self.worker.wait(0.5) is None, self.worker.log.read_text()
        return state

    def artifacts(self, run: str) -> set[str]:
        found = self.call(
            "POST", "/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run]}}}
        )
        return {artifact["key"] for artifact in found}

    def events(self, name: str, count: int) -> list[dict[str, Any]]:
        """Return the events of a name; the server stores them shortly after the end of a run."""
        while (
            len(
                found := self.call(
                    "POST", "/events/filter", {"filter": {"event": {"name": [name]}}}
                )["events"]
            )
            < count
        ):
            assert self.worker.wait(0.5) is None
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("home")
    others = set(descendants(os.getpid()))  # servers of other tests in this process
    with LocalStack(home, cpus=2) as stack:
        deploy_flows()
        worker = start_worker(stack.log("worker"))
        try:
            yield Served(stack, worker, home)
        finally:
            worker.stop()
    assert set(descendants(os.getpid())) <= others


@pytest.fixture(scope="module")
def refreshed(served: Served) -> Iterator[str]:
    """Yield a finished run of the refresh deployment, whose site is still served."""
    from argus.synth import serve_folder, write_catalogue, write_world_videos

    videos = write_world_videos(served.home / "site", count=5, seconds=3, fps=5, height=64)
    with serve_folder(served.home / "site") as site:
        write_catalogue(
            served.home / "c.csv",
            videos,
            site.url,
            folder=served.home / "site",
            extra_urls=[f"{site.url}/absent.mp4"],
        )
        form = {"catalogue": str(served.home / "c.csv"), "allow_private_hosts": True, "height": 64}
        run = served.start("refresh", form)
        assert served.wait(run)["type"] == "COMPLETED", served.worker.log.read_text()
        yield run


def test_deployment_is_idempotent(served: Served) -> None:
    def state() -> list[tuple[str, str, list[str], str]]:
        found = served.call("POST", "/deployments/filter", {})
        return sorted(
            (
                each["name"],
                each["id"],
                [schedule["id"] for schedule in each["schedules"]],
                each["entrypoint"],
            )
            for each in found
        )

    before = state()
    deploy_flows()
    assert [name for name, *_ in before] == [
        "evaluate",
        "generate",
        "pipeline",
        "promote",
        "refresh",
        "train",
    ]
    assert state() == before
    assert len(served.call("POST", "/automations/filter", {})) == 1


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({"steps": 0}, "form.steps"),
        ({"preset": "huge"}, "form.preset"),
        ({"color": "red"}, "color"),
        ({"lr": "fast"}, "form.lr"),
    ],
)
def test_an_invalid_parameter_is_refused_by_name(
    served: Served, form: dict[str, Any], named: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        served.start("train", form)
    with caught.value as response:
        assert response.code == 409
        assert named in json.load(response)["detail"]


def test_a_refresh_emits_an_event_and_creates_artifacts(served: Served, refreshed: str) -> None:
    assert {
        "curate-metrics",
        "curate-reasons",
        "curate-report",
        "curate-result",
    } <= served.artifacts(refreshed)
    (event,) = served.events("argus.dataset.published", 1)
    assert event["payload"]["snapshot"] == 1
    assert event["resource"]["argus.origin"] == "refresh"


def test_a_refresh_without_new_videos_emits_no_event(served: Served, refreshed: str) -> None:
    run = served.start(
        "refresh",
        {"catalogue": str(served.home / "c.csv"), "allow_private_hosts": True, "height": 64},
    )
    assert served.wait(run)["type"] == "COMPLETED"
    result = RunFolder(served.home, JobKind.CURATE, run).read_result()
    assert result
    assert result.outcome is Outcome.NOTHING
    assert len(served.events("argus.dataset.published", 1)) == 1


def test_a_training_registers_a_model(served: Served, refreshed: str) -> None:
    run = served.start("train", TRAIN)
    assert served.wait(run)["type"] == "COMPLETED", served.worker.log.read_text()
    result = RunFolder(served.home, JobKind.TRAIN, run).read_result()
    assert result
    assert (result.outcome, result.metrics["steps"]) == (Outcome.DONE, 4)
    assert {"train-progress", "train-mlflow", "train-metrics"} <= served.artifacts(run)
    (event,) = served.events("argus.model.registered", 1)
    assert event["payload"]["uri"] == result.outputs["model_uri"]


def test_an_impossible_form_fails_and_names_the_setting(served: Served) -> None:
    run = served.start("train", {**TRAIN, "batch": 3})
    state = served.wait(run)
    assert state["type"] == "FAILED"
    assert "batch" in state["message"]
    assert "workers" in state["message"]


def test_cancelling_a_flow_run_stops_its_ray_job(served: Served, refreshed: str) -> None:
    run = served.start("train", {**TRAIN, "steps": 100_000})
    assert served.wait(run, "RUNNING")["type"] == "RUNNING"
    folder = RunFolder(served.home, JobKind.TRAIN, run)
    while not ((progress := folder.read_progress()) and progress.step >= 1):
        assert served.worker.wait(0.5) is None
        assert served.call("GET", f"/flow_runs/{run}")["state"]["type"] == "RUNNING", (
            served.worker.log.read_text()
        )
    served.call("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    assert served.wait(run)["type"] == "CANCELLED"
    client = JobClient()
    job = client.find_job(JobKind.TRAIN, run, served.home)
    assert job
    assert client.follow(job).outcome is Outcome.CANCELLED
    assert any(folder.checkpoints.iterdir())
