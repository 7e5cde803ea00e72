"""What a learned scorer sees of a clip, and how it travels from the process that decoded it: one file of plain arrays per clip.

A file is about 25 MB (16 frames of 512×1024); one clip at a time is in memory on either side, however long the video is.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from argus.curate.frame_sampling import SIZE, Samples

STRIP = (27, 48)
"""(height, width) of the small frames of the whole clip."""


@dataclass(frozen=True, eq=False)
class ClipSamples:
    """A clip as scorers see it: the moments that all filters share, and every frame, tiny."""

    moments: Samples
    strip: NDArray[np.uint8]  # [T, 27, 48, 3] RGB, all frames of the clip
    fps: float

    @classmethod
    def of(cls, moments: Samples, frames: NDArray[np.uint8], fps: float) -> Self:
        """From a clip's samples and its frames [T, H, W, 3] of mono ERP at `fps`."""
        height, width = STRIP
        strip = np.stack(
            [cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames]
        )
        return cls(moments, strip.astype(np.uint8, copy=False), fps)

    def save(self, path: Path) -> None:
        """Writes plain arrays, uncompressed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        moments = self.moments
        np.savez(
            path,
            frames=moments.frames,
            following=moments.following,
            gaps_s=moments.gaps_s,
            strip=self.strip,
            fps=np.float64(self.fps),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote. Raises ValueError where it is damaged or holds something else."""
        try:
            with np.load(path, allow_pickle=False) as file:
                clip = cls(
                    Samples(file["frames"], file["following"], file["gaps_s"]),
                    file["strip"],
                    float(file["fps"]),
                )
        except (OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise ValueError(f"the samples of a clip cannot be read: {error}") from error
        count = len(clip.moments.gaps_s)
        pictures = (clip.moments.frames, clip.moments.following, clip.strip)
        expected = ((count, *SIZE, 3), (count, *SIZE, 3), (len(clip.strip), *STRIP, 3))
        if tuple(picture.shape for picture in pictures) != expected or {
            picture.dtype for picture in pictures
        } != {np.dtype(np.uint8)}:
            raise ValueError(
                f"the samples of a clip are {[picture.shape for picture in pictures]}, expected are {expected} in uint8"
            )
        return clip


def samples_name(start_ms: int, end_ms: int) -> str:
    """The file name of a clip's samples within its video's folder."""
    return f"{start_ms}-{end_ms}.npz"
