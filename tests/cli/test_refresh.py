"""`argus refresh` on a local site: failures whose cause is gone, exit status and hints."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from argus.dataset import Dataset
from argus.synth import FolderServer, serve_folder, write_video_kind
from schemas.names import EXIT_CODES, Decision, Outcome, Reason
from tests.support.cli import assert_invalid, run_argus, run_argus_json

QUICK = ["--set", "clip.height=64", "--set", "fetch.attempts=1", "--set", "max_concurrent_videos=1"]
ALLOW = "--allow-private-hosts"

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FolderServer]:
    folder = tmp_path / "site"
    folder.mkdir()
    write_video_kind(folder / "walk.mp4", "walk", seconds=2.5, fps=5, height=64, tagged=True)
    with serve_folder(folder) as server:
        yield server


def write_list(tmp_path: Path, *urls: str) -> Path:
    path = tmp_path / "list.txt"
    path.write_text("\n".join(urls))
    return path


def rows(home: Path) -> dict[str, dict[str, Any]]:
    table = Dataset(home / "dataset").read_latest()
    return {Path(row["url"]).name: row for row in table.to_pylist()}


def metrics(result: Result) -> dict[str, float]:
    found: dict[str, float] = json.loads(result.stdout)["metrics"]
    return found


def test_a_refused_host_is_fetched_once_it_is_allowed(
    tmp_path: Path, home: Path, site: FolderServer
) -> None:
    catalogue = write_list(tmp_path, f"{site.url}/walk.mp4")
    refused = run_argus("refresh", catalogue, *QUICK)
    assert refused.exit_code == EXIT_CODES[Outcome.FAILED], refused.output
    assert "forbidden_host 1" in refused.stderr
    assert "fetch.allow_private_hosts" in refused.stderr
    assert site.requests == []

    again = run_argus("refresh", catalogue, *QUICK)  # nothing changed: nothing to do
    assert again.exit_code == 0
    assert "--retry forbidden_host" in again.stderr
    preview = run_argus("refresh", catalogue, *QUICK, "--dry-run")
    assert "1 known, of which 1 failed (forbidden_host 1)" in preview.stderr
    assert "to fetch" not in preview.stderr

    allowed = run_argus("refresh", catalogue, *QUICK, ALLOW, "--json")
    assert allowed.exit_code == 0, allowed.output
    assert metrics(allowed)["kept"] == 1
    assert rows(home)["walk.mp4"]["decision"] == Decision.KEPT
    assert len(Dataset(home / "dataset").get_snapshot().table) == 1

    stages = run_argus_json("dataset", "why", f"{site.url}/walk.mp4", "--json")
    facts = {name: value for stage in stages for name, value in stage["facts"].items()}
    with urllib.request.urlopen(f"{site.url}/walk.mp4") as response:
        assert (facts["HTTP status"], facts["entity tag"]) == ("200", response.headers["ETag"])


@pytest.mark.slow
def test_a_video_that_is_too_long_is_processed_under_a_larger_limit(
    tmp_path: Path, home: Path, site: FolderServer
) -> None:
    catalogue = write_list(tmp_path, f"{site.url}/walk.mp4")
    short = run_argus("refresh", catalogue, *QUICK, ALLOW, "--set", "fetch.max_duration_s=1")
    assert short.exit_code == 0, short.output  # processed and dropped: nothing failed
    row = rows(home)["walk.mp4"]
    assert (row["decision"], row["reason"]) == (Decision.DROPPED, Reason.TOO_LONG)
    assert json.loads(row["failure_settings"]) == {"max_duration_s": 1}
    fetched = len(site.requests)
    same = run_argus("refresh", catalogue, *QUICK, ALLOW, "--set", "fetch.max_duration_s=0.5")
    assert (same.exit_code, len(site.requests)) == (0, fetched)
    longer = run_argus("refresh", catalogue, *QUICK, ALLOW, "--set", "fetch.max_duration_s=3")
    assert longer.exit_code == 0, longer.output
    assert rows(home)["walk.mp4"]["decision"] == Decision.KEPT


@pytest.mark.slow
def test_retry_fetches_what_failed_for_a_reason_and_once_in_a_run(
    tmp_path: Path, home: Path, site: FolderServer
) -> None:
    catalogue = write_list(
        tmp_path, f"{site.url}/walk.mp4", f"{site.url}/late.mp4", f"{site.url}/never.mp4"
    )
    first = run_argus("refresh", catalogue, *QUICK, ALLOW)
    assert first.exit_code == 0, first.output  # one of three is kept
    assert rows(home)["late.mp4"]["reason"] == Reason.NOT_FOUND
    site.requests.clear()
    (site.folder / "late.mp4").write_bytes((site.folder / "walk.mp4").read_bytes())
    retry = ["refresh", catalogue, *QUICK, ALLOW, "--retry", "not_found", "--run-id", "again"]
    found = run_argus(*retry, "--json")
    assert found.exit_code == 0, found.output
    assert rows(home)["late.mp4"]["reason"] == Reason.DUPLICATE
    assert rows(home)["never.mp4"]["run_id"] == "again"
    assert {request.path for request in site.requests} == {"/late.mp4", "/never.mp4"}

    site.requests.clear()
    repeated = run_argus(*retry)
    assert (repeated.exit_code, site.requests) == (0, [])
    other = run_argus(*retry[:-1], "another")
    assert other.exit_code == EXIT_CODES[Outcome.FAILED]  # the only one that was tried
    assert {request.path for request in site.requests} == {"/never.mp4"}


@pytest.mark.slow
def test_nothing_fetched_may_pass_if_every_failure_may(tmp_path: Path) -> None:
    closed = write_list(tmp_path, "http://127.0.0.1:9/a.mp4")
    result = run_argus("refresh", closed, *QUICK, ALLOW)
    assert result.exit_code == EXIT_CODES[Outcome.RETRY], result.output
    assert "unreachable 1" in result.stderr


def test_an_unknown_reason_lists_those_of_the_dataset(tmp_path: Path, sample_dataset: Path) -> None:
    catalogue = write_list(tmp_path, "https://videos.example/a.mp4")
    refused = run_argus("refresh", catalogue, "--dataset", sample_dataset, "--retry", "boring")
    assert_invalid(refused, "boring", "bot_check (1)")
    forgotten = run_argus("refresh", catalogue, "--retry", "forgotten", "--dry-run")
    assert_invalid(forgotten, "retry")
    first = run_argus("refresh", catalogue, "--dataset", tmp_path / "new", "--retry", "boring")
    assert_invalid(first, "boring", "not_found")


def test_a_plan_counts_empty_entries(tmp_path: Path) -> None:
    catalogue = tmp_path / "list.csv"
    catalogue.write_text("title,url\nwalk,https://videos.example/a.mp4\nnone,\nno url,  \n")
    preview = run_argus("refresh", catalogue, "--dry-run")
    assert "2 empty entries" in preview.stderr
