"""The gate, as a table."""

import math

import pytest

from argus.registry.promotion import Measurement, gate
from schemas.config import GatePolicy
from schemas.names import GateDecision

GOOD = {
    "validation_loss": 0.4,
    "untrained.validation_loss": 1.0,
    "psnr_all": 13.0,
    "untrained.psnr_all": 6.0,
    "ws_psnr_all": 12.0,
}
PROMOTE, HOLD, REJECT = GateDecision


def measured(test: str = "t", **changes: float) -> Measurement:
    return Measurement(
        {**GOOD, **{name.replace("__", "."): value for name, value in changes.items()}}, test
    )


FIRST = [
    ({}, PROMOTE, "there is no champion"),
    ({"validation_loss": 1.0}, HOLD, "validation_loss 1 does not beat"),
    ({"validation_loss": 1.5}, HOLD, "validation_loss 1.5 does not beat"),
    ({"psnr_all": 6.0}, HOLD, "psnr_all 6 does not beat"),
    ({"psnr_all": math.nan}, REJECT, "psnr_all is nan"),
    ({"validation_loss": math.inf}, REJECT, "validation_loss is inf"),
    ({"untrained__psnr_all": math.nan}, REJECT, "untrained.psnr_all is nan"),
]


@pytest.mark.parametrize(("changes", "decision", "reason"), FIRST)
def test_first_model_must_beat_the_untrained_one(
    changes: dict[str, float], decision: GateDecision, reason: str
) -> None:
    verdict = gate(measured(**changes), None, GatePolicy())
    assert verdict.decision == decision
    assert any(reason in text for text in verdict.reasons)


LATER = [
    ({"ws_psnr_all": 12.5}, {}, GatePolicy(), PROMOTE, "12.5 beats the champion's 12"),
    ({}, {}, GatePolicy(), HOLD, "12 does not beat the champion's 12"),
    ({"ws_psnr_all": 12.2}, {}, GatePolicy(min_gain=0.3), HOLD, "by more than 0.3"),
    ({"ws_psnr_all": 12.5}, {}, GatePolicy(min_gain=0.3), PROMOTE, "by more than 0.3"),
    ({"psnr_all": 14.0}, {}, GatePolicy(metric="psnr_all"), PROMOTE, "psnr_all 14 beats"),
    ({"ws_psnr_all": math.nan}, {}, GatePolicy(), REJECT, "ws_psnr_all is nan"),
    (
        {"ws_psnr_all": 12.5},
        {"ws_psnr_all": math.nan},
        GatePolicy(),
        HOLD,
        "the champion's ws_psnr_all is nan",
    ),
    ({"ws_psnr_all": 12.5}, {"test": "older"}, GatePolicy(), HOLD, "different tests (older, t)"),
]


@pytest.mark.parametrize(("ours", "theirs", "policy", "decision", "reason"), LATER)
def test_later_model_must_beat_the_champion(
    ours: dict, theirs: dict, policy: GatePolicy, decision: GateDecision, reason: str
) -> None:
    verdict = gate(measured(**ours), measured(**theirs), policy)
    assert verdict.decision == decision
    assert reason in verdict.reasons[0]


@pytest.mark.parametrize("incumbent", [None, measured()])
def test_what_was_not_measured_holds(incumbent: Measurement | None) -> None:
    verdict = gate(Measurement({"validation_loss": 0.4}, "t"), incumbent, GatePolicy())
    assert verdict.decision == HOLD
    assert all("was not measured; evaluate the candidate first" in text for text in verdict.reasons)
