"""Start of a run: its snapshot, its initial model, and the checkpoint that it resumes from."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from argus.dataset import Dataset, Snapshot
from argus.diffusion import (
    SETTINGS_FILE,
    TINY_NAME,
    ArgusPipeline,
    PipelineKind,
    build_pipeline,
    read_settings,
)
from argus.errors import InvalidInput
from argus.runs import RunFolder
from argus.train.checkpoint import TrainState, newest_checkpoint
from argus.train.data import training_statistics
from argus.train.distributed import DistributedContext
from schemas.config import TrainConfig

UNTRAINED_FOLDER = "untrained"
PIPELINE_FOLDER = "pipeline"
IDENTITY_FIELDS = {
    "model",
    "noise",
    "condition",
    "optim",
    "height_weight",
    "min_quality",
    "high_quality",
    "batch",
    "seed",
}
"""Fields of TrainConfig that must not change when a run resumes."""


@dataclass(frozen=True)
class TrainSetup:
    """Start of a run, the same on every worker."""

    pipeline: ArgusPipeline  # untrained, fp32, on the device of the worker
    snapshot: Snapshot
    checkpoint: Path | None
    state: TrainState


def training_digest(config: TrainConfig) -> str:
    """Return 12 hexadecimal digits that identify the configuration of a training.

    Everything counts that shapes the weights, except the data and the number of steps.
    """
    text = config.model_dump_json(include=IDENTITY_FIELDS)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def prepare_training(
    config: TrainConfig, folder: RunFolder, dataset: Dataset, distributed: DistributedContext
) -> TrainSetup:
    """Choose snapshot and checkpoint, and load the initial model.

    Rank 0 chooses and writes the untrained pipeline. Every worker reads it, so all start with
    equal weights.

    Args:
        config: configuration of the run.
        folder: run folder, on storage that all workers share.
        dataset: dataset of the run.
        distributed: position of this worker.

    Raises:
        InvalidInput: model or data cannot be used, or the checkpoint belongs to another
            configuration, seed or snapshot.
    """
    found = newest_checkpoint(folder.checkpoints) if distributed.is_main else None
    step = distributed.broadcast(found[1].step if found else 0)
    version = (
        _choose_snapshot(config, folder, dataset, found[1] if found else None)
        if distributed.is_main
        else 0
    )
    snapshot = dataset.get_snapshot(distributed.broadcast(version))
    untrained = folder.path / UNTRAINED_FOLDER
    if distributed.is_main and not (untrained / SETTINGS_FILE).exists():
        _write_untrained(config, dataset, snapshot, untrained)
    distributed.barrier()
    pipeline = ArgusPipeline.from_pretrained(untrained).to(distributed.device)
    if pipeline.settings.kind == PipelineKind.SVD:
        pipeline.unet.enable_gradient_checkpointing()
    initial = _initial_state(config, snapshot)
    if step == 0:
        return TrainSetup(pipeline, snapshot, None, initial)
    checkpoint, state = found or _find_checkpoint(folder, step)
    _check_same_run(checkpoint, state, initial)
    return TrainSetup(pipeline, snapshot, checkpoint, state)


def provenance(config: TrainConfig, state: TrainState) -> dict[str, str | int]:
    """Return the facts on its training that a saved pipeline records."""
    return {
        "run_id": config.run_id or "",
        "step": state.step,
        "seed": state.seed,
        "config_digest": state.config_digest,
        "snapshot": state.snapshot,
        "snapshot_digest": state.snapshot_digest,
    }


def recorded_snapshot(folder: RunFolder) -> int | None:
    """Return the snapshot version that a run started with; None if it has not started."""
    settings = read_settings(folder.path / UNTRAINED_FOLDER)
    return int(settings.provenance["snapshot"] or 0) if settings else None


def _choose_snapshot(
    config: TrainConfig, folder: RunFolder, dataset: Dataset, state: TrainState | None
) -> int:
    """Return the version of the snapshot; a resumed run keeps its own, even if newer ones exist."""
    if state:
        return state.snapshot
    if config.snapshot is not None:
        return config.snapshot
    recorded = recorded_snapshot(folder)
    return dataset.get_snapshot().version if recorded is None else recorded


def _initial_state(config: TrainConfig, snapshot: Snapshot) -> TrainState:
    return TrainState(
        step=0,
        seed=config.seed,
        config_digest=training_digest(config),
        snapshot=snapshot.version,
        snapshot_digest=snapshot.digest,
    )


def _write_untrained(
    config: TrainConfig, dataset: Dataset, snapshot: Snapshot, folder: Path
) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    is_tiny = config.model.name == TINY_NAME
    statistics = training_statistics(config, dataset, snapshot) if is_tiny else None
    pipeline = build_pipeline(config.model, statistics=statistics, seed=config.seed)
    pipeline.settings = pipeline.settings.model_copy(update={"sample": config.sample})
    facts = provenance(config, _initial_state(config, snapshot))
    pipeline.with_provenance(**facts).save_pretrained(folder)


def _find_checkpoint(folder: RunFolder, step: int) -> tuple[Path, TrainState]:
    found = newest_checkpoint(folder.checkpoints)
    if found is None or found[1].step != step:
        raise InvalidInput(
            f"workers find different checkpoints in {folder.checkpoints}; "
            "put the run folder on storage that all workers share"
        )
    return found


def _check_same_run(checkpoint: Path, state: TrainState, initial: TrainState) -> None:
    for name in ("config_digest", "seed", "snapshot_digest"):
        stored, own = getattr(state, name), getattr(initial, name)
        if stored != own:
            raise InvalidInput(
                f"{checkpoint} was trained with {name} {stored}, but this run has {own}; "
                "choose another run_id to start a new run"
            )
