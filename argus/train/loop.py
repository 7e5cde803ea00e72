"""Training loop: connects data, optimizer step, EMA, checkpoints and observer."""

import math
import os
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from argus.dataset import Dataset
from argus.diffusion import Example, height_weight, make_batch
from argus.errors import ArgusError
from argus.runs import RunFolder
from argus.train.checkpoint import LossPoint, load_checkpoint, save_checkpoint
from argus.train.data import TrainingData, validation_examples
from argus.train.distributed import DistributedContext
from argus.train.ema import Ema
from argus.train.observer import LossLog, NullObserver, Observer
from argus.train.setup import (
    PIPELINE_FOLDER,
    UNTRAINED_FOLDER,
    TrainSetup,
    prepare_training,
    provenance,
)
from argus.train.step import batch_loss, learning_rate, make_optimizer, optimizer_step
from argus.train.validation import sample_image, validation_loss
from schemas.config import TrainConfig

REPORT_EVERY = 10
IMAGE_ROWS = 3


@dataclass(frozen=True)
class TrainSummary:
    """Outcome of a run, stored as JSON."""

    step: int
    stopped: bool
    first_validation_loss: float
    last_validation_loss: float
    untrained: Path
    pipeline: Path | None  # None if the run was stopped before its last step
    snapshot: int
    snapshot_digest: str
    seconds_per_step: float | None  # median; None if no step was left to do


def train(
    config: TrainConfig,
    folder: RunFolder,
    dataset: Dataset,
    *,
    distributed: DistributedContext | None = None,
    observer: Observer | None = None,
) -> TrainSummary:
    """Train to `config.steps`, resuming from the newest valid checkpoint of the run folder.

    Every worker calls this function. Rank 0 writes files and calls the observer. After a stop
    request all workers leave with a checkpoint.

    Args:
        config: configuration of the run.
        folder: run folder, on storage that all workers share.
        dataset: dataset of the run.
        distributed: position of this worker; by default the only one, on the CPU.
        observer: receiver of metrics and images.

    Raises:
        InvalidInput: data or model cannot be used.
        ArgusError: the loss is not finite.
    """
    distributed = distributed or DistributedContext()
    if distributed.device.type == "cpu" and distributed.size > 1:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // distributed.size))
    run = _TrainingRun(config, folder, dataset, distributed, observer or NullObserver())
    stopped = run.run_steps()
    return run.finish(stopped)


