"""Reader of two-lens recordings: the pictures of both lenses, joined to one ERP map per frame."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.errors import VideoError
from argus.media.cameras.lens_file import Lenses
from argus.media.cameras.recordings import Recording, describe_map
from argus.media.frame_index import VideoIndex
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import VideoReader, resize_frame
from argus.media.sound import SoundSource
from argus.sphere import FisheyeToErp, GoproToErp
from schemas.names import Reason

Stitch = Callable[[list[NDArray[np.uint8]]], NDArray[np.uint8]]
"""Joins the pictures of each source, uint8 [n, h, w, 3], to maps [n, H, W, 3]."""

_CHUNK_BYTES = 128 << 20  # limit on the pictures in memory
_MAX_LOST_S = 1.0  # at the ends, where only one track has frames
_MAX_OUT_OF_STEP = 0.01  # of the frames: a camera may drop one
_LIKE = np.empty(0, np.uint8)


class StitchedReader(VideoReader):
    """A recording of a two-lens camera as a video of ERP maps.

    The pictures of a frame are those that are shown at its time. A size that is smaller than the
    map's is projected directly, with averaged pictures.

    Args:
        first: the recording's file, opened; closed with this reader.
        path: that file.
        recording: its pictures.
        lenses: the lenses; None for a GoPro MAX.
        threads: number of decoder threads.

    Raises:
        VideoError: TRUNCATED or CORRUPT if the tracks do not belong together, and the reasons of
            `open_video`.
    """

    def __init__(
        self,
        first: PyAVReader,
        path: Path,
        recording: Recording,
        lenses: Lenses | None,
        threads: int = 1,
    ) -> None:
        self._first, self._recording, self._lenses = first, recording, lenses
        self._threads = threads
        self._readers: list[PyAVReader] = []
        self._stitches: dict[tuple[int, int], Stitch] = {}  # by size of the map
        try:
            for source, track in recording.sources:
                is_open = source == path and track in (None, first.info.video_track)
                self._readers.append(first if is_open else PyAVReader(source, threads, track=track))
            self._numbers = _pair_frames(self._readers, str(path))
            _require_equal_sizes(self._readers, str(path))
        except BaseException:
            self.close()
            raise
        super().__init__(str(path), self._describe())

    def _describe(self) -> VideoIndex:
        """Return the index of the first track, of the frames that both tracks have."""
        index = self._readers[0].index
        numbers = self._numbers[0]
        height = self._readers[0].info.height // 2 * 2
        size = self._recording.gopro.erp_size if self._recording.gopro else (height, 2 * height)
        info = describe_map(index.info, self._recording.camera, size)
        kept = np.isin(index.keyframes, numbers)
        return replace(
            index,
            pts=index.pts[numbers],
            keyframes=np.searchsorted(numbers, index.keyframes[kept]),
            info=replace(
                info,
                frames=len(numbers),
                start_s=float(index.pts[numbers[0]] * index.time_base),
                duration_s=info.duration_s - (len(index.pts) - len(numbers)) / float(info.fps),
            ),
        )

    @property
    def sound(self) -> SoundSource | None:
        """The file whose sound belongs to the frames; None if no file has any."""
        for reader, own, (path, _) in zip(
            self._readers, self._numbers, self._recording.sources, strict=True
        ):
            if any(track.kind == "audio" for track in reader.info.tracks):
                start_s = reader.info.start_s + float(reader.timestamps[own[0]])
                return SoundSource(path, start_s)
        return None

    def _decode(self, numbers: NDArray[np.int64], outputs: Sequence[NDArray[np.uint8]]) -> None:
        height, width = self._readers[0].size
        step = max(1, _CHUNK_BYTES // (height * width * 3 * len(self._readers)))
        for start in range(0, numbers.size, step):
            chunk = slice(start, start + step)
            pictures = self._read(numbers[chunk])
            wanted = outputs[start].shape[:2]
            is_smaller = wanted[0] <= self.size[0] and wanted[1] <= self.size[1]
            maps = self._get_stitch(wanted if is_smaller else self.size)(pictures)
            for picture, output in zip(maps, outputs[chunk], strict=True):
                output[...] = resize_frame(picture, output.shape[:2])

    def _read(self, numbers: NDArray[np.int64]) -> list[NDArray[np.uint8]]:
        """Return the pictures of frames by source; sources are read at once if threads allow."""
        jobs = [
            (reader, own[numbers]) for reader, own in zip(self._readers, self._numbers, strict=True)
        ]
        if self._threads == 1 or len(jobs) == 1:
            return [reader.frames(own) for reader, own in jobs]
        with ThreadPoolExecutor(len(jobs)) as pool:
            return list(pool.map(lambda job: job[0].frames(job[1]), jobs))

    def _get_stitch(self, erp_size: tuple[int, int]) -> Stitch:
        """Return the projection to maps of a size; those of the last two sizes are kept."""
        if erp_size not in self._stitches:
            if len(self._stitches) > 1:
                self._stitches.pop(next(iter(self._stitches)))
            self._stitches[erp_size] = self._make_stitch(erp_size)
        return self._stitches[erp_size]

    def _make_stitch(self, erp_size: tuple[int, int]) -> Stitch:
        if self._recording.gopro:
            join = GoproToErp(self._recording.gopro, erp_size, _LIKE)
            return lambda pictures: np.asarray(join(pictures[0], pictures[1]))
        assert self._lenses is not None, "fisheye pictures have lenses"
        height, width = self._readers[0].size
        is_side_by_side = len(self._readers) == 1
        middle = width // 2
        project = FisheyeToErp(
            self._lenses, (height, middle if is_side_by_side else width), erp_size, _LIKE
        )

        def stitch(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
            if is_side_by_side:
                (both,) = pictures
                pictures = [both[:, :, :middle], both[:, :, middle : 2 * middle]]
            return np.asarray(project(pictures))

        return stitch

    def close(self) -> None:
        """Close all decoders. May be called more than once."""
        for reader in (self._first, *self._readers):
            reader.close()


def _pair_frames(readers: Sequence[PyAVReader], name: str) -> list[NDArray[np.int64]]:
    """Return the numbers of the frames that are shown together, one array for each reader.

    Raises:
        VideoError: TRUNCATED if a track is much shorter than the other, CORRUPT if too many of
            its frames are shown at other times.
    """
    if len(readers) == 1:
        return [np.arange(len(readers[0]))]
    first, second = (reader.timestamps + reader.info.start_s for reader in readers)
    step = 1 / float(readers[0].fps)
    is_common = (first > second[0] - step / 2) & (first < second[-1] + step / 2)
    numbers = np.flatnonzero(is_common)
    lost_s = (len(first) + len(second) - 2 * numbers.size) * step
    if lost_s > _MAX_LOST_S or not numbers.size:
        ends = " and ".join(
            f"{times[0]:.2f} to {times[-1] + step:.2f} s" for times in (first, second)
        )
        raise VideoError(
            Reason.TRUNCATED,
            f"{name}: the pictures of its two lenses do not cover the same time ({ends}); "
            "give both files of one recording, or copy it again",
        )
    partners = _find_nearest(second, first[numbers])
    is_off = np.abs(second[partners] - first[numbers]) > step / 2
    is_off[1:] |= np.diff(partners) != 1
    if is_off.mean() > _MAX_OUT_OF_STEP:
        raise VideoError(
            Reason.CORRUPT,
            f"{name}: {is_off.mean():.0%} of the pictures of its two lenses are shown at different "
            "times; give both files of one recording",
        )
    return [numbers, partners]


def _find_nearest(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the position of the increasing time that is nearest to each wanted one."""
    after = np.searchsorted(times, wanted).clip(max=len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] <= times[after] - wanted, before, after)


def _require_equal_sizes(readers: Sequence[PyAVReader], name: str) -> None:
    sizes = {reader.size for reader in readers}
    if len(sizes) > 1:
        shown = " and ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise VideoError(
            Reason.UNSUPPORTED_LAYOUT,
            f"{name}: the pictures of its two lenses have different sizes ({shown}); "
            "give both files of one recording",
        )
