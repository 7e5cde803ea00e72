"""How a run starts, or goes on: the snapshot it is bound to, the model it begins with, the checkpoint it continues from."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from argus.dataset import Dataset, Snapshot
from argus.diffusion.pipeline import TINY, ArgusPipeline, build_pipeline
from argus.diffusion.settings import PipelineKind
from argus.errors import InvalidInput
from argus.runs import RunFolder
from argus.train.checkpoint import TrainState, newest_checkpoint
from argus.train.data import data_statistics
from argus.train.distributed import DistributedContext
from schemas.config import TrainConfig

UNTRAINED = "untrained"
PIPELINE = "pipeline"
SHAPING = {
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


@dataclass(frozen=True)
class TrainSetup:
    """The same on every worker."""

    pipeline: ArgusPipeline  # untrained, fp32, on the worker's device
    snapshot: Snapshot
    checkpoint: Path | None
    state: TrainState


def training_digest(config: TrainConfig) -> str:
    """Twelve hexadecimal digits of everything that shapes the weights but the data and the number of steps."""
    return hashlib.sha256(config.model_dump_json(include=SHAPING).encode()).hexdigest()[:12]


def begin(
    config: TrainConfig, folder: RunFolder, dataset: Dataset, world: DistributedContext
) -> TrainSetup:
    """Rank 0 decides and writes the untrained pipeline; every worker reads it, so that all begin with equal weights."""
    found = newest_checkpoint(folder.checkpoints) if world.first else None
    step = world.told(found[1].step if found else 0)
    snapshot = dataset.snapshot(
        world.told(_snapshot_version(config, folder, dataset, found) if world.first else 0)
    )
    untrained = folder.path / UNTRAINED
    if world.first and not (untrained / "argus.json").exists():
        _write_untrained(config, dataset, snapshot, untrained)
    world.barrier()
    pipeline = ArgusPipeline.from_pretrained(untrained).to(world.device)
    if pipeline.settings.kind == PipelineKind.SVD:
        pipeline.unet.enable_gradient_checkpointing()
    fresh = TrainState(
        step=0,
        seed=config.seed,
        config_digest=training_digest(config),
        snapshot=snapshot.version,
        snapshot_digest=snapshot.digest,
    )
    if step == 0:
        return TrainSetup(pipeline, snapshot, None, fresh)
    checkpoint, state = found or _checkpoint_of(folder, step)
    _check_same_run(checkpoint, state, fresh)
    return TrainSetup(pipeline, snapshot, checkpoint, state)


def provenance(config: TrainConfig, state: TrainState) -> dict[str, str | int]:
    """What a saved pipeline says of its training."""
    return {
        "run_id": config.run_id or "",
        "step": state.step,
        "seed": state.seed,
        "config_digest": state.config_digest,
        "snapshot": state.snapshot,
        "snapshot_digest": state.snapshot_digest,
    }


def _snapshot_version(
    config: TrainConfig, folder: RunFolder, dataset: Dataset, found: tuple[Path, TrainState] | None
) -> int:
    """A run stays with the snapshot that it began with, though newer ones come."""
    if found:
        return found[1].snapshot
    if config.snapshot is not None:
        return config.snapshot
    untrained = folder.path / UNTRAINED
    if (untrained / "argus.json").exists():
        return int(ArgusPipeline.from_pretrained(untrained).settings.provenance["snapshot"] or 0)
    return dataset.snapshot().version


def _write_untrained(
    config: TrainConfig, dataset: Dataset, snapshot: Snapshot, place: Path
) -> None:
    shutil.rmtree(place, ignore_errors=True)
    statistics = data_statistics(config, dataset, snapshot) if config.model.name == TINY else None
    pipeline = build_pipeline(config.model, statistics=statistics, seed=config.seed)
    pipeline.settings = pipeline.settings.model_copy(update={"sample": config.sample})
    state = TrainState(
        step=0,
        seed=config.seed,
        config_digest=training_digest(config),
        snapshot=snapshot.version,
        snapshot_digest=snapshot.digest,
    )
    pipeline.with_provenance(**provenance(config, state)).save_pretrained(place)


def _checkpoint_of(folder: RunFolder, step: int) -> tuple[Path, TrainState]:
    found = newest_checkpoint(folder.checkpoints)
    if found is None or found[1].step != step:
        raise InvalidInput(
            f"workers see different checkpoints in {folder.checkpoints}; a run folder must be on storage that all share"
        )
    return found


def _check_same_run(checkpoint: Path, state: TrainState, fresh: TrainState) -> None:
    for name in ("config_digest", "seed", "snapshot_digest"):
        if getattr(state, name) != getattr(fresh, name):
            before, now = getattr(state, name), getattr(fresh, name)
            raise InvalidInput(
                f"{checkpoint} was trained with {name} {before}, this run has {now}; choose another run_id to start afresh"
            )
