"""Layout of a sphere in a video's frames: detection from metadata and pixels, and conversion."""

from argus.curate.layout.convert import (
    NO_CONVERSION,
    Conversion,
    EquirectReader,
    SourceProjection,
    convert_native_frames,
)
from argus.curate.layout.detect import (
    LayoutVerdict,
    decide_layout,
    declared_layout,
    detect_layout,
)
from argus.curate.layout.evidence import compute_layout_scores
from argus.curate.layout.marking import find_layout_setting, mark_layout_scores

__all__ = [
    "NO_CONVERSION",
    "Conversion",
    "EquirectReader",
    "LayoutVerdict",
    "SourceProjection",
    "compute_layout_scores",
    "convert_native_frames",
    "decide_layout",
    "declared_layout",
    "detect_layout",
    "find_layout_setting",
    "mark_layout_scores",
]
