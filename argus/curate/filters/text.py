"""Titles, subtitles and watermarks: rows of strokes that stay where they are in the picture while the world behind them moves on.

Looked for at any angle and in either polarity, along the map's equator, which no edge divides, and in the views of zenith and nadir. Within a row
of overlaid text nearly every stroke stays, those of its outline or shadow too; of a wall or a fence that happens to fall on itself many do not. A
sign that passes by with its wall belongs to the world; so does a dashboard, whose surroundings stay as well. In a scene that is still nothing can
be told apart, and nothing is found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from argus.curate.frame_sampling import SIZE, VIEW_SIDE, Samples, greys
from argus.curate.records import Verdict
from argus.curate.views import VIEW_NAMES, view_weights
from argus.sphere import solid_angle
from schemas.config import FilterPolicy
from schemas.names import Reason

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Place = tuple[slice, slice]

_WINDOW = 4  # moments through which an overlay stays
_BAND = slice(
    96, SIZE[0] - 96
)  # rows of the map within 56° of the equator; the views of the poles begin at 45° or before
_POLES = (VIEW_NAMES.index("up"), VIEW_NAMES.index("down"))
_THIN = cv2.getStructuringElement(
    cv2.MORPH_RECT, (9, 9)
)  # what an opening or closing by this removes is a stroke: up to 8 pixels (3°) wide
_REACH = cv2.getStructuringElement(
    cv2.MORPH_ELLIPSE, (9, 9)
)  # letters less than 8 pixels apart are of one row
_AROUND = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (25, 25))
_CELL = 16  # pixels, a side of the squares in which strokes that stay are counted first; in most there are too few
_DENSE = 0.125  # share of a cell
_LEVELS = (
    25,
    60,
)  # grey levels that a stroke stands out by; text that touches others in what is faint is alone in what is not
_STILL = 0.6  # share of strokes that stay, from which on the scene is still
_LETTERS = 5  # that make a row
_LARGEST = 72  # pixels (25°) of a letter, or of several that touch
_OWN = 0.7  # share of the strokes within a row, in either polarity, that must stay
_COVERED = 0.4  # share of a row that they must cover
_BUSY = 0.06  # share of its surroundings that other letter-sized strokes which stay may cover: behind an overlay the world changes, or is blank
_BENT = 0.15  # how high the arc of a row may be, as a share of its length: a great circle's in the map, but no corner's
_LEAST_PIXELS = 120  # of a row's letters


@dataclass(frozen=True, eq=False)
class _Part:
    """Part of the sphere, in which rows are looked for."""

    strokes: Picture  # [n, 2, h, w], how far each pixel stands out as part of a bright or a dark stroke at each moment
    weights: NDArray[np.float64]  # [h, w], share of the sphere
    closed: bool = False  # whether its sides meet


class TextFilter:
    """Drops when overlaid text covers more of the sphere than the policy allows."""

    name = "text"
    version = 3

    def score(self, samples: Samples) -> dict[str, float]:
        """`share` of the sphere that strokes of overlaid text, their outlines included, cover in the worst four successive moments; `staying`, the
        median share of all strokes that stay where they are: where that is above 0.6, and where there are not two moments, `share` is 0."""
        count = len(samples.frames)
        if count < 2:
            return {"share": 0.0, "staying": 1.0}
        parts = _parts(samples)
        found = [_window(parts, k) for k in range(max(1, count - _WINDOW + 1))]
        return {
            "share": max(share for share, _ in found),
            "staying": float(np.median([staying for _, staying in found])),
        }

    def decide(self, scores: Mapping[str, float], policy: FilterPolicy) -> Verdict:
        """Kept up to and including `text_share`."""
        share = scores["share"]
        kept = share <= policy.text_share
        return Verdict(
            self.name, "share", kept, None if kept else Reason.TEXT, share, policy.text_share
        )


def _parts(samples: Samples) -> list[_Part]:
    """The band about the equator, and the views of the poles."""
    band = solid_angle(SIZE)[_BAND] / (4 * np.pi)
    poles = [_Part(_strokes(samples.views[:, view]), view_weights(VIEW_SIDE)) for view in _POLES]
    return [_Part(_strokes(samples.frames[:, _BAND]), band, closed=True), *poles]


def _strokes(pictures: Picture) -> Picture:
    """How far each pixel of some pictures [n, h, w, 3] stands out from what is wider than a stroke: bright ones, dark ones; [n, 2, h, w]."""
    hats = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    return np.stack(
        [[cv2.morphologyEx(grey, hat, _THIN) for hat in hats] for grey in greys(pictures)]
    )


def _window(parts: Sequence[_Part], first: int) -> tuple[float, float]:
    """(share of the sphere under overlaid text in the part that shows the most, share of strokes that stay) from a moment on."""
    now = [part.strokes[first] for part in parts]
    lasting = [_lasting(part.strokes[first : first + _WINDOW]) for part in parts]
    staying = sum(np.count_nonzero(one > _LEVELS[0]) for one in lasting) / max(
        1, sum(np.count_nonzero(one > _LEVELS[0]) for one in now)
    )
    if staying > _STILL:
        return 0.0, min(1.0, staying)
    return max(
        _share(*one, level) for one in zip(parts, lasting, now, strict=True) for level in _LEVELS
    ), staying


def _lasting(strokes: Picture) -> Picture:
    """How far each pixel stands out in all of some moments [n, 2, h, w] alike; 0 where it does not stay."""
    least, most = strokes.min(axis=0), strokes.max(axis=0)
    return np.where(most // 2 < least, least, 0).astype(np.uint8, copy=False)


def _share(part: _Part, lasting: Picture, now: Picture, level: int) -> float:
    """Of the sphere, in text that stands out by more than a level."""
    stays, there = lasting > level, (now > level).any(axis=0)
    turn = -_gap(stays) if part.closed else 0
    text = _text(np.roll(stays, turn, axis=2), np.roll(there, turn, axis=1))
    return float(part.weights[np.roll(text, -turn, axis=1)].sum())


def _gap(stays: Mask) -> int:
    """The column about which the fewest strokes stay: where a closed band [2, h, w] can be cut open."""
    columns = stays.any(axis=(0, 1)).astype(np.float32)
    return int(ndimage.uniform_filter1d(columns, 33, mode="wrap").argmin())


def _text(stays: Mask, now: Mask) -> Mask:
    """The strokes of overlaid text in a picture; of the strokes that stay [2, h, w] and of all there are now [h, w]."""
    text = np.zeros_like(now)
    for place in _dense(stays[0] | stays[1]):
        there = stays[:, *place]
        if max(map(np.count_nonzero, there)) >= _LEAST_PIXELS:
            text[place] |= _overlaid(there, now[place])
    return text


def _dense(strokes: Mask) -> Iterator[Place]:
    """Where cells are full enough, with those around them."""
    height, width = strokes.shape
    share = cv2.resize(
        strokes.view(np.uint8) * np.uint8(255),
        (width // _CELL, height // _CELL),
        interpolation=cv2.INTER_AREA,
    )
    near = cv2.dilate((share > 255 * _DENSE).view(np.uint8), np.ones((3, 3), np.uint8))
    boxes = cv2.connectedComponentsWithStats(near, connectivity=8)[2]
    for left, top, across, down in (boxes[1:, :4] * _CELL).tolist():
        yield (
            slice(max(0, top - _CELL), top + down + _CELL),
            slice(max(0, left - _CELL), left + across + _CELL),
        )


def _overlaid(stays: Mask, now: Mask) -> Mask:
    """The strokes of rows of text around which little stays; of those that stay [2, h, w] and of all there are now [h, w]."""
    strokes = stays[0] | stays[1]
    letters, rows = np.zeros_like(now), []
    for polarity in stays:
        labels, boxes, letter = _letters(polarity)
        letters |= letter[labels]
        rows += [row for row in _rows(labels, boxes, letter) if _belongs(strokes[row], now[row])]
    text = np.any(rows, axis=0) if rows else np.zeros_like(now)
    kept = np.zeros_like(now)
    for row in rows:
        around = (cv2.dilate(row.view(np.uint8), _AROUND) > 0) & ~text
        if np.count_nonzero(letters & around) <= _BUSY * np.count_nonzero(around):
            kept |= row & strokes
    return kept


def _belongs(strokes: Mask, now: Mask) -> bool:
    """Whether a row's strokes that stay are most of those that there are, and much of the row; of the pixels of its blob."""
    return bool(
        np.count_nonzero(strokes) >= max(_OWN * np.count_nonzero(now), _COVERED * strokes.size)
    )


