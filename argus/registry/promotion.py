"""The promotion decision: a pure function of measured metrics and a policy."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.config import PromotionPolicy
from schemas.names import PromotionDecision

VALIDATION_LOSS = "validation_loss"
UNTRAINED = "untrained."
"""Prefix of a metric that was measured on the untrained model."""

_BASELINE_CRITERIA = (
    (VALIDATION_LOSS, -1.0),
    ("psnr_all", 1.0),
)  # (metric, sign): the sign is +1 if higher is better, -1 if lower is better


@dataclass(frozen=True)
class Measurement:
    """Metrics of one model and the test on which they were measured."""

    metrics: Mapping[str, float]
    """By name, such as `psnr_all` or `validation_loss`; `untrained.psnr_all` is the baseline's."""
    test: str
    """Digest of the test clips and sampling settings. Metrics are comparable if it is equal."""


@dataclass(frozen=True)
class PromotionVerdict:
    """A promotion decision and its reasons, one sentence each."""

    decision: PromotionDecision
    reasons: tuple[str, ...] = field(default=())


def decide_promotion(
    candidate: Measurement, incumbent: Measurement | None, policy: PromotionPolicy
) -> PromotionVerdict:
    """Decide whether a candidate model replaces the champion.

    Without a champion, the candidate must beat the untrained model in validation loss at fixed
    sigma and in PSNR over all pixels. With one, it must beat the champion in `policy.metric` by
    more than `policy.min_gain` on the same test.

    Args:
        candidate: Metrics of the candidate.
        incumbent: Metrics of the current champion; None if there is no champion.
        policy: The metric to compare and the required gain.

    Returns:
        PROMOTE if the criterion holds, REJECT if a metric of the candidate is not finite, and HOLD
        otherwise (also if a metric is missing).
    """
    non_finite = tuple(
        f"{name} is {value}"
        for name, value in sorted(candidate.metrics.items())
        if not math.isfinite(value)
    )
    if non_finite:
        return PromotionVerdict(PromotionDecision.REJECT, non_finite)
    missing = tuple(
        f"{name} was not measured; evaluate the candidate first"
        for name in _required_metrics(incumbent, policy)
        if name not in candidate.metrics
    )
    if missing:
        return PromotionVerdict(PromotionDecision.HOLD, missing)
    if incumbent is None:
        return _compare_with_untrained(candidate.metrics)
    return _compare_with_champion(candidate, incumbent, policy)


def _required_metrics(incumbent: Measurement | None, policy: PromotionPolicy) -> tuple[str, ...]:
    if incumbent is not None:
        return (policy.metric,)
    return tuple(prefix + name for name, _ in _BASELINE_CRITERIA for prefix in ("", UNTRAINED))


def _compare_with_untrained(metrics: Mapping[str, float]) -> PromotionVerdict:
    decision, reasons = PromotionDecision.PROMOTE, ["there is no champion"]
    for name, sign in _BASELINE_CRITERIA:
        value, baseline = metrics[name], metrics[UNTRAINED + name]
        is_better = sign * (value - baseline) > 0
        reasons.append(
            f"{name} {value:.4g} {'beats' if is_better else 'does not beat'} "
            f"the untrained model's {baseline:.4g}"
        )
        if not is_better:
            decision = PromotionDecision.HOLD
    return PromotionVerdict(decision, tuple(reasons))


def _compare_with_champion(
    candidate: Measurement, champion: Measurement, policy: PromotionPolicy
) -> PromotionVerdict:
    name = policy.metric
    value, best = candidate.metrics[name], champion.metrics.get(name, math.nan)
    decision = PromotionDecision.HOLD
    if candidate.test != champion.test:
        reason = (
            f"champion and candidate were measured on different tests "
            f"({champion.test}, {candidate.test}); evaluate both on the same test"
        )
    elif not math.isfinite(best):
        reason = f"the champion's {name} is {best}; evaluate the champion first"
    else:
        is_better = value - best > policy.min_gain
        if is_better:
            decision = PromotionDecision.PROMOTE
        reason = (
            f"{name} {value:.4g} {'beats' if is_better else 'does not beat'} "
            f"the champion's {best:.4g} by more than {policy.min_gain:g}"
        )
    return PromotionVerdict(decision, (reason,))
