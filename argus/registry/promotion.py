"""Whether a candidate model becomes champion: a pure function of what was measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.config import GatePolicy
from schemas.names import GateDecision

VALIDATION_LOSS = "validation_loss"
UNTRAINED = "untrained."
"""Prefix of a metric that was measured on the untrained model."""

_MUST_BEAT_UNTRAINED = (
    (VALIDATION_LOSS, -1.0),
    ("psnr_all", 1.0),
)  # (metric, +1 when higher is better)


@dataclass(frozen=True)
class Measurement:
    """What was measured of one model, and on which test."""

    metrics: Mapping[str, float]
    """By name: `psnr_all`, `ws_psnr_all`, … and `validation_loss`; `untrained.psnr_all` is the untrained model's."""
    test: str
    """Digest of the test: its clips and how they were sampled. Only figures of the same test are compared."""


@dataclass(frozen=True)
class GateVerdict:
    """What the gate says, with one sentence per reason."""

    decision: GateDecision
    reasons: tuple[str, ...] = field(default=())


def gate(candidate: Measurement, incumbent: Measurement | None, policy: GatePolicy) -> GateVerdict:
    """PROMOTE, HOLD or REJECT.

    A figure that is not finite is a REJECT. With no incumbent the candidate must beat the untrained model in fixed-sigma
    validation loss and in PSNR over all pixels; with one, it must beat the incumbent in `policy.metric` by more than
    `policy.min_gain` on the same test. Anything short of that, a missing figure too, is a HOLD.
    """
    broken = tuple(
        f"{name} is {value}"
        for name, value in sorted(candidate.metrics.items())
        if not math.isfinite(value)
    )
    if broken:
        return GateVerdict(GateDecision.REJECT, broken)
    absent = tuple(
        f"{name} was not measured; evaluate the candidate first"
        for name in _needed(incumbent, policy)
        if name not in candidate.metrics
    )
    if absent:
        return GateVerdict(GateDecision.HOLD, absent)
    if incumbent is None:
        return _against_untrained(candidate.metrics)
    return _against_incumbent(candidate, incumbent, policy)


def _needed(incumbent: Measurement | None, policy: GatePolicy) -> tuple[str, ...]:
    if incumbent is not None:
        return (policy.metric,)
    return tuple(prefix + name for name, _ in _MUST_BEAT_UNTRAINED for prefix in ("", UNTRAINED))


def _against_untrained(metrics: Mapping[str, float]) -> GateVerdict:
    decision, reasons = GateDecision.PROMOTE, ["there is no champion"]
    for name, sign in _MUST_BEAT_UNTRAINED:
        ours, theirs = metrics[name], metrics[UNTRAINED + name]
        won = sign * (ours - theirs) > 0
        reasons.append(
            f"{name} {ours:.4g} {'beats' if won else 'does not beat'} the untrained model's {theirs:.4g}"
        )
        if not won:
            decision = GateDecision.HOLD
    return GateVerdict(decision, tuple(reasons))


def _against_incumbent(
    candidate: Measurement, incumbent: Measurement, policy: GatePolicy
) -> GateVerdict:
    name = policy.metric
    ours, theirs = candidate.metrics[name], incumbent.metrics.get(name, math.nan)
    if candidate.test != incumbent.test:
        reason = f"champion and candidate were measured on different tests ({incumbent.test}, {candidate.test}); evaluate both on one"
    elif not math.isfinite(theirs):
        reason = f"the champion's {name} is {theirs}; evaluate the champion first"
    elif ours - theirs > policy.min_gain:
        return GateVerdict(
            GateDecision.PROMOTE,
            (
                f"{name} {ours:.4g} beats the champion's {theirs:.4g} by more than {policy.min_gain:g}",
            ),
        )
    else:
        reason = f"{name} {ours:.4g} does not beat the champion's {theirs:.4g} by more than {policy.min_gain:g}"
    return GateVerdict(GateDecision.HOLD, (reason,))
