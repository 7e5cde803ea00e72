"""Jobs on a real Ray head, and in a process of this machine: submit, attach, follow, stop, submit again."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from argus.errors import InvalidInput, ServiceError
from flows.local import LocalStack
from ray_jobs.client import JobClient, run_locally
from ray_jobs.supervisor import descendants
from schemas.config import CurateConfig, FetchSettings, TrainConfig
from schemas.names import JobKind, Outcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # not needed here
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        with LocalStack(tmp_path_factory.mktemp("home"), cpus=2) as stack:
            yield stack


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/video.mp4"


def refresh_of(url: str, folder: Path, run_id: str) -> CurateConfig:
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


def test_a_running_job_is_found_again_stopped_and_begun_anew(
    cluster: LocalStack, tmp_path: Path, silent_server: str
) -> None:
    config = refresh_of(silent_server, tmp_path, "again")
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


def test_a_job_that_succeeded_is_not_run_twice(cluster: LocalStack, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config = refresh_of(
            f"http://127.0.0.1:{closed.getsockname()[1]}/video.mp4", tmp_path, "once"
        )
        client = JobClient()
        told: list[int] = []
        result = client.follow(
            client.submit_or_attach(JobKind.CURATE, config),
            on_progress=lambda step, *_: told.append(step),
        )
    assert result.outcome is Outcome.DONE
    assert told[-1] == 1
    again = client.submit_or_attach(JobKind.CURATE, config)
    assert again.attached
    assert client.follow(again) == result
    found = client.find_job(JobKind.CURATE, "once", tmp_path)
    assert found
    assert found.submission_id == again.submission_id
    assert client.find_job(JobKind.CURATE, "never", tmp_path) is None


def test_a_job_that_cannot_fit_is_refused_before_it_is_submitted(
    cluster: LocalStack, tmp_path: Path
) -> None:
    client = JobClient()
    assert client.resources()["CPU"] == 2
    with pytest.raises(InvalidInput, match="train needs 4 CPUs, the cluster has 2"):
        client.submit_or_attach(
            JobKind.TRAIN, TrainConfig(run_id="big", home=str(tmp_path), workers=4, batch=4)
        )
    assert client.find_job(JobKind.TRAIN, "big", tmp_path) is None


def test_a_wrong_token_is_refused(cluster: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(InvalidInput, match="refuses the token"):
        JobClient()


def test_a_cluster_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        JobClient("http://127.0.0.1:9")


def test_ctrl_c_stops_a_local_job_and_leaves_no_process(tmp_path: Path, silent_server: str) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = set(descendants(os.getpid()))
    result = run_locally(
        JobKind.CURATE, refresh_of(silent_server, tmp_path, "local"), on_progress=interrupt
    )
    assert result.outcome is Outcome.CANCELLED
    assert set(descendants(os.getpid())) <= before
