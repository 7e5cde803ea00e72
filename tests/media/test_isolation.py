"""Whatever the child does, the parent gets a result or a typed error, and no child stays."""

import os
import time
from fractions import Fraction

import numpy as np
import pytest

from argus.errors import VideoError
from argus.media import isolated, probe
from argus.media.probing import MediaInfo
from schemas.names import Reason


def test_a_result_comes_back(library):
    assert isolated(probe, library("h264.mp4"), timeout_s=30) == probe(library("h264.mp4"))
    np.testing.assert_array_equal(isolated(np.arange, 5, timeout_s=30), np.arange(5))
    assert isolated(Fraction, 3, 4, timeout_s=30) == Fraction(3, 4)
    assert isolated(MediaInfo, 2, 1, Fraction(1), 1, 1.0, "h264", "mp4", timeout_s=30).width == 2


def test_an_error_raised_on_purpose_survives(tmp_path):
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(VideoError, match="0 bytes") as caught:
        isolated(probe, tmp_path / "empty.mp4", timeout_s=30)
    assert caught.value.reason is Reason.EMPTY_FILE


def test_a_crash_is_a_typed_error():
    with pytest.raises(VideoError, match="SIGABRT") as caught:
        isolated(os.abort, timeout_s=30)
    assert caught.value.reason is Reason.DECODER_CRASHED


@pytest.mark.parametrize(("function", "argument"), [(sum, range(10**13)), (time.sleep, 60)])
def test_a_hang_is_stopped(function, argument):
    begun = time.monotonic()
    with pytest.raises(VideoError, match="longer than 1 s") as caught:
        isolated(function, argument, timeout_s=1)
    assert caught.value.reason is Reason.TIMED_OUT
    assert time.monotonic() - begun < 10


def test_hunger_for_memory_is_stopped():
    with pytest.raises(VideoError, match="memory") as caught:
        isolated(bytearray, 3 << 30, timeout_s=30, memory_bytes=2 << 30)
    assert caught.value.reason is Reason.DECODER_CRASHED


def test_a_fault_of_ours_is_no_judgement_on_the_video():
    with pytest.raises(RuntimeError, match="invalid literal"):
        isolated(int, "x", timeout_s=30)


def test_an_answer_that_would_run_code_is_refused():
    with pytest.raises(VideoError, match="not expected from a child process"):
        isolated(getattr, "text", "upper", timeout_s=30)  # pickled as a call of getattr


def test_only_functions_with_a_name_can_be_called():
    with pytest.raises(ValueError, match="top level"):
        isolated(lambda: 1, timeout_s=30)


def test_what_the_function_prints_is_no_part_of_the_answer():
    assert isolated(print, "noise", timeout_s=30) is None