def _letters(stays: Mask) -> tuple[NDArray[np.int32], NDArray[np.int32], Mask]:
    """Connected strokes of one polarity: the number of each pixel's one [h, w], their boxes and areas [n, 5], and which are as large as letters
    and whole."""
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(stays.view(np.uint8), connectivity=8)
    first, size = boxes[:, :2], boxes[:, 2:4]
    letter = (
        (boxes[:, cv2.CC_STAT_AREA] >= 6) & (size.max(axis=1) >= 4) & (size.max(axis=1) <= _LARGEST)
    )
    letter &= (first > 0).all(axis=1) & (first + size < stays.shape[::-1]).all(axis=1)
    return labels, boxes, letter


def _rows(labels: NDArray[np.int32], boxes: NDArray[np.int32], letter: Mask) -> Iterator[Mask]:
    """Letters less than a reach apart and the space between them, where there are enough and they form a row."""
    kept = letter[labels]
    groups, group_of = cv2.connectedComponents(
        cv2.dilate(kept.view(np.uint8), _REACH), connectivity=8
    )
    group = np.zeros(len(boxes), np.int64)
    group[labels[kept]] = group_of[kept]
    for number in np.flatnonzero(np.bincount(group[letter], minlength=groups) >= _LETTERS):
        row = group_of == number
        if _is_row(row & kept, labels, np.flatnonzero(letter & (group == number))):
            yield row


def _is_row(strokes: Mask, labels: NDArray[np.int32], letters: NDArray[np.int64]) -> bool:
    """Whether letters lie in a row, rather than in a heap, and stand across it; the dashes of a broken line, such as a kerb ahead, lie along it."""
    if np.count_nonzero(strokes) < _LEAST_PIXELS:
        return False
    of = labels[strokes]
    along, across = _straightened(strokes)
    long, high = np.ptp(along) + 1, np.ptp(across) + 1
    lengths, heights = (
        np.median(ndimage.maximum(way, of, letters) - ndimage.minimum(way, of, letters) + 1)
        for way in (along, across)
    )
    return bool(
        9 <= high <= 70
        and long >= 1.5 * high
        and len(of) >= 0.18 * high * long
        and heights >= 0.65 * lengths
    )


def _straightened(strokes: Mask) -> NDArray[np.float64]:
    """How far along a row and how far across it each pixel of its strokes lies, [2, n], where the row may be bent by up to `_BENT`."""
    places = np.argwhere(strokes) - np.argwhere(strokes).mean(axis=0)
    along, across = (places @ np.linalg.eigh(places.T @ places)[1]).T[::-1]
    bend = np.polyfit(along, across, 2)
    bend[0] = (
        np.clip(bend[0] * np.ptp(along) / 4, -_BENT, _BENT) * 4 / np.ptp(along)
        if np.ptp(along)
        else 0.0
    )
    return np.stack([along, across - np.polyval(bend, along)])
