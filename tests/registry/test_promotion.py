"""The promotion decision."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.registry import Measurement, decide_promotion
from schemas.config import PromotionPolicy
from schemas.names import PromotionDecision

GOOD = {
    "validation_loss": 0.4,
    "untrained.validation_loss": 1.0,
    "psnr_all": 13.0,
    "untrained.psnr_all": 6.0,
    "ws_psnr_all": 12.0,
}
PROMOTE, HOLD, REJECT = PromotionDecision
FINITE = st.floats(-100, 100)


def measure(test: str = "t", **changes: float) -> Measurement:
    changes = {name.replace("__", "."): value for name, value in changes.items()}
    return Measurement({**GOOD, **changes}, test)


@pytest.mark.parametrize(
    ("changes", "decision", "metric"),
    [
        ({}, PROMOTE, "psnr_all"),
        ({"validation_loss": 1.0}, HOLD, "validation_loss"),
        ({"validation_loss": 1.5}, HOLD, "validation_loss"),
        ({"psnr_all": 6.0}, HOLD, "psnr_all"),
        ({"psnr_all": math.nan}, REJECT, "psnr_all"),
        ({"validation_loss": math.inf}, REJECT, "validation_loss"),
        ({"untrained__psnr_all": math.nan}, REJECT, "untrained.psnr_all"),
    ],
)
def test_without_a_champion_the_untrained_model_must_be_beaten(
    changes: dict[str, float], decision: PromotionDecision, metric: str
) -> None:
    verdict = decide_promotion(measure(**changes), None, PromotionPolicy())
    assert verdict.decision == decision
    assert any(metric in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("candidate", "champion", "policy", "decision", "named"),
    [
        ({"ws_psnr_all": 12.5}, {}, PromotionPolicy(), PROMOTE, "12.5"),
        ({}, {}, PromotionPolicy(), HOLD, "ws_psnr_all"),
        ({"ws_psnr_all": 12.2}, {}, PromotionPolicy(min_gain=0.3), HOLD, "0.3"),
        ({"ws_psnr_all": 12.5}, {}, PromotionPolicy(min_gain=0.3), PROMOTE, "0.3"),
        ({"psnr_all": 14.0}, {}, PromotionPolicy(metric="psnr_all"), PROMOTE, "psnr_all"),
        ({"ws_psnr_all": math.nan}, {}, PromotionPolicy(), REJECT, "ws_psnr_all"),
        ({"ws_psnr_all": 12.5}, {"ws_psnr_all": math.nan}, PromotionPolicy(), HOLD, "nan"),
        ({"ws_psnr_all": 12.5}, {"test": "older"}, PromotionPolicy(), HOLD, "older"),
    ],
)
def test_with_a_champion_it_must_be_beaten_on_the_same_test(
    candidate: dict,
    champion: dict,
    policy: PromotionPolicy,
    decision: PromotionDecision,
    named: str,
) -> None:
    verdict = decide_promotion(measure(**candidate), measure(**champion), policy)
    assert verdict.decision == decision
    assert named in verdict.reasons[0]


@pytest.mark.parametrize(
    ("incumbent", "missing"),
    [
        (None, {"untrained.validation_loss", "psnr_all", "untrained.psnr_all"}),
        (measure(), {"ws_psnr_all"}),
    ],
)
def test_a_missing_metric_holds_and_is_named(
    incumbent: Measurement | None, missing: set[str]
) -> None:
    candidate = Measurement({"validation_loss": 0.4}, "t")
    verdict = decide_promotion(candidate, incumbent, PromotionPolicy())
    assert verdict.decision == HOLD
    assert {reason.split()[0] for reason in verdict.reasons} == missing


@settings(max_examples=50, deadline=None, derandomize=True)
@given(value=FINITE, best=FINITE, min_gain=st.floats(0, 10))
def test_a_candidate_is_promoted_exactly_if_the_gain_suffices(
    value: float, best: float, min_gain: float
) -> None:
    verdict = decide_promotion(
        measure(ws_psnr_all=value), measure(ws_psnr_all=best), PromotionPolicy(min_gain=min_gain)
    )
    assert (verdict.decision == PROMOTE) == (value - best > min_gain)
    assert verdict.reasons


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    name=st.sampled_from([*GOOD, "other"]),
    value=st.sampled_from([math.nan, math.inf, -math.inf]),
    incumbent=st.sampled_from([None, measure(), measure("older")]),
)
def test_a_metric_that_is_not_finite_is_always_rejected(
    name: str, value: float, incumbent: Measurement | None
) -> None:
    candidate = Measurement({**GOOD, name: value}, "t")
    assert decide_promotion(candidate, incumbent, PromotionPolicy()).decision == REJECT
