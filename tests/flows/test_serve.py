"""Deployments on real servers: runs made through Prefect's API refresh and train, wrong parameters are refused, cancel stops the Ray job."""

import json
import os
import re
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
    """A server with all deployments and a worker."""

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
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def deployment(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"/deployments/name/{name}/{name}")

    def start(self, name: str, form: dict[str, Any]) -> str:
        return self.call(
            "POST",
            f"/deployments/{self.deployment(name)['id']}/create_flow_run",
            {"parameters": {"form": form}},
        )["id"]

    def wait(self, run: str, *types: str) -> dict[str, Any]:
        """The state of a flow run when it is one of these, or final."""
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
        """The events of a name; the server stores them a moment after the run's end."""
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
    with LocalStack(home, cpus=2) as stack:
        deploy_flows()
        running = start_worker(stack.log("worker"))
        try:
            yield Served(stack, running, home)
        finally:
            running.stop()
    assert descendants(os.getpid()) == []


@pytest.fixture(scope="module")
def refreshed(served: Served) -> Iterator[str]:
    """A flow run of the refresh deployment over a small site; the site stays."""
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


def test_deploying_again_changes_nothing(served: Served) -> None:
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
    ("form", "message"),
    [
        ({"steps": 0}, r"form\.steps.*0 is less than the minimum of 1"),
        ({"preset": "huge"}, r"form\.preset.*'huge' is not one of"),
        ({"colour": "red"}, r"'colour' was unexpected"),
        ({"lr": "fast"}, r"form\.lr.*'fast'"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(
    served: Served, form: dict[str, Any], message: str
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        served.start("train", form)
    with refused.value as answer:
        assert answer.code == 409
        assert re.search(message, json.load(answer)["detail"])


def test_a_refresh_publishes_and_shows_its_reasons(served: Served, refreshed: str) -> None:
    assert {
        "curate-metrics",
        "curate-reasons",
        "curate-report",
        "curate-result",
    } <= served.artifacts(refreshed)
    (event,) = served.events("argus.dataset.published", 1)
    assert event["payload"]["snapshot"] == 1
    assert event["resource"]["argus.origin"] == "refresh"


def test_a_refresh_that_finds_nothing_publishes_nothing(served: Served, refreshed: str) -> None:
    run = served.start(
        "refresh",
        {"catalogue": str(served.home / "c.csv"), "allow_private_hosts": True, "height": 64},
    )
    assert served.wait(run)["type"] == "COMPLETED"
    result = RunFolder(served.home, JobKind.CURATE, run).read_result()
    assert result
    assert result.outcome is Outcome.NOTHING
    assert len(served.events("argus.dataset.published", 1)) == 1


def test_a_training_run_from_a_form_finishes(served: Served, refreshed: str) -> None:
    run = served.start("train", TRAIN)
    assert served.wait(run)["type"] == "COMPLETED", served.worker.log.read_text()
    result = RunFolder(served.home, JobKind.TRAIN, run).read_result()
    assert result
    assert (result.outcome, result.metrics["steps"]) == (Outcome.DONE, 4)
    assert {"train-progress", "train-mlflow", "train-metrics"} <= served.artifacts(run)
    (event,) = served.events("argus.model.registered", 1)
    assert event["payload"]["uri"] == result.outputs["model_uri"]


def test_an_impossible_form_fails_with_one_line(served: Served) -> None:
    run = served.start("train", {**TRAIN, "batch": 3})
    state = served.wait(run)
    assert state["type"] == "FAILED"
    assert "batch is 3, but must be a multiple of workers (2)" in state["message"]


def test_cancel_stops_the_ray_job(served: Served, refreshed: str) -> None:
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
