"""What a person is shown of a video: a contact sheet, one JPEG. Row 0 is the video, then a row for each of its first clips, kept or not.

A row is its middle moment: the picture as a map, 256×128, and four side views of 90°, 128×128 each: front, right, back, left.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import Samples, StoredSamples
from argus.curate.views import VIEW_NAMES, six_views

SIDE = 128  # pixels: a row's height, and a view's
MAP_WIDTH = 2 * SIDE
ROW_WIDTH = MAP_WIDTH + 4 * SIDE
CLIP_ROWS = 63  # at most; ten minutes of ten-second clips
_SIDES = [VIEW_NAMES.index(name) for name in ("front", "right", "back", "left")]
_QUALITY = 80

Row = NDArray[np.uint8]
"""[128, 768, 3] RGB."""


def video_row(stored: StoredSamples, samples: Samples | None = None) -> Row:
    """The middle moment in its own shape, on black, and the views of what it was converted to; black where nothing was."""
    picture = stored.frames[len(stored.frames) // 2]
    return _row(
        _fitted(picture),
        _side_views(samples) if samples else np.zeros((SIDE, 4 * SIDE, 3), np.uint8),
    )


def clip_row(samples: Samples) -> Row:
    """The middle moment of a clip."""
    return _row(_fitted(samples.small[len(samples.small) // 2]), _side_views(samples))


def encode_sheet(rows: Sequence[Row]) -> bytes:
    """A JPEG of at most 1 + `CLIP_ROWS` rows; equal rows give equal bytes."""
    picture = np.concatenate(rows[: 1 + CLIP_ROWS])
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )
    return data.tobytes()


def _row(picture: NDArray[np.uint8], views: NDArray[np.uint8]) -> Row:
    return np.concatenate([picture, views], axis=1)


def _fitted(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scaled to fit 128×256, in the middle, on black."""
    scale = min(SIDE / picture.shape[0], MAP_WIDTH / picture.shape[1])
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    top, left = (SIDE - height) // 2, (MAP_WIDTH - width) // 2
    canvas = np.zeros((SIDE, MAP_WIDTH, 3), np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(
        picture, (width, height), interpolation=cv2.INTER_AREA
    )
    return canvas


def _side_views(samples: Samples) -> NDArray[np.uint8]:
    """[128, 512, 3]; a view of 128 pixels has the detail of the small map."""
    middle = len(samples.small) // 2
    views = six_views(samples.small[middle : middle + 1], SIDE)[0, _SIDES]
    return np.concatenate(list(views), axis=1)
