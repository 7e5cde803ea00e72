"""Conversion of an ordinary video file to a 360° video file, window by window."""

import itertools
import math
import os
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.diffusion import ArgusPipeline, PipelineSettings
from argus.errors import InvalidInput, VideoError
from argus.infer.generate import Frames, WindowHook, generate_frames, window_starts
from argus.media import (
    FrameSampling,
    SphericalMetadata,
    VideoReader,
    describe_reading,
    open_video,
    write_video,
)
from argus.runs import ProgressHook
from argus.sphere import Camera, Trajectory
from schemas.config import SampleSettings
from schemas.names import Reason

TARGET_FPS = 5.0
"""Frame rate that models are trained at; a faster video is sampled close to it."""


@dataclass(frozen=True)
class GeneratedVideo:
    """360° video file that was written."""

    path: Path
    frames: int
    height: int
    width: int
    fps: Fraction
    seconds: float
    windows: int
    notes: tuple[str, ...]  # assumptions that the user should know of


@dataclass(frozen=True, eq=False)
class _FrameSelection:
    """Frames of a video that are used: the first `count` of those at the rate of models."""

    sampling: FrameSampling
    count: int
    stride: int  # every `stride`-th frame; 0 if they are chosen by time

    @property
    def available(self) -> int:
        """Number of frames at the rate of models in the whole video."""
        return len(self.sampling.indices)

    @property
    def fps(self) -> Fraction:
        """Exact frames per second."""
        return self.sampling.fps

    @property
    def source_indices(self) -> NDArray[np.int64]:
        """Frame numbers in the file of the frames that are used."""
        return self.sampling.indices[: self.count]


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
    """Generate the 360° video of an ordinary video.

    The output is H.264 in mp4 with spherical metadata (equirectangular, mono). It is written
    whole, or not at all.

    Args:
        pipeline: model.
        input_path: video file.
        output_path: mp4 file to write.
        fov_deg: horizontal field of view of a fixed camera, in degrees; used without poses.
        poses: file or folder for `Trajectory.load`, with a rotation for each frame of the video,
            or for each frame that is used.
        max_seconds: use only the beginning of the video.
        settings: of the sampler; by default those stored with the model.
        seed: of all noise.
        progress: called as (step, total, "step", message) after every sampling step.

    Raises:
        InvalidInput: the paths, the poses, or the length of the video do not fit.
        VideoError: the video cannot be read, or is too short.
    """
    source, target = Path(input_path), Path(output_path)
    _check_paths(source, target)
    own = pipeline.settings
    with open_video(source) as reader:
        selection = _select_frames(reader, max_seconds, own.frames, source)
        size = _view_size(reader, own.view_height)
        trajectory, notes = _load_trajectory(reader, selection, size, fov_deg, poses)

        def read_views(numbers: range) -> Frames:
            return reader.frames(selection.source_indices[numbers.start : numbers.stop], size)

        blocks = generate_frames(
            pipeline,
            read_views,
            trajectory,
            settings or own.sample,
            seed=seed,
            on_step=_report_windows(progress) if progress else None,
        )
        frames = itertools.chain.from_iterable(blocks)
        write_video(target, frames, selection.fps, spherical=SphericalMetadata())
    return _summarize(target, selection, own, (*describe_reading(reader.info), *notes))


def _summarize(
    path: Path, selection: _FrameSelection, settings: PipelineSettings, notes: tuple[str, ...]
) -> GeneratedVideo:
    starts = window_starts(selection.count, settings.frames, settings.context_frames)
    height, width = settings.erp_size
    return GeneratedVideo(
        path=path,
        frames=selection.count,
        height=height,
        width=width,
        fps=selection.fps,
        seconds=float(selection.count / selection.fps),
        windows=len(starts),
        notes=(*_selection_notes(selection), *notes),
    )


def _report_windows(progress: ProgressHook) -> WindowHook:
    """Return a callback that reports the current window with each sampling step."""
    return lambda step, total, window, windows: progress(
        step, total, "step", f"window {window + 1} of {windows}"
    )


