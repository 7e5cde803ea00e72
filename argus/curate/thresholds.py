"""The table of thresholds: which setting limits which score, in which direction, for which reason.

Filters, learned scorers, the layout detector, recipes, sweeps and reports read this one table. A
score is dropped below the limit of a minimum and above the limit of a maximum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from argus.curate.records import Verdict
from schemas.config import FilterSettings
from schemas.names import Reason


class Direction(StrEnum):
    """Side of the limit on which a score passes."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True)
class Guard:
    """Condition under which a threshold applies: another score reaches its own limit.

    Attributes:
        setting: field of the filter settings with the limit.
        score: the other score of the same filter.
        is_strict: the score must exceed the limit; otherwise equality suffices.
    """

    setting: str
    score: str
    is_strict: bool

    def applies(self, scores: Mapping[str, float], settings: FilterSettings) -> bool:
        """Return True if the guarded threshold counts."""
        value, limit = scores[self.score], float(getattr(settings, self.setting))
        return value > limit if self.is_strict else value >= limit


@dataclass(frozen=True)
class Threshold:
    """Limit of one score.

    Attributes:
        setting: path of the limit in the filter settings, such as `learned.lpips_between`.
        filter: filter or learned scorer that computes the score.
        score: name of the score.
        direction: whether the limit is a minimum or a maximum.
        unit: unit of score and limit.
        reason: why a video or clip beyond the limit is dropped; None if it is split or rated
            instead.
        is_strict: a score equal to the limit does not pass.
        guard: condition without which every score passes.
    """

    setting: str
    filter: str
    score: str
    direction: Direction
    unit: str
    reason: Reason | None
    is_strict: bool = False
    guard: Guard | None = None

    @property
    def key(self) -> str:
        """Name of the score over all filters, `filter.score`."""
        return f"{self.filter}.{self.score}"

    def limit(self, settings: FilterSettings) -> float | None:
        """Return the limit that the settings hold, or None if the score is only recorded."""
        group, _, name = self.setting.rpartition(".")
        value = getattr(getattr(settings, group) if group else settings, name)
        return None if value is None else float(value)

    def passes(self, value: float, limit: float) -> bool:
        """Return True if a score is on the right side of a limit."""
        if value == limit:
            return not self.is_strict
        return value > limit if self.direction is Direction.MIN else value < limit

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict | None:
        """Compare the score with its limit.

        Args:
            scores: scores of the filter by name.
            settings: the limits.

        Returns:
            The verdict, or None if the settings hold no limit.

        Raises:
            KeyError: the score, or that of the guard, is missing.
        """
        limit, value = self.limit(settings), scores[self.score]
        if limit is None:
            return None
        kept = self.passes(value, limit) or not self.is_active(scores, settings)
        return Verdict(self.filter, self.score, kept, None if kept else self.reason, value, limit)

    def is_active(self, scores: Mapping[str, float], settings: FilterSettings) -> bool:
        """Return True unless the guard says that the threshold does not count."""
        return self.guard is None or self.guard.applies(scores, settings)


_MIN, _MAX = Direction.MIN, Direction.MAX
_SPHERE = "share of the sphere"
_FRAME = "share of the frame"
_TEXTURE = "share of the textured sphere"
_CORRELATION = "correlation"
_VARIANCE = "squared gray levels"
_BOUNDARY = "dissimilarity of frames"

