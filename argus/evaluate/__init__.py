"""Evaluation: baselines without weights, additive error sums, and the protocol of one clip."""

from argus.evaluate.baselines import BASELINES, fill_combined
from argus.evaluate.error_sums import METRICS, PSNR_CAP, ErrorSums, psnr
from argus.evaluate.protocol import (
    FILL,
    ClipEvaluation,
    EvaluationTask,
    evaluate_clip,
    make_task,
)

__all__ = [
    "BASELINES",
    "FILL",
    "METRICS",
    "PSNR_CAP",
    "ClipEvaluation",
    "ErrorSums",
    "EvaluationTask",
    "evaluate_clip",
    "fill_combined",
    "make_task",
    "psnr",
]
