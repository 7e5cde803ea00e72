"""From an ordinary video file to a 360° video file. Frames are read and written window by window."""

import itertools
import math
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.diffusion import ArgusPipeline
from argus.errors import InvalidInput, VideoError
from argus.infer.generate import Frames, generate_frames, window_starts
from argus.media import SphericalMetadata, VideoReader, open_video, write_video
from argus.runs import ProgressHook
from argus.sphere import Camera, Trajectory
from schemas.config import SampleSettings
from schemas.names import Reason

TARGET_FPS = 5
"""Every n-th frame is used, with n = max(1, round(fps / this)): the rate that models are trained at."""


@dataclass(frozen=True)
class GeneratedVideo:
    """A 360° video that was written."""

    path: Path
    frames: int
    height: int
    width: int
    fps: Fraction
    seconds: float
    windows: int
    notes: tuple[str, ...]  # assumptions that a person should hear of


@dataclass(frozen=True)
class _Sampling:
    """Which frames of a video are used: the first `count` of every `every`-th."""

    every: int
    count: int
    available: int  # every `every`-th of the whole video
    fps: Fraction

    def source(self, numbers: range) -> NDArray[np.int64]:
        """Frame numbers of the file."""
        return np.arange(numbers.start, numbers.stop) * self.every


def generate_video(
    pipeline: ArgusPipeline,
    input_path: Path | str,
    output_path: Path | str,
    *,
    fov_deg: float = 75.0,
    poses: Path | str | None = None,
    max_seconds: float | None = None,
    settings: SampleSettings | None = None,
    seed: int = 0,
    progress: ProgressHook | None = None,
) -> GeneratedVideo:
    """Writes the 360° video (H.264 mp4 with spherical metadata, equirectangular mono) of an ordinary video; whole, or not at all.

    Args:
        fov_deg: horizontal field of view of a fixed camera, in degrees; used where there are no poses.
        poses: anything that `Trajectory.load` reads, with a rotation for each frame of the video, or for each frame that is used.
        max_seconds: only the beginning.
        settings: the sampler's; default those that the model was stored with.
        progress: called as (step, total, "step", message) after every sampling step.

    Raises:
        InvalidInput: the paths, the poses, or the length of the video (VideoError) do not fit. Nothing was written.
        VideoError: the video cannot be read.
    """
    source, target = Path(input_path), Path(output_path)
    _check_paths(source, target)
    settings = settings or pipeline.settings.sample
    own = pipeline.settings
    with open_video(source) as reader:
        sampling = _sampling(reader, max_seconds, own.frames, source)
        size = _view_size(reader, own.view_height)
        trajectory, notes = _trajectory(reader, sampling, size, fov_deg, poses)
        windows = len(window_starts(sampling.count, own.frames, own.context_frames))

        def read(numbers: range) -> Frames:
            return reader.frames(sampling.source(numbers), size)

        def report(step: int, total: int, window: int, count: int) -> None:
            if progress:
                progress(step, total, "step", f"window {window + 1} of {count}")

        blocks = generate_frames(pipeline, read, trajectory, settings, seed=seed, progress=report)
        write_video(
            target,
            itertools.chain.from_iterable(blocks),
            sampling.fps,
            spherical=SphericalMetadata(),
        )
    return GeneratedVideo(
        path=target,
        frames=sampling.count,
        height=own.height,
        width=2 * own.height,
        fps=sampling.fps,
        seconds=float(sampling.count / sampling.fps),
        windows=windows,
        notes=(*_sampling_notes(sampling), *notes),
    )


def _check_paths(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InvalidInput(f"{source}: there is no such file; give the path of a video file")
    if target.suffix.lower() != ".mp4":
        raise InvalidInput(f"the output is {target}, but its name must end in .mp4")
    if not target.parent.is_dir():
        raise InvalidInput(
            f"the folder {target.parent} of the output does not exist; make it first"
        )
    if target.is_dir():
        raise InvalidInput(f"the output {target} is a folder; give the name of a file")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"the output {target} is the input itself; give another name")
    if not os.access(target.parent, os.W_OK):
        raise InvalidInput(
            f"the folder {target.parent} of the output cannot be written to; choose another"
        )


def _sampling(
    reader: VideoReader, max_seconds: float | None, needed: int, source: Path
) -> _Sampling:
    if max_seconds is not None and not max_seconds > 0:
        raise InvalidInput(f"max_seconds is {max_seconds}, but must be above 0")
    every = max(1, round(reader.fps / TARGET_FPS))
    fps = reader.fps / every
    available = -(-len(reader) // every)
    count = (
        available if max_seconds is None else min(available, math.ceil(Fraction(max_seconds) * fps))
    )
    least = f"this model needs at least {needed} ({float(needed / fps):.1f} s)"
    if available < needed:
        rate = (
            f", of which every {_ordinal(every)} is used, so {available} at {float(fps):.3g} fps"
            if every > 1
            else f" at {float(fps):.3g} fps"
        )
        frames = "frame" if len(reader) == 1 else "frames"
        raise VideoError(
            Reason.TOO_SHORT,
            f"{source}: it has {len(reader)} {frames}{rate}; {least}; give a longer video",
        )
    if count < needed:
        raise InvalidInput(
            f"max_seconds {max_seconds:g} leaves {count} frames at {float(fps):.3g} fps, but {least}"
        )
    return _Sampling(every, count, available, fps)


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number // 10 % 10 != 1 else "th"
    return f"{number}{ending}"


def _view_size(reader: VideoReader, height: int) -> tuple[int, int]:
    """(height, width) with square pixels, at most `height` rows."""
    rows, columns = reader.size
    aspect = reader.info.pixel_aspect
    shape = columns / rows * float(1 / aspect if reader.info.rotation % 180 else aspect)
    rows = min(rows, height)
    return rows, max(1, round(rows * shape))


def _trajectory(
    reader: VideoReader,
    sampling: _Sampling,
    size: tuple[int, int],
    fov_deg: float,
    poses: Path | str | None,
) -> tuple[Trajectory, tuple[str, ...]]:
    """A rotation for each frame that is used, and what was assumed."""
    if poses is None:
        camera = Camera(fov_deg, size[1], size[0])
        still = np.broadcast_to(np.eye(3), (sampling.count, 3, 3)).copy()
        note = f"no poses were given: the camera is taken to be fixed, with a horizontal field of view of {fov_deg:g}°"
        return Trajectory(still, camera, sampling.fps), (note,)
    trajectory = Trajectory.load(poses, fps=reader.fps, size=size)
    count = len(trajectory)
    if count == len(reader):
        rotations = trajectory.rotations[:: sampling.every]
    elif count == sampling.available:
        rotations = trajectory.rotations
    else:
        allowed = " or ".join(
            str(number) for number in dict.fromkeys((len(reader), sampling.available))
        )
        raise InvalidInput(
            f"{poses} has {count} rotations, but the video needs {allowed}: one for each of its frames, or for each that is used"
        )
    return replace(trajectory, rotations=rotations[: sampling.count], fps=sampling.fps), ()


def _sampling_notes(sampling: _Sampling) -> tuple[str, ...]:
    if sampling.every == 1:
        return ()
    return (
        f"every {_ordinal(sampling.every)} frame is used: {sampling.count} frames at {float(sampling.fps):.3g} fps",
    )
