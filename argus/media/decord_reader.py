"""Decord backend, limited to the videos that decord reads exactly.

PyAV reads all of them faster (see benchmarks/decode.py), and every other video.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from argus.media.frame_index import VideoIndex
from argus.media.probing import index_file
from argus.media.pyav_reader import PyAVReader
from argus.media.reader import BackendUnsuitable, VideoReader, resize_frame

_CODECS = {"h264", "hevc", "vp8", "vp9", "mpeg4"}  # its FFmpeg is too old for AV1
_CONTAINERS = {"mp4", "matroska"}  # it fails at the end of MPEG-TS files
_MATRICES = {"bt709", "bt470bg", "smpte170m"}  # it takes undeclared HD for BT.601
_WIDE_GAMUTS = {"bt2020", "smpte431", "smpte432"}
_BITS = 8
_CHUNK_BYTES = 64 << 20  # limit on the decoded frames in memory


class DecordReader(VideoReader):
    """A file read by decord.

    Colors differ by up to 3 levels on flat patches, and frames are converted at full size before
    they are resized.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        index = index_file(path)
        super().__init__(str(path), index)
        _check_suitable(index)
        self._path, self._threads = path, threads
        self._fallback: PyAVReader | None = None
        self._video: Any = _open(path, threads)
        if len(self._video) != len(index.pts):
            # An edit list or VP8 hides frames, so decord's frame numbers are not those of `index`.
            raise BackendUnsuitable(f"it counts {len(self._video)} frames, not {len(index.pts)}")

    def _decode(self, numbers: NDArray[np.int64], outputs: Sequence[NDArray[np.uint8]]) -> None:
        height, width = self.size
        step = max(1, _CHUNK_BYTES // (height * width * 3))
        for start in range(0, numbers.size, step):
            chunk = slice(start, start + step)
            self._decode_chunk(numbers[chunk].tolist(), outputs[chunk])

    def _decode_chunk(self, numbers: list[int], outputs: Sequence[NDArray[np.uint8]]) -> None:
        from decord import DECORDError

        if self._fallback is None:
            try:
                frames = self._video.get_batch(numbers).asnumpy()
            except DECORDError:  # damage, or a limit of decord's own: PyAV decides from here on
                self._fallback = PyAVReader(self._path, self._threads)
            else:
                for frame, output in zip(frames, outputs, strict=True):
                    output[...] = resize_frame(frame, output.shape[:2])
                return
        for number, output in zip(numbers, outputs, strict=True):
            output[...] = self._fallback.frames([number], output.shape[:2])[0]

    def close(self) -> None:
        """Free the decoder. May be called more than once."""
        self._video = None
        if self._fallback is not None:
            self._fallback.close()


def _check_suitable(index: VideoIndex) -> None:
    """Raise `BackendUnsuitable` for what decord shows differently."""
    info = index.info
    coded = info.tracks[info.video_track]
    is_hd = coded.width >= 1280 or coded.height > 576
    differences = {
        f"{info.codec} in {info.container}": info.codec not in _CODECS
        or info.container not in _CONTAINERS,
        "open groups of pictures: after a seek it returns other frames": index.has_open_gops,
        "times do not identify its frames": index.is_sequential,
        "an edit list hides frames": info.has_edit_list,
        "several video tracks": bool(info.track_choice),
        "mirrored frames": info.is_mirrored,
        f"rotation by {info.rotation}°": info.rotation % 90 != 0
        or (info.rotation != 0 and info.container == "matroska"),
        "interlaced frames": info.is_interlaced,
        f"{info.bit_depth} bits per sample": info.bit_depth != _BITS,
        f"{info.color.transfer} transfer": info.color.is_hdr,
        f"{info.color.primaries} primaries": info.color.primaries in _WIDE_GAMUTS,
        f"{info.color.matrix} matrix": info.color.matrix not in _MATRICES
        and (is_hd or info.color.matrix != "unknown"),
    }
    reasons = [reason for reason, is_different in differences.items() if is_different]
    if reasons:
        raise BackendUnsuitable("; ".join(reasons))


def _open(path: Path, threads: int) -> Any:
    try:
        import decord
    except ImportError as exc:  # there is no wheel for every platform
        raise BackendUnsuitable("decord is not installed") from exc
    decord.logging.set_level(decord.logging.QUIET)
    try:
        return decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=threads)
    except (decord.DECORDError, RuntimeError) as exc:
        raise BackendUnsuitable("decord cannot open it") from exc
