"""Imported once by the server of the processes that judge videos: what every judgement needs and none changes is then there in all of them.

These are the maps by which frames are projected, the places where layouts are tested, and OpenCV's tables of colours, which take a third of a
second to make.
"""

import cv2
import numpy as np

from argus.curate.dedup.fingerprint import clip_signature
from argus.curate.filters.base import clip_filters, judge, video_filters
from argus.curate.frame_sampling import SIZE, Samples, StoredSamples
from argus.curate.layout.evidence import score_pixels
from argus.curate.shot_detection import detect_shots
from argus.curate.thumbnails import clip_row, encode_sheet
from schemas.config import FilterPolicy

cv2.setNumThreads(1)  # threads would not live on in the processes that are forked
_NOISE = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
_GAPS = np.array([0.2, 0.0])
_POLICY = FilterPolicy()

_SAMPLES = Samples(_NOISE, _NOISE[::-1], _GAPS)

score_pixels(StoredSamples(_NOISE, _NOISE[::-1], _GAPS), SIZE)
judge(_SAMPLES, (*video_filters(_POLICY), *clip_filters()), _POLICY)
detect_shots(_NOISE, _POLICY.shot_boundary)
clip_signature(_NOISE, 5.0, 10.0)
encode_sheet([clip_row(_SAMPLES)])
