"""Training in real processes on two workers, killed, stopped and resumed; then its evaluation, its promotion, and a generated video."""

import json
import os
import signal
import sys
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from argus.dataset import CuratedClip, Dataset, DecidedVideo, ShardClip, SourceRow
from argus.media import encode_clip, open_video, read_spherical, write_video
from argus.registry import models
from argus.registry.server import connect
from argus.runs import RunFolder
from ray_jobs.supervisor import SupervisedProcess, descendants
from schemas.config import (
    EvaluateConfig,
    GenerateConfig,
    JobConfig,
    ModelSettings,
    PromoteConfig,
    SampleSettings,
    TrackingSettings,
    TrainConfig,
)
from schemas.names import EXIT_CODES, Decision, PromotionDecision, JobKind, Layout, Outcome, Split
from schemas.records import JobResult

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

STEPS = 16
ROOT = Path(__file__).parents[2]
SAMPLE = SampleSettings(steps=2)


def video(number: int, split: Split) -> DecidedVideo:
    """A source of one clip: coloured waves that drift along longitude."""
    random = np.random.default_rng(number)
    lon, lat = np.meshgrid(np.linspace(0, 2 * np.pi, 128, endpoint=False), np.linspace(1, -1, 64))
    phase, colour = random.uniform(0, 6, 3), random.uniform(60, 190, 3)
    drift = np.arange(10)[:, None, None, None] * 0.1
    frames = (
        (colour + 60 * np.cos(2 * lon[..., None] + phase + drift) * np.cos(3 * lat[..., None]))
        .clip(0, 255)
        .astype(np.uint8)
    )
    source = f"url:{number:016x}"
    values = {
        "clip_id": f"{source}@0-2000",
        "start_ms": 0,
        "end_ms": 2000,
        "frames": 10,
        "quality": 0.5,
    }
    clip = ShardClip(
        source_id=source,
        split=split,
        height=64,
        width=128,
        fps=Fraction(5),
        video=encode_clip(frames, Fraction(5)),
        **values,
    )
    row = SourceRow(
        source_id=source,
        url=f"http://example.org/{number}",
        split=split,
        decision=Decision.KEPT,
        layout=Layout.MONO_ERP,
        clips=(CuratedClip(decision=Decision.KEPT, **values),),
        recipe="0" * 12,
        run_id="test",
        code_version="0",
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return DecidedVideo(row, [clip])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    splits = [Split.TRAIN] * 5 + [Split.VAL] + [Split.TEST] * 2
    dataset = Dataset(folder / "dataset")
    dataset.commit_chunk([video(number, split) for number, split in enumerate(splits)])
    dataset.publish()
    return folder


def shared(place: Path) -> dict[str, object]:
    return {
        "home": str(place / "home"),
        "tracking": TrackingSettings(uri=f"sqlite:///{place}/mlflow.db"),
    }


def train_config(place: Path, run_id: str, **changes: object) -> TrainConfig:
    sizes = {
        "steps": STEPS,
        "batch": 2,
        "workers": 2,
        "validate_every": 8,
        "validation_clips": 1,
        "checkpoint_every": 4,
        "sample_every": STEPS,
        "sample": SAMPLE,
    }
    model = ModelSettings(height=32, view_height=32)
    return TrainConfig.model_validate(
        {
            **shared(place),
            **sizes,
            "run_id": run_id,
            "dataset": str(place / "dataset"),
            "model": model,
            **changes,
        }
    )


def start(kind: JobKind, config: JobConfig) -> tuple[SupervisedProcess, RunFolder]:
    folder = RunFolder.of(config, kind)
    folder.prepare()
    (folder.path / "given.json").write_text(config.model_dump_json())
    command = [
        sys.executable,
        "-m",
        f"ray_jobs.{kind}",
        "--config",
        str(folder.path / "given.json"),
    ]
    return SupervisedProcess(command, folder.path / "log.txt", cwd=ROOT, grace_s=60), folder


def finish(job: SupervisedProcess, folder: RunFolder) -> JobResult:
    try:
        while (status := job.wait(60)) is None:
            pass
    finally:
        job.stop()
    result = folder.read_result()
    assert result is not None, job.log.read_text()
    assert status == EXIT_CODES[result.outcome], job.log.read_text()
    return result


def run(kind: JobKind, config: JobConfig) -> JobResult:
    return finish(*start(kind, config))


def history(folder: RunFolder) -> list[dict]:
    path = folder.path / "losses.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        if path.exists()
        else []
    )


def wait_for_step(job: SupervisedProcess, folder: RunFolder, step: int) -> None:
    while len(history(folder)) < step:
        assert job.wait(0.1) is None, job.log.read_text()


@pytest.fixture(scope="module")
def trained(place: Path) -> JobResult:
    return run(JobKind.TRAIN, train_config(place, "whole"))


def read_metric_history(place: Path, run_id: str) -> list[dict]:
    return history(RunFolder(place / "home", JobKind.TRAIN, run_id))


def test_training_registers_a_candidate(trained: JobResult, place: Path) -> None:
    assert trained.outcome is Outcome.DONE
    assert trained.metrics["steps"] == STEPS
    assert trained.metrics["validation_loss_last"] < trained.metrics["validation_loss_first"]
    version = find_version("argus", "candidate", tracking_uri=trained.outputs["tracking_uri"])
    assert (version.uri, version.tags["run_id"]) == (trained.outputs["model_uri"], "whole")
    assert version.tags["snapshot_digest"] == trained.outputs["digest"]
    tracked = connect(version.tracking_uri).get_run(trained.outputs["mlflow_run_id"])
    assert tracked.info.status == "FINISHED"
    assert tracked.data.metrics["validation_loss"] == pytest.approx(
        trained.metrics["validation_loss_last"]
    )
    assert tracked.data.params["optim.lr"] == "0.0005"
    points = connect(version.tracking_uri).get_metric_history(
        trained.outputs["mlflow_run_id"], "validation_loss"
    )
    assert {(point.step, point.value) for point in points if point.step == 0} == {
        (0, trained.metrics["validation_loss_first"])
    }
    assert {point.step for point in points} == {0, 8, STEPS}
    again = run(
        JobKind.TRAIN, train_config(place, "whole")
    )  # over already: nothing is trained or registered again
    assert (again.outputs, again.metrics) == (trained.outputs, trained.metrics)


