"""How good a clip is, from its stored scores alone: one number, and whether it is good enough for the second stage of training."""

from collections.abc import Callable, Iterable, Mapping

from argus.curate.records import Score
from schemas.config import HighQuality

Numbers = Mapping[str, float]
"""`filter.score` → value."""

_TERMS: dict[str, Callable[[Numbers], float]] = {
    "sharpness": lambda of: of["blur.fine"] / (of["blur.fine"] + 1),
    "contrast": lambda of: of["exposure.contrast"] / (of["exposure.contrast"] + 0.1),
    "light": lambda of: 1 - max(of["exposure.dark"], of["exposure.bright"]),
    "motion": lambda of: of["motion.share"] / (of["motion.share"] + 0.25),
    "clean": lambda of: 0.002 / (of["text.share"] + 0.002),
}
"""Each in [0,1] and better when larger; the constants are the amounts at which a term is ½."""


def numbers_of(scores: Iterable[Score]) -> dict[str, float]:
    """The scores that were measured, by `filter.score`."""
    return {
        f"{score.filter}.{score.name}": score.value for score in scores if score.value is not None
    }


def quality(of: Numbers) -> float:
    """The geometric mean of sharpness, contrast, light, motion and freedom from overlaid text: in [0,1), rising with each. Raises KeyError."""
    product = 1.0
    for term in _TERMS.values():
        product *= max(0.0, term(of))
    return float(product ** (1 / len(_TERMS)))


def is_high_quality(of: Numbers, policy: HighQuality) -> bool:
    """Whether quality and each of these scores reach what the policy asks of them. Raises KeyError."""
    least = {"motion.share": policy.moving_share, "blur.fine": policy.sharpness}
    most = {
        "text.share": policy.text_share,
        "exposure.dark": policy.dark_share,
        "exposure.bright": policy.bright_share,
        "nadir.share": policy.nadir_share,
        "shots.worst": policy.shot_boundary,
    }
    reached = all(of[name] >= bound for name, bound in least.items()) and all(
        of[name] <= bound for name, bound in most.items()
    )
    return reached and quality(of) >= policy.quality
