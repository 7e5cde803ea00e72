"""The scored half of the calibration, reduced: worlds, sizes and encoders that no threshold was chosen by."""

from pathlib import Path

import pytest

from schemas.config import FilterSettings

REACHED = 0.92
"""Of decisions: below what `make calibrate` asks of the whole half, as half of all overlaid lettering is not found."""
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
def test_curation_is_right_about_videos_that_it_was_not_tuned_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import calibrate
    from calibration_set import SCORED, TUNING, cases, judge_case

    tuned, scored = cases(TUNING, 120), cases(SCORED, 120)
    for what in ("seed", "height", "codec", "gop", "fps"):
        assert not {getattr(case, what) for case in tuned} & {
            getattr(case, what) for case in scored
        }, what

    outcomes = calibrate.run(scored[:60], judge_case, FilterSettings(), 2, "scored")
    for table in calibrate.half_tables(SCORED, outcomes):
        print(table.markdown())
    shares = {what: right / of for what, right, of in calibrate.tallies(outcomes) if of}
    assert shares["layout, of readable videos"] >= calibrate.LAYOUTS
    assert shares["kept, or dropped for the right reason"] >= REACHED
