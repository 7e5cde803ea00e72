"""The training loop: plumbing between data, step, average, checkpoints and observer. Runs alone or as one of several workers."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from argus.dataset import Dataset
from argus.diffusion.conditioning import Example, make_batch
from argus.diffusion.loss import height_weight
from argus.errors import ArgusError
from argus.runs import RunFolder
from argus.train import history
from argus.train.checkpoint import LossPoint, load_checkpoint, save_checkpoint
from argus.train.data import TrainingData, validation_examples
from argus.train.distributed import DistributedContext
from argus.train.ema import Ema
from argus.train.observer import NullObserver, Observer
from argus.train.setup import PIPELINE, UNTRAINED, TrainSetup, begin, provenance
from argus.train.step import batch_loss, learning_rate, make_optimizer, optimise
from argus.train.validation import sample_picture, validation_loss
from schemas.config import TrainConfig

REPORT_EVERY = 10
PICTURE_ROWS = 3


@dataclass(frozen=True)
class TrainSummary:
    """How a run ended. `pipeline` is None when it was stopped before its last step."""

    step: int
    stopped: bool
    first_validation_loss: float
    last_validation_loss: float
    untrained: Path
    pipeline: Path | None
    snapshot: int
    snapshot_digest: str
    seconds_per_step: float | None  # None when no step was left to do


def train(
    config: TrainConfig,
    folder: RunFolder,
    dataset: Dataset,
    *,
    world: DistributedContext | None = None,
    observer: Observer | None = None,
) -> TrainSummary:
    """Trains to `config.steps`, from the newest whole checkpoint of the run folder where there is one.

    Every worker calls it; rank 0 writes and observes. A stop request makes all leave after a checkpoint.
    Raises InvalidInput for data or models that cannot be used, ArgusError when the loss is no longer finite.
    """
    world = world or DistributedContext()
    if world.device.type == "cpu" and world.size > 1:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // world.size))
    run = _Run(config, folder, dataset, world, observer or NullObserver())
    stopped = run.steps()
    return run.finish(stopped)


class _Run:
    """One worker's part of a run."""

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        dataset: Dataset,
        world: DistributedContext,
        observer: Observer,
    ) -> None:
        self.config, self.folder, self.world, self.observer = config, folder, world, observer
        folder.path.mkdir(parents=True, exist_ok=True)
        start = begin(config, folder, dataset, world)
        self.pipeline, self.state = start.pipeline, start.state
        self.data = TrainingData.of(config, dataset, start.snapshot)
        self.held_out: list[Example] = validation_examples(config, dataset, start.snapshot)
        self.unet: nn.Module = self.pipeline.unet
        self.unet.train()
        self.optimizer = make_optimizer(self.unet, config.optim, world.device)
        self.ema = Ema(self.unet, config.optim.ema)
        self.rows = height_weight(
            config.height_weight, config.model.height // self.pipeline.latents.factor
        ).to(world.device)
        self._resume(start)
        self.denoiser = self._distributed(self.pipeline.denoiser)
        self.pace: list[float] = []
        self.recent: list[float] = []

    def steps(self) -> bool:
        """All remaining steps; True when stopped before the last."""
        if not self.state.validation:
            self._validate()
        done, total = self.state.step, self.config.steps
        self._tell("training")
        for examples in self.data.ahead(range(done, total), self.world.rank, self.world.size):
            stop = self._step(examples)
            step = self.state.step
            last = step == total
            if last or step % self.config.validate_every == 0:
                self._validate()
            if last or step % self.config.sample_every == 0:
                self._picture()
            if last or stop or step % self.config.checkpoint_every == 0:
                self._save()
            if stop and not last:
                self._tell("stopped")
                return True
        return False

    def finish(self, stopped: bool) -> TrainSummary:
        """Exports the averaged model, unless stopped, and sums up."""
        pipeline = None if stopped else self.folder.path / PIPELINE
        if pipeline and self.world.first:
            with self.ema.applied(self.unet):
                self.pipeline.with_provenance(
                    **provenance(self.config, self.state)
                ).save_pretrained(pipeline)
            self._tell("done")
        self.world.barrier()
        losses = self.state.validation
        return TrainSummary(
            step=self.state.step,
            stopped=stopped,
            first_validation_loss=losses[0].loss,
            last_validation_loss=losses[-1].loss,
            untrained=self.folder.path / UNTRAINED,
            pipeline=pipeline,
            snapshot=self.state.snapshot,
            snapshot_digest=self.state.snapshot_digest,
            seconds_per_step=sorted(self.pace)[len(self.pace) // 2] if self.pace else None,
        )

    def _resume(self, start: TrainSetup) -> None:
        if start.checkpoint:
            load_checkpoint(start.checkpoint, self.unet, self.ema, self.optimizer)
        if self.world.first:
            history.truncate(self.folder.path, self.state.step)

    def _distributed(self, module: nn.Module) -> nn.Module:
        if self.world.size == 1:
            return module
        devices = [self.world.device.index or 0] if self.world.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(
            module, device_ids=devices, gradient_as_bucket_view=True
        )

    def _step(self, examples: list[Example]) -> bool:
        """One step; True when rank 0 was asked to stop."""
        began, step = time.perf_counter(), self.state.step
        batch = make_batch(self.pipeline, examples, self.config.noise, step)
        loss = batch_loss(self.denoiser, batch, self.rows)
        norm = optimise(self.optimizer, self.unet, loss, self.config.optim, step)
        self.ema.update(self.unet, step + 1)
        total, asked = self.world.summed(
            loss.item(), float(self.world.first and self.folder.is_stop_requested)
        )
        mean = total / self.world.size
        if mean != mean or mean in (float("inf"), float("-inf")):
            raise ArgusError(
                f"the loss is {mean} at step {step + 1}; the last checkpoint is sound: use a lower learning rate or a narrower sigma"
            )
        self.state = self.state.model_copy(update={"step": step + 1})
        self.pace.append(time.perf_counter() - began)
        self._record(step, mean, norm)
        return asked > 0

    def _record(self, step: int, loss: float, norm: float) -> None:
        if not self.world.first:
            return
        history.append(self.folder.path, step + 1, loss, self.data.names(step))
        self.recent.append(loss)
        if (step + 1) % REPORT_EVERY == 0 or step + 1 == self.config.steps:
            values = {
                "loss": sum(self.recent) / len(self.recent),
                "learning_rate": learning_rate(self.config.optim, step),
                "gradient_norm": norm,
            }
            self.observer.metrics(step + 1, {**values, "seconds_per_step": self.pace[-1]})
            self._tell(
                f"loss {values['loss']:.3f}, validation {self.state.validation[-1].loss:.3f}"
            )
            self.recent = []

    def _validate(self) -> None:
        with self.ema.applied(self.unet):
            loss = validation_loss(self.pipeline, self.held_out, self.world)
        point = LossPoint(step=self.state.step, loss=loss)
        self.state = self.state.model_copy(update={"validation": (*self.state.validation, point)})
        if self.world.first:
            self.observer.metrics(self.state.step, {"validation_loss": loss})

    def _picture(self) -> None:
        if self.world.first:
            with self.ema.applied(self.unet):
                image = sample_picture(
                    self.pipeline,
                    self.held_out[:PICTURE_ROWS],
                    self.config.sample,
                    self.config.seed,
                )
            self.observer.picture(self.state.step, "input_generated_truth", image)

    def _save(self) -> None:
        if self.world.first:
            save_checkpoint(
                self.folder.checkpoints, self.state, self.unet, self.ema, self.optimizer
            )

    def _tell(self, message: str) -> None:
        if self.world.first:
            self.folder.progress(self.state.step, self.config.steps, "step", message)
