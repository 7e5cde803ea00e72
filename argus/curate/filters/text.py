"""Filter for titles, subtitles and watermarks.

Overlaid text consists of rows of strokes that stay in place in the picture while the scene behind
them changes. Rows are searched at any angle and in both polarities: in the band around the map's
equator, which no edge of a view divides, and in the views of zenith and nadir.

In a row of overlaid text nearly every stroke stays, including outlines and shadows; in a wall or
fence that happens to coincide with itself many do not. A sign that passes with its wall belongs
to the scene. So does a dashboard: what surrounds it stays as well. In a still scene text cannot be
separated from the scene, and none is reported.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import ERP_SIZE, VIEW_SIDE, SampledFrames, to_gray
from argus.curate.records import Verdict
from argus.curate.thresholds import apply_threshold
from argus.curate.views import VIEW_NAMES, view_weights
from argus.sphere import solid_angle
from schemas.config import FilterSettings

GrayPicture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Slices = tuple[slice, slice]

_WINDOW = 4  # successive frames over which an overlay must stay
_BAND = slice(96, ERP_SIZE[0] - 96)
"""Rows of the map within 56° of the equator; the views of the poles reach down to 45°."""

_POLES = (VIEW_NAMES.index("up"), VIEW_NAMES.index("down"))

_STROKE = cv2.getStructuringElement(cv2.MORPH_RECT, (9, 9))
"""A stroke is up to 8 pixels (3°) wide: it vanishes in an opening or closing by this element."""

_LETTER_GAP = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
"""Letters less than 8 pixels apart belong to one row."""

_SURROUNDINGS = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))

_CELL = 16  # pixels per side of the squares in which fixed strokes are counted first
_MIN_DENSITY = 0.125  # share of a cell that fixed strokes must cover
_CONTRASTS = (25, 60)
"""Gray levels by which a stroke stands out; at the higher one text is free of faint structure."""

_MAX_FIXED_SHARE = 0.6  # share of strokes that stay, above which the scene is still
_MIN_LETTERS = 5
_MAX_LETTER = 72  # pixels (25°) of a letter, or of several that touch
_MIN_FIXED_IN_ROW = 0.7  # share of the strokes in a row, in either polarity, that must stay
_MIN_COVERAGE = 0.4  # share of a row that strokes must cover
_MAX_FIXED_AROUND = 0.06
"""Share of a row's surroundings that other fixed letter-sized strokes may cover."""

_MAX_BEND = 0.15  # height of a row's arc over its length; great circles are bent in the map
_MIN_ROW_PIXELS = 120


@dataclass(frozen=True, eq=False)
class _Region:
    """Part of the sphere in which rows are searched.

    Attributes:
        strokes: uint8 [n, 2, h, w], contrast of each pixel as part of a bright or dark stroke.
        weights: share of the sphere per pixel [h, w].
        is_closed: True if the left and right sides are neighbors.
    """

    strokes: GrayPicture
    weights: NDArray[np.float64]
    is_closed: bool = False


@dataclass(frozen=True, eq=False)
class _Letters:
    """Connected strokes of one polarity that may be letters.

    Attributes:
        mask: pixels of letters [h, w].
        labels: label of each pixel of a letter [n], in the order of the pixels.
        boxes: left, top, right and bottom (excluded) of each label, letter or not.
        is_letter: True for labels of letters.
    """

    mask: Mask
    labels: NDArray[np.int32]
    boxes: NDArray[np.int32]
    is_letter: Mask


@dataclass(frozen=True, eq=False)
class _Row:
    """Row of letters, with the space between them.

    Attributes:
        area: rows and columns of the picture.
        mask: pixels of the row within the area.
    """

    area: Slices
    mask: Mask

    def widen(self, margin: int, size: tuple[int, ...]) -> "_Row":
        """Return the row in an area with a margin on all sides, within a picture of that size."""
        area = tuple(
            slice(max(0, part.start - margin), min(length, part.stop + margin))
            for part, length in zip(self.area, size, strict=True)
        )
        pads = [
            (old.start - new.start, new.stop - old.stop)
            for old, new in zip(self.area, area, strict=True)
        ]
        return _Row((area[0], area[1]), np.pad(self.mask, pads))


