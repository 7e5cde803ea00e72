"""Contact sheet of a video: one JPEG with a row for the video and a row for each of its clips.

Row 0 is the video; up to `MAX_CLIP_ROWS` rows follow, for its first clips, kept or dropped. A row
shows the middle sampled frame: the map, 256×128, and four 90° views, 128×128 each, to the front,
right, back and left.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import NativeFrames, SampledFrames
from argus.curate.views import VIEW_NAMES, six_views

ROW_HEIGHT = 128
"""Pixels; also the side of a view."""

MAP_WIDTH = 2 * ROW_HEIGHT
SHEET_WIDTH = MAP_WIDTH + 4 * ROW_HEIGHT

MAX_CLIP_ROWS = 63
"""Ten minutes of ten-second clips."""

_SIDE_VIEWS = [VIEW_NAMES.index(name) for name in ("front", "right", "back", "left")]
_JPEG_QUALITY = 80

SheetRow = NDArray[np.uint8]
"""uint8 [128, 768, 3] RGB."""


def render_video_row(native: NativeFrames, sampled: SampledFrames | None = None) -> SheetRow:
    """Render the row of a video.

    Args:
        native: sampled frames as stored; the middle one is shown in its own aspect ratio on black.
        sampled: the same frames as mono ERP; without them the views are black.
    """
    views = np.zeros((ROW_HEIGHT, 4 * ROW_HEIGHT, 3), np.uint8)
    if sampled is not None:
        views = _render_side_views(sampled)
    return _join(_fit_to_map(native.frames[len(native.frames) // 2]), views)


def render_clip_row(sampled: SampledFrames) -> SheetRow:
    """Render the row of a clip."""
    picture = _fit_to_map(sampled.small[len(sampled.small) // 2])
    return _join(picture, _render_side_views(sampled))


def encode_contact_sheet(rows: Sequence[SheetRow]) -> bytes:
    """Encode at most 1 + `MAX_CLIP_ROWS` rows as JPEG; equal rows give equal bytes."""
    picture = cv2.cvtColor(np.concatenate(rows[: 1 + MAX_CLIP_ROWS]), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return data.tobytes()


def _join(picture: NDArray[np.uint8], views: NDArray[np.uint8]) -> SheetRow:
    return np.concatenate([picture, views], axis=1)


def _fit_to_map(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale a picture to fit 128×256 and center it on black."""
    scale = min(ROW_HEIGHT / picture.shape[0], MAP_WIDTH / picture.shape[1])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    top, left = (ROW_HEIGHT - height) // 2, (MAP_WIDTH - width) // 2
    canvas = np.zeros((ROW_HEIGHT, MAP_WIDTH, 3), np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA
    )
    return canvas


def _render_side_views(sampled: SampledFrames) -> NDArray[np.uint8]:
    """Render four views [128, 512, 3] from the small map, which has as much detail as they show."""
    middle = len(sampled.small) // 2
    views = six_views(sampled.small[middle : middle + 1], ROW_HEIGHT)[0, _SIDE_VIEWS]
    return np.concatenate(list(views), axis=1)
