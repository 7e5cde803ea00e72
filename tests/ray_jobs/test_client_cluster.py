"""Jobs on a real Ray head: submitting, attaching, following, stopping, resubmitting."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from argus.errors import InvalidInput, ServiceError
from flows.local import LocalStack
from ray_jobs.client import JobClient
from ray_jobs.local import run_locally
from ray_jobs.supervisor import descendants
from schemas.config import CurateConfig, FetchSettings, TrainConfig
from schemas.names import JobKind, Outcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # not used
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        with LocalStack(tmp_path_factory.mktemp("home"), cpus=2) as stack:
            yield stack


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Yield the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/video.mp4"


def silent_refresh(url: str, folder: Path, run_id: str) -> CurateConfig:
    catalogue = folder / "catalogue.txt"
    catalogue.write_text(f"{url}\n")
    fetch = FetchSettings(allow_private_hosts=True, timeout_s=20, attempts=1)
    return CurateConfig(
        run_id=run_id,
        home=str(folder),
        catalogue=str(catalogue),
        dataset=str(folder / "dataset"),
        fetch=fetch,
    )


def test_invalid_input_is_never_submitted_again(cluster: LocalStack, tmp_path: Path) -> None:
    config = CurateConfig(
        run_id="invalid",
        home=str(tmp_path),
        catalogue=str(tmp_path / "absent.csv"),
        dataset=str(tmp_path / "dataset"),
    )
    client = JobClient()
    first = client.submit_or_attach(JobKind.CURATE, config)
    log: list[str] = []
    result = client.follow(first, on_log=log.append)
    assert (first.submission_id, first.attached) == ("argus-curate-invalid-1", False)
    assert result.outcome is Outcome.INVALID
    assert "absent.csv" in result.reason
    assert any("absent.csv" in line for line in log)
    second = client.submit_or_attach(JobKind.CURATE, config)
    assert (second.submission_id, second.attached) == ("argus-curate-invalid-1", True)
    assert client.follow(second) == result


def test_a_running_job_is_attached_to_stopped_and_resubmitted(
    cluster: LocalStack, tmp_path: Path, silent_server: str
) -> None:
    config = silent_refresh(silent_server, tmp_path, "again")
    client = JobClient()
    first = client.submit_or_attach(JobKind.CURATE, config)
    while first.folder.read_progress() is None:
        assert client.status(first) in ("PENDING", "RUNNING")
    second = JobClient().submit_or_attach(JobKind.CURATE, config)
    assert (second.submission_id, second.attached) == (first.submission_id, True)
    assert client.stop(second).outcome is Outcome.CANCELLED
    third = client.submit_or_attach(JobKind.CURATE, config)
    assert (third.submission_id, third.attached) == ("argus-curate-again-2", False)
    assert not third.folder.is_stop_requested
    assert client.stop(third).outcome is Outcome.CANCELLED


def test_a_successful_job_is_not_run_again(cluster: LocalStack, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = silent_refresh(
            f"http://127.0.0.1:{closed.getsockname()[1]}/video.mp4", tmp_path, "once"
        )
        client = JobClient()
        steps: list[int] = []
        result = client.follow(
            client.submit_or_attach(JobKind.CURATE, config),
            on_progress=lambda step, *_: steps.append(step),
        )
    assert result.outcome is Outcome.DONE
    assert steps[-1] == 1
    again = client.submit_or_attach(JobKind.CURATE, config)
    assert again.attached
    assert client.follow(again) == result
    found = client.find_job(JobKind.CURATE, "once", tmp_path)
    assert found
    assert found.submission_id == again.submission_id
    assert client.find_job(JobKind.CURATE, "never", tmp_path) is None


def test_a_job_that_is_too_large_is_not_submitted(cluster: LocalStack, tmp_path: Path) -> None:
    client = JobClient()
    assert client.resources()["CPU"] == 2
    with pytest.raises(InvalidInput) as caught:
        client.submit_or_attach(
            JobKind.TRAIN, TrainConfig(run_id="big", home=str(tmp_path), workers=4, batch=4)
        )
    assert "4 CPUs" in str(caught.value)
    assert client.find_job(JobKind.TRAIN, "big", tmp_path) is None


def test_a_wrong_token_is_refused(cluster: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(InvalidInput) as caught:
        JobClient()
    assert "RAY_AUTH_TOKEN" in str(caught.value)


def test_an_unreachable_cluster_is_an_error() -> None:
    with pytest.raises(ServiceError) as caught:
        JobClient("http://127.0.0.1:9")
    assert "http://127.0.0.1:9" in str(caught.value)


def test_a_keyboard_interrupt_stops_a_local_job_and_its_processes(
    tmp_path: Path, silent_server: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = set(descendants(os.getpid()))
    result = run_locally(
        JobKind.CURATE, silent_refresh(silent_server, tmp_path, "local"), on_progress=interrupt
    )
    assert result.outcome is Outcome.CANCELLED
    assert set(descendants(os.getpid())) <= before
