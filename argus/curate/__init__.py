"""From a catalogue's line to clips: fetching, layout, filters, cutting. How many videos at once, and where clips are stored, is not known here.

Flow: read_catalogue → fetch → curate_isolated (probe, layout, filters, clips), each with a typed record or a typed error. `fetching` gets the file;
`layout` says how the sphere lies in the frames; `filters`, ordered by `cascade`, and the networks of `learned` measure; `shots` and `clips` cut;
`recipe`, `redecide` and `rescore` find what a change of settings leaves to be done; `signature`, `duplicates` and `waves` find copies.
"""

from argus.curate.cascade import Filter, ScorerFailed, clip_filters, judge, video_filters
from argus.curate.catalogue import assign_split, read_catalogue
from argus.curate.clips import Span, spans
from argus.curate.fetching.fetch import fetch
from argus.curate.judgement import curate_isolated, curate_video
from argus.curate.layout import LayoutVerdict, judge_layout
from argus.curate.quality import quality
from argus.curate.recipe import RECIPE_VERSION, Recipe, Work, WorkKind, recipe_digest, store_recipe, stored_recipe
from argus.curate.records import CuratedClip, CuratedVideo, Fetched, Score, Seconds, Verdict, VideoSource, clip_id
from argus.curate.samples import Samples

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
    "assign_split",
    "clip_filters",
    "clip_id",
    "curate_isolated",
    "curate_video",
    "fetch",
    "judge",
    "judge_layout",
    "quality",
    "read_catalogue",
    "recipe_digest",
    "spans",
    "store_recipe",
    "stored_recipe",
    "video_filters",
]
