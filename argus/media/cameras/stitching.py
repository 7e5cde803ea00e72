"""Stitching: a recording of a two-lens camera becomes a 360° video file that every player knows."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.errors import InvalidInput
from argus.media.backends import open_video
from argus.media.cameras.lens_file import Lenses
from argus.media.cameras.stitched_reader import StitchedReader
from argus.media.encode import write_video
from argus.media.info import SphericalMetadata, check_map_size
from argus.media.mp4.copy_plan import Omission
from argus.runs import ProgressHook

_CHUNK_BYTES = 96 << 20  # limit on the maps in memory, twice


@dataclass(frozen=True)
class StitchedVideo:
    """360° video that was written.

    Attributes:
        camera: make or model of the camera.
        width: pixels.
        height: pixels.
        fps: exact frames per second.
        frames: number of frames.
        omissions: audio tracks that an mp4 cannot hold.
    """

    camera: str
    width: int
    height: int
    fps: Fraction
    frames: int
    omissions: tuple[Omission, ...] = ()


def stitch_video(
    source: Path | str,
    target: Path | str,
    *,
    second: Path | str | None = None,
    lens: Path | str | Lenses | None = None,
    size: tuple[int, int] | None = None,
    crf: int = 18,
    progress: ProgressHook | None = None,
) -> StitchedVideo:
    """Write the 360° video of a two-lens recording, with its sound.

    The output is H.264 in mp4 with spherical metadata (equirectangular, mono). It is written
    whole, or not at all. A few frames are in memory at a time.

    Args:
        source: the recording, as of `open_video`.
        target: the mp4 to write.
        second: the recording's file of the second lens; by default it is found by its name.
        lens: the lenses, as of `open_video`; not for a GoPro MAX.
        size: (height, width) of the video; None for the density of the pictures.
        crf: x264's constant rate factor, 0 .. 51.
        progress: called after each frame.

    Returns:
        What was written.

    Raises:
        VideoError: with the reasons of `open_video`.
        InvalidInput: the file is an ordinary video, or an argument is out of range.
    """
    check_map_size(size)
    threads = _count_cpus()
    if progress:
        progress(0, 0, "", "reading the recording")
    with open_recording(source, second=second, lens=lens, threads=threads) as reader:
        height, width = size or reader.size
        sampling = reader.resample(float(reader.fps))
        frames = _read_maps(reader, sampling.indices, (height, width))
        omissions = write_video(
            target,
            _report(frames, len(sampling.indices), progress),
            sampling.fps,
            crf=crf,
            gop=max(1, round(sampling.fps)),
            spherical=SphericalMetadata(),
            sound=reader.sound,
            threads=threads,
        )
        camera = reader.info.camera or ""
    return StitchedVideo(camera, width, height, sampling.fps, len(sampling.indices), omissions)


def open_recording(
    source: Path | str,
    *,
    second: Path | str | None = None,
    lens: Path | str | Lenses | None = None,
    threads: int = 1,
) -> StitchedReader:
    """Open a recording of a two-lens camera as `open_video` does; refuse an ordinary video.

    Raises:
        VideoError: with the reasons of `open_video`.
        InvalidInput: the file is an ordinary video, or an argument is invalid.
    """
    reader = open_video(source, threads=threads, lens=lens, second=second)
    if isinstance(reader, StitchedReader):
        return reader
    reader.close()
    raise InvalidInput(
        f"{source} is not a recording of a known two-lens camera; give its lenses with --lens, "
        "or if it is a 360° map already: argus tag IN OUT"
    )


def _count_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read_maps(
    reader: StitchedReader, indices: NDArray[np.int64], size: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    """Yield maps; the next ones are read while the caller encodes."""
    step = max(1, _CHUNK_BYTES // (size[0] * size[1] * 3))
    chunks = [indices[start : start + step] for start in range(0, len(indices), step)]
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(reader.frames, chunks[0], size)
        for chunk in [*chunks[1:], None]:
            maps = pending.result()
            if chunk is not None:
                pending = pool.submit(reader.frames, chunk, size)
            yield from maps


def _report(
    frames: Iterator[NDArray[np.uint8]], total: int, progress: ProgressHook | None
) -> Iterator[NDArray[np.uint8]]:
    for number, frame in enumerate(frames, 1):
        yield frame
        if progress:
            progress(number, total, "frame", "")
