"""Is it too dark or too bright? By solid angle, so that neither a small sky nor a small floor, wide in the map, decides."""

from collections.abc import Mapping

import numpy as np

from argus.curate.frame_sampling import Samples
from argus.curate.records import Verdict
from argus.sphere import solid_angle
from schemas.config import FilterPolicy
from schemas.names import Reason

_DARK, _BRIGHT = 16, 245
"""Grey levels. What is clipped at 255 lies below it once coded: at 34 dB coding errs by 5 levels, and twice that catches nearly all of it."""


class ExposureFilter:
    """Drops when most of the sphere is too dark to see anything, or burnt out."""

    name = "exposure"
    version = 2

    def score(self, samples: Samples) -> dict[str, float]:
        """Medians over moments: `mean` grey in [0,1] and its standard deviation, `contrast`; shares of the sphere that are `dark` (≤ 16) and `bright`
        (≥ 245)."""
        grey = samples.grey
        rows = solid_angle(grey.shape[1:3]).sum(axis=1) / (4 * np.pi)
        unit = grey.astype(np.float32) / 255
        mean, square = (values.mean(axis=2) @ rows for values in (unit, unit * unit))  # [n]
        dark, bright = ((grey <= _DARK).mean(axis=2) @ rows, (grey >= _BRIGHT).mean(axis=2) @ rows)
        measured = {
            "mean": mean,
            "contrast": np.sqrt(np.maximum(square - mean**2, 0)),
            "dark": dark,
            "bright": bright,
        }
        return {name: float(np.median(values)) for name, values in measured.items()}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `dark_share` and `bright_share`; the one that is further above speaks."""
        limits = {"dark": policy.dark_share, "bright": policy.bright_share}
        name = max(limits, key=lambda name: scores[name] - limits[name])
        kept = scores[name] <= limits[name]
        return Verdict(
            self.name, name, kept, None if kept else Reason.EXPOSURE, scores[name], limits[name]
        )
