"""Warm-up module, imported once by the fork server of the processes that process videos.

Importing it runs every stage on noise, so that the caches that all videos share (projection maps,
sampling positions of the layout tests, OpenCV's color tables: a third of a second in total) exist
before a process is forked.
"""

import cv2
import numpy as np
import scipy.ndimage  # noqa: F401  functions import it late

from argus.curate.dedup.fingerprint import compute_signature
from argus.curate.filters import apply_filters, clip_filters, video_filters
from argus.curate.frame_sampling import ERP_SIZE, NativeFrames, SampledFrames
from argus.curate.layout import compute_layout_scores
from argus.curate.shot_detection import detect_shots
from argus.curate.thumbnails import encode_contact_sheet, render_clip_row
from schemas.config import FilterSettings

cv2.setNumThreads(1)  # OpenCV's threads do not survive a fork
_NOISE = np.random.default_rng(0).integers(0, 256, (2, *ERP_SIZE, 3), np.uint8)
_INTERVALS_S = np.array([0.2, 0.0])
_SETTINGS = FilterSettings()
_FRAMES = SampledFrames(_NOISE, _NOISE[::-1], _INTERVALS_S)

compute_layout_scores(NativeFrames(_NOISE, _NOISE[::-1], _INTERVALS_S), ERP_SIZE)
apply_filters(_FRAMES, (*video_filters(_SETTINGS), *clip_filters()), _SETTINGS)
detect_shots(_NOISE, _SETTINGS.shot_boundary)
compute_signature(_NOISE, 5.0, 10.0)
encode_contact_sheet([render_clip_row(_FRAMES)])