def test_killed_and_stopped_training_goes_on_as_if_it_had_not_been(
    trained: JobResult, place: Path
) -> None:
    config = train_config(place, "broken")
    job, folder = start(JobKind.TRAIN, config)
    wait_for_step(job, folder, 6)
    for pid in descendants(job.pid):  # the job, its Ray and its workers
        os.kill(pid, signal.SIGKILL)
    job.wait(60)
    job.stop()
    assert folder.read_result() is None
    dataset = Dataset(place / "dataset")
    dataset.commit_chunk([video(99, Split.TRAIN)])
    dataset.publish()  # a newer snapshot does not change a run that began

    job, folder = start(JobKind.TRAIN, config)
    wait_for_step(job, folder, 9)
    job.request_end()  # SIGTERM
    stopped = finish(job, folder)
    assert stopped.outcome is Outcome.CANCELLED
    assert "the same run_id goes on" in stopped.reason
    assert 9 <= stopped.metrics["steps"] < STEPS

    resumed = run(JobKind.TRAIN, config)
    assert resumed.outcome is Outcome.DONE
    assert resumed.outputs["mlflow_run_id"] == stopped.outputs["mlflow_run_id"]
    whole, broken = read_metric_history(place, "whole"), read_metric_history(place, "broken")
    assert [line["samples"] for line in broken] == [line["samples"] for line in whole]
    assert [line["loss"] for line in broken] == pytest.approx(
        [line["loss"] for line in whole], rel=1e-4
    )
    assert resumed.metrics["validation_loss_last"] == pytest.approx(
        trained.metrics["validation_loss_last"], rel=1e-4
    )


def test_more_workers_than_the_cluster_has_are_refused(place: Path) -> None:
    refused = run(JobKind.TRAIN, train_config(place, "wide", workers=512, batch=512))
    assert refused.outcome is Outcome.INVALID
    assert "train needs 512 CPUs, the cluster has" in refused.reason


def test_evaluation_feeds_the_gate(trained: JobResult, place: Path) -> None:
    uri = trained.outputs["tracking_uri"]
    model = trained.outputs["model_uri"]
    config = EvaluateConfig.model_validate(
        {**shared(place), "run_id": "e", "dataset": str(place / "dataset"), "model": model}
    )
    result = run(JobKind.EVALUATE, config)
    assert result.outcome is Outcome.DONE
    assert result.metrics["clips"] == 2
    for method in ("model", "untrained", "fill"):
        assert 0 < result.metrics[f"{method}.ws_psnr_all"] < 60
    assert Path(result.outputs["picture"]).read_bytes().startswith(b"\x89PNG")
    found = read_measurement(
        find_version("argus", int(model.rpartition("/")[2]), tracking_uri=uri)
    )
    assert found.test == result.outputs["test"]
    assert found.metrics["psnr_all"] == result.metrics["model.psnr_all"]
    assert found.metrics["untrained.psnr_all"] == result.metrics["untrained.psnr_all"]
    better = found.metrics["psnr_all"] > found.metrics["untrained.psnr_all"]
    verdict = promote_if_better(PromoteConfig(version=int(model.rpartition("/")[2]), tracking_uri=uri))
    assert verdict.decision == (PromotionDecision.PROMOTE if better else PromotionDecision.HOLD)

    promote_version(find_version("argus", int(model.rpartition("/")[2]), tracking_uri=uri))
    later = run(JobKind.TRAIN, train_config(place, "later", steps=2, snapshot=1))
    second = run(
        JobKind.EVALUATE,
        config.model_copy(update={"run_id": "e2", "model": later.outputs["model_uri"]}),
    )
    assert (
        second.metrics["champion.psnr_all"] == result.metrics["model.psnr_all"]
    )  # measured beside it, on the same test
    assert second.outputs["test"] == result.outputs["test"]
    assert promote_if_better(PromoteConfig(tracking_uri=uri)).decision in (
        PromotionDecision.PROMOTE,
        PromotionDecision.HOLD,
    )


def test_generates_a_360_video(trained: JobResult, place: Path) -> None:
    base = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    frames = [np.kron(np.roll(base, k, 1), np.ones((16, 16, 1), np.uint8)) for k in range(8)]
    write_video(place / "in.mp4", frames, Fraction(5))
    given = {
        **shared(place),
        "run_id": "g",
        "input": str(place / "in.mp4"),
        "output": str(place / "out.mp4"),
        "model": trained.outputs["model_uri"],
    }
    result = run(JobKind.GENERATE, GenerateConfig.model_validate(given))
    assert result.outcome is Outcome.DONE
    assert any("field of view of 75°" in note for note in result.outputs["notes"])
    with open_video(place / "out.mp4") as reader:
        assert (len(reader), reader.size) == (8, (32, 64))
    metadata = read_spherical(place / "out.mp4")
    assert metadata is not None
    missing = run(
        JobKind.GENERATE,
        GenerateConfig.model_validate({**given, "run_id": "g2", "model": "models:/argus@nobody"}),
    )
    assert missing.outcome is Outcome.INVALID
    assert "there are versions" in missing.reason