THRESHOLDS = (
    # layout
    Threshold(
        "halves_similarity",
        "layout",
        "left_right",
        _MAX,
        _CORRELATION,
        Reason.STEREO,
        guard=Guard("changes_similarity", "changes_left_right", is_strict=False),
    ),
    Threshold("halves_similarity", "layout", "top_bottom", _MAX, _CORRELATION, Reason.STEREO),
    # whole videos
    Threshold(
        "seam_ratio",
        "seam",
        "seam_ratio",
        _MAX,
        "ratio",
        Reason.SEAM,
        guard=Guard("seam_value", "seam_value", is_strict=True),
    ),
    Threshold(
        "seam_ratio",
        "seam",
        "center_ratio",
        _MAX,
        "ratio",
        Reason.SEAM,
        guard=Guard("seam_value", "center_value", is_strict=True),
    ),
    Threshold("black_share", "black", "least_share", _MAX, _FRAME, Reason.BLACK),
    Threshold("cap_share", "caps", "share", _MAX, _SPHERE, Reason.BLACK),
    Threshold(
        "variance",
        "variance",
        "second_largest_variance",
        _MIN,
        _VARIANCE,
        Reason.LOW_VARIANCE,
        is_strict=True,
    ),
    Threshold("moving_share", "motion", "largest_share", _MIN, _TEXTURE, Reason.STATIC),
    # whole videos and clips
    Threshold(
        "static_difference", "static", "difference", _MIN, "mean difference in [0,1]", Reason.STATIC
    ),
    Threshold("shot_boundary", "shots", "max_score", _MAX, _BOUNDARY, None),
    Threshold("shot_boundary", "shots", "min_cut_score", _MIN, _BOUNDARY, None, is_strict=True),
    # clips
    Threshold(
        "repeated_share",
        "rate",
        "repeated",
        _MAX,
        "share of the clip's frames",
        Reason.UNEVEN_RATE,
    ),
    Threshold(
        "variance",
        "variance",
        "median_variance",
        _MIN,
        _VARIANCE,
        Reason.LOW_VARIANCE,
        is_strict=True,
    ),
    Threshold("moving_share", "motion", "share", _MIN, _TEXTURE, Reason.STATIC),
    Threshold("dark_share", "exposure", "dark", _MAX, _SPHERE, Reason.EXPOSURE),
    Threshold("bright_share", "exposure", "bright", _MAX, _SPHERE, Reason.EXPOSURE),
    Threshold("sharpness", "blur", "coarse", _MIN, "1/pixel of 1.4°", Reason.BLURRED),
    Threshold("text_share", "text", "share", _MAX, _SPHERE, Reason.TEXT),
    Threshold("nadir_share", "nadir", "share", _MAX, "share of the nadir cap", Reason.OPERATOR),
    Threshold(
        "tilt_deg",
        "upright",
        "tilt_deg",
        _MAX,
        "degrees",
        Reason.TILTED,
        guard=Guard("tilt_support", "support", is_strict=False),
    ),
    # learned scorers
    Threshold("learned.lpips_left_right", "lpips", "left_right", _MIN, "LPIPS", Reason.STEREO),
    Threshold("learned.lpips_top_bottom", "lpips", "top_bottom", _MIN, "LPIPS", Reason.STEREO),
    Threshold("learned.lpips_between", "lpips", "between", _MIN, "LPIPS", Reason.STATIC),
    Threshold("learned.raft_speed_deg_s", "raft", "speed_deg_s", _MIN, "degrees/s", Reason.STATIC),
    Threshold(
        "learned.transnetv2_boundary",
        "transnetv2",
        "boundary",
        _MAX,
        "probability",
        Reason.SHOT_BOUNDARY,
    ),
    Threshold(
        "learned.text_ocr_overlay_share",
        "text_ocr",
        "overlay_share",
        _MAX,
        _SPHERE,
        Reason.TEXT,
    ),
    Threshold(
        "learned.aesthetic_mean",
        "aesthetic",
        "mean",
        _MIN,
        "score of the aesthetic head",
        Reason.LOW_AESTHETIC,
    ),
)
"""Thresholds that decide, in the order in which reasons count within a stage."""

HIGH_QUALITY_THRESHOLDS = (
    Threshold("high_quality.moving_share", "motion", "share", _MIN, _TEXTURE, None),
    Threshold("high_quality.sharpness", "blur", "fine", _MIN, "1/pixel of 0.7°", None),
    Threshold("high_quality.text_share", "text", "share", _MAX, _SPHERE, None),
    Threshold("high_quality.dark_share", "exposure", "dark", _MAX, _SPHERE, None),
    Threshold("high_quality.bright_share", "exposure", "bright", _MAX, _SPHERE, None),
    Threshold("high_quality.nadir_share", "nadir", "share", _MAX, "share of the nadir cap", None),
    Threshold("high_quality.shot_boundary", "shots", "max_score", _MAX, _BOUNDARY, None),
)
"""Thresholds that a kept clip must reach to be of high quality, besides `high_quality.quality`."""

LEARNED_THRESHOLDS = tuple(row for row in THRESHOLDS if row.setting.startswith("learned."))
"""Thresholds on the scores of learned scorers."""

SCORING_SETTINGS = {"black_level": ("black", "caps")}
"""Settings that filters read while they compute scores, each with the names of these filters."""

LAYOUT_SETTINGS = frozenset(
    {
        "layout_evidence",
        "torn_edges",
        "blank_sides",
        "disc_evidence",
        "convert",
        "fisheye_fov_deg",
    }
)
"""Settings that decide about the layout from several stored scores at once."""

DECISION_SETTINGS = frozenset(
    {row.setting.partition(".")[0] for row in (*THRESHOLDS, *HIGH_QUALITY_THRESHOLDS)}
    | {row.guard.setting for row in THRESHOLDS if row.guard}
    | LAYOUT_SETTINGS
    | {"duplicates"}
)
"""Top-level filter settings that only decide about stored scores: a change decodes nothing.

`argus.curate.reevaluate` knows for which videos the stored scores do not suffice. A setting that is
neither here nor in `SCORING_SETTINGS` changes the clips themselves.
"""


@cache
def thresholds_of(filter_name: str) -> tuple[Threshold, ...]:
    """Return the rows of `THRESHOLDS` of one filter or scorer, in order."""
    return tuple(row for row in THRESHOLDS if row.filter == filter_name)


@cache
def find_threshold(filter_name: str, score: str) -> Threshold | None:
    """Return the row of `THRESHOLDS` of one score, or None if the score is only recorded."""
    return next((row for row in thresholds_of(filter_name) if row.score == score), None)


def threshold_of(filter_name: str, score: str) -> Threshold:
    """Return the row of `THRESHOLDS` of one score that is known to have one.

    Raises:
        KeyError: no threshold limits the score.
    """
    if row := find_threshold(filter_name, score):
        return row
    raise KeyError(f"no threshold limits {filter_name}.{score}")


def apply_threshold(
    filter_name: str, score: str, scores: Mapping[str, float], settings: FilterSettings
) -> Verdict:
    """Decide by the threshold of one score whose limit is always set.

    Raises:
        KeyError: a score is missing, or no threshold limits the score.
    """
    verdict = threshold_of(filter_name, score).decide(scores, settings)
    assert verdict is not None, f"{filter_name}.{score} has no limit"
    return verdict
