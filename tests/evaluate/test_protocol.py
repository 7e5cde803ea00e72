from dataclasses import replace

import numpy as np
import pytest

from argus.dataset import Window
from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput
from argus.evaluate import FILL, METRICS, ErrorSums, evaluate_clip, make_task, strongest
from schemas.config import SampleOverrides

SAMPLE = SampleOverrides(steps=2)


def test_the_task_is_a_function_of_seed_and_clip(window: Window) -> None:
    task, again = make_task(window, 32, 7), make_task(replace(window), 32, 7)
    np.testing.assert_array_equal(task.trajectory.rotations, again.trajectory.rotations)
    np.testing.assert_array_equal(task.views, again.views)
    others = [
        make_task(window, 32, 8),
        make_task(replace(window, clip_id="url:0123456789abcdef@10000-20000"), 32, 7),
    ]
    assert not any(
        np.array_equal(task.trajectory.rotations, other.trajectory.rotations) for other in others
    )


def test_the_input_shows_the_truth_where_it_is_seen(window: Window) -> None:
    task = make_task(window, 64, 0)
    np.testing.assert_allclose(task.trajectory.rotations[0], np.eye(3), atol=1e-12)
    assert 0.08 < task.mask.mean() < 0.25, "90 by 74 degrees are about a sixth of the sphere"
    difference = task.visible.astype(int) - window.erp
    assert np.abs(difference[task.mask]).max() <= 6
    assert task.visible[~task.mask].max() == 0


def test_every_method_is_measured_and_shown(window: Window, pipeline: ArgusPipeline) -> None:
    result = evaluate_clip(window, {"model": pipeline, "untrained": pipeline}, SAMPLE, 0)
    assert result.clip_id == window.clip_id
    assert list(result.sums) == ["model", "untrained", FILL]
    assert list(result.panels) == ["input", "model", "untrained", FILL, "truth"]
    assert all(set(sums.metrics()) == set(METRICS) for sums in result.sums.values())
    np.testing.assert_array_equal(result.panels["truth"], window.erp[1])
    assert {panel.shape for panel in result.panels.values()} == {(32, 64, 3)}


def test_all_methods_get_the_same_noise_and_the_same_input(
    window: Window, pipeline: ArgusPipeline
) -> None:
    result = evaluate_clip(window, {"model": pipeline, "untrained": pipeline}, SAMPLE, 0)
    assert result.sums["model"] == result.sums["untrained"]
    assert (
        result.sums
        == evaluate_clip(window, {"untrained": pipeline, "model": pipeline}, SAMPLE, 0).sums
    )
    assert (
        result.sums["model"] != evaluate_clip(window, {"model": pipeline}, SAMPLE, 1).sums["model"]
    )


def test_the_fill_is_the_strongest_fill_of_the_input(
    window: Window, pipeline: ArgusPipeline
) -> None:
    task = make_task(window, pipeline.settings.view_height, 3)
    expected = ErrorSums.of(strongest(task.visible, task.mask), window.erp, task.mask)
    sums = evaluate_clip(window, {"model": pipeline}, SAMPLE, 3).sums[FILL]
    assert sums == expected
    assert sums.metrics()["psnr_seen"] > sums.metrics()["psnr_unseen"] + 5


def test_a_window_of_another_size_is_refused(window: Window, pipeline: ArgusPipeline) -> None:
    with pytest.raises(
        InvalidInput, match=r"\(2, 32, 64, 3\), but the model's is \(3, 32, 64, 3\)"
    ):
        evaluate_clip(replace(window, erp=window.erp[:2]), {"model": pipeline}, SAMPLE, 0)


def test_names_must_leave_room_for_the_fill(window: Window, pipeline: ArgusPipeline) -> None:
    for pipelines in ({}, {FILL: pipeline}):
        with pytest.raises(InvalidInput, match="at least one"):
            evaluate_clip(window, pipelines, SAMPLE, 0)
