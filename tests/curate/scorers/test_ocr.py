"""Boxes from probability maps, lines made upright, and the decoding of characters."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from argus.curate.scorers.ocr import (
    TextLine,
    TextReader,
    decode_ctc,
    find_boxes,
    is_readable,
    order_corners,
    straighten,
)
from argus.errors import InvalidInput

CHARACTERS = ("", "a", "b", "7", " ")
BOX = np.array([[0, 0], [9, 0], [9, 3], [0, 3]], np.float32)


def draw_core(
    center: tuple[float, float], size: tuple[float, float], angle_deg: float, level: float = 0.9
) -> NDArray[np.float32]:
    """Return a probability map [120, 200] with one core."""
    corners = cv2.boxPoints((center, size, angle_deg))
    found = np.zeros((120, 200), np.float32)
    cv2.fillPoly(found, [np.round(corners).astype(np.int32)], (level,))
    return found


def sides(corners: NDArray[np.float32]) -> tuple[float, float]:
    return float(np.linalg.norm(corners[1] - corners[0])), float(
        np.linalg.norm(corners[2] - corners[1])
    )


@pytest.mark.parametrize("angle_deg", [0.0, 20.0, -35.0, 80.0])
def test_a_core_grows_by_its_area_over_its_perimeter(angle_deg: float) -> None:
    (corners,) = find_boxes(draw_core((100, 60), (90, 12), angle_deg))
    growth = 91 * 13 / (2 * (91 + 13)) * 1.6 * 2
    assert sides(corners) == pytest.approx((91 + growth, 13 + growth), abs=3)
    assert corners.mean(axis=0).tolist() == pytest.approx([100, 60], abs=1)
    tilt = math.degrees(math.atan2(*(corners[1] - corners[0])[::-1].tolist()))
    assert tilt == pytest.approx(angle_deg, abs=2)


@pytest.mark.parametrize(
    ("size", "level"),
    [
        pytest.param((90, 12), 0.45, id="faint"),
        pytest.param((90, 12), 0.2, id="improbable"),
        pytest.param((40, 1), 0.9, id="thin"),
        pytest.param((1, 1), 0.9, id="dot"),
    ],
)
def test_faint_and_thin_cores_are_no_lines(size: tuple[float, float], level: float) -> None:
    assert not list(find_boxes(draw_core((100, 60), size, 0, level)))


def test_two_lines_are_two_boxes() -> None:
    both = draw_core((60, 30), (80, 10), 0) + draw_core((120, 90), (80, 10), 0)
    assert len(list(find_boxes(both))) == 2


def test_probabilities_that_are_not_finite_are_errors() -> None:
    damaged = draw_core((100, 60), (90, 12), 0)
    damaged[0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        list(find_boxes(damaged))
    with pytest.raises(ValueError, match="finite"):
        decode_ctc(np.full((4, 5), np.nan, np.float32), CHARACTERS)


@pytest.mark.parametrize("first", range(4))
def test_a_line_starts_at_the_left_of_its_upper_edge(first: int) -> None:
    corners = np.array([[10, 10], [90, 20], [88, 36], [8, 26]], np.float32)
    ordered = order_corners(np.roll(corners, first, axis=0))
    assert ordered.tolist() == corners.tolist()


@pytest.mark.parametrize("first", range(4))
def test_a_vertical_line_runs_downward(first: int) -> None:
    corners = np.array([[30, 10], [30, 90], [14, 90], [14, 10]], np.float32)
    ordered = order_corners(np.roll(corners, first, axis=0))
    assert ordered.tolist() == corners.tolist()


@pytest.mark.parametrize("angle_deg", [0.0, 15.0, -40.0])
def test_a_line_is_made_upright(angle_deg: float) -> None:
    picture = np.zeros((120, 200, 3), np.uint8)
    corners = order_corners(cv2.boxPoints(((100, 60), (96, 24), angle_deg)))
    start_half = np.stack(
        [corners[0], (corners[0] + corners[1]) / 2, (corners[2] + corners[3]) / 2, corners[3]]
    )
    cv2.fillPoly(picture, [np.round(start_half).astype(np.int32)], (255, 255, 255))
    line = straighten(picture, corners)
    assert line.shape == (48, 192, 3)
    assert line[8:-8, 10:86].min() > 250
    assert line[8:-8, 106:-10].max() < 5


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        pytest.param([0, 1, 1, 0, 2, 0], "ab", id="repeated"),
        pytest.param([1, 0, 1, 2, 2], "aab", id="separated"),
        pytest.param([0, 0, 0], "", id="blank"),
        pytest.param([3, 4, 3], "7 7", id="space"),
    ],
)
def test_characters_are_decoded_by_the_best_path(classes: list[int], text: str) -> None:
    probability = np.full((len(classes), len(CHARACTERS)), 0.05, np.float32)
    probability[np.arange(len(classes)), classes] = 0.8
    assert decode_ctc(probability, CHARACTERS) == (text, pytest.approx(0.8 if text else 0.0))


@pytest.mark.parametrize(
    ("text", "confidence", "expected"),
    [
        ("EXIT", 0.9, True),
        ("00:12", 0.8, True),
        ("出口", 0.9, True),
        ("EXIT", 0.6, False),
        ("A", 0.99, False),
        ("IIII", 0.99, False),
        ("--==", 0.99, False),
        ("", 0.0, False),
    ],
)
def test_text_is_what_can_be_read(text: str, confidence: float, *, expected: bool) -> None:
    assert is_readable(TextLine(BOX, text, confidence)) is expected


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra `pretrained` is not installed")
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(InvalidInput, match=r"a\.onnx"):
        TextReader.load(tmp_path / "a.onnx", tmp_path / "a.onnx")
