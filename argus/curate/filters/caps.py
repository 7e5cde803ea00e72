"""Were zenith and nadir filmed? Cameras without a lens there, and editors that cover a tripod, leave black caps. In solid angle, not in pixels."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from schemas.config import FilterPolicy
from schemas.names import Reason

_ROW = 0.95  # share of a row that is black where nothing was filmed; compression leaves a little


class CapsFilter:
    """Drops when the two black caps together are more of the sphere than the policy allows."""

    name = "caps"
    version = 1

    def __init__(self, level: int) -> None:
        self.level = level  # grey level, 0-255, up to which a pixel is black

    def score(self, samples: Samples) -> dict[str, float]:
        """Radii `zenith_deg` and `nadir_deg` of the caps that are black in every moment, and the `share` of the sphere that both cover."""
        black = (samples.grey.max(axis=0) <= self.level).mean(
            axis=1
        ) >= _ROW  # [H], from zenith to nadir
        zenith, nadir = (_run(rows) * 180 / len(black) for rows in (black, black[::-1]))
        share = sum(1 - np.cos(np.radians(radius)) for radius in (zenith, nadir)) / 2
        return {"share": min(1.0, float(share)), "zenith_deg": zenith, "nadir_deg": nadir}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `cap_share`."""
        share = scores["share"]
        kept = share <= policy.cap_share
        return Verdict(
            self.name, "share", kept, None if kept else Reason.BLACK, share, policy.cap_share
        )


def _run(rows: NDArray[np.bool_]) -> int:
    """How many rows are black from the first on."""
    return len(rows) if rows.all() else int(np.argmin(rows))
