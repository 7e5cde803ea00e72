"""Checkpoints: safetensors, state.json, and a SHA-256 manifest that is written last.

A folder `checkpoints/step-NNNNNN` holds network, averaged weights and optimizer. A run resumes
from the newest valid one. Nothing that is loaded can execute code.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from argus.errors import InvalidInput
from argus.files import replace_atomically, sha256_file
from argus.train.ema import Ema

logger = logging.getLogger(__name__)

MANIFEST_FILE = "manifest.json"
STATE_FILE = "state.json"
MAX_CHECKPOINTS = 2


class LossPoint(BaseModel):
    """Validation loss after a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    loss: float


class TrainState(BaseModel):
    """Progress and identity of a run, stored as state.json. Unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    step: int
    seed: int
    config_digest: str
    snapshot: int
    snapshot_digest: str
    validation: tuple[LossPoint, ...] = ()


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """Return the moments and step counts of AdamW by name, `{weight}/{moment}`."""
    moments: dict[Any, dict[str, Tensor]] = dict(optimizer.state)
    return {
        f"{name}/{key}": value
        for name, weight in module.named_parameters()
        if weight in moments
        for key, value in moments[weight].items()
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer, module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Load the tensors of `optimizer_tensors` into an optimizer."""
    weights = dict(module.named_parameters())
    is_fused = bool(optimizer.param_groups[0].get("fused"))
    for path, value in tensors.items():
        name, _, key = path.rpartition("/")
        weight = weights[name]
        device = torch.device("cpu") if key == "step" and not is_fused else weight.device
        # Copy: the memory-mapped file is unaligned, which changes the rounding of sums.
        optimizer.state[weight][key] = value.to(device, copy=True)


def save_checkpoint(
    folder: Path, state: TrainState, module: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer
) -> Path:
    """Write a checkpoint, or nothing, and remove all but the newest two.

    Args:
        folder: folder of the run's checkpoints.
        state: progress of the run.
        module: network.
        ema: averaged weights.
        optimizer: AdamW.

    Returns:
        `folder/step-NNNNNN`.
    """
    path = folder / f"step-{state.step:06d}"
    if path.exists():
        shutil.rmtree(path)  # a damaged one, or one of a run that went back
    groups: dict[str, Mapping[str, Tensor]] = {
        "model": dict(module.named_parameters()),
        "ema": ema.weights,
        "optimizer": optimizer_tensors(optimizer, module),
    }
    with replace_atomically(path) as partial:
        partial.mkdir()
        for name, group in groups.items():
            tensors = {key: value.detach().contiguous().cpu() for key, value in group.items()}
            save_file(tensors, partial / f"{name}.safetensors")
        (partial / STATE_FILE).write_text(state.model_dump_json(indent=2), encoding="utf-8")
        digests = {file.name: sha256_file(file) for file in sorted(partial.iterdir())}
        (partial / MANIFEST_FILE).write_text(json.dumps(digests, indent=2), encoding="utf-8")
    for old in sorted(folder.glob("step-*"))[:-MAX_CHECKPOINTS]:
        shutil.rmtree(old)
    return path


def read_checkpoint(path: Path) -> TrainState:
    """Read the state of a checkpoint after checking every file against the manifest.

    Raises:
        InvalidInput: naming the file that is missing or damaged.
    """
    try:
        digests = json.loads((path / MANIFEST_FILE).read_text(encoding="utf-8"))
        damaged = [
            name
            for name, digest in digests.items()
            if not (path / name).is_file() or sha256_file(path / name) != digest
        ]
        state = TrainState.model_validate_json((path / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError, AttributeError) as error:
        raise InvalidInput(f"checkpoint {path} cannot be read: {error}") from error
    if damaged or STATE_FILE not in digests:
        names = ", ".join(damaged) or STATE_FILE
        raise InvalidInput(f"checkpoint {path} is damaged: {names} does not match the manifest")
    return state


def newest_checkpoint(folder: Path) -> tuple[Path, TrainState] | None:
    """Return the newest valid checkpoint and its state; log a warning for each damaged one."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return path, read_checkpoint(path)
        except InvalidInput as error:
            logger.warning("%s; falling back to an older checkpoint", error)
    return None


@torch.no_grad()
def load_checkpoint(
    path: Path, module: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer
) -> None:
    """Load network, averaged weights and optimizer from a checkpoint."""
    saved = load_file(path / "model.safetensors")
    for name, weight in module.named_parameters():
        weight.copy_(saved[name])
    ema.load(load_file(path / "ema.safetensors"))
    load_optimizer(optimizer, module, load_file(path / "optimizer.safetensors"))
