"""A reduced scored half of the calibration: worlds, sizes and encoders that no threshold was chosen on."""

from pathlib import Path

import pytest

from schemas.config import FilterSettings

MIN_DECISION_ACCURACY = 0.92
"""Below the target of `make calibrate` for the whole half, because half of all text is not found."""

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_curation_is_accurate_on_videos_that_it_was_not_tuned_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import calibrate
    from calibration_set import SCORED, TUNING, evaluate_case, make_cases

    tuning, scored = make_cases(TUNING, 120), make_cases(SCORED, 120)
    for name in ("seed", "height", "codec", "gop", "fps"):
        tuned_values = {getattr(case, name) for case in tuning}
        assert not tuned_values & {getattr(case, name) for case in scored}, name

    outcomes = calibrate.run_cases(scored[:60], evaluate_case, FilterSettings(), 2, "scored")
    for table in calibrate.half_tables(SCORED, outcomes):
        print(table.markdown())
    accuracy = {what: right / of for what, right, of in calibrate.count_correct(outcomes) if of}
    assert accuracy["layout of readable videos"] >= calibrate.MIN_LAYOUT_ACCURACY
    assert accuracy["decision and reason"] >= MIN_DECISION_ACCURACY
