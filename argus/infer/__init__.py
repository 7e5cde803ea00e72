"""Inference: placing an ordinary video's frames in the shared map, and generating panoramas of any length. Estimating poses comes later."""

from argus.infer.alignment import Aligned, align, place, to_frames, to_model
from argus.infer.generate import (
    cross_faded,
    generate_clip,
    generate_frames,
    window_seed,
    window_starts,
)
from argus.infer.video import GeneratedVideo, generate_video

__all__ = [
    "Aligned",
    "GeneratedVideo",
    "align",
    "cross_faded",
    "generate_clip",
    "generate_frames",
    "generate_video",
    "place",
    "to_frames",
    "to_model",
    "window_seed",
    "window_starts",
]
