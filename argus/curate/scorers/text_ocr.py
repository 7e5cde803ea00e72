"""Text scorer: lines that PP-OCRv4 can read, overlaid on the video or part of its scene.

Lines are searched where they are straight: in the band of the map around the equator, whose start
is repeated behind its end, and in a wide view of either pole. No line lies on the border of all of
them. Text that was written into the map is found at any latitude of the band.

Overlaid text stays at its place in the picture while the scene moves; a sign moves with the scene.
Text that the camera carries along, such as a logo on a tripod or a dashboard, counts as overlaid.
Where the scene does not move, the two cannot be told apart.
"""

from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import ERP_SIZE, SampledFrames
from argus.curate.scorers.clip_samples import ClipSamples
from argus.curate.scorers.ocr import TextLine, TextReader
from argus.networks import NETWORKS
from argus.sphere import Camera, erp_to_view, from_euler_deg, solid_angle, view_to_erp

_BAND = slice(64, ERP_SIZE[0] - 64)
"""Rows of the map within 67.5° of the equator; the views of the poles reach down to 30°."""

_REPEATED = 192  # columns behind the end of the band; a line across the seam is whole up to 67°
_ENLARGEMENT = 1.25  # of the band: letters of 4° have 14 pixels
_POLE_CAMERA = Camera(120, 512, 512)
_POLE_PITCH_DEG = (90.0, -90.0)

_MAX_SHIFT = 0.12  # of a line's height, by which its middle may vary from frame to frame
_MIN_SHIFT = 1.5  # pixels, below which it is no shift
_MAX_GROWTH, _MAX_HEIGHT_CHANGE = 0.06, 0.25  # relative changes of its length and height
_MAX_TURN_DEG = 5.0
_MIN_STAYS = 2
"""Other frames in which an overlaid line has the same place; a far sign ahead grows meanwhile."""

_BOX = (15, 15)  # pixels of gray maps [256, 512]
_MIN_VARIANCE = 16.0  # squared gray levels in a box where there is texture
_MIN_CORRELATION = 0.6  # of a box's texture that has not moved, whatever the exposure
_MIN_MOVED_SHARE = 0.35  # of the textured sphere, if the scene moves in the picture
_MIN_TEXTURED_SHARE = 0.01  # of the sphere; with less, no motion is seen

Mask = NDArray[np.bool_]


class TextKind(IntEnum):
    """Origin of a line of text: drawn over the picture, part of the scene, or either."""

    OVERLAID = 0
    SCENE = 1
    AMBIGUOUS = 2


class TextScorer:
    """Area of text that can be read, as shares of the sphere in [0, 1].

    Each score is the largest of a sampled frame. A line's area is that of its box.

    Scores:
        overlay_share: lines that have the same place in three sampled frames or more, from the
            first of which the scene has moved in the others.
        scene_share: lines that have left their place in all other frames, while the scene moves;
            also text that is shown in one sampled frame only.
        ambiguous_share: the others, such as all lines of a scene that does not move.
    """

    name: ClassVar[str] = "text_ocr"
    version: ClassVar[int] = 1
    score_names: ClassVar[tuple[str, ...]] = ("overlay_share", "scene_share", "ambiguous_share")
    required_package: ClassVar[tuple[str, str] | None] = (
        "onnxruntime",
        "pip install 'argus-360[pretrained]'",
    )
    weight_files = NETWORKS["text_ocr"].files

    def __init__(self, reader: TextReader) -> None:
        self.reader = reader

    @classmethod
    def load(cls, weights: Path, device: str) -> Self:  # noqa: ARG003  runs on the CPU
        """Load the networks; see `Scorer.load`."""
        detector, recognizer = (weights / file.path for file in cls.weight_files)
        return cls(TextReader.load(detector, recognizer))

    def score(self, clip: ClipSamples) -> dict[str, float]:
        """Return the scores that the class describes."""
        weights = solid_angle(ERP_SIZE) / (4 * np.pi)
        masks = self._find_text(clip.sampled)
        shares = (max(float(weights[mask].sum()) for mask in part) for part in masks)
        return dict(zip(self.score_names, shares, strict=True))

    def _find_text(self, sampled: SampledFrames) -> Mask:
        """Return the areas of text by `TextKind` and frame, [3, n, 512, 1024]."""
        frames, moves = sampled.frames, find_moving_pairs(sampled.gray)
        masks = np.zeros((len(TextKind), len(frames), *ERP_SIZE), np.bool_)
        for region in range(1 + len(_POLE_PITCH_DEG)):
            lines = [self.reader.read_lines(_project(frame, region)) for frame in frames]
            for k, own in enumerate(lines):
                for line in own:
                    kind = _classify(line, k, lines, moves)
                    masks[kind, k] |= _to_map(line, region)
        overlaid = masks[TextKind.OVERLAID].any(axis=0)
        masks[TextKind.SCENE :] &= ~overlaid  # read otherwise in one frame or region
        return masks