class _TrainingRun:
    """State of one worker of a run."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        dataset: Dataset,
        distributed: DistributedContext,
        observer: Observer,
    ) -> None:
        self.config, self.folder, self.observer = config, folder, observer
        self.distributed = distributed
        folder.path.mkdir(parents=True, exist_ok=True)
        self.loss_log = LossLog(folder.path)
        self._announce("loading the model")
        setup = prepare_training(config, folder, dataset, distributed)
        self.pipeline, self.state = setup.pipeline, setup.state
        self.data = TrainingData.of(config, dataset, setup.snapshot)
        self._announce("loading validation clips")
        self.validation: list[Example] = validation_examples(config, dataset, setup.snapshot)
        self.unet: nn.Module = self.pipeline.unet
        self.unet.train()
        self.optimizer = make_optimizer(self.unet, config.optim, distributed.device)
        self.ema = Ema(self.unet, config.optim.ema)
        latent_height = config.model.height // self.pipeline.latents.factor
        self.row_weight = height_weight(config.height_weight, latent_height).to(distributed.device)
        self._resume(setup)
        self.denoiser = self._wrap_distributed(self.pipeline.denoiser)
        self.step_times: list[float] = []
        self.recent_losses: list[float] = []

    def run_steps(self) -> bool:
        """Run the remaining steps; return True if a stop request ended the run early."""
        if not self.state.validation:
            self._announce("computing the first validation loss")
            self._validate()
        first, total = self.state.step, self.config.steps
        self._report_progress("training")
        steps = self.data.iterate(range(first, total), self.distributed.rank, self.distributed.size)
        for examples in steps:
            is_stopping = self._train_step(examples)
            step = self.state.step
            is_last = step == total
            if is_last or step % self.config.validate_every == 0:
                self._validate()
            if is_last or step % self.config.sample_every == 0:
                self._log_image()
            if is_last or is_stopping or step % self.config.checkpoint_every == 0:
                self._save()
            if is_stopping and not is_last:
                self._report_progress("stopped")
                return True
        return False

    def finish(self, stopped: bool) -> TrainSummary:
        """Save the averaged model, unless the run was stopped, and return the summary."""
        pipeline = None if stopped else self.folder.path / PIPELINE_FOLDER
        if pipeline and self.distributed.is_main:
            facts = provenance(self.config, self.state)
            with self.ema.apply_to(self.unet):
                self.pipeline.with_provenance(**facts).save_pretrained(pipeline)
            self._report_progress("done")
        self.distributed.barrier()
        losses = self.state.validation
        return TrainSummary(
            step=self.state.step,
            stopped=stopped,
            first_validation_loss=losses[0].loss,
            last_validation_loss=losses[-1].loss,
            untrained=self.folder.path / UNTRAINED_FOLDER,
            pipeline=pipeline,
            snapshot=self.state.snapshot,
            snapshot_digest=self.state.snapshot_digest,
            seconds_per_step=(statistics.median_high(self.step_times) if self.step_times else None),
        )

    def _resume(self, setup: TrainSetup) -> None:
        if setup.checkpoint:
            load_checkpoint(setup.checkpoint, self.unet, self.ema, self.optimizer)
        if self.distributed.is_main:
            self.loss_log.truncate(self.state.step)

    def _wrap_distributed(self, module: nn.Module) -> nn.Module:
        if self.distributed.size == 1:
            return module
        device = self.distributed.device
        return nn.parallel.DistributedDataParallel(
            module,
            device_ids=[device.index or 0] if device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )

    def _train_step(self, examples: list[Example]) -> bool:
        """Run one step; return True if the run is asked to stop."""
        started, step = time.perf_counter(), self.state.step
        batch = make_batch(self.pipeline, examples, self.config.noise, step)
        loss = batch_loss(self.denoiser, batch, self.row_weight)
        norm = optimizer_step(self.optimizer, self.unet, loss, self.config.optim, step)
        self.ema.update(self.unet, step + 1)
        is_stop_requested = self.distributed.is_main and self.folder.is_stop_requested
        total, stop = self.distributed.all_reduce_sum(loss.item(), float(is_stop_requested))
        mean = total / self.distributed.size
        if not math.isfinite(mean):
            raise ArgusError(
                f"the loss is {mean} at step {step + 1}; the last checkpoint is valid: "
                "use a lower learning rate or a narrower distribution of sigma"
            )
        self.state = self.state.model_copy(update={"step": step + 1})
        self.step_times.append(time.perf_counter() - started)
        self._record(step, mean, norm)
        return stop > 0

    def _record(self, step: int, loss: float, gradient_norm: float) -> None:
        if not self.distributed.is_main:
            return
        self.loss_log.append(step + 1, loss, self.data.sample_names(step))
        self.recent_losses.append(loss)
        if (step + 1) % REPORT_EVERY and step + 1 != self.config.steps:
            return
        mean = sum(self.recent_losses) / len(self.recent_losses)
        self.recent_losses = []
        values: Mapping[str, float] = {
            "loss": mean,
            "learning_rate": learning_rate(self.config.optim, step),
            "gradient_norm": gradient_norm,
            "seconds_per_step": self.step_times[-1],
        }
        self.observer.log_metrics(step + 1, values)
        self._report_progress(f"loss {mean:.3f}, validation {self.state.validation[-1].loss:.3f}")

    def _validate(self) -> None:
        with self.ema.apply_to(self.unet):
            loss = validation_loss(self.pipeline, self.validation, self.distributed)
        point = LossPoint(step=self.state.step, loss=loss)
        self.state = self.state.model_copy(update={"validation": (*self.state.validation, point)})
        if self.distributed.is_main:
            self.observer.log_metrics(self.state.step, {"validation_loss": loss})

    def _log_image(self) -> None:
        if self.distributed.is_main:
            examples = self.validation[:IMAGE_ROWS]
            with self.ema.apply_to(self.unet):
                image = sample_image(self.pipeline, examples, self.config.sample, self.config.seed)
            self.observer.log_image(self.state.step, "input_generated_truth", image)

    def _save(self) -> None:
        if self.distributed.is_main:
            save_checkpoint(
                self.folder.checkpoints, self.state, self.unet, self.ema, self.optimizer
            )

    def _report_progress(self, message: str) -> None:
        if self.distributed.is_main:
            self.folder.progress(self.state.step, self.config.steps, "step", message)

    def _announce(self, phase: str) -> None:
        if self.distributed.is_main:
            self.folder.phase(phase)
