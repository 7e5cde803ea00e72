"""Samples of a clip for learned scorers, and their file: plain arrays, one file per clip.

A file has about 25 MB (16 frames of 512×1024). One clip at a time is in memory on either side,
however long the video is.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import ERP_SIZE, SampledFrames

STRIP_SIZE = (27, 48)
"""(height, width) of the small frames of the whole clip."""


@dataclass(frozen=True, eq=False)
class ClipSamples:
    """Samples of one clip.

    Attributes:
        sampled: the sampled frames that all filters share.
        strip: every frame of the clip, small, uint8 [T, 27, 48, 3] RGB.
        fps: frame rate of the clip.
    """

    sampled: SampledFrames
    strip: NDArray[np.uint8]
    fps: float

    @classmethod
    def from_frames(cls, sampled: SampledFrames, frames: NDArray[np.uint8], fps: float) -> Self:
        """Create samples from a clip's sampled frames and all its ERP frames [T, H, W, 3]."""
        return cls(sampled, make_strip(frames), fps)

    def save(self, path: Path) -> None:
        """Write plain uncompressed arrays."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path,
            frames=self.sampled.frames,
            next_frames=self.sampled.next_frames,
            intervals_s=self.sampled.intervals_s,
            strip=self.strip,
            fps=np.float64(self.fps),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ValueError: the file is damaged or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                sampled = SampledFrames(file["frames"], file["next_frames"], file["intervals_s"])
                clip = cls(sampled, file["strip"], float(file["fps"]))
        except (OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"the samples of a clip cannot be read: {error}") from error
        count = len(sampled.intervals_s)
        arrays = (sampled.frames, sampled.next_frames, clip.strip)
        expected = ((count, *ERP_SIZE, 3), (count, *ERP_SIZE, 3), (len(clip.strip), *STRIP_SIZE, 3))
        shapes = tuple(array.shape for array in arrays)
        dtypes = {array.dtype for array in arrays}
        if shapes != expected or dtypes != {np.dtype(np.uint8)}:
            raise ValueError(
                f"the samples of a clip have shapes {shapes} and types {dtypes}, "
                f"but must have shapes {expected} and type uint8"
            )
        return clip


def make_strip(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ERP frames [T, H, W, 3] as small frames [T, 27, 48, 3]."""
    height, width = STRIP_SIZE
    return np.stack(
        [
            np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            for frame in frames
        ]
    )


def clip_samples_filename(start_ms: int, end_ms: int) -> str:
    """Return the name of a clip's file in the folder of its video."""
    return f"{start_ms}-{end_ms}.npz"
