"""Video files of the world: good ones, and one of every defect that a refresh must find."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from argus.files import replacing
from argus.media import SphericalMetadata, write_video
from argus.sphere import Camera, erp_to_view
from argus.synth.paths import Motion, make_path
from argus.synth.world import World
from schemas.names import Layout, Reason


@dataclass(frozen=True)
class SynthVideo:
    """A written file and the truth about it.

    `reasons` are those any one of which a drop may rightly give; empty where the video is kept. `cuts_s` are the times of its shot boundaries.
    """

    path: Path
    layout: Layout
    keep: bool
    reasons: frozenset[Reason] = frozenset()
    cuts_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Shape:
    """What the videos of one call share."""

    seed: int
    seconds: float
    fps: Fraction
    height: int
    threads: int

    @property
    def count(self) -> int:
        return max(2, round(self.seconds * self.fps))


def write_world_videos(
    folder: Path | str, *, seed: int = 0, count: int = 8, seconds: float = 4, fps: Fraction | int = 10, height: int = 128, threads: int = 1
) -> list[SynthVideo]:
    """`count` good mono ERP videos (height × 2·height), each of another world, walking and driving in turn; every second one is tagged."""
    shape = _Shape(seed, seconds, Fraction(fps), height, threads)
    written = []
    for k in range(count):
        path = Path(folder) / f"world_{seed + k:04d}.mp4"
        motion = Motion.WALK if k % 2 == 0 else Motion.DRIVE
        write_video(path, _footage(shape, k, motion), shape.fps, spherical=SphericalMetadata() if k % 2 == 0 else None)
        written.append(SynthVideo(path, Layout.MONO_ERP, keep=True))
    return written


def write_negatives(
    folder: Path | str, *, seed: int = 1000, seconds: float = 3, fps: Fraction | int = 10, height: int = 128, threads: int = 1
) -> list[SynthVideo]:
    """One file of each defect, and one good video with cuts; the files' names say which is which."""
    folder = Path(folder)
    shape = _Shape(seed, seconds, Fraction(fps), height, threads)
    return [*_write_layouts(folder, shape), *_write_contents(folder, shape), *_write_broken(folder, shape)]


def _write_layouts(folder: Path, shape: _Shape) -> list[SynthVideo]:
    """Pictures that are not one whole sphere."""
    stereo, flat = frozenset({Reason.STEREO}), frozenset({Reason.NOT_360})
    return [
        _write(folder, "stereo_tb", _eyes(shape, 0, 0), shape, Layout.STEREO_TB, stereo, spherical=SphericalMetadata(stereo_mode="top-bottom")),
        _write(folder, "stereo_tb_untagged", _eyes(shape, 1, 0), shape, Layout.STEREO_TB, stereo),
        _write(folder, "stereo_sbs", _eyes(shape, 2, 1), shape, Layout.STEREO_SBS, stereo, spherical=SphericalMetadata(stereo_mode="left-right")),
        _write(folder, "stereo_sbs_2to1", map(_half_width, _eyes(shape, 3, 1)), shape, Layout.STEREO_SBS, stereo),
        _write(folder, "perspective_16x9", _views(shape, 4, 16 / 9), shape, Layout.FLAT, flat),
        _write(folder, "perspective_2to1", _views(shape, 5, 2), shape, Layout.FLAT, flat | {Reason.SEAM}),
    ]


def _write_contents(folder: Path, shape: _Shape) -> list[SynthVideo]:
    """Whole spheres that are not worth keeping, and the one with cuts, which is."""
    every = shape.count // 3
    shots = (frame for n in range(3) for frame in _footage(shape, 6 + n, Motion.WALK, every))
    still = next(_footage(shape, 9, Motion.STILL))
    with_cuts = _write(folder, "cuts", shots, shape, Layout.MONO_ERP, frozenset())

    def write(name: str, frames: Iterable[np.ndarray], *reasons: Reason) -> SynthVideo:
        tag = SphericalMetadata() if name == "half_black" else None
        return _write(folder, name, frames, shape, Layout.MONO_ERP, frozenset(reasons), spherical=tag)

    def drive(number: int, count: int = 0) -> Iterator[np.ndarray]:
        return _footage(shape, number, Motion.DRIVE, count)

    return [
        SynthVideo(with_cuts.path, with_cuts.layout, keep=True, cuts_s=tuple(float(n * every / shape.fps) for n in (1, 2))),
        write("static", [still] * shape.count, Reason.STATIC),
        write("half_black", map(_blackened, drive(10)), Reason.BLACK),
        write("black", [still * 0] * shape.count, Reason.BLACK, Reason.LOW_VARIANCE, Reason.STATIC),
        write("fog", map(_fogged, drive(11)), Reason.LOW_VARIANCE, Reason.STATIC),
        write("broken_seam", map(_without_seam, drive(12)), Reason.SEAM, Reason.NOT_360),
        write("too_short", drive(13, max(2, round(shape.fps / 2))), Reason.TOO_SHORT),
        write("one_frame", [still], Reason.TOO_SHORT, Reason.STATIC),
    ]


