"""Marks on the scores of a layout: those that speak for a layout that is dropped."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from argus.curate.thresholds import Direction, find_threshold
from argus.dataset import Score
from schemas.config import FilterSettings
from schemas.names import Layout

ACCEPTED = "accepted"
"""Score of every layout: 1 if it is kept or converted, 0 if it is dropped."""


@dataclass(frozen=True)
class _Evidence:
    """Score that speaks for some layouts beyond a limit.

    Attributes:
        score: name of the score.
        setting: field of the filter settings with the limit.
        side: side of the limit on which the score speaks for the layouts.
        layouts: the layouts.
        sign: factor of the limit.
    """

    score: str
    setting: str
    side: Direction
    layouts: frozenset[Layout]
    sign: float = 1.0

    def limit(self, settings: FilterSettings) -> float:
        """Return the limit that the settings hold."""
        return self.sign * float(getattr(settings, self.setting))

    def holds(self, value: float, settings: FilterSettings) -> bool:
        """Return True if a score speaks for the layouts."""
        limit = self.limit(settings)
        return value > limit if self.side is Direction.MAX else value <= limit


_OPEN = frozenset({Layout.FLAT, Layout.HALF_ERP})
_CLOSED = frozenset({Layout.MONO_ERP_16X9, Layout.MONO_ERP_LETTERBOXED})
_DISCS = frozenset({Layout.DUAL_FISHEYE, Layout.PARTIAL})
_MIN, _MAX = Direction.MIN, Direction.MAX
_EVIDENCE = (
    _Evidence("left_right", "halves_similarity", _MAX, frozenset({Layout.STEREO_SBS})),
    _Evidence("top_bottom", "halves_similarity", _MAX, frozenset({Layout.STEREO_TB})),
    _Evidence("seam", "layout_evidence", _MIN, _OPEN),
    _Evidence("seam", "layout_evidence", _MAX, _CLOSED),
    _Evidence("poles", "layout_evidence", _MIN, frozenset({Layout.FLAT})),
    _Evidence("blank_sides", "blank_sides", _MAX, frozenset({Layout.FLAT})),
    _Evidence("circles", "disc_evidence", _MAX, _DISCS),
    _Evidence("circle", "disc_evidence", _MAX, frozenset({Layout.PARTIAL})),
    _Evidence("cube_eac", "layout_evidence", _MAX, frozenset({Layout.EAC})),
    *(
        _Evidence(f"cube_{kind}", "layout_evidence", _MAX, frozenset({Layout.CUBEMAP}))
        for kind in ("3x2", "cbmp", "6x1")
    ),
    _Evidence("cube_edges", "torn_edges", _MIN, frozenset({Layout.CONVERTED_TWICE}), sign=-1.0),
)


def mark_layout_scores(
    scores: Iterable[Score], layout: Layout, settings: FilterSettings, *, is_accepted: bool
) -> tuple[Score, ...]:
    """Set threshold and decision of the scores of a layout.

    Args:
        scores: the scores of layout detection.
        layout: the detected layout.
        settings: the limits.
        is_accepted: True if the layout is kept or converted. Otherwise the scores that speak for it
            are marked as not kept, and in any case the score `accepted`: where the pixels show
            nothing, the metadata or the shape of the frame decided.

    Returns:
        The scores in their order, with `accepted` last unless it was among them.
    """
    accepted = Score("layout", ACCEPTED, float(is_accepted), 1.0, is_accepted)
    marked = list(_mark(scores, layout, settings, accepted))
    return tuple(marked if accepted in marked else [*marked, accepted])


def find_layout_setting(score: str) -> str | None:
    """Return the setting that limits a score of a layout, or None if it is only recorded."""
    return next((one.setting for one in _EVIDENCE if one.score == score), None)


def _mark(
    scores: Iterable[Score], layout: Layout, settings: FilterSettings, accepted: Score
) -> Iterator[Score]:
    for score in scores:
        if score.name == ACCEPTED:
            yield accepted
            continue
        own = [one for one in _EVIDENCE if one.score == score.name and layout in one.layouts]
        if accepted.kept or score.value is None:
            own = []
        holding = [one for one in own if one.holds(score.value or 0.0, settings)]
        row = find_threshold("layout", score.name)
        limit = row.limit(settings) if row else None
        if holding:
            limit = holding[0].limit(settings)
        yield replace(score, threshold=limit, kept=not holding)
