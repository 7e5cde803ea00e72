"""Optical character recognition: lines of text in a picture, with the networks of PP-OCRv4.

Detection is DB (Liao et al. 2020, "Real-time scene text detection with differentiable
binarization"): a probability map of the cores of lines, each of which is then grown to its line.
Recognition is CTC (Graves et al. 2006) over columns of a line that was made upright. A region is
text only if it can be read, so that railings, windows and bricks are not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.errors import InvalidInput

_MEAN_BGR, _STD_BGR = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # as the detector was trained
_STRIDE = 32  # pixels; sides of the detector's input are multiples of it
_MIN_PROBABILITY = 0.3  # of a pixel to be the core of a line
_MIN_BOX_PROBABILITY = 0.5  # mean of a box
_GROWTH = 1.6  # area over perimeter, by which a core was shrunk in training
_MIN_CORE, _MIN_HEIGHT = 3.0, 5.0  # pixels of a core's and a line's shorter side

_READ_HEIGHT = 48  # pixels of a line that is read
_MIN_READ_WIDTH, _MAX_READ_WIDTH = 320, 960
_MIN_CONFIDENCE = 0.7  # mean probability of the characters of a line
_MIN_CHARACTERS = 2  # letters and digits, not all the same


@dataclass(frozen=True, eq=False)
class TextLine:
    """A line of text in a picture.

    Attributes:
        corners: float32 [4, 2], pixel coordinates (x, y) clockwise from the start of the line's
            upper edge.
        text: the characters.
        confidence: mean probability of the characters, in [0, 1].
    """

    corners: NDArray[np.float32]
    text: str
    confidence: float


class TextReader:
    """Pair of networks that find and read lines of text."""

    def __init__(self, detector: Any, recognizer: Any, characters: Sequence[str]) -> None:
        self._detector = detector
        self._recognizer = recognizer
        self._characters = ("", *characters, " ")  # blank, those of the model, space

    @classmethod
    def load(cls, detector: Path, recognizer: Path) -> Self:
        """Load ONNX models; the list of characters is in the recognizer's metadata.

        Raises:
            InvalidInput: a file is no such model.
        """
        reading = _open_session(recognizer)
        characters = reading.get_modelmeta().custom_metadata_map.get("character", "")
        reader = cls(_open_session(detector), reading, characters.splitlines())
        count = reading.get_outputs()[0].shape[-1]
        if count != len(reader._characters):
            raise InvalidInput(
                f"{recognizer} tells {count} characters apart, but lists "
                f"{len(reader._characters)}; it is no recognition model of PP-OCRv4"
            )
        return reader

    def read_lines(self, picture: NDArray[np.uint8]) -> list[TextLine]:
        """Find and read the lines of text in an RGB picture [H, W, 3].

        A line that cannot be read is read upside down: near a pole, up is anywhere.
        """
        bgr = np.ascontiguousarray(picture[..., ::-1])
        found: list[TextLine] = []
        for corners in find_boxes(self._detect(bgr)):
            ways = (self._read(bgr, way) for way in (corners, np.roll(corners, 2, axis=0)))
            found += islice(filter(is_readable, ways), 1)
        return found

    def _detect(self, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability that a pixel is in the core of a line, [H, W]."""
        values = (bgr.astype(np.float32) / 255 - _MEAN_BGR) / _STD_BGR
        height, width = bgr.shape[:2]
        padded = np.pad(values, ((0, -height % _STRIDE), (0, -width % _STRIDE), (0, 0)))
        (probability,) = self._detector.run(None, {"x": _to_batch(padded)})
        return np.asarray(probability[0, 0, :height, :width])

    def _read(self, bgr: NDArray[np.uint8], corners: NDArray[np.float32]) -> TextLine:
        values = straighten(bgr, corners).astype(np.float32) / 127.5 - 1
        padding = max(0, _MIN_READ_WIDTH - values.shape[1])
        padded = np.pad(values, ((0, 0), (0, padding), (0, 0)))
        (probability,) = self._recognizer.run(None, {"x": _to_batch(padded)})
        text, confidence = decode_ctc(probability[0], self._characters)
        return TextLine(corners, text, confidence)


