"""Local servers and reports of jobs, without starting a server."""

import json
import socket
from pathlib import Path

import pytest

from argus.errors import InvalidInput
from argus.runs import RunFolder
from flows.jobs import MAX_LOG_LINES, mlflow_run_url, shorten_log
from flows.local import (
    HOST,
    MAX_RAY_TEMP_CHARACTERS,
    LocalStack,
    mlflow_server,
    prefect_server,
    ray_server,
)
from flows.refresh import count_reasons, has_new_clips
from flows.serve import format_addresses
from schemas.names import JobKind, Outcome


def test_a_port_in_use_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(InvalidInput) as caught, LocalStack(tmp_path, mlflow_port=port):
            pass
    assert str(port) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_configured_servers_are_used_and_none_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGUS_RAY_ADDRESS", "http://ray:8265")
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect:4200/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    with LocalStack(tmp_path) as stack:
        assert stack.ray_url == "http://ray:8265"
        assert stack.prefect_url == "http://prefect:4200"
        assert stack.mlflow_uri == "http://mlflow:5000"
        assert list(tmp_path.iterdir()) == []


def test_shown_addresses_hold_no_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGUS_RAY_ADDRESS", "http://user:s3cret@ray:8265")
    monkeypatch.setenv("PREFECT_API_URL", "https://s3cret@prefect:4200/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://user:s3cret@db/mlflow?password=s3cret")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    with LocalStack(tmp_path) as stack:
        text = format_addresses(stack)
    assert "s3cret" not in text
    assert "http://ray:8265" in text
    assert "export" not in text


def test_rays_folder_is_short_enough_for_its_sockets(tmp_path: Path) -> None:
    server = ray_server(tmp_path / ("a" * MAX_RAY_TEMP_CHARACTERS), 1, 2)
    (option,) = (part for part in server.command if part.startswith("--temp-dir="))
    folder = Path(option.removeprefix("--temp-dir="))
    assert len(str(folder)) <= MAX_RAY_TEMP_CHARACTERS
    assert server.remove == folder
    folder.rmdir()
    short = ray_server(Path("/srv/argus"), 1, 2)
    assert short.remove is None
    assert "--temp-dir=/srv/argus/ray" in short.command


def test_every_server_listens_on_loopback_only(tmp_path: Path) -> None:
    for server in (
        ray_server(Path("/srv/argus"), 1, 2),
        prefect_server(tmp_path, 2),
        mlflow_server(tmp_path, 3),
    ):
        assert server.url.startswith("http://127.0.0.1:")
        assert "0.0.0.0" not in " ".join(server.command)


def test_only_a_refresh_with_new_clips_is_published(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, JobKind.CURATE, "r")
    assert not has_new_clips(folder.finish(Outcome.NOTHING, metrics={"clips": 0}))
    assert not has_new_clips(folder.finish(Outcome.DONE, metrics={"clips": 0, "dropped.seam": 2}))
    assert has_new_clips(folder.finish(Outcome.DONE, metrics={"clips": 3}))


def test_reasons_are_sorted_by_frequency(tmp_path: Path) -> None:
    metrics = {
        "clips": 3.0,
        "dropped": 5.0,
        "dropped.seam": 2.0,
        "failed.not_found": 3.0,
        "dropped.black": 2.0,
    }
    result = RunFolder(tmp_path, JobKind.CURATE, "r").finish(Outcome.DONE, metrics=metrics)
    assert count_reasons(result) == [
        ("failed.not_found", 3),
        ("dropped.black", 2),
        ("dropped.seam", 2),
    ]


def test_a_long_log_is_shortened_in_the_middle() -> None:
    lines = [str(number) for number in range(10 * MAX_LOG_LINES)]
    short = shorten_log(lines)
    assert len(short) == MAX_LOG_LINES + 1
    assert (short[0], short[-1]) == ("0", lines[-1])
    assert str(9 * MAX_LOG_LINES) in short[MAX_LOG_LINES // 2]
    assert shorten_log(lines[:MAX_LOG_LINES]) == lines[:MAX_LOG_LINES]


def test_a_run_on_a_server_has_a_url(tmp_path: Path) -> None:
    assert mlflow_run_url(tmp_path) is None
    run = {"tracking_uri": "http://127.0.0.1:5000", "run_id": "abc", "experiment_id": "1"}
    (tmp_path / "mlflow.json").write_text(json.dumps(run))
    assert mlflow_run_url(tmp_path) == "http://127.0.0.1:5000/#/experiments/1/runs/abc"
    run["tracking_uri"] = "http://user:s3cret@127.0.0.1:5000/"  # as earlier versions stored it
    (tmp_path / "mlflow.json").write_text(json.dumps(run))
    assert mlflow_run_url(tmp_path) == "http://127.0.0.1:5000/#/experiments/1/runs/abc"
    run["tracking_uri"] = "sqlite:///mlflow.db"
    (tmp_path / "mlflow.json").write_text(json.dumps(run))
    assert mlflow_run_url(tmp_path) is None
