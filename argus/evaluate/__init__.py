"""Evaluation: weight-free fills to beat, sums that add, and the protocol of one held-out clip."""

from argus.evaluate.fills import FILLS, strongest
from argus.evaluate.protocol import FILL, ClipEvaluation, Task, evaluate_clip, make_task
from argus.evaluate.sums import METRICS, PSNR_CAP, Sums, psnr

__all__ = ["FILL", "FILLS", "METRICS", "PSNR_CAP", "ClipEvaluation", "Sums", "Task", "evaluate_clip", "make_task", "psnr", "strongest"]