def find_boxes(probability: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield the boxes of lines of text from a probability map [H, W] of their cores.

    Raises:
        ValueError: a probability is not finite.
    """
    if not np.isfinite(probability).all():
        raise ValueError("the probability map of text is not finite")
    is_core = (probability > _MIN_PROBABILITY).astype(np.uint8)
    contours, _ = cv2.findContours(is_core, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours:
        center, size, angle = cv2.minAreaRect(contour)
        core = np.asarray(size) + 1  # a contour runs through the middles of pixels
        if core.min() < _MIN_CORE:
            continue
        if _mean_inside(probability, cv2.boxPoints((center, size, angle))) < _MIN_BOX_PROBABILITY:
            continue
        grown = core + core.prod() / core.sum() * _GROWTH  # area over perimeter on either side
        if grown.min() >= _MIN_HEIGHT:
            yield order_corners(cv2.boxPoints((center, tuple(grown.tolist()), angle)))


def order_corners(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Order a rectangle's corners [4, 2] from the start of its upper edge, which is a longer one.

    The line is taken to run to the right, or downward if it is vertical.
    """
    if np.linalg.norm(corners[1] - corners[0]) < np.linalg.norm(corners[2] - corners[1]):
        corners = np.roll(corners, -1, axis=0)
    along = corners[1] - corners[0]
    if along[0] < -1e-3 * abs(along[1]) or (along[0] <= 0 and along[1] < 0):
        corners = np.roll(corners, 2, axis=0)
    return np.asarray(corners, np.float32)


def straighten(picture: NDArray[np.uint8], corners: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut a line of text out of a picture and make it upright, [48, w, 3]."""
    length, height = (np.linalg.norm(corners[k + 1] - corners[k]) for k in (0, 1))
    width = int(np.clip(round(length / height * _READ_HEIGHT), _READ_HEIGHT, _MAX_READ_WIDTH))
    target = np.array([[0, 0], [width, 0], [width, _READ_HEIGHT]], np.float32)
    warp = cv2.getAffineTransform(np.ascontiguousarray(corners[:3]), target)
    return np.asarray(
        cv2.warpAffine(
            picture,
            warp,
            (width, _READ_HEIGHT),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def decode_ctc(probability: NDArray[np.float32], characters: Sequence[str]) -> tuple[str, float]:
    """Decode a line by its best path: repeated classes count once, and class 0 is no character.

    Args:
        probability: [columns, classes].
        characters: character of each class.

    Returns:
        The text, and the mean probability of its characters (0 without any).

    Raises:
        ValueError: a probability is not finite.
    """
    best, likely = probability.argmax(axis=1), probability.max(axis=1)
    if not np.isfinite(likely).all():
        raise ValueError("the probabilities of characters are not finite")
    is_character = (best != 0) & (np.diff(best, prepend=0) != 0)
    if not is_character.any():
        return "", 0.0
    return "".join(characters[k] for k in best[is_character]), float(likely[is_character].mean())


def is_readable(line: TextLine) -> bool:
    """Return True for at least two different letters or digits that were read with confidence."""
    written = [character for character in line.text if character.isalnum()]
    return (
        line.confidence >= _MIN_CONFIDENCE
        and len(written) >= _MIN_CHARACTERS
        and len(set(written)) > 1
    )


def _mean_inside(values: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    inside = np.zeros(values.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(corners).astype(np.int32)], (1,))
    return float(cv2.mean(values, inside)[0])


def _to_batch(picture: NDArray[Any]) -> NDArray[np.float32]:
    """Return [1, 3, H, W] of a picture [H, W, 3]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)


def _open_session(path: Path) -> Any:
    """Open an ONNX model on one thread, so that results do not depend on the machine.

    The model is passed as bytes: it has no folder from which it could refer to other files.
    """
    import onnxruntime  # type: ignore[import-untyped, import-not-found, unused-ignore]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(
            path.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the package raises its own classes, which it does not export
        raise InvalidInput(f"{path} cannot be read as an ONNX model: {error}") from error
