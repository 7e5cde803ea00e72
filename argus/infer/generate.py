"""Generation of one window of T frames, and of long videos window by window.

Windows of a long video start T−S frames apart, so T + (T−S)·k frames are covered exactly. For any
other length the last window is moved back to end with the video, and overlaps more. The first S
frames of a window repeat frames of the previous one as fully visible context, and the whole
overlap is cross-faded. Only one window is in memory at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from argus.diffusion import (
    ArgusPipeline,
    StepHook,
    derive_seed,
    hash_text,
    insert_context,
    make_condition,
    make_generator,
    sample_video,
)
from argus.errors import InvalidInput
from argus.infer.alignment import project_views
from argus.pixels import frames_to_tensor, tensor_to_frames
from argus.sphere import Trajectory
from schemas.config import SampleSettings

Frames = NDArray[np.uint8]

ViewReader = Callable[[range], Frames]
"""Callback that returns the view frames of a range of frame numbers, uint8 [n, h, w, 3]."""

WindowHook = Callable[[int, int, int, int], None]
"""Progress callback, called as (sampling steps done, steps in all windows, window, windows)."""


def generate_clip(
    pipeline: ArgusPipeline,
    views: Frames,
    trajectory: Trajectory,
    settings: SampleSettings,
    *,
    seed: int,
    context: Frames | None = None,
    on_step: StepHook | None = None,
) -> Frames:
    """Generate one window whose first frame is centered in the map.

    Args and errors are those of `generate_window`; orientations are taken relative to the first.
    """
    return generate_window(
        pipeline,
        views,
        trajectory.relative(),
        settings,
        seed=seed,
        context=context,
        on_step=on_step,
    )


def generate_window(
    pipeline: ArgusPipeline,
    views: Frames,
    trajectory: Trajectory,
    settings: SampleSettings,
    *,
    seed: int,
    context: Frames | None = None,
    on_step: StepHook | None = None,
) -> Frames:
    """Generate one window in a map that other windows share.

    Args:
        pipeline: model.
        views: uint8 [T, h, w, 3], T as the model requires.
        trajectory: one rotation per frame.
        settings: of the sampler.
        seed: of all noise.
        context: uint8 [S, H, W, 3], known panorama frames that replace the first S frames of the
            condition.
        on_step: progress callback.

    Returns:
        uint8 [T, H, W, 3].

    Raises:
        InvalidInput: the number of frames differs from T, or from the number of rotations.
    """
    own = pipeline.settings
    if len(views) != own.frames:
        raise InvalidInput(
            f"got {len(views)} frames, but this model generates {own.frames} at a time"
        )
    projected = project_views(views, trajectory, own.erp_size)
    erp, mask = projected.erp[None], projected.mask[None]
    if context is not None and len(context):
        erp, mask = insert_context(erp, mask, frames_to_tensor(context)[None])
    condition = make_condition(
        pipeline.latents,
        pipeline.image_encoder,
        own,
        erp=erp,
        mask=mask,
        views=frames_to_tensor(views)[None],
        fps=float(trajectory.fps),
        sigma_c=settings.noise_aug,
        generator=make_generator(seed, hash_text("condition")),
    )
    video = sample_video(pipeline, condition, settings, seed=seed, on_step=on_step)
    return tensor_to_frames(video[0])


def window_starts(count: int, frames: int, context: int) -> tuple[int, ...]:
    """Return the first frame of each window of a long video.

    Args:
        count: frames of the video.
        frames: T, frames of a window.
        context: S, smallest overlap of consecutive windows.

    Raises:
        InvalidInput: the video is shorter than a window.
    """
    if count < frames:
        raise InvalidInput(
            f"got {count} frames, but this model needs at least {frames}; give a longer video"
        )
    regular = range(0, count - frames + 1, frames - context)
    last = count - frames
    return (*regular, last) if regular[-1] != last else tuple(regular)


def generate_frames(
    pipeline: ArgusPipeline,
    read_views: ViewReader,
    trajectory: Trajectory,
    settings: SampleSettings,
    *,
    seed: int,
    on_step: WindowHook | None = None,
) -> Iterator[Frames]:
    """Generate the panorama of a video of any length, window by window.

    The first window equals that of `generate_clip` with the same seed.

    Args:
        pipeline: model.
        read_views: callback that returns frames of the video.
        trajectory: one rotation per frame of the video.
        settings: of the sampler.
        seed: of all noise.
        on_step: progress callback.

    Yields:
        Consecutive blocks uint8 [n, H, W, 3], n at most T.

    Raises:
        InvalidInput: the video is shorter than a window.
    """
    own, shared = pipeline.settings, trajectory.relative()
    starts = window_starts(len(shared), own.frames, own.context_frames)
    overlap: Frames | None = None
    for window, start in enumerate(starts):
        span = range(start, start + own.frames)
        block = generate_window(
            pipeline,
            read_views(span),
            replace(shared, rotations=shared.rotations[span.start : span.stop]),
            settings,
            seed=window_seed(seed, window),
            context=None if overlap is None else overlap[: own.context_frames],
            on_step=_window_step_hook(on_step, window, len(starts)),
        )
        if overlap is not None:
            block[: len(overlap)] = cross_fade(overlap, block[: len(overlap)])
        finished = (starts[window + 1] if window + 1 < len(starts) else span.stop) - start
        yield block[:finished]
        overlap = block[finished:]


def cross_fade(before: Frames, after: Frames) -> Frames:
    """Fade between two blocks uint8 [n, H, W, 3]; frame i has a share (i+1)/(n+1) of `after`."""
    count = len(before)
    share = (np.arange(1, count + 1, dtype=np.float32) / (count + 1))[:, None, None, None]
    return np.rint(before * (1 - share) + after * share).astype(np.uint8)


def window_seed(seed: int, window: int) -> int:
    """Return the seed of a window of a long video; the first window has the video's."""
    return seed if window == 0 else derive_seed(seed, window, dtype=np.uint64)


def _window_step_hook(on_step: WindowHook | None, window: int, windows: int) -> StepHook | None:
    """Return a callback for one window that counts the steps of all windows."""
    if on_step is None:
        return None
    return lambda step, steps: on_step(window * steps + step, windows * steps, window, windows)
