"""Is it too dark or too bright? By solid angle, so that neither a small sky nor a small floor, wide in the map, decides."""

from collections.abc import Mapping

import numpy as np

from argus.curate.records import Verdict
from argus.curate.samples import Samples
from argus.sphere import solid_angle
from schemas.config import FilterPolicy
from schemas.names import Reason

_DARK, _BRIGHT = 16, 250  # grey levels; black in video range is 16


class ExposureFilter:
    """Drops when most of the sphere is too dark to see anything, or burnt out."""

    name = "exposure"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """Medians over moments of the `mean` grey in [0,1], the `dark` share (grey ≤ 16) and the `bright` share (≥ 250) of the sphere."""
        grey = samples.grey
        rows = solid_angle(grey.shape[1:3]).sum(axis=1) / (4 * np.pi)
        values = {"mean": grey.mean(axis=2) / 255, "dark": (grey <= _DARK).mean(axis=2), "bright": (grey >= _BRIGHT).mean(axis=2)}
        return {name: float(np.median(by_row @ rows)) for name, by_row in values.items()}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `dark_share` and `bright_share`; the one that is further above speaks."""
        limits = {"dark": policy.dark_share, "bright": policy.bright_share}
        name = max(limits, key=lambda name: scores[name] - limits[name])
        kept = scores[name] <= limits[name]
        return Verdict(self.name, name, kept, None if kept else Reason.EXPOSURE, scores[name], limits[name])
