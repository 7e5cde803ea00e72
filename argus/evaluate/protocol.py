"""Evaluation of one held-out clip.

A perspective input is cut from the panorama along a simulated camera path, and each method
completes it again. The path is a function of (seed, clip id), so all models of all runs get the
same inputs. The camera is fixed: 90° wide, 4:3. As in the paper, all methods get the true
orientations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus.dataset import Window
from argus.diffusion import EVALUATION_STREAM, ArgusPipeline, derive_seed, hash_text
from argus.errors import InvalidInput
from argus.evaluate.baselines import fill_combined
from argus.evaluate.error_sums import ErrorSums
from argus.infer import generate_clip
from argus.sphere import Camera, Trajectory, erp_to_view, simulate_motion, view_to_erp
from schemas.config import SampleOverrides

Frames = NDArray[np.uint8]

FILL = "fill"
"""Name of the strongest baseline among the methods."""

FOV_X_DEG = 90.0
ASPECT = 4 / 3


@dataclass(frozen=True)
class EvaluationTask:
    """Input of every method, and the truth that its output is compared with."""

    views: Frames  # uint8 [T, h, w, 3]
    trajectory: Trajectory
    visible: Frames  # uint8 [T, H, W, 3], views projected into the map; 0 where unseen
    mask: NDArray[np.bool_]  # [T, H, W], True where seen
    truth: Frames  # uint8 [T, H, W, 3]


@dataclass(frozen=True)
class ClipEvaluation:
    """Results on one clip.

    Attributes:
        clip_id: clip that was evaluated.
        sums: error sums by method.
        panels: middle frame, uint8 [H, W, 3], of `input`, each method, and `truth`.
    """

    clip_id: str
    sums: Mapping[str, ErrorSums]
    panels: Mapping[str, Frames]


def make_task(window: Window, view_height: int, seed: int) -> EvaluationTask:
    """Cut the input of a clip from its panorama.

    Args:
        window: frames of the panorama.
        view_height: height of the perspective frames.
        seed: of the camera path, together with the clip id.
    """
    size = (window.erp.shape[1], window.erp.shape[2])
    camera = Camera(FOV_X_DEG, round(view_height * ASPECT), view_height)
    key = (seed, hash_text(window.clip_id))
    trajectory = simulate_motion(key, len(window.erp), window.fps, camera)
    views = erp_to_view(window.erp, trajectory.rotations, camera)
    visible, mask = view_to_erp(views, trajectory.rotations, camera, size)
    return EvaluationTask(views, trajectory, visible, mask.astype(np.bool_), window.erp)


def evaluate_clip(
    window: Window, pipelines: Mapping[str, ArgusPipeline], changes: SampleOverrides, seed: int
) -> ClipEvaluation:
    """Evaluate pipelines and the strongest baseline on one clip.

    Args:
        window: frames of the panorama, of the size of the pipelines.
        pipelines: by method name, such as `model` and `untrained`; all of one size.
        changes: to the sampler settings of each pipeline.
        seed: of the camera path and of the sampler, together with the clip id.

    Raises:
        InvalidInput: there is no pipeline, or the sizes of pipelines and window differ.
    """
    frames, height, view_height = _common_size(pipelines)
    if window.erp.shape != (frames, height, 2 * height, 3):
        raise InvalidInput(
            f"the window of {window.clip_id} is {window.erp.shape}, "
            f"but the model needs ({frames}, {height}, {2 * height}, 3)"
        )
    task = make_task(window, view_height, seed)
    key = (seed, hash_text(window.clip_id), EVALUATION_STREAM)
    sampler_seed = derive_seed(*key, dtype=np.uint32)
    videos = {
        name: generate_clip(
            pipeline,
            task.views,
            task.trajectory,
            changes.over(pipeline.settings.sample),
            seed=sampler_seed,
        )
        for name, pipeline in pipelines.items()
    }
    videos[FILL] = fill_combined(task.visible, task.mask)
    sums = {name: ErrorSums.of(video, task.truth, task.mask) for name, video in videos.items()}
    shown = {"input": task.visible, **videos, "truth": task.truth}
    panels = {name: video[frames // 2] for name, video in shown.items()}
    return ClipEvaluation(window.clip_id, sums, panels)


def _common_size(pipelines: Mapping[str, ArgusPipeline]) -> tuple[int, int, int]:
    """Return (frames, height, view height) of the pipelines."""
    if FILL in pipelines or not pipelines:
        raise InvalidInput(
            f"got pipelines named {sorted(pipelines)}; give at least one, and none named '{FILL}'"
        )
    sizes = {
        name: (own.frames, own.height, own.view_height)
        for name, own in ((name, pipeline.settings) for name, pipeline in pipelines.items())
    }
    if len(set(sizes.values())) > 1:
        raise InvalidInput(
            f"the pipelines differ in (frames, height, view height): {sizes}; "
            "evaluate them separately"
        )
    return next(iter(sizes.values()))
