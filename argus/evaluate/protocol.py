"""The evaluation of one held-out clip: an input view is cut from the panorama along a simulated camera path, and each method completes it again.

The path depends on (seed, clip_id) alone, so every model of every run sees the same inputs. The camera is fixed: 90° wide, 4:3.
All methods get the true orientations, as in the paper.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus.dataset import Window
from argus.diffusion import ArgusPipeline
from argus.diffusion.seeds import key_of
from argus.errors import InvalidInput
from argus.evaluate.baselines import strongest
from argus.evaluate.error_sums import ErrorSums
from argus.infer import generate_clip
from argus.sphere import Camera, Trajectory, erp_to_view, simulate_motion, view_to_erp
from schemas.config import SampleOverrides

Frames = NDArray[np.uint8]

FILL = "fill"
"""Name of the strongest fill among the methods."""

FOV_DEG = 90.0
ASPECT = 4 / 3


@dataclass(frozen=True)
class Task:
    """What every method is given, and what it is measured by."""

    views: Frames  # uint8 [T, h, w, 3], the input
    trajectory: Trajectory
    visible: Frames  # uint8 [T, H, W, 3], the input in the map; 0 where unseen
    mask: NDArray[np.bool_]  # [T, H, W]
    truth: Frames  # uint8 [T, H, W, 3]


@dataclass(frozen=True)
class ClipEvaluation:
    """The sums of every method on one clip, and the middle frame of each: uint8 [H,W,3] by the names input, the methods', truth."""

    clip_id: str
    sums: Mapping[str, ErrorSums]
    panels: Mapping[str, Frames]


def make_task(window: Window, view_height: int, seed: int) -> Task:
    """The input of a clip, a function of (clip, view height, seed)."""
    size = (window.erp.shape[1], window.erp.shape[2])
    camera = Camera(FOV_DEG, round(view_height * ASPECT), view_height)
    trajectory = simulate_motion(
        (seed, key_of(window.clip_id)), len(window.erp), window.fps, camera
    )
    views = erp_to_view(window.erp, trajectory.rotations, camera)
    visible, mask = view_to_erp(views, trajectory.rotations, camera, size)
    return Task(views, trajectory, visible, mask.astype(np.bool_), window.erp)


def evaluate_clip(
    window: Window, pipelines: Mapping[str, ArgusPipeline], changes: SampleOverrides, seed: int
) -> ClipEvaluation:
    """Measures each pipeline (such as model and untrained, by name) and the strongest fill on one window.

    All pipelines must have one size. Raises InvalidInput when they differ, or when the window has another size.
    """
    frames, height, view_height = _one_size(pipelines)
    if window.erp.shape != (frames, height, 2 * height, 3):
        raise InvalidInput(
            f"window of {window.clip_id} is {window.erp.shape}, but the model's is ({frames}, {height}, {2 * height}, 3)"
        )
    task = make_task(window, view_height, seed)
    drawn = int(
        np.random.SeedSequence((seed, key_of(window.clip_id), 1)).generate_state(1, np.uint32)[0]
    )
    made = {
        name: generate_clip(
            pipeline,
            task.views,
            task.trajectory,
            changes.over(pipeline.settings.sample),
            seed=drawn,
        )
        for name, pipeline in pipelines.items()
    }
    made[FILL] = strongest(task.visible, task.mask)
    sums = {name: ErrorSums.of(video, task.truth, task.mask) for name, video in made.items()}
    shown = {"input": task.visible, **made, "truth": task.truth}
    return ClipEvaluation(
        window.clip_id, sums, {name: video[frames // 2] for name, video in shown.items()}
    )


def _one_size(pipelines: Mapping[str, ArgusPipeline]) -> tuple[int, int, int]:
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
            f"the pipelines differ in (frames, height, view height): {sizes}; evaluate them apart"
        )
    return next(iter(sizes.values()))
