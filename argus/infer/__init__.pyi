"""The public names of the package; `lazy_loader` reads this file at run time."""

from .alignment import ProjectedViews, align_views, project_views
from .generate import (
    cross_fade,
    generate_clip,
    generate_frames,
    generate_window,
    window_seed,
    window_starts,
)
from .video import GeneratedVideo, generate_video

__all__ = [
    "GeneratedVideo",
    "ProjectedViews",
    "align_views",
    "cross_fade",
    "generate_clip",
    "generate_frames",
    "generate_video",
    "generate_window",
    "project_views",
    "window_seed",
    "window_starts",
]