def _check_paths(source: Path, target: Path) -> None:
    if not source.is_file():
        raise InvalidInput(f"{source} does not exist; give the path of a video file")
    if target.suffix.lower() != ".mp4":
        raise InvalidInput(f"the output is {target}, but its name must end in .mp4")
    if not target.parent.is_dir():
        raise InvalidInput(f"the output folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise InvalidInput(f"the output {target} is a folder; give the name of a file")
    if target.exists() and target.samefile(source):
        raise InvalidInput(f"the output {target} is the input itself; give another name")
    if not os.access(target.parent, os.W_OK):
        raise InvalidInput(f"the output folder {target.parent} is not writable; choose another")


def _select_frames(
    reader: VideoReader, max_seconds: float | None, needed: int, source: Path
) -> _FrameSelection:
    if max_seconds is not None and not max_seconds > 0:
        raise InvalidInput(f"max_seconds is {max_seconds}, but must be above 0")
    sampling = reader.resample(TARGET_FPS)
    available, fps = len(sampling.indices), sampling.fps
    stride = 0 if reader.info.is_variable_rate else int(reader.fps / fps)
    required = f"this model needs at least {needed} ({float(needed / fps):.1f} s)"
    if available < needed:
        how = f"every {_ordinal(stride)} is used" if stride else "they are chosen by time"
        used = f", {how}: {available}" if stride != 1 else ""
        frames = "frame" if len(reader) == 1 else "frames"
        raise VideoError(
            Reason.TOO_SHORT,
            f"{source} has {len(reader)} {frames}{used} at {float(fps):.3g} fps; "
            f"{required}; give a longer video",
        )
    if max_seconds is None:
        return _FrameSelection(sampling, available, stride)
    count = min(available, math.ceil(Fraction(max_seconds) * fps))
    if count < needed:
        raise InvalidInput(
            f"max_seconds {max_seconds:g} leaves {count} frames at {float(fps):.3g} fps, "
            f"but {required}"
        )
    return _FrameSelection(sampling, count, stride)


def _ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number // 10 % 10 != 1 else "th"
    return f"{number}{suffix}"


def _view_size(reader: VideoReader, max_height: int) -> tuple[int, int]:
    """Return the size (height, width) of views with square pixels."""
    rows, columns = reader.size
    height = min(rows, max_height)
    return height, max(1, round(height * (columns / rows * float(reader.info.pixel_aspect))))


def _load_trajectory(
    reader: VideoReader,
    selection: _FrameSelection,
    size: tuple[int, int],
    fov_deg: float,
    poses: Path | str | None,
) -> tuple[Trajectory, tuple[str, ...]]:
    """Return a rotation for each frame that is used, and notes on assumptions."""
    if poses is None:
        camera = Camera(fov_deg, size[1], size[0])
        still = np.broadcast_to(np.eye(3), (selection.count, 3, 3)).copy()
        note = (
            "no poses were given: the camera is assumed to be fixed, "
            f"with a horizontal field of view of {fov_deg:g}°"
        )
        return Trajectory(still, camera, selection.fps), (note,)
    trajectory = Trajectory.load(poses, fps=reader.fps, size=size)
    count = len(trajectory)
    if count == len(reader):
        rotations = trajectory.rotations[selection.source_indices]
    elif count == selection.available:
        rotations = trajectory.rotations[: selection.count]
    else:
        allowed = " or ".join(map(str, dict.fromkeys((len(reader), selection.available))))
        raise InvalidInput(
            f"{poses} has {count} rotations, but the video needs {allowed}: "
            "one for each of its frames, or one for each frame that is used"
        )
    return replace(trajectory, rotations=rotations, fps=selection.fps), ()


def _selection_notes(selection: _FrameSelection) -> tuple[str, ...]:
    if selection.stride == 1:
        return ()
    used = f"{selection.count} frames at {float(selection.fps):.3g} fps"
    if selection.stride:
        return (f"every {_ordinal(selection.stride)} frame is used: {used}",)
    repeated = int((np.diff(selection.source_indices) == 0).sum())
    held = f", of which {repeated} repeat the one before, because the video holds it"
    return (f"{used} are used{held if repeated else ''}",)
