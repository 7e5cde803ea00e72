"""Comparison of the readers with the ffmpeg binary, file by file.

`python -m tests.support.reader_table OUT.md` writes the table.
"""

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argus.media import MediaInfo, decode_clip, open_video
from tests.support.ffmpeg_reference import (
    REFUSED_MATRICES,
    Shown,
    decode,
    decode_plainly,
    describe,
    explain_plain_difference,
    find_nominal,
)
from tests.support.media_matrix import cover_pairs, make_video
from tests.support.odd_media import ODD_NAMES, make_odd_video

TIME_TOLERANCE_S = 1e-3
PIXEL_TOLERANCE = 2  # levels
# Of HDR pixels: a channel of a bright saturated color that nearly vanishes in BT.709 is the
# difference of large numbers, finer than the 16-bit samples.
STRAY_HDR_PIXELS = 2e-5
_ROUNDING_S = 2e-6  # ffmpeg prints microseconds
_SHORTEST_S = 4e-3  # `frames_at` takes times up to 1.5 ms early
_SMALL_MEAN = 2.5  # levels of luma: another frame differs by more
_LUMA = (0.299, 0.587, 0.114)

RECIPES = {recipe.name: recipe for recipe in cover_pairs()}
FILES = (*RECIPES, *ODD_NAMES)
# Their times start again; ffmpeg joins them unless it is told to copy times.
RESTARTING = {name for name in FILES if name.startswith("joined")}

_STEP_BACK = "at the joint ffmpeg steps back by a frame; our times never decrease"
EXPLAINED: dict[str, dict[str, str]] = {
    "joined_codecs.ts": dict.fromkeys(("times", "shown", "frames_at"), _STEP_BACK),
    **{
        name: {"decord": "it ignores a crop at the left"}
        for name in ("cropped.mp4", "cropped_hevc.mkv")
    },
}
"""Differences that are meant, by file and kind, with their causes."""


def make_file(name: str, folder: Path) -> Path:
    """Write one of FILES, unless it is there.

    Args:
        name: its name.
        folder: where to write it.
    """
    path = folder / name
    if path.exists():
        return path
    recipe = RECIPES.get(name)
    return make_video(recipe, path) if recipe else make_odd_video(name, path)


@dataclass
class Comparison:
    """How a reader's frames differ from ffmpeg's.

    Attributes:
        frames: number of frames read.
        time_error_s: the largest difference of a frame's time since the first frame.
        pixel_error: the largest difference in levels; None if the frames cannot be compared.
        plain_error: as `pixel_error`, from a plain ffmpeg command; None if that refuses the file.
        plain_causes: why that may differ.
        decord_error: the largest mean difference of a frame's luma between the backends; None if
            decord refuses the file.
        outside: share of HDR or wide-gamut pixels that are not compared, as they are outside of
            the nominal range.
        strays: number of HDR or wide-gamut pixels beyond the tolerance, if they are few enough.
        differences: what is beyond the tolerances, as KIND: (ours, ffmpeg's).
    """

    frames: int = 0
    time_error_s: float = 0.0
    pixel_error: int | None = None
    plain_error: int | None = None
    plain_causes: list[str] = field(default_factory=list)
    decord_error: float | None = None
    outside: float = 0.0
    strays: int = 0
    differences: dict[str, tuple[object, object]] = field(default_factory=dict)

    def require_equal(self, kind: str, ours: object, theirs: object) -> bool:
        """Note a difference if two values differ; return whether they are equal."""
        if ours != theirs:
            self.differences[kind] = (ours, theirs)
        return ours == theirs


def compare(path: Path) -> Comparison:
    """Compare all that the reader says and shows of a file with ffmpeg."""
    keeps_times = path.name not in RESTARTING
    shown = describe(path, keeps_times=keeps_times)
    result = Comparison()
    with open_video(path) as video:
        result.frames = len(video)
        _compare_properties(result, video.info, shown, keeps_times=keeps_times)
        if not result.require_equal("frames", len(video), len(shown.times)):
            return result
        times = shown.times - shown.times[0]
        result.time_error_s = float(np.abs(video.timestamps - times).max())
        if result.time_error_s > TIME_TOLERANCE_S + _ROUNDING_S:
            result.differences["times"] = (video.timestamps.tolist(), times.tolist())
        lasting = np.flatnonzero(np.diff(times) > _SHORTEST_S)
        middles = (times[lasting] + times[lasting + 1]) / 2
        result.require_equal("shown", video.indices_at(middles).tolist(), lasting.tolist())
        frames = video.frames(range(len(video)))
        if not np.array_equal(video.frames_at(middles[-3:]), frames[lasting[-3:]]):
            result.differences["frames_at"] = (middles[-3:].tolist(), lasting[-3:].tolist())
    _compare_order(result, path, frames)
    _compare_decord(result, path, frames)
    _compare_plainly(result, path, shown, frames)
    theirs = decode(path, shown)
    if result.require_equal("shape", frames.shape, theirs.shape):
        errors = np.abs(frames.astype(np.int16) - theirs).max(-1)  # [n, height, width]
        if shown.is_wide:
            nominal = find_nominal(path, shown)
            result.outside = float(1 - nominal.mean())
            errors *= nominal
        result.pixel_error = int(errors.max())
        beyond = int((errors > PIXEL_TOLERANCE).sum())
        if shown.is_wide and beyond <= STRAY_HDR_PIXELS * errors.size:
            result.strays = beyond
        elif beyond:
            result.differences["pixels"] = (errors.max((1, 2)).tolist(), PIXEL_TOLERANCE)
    return result


