"""Quality of a clip, computed from its stored scores alone."""

from collections.abc import Callable, Iterable, Mapping

from argus.curate.thresholds import HIGH_QUALITY_THRESHOLDS
from argus.dataset import Score
from schemas.config import FilterSettings

ScoreValues = Mapping[str, float]
"""Values by `filter.score`."""

_TERMS: dict[str, Callable[[ScoreValues], float]] = {
    "sharpness": lambda values: values["blur.fine"] / (values["blur.fine"] + 1),
    "contrast": lambda values: values["exposure.contrast"] / (values["exposure.contrast"] + 0.1),
    "exposure": lambda values: 1 - max(values["exposure.dark"], values["exposure.bright"]),
    "motion": lambda values: values["motion.share"] / (values["motion.share"] + 0.25),
    "text": lambda values: 0.002 / (values["text.share"] + 0.002),
}
"""Terms in [0, 1], larger is better; each constant is the value at which its term is ½."""


def score_values(scores: Iterable[Score]) -> dict[str, float]:
    """Return the values of scores by `filter.score`, without those that were not computed."""
    return {
        f"{score.filter}.{score.name}": score.value for score in scores if score.value is not None
    }


def compute_quality(values: ScoreValues) -> float:
    """Return the geometric mean of sharpness, contrast, exposure, motion and absence of text.

    Args:
        values: scores of a clip by `filter.score`.

    Returns:
        Quality in [0, 1).

    Raises:
        KeyError: a score is missing.
    """
    product = 1.0
    for term in _TERMS.values():
        product *= max(0.0, term(values))
    return float(product ** (1 / len(_TERMS)))


def is_high_quality(values: ScoreValues, settings: FilterSettings) -> bool:
    """Return True if quality and scores of a clip reach `settings.high_quality`.

    Raises:
        KeyError: a score is missing.
    """
    for row in HIGH_QUALITY_THRESHOLDS:
        limit = row.limit(settings)
        if limit is not None and not row.passes(values[row.key], limit):
            return False
    return compute_quality(values) >= settings.high_quality.quality
