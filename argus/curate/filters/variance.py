"""Is there anything to see? A blank, faded or fogged frame has almost no grey variance."""

from collections.abc import Mapping

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from schemas.config import FilterPolicy
from schemas.names import Reason


class VarianceFilter:
    """Drops when one of the sampled frames is nearly uniform."""

    name = "variance"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """The least grey variance of a sampled frame, in grey levels squared."""
        return {"least_variance": float(samples.grey.var(axis=(1, 2)).min())}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept above `variance`."""
        variance = scores["least_variance"]
        kept = variance > policy.variance
        return Verdict(
            self.name,
            "least_variance",
            kept,
            None if kept else Reason.LOW_VARIANCE,
            variance,
            policy.variance,
        )
