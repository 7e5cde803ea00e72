"""Evaluation of one clip."""

from dataclasses import replace

import numpy as np
import pytest

from argus.dataset import Window
from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput
from argus.evaluate import FILL, METRICS, ErrorSums, evaluate_clip, fill_combined, make_task
from schemas.config import SampleOverrides

SAMPLE = SampleOverrides(steps=2)


def test_task_is_a_function_of_seed_and_clip(window: Window) -> None:
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


def test_visible_panorama_shows_the_truth(window: Window) -> None:
    task = make_task(window, 64, 0)
    np.testing.assert_allclose(task.trajectory.rotations[0], np.eye(3), atol=1e-12)
    assert 0.08 < task.mask.mean() < 0.25, "90 by 74 degrees are about a sixth of the sphere"
    difference = task.visible.astype(int) - window.erp
    assert np.abs(difference[task.mask]).max() <= 6
    assert task.visible[~task.mask].max() == 0


def test_every_method_has_metrics_and_a_panel(window: Window, pipeline: ArgusPipeline) -> None:
    result = evaluate_clip(window, {"model": pipeline, "untrained": pipeline}, SAMPLE, 0)
    assert result.clip_id == window.clip_id
    assert list(result.sums) == ["model", "untrained", FILL]
    assert list(result.panels) == ["input", "model", "untrained", FILL, "truth"]
    assert all(set(sums.metrics()) == set(METRICS) for sums in result.sums.values())
    np.testing.assert_array_equal(result.panels["truth"], window.erp[1])
    assert {panel.shape for panel in result.panels.values()} == {(32, 64, 3)}


def test_all_methods_get_the_same_noise_and_input(window: Window, pipeline: ArgusPipeline) -> None:
    result = evaluate_clip(window, {"model": pipeline, "untrained": pipeline}, SAMPLE, 0)
    assert result.sums["model"] == result.sums["untrained"]
    assert (
        result.sums
        == evaluate_clip(window, {"untrained": pipeline, "model": pipeline}, SAMPLE, 0).sums
    )
    assert (
        result.sums["model"] != evaluate_clip(window, {"model": pipeline}, SAMPLE, 1).sums["model"]
    )


def test_fill_is_the_strongest_baseline_of_the_input(
    window: Window, pipeline: ArgusPipeline
) -> None:
    task = make_task(window, pipeline.settings.view_height, 3)
    expected = ErrorSums.of(fill_combined(task.visible, task.mask), window.erp, task.mask)
    sums = evaluate_clip(window, {"model": pipeline}, SAMPLE, 3).sums[FILL]
    assert sums == expected
    assert sums.metrics()["psnr_seen"] > sums.metrics()["psnr_unseen"] + 5


def test_window_of_another_size_is_refused(window: Window, pipeline: ArgusPipeline) -> None:
    with pytest.raises(InvalidInput) as caught:
        evaluate_clip(replace(window, erp=window.erp[:2]), {"model": pipeline}, SAMPLE, 0)
    assert all(size in str(caught.value) for size in ("(2, 32, 64, 3)", "(3, 32, 64, 3)"))


def test_pipelines_must_exist_and_not_be_named_fill(
    window: Window, pipeline: ArgusPipeline
) -> None:
    for pipelines in ({}, {FILL: pipeline}):
        with pytest.raises(InvalidInput):
            evaluate_clip(window, pipelines, SAMPLE, 0)
