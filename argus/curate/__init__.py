"""From a catalogue's line to clips: fetching, layout, filters, cutting. How many videos at once, and where clips are stored, is not known here.

Flow: read_catalogue → fetch → process_isolated (probe, layout, filters, clips), each with a typed record or a typed error. `fetching` gets the file;
`layout` says how the sphere lies in the frames; `filters`, ordered by `cascade`, and the networks of `learned` measure; `shots` and `clips` cut;
`recipe`, `redecide` and `rescore` find what a change of settings leaves to be done; `signature`, `duplicates` and `waves` find copies.
"""

from argus.curate.clipping import Span, spans
from argus.curate.download.fetch import fetch
from argus.curate.filters.base import Filter, ScorerFailed, clip_filters, judge, video_filters
from argus.curate.frame_sampling import Samples
from argus.curate.layout.detect import LayoutVerdict, detect_layout
from argus.curate.process import process_isolated, process_video
from argus.curate.quality import quality
from argus.curate.recipe import (
    RECIPE_VERSION,
    Recipe,
    Work,
    WorkKind,
    recipe_digest,
    store_recipe,
    stored_recipe,
)
from argus.curate.records import (
    CuratedClip,
    CuratedVideo,
    Fetched,
    Score,
    Seconds,
    Verdict,
    VideoSource,
)
from argus.curate.sources import read_catalogue

__all__ = [
    "RECIPE_VERSION",
    "CuratedClip",
    "CuratedVideo",
    "Fetched",
    "Filter",
    "LayoutVerdict",
    "Recipe",
    "Samples",
    "Score",
    "ScorerFailed",
    "Seconds",
    "Span",
    "Verdict",
    "VideoSource",
    "Work",
    "WorkKind",
    "clip_filters",
    "process_isolated",
    "process_video",
    "fetch",
    "judge",
    "detect_layout",
    "quality",
    "read_catalogue",
    "recipe_digest",
    "spans",
    "store_recipe",
    "stored_recipe",
    "video_filters",
]
