"""Whole runs: resuming, stopping, sample order, independence of the number of workers."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from argus.dataset import Dataset, select_global_batch
from argus.diffusion import ArgusPipeline
from argus.errors import ArgusError, InvalidInput
from argus.runs import RunFolder
from argus.train import (
    LossLog,
    TrainingData,
    TrainSummary,
    train,
    validation_examples,
    validation_loss,
)
from argus.train.checkpoint import read_checkpoint
from schemas.config import TrainConfig
from schemas.names import JobKind, Split

Configure = Callable[..., TrainConfig]


class RecordingObserver:
    """Observer that keeps everything, and requests a stop after the validation of a step."""

    def __init__(self, folder: RunFolder | None = None, stop_at: int | None = None) -> None:
        self.values: dict[str, dict[int, float]] = {}
        self.images: list[tuple[int, np.ndarray]] = []
        self.folder, self.stop_at = folder, stop_at

    def log_metrics(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.values.setdefault(name, {})[step] = value
        if self.folder and "validation_loss" in values and step == self.stop_at:
            self.folder.request_stop()

    def log_image(self, step: int, name: str, image: np.ndarray) -> None:
        self.images.append((step, image))


def run(
    config: TrainConfig, dataset: Dataset, stop_at: int | None = None
) -> tuple[TrainSummary, RunFolder, RecordingObserver]:
    folder = RunFolder.of(config, JobKind.TRAIN)
    folder.prepare()
    observer = RecordingObserver(folder, stop_at)
    return train(config, folder, dataset, observer=observer), folder, observer


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(folder.path / "pipeline" / "unet" / "diffusion_pytorch_model.safetensors")


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, quick: TrainConfig, dataset: Dataset
) -> tuple[TrainSummary, RunFolder, RecordingObserver, TrainConfig]:
    """A run of six steps without interruption."""
    config = quick.model_copy(update={"home": str(tmp_path_factory.mktemp("uninterrupted"))})
    return *run(config, dataset), config


UninterruptedRun = tuple[TrainSummary, RunFolder, RecordingObserver, TrainConfig]


@pytest.fixture
def copied(uninterrupted: UninterruptedRun, tmp_path: Path) -> RunFolder:
    """A copy of the folder of the uninterrupted run."""
    folder = RunFolder(tmp_path, JobKind.TRAIN, "run")
    shutil.copytree(uninterrupted[1].path, folder.path)
    return folder


def test_run_lowers_the_validation_loss_and_saves_both_models(
    uninterrupted: UninterruptedRun, dataset: Dataset
) -> None:
    summary, folder, observer, config = uninterrupted
    assert (summary.step, summary.stopped, summary.snapshot) == (6, False, 1)
    assert summary.last_validation_loss < summary.first_validation_loss
    assert sorted(observer.values["validation_loss"]) == [0, 3, 6]
    examples = validation_examples(config, dataset, dataset.get_snapshot())
    assert summary.pipeline is not None
    for path, loss in (
        (summary.untrained, summary.first_validation_loss),
        (summary.pipeline, summary.last_validation_loss),
    ):
        pipeline = ArgusPipeline.from_pretrained(path)
        assert validation_loss(pipeline, examples) == pytest.approx(loss, rel=1e-5)
        assert pipeline.settings.provenance["snapshot_digest"] == dataset.get_snapshot().digest
    progress = folder.read_progress()
    assert progress is not None
    assert (progress.step, progress.total, progress.unit) == (6, 6, "step")


def test_images_show_input_generated_and_truth(uninterrupted: UninterruptedRun) -> None:
    (step, image), *others = uninterrupted[2].images
    assert not others
    assert step == 6
    assert (image.shape, image.dtype) == ((2 * 32, 3 * 64, 3), np.uint8)


def test_resuming_equals_continuing(
    uninterrupted: UninterruptedRun, configure: Configure, dataset: Dataset
) -> None:
    config = configure()
    first, folder, _ = run(config, dataset, stop_at=3)
    assert first.stopped
    assert first.pipeline is None
    assert not (folder.path / "pipeline").exists()
    assert first.step < 6
    second, folder, _ = run(config, dataset)
    assert (second.step, second.stopped) == (6, False)
    assert second.last_validation_loss == uninterrupted[0].last_validation_loss
    assert second.first_validation_loss == uninterrupted[0].first_validation_loss
    assert LossLog(folder.path).read() == LossLog(uninterrupted[1].path).read()
    once = weights(uninterrupted[1])
    assert all(torch.equal(once[name], weight) for name, weight in weights(folder).items())


def test_killed_run_repeats_the_steps_since_the_checkpoint(
    uninterrupted: UninterruptedRun, copied: RunFolder, configure: Configure, dataset: Dataset
) -> None:
    shutil.rmtree(copied.checkpoints / "step-000006")
    shutil.rmtree(copied.path / "pipeline")
    with LossLog(copied.path).path.open("a") as file:
        file.write('{"step": 7, "lo')  # killed while writing a line
    summary, folder, _ = run(configure(), dataset)
    assert folder.path == copied.path
    assert summary.last_validation_loss == uninterrupted[0].last_validation_loss
    assert [line["step"] for line in LossLog(folder.path).read()] == [1, 2, 3, 4, 5, 6]
    assert LossLog(folder.path).read() == LossLog(uninterrupted[1].path).read()


def test_damaged_checkpoint_is_skipped_with_a_warning(
    copied: RunFolder, configure: Configure, dataset: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = copied.checkpoints / "step-000006" / "ema.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    summary, _, observer = run(configure(), dataset)
    assert "step-000006" in caplog.text
    assert "ema.safetensors" in caplog.text
    assert sorted(observer.values["validation_loss"]) == [6]
    assert read_checkpoint(copied.checkpoints / "step-000006").step == summary.step == 6


def test_sample_order_is_a_function_of_the_seed(
    uninterrupted: UninterruptedRun, dataset: Dataset
) -> None:
    _, folder, _, config = uninterrupted
    data = TrainingData.of(config, dataset, dataset.get_snapshot())
    lines = LossLog(folder.path).read()
    for step in range(6):
        indices = [
            sample.index for sample in select_global_batch(step, batch=2, size=5, seed=config.seed)
        ]
        assert [str(name).split("#")[0] for name in lines[step]["samples"]] == [
            data.rows[index].clip_id for index in indices
        ]


def test_resumed_run_keeps_its_snapshot(
    configure: Configure, tmp_path: Path, write_dataset: Callable[..., Dataset]
) -> None:
    dataset = write_dataset(tmp_path / "growing", [Split.TRAIN, Split.TRAIN, Split.VAL])
    config = configure(validation_clips=1, steps=2, sample_every=9)
    first, _, _ = run(config, dataset, stop_at=0)
    assert first.stopped
    write_dataset(tmp_path / "growing", [Split.TRAIN] * 2, first=10)
    assert len(dataset.list_snapshots()) == 2
    second, _, _ = run(config, dataset)
    assert (first.snapshot, second.snapshot) == (1, 1)


def test_finished_run_resumes_with_more_steps_but_not_with_another_configuration(
    copied: RunFolder, configure: Configure, dataset: Dataset
) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(configure(seed=3), dataset)
    assert "config_digest" in str(caught.value)
    summary, _, _ = run(configure(), dataset)
    assert (summary.step, summary.seconds_per_step) == (6, None)
    longer, _, _ = run(configure(steps=7), dataset)
    assert longer.step == 7
    assert longer.seconds_per_step is not None


def test_split_without_usable_clips_is_refused(
    configure: Configure, tmp_path: Path, write_dataset: Callable[..., Dataset]
) -> None:
    dataset = write_dataset(tmp_path / "d", [Split.TRAIN])
    with pytest.raises(InvalidInput) as caught:
        run(configure(), dataset)
    assert "'val'" in str(caught.value)
    with pytest.raises(InvalidInput) as caught:
        run(configure(min_quality=0.9, run_id="other"), dataset)
    assert "'train'" in str(caught.value)


def test_non_finite_loss_ends_the_run(configure: Configure, dataset: Dataset) -> None:
    config = configure(optim={"lr": 1e30, "warmup": 0, "ema": 0.0}, validate_every=100)
    with pytest.raises(ArgusError) as caught:
        run(config, dataset)
    assert type(caught.value) is ArgusError
    assert not list((RunFolder.of(config, JobKind.TRAIN).path).glob("checkpoints/step-*"))


@pytest.mark.parametrize("kind", ["context", "unseen"])
def test_context_and_unseen_examples_train(
    configure: Configure, dataset: Dataset, kind: str
) -> None:
    config = configure(
        condition={kind: 1.0}, steps=1, validate_every=1, checkpoint_every=1, sample_every=9
    )
    summary, _, _ = run(config, dataset)
    assert summary.step == 1


@pytest.mark.slow
def test_two_workers_train_as_one(
    uninterrupted: UninterruptedRun, tmp_path: Path, dataset: Dataset
) -> None:
    config = uninterrupted[3].model_copy(update={"home": str(tmp_path), "workers": 2})
    path = tmp_path / "config.json"
    path.write_text(config.model_dump_json())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).parent / "gloo_worker.py"
    workers = []
    for rank in range(2):
        environ = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "WORLD_SIZE": "2",
            "OMP_NUM_THREADS": "1",
        }
        workers.append(
            subprocess.Popen(
                [sys.executable, str(script), str(path), dataset.store.uri], env=environ
            )
        )
    try:
        assert [worker.wait(timeout=240) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
    folder = RunFolder.of(config, JobKind.TRAIN)
    ours, theirs = LossLog(folder.path).read(), LossLog(uninterrupted[1].path).read()
    assert [line["samples"] for line in ours] == [line["samples"] for line in theirs]
    assert [line["loss"] for line in ours] == pytest.approx(
        [line["loss"] for line in theirs], rel=1e-3
    )
    last = json.loads((folder.checkpoints / "step-000006" / "state.json").read_text())[
        "validation"
    ][-1]["loss"]
    assert last == pytest.approx(uninterrupted[0].last_validation_loss, rel=1e-3)
