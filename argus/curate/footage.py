"""A video as mono ERP frames, whatever its layout: what is cut off, which eye is taken, which projection is undone.

Which conversion a video needs is `argus.curate.layout`'s to say.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from argus.curate.samples import Samples, StoredSamples, resized
from argus.media import VideoReader


@dataclass(frozen=True)
class Conversion:
    """How stored frames become mono ERP frames; the default takes them as they are, squeezed or not."""

    def apply(self, frames: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Mono ERP frames [n, H, W, 3] at `size` (H, W) of stored ones [n, h, w, 3]."""
        return resized(frames, size)

    def stored_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) at which to decode stored frames so that `apply` gives `size` without losing detail that it can show."""
        return size


AS_STORED = Conversion()


class Footage:
    """The mono ERP frames of a video."""

    def __init__(self, reader: VideoReader, conversion: Conversion) -> None:
        self.reader = reader
        self.conversion = conversion

    def __len__(self) -> int:
        return len(self.reader)

    def frames(self, indices: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
        """Decodes frames and converts them: uint8 [n, H, W, 3] at `size` (H, W). Raises VideoError."""
        stored = self.reader.frames(indices, size=self.conversion.stored_size(size))
        return self.conversion.apply(stored, size)


def samples_of(stored: StoredSamples, conversion: Conversion, size: tuple[int, int]) -> Samples:
    """What filters judge, of frames that are decoded already."""
    return Samples(conversion.apply(stored.frames, size), conversion.apply(stored.following, size), stored.gaps_s)
