"""Refreshes with a learned scorer, in the local executor's process and in Ray actors."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import save_file

from argus.dataset import Dataset
from argus.networks import NETWORKS, LpipsVgg, accept_weights
from argus.synth import serve_folder, write_video_kind
from ray_jobs.local import run_locally
from schemas.config import (
    ClipSettings,
    CurateConfig,
    FetchSettings,
    FilterSettings,
    LearnedSettings,
    LearnedThresholds,
)
from schemas.names import Decision, JobKind, Outcome, Reason
from schemas.records import JobResult

pytestmark = pytest.mark.slow


def save_tiny_lpips(folder: Path, head: float) -> None:
    torch.manual_seed(0)
    network = LpipsVgg((4, 4, 8, 8, 8))
    folder.mkdir(parents=True)
    save_file(
        {f"features.{name}": value for name, value in network.features.state_dict().items()},
        folder / "vgg16.safetensors",
    )
    heads = {
        f"lin{depth}.model.1.weight": torch.full((1, width, 1, 1), head)
        for depth, width in enumerate((4, 4, 8, 8, 8))
    }
    save_file(heads, folder / "lpips_vgg.safetensors")
    accept_weights(folder.parent, NETWORKS["lpips"].files)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a walk of five seconds on loopback."""
    folder = tmp_path_factory.mktemp("site")
    write_video_kind(folder / "walk.mp4", "walk", seconds=5, height=256, tagged=True)
    with serve_folder(folder) as site:
        yield f"{site.url}/walk.mp4"


Outcomes = tuple[JobResult, dict[str, Any] | None]
RefreshOne = Callable[..., Outcomes]


@pytest.fixture(params=["local", "ray"])
def refresh(request: pytest.FixtureRequest, url: str) -> RefreshOne:
    """Return a function that runs a refresh of the one video with an executor."""
    return partial(run_refresh, request.param, url)


def run_refresh(
    executor: Literal["local", "ray"],
    url: str,
    folder: Path,
    *scorers: str,
    head: float = 1.0,
    **thresholds: float,
) -> Outcomes:
    """Return the result, and the row of the one video."""
    save_tiny_lpips(folder / "weights/lpips", head)
    (folder / "catalogue.txt").write_text(f"{url}\n")
    config = CurateConfig(
        catalogue=str(folder / "catalogue.txt"),
        executor=executor,
        home=str(folder / "home"),
        dataset=str(folder / "dataset"),
        fetch=FetchSettings(allow_private_hosts=True, attempts=1),
        clip=ClipSettings(height=64, clip_s=2.5),
        filters=FilterSettings(learned=LearnedThresholds(**thresholds)),
        learned=LearnedSettings(scorers=scorers, weights=str(folder / "weights"), batch_clips=1),
    )
    result = run_locally(JobKind.CURATE, config)
    dataset = Dataset(folder / "dataset")
    rows = dataset.read_latest().to_pylist() if dataset.exists else []
    return result, rows[0] if rows else None


def numbers(row: dict[str, Any], scorer: str) -> list[dict[str, Any]]:
    return [score for clip in row["clips"] for score in clip["scores"] if score["filter"] == scorer]


def test_numbers_are_stored_and_absent_scorers_are_named(
    tmp_path: Path, refresh: RefreshOne
) -> None:
    result, row = refresh(tmp_path, "lpips", "raft")
    assert (result.outcome, result.metrics["kept"], result.metrics["clips"]) == (
        Outcome.DONE,
        1,
        2,
    ), result.reason
    assert result.outputs["learned"].keys() == {"lpips", "raft"}
    assert "raft/raft_large.safetensors" in result.outputs["learned"]["raft"]
    assert row is not None
    measured = numbers(row, "lpips")
    assert [score["name"] for score in measured] == ["left_right", "top_bottom", "between"] * 2
    assert all(
        score["value"] > 0 and score["threshold"] is None and score["kept"] for score in measured
    )
    assert [(score["name"], score["value"]) for score in numbers(row, "raft")] == [
        ("speed_deg_s", None)
    ] * 2
    assert not list((tmp_path / "dataset").rglob("*.npz"))


def test_a_threshold_drops_a_clip_with_its_value(tmp_path: Path, refresh: RefreshOne) -> None:
    result, row = refresh(tmp_path, "lpips", lpips_between=100.0)
    assert (result.outcome, result.metrics["dropped.static"], result.metrics["clips"]) == (
        Outcome.DONE,
        1,
        0,
    ), result.reason
    assert row is not None
    assert {(clip["decision"], clip["reason"]) for clip in row["clips"]} == {
        (Decision.DROPPED, Reason.STATIC)
    }
    (against, _) = (score for score in numbers(row, "lpips") if not score["kept"])
    assert (against["name"], against["threshold"]) == ("between", 100.0)
    assert 0 < against["value"] < 100


def test_a_non_finite_score_leaves_the_video_undecided(tmp_path: Path, refresh: RefreshOne) -> None:
    result, row = refresh(tmp_path, "lpips", head=float("nan"))
    assert (result.metrics["failed.scorer_failed"], result.metrics["clips"]) == (1, 0), (
        result.reason
    )
    assert row is not None
    assert (row["decision"], row["reason"], row["retryable"], row["clips"]) == (
        Decision.FAILED,
        Reason.SCORER_FAILED,
        True,
        [],
    )
    assert "lpips" in row["detail"]
    assert "left_right" in row["detail"]


def test_a_refresh_that_cannot_decide_does_not_start(tmp_path: Path, refresh: RefreshOne) -> None:
    result, row = refresh(tmp_path, "lpips", "raft", raft_speed_deg_s=1.0)
    assert (result.outcome, row) == (Outcome.INVALID, None)
    assert "filters.learned.raft_speed_deg_s" in result.reason
    assert "raft/raft_large.safetensors" in result.reason
    negative, row = refresh(tmp_path / "negative", "lpips", head=-1.0)
    assert (negative.outcome, row) == (Outcome.INVALID, None)
    assert "negative weights" in negative.reason
