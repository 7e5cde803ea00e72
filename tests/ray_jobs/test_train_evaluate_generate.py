"""Jobs in real processes: training on two workers, evaluation, promotion and generation."""

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
from argus.registry import (
    connect,
    find_version,
    promote_if_better,
    promote_version,
    read_measurement,
    read_metric_history,
)
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
from schemas.names import EXIT_CODES, Decision, JobKind, Layout, Outcome, PromotionDecision, Split
from schemas.records import JobResult

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]

STEPS = 16
ROOT = Path(__file__).parents[2]
SAMPLE = SampleSettings(steps=2)


def video(number: int, split: Split) -> DecidedVideo:
    """Return a source with one clip: colored waves that drift in longitude."""
    random = np.random.default_rng(number)
    lon, lat = np.meshgrid(np.linspace(0, 2 * np.pi, 128, endpoint=False), np.linspace(1, -1, 64))
    phase, color = random.uniform(0, 6, 3), random.uniform(60, 190, 3)
    drift = np.arange(10)[:, None, None, None] * 0.1
    frames = (
        (color + 60 * np.cos(2 * lon[..., None] + phase + drift) * np.cos(3 * lat[..., None]))
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
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs")
    splits = [Split.TRAIN] * 5 + [Split.VAL] + [Split.TEST] * 2
    dataset = Dataset(folder / "dataset")
    dataset.commit_chunk([video(number, split) for number, split in enumerate(splits)])
    dataset.publish()
    return folder


def shared(root: Path) -> dict[str, object]:
    return {
        "home": str(root / "home"),
        "tracking": TrackingSettings(uri=f"sqlite:///{root}/mlflow.db"),
    }


def train_config(root: Path, run_id: str, **changes: object) -> TrainConfig:
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
            **shared(root),
            **sizes,
            "run_id": run_id,
            "dataset": str(root / "dataset"),
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


def read_losses(folder: RunFolder) -> list[dict]:
    path = folder.path / "losses.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        if path.exists()
        else []
    )


def wait_for_step(job: SupervisedProcess, folder: RunFolder, step: int) -> None:
    while len(read_losses(folder)) < step:
        assert job.wait(0.1) is None, job.log.read_text()


@pytest.fixture(scope="module")
def trained(root: Path) -> JobResult:
    return run(JobKind.TRAIN, train_config(root, "whole"))


def test_training_registers_a_candidate(trained: JobResult, root: Path) -> None:
    assert trained.outcome is Outcome.DONE
    assert trained.metrics["steps"] == STEPS
    assert trained.metrics["validation_loss_last"] < trained.metrics["validation_loss_first"]
    version = find_version("argus", "candidate", tracking_uri=trained.outputs["tracking_uri"])
    assert (version.uri, version.tags["run_id"]) == (trained.outputs["model_uri"], "whole")
    assert version.tags["snapshot_digest"] == trained.outputs["digest"]
    mlflow_run = trained.outputs["mlflow_run_id"]
    tracked = connect(version.tracking_uri).get_run(mlflow_run)
    assert tracked.info.status == "FINISHED"
    assert tracked.data.metrics["validation_loss"] == pytest.approx(
        trained.metrics["validation_loss_last"]
    )
    assert tracked.data.params["optim.lr"] == "0.0005"
    points = read_metric_history(mlflow_run, "validation_loss", tracking_uri=version.tracking_uri)
    assert points[0] == (0, trained.metrics["validation_loss_first"])
    assert [step for step, _ in points] == [0, 8, STEPS]


def test_a_finished_training_is_not_repeated(trained: JobResult, root: Path) -> None:
    repeated = run(JobKind.TRAIN, train_config(root, "whole"))
    assert (repeated.outputs, repeated.metrics) == (trained.outputs, trained.metrics)


