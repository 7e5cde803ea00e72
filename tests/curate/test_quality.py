"""Quality of a clip from its scores."""

import pytest

from argus.curate import SampledFrames, clip_filters, compute_quality
from argus.curate.quality import is_high_quality, score_values
from argus.dataset import Score
from argus.synth import Motion
from schemas.config import FilterSettings, HighQuality
from tests.support.sampled_frames import sample_world

SETTINGS = FilterSettings()


def clip_scores(samples: SampledFrames) -> dict[str, float]:
    values = {
        f"{one.name}.{name}": value
        for one in clip_filters()
        for name, value in one.score(samples).items()
    }
    return {**values, "shots.max_score": 0.02}


def test_quality_is_computed_from_stored_scores() -> None:
    walk = sample_world(Motion.WALK)
    values = clip_scores(walk)
    best = compute_quality(values)
    assert 0.5 < best < 1
    stored = [Score(*name.split("."), value, None, True) for name, value in values.items()]  # type: ignore[arg-type]
    assert compute_quality(score_values(stored)) == best
    poorer = {
        "blur.fine": 0.3,
        "exposure.contrast": 0.02,
        "exposure.dark": 0.9,
        "motion.share": 0.1,
        "text.share": 0.01,
    }
    assert all(compute_quality({**values, name: value}) < best for name, value in poorer.items())
    assert compute_quality({**values, "motion.share": 0.0}) == 0.0
    with pytest.raises(KeyError):
        compute_quality({})


def test_high_quality_needs_every_threshold() -> None:
    values = clip_scores(sample_world(Motion.WALK, height=160))
    assert is_high_quality(values, SETTINGS)
    failing = {
        "motion.share": 0.3,
        "blur.fine": 0.9,
        "text.share": 0.0011,
        "exposure.dark": 0.5,
        "exposure.bright": 0.5,
        "nadir.share": 0.7,
        "shots.max_score": 0.15,
    }
    assert not any(
        is_high_quality({**values, name: value}, SETTINGS) for name, value in failing.items()
    )
    assert not is_high_quality(values, FilterSettings(high_quality=HighQuality(quality=0.99)))