def _write_broken(folder: Path, shape: _Shape) -> list[SynthVideo]:
    """Files that hold no readable video."""
    good = folder / ".good.mp4"
    write_video(good, _footage(shape, 14, Motion.DRIVE), shape.fps, spherical=SphericalMetadata())
    data = good.read_bytes()
    good.unlink()
    noise = np.random.default_rng(shape.seed).integers(0, 256, len(data), np.uint8).tobytes()
    pictures = data.index(b"mdat") + 4
    unreadable = frozenset({Reason.CORRUPT, Reason.NOT_A_VIDEO, Reason.DECODER_CRASHED})
    contents = {
        "corrupt": (data[:pictures] + noise[pictures:], unreadable),
        "corrupt_index": (data[:64] + noise[64:], unreadable),
        "truncated": (data[: pictures + (len(data) - pictures) // 4], unreadable | {Reason.TRUNCATED}),
        "empty": (b"", frozenset({Reason.EMPTY_FILE})),
        "text": (b"This is a line of text, and no video.\n" * 40, unreadable - {Reason.DECODER_CRASHED}),
    }
    written = []
    for name, (content, reasons) in contents.items():
        path = folder / f"{name}.mp4"
        path.write_bytes(content)
        written.append(SynthVideo(path, Layout.NONE, keep=False, reasons=reasons))
    audio = folder / "audio_only.mp4"
    _write_audio(audio, shape.seconds)
    return [*written, SynthVideo(audio, Layout.NONE, keep=False, reasons=frozenset({Reason.NO_VIDEO_STREAM}))]


def _write(
    folder: Path,
    name: str,
    frames: Iterable[np.ndarray],
    shape: _Shape,
    layout: Layout,
    reasons: frozenset[Reason],
    *,
    spherical: SphericalMetadata | None = None,
) -> SynthVideo:
    path = folder / f"{name}.mp4"
    write_video(path, frames, shape.fps, spherical=spherical)
    return SynthVideo(path, layout, keep=False, reasons=reasons)


def _footage(shape: _Shape, number: int, motion: Motion, count: int = 0, sideways: float = 0.0) -> Iterator[np.ndarray]:
    """ERP frames `[H, 2H, 3]` of the world numbered so; `sideways` moves the eye to its right, metres."""
    seed = shape.seed + number
    path = make_path(seed, count or shape.count, shape.fps, motion)
    positions = path.positions + sideways * path.rotations[:1, :, 0]
    size = (shape.height, 2 * shape.height)
    return World(seed).frames(path.rotations, positions, path.times, size, threads=shape.threads)


def _eyes(shape: _Shape, number: int, axis: int) -> Iterator[np.ndarray]:
    """Left and right eye 65 mm apart, stacked along an axis (0: left on top)."""
    left, right = (_footage(shape, number, Motion.WALK, sideways=side) for side in (-0.0325, 0.0325))
    return (np.concatenate(pair, axis) for pair in zip(left, right, strict=True))


def _views(shape: _Shape, number: int, aspect: float) -> Iterator[np.ndarray]:
    """An ordinary video: a 90° view of the world."""
    camera = Camera(90, 2 * round(shape.height * aspect / 2), shape.height)
    return (erp_to_view(frame[None], np.eye(3), camera)[0] for frame in _footage(shape, number, Motion.WALK))


def _half_width(frame: np.ndarray) -> np.ndarray:
    return np.asarray((frame[:, 0::2].astype(np.uint16) + frame[:, 1::2] + 1) // 2, dtype=np.uint8)


def _blackened(frame: np.ndarray) -> np.ndarray:
    return np.concatenate([frame[: len(frame) * 11 // 20], 0 * frame[len(frame) * 11 // 20 :]])


def _fogged(frame: np.ndarray) -> np.ndarray:
    return np.asarray(150 + (frame.astype(np.int16) - 128) // 12, dtype=np.uint8)


def _without_seam(frame: np.ndarray) -> np.ndarray:
    """What is left when a quarter of the map is cut off and the rest stretched: its two ends do not meet."""
    width = frame.shape[1]
    return frame[:, np.arange(width) * 3 // 4]


def _write_audio(path: Path, seconds: float) -> None:
    """An mp4 whose only stream is a tone."""
    rate = 44100
    with replacing(path) as beside, av.open(str(beside), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        samples = (0.2 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
        for start in range(0, len(samples), 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
