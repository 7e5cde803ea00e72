"""Filters: each computes scores from sampled frames and compares them with thresholds."""

from argus.curate.filters.base import (
    Decider,
    Filter,
    ScorerFailed,
    ScoreTable,
    apply_filters,
    apply_thresholds,
    clip_deciders,
    clip_filters,
    compute_scores,
    video_filters,
)
from argus.curate.filters.black import BlackFilter, CapsFilter
from argus.curate.filters.blur import BlurFilter
from argus.curate.filters.exposure import ExposureFilter, VarianceFilter
from argus.curate.filters.motion import MotionFilter, StaticFilter
from argus.curate.filters.nadir import NadirFilter
from argus.curate.filters.rate import RateFilter
from argus.curate.filters.seam import SeamFilter
from argus.curate.filters.text import TextFilter
from argus.curate.filters.upright import UprightFilter

__all__ = [
    "BlackFilter",
    "BlurFilter",
    "CapsFilter",
    "Decider",
    "ExposureFilter",
    "Filter",
    "MotionFilter",
    "NadirFilter",
    "RateFilter",
    "ScoreTable",
    "ScorerFailed",
    "SeamFilter",
    "StaticFilter",
    "TextFilter",
    "UprightFilter",
    "VarianceFilter",
    "apply_filters",
    "apply_thresholds",
    "clip_deciders",
    "clip_filters",
    "compute_scores",
    "video_filters",
]