def find_moving_pairs(gray: NDArray[np.uint8]) -> Mask:
    """Find the pairs of frames between which the scene moves in the picture.

    Args:
        gray: maps [n, 256, 512].

    Returns:
        bool [n, n], symmetric; False for a scene without texture.
    """
    count = len(gray)
    moves = np.zeros((count, count), np.bool_)
    maps = gray.astype(np.float32)
    for k in range(count):
        for j in range(k):
            moves[k, j] = moves[j, k] = share_that_moves(maps[k], maps[j]) > _MIN_MOVED_SHARE
    return moves


def share_that_moves(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the share of the textured sphere where two gray maps [256, 512] do not correlate."""
    means, variances = [], []
    for values in (first, second):
        means.append(cv2.blur(values, _BOX))
        variances.append(cv2.blur(values * values, _BOX) - means[-1] ** 2)
    covariance = cv2.blur(first * second, _BOX) - means[0] * means[1]
    texture = solid_angle(first.shape) / (4 * np.pi) * (variances[0] > _MIN_VARIANCE)
    if texture.sum() < _MIN_TEXTURED_SHARE:
        return 0.0
    alike = np.sqrt(np.maximum(variances[0] * variances[1], 0)) * _MIN_CORRELATION
    return float(texture[covariance < alike].sum() / texture.sum())


def _classify(
    line: TextLine, frame: int, lines: Sequence[Sequence[TextLine]], moves: Mask
) -> TextKind:
    """Return the kind of a line of a frame.

    Args:
        line: the line.
        frame: number of its frame.
        lines: lines of each frame in the same region.
        moves: pairs of frames between which the scene moves [n, n].
    """
    stays = np.array([any(is_same_place(line, other) for other in others) for others in lines])
    count = np.count_nonzero(stays & moves[frame])
    if count >= _MIN_STAYS:
        return TextKind.OVERLAID
    neighbors = [k for k in (frame - 1, frame + 1) if 0 <= k < len(lines)]
    is_gone = moves[frame, neighbors].any() and not count
    return TextKind.SCENE if is_gone else TextKind.AMBIGUOUS


def is_same_place(line: TextLine, other: TextLine) -> bool:
    """Return True if two lines of different frames have the same place; their texts may differ.

    The middle of a line is more exact than its corners: its box turns by a degree or two with what
    is behind it. Its length tells a sign ahead, which grows about its middle.
    """
    (middle, length, height, angle), (place, *size, direction) = map(_measure_box, (line, other))
    turned = abs((direction - angle + 90) % 180 - 90)  # either may have been read upside down
    return bool(
        np.linalg.norm(place - middle) <= max(_MIN_SHIFT, _MAX_SHIFT * height)
        and abs(size[0] / length - 1) <= _MAX_GROWTH
        and abs(size[1] / height - 1) <= _MAX_HEIGHT_CHANGE
        and turned <= _MAX_TURN_DEG
    )


def _measure_box(line: TextLine) -> tuple[NDArray[np.float32], float, float, float]:
    """Return the middle, length, height and direction (degrees) of a line."""
    start, end, _, bottom = line.corners
    along, across = end - start, bottom - start
    direction = float(np.degrees(np.arctan2(along[1], along[0])))
    return (
        (end + bottom) / 2,
        float(np.linalg.norm(along)),
        float(np.linalg.norm(across)),
        direction,
    )


def _project(frame: NDArray[np.uint8], region: int) -> NDArray[np.uint8]:
    """Return the picture of a region of a map [512, 1024, 3]: the band, or the view of a pole."""
    if region > 0:
        rotation = from_euler_deg(0, _POLE_PITCH_DEG[region - 1], 0)[None]
        return np.asarray(erp_to_view(frame[None], rotation, _POLE_CAMERA)[0], np.uint8)
    band = np.concatenate([frame[_BAND], frame[_BAND, :_REPEATED]], axis=1)
    return np.asarray(
        cv2.resize(band, None, fx=_ENLARGEMENT, fy=_ENLARGEMENT, interpolation=cv2.INTER_CUBIC),
        np.uint8,
    )


def _to_map(line: TextLine, region: int) -> Mask:
    """Return the box of a line of a region as a mask of the map, [512, 1024]."""
    if region > 0:
        view = np.zeros((_POLE_CAMERA.height, _POLE_CAMERA.width), np.uint8)
        cv2.fillPoly(view, [np.round(line.corners).astype(np.int32)], (255,))
        rotation = from_euler_deg(0, _POLE_PITCH_DEG[region - 1], 0)[None]
        levels, _ = view_to_erp(view[None, ..., None], rotation, _POLE_CAMERA, ERP_SIZE)
        return np.asarray(levels[0, ..., 0] > 127)
    band = np.zeros((_BAND.stop - _BAND.start, ERP_SIZE[1] + _REPEATED), np.uint8)
    cv2.fillPoly(band, [np.round(line.corners / _ENLARGEMENT).astype(np.int32)], (1,))
    found = np.zeros(ERP_SIZE, np.bool_)
    found[_BAND] = band[:, : ERP_SIZE[1]] > 0
    found[_BAND, :_REPEATED] |= band[:, ERP_SIZE[1] :] > 0
    return found