class TextFilter:
    """Area of overlaid text.

    Scores:
        share: largest share of the sphere that strokes of overlaid text, with outlines, cover in
            four successive sampled frames, in [0, 1]; 0 for a single frame.
        static_share: median share of all strokes that stay in place, in [0, 1]; above 0.6 the
            scene is still and `share` is 0.

    Drops if `share` exceeds `text_share`.
    """

    name = "text"
    version = 3

    def score(self, sampled: SampledFrames) -> dict[str, float]:
        """Return the scores that the class describes."""
        count = len(sampled.frames)
        if count < 2:
            return {"share": 0.0, "static_share": 1.0}
        regions = _regions(sampled)
        windows = [_score_window(regions, k) for k in range(max(1, count - _WINDOW + 1))]
        return {
            "share": max(share for share, _ in windows),
            "static_share": float(np.median([static_share for _, static_share in windows])),
        }

    def decide(self, scores: Mapping[str, float], settings: FilterSettings) -> Verdict:
        """Keep up to and including `text_share`."""
        return apply_threshold(self.name, "share", scores, settings)


def _regions(sampled: SampledFrames) -> list[_Region]:
    """Return the band around the equator and the views of the poles."""
    band = solid_angle(ERP_SIZE)[_BAND] / (4 * np.pi)
    poles = [
        _Region(_stroke_contrast(sampled.views[:, view]), view_weights(VIEW_SIDE))
        for view in _POLES
    ]
    return [_Region(_stroke_contrast(sampled.frames[:, _BAND]), band, is_closed=True), *poles]


def _stroke_contrast(pictures: NDArray[np.uint8]) -> GrayPicture:
    """Compute the contrast of strokes in RGB pictures [n, h, w, 3].

    Returns:
        uint8 [n, 2, h, w]: gray levels above (bright strokes) and below (dark strokes) what is
        wider than a stroke.
    """
    hats = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    return np.stack(
        [[cv2.morphologyEx(gray, hat, _STROKE) for hat in hats] for gray in to_gray(pictures)]
    )


def _score_window(regions: Sequence[_Region], first: int) -> tuple[float, float]:
    """Score the window of frames that starts at `first`.

    Returns:
        Share of the sphere under overlaid text in the region that shows the most, and the share
        of strokes that stay.
    """
    current = [region.strokes[first] for region in regions]
    fixed = [_fixed_contrast(region.strokes[first : first + _WINDOW]) for region in regions]
    static_share = _count_strokes(fixed) / max(1, _count_strokes(current))
    if static_share > _MAX_FIXED_SHARE:
        return 0.0, min(1.0, static_share)
    shares = (
        _text_share(region, region_fixed, region_current, contrast)
        for region, region_fixed, region_current in zip(regions, fixed, current, strict=True)
        for contrast in _CONTRASTS
    )
    return max(shares), static_share


def _count_strokes(regions: Sequence[GrayPicture]) -> int:
    return sum(int(np.count_nonzero(strokes > _CONTRASTS[0])) for strokes in regions)


def _fixed_contrast(strokes: GrayPicture) -> GrayPicture:
    """Return each pixel's least contrast over frames [n, 2, h, w]; 0 where it varies too much."""
    least, most = strokes.min(axis=0), strokes.max(axis=0)
    return least * (most - least < least)


def _text_share(region: _Region, fixed: GrayPicture, current: GrayPicture, contrast: int) -> float:
    """Return the share of the sphere in text of more than the given contrast."""
    is_fixed, is_stroke = fixed > contrast, np.any(current > contrast, axis=0)
    if not region.is_closed:
        return float(region.weights[_find_text(is_fixed, is_stroke)].sum())
    shift = -_emptiest_column(is_fixed)
    text = _find_text(np.roll(is_fixed, shift, axis=2), np.roll(is_stroke, shift, axis=1))
    return float(region.weights[np.roll(text, -shift, axis=1)].sum())


