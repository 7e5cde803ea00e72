"""Where lines stay, and between which frames a scene moves; the networks are tested with weights."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from argus.curate.scorers import find_scorers, load_scorers
from argus.curate.scorers.ocr import TextLine
from argus.curate.scorers.text_ocr import TextScorer, find_moving_pairs, is_same_place
from argus.errors import InvalidInput
from argus.networks import accept_weights
from argus.synth import Motion
from tests.support.sampled_frames import sample_brick_walk, sample_world


def line_at(
    center: tuple[float, float], size: tuple[float, float] = (100, 20), angle_deg: float = 0
) -> TextLine:
    points = cv2.boxPoints((center, size, angle_deg))
    return TextLine(np.asarray(np.roll(points, -1, axis=0), np.float32), "words", 0.9)


@pytest.mark.parametrize("angle_deg", [0, 30, 85, 200])
def test_a_line_with_the_same_edges_stays(angle_deg: float) -> None:
    line = line_at((200, 100), angle_deg=angle_deg)
    assert is_same_place(line, line_at((201, 99), (101, 21), angle_deg))
    assert is_same_place(line, line_at((200, 100.5), (104, 23), angle_deg + 2))
    upside_down = replace(line, corners=np.roll(line.corners, 2, axis=0), text="sp.iow")
    assert is_same_place(line, upside_down)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(line_at((206, 100)), id="slid along itself"),
        pytest.param(line_at((200, 105)), id="slid across"),
        pytest.param(line_at((200, 100), (112, 22)), id="grew"),
        pytest.param(line_at((200, 100), (100, 14)), id="lower"),
        pytest.param(line_at((200, 100), angle_deg=6), id="turned"),
        pytest.param(line_at((175, 100), (50, 20)), id="half of it"),
    ],
)
def test_a_line_that_moves_does_not_stay(other: TextLine) -> None:
    line = line_at((200, 100))
    assert not is_same_place(line, other)
    assert not is_same_place(other, line)


@pytest.mark.parametrize("motion", [Motion.WALK, Motion.DRIVE, Motion.SPIN])
def test_a_scene_moves_in_the_picture_of_a_moving_camera(motion: Motion) -> None:
    moves = find_moving_pairs(sample_world(motion).gray)
    assert (moves | np.eye(len(moves), dtype=bool)).all()
    assert (moves == moves.T).all()
    assert not np.diag(moves).any()


def test_a_walk_along_bricks_moves_in_the_picture() -> None:
    moves = find_moving_pairs(sample_brick_walk(1.0).gray)
    assert moves.sum() > 0.8 * (moves.size - len(moves))


@pytest.mark.parametrize("change", ["traffic", "exposure", "none", "black"])
def test_a_scene_before_a_still_camera_does_not_move(change: str) -> None:
    gray = sample_world(Motion.STILL).gray
    if change == "exposure":
        gray = np.stack([gray[0], gray[0] // 4 * 3, gray[0] // 2 + 60])
    elif change == "none":
        gray = np.repeat(gray[:1], 3, axis=0)
    elif change == "black":
        gray = np.zeros_like(gray)
    assert not find_moving_pairs(gray).any()


def test_a_worker_without_weights_or_with_others_errs(tmp_path: Path) -> None:
    ready, missing = find_scorers(["text_ocr"], tmp_path)
    assert ready == ()
    assert TextScorer.weight_files[0].path in missing["text_ocr"]
    for file in TextScorer.weight_files:
        (tmp_path / file.path).parent.mkdir(exist_ok=True)
        (tmp_path / file.path).write_bytes(b"other weights")
    assert find_scorers(["text_ocr"], tmp_path)[0] == ()
    with pytest.raises(InvalidInput, match=TextScorer.weight_files[0].path):
        load_scorers(["text_ocr"], tmp_path, "cpu")
    pytest.importorskip("onnxruntime", reason="the extra `pretrained` is not installed")
    accept_weights(tmp_path, TextScorer.weight_files)
    with pytest.raises(InvalidInput, match=r"\.onnx"):
        load_scorers(["text_ocr"], tmp_path, "cpu")
