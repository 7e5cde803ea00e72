"""Generation: one window of T frames, and long videos window after window.

A long video is covered by windows of T frames that start T−S apart, so T + (T−S)·k frames come out even; for any other length the last
window is moved back to end with the video and overlaps the one before by more than S. A window takes its first S frames over from the one
before as fully visible context, and the whole overlap is cross-faded. Only one window is in memory at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from argus.diffusion import ArgusPipeline, make_condition, sample, with_context
from argus.diffusion.sampler import StepHook
from argus.diffusion.seeds import generator_of, key_of
from argus.errors import InvalidInput
from argus.infer.alignment import Aligned, place, to_frames, to_model
from argus.sphere import Trajectory
from schemas.config import SampleSettings

Frames = NDArray[np.uint8]
ReadViews = Callable[[range], Frames]
"""Gives the view frames of these numbers, uint8 [n,h,w,3]."""

WindowHook = Callable[[int, int, int, int], None]
"""Called as (sampling step done, steps in all, window, windows); steps are counted over all windows."""


@dataclass(frozen=True)
class _Task:
    """One window: what it shows, and the frames that it takes over."""

    views: Frames  # uint8 [T, h, w, 3]
    aligned: Aligned
    fps: float
    context: Frames | None  # uint8 [S, H, W, 3]


def generate_clip(
    pipeline: ArgusPipeline,
    views: Frames,
    trajectory: Trajectory,
    settings: SampleSettings,
    *,
    seed: int,
    context: Frames | None = None,
    progress: StepHook | None = None,
) -> Frames:
    """One window of panorama, uint8 [T,H,W,3], of view frames uint8 [T,h,w,3].

    Orientations are taken relative to the first frame. `context` uint8 [S,H,W,3] are panorama frames that are known already and replace the
    beginning of the condition. `progress` is called as (step done, steps). Raises InvalidInput when the number of frames is not the model's.
    """
    return generate_aligned(
        pipeline,
        views,
        trajectory.relative(),
        settings,
        seed=seed,
        context=context,
        progress=progress,
    )


def generate_aligned(
    pipeline: ArgusPipeline,
    views: Frames,
    trajectory: Trajectory,
    settings: SampleSettings,
    *,
    seed: int,
    context: Frames | None = None,
    progress: StepHook | None = None,
) -> Frames:
    """As `generate_clip`, but the orientations are taken as they are: in a map that other windows share."""
    own = pipeline.settings
    if len(views) != own.frames:
        raise InvalidInput(
            f"got {len(views)} frames, but this model generates {own.frames} at a time"
        )
    aligned = place(views, trajectory, own.erp_size)
    task = _Task(
        views,
        aligned,
        float(trajectory.fps),
        context if context is not None and len(context) else None,
    )
    return _generate(pipeline, task, settings, seed, progress)


def _generate(
    pipeline: ArgusPipeline,
    task: _Task,
    settings: SampleSettings,
    seed: int,
    progress: StepHook | None,
) -> Frames:
    erp, mask = task.aligned.erp[None], task.aligned.mask[None]
    if task.context is not None:
        erp, mask = with_context(erp, mask, to_model(task.context)[None])
    noise = generator_of(seed, key_of("condition"))
    condition = make_condition(
        pipeline,
        erp,
        mask,
        to_model(task.views)[None],
        fps=task.fps,
        sigma_c=settings.noise_aug,
        generator=noise,
    )
    return to_frames(sample(pipeline, condition, settings, seed=seed, progress=progress)[0])


def window_starts(count: int, frames: int, context: int) -> tuple[int, ...]:
    """First frames of the windows that cover `count` frames, with `frames` each and an overlap of at least `context`.

    Raises InvalidInput when there are fewer frames than one window needs.
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
    read: ReadViews,
    trajectory: Trajectory,
    settings: SampleSettings,
    *,
    seed: int,
    progress: WindowHook | None = None,
) -> Iterator[Frames]:
    """The panorama of a video of any length, in blocks uint8 [n,H,W,3] that follow one another; `trajectory` has a rotation for each frame.

    The first window equals `generate_clip` with the same seed. Raises InvalidInput when there are fewer frames than one window needs.
    """
    own, shared = pipeline.settings, trajectory.relative()
    starts = window_starts(len(shared), own.frames, own.context_frames)
    tail: Frames | None = None
    for window, start in enumerate(starts):
        span = range(start, start + own.frames)
        part = replace(shared, rotations=shared.rotations[span.start : span.stop])
        context = None if tail is None else tail[: own.context_frames]
        hook = _step_hook(progress, window, len(starts))
        block = generate_aligned(
            pipeline,
            read(span),
            part,
            settings,
            seed=window_seed(seed, window),
            context=context,
            progress=hook,
        )
        if tail is not None:
            block[: len(tail)] = cross_faded(tail, block[: len(tail)])
        settled = (starts[window + 1] if window + 1 < len(starts) else span.stop) - start
        yield block[:settled]
        tail = block[settled:]


def cross_faded(before: Frames, after: Frames) -> Frames:
    """From `before` to `after`, both uint8 [n,H,W,3]: frame i has (i+1)/(n+1) of `after`."""
    weight = (np.arange(1, len(before) + 1, dtype=np.float32) / (len(before) + 1))[
        :, None, None, None
    ]
    return np.rint(before * (1 - weight) + after * weight).astype(np.uint8)


def window_seed(seed: int, window: int) -> int:
    """The seed of a window of a long video: a function of both; the first window's is the video's."""
    return (
        seed
        if window == 0
        else int(np.random.SeedSequence([seed, window]).generate_state(1, np.uint64)[0])
    )


def _step_hook(progress: WindowHook | None, window: int, windows: int) -> StepHook | None:
    if progress is None:
        return None
    return lambda step, steps: progress(window * steps + step, windows * steps, window, windows)