def _compare_order(result: Comparison, path: Path, frames: NDArray[np.uint8]) -> None:
    """Read the frames again: some, all in random order with threads, and all from memory."""
    order = np.random.default_rng(len(frames)).permutation(len(frames))
    with open_video(path, threads=3) as video:
        for indices in ([len(frames) - 1], [0, len(frames) // 2], order):
            if not np.array_equal(video.frames(indices), frames[indices]):
                result.differences["order"] = (list(indices), "the same frames in any order")
    result.require_equal("memory", np.array_equal(decode_clip(path.read_bytes()), frames), True)


def _compare_properties(
    result: Comparison, info: MediaInfo, shown: Shown, *, keeps_times: bool
) -> None:
    color = info.color
    result.require_equal("size", (info.width, info.height), (shown.width, shown.height))
    result.require_equal("pixel aspect", info.pixel_aspect, shown.pixel_aspect)
    result.require_equal("codec", info.codec, shown.codec)
    result.require_equal("range", color.range, shown.range)
    result.require_equal("matrix", color.matrix, shown.matrix)
    result.require_equal("primaries", color.primaries, shown.primaries)
    result.require_equal("transfer", color.transfer, shown.transfer)
    result.require_equal("interlaced", info.is_interlaced, shown.is_interlaced)
    if keeps_times and abs(info.start_s - shown.times[0]) > TIME_TOLERANCE_S + _ROUNDING_S:
        result.differences["start"] = (info.start_s, float(shown.times[0]))


def _compare_plainly(
    result: Comparison, path: Path, shown: Shown, frames: NDArray[np.uint8]
) -> None:
    """Compare with a plain ffmpeg command, which must show the same unless a cause is known."""
    result.plain_causes = explain_plain_difference(shown)
    if shown.matrix in REFUSED_MATRICES:
        return
    theirs = decode_plainly(path, shown)
    if result.require_equal("plain", frames.shape, theirs.shape):
        result.plain_error = int(np.abs(frames.astype(np.int16) - theirs).max())
        if result.plain_error > PIXEL_TOLERANCE and not result.plain_causes:
            result.differences["plain"] = (result.plain_error, PIXEL_TOLERANCE)


def _compare_decord(result: Comparison, path: Path, expected: NDArray[np.uint8]) -> None:
    """Compare decord's frames by their luma: it repeats subsampled chroma, not interpolates it."""
    try:
        video = open_video(path, "decord")
    except ValueError:  # it refuses the file
        return
    with video:
        frames = video.frames(range(len(video)))
    if result.require_equal("decord", frames.shape, expected.shape):
        means = np.abs(frames @ _LUMA - expected @ _LUMA).mean((1, 2))
        result.decord_error = float(means.max())
        if result.decord_error > _SMALL_MEAN:
            result.differences["decord"] = (means.round(1).tolist(), _SMALL_MEAN)


def write_table(target: Path) -> None:
    """Make all files and write a Markdown table of the comparison, with a summary above it."""
    with tempfile.TemporaryDirectory() as folder:
        results = {name: compare(make_file(name, Path(folder))) for name in FILES}
    errors = [result.pixel_error for result in results.values()]
    counts = {
        "equal in every pixel": sum(error == 0 for error in errors),
        f"within {PIXEL_TOLERANCE} levels": sum(
            error is not None and 0 < error <= PIXEL_TOLERANCE for error in errors
        ),
        f"within {PIXEL_TOLERANCE} levels of a plain command too": sum(
            item.plain_error is not None and item.plain_error <= PIXEL_TOLERANCE
            for item in results.values()
        ),
        "also read by decord": sum(item.decord_error is not None for item in results.values()),
        "with explained differences": len(EXPLAINED),
        "with unexplained differences": sum(
            not item.differences.keys() <= EXPLAINED.get(name, {}).keys()
            for name, item in results.items()
        ),
    }
    lines = [
        f"{len(FILES)} files: {', '.join(f'{count} {text}' for text, count in counts.items())}.",
        "",
        "| file | frames | time error (ms) | pixel error (levels) | of a plain command (levels) "
        "| decord, mean luma (levels) | notes |",
        "|---|---:|---:|---:|---:|---:|---|",
        *(_format_row(name, result) for name, result in results.items()),
    ]
    target.write_text("\n".join(lines) + "\n")


def _format_row(name: str, result: Comparison) -> str:
    causes = dict.fromkeys(result.differences, "**unexplained**") | EXPLAINED.get(name, {})
    notes = [f"{kind}: {cause}" for kind, cause in causes.items()]
    if result.plain_error is None or result.plain_error > PIXEL_TOLERANCE:
        notes.append(f"plain command: {', '.join(result.plain_causes)}")
    if result.outside:
        notes.append(f"{100 * result.outside:.1f}% of the pixels are outside of the nominal range")
    if result.strays:
        notes.append(f"{result.strays} HDR pixels beyond {PIXEL_TOLERANCE} levels")
    pixels = "–" if result.pixel_error is None else result.pixel_error
    plain = "–" if result.plain_error is None else result.plain_error
    decord = "–" if result.decord_error is None else f"{result.decord_error:.1f}"
    return (
        f"| {name} | {result.frames} | {1000 * result.time_error_s:.3f} | {pixels} | {plain} "
        f"| {decord} | {'; '.join(notes)} |"
    )


if __name__ == "__main__":
    write_table(Path(sys.argv[1]))
