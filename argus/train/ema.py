"""Exponential moving average (EMA) of the weights."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn


def ema_decay(decay: float, step: int) -> float:
    """Compute the decay after a step (from 1): min(decay, (1 + step)/(10 + step)).

    The average therefore forgets the initial weights quickly.
    """
    return min(decay, (1 + step) / (10 + step))


class Ema:
    """Averaged weights of a network, fp32, on its device.

    Args:
        module: network whose parameters are averaged.
        decay: in [0, 1); with 0 the average equals the weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {
            name: parameter.detach().clone() for name, parameter in module.named_parameters()
        }

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Compute w̄ ← decay·w̄ + (1 − decay)·w after optimizer step `step` (from 1)."""
        weights = dict(module.named_parameters())
        torch._foreach_lerp_(
            list(self.weights.values()),
            [weights[name].detach() for name in self.weights],
            1 - ema_decay(self.decay, step),
        )

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Copy saved averages."""
        for name, average in self.weights.items():
            average.copy_(weights[name])

    @contextlib.contextmanager
    def apply_to(self, module: nn.Module) -> Iterator[None]:
        """Exchange the weights of the network for their averages inside the context."""
        parameters = dict(module.named_parameters())
        own = {name: parameter.data for name, parameter in parameters.items()}
        for name, average in self.weights.items():
            parameters[name].data = average
        try:
            yield
        finally:
            for name, data in own.items():
                parameters[name].data = data
