"""Titles, subtitles and watermarks: rows of strokes that stay where they are in the picture while the world behind them moves on.

Looked for on six views of the sphere, at any angle and in either polarity. A sign that passes by with its wall belongs to the world; so does a
dashboard, whose surroundings stay as well. In a scene that is still nothing can be told apart, and nothing is found.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from argus.curate.records import Verdict
from argus.curate.samples import VIEW_SIDE, Samples
from argus.curate.views import view_weights
from schemas.config import FilterPolicy
from schemas.names import Reason

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_WINDOW = 4  # moments through which an overlay stays
_THIN = cv2.getStructuringElement(cv2.MORPH_RECT, (9, 9))  # what an opening or closing by this removes is a stroke: up to 8 pixels (3°) wide
_REACH = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))  # letters less than 8 pixels apart are of one row
_AROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
_STROKE = 25  # grey levels that a stroke stands out by
_STILL = 0.6  # share of strokes that stay, from which on the scene is still
_BUSY = 0.06  # share of a row's surroundings that other strokes that stay may cover: behind an overlay the world changes, or is blank
_OWN = 0.28  # share of the strokes between a row's letters that must be the row's own: of a wall of bricks some always fall on others
_LEAST_PIXELS = 100  # of a view; fewer are no row of letters


@dataclass(frozen=True, eq=False)
class _Row:
    """Strokes that lie close together in a view, and the shape of the whole."""

    strokes: Mask  # [side, side]
    blob: Mask  # the same with the space between them
    like_text: bool


class TextFilter:
    """Drops when overlaid text covers more of the sphere than the policy allows."""

    name = "text"
    version = 1

    def score(self, samples: Samples) -> dict[str, float]:
        """`share` of the sphere that strokes of overlaid text cover, in the worst four successive moments; `staying`, the median share of all
        strokes that stay where they are: where that is above 0.6, and where there are not two moments, `share` is 0."""
        if len(samples.frames) < 2:
            return {"share": 0.0, "staying": 1.0}
        strokes = np.stack([[_strokes(view) for view in six] for six in samples.views])  # [n, 6, 2, side, side]
        found = [_window(strokes[k : k + _WINDOW]) for k in range(max(1, len(strokes) - _WINDOW + 1))]
        return {"share": max(share for share, _ in found), "staying": float(np.median([staying for _, staying in found]))}

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `text_share`."""
        share = scores["share"]
        kept = share <= policy.text_share
        return Verdict(self.name, "share", kept, None if kept else Reason.TEXT, share, policy.text_share)


def _strokes(view: Picture) -> Picture:
    """How far each pixel of a view [side, side, 3] stands out from what is wider than a stroke: bright ones, dark ones; [2, side, side]."""
    grey = cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)
    return np.stack([cv2.morphologyEx(grey, operation, _THIN) for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)])


def _window(strokes: Picture) -> tuple[float, float]:
    """(share of the sphere under overlaid text, share of strokes that stay) of some moments' strokes [n, 6, 2, side, side]."""
    least, most = strokes.min(axis=0), strokes.max(axis=0)
    stays = (least > _STROKE) & (most // 2 < least)
    now = strokes[0] > _STROKE
    staying = float(stays.sum() / max(1, now.sum()))
    if staying > _STILL:
        return 0.0, min(1.0, staying)
    weights = view_weights(VIEW_SIDE)
    share = sum(float(weights[row].sum()) for view in range(6) for row in _overlaid(stays[view], now[view].any(axis=0)))
    return share, staying


def _overlaid(stays: Mask, now: Mask) -> Iterator[Mask]:
    """The strokes of each text-like row of a view within which much and around which little stays; of what stays [2, side, side] and is there now."""
    rows = [row for polarity in stays if polarity.sum() >= _LEAST_PIXELS for row in _rows(polarity) if row.like_text]
    if not rows:
        return
    text = np.any([row.blob for row in rows], axis=0)
    other = stays.any(axis=0) & ~text
    for row in rows:
        around = (cv2.dilate(row.blob.view(np.uint8), _AROUND) > 0) & ~text
        if other[around].mean() <= _BUSY and row.strokes.sum() >= _OWN * now[row.blob].sum():
            yield row.strokes


def _rows(stays: Mask) -> Iterator[_Row]:
    """Groups of at least five letter-sized strokes."""
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(stays.view(np.uint8), connectivity=8)
    width, height, area = boxes[:, cv2.CC_STAT_WIDTH], boxes[:, cv2.CC_STAT_HEIGHT], boxes[:, cv2.CC_STAT_AREA]
    size = np.maximum(width, height)
    letter = (area >= 6) & (size >= 4) & (size <= 40)
    letter[0] = False
    kept = letter[labels]
    groups, group_of, group_boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(kept.view(np.uint8), _REACH), connectivity=8)
    group = np.zeros(count, np.int64)
    group[labels[kept]] = group_of[kept]
    for number in np.flatnonzero(np.bincount(group[letter], minlength=groups) >= 5):
        letters = np.flatnonzero(letter & (group == number))
        blob = group_of == number
        strokes = blob & kept
        sides = sorted(side + 1 for side in cv2.minAreaRect(cv2.findNonZero(strokes.view(np.uint8)))[1])
        density = strokes.sum() / group_boxes[number, cv2.CC_STAT_AREA]
        solid = np.median(area[letters] / (width[letters] * height[letters]))
        spread = size[letters].std() / size[letters].mean()
        shaped = 7 <= sides[0] <= 70 and sides[1] >= 1.5 * sides[0] and density >= 0.18 and strokes.sum() >= 120
        lettered = solid <= 0.62 and spread <= 0.8 and np.median(size[letters]) >= 6
        yield _Row(strokes, blob, bool(shaped and lettered and _tallness(labels, strokes, letters) >= 0.65))


def _tallness(labels: NDArray[np.int32], strokes: Mask, letters: NDArray[np.int64]) -> float:
    """How high letters are across their row, over how long along it; the dashes of a broken line, such as a kerb ahead, are long."""
    rows, columns = np.nonzero(strokes)
    places = np.stack([columns, rows], axis=1) - np.array([columns.mean(), rows.mean()])
    along, across = (places @ np.linalg.eigh(places.T @ places)[1]).T[::-1]
    of = labels[rows, columns]
    lengths, heights = (ndimage.maximum(way, of, letters) - ndimage.minimum(way, of, letters) + 1 for way in (along, across))
    return float(np.median(heights) / np.median(lengths))
