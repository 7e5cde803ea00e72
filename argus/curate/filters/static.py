"""Does anything move? Measured on six 90° views, which see the sphere evenly, not on the map, which sees its poles too large."""

from collections.abc import Mapping

import cv2
import numpy as np

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from argus.curate.views import six_views, view_weights
from schemas.config import FilterPolicy
from schemas.names import Reason

_SIDE = 64


class StaticFilter:
    """Drops when the sampled frames hardly differ. A single frame does not move."""

    name = "static"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """Mean absolute difference of successive sampled frames over six views, in [0,1]."""
        return {"difference": mean_difference(samples)}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept from `static_difference` on."""
        difference = scores["difference"]
        kept = difference >= policy.static_difference
        return Verdict(
            self.name,
            "difference",
            kept,
            None if kept else Reason.STATIC,
            difference,
            policy.static_difference,
        )


def mean_difference(samples: Samples) -> float:
    """Mean absolute difference of successive moments over six 90° views, weighted by solid angle, in [0,1]."""
    if len(samples.frames) < 2:
        return 0.0
    views = six_views(samples.small, _SIDE)
    changes = cv2.absdiff(views[1:].reshape(-1), views[:-1].reshape(-1)).reshape(views[1:].shape)
    differences = changes.sum(axis=0, dtype=np.uint16).mean(axis=-1) / len(
        changes
    )  # [6, side, side]
    return float((differences * view_weights(_SIDE)).sum() / 255)