def _emptiest_column(is_fixed: Mask) -> int:
    """Return the column around which the fewest strokes stay: where to cut a closed band open."""
    from scipy import ndimage  # takes long to import

    columns = is_fixed.any(axis=(0, 1)).astype(np.float32)
    return int(ndimage.uniform_filter1d(columns, 33, mode="wrap").argmin())


def _find_text(is_fixed: Mask, is_stroke: Mask) -> Mask:
    """Return the strokes of overlaid text [h, w].

    Args:
        is_fixed: strokes that stay, per polarity [2, h, w].
        is_stroke: all strokes of the current frame [h, w].
    """
    text = np.zeros_like(is_stroke)
    for area in _dense_areas(is_fixed[0] | is_fixed[1]):
        part = is_fixed[:, *area]
        if max(map(np.count_nonzero, part)) >= _MIN_ROW_PIXELS:
            text[area] |= _overlaid_strokes(part, is_stroke[area])
    return text


def _dense_areas(strokes: Mask) -> Iterator[Slices]:
    """Yield the areas of connected cells with many strokes, with the cells around them."""
    height, width = strokes.shape
    share = cv2.resize(
        strokes.view(np.uint8) * np.uint8(255),
        (width // _CELL, height // _CELL),
        interpolation=cv2.INTER_AREA,
    )
    near = cv2.dilate((share > 255 * _MIN_DENSITY).view(np.uint8), np.ones((3, 3), np.uint8))
    boxes = cv2.connectedComponentsWithStats(near, connectivity=8)[2]
    for left, top, box_width, box_height in (boxes[1:, :4] * _CELL).tolist():
        yield (
            slice(max(0, top - _CELL), top + box_height + _CELL),
            slice(max(0, left - _CELL), left + box_width + _CELL),
        )


def _overlaid_strokes(is_fixed: Mask, is_stroke: Mask) -> Mask:
    """Return the strokes of those rows of text around which little else stays, [h, w].

    Args:
        is_fixed: strokes that stay, per polarity [2, h, w].
        is_stroke: all strokes of the current frame [h, w].
    """
    strokes = is_fixed[0] | is_fixed[1]
    found = [_find_letters(polarity) for polarity in is_fixed]
    rows = [
        row
        for letters in found
        if len(letters.labels) >= _MIN_ROW_PIXELS
        for row in _find_rows(letters)
        if _is_fixed_row(strokes[row.area][row.mask], is_stroke[row.area][row.mask])
    ]
    if not rows:
        return np.zeros_like(is_stroke)
    text, overlaid = np.zeros_like(is_stroke), np.zeros_like(is_stroke)
    for row in rows:
        text[row.area] |= row.mask
    for row in rows:
        wide = row.widen(_SURROUNDINGS.shape[0] // 2, is_stroke.shape)
        near = cv2.dilate(wide.mask.view(np.uint8), _SURROUNDINGS).view(np.bool_)
        around = near & ~text[wide.area]
        others = found[0].mask[wide.area] | found[1].mask[wide.area]
        if np.count_nonzero(others & around) <= _MAX_FIXED_AROUND * np.count_nonzero(around):
            overlaid[row.area] |= row.mask & strokes[row.area]
    return overlaid


def _is_fixed_row(fixed: Mask, current: Mask) -> bool:
    """Return True if the fixed strokes are most strokes of a row and cover much of it.

    Args:
        fixed: fixed strokes at the pixels of the row [n].
        current: all strokes at the pixels of the row [n].
    """
    least = max(_MIN_FIXED_IN_ROW * np.count_nonzero(current), _MIN_COVERAGE * fixed.size)
    return bool(np.count_nonzero(fixed) >= least)


def _find_letters(is_fixed: Mask) -> _Letters:
    """Find the strokes of one polarity [h, w] that are as large as a letter, off the border."""
    _, labels, boxes, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        is_fixed.view(np.uint8), 8, cv2.CV_32S, cv2.CCL_BBDT
    )  # the default takes 2.5 times as long
    first, size = boxes[:, :2], boxes[:, 2:4]
    longest = size.max(axis=1)
    is_letter = (boxes[:, cv2.CC_STAT_AREA] >= 6) & (longest >= 4) & (longest <= _MAX_LETTER)
    is_letter &= (first > 0).all(axis=1) & (first + size < is_fixed.shape[::-1]).all(axis=1)
    pixels = np.flatnonzero(is_fixed)
    labels = labels.ravel()[pixels]
    is_own = is_letter[labels]
    mask = np.zeros_like(is_fixed)
    mask.ravel()[pixels[is_own]] = True
    return _Letters(mask, labels[is_own], np.concatenate([first, first + size], axis=1), is_letter)


def _find_rows(letters: _Letters) -> Iterator[_Row]:
    """Yield rows: groups of nearby letters with the space between them."""
    group_count, group_of_pixel = cv2.connectedComponents(
        cv2.dilate(letters.mask.view(np.uint8), _LETTER_GAP), connectivity=8
    )
    groups = group_of_pixel[letters.mask]
    group = np.zeros(len(letters.boxes), np.int64)
    group[letters.labels] = groups
    letters_per_group = np.bincount(group[letters.is_letter], minlength=group_count)
    for number in np.flatnonzero(letters_per_group >= _MIN_LETTERS):
        area = _area_of(letters.boxes[letters.is_letter & (group == number)], letters.mask.shape)
        row = _Row(area, group_of_pixel[area] == number)
        if _is_row(row.mask & letters.mask[area], letters.labels[groups == number]):
            yield row


def _area_of(boxes: NDArray[np.int32], size: tuple[int, ...]) -> Slices:
    """Return the area of a group of letters, with their gaps, in a picture of that size."""
    reach = _LETTER_GAP.shape[0] // 2
    left, top = np.maximum(boxes[:, :2].min(axis=0) - reach, 0).tolist()
    right, bottom = np.minimum(boxes[:, 2:].max(axis=0) + reach, size[::-1]).tolist()
    return slice(top, bottom), slice(left, right)


def _is_row(strokes: Mask, labels: NDArray[np.int32]) -> bool:
    """Return True if letters lie in a row and stand across it.

    The dashes of a broken line, such as a curb ahead, lie along it instead.

    Args:
        strokes: pixels of the letters [h, w].
        labels: the letter of each of these pixels [n], in their order.
    """
    if len(labels) < _MIN_ROW_PIXELS:
        return False
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    along, across = _straighten(strokes)
    row_length, row_height = np.ptp(along) + 1, np.ptp(across) + 1
    letter_length, letter_height = (
        np.median(
            np.maximum.reduceat(position[order], starts)
            - np.minimum.reduceat(position[order], starts)
            + 1
        )
        for position in (along, across)
    )
    return bool(
        9 <= row_height <= 70
        and row_length >= 1.5 * row_height
        and len(labels) >= 0.18 * row_height * row_length
        and letter_height >= 0.65 * letter_length
    )


def _straighten(strokes: Mask) -> NDArray[np.float64]:
    """Return the position of each stroke pixel along and across its row, [2, n].

    The row may be an arc of up to `_MAX_BEND`, which is removed.
    """
    points = np.argwhere(strokes).astype(np.float64)
    points -= points.mean(axis=0)
    along, across = (points @ np.linalg.eigh(points.T @ points)[1]).T[::-1]
    arc = np.polyfit(along, across, 2)
    length = np.ptp(along)
    arc[0] = np.clip(arc[0] * length / 4, -_MAX_BEND, _MAX_BEND) * 4 / length if length else 0.0
    return np.stack([along, across - np.polyval(arc, along)])
