"""Is a part of the sphere missing? Caps and halves that were never filmed are black in every frame."""

from collections.abc import Mapping

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from schemas.config import FilterPolicy
from schemas.names import Reason


class BlackFilter:
    """Drops when every sampled frame has more black than the policy allows."""

    name = "black"
    version = 1

    def __init__(self, level: int) -> None:
        self.level = level  # grey level, 0-255, up to which a pixel is black

    def score(self, samples: Samples) -> dict[str, float]:
        """The least share of black pixels of a sampled frame, in [0,1]."""
        return {"least_share": float((samples.grey <= self.level).mean(axis=(1, 2)).min())}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `black_share`."""
        share = scores["least_share"]
        kept = share <= policy.black_share
        return Verdict(
            self.name,
            "least_share",
            kept,
            None if kept else Reason.BLACK,
            share,
            policy.black_share,
        )