def test_a_killed_and_stopped_training_resumes_with_the_same_losses(
    trained: JobResult, root: Path
) -> None:
    config = train_config(root, "broken")
    job, folder = start(JobKind.TRAIN, config)
    wait_for_step(job, folder, 6)
    for pid in descendants(job.pid):  # the job, its Ray and its workers
        os.kill(pid, signal.SIGKILL)
    job.wait(60)
    job.stop()
    assert folder.read_result() is None
    dataset = Dataset(root / "dataset")
    dataset.commit_chunk([video(99, Split.TRAIN)])
    dataset.publish()  # a resumed run keeps its snapshot

    job, folder = start(JobKind.TRAIN, config)
    wait_for_step(job, folder, 9)
    job.request_end()  # SIGTERM
    stopped = finish(job, folder)
    assert stopped.outcome is Outcome.CANCELLED
    assert f"of {STEPS} steps" in stopped.reason
    assert 9 <= stopped.metrics["steps"] < STEPS

    resumed = run(JobKind.TRAIN, config)
    assert resumed.outcome is Outcome.DONE
    assert resumed.outputs["mlflow_run_id"] == stopped.outputs["mlflow_run_id"]
    whole, broken = (
        read_losses(RunFolder(root / "home", JobKind.TRAIN, run_id))
        for run_id in ("whole", "broken")
    )
    assert [line["samples"] for line in broken] == [line["samples"] for line in whole]
    assert [line["loss"] for line in broken] == pytest.approx(
        [line["loss"] for line in whole], rel=1e-4
    )
    assert resumed.metrics["validation_loss_last"] == pytest.approx(
        trained.metrics["validation_loss_last"], rel=1e-4
    )


def test_a_training_that_is_too_large_for_the_cluster_is_refused(root: Path) -> None:
    refused = run(JobKind.TRAIN, train_config(root, "wide", workers=512, batch=512))
    assert refused.outcome is Outcome.INVALID
    assert "512 CPUs" in refused.reason


def test_an_evaluation_is_recorded_for_the_promotion(trained: JobResult, root: Path) -> None:
    uri = trained.outputs["tracking_uri"]
    model = trained.outputs["model_uri"]
    number = int(model.rpartition("/")[2])
    config = EvaluateConfig.model_validate(
        {**shared(root), "run_id": "e", "dataset": str(root / "dataset"), "model": model}
    )
    result = run(JobKind.EVALUATE, config)
    assert result.outcome is Outcome.DONE
    assert result.metrics["clips"] == 2
    for method in ("model", "untrained", "fill"):
        assert 0 < result.metrics[f"{method}.ws_psnr_all"] < 60
    assert Path(result.outputs["picture"]).read_bytes().startswith(b"\x89PNG")
    version = find_version("argus", number, tracking_uri=uri)
    measurement = read_measurement(version)
    assert measurement.test == result.outputs["test"]
    assert measurement.metrics["psnr_all"] == result.metrics["model.psnr_all"]
    assert measurement.metrics["untrained.psnr_all"] == result.metrics["untrained.psnr_all"]
    is_better = measurement.metrics["psnr_all"] > measurement.metrics["untrained.psnr_all"]
    verdict = promote_if_better(PromoteConfig(version=number, tracking_uri=uri))
    assert (verdict.decision is PromotionDecision.PROMOTE) == is_better

    promote_version(version)
    later = run(JobKind.TRAIN, train_config(root, "later", steps=2, snapshot=1))
    changes = {"run_id": "e2", "model": later.outputs["model_uri"]}
    second = run(JobKind.EVALUATE, config.model_copy(update=changes))
    assert second.metrics["champion.psnr_all"] == result.metrics["model.psnr_all"]
    assert second.outputs["test"] == result.outputs["test"]
    verdict = promote_if_better(PromoteConfig(tracking_uri=uri))
    assert verdict.decision in (PromotionDecision.PROMOTE, PromotionDecision.HOLD)


def test_a_360_video_is_generated(trained: JobResult, root: Path) -> None:
    base = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    frames = [np.kron(np.roll(base, k, 1), np.ones((16, 16, 1), np.uint8)) for k in range(8)]
    write_video(root / "in.mp4", frames, Fraction(5))
    settings = {
        **shared(root),
        "run_id": "g",
        "input": str(root / "in.mp4"),
        "output": str(root / "out.mp4"),
        "model": trained.outputs["model_uri"],
    }
    result = run(JobKind.GENERATE, GenerateConfig.model_validate(settings))
    assert result.outcome is Outcome.DONE
    assert any("75°" in note for note in result.outputs["notes"])
    with open_video(root / "out.mp4") as reader:
        assert (len(reader), reader.size) == (8, (32, 64))
    assert read_spherical(root / "out.mp4") is not None
    missing = run(
        JobKind.GENERATE,
        GenerateConfig.model_validate(
            {**settings, "run_id": "g2", "model": "models:/argus@nobody"}
        ),
    )
    assert missing.outcome is Outcome.INVALID
    assert "models:/argus@nobody" in missing.reason
