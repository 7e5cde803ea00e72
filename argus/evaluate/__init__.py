"""Evaluation: weight-free fills to beat, sums that add, and the protocol of one held-out clip."""

from argus.evaluate.baselines import FILLS, strongest
from argus.evaluate.error_sums import METRICS, PSNR_CAP, ErrorSums, psnr
from argus.evaluate.protocol import FILL, ClipEvaluation, Task, evaluate_clip, make_task

__all__ = [
    "FILL",
    "FILLS",
    "METRICS",
    "PSNR_CAP",
    "ClipEvaluation",
    "ErrorSums",
    "Task",
    "evaluate_clip",
    "make_task",
    "psnr",
    "strongest",
]
