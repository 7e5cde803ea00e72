"""Layouts of the symmetric set: rooms with a period of 30° to 180°, in every layout.

Only layouts are compared: most of these cameras hardly move, and what else happens to a video does
not depend on symmetry.
"""

import tempfile
import time
from fractions import Fraction
from pathlib import Path

from calibration_set import Outcome

from argus.curate import detect_layout, sample_native_frames
from argus.media import open_video
from argus.synth import SymmetricCase
from schemas.config import ClipSettings, FilterSettings
from schemas.names import Decision

MIN_SYMMETRIC_ACCURACY = 0.95
"""Target of the scored half: share with the correct layout."""


def evaluate_symmetric(case: SymmetricCase, settings: FilterSettings) -> Outcome:
    """Write a video of the symmetric set, detect its layout and compare it with the truth."""
    with tempfile.TemporaryDirectory() as folder:
        truth = case.write(Path(folder) / "video.mp4")
        start = time.process_time()
        with open_video(truth.path) as reader:
            native = sample_native_frames(reader, Fraction(ClipSettings().fps))
            verdict = detect_layout(reader.info, native, settings)
        seconds = time.process_time() - start
    return Outcome(
        name=case.name,
        about=f"{case.height} rows, {case.fps} fps, seed {case.seed}",
        truth=truth.layout,
        layout=verdict.layout,
        decision=Decision.DROPPED if verdict.reason else Decision.KEPT,
        reason=verdict.reason,
        expected=truth.layout,
        detail=verdict.detail,
        faults=() if verdict.layout is truth.layout else ("layout",),
        scores=verdict.scores,
        seconds=seconds,
    )
