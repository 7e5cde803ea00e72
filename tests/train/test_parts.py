"""EMA, optimizer step, checkpoints and distributed context."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from argus.errors import InvalidInput
from argus.train.checkpoint import (
    TrainState,
    load_checkpoint,
    newest_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from argus.train.distributed import DistributedContext
from argus.train.ema import Ema, ema_decay
from argus.train.step import learning_rate, make_optimizer, optimizer_step
from schemas.config import OptimSettings

CPU = torch.device("cpu")


def state(step: int) -> TrainState:
    return TrainState(step=step, seed=0, config_digest="c", snapshot=1, snapshot_digest="s")


@pytest.fixture
def network() -> Callable[[], nn.Linear]:
    def make() -> nn.Linear:
        torch.manual_seed(0)
        return nn.Linear(3, 2)

    return make


def test_ema_moves_toward_the_weights_and_is_applied_temporarily(
    network: Callable[[], nn.Linear],
) -> None:
    layer = network()
    ema = Ema(layer, 0.5)
    before = layer.weight.detach().clone()
    with torch.no_grad():
        layer.weight.add_(1)
    ema.update(layer, step=100)
    torch.testing.assert_close(ema.weights["weight"], before + 0.5)
    with ema.apply_to(layer):
        torch.testing.assert_close(layer.weight.detach(), before + 0.5)
    torch.testing.assert_close(layer.weight.detach(), before + 1)


def test_ema_decay_grows_with_steps_and_zero_copies_the_weights(
    network: Callable[[], nn.Linear],
) -> None:
    assert [ema_decay(0.999, step) for step in (1, 90)] == [2 / 11, 0.91]
    assert ema_decay(0.999, 10**6) == 0.999
    layer = network()
    ema = Ema(layer, 0.0)
    with torch.no_grad():
        layer.weight.mul_(2)
    ema.update(layer, step=1)
    assert torch.equal(ema.weights["weight"], layer.weight)


def test_learning_rate_warms_up_and_gradient_is_clipped(network: Callable[[], nn.Linear]) -> None:
    settings = OptimSettings(lr=0.1, warmup=4, clip_norm=1e-3)
    assert [learning_rate(settings, step) for step in (0, 1, 3, 50)] == pytest.approx(
        [0.025, 0.05, 0.1, 0.1]
    )
    layer = network()
    norm = optimizer_step(
        make_optimizer(layer, settings, CPU),
        layer,
        100 * layer(torch.ones(1, 3)).square().sum(),
        settings,
        0,
    )
    assert norm > 1
    assert (
        torch.cat(
            [weight.grad.flatten() for weight in layer.parameters() if weight.grad is not None]
        ).norm()
        <= 1.001e-3
    )


def test_checkpoint_restores_network_ema_and_optimizer(
    network: Callable[[], nn.Linear], tmp_path: Path
) -> None:
    settings = OptimSettings()

    def take_steps(
        layer: nn.Linear, optimizer: torch.optim.Optimizer, ema: Ema, steps: range
    ) -> list[torch.Tensor]:
        for step in steps:
            optimizer_step(
                optimizer,
                layer,
                layer(torch.full((1, 3), float(step + 1))).square().sum(),
                settings,
                step,
            )
            ema.update(layer, step + 1)
        return [layer.weight.detach().clone(), ema.weights["bias"].clone()]

    layer = network()
    optimizer, ema = make_optimizer(layer, settings, CPU), Ema(layer, 0.9)
    take_steps(layer, optimizer, ema, range(3))
    path = save_checkpoint(tmp_path, state(3), layer, ema, optimizer)
    truth = take_steps(layer, optimizer, ema, range(3, 6))

    again = nn.Linear(3, 2)
    optimizer, ema = make_optimizer(again, settings, CPU), Ema(again, 0.9)
    assert read_checkpoint(path) == state(3)
    load_checkpoint(path, again, ema, optimizer)
    assert all(
        torch.equal(one, other)
        for one, other in zip(truth, take_steps(again, optimizer, ema, range(3, 6)), strict=True)
    )
    assert {file.suffix for file in path.iterdir()} == {".json", ".safetensors"}


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"]
)
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damaged_checkpoint_is_refused_and_the_previous_one_is_used(
    network: Callable[[], nn.Linear], tmp_path: Path, name: str, damage: str
) -> None:
    layer = network()
    optimizer, ema = make_optimizer(layer, OptimSettings(), CPU), Ema(layer, 0.9)
    for step in (1, 2):
        path = save_checkpoint(tmp_path, state(step), layer, ema, optimizer)
    file = path / name
    file.write_bytes(file.read_bytes()[:-3]) if damage == "cut" else file.unlink()
    with pytest.raises(InvalidInput) as caught:
        read_checkpoint(path)
    assert "step-000002" in str(caught.value)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found[1].step == 1


def test_last_two_checkpoints_are_kept(network: Callable[[], nn.Linear], tmp_path: Path) -> None:
    layer = network()
    optimizer, ema = make_optimizer(layer, OptimSettings(), CPU), Ema(layer, 0.9)
    for step in (1, 2, 10, 11):
        save_checkpoint(tmp_path, state(step), layer, ema, optimizer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000010", "step-000011"]
    assert newest_checkpoint(tmp_path / "absent") is None


def test_state_json_with_an_unknown_field_is_refused(
    network: Callable[[], nn.Linear], tmp_path: Path
) -> None:
    layer = network()
    optimizer, ema = make_optimizer(layer, OptimSettings(), CPU), Ema(layer, 0.9)
    path = save_checkpoint(tmp_path, state(1), layer, ema, optimizer)
    stored = json.loads((path / "state.json").read_text())
    assert set(stored) == {
        "version",
        "step",
        "seed",
        "config_digest",
        "snapshot",
        "snapshot_digest",
        "validation",
    }
    (path / "state.json").write_text(json.dumps({**stored, "color": "red"}))
    with pytest.raises(InvalidInput) as caught:
        read_checkpoint(path)
    assert "color" in str(caught.value)


def test_rank_outside_the_group_is_refused_and_one_worker_needs_no_group() -> None:
    for rank in (0, 2):
        with pytest.raises(ValueError, match="2"):
            DistributedContext(rank=rank, size=2)
    alone = DistributedContext()
    assert alone.is_main
    assert alone.all_reduce_sum(1.5, 2) == [1.5, 2]
    assert alone.broadcast(7) == 7
