"""Checkpoints: safetensors tensors, state.json, and a SHA-256 manifest written last. Nothing that is loaded can execute code.

`checkpoints/step-NNNNNN/` holds model, average and optimiser; the newest whole one is where a run goes on.
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

MANIFEST = "manifest.json"
STATE = "state.json"
KEPT = 2


class LossPoint(BaseModel):
    """A validation loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int
    loss: float


class TrainState(BaseModel):
    """Where a run stands; with the tensors beside it, all that continuing needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = 1
    step: int
    seed: int
    config_digest: str
    snapshot: int
    snapshot_digest: str
    validation: tuple[LossPoint, ...] = ()


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """AdamW's moments and counts as `{weight}/{moment}`."""
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
    """Puts back what `optimizer_tensors` gave."""
    weights = dict(module.named_parameters())
    for place, value in tensors.items():
        name, _, key = place.rpartition("/")
        weight = weights[name]
        place_of = torch.device("cpu") if key == "step" and not _fused(optimizer) else weight.device
        optimizer.state[weight][key] = value.to(
            place_of, copy=True
        )  # off the mapped file: unaligned memory rounds otherwise


def _fused(optimizer: torch.optim.Optimizer) -> bool:
    return bool(optimizer.param_groups[0].get("fused"))


def save_checkpoint(
    folder: Path, state: TrainState, module: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer
) -> Path:
    """Writes `folder/step-NNNNNN`, whole or not at all, and removes all but the last two."""
    path = folder / f"step-{state.step:06d}"
    if path.exists():
        shutil.rmtree(path)  # a broken one, or of a run that went back
    with replace_atomically(path) as beside:
        beside.mkdir()
        groups: dict[str, Mapping[str, Tensor]] = {
            "model": dict(module.named_parameters()),
            "ema": ema.weights,
        }
        groups["optimizer"] = optimizer_tensors(optimizer, module)
        for name, group in groups.items():
            save_file(
                {key: value.detach().contiguous().cpu() for key, value in group.items()},
                beside / f"{name}.safetensors",
            )
        (beside / STATE).write_text(state.model_dump_json(indent=2), encoding="utf-8")
        sums = {file.name: sha256_file(file) for file in sorted(beside.iterdir())}
        (beside / MANIFEST).write_text(json.dumps(sums, indent=2), encoding="utf-8")
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        shutil.rmtree(old)
    return path


def read_checkpoint(path: Path) -> TrainState:
    """The state of a checkpoint whose every file is as its manifest says. Raises InvalidInput, naming the fault."""
    try:
        sums = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        wrong = [
            name
            for name, digest in sums.items()
            if not (path / name).is_file() or sha256_file(path / name) != digest
        ]
        state = TrainState.model_validate_json((path / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, ValidationError, AttributeError) as error:
        raise InvalidInput(f"checkpoint {path} cannot be read: {error}") from error
    if wrong or STATE not in sums:
        raise InvalidInput(
            f"checkpoint {path} is broken: {', '.join(wrong) or STATE} is not what the manifest says"
        )
    return state


def newest_checkpoint(folder: Path) -> tuple[Path, TrainState] | None:
    """The newest whole checkpoint; broken ones are skipped, aloud."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        try:
            return path, read_checkpoint(path)
        except InvalidInput as error:
            logger.warning("%s; an older one is used, if there is one", error)
    return None


@torch.no_grad()
def load_checkpoint(
    path: Path, module: nn.Module, ema: Ema, optimizer: torch.optim.Optimizer
) -> None:
    """Fills network, average and optimiser."""
    saved = load_file(path / "model.safetensors")
    for name, weight in module.named_parameters():
        weight.copy_(saved[name])
    ema.load(load_file(path / "ema.safetensors"))
    load_optimizer(optimizer, module, load_file(path / "optimizer.safetensors"))
