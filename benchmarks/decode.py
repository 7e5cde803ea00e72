"""Cost of reading video, compared with OpenCV, decord and the time of decoding alone.

The sparse reads take 25 of 300 frames of 3840x1920, evenly spaced, at 512x1024, with two threads.
The readers alternate within one run. Times are medians and include opening the file; ratios are
medians over rounds. The floor decodes the frames that must be decoded and converts none.

    python benchmarks/decode.py [--quick]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

THREADS = 2
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{THREADS}"  # read when it is imported

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace

from argus.media import decode_clip, encode_clip, open_video

HEIGHT, WIDTH, SMALL = 1920, 3840, (512, 1024)
SAMPLES = 25
DISTINCT_FRAMES = 24  # shown forward and backward in turn
READERS = ("opencv", "argus", "decord", "floor")
Size = tuple[int, int] | None
Read = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smaller frames, fewer frames, one round: a smoke test, not a measurement",
    )
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print_peak_memory(options.peak_of)
        return
    cv2.setNumThreads(THREADS)
    scale, count, rounds = (4, 60, 1) if options.quick else (1, 300, 3)
    with tempfile.TemporaryDirectory() as folder:
        run_benchmark(Path(folder), render_frames(scale), count, rounds)


def run_benchmark(folder: Path, frames: list[np.ndarray], count: int, rounds: int) -> None:
    long_gop = encode(folder / "gop250.mp4", frames, count, 250)
    short_gop = encode(folder / "gop12.mp4", frames, count, 12)
    fewer = encode(folder / "fewer.mp4", frames, count // 5, 12)
    clip_frames = np.stack(
        [
            cv2.resize(frame, SMALL[::-1], interpolation=cv2.INTER_AREA)
            for frame in [*frames, *frames][:50]
        ]
    )
    clip = encode_clip(clip_frames, Fraction(5))
    clip_path = folder / "clip.mp4"
    clip_path.write_bytes(clip)
    sparse = np.linspace(0, count - 1, SAMPLES).round().astype(int).tolist()
    dense, clip_indices = range(count // 5), range(len(clip_frames))

    title = f"milliseconds; {frames[0].shape[1]}x{frames[0].shape[0]} in H.264 unless noted"
    print(f"{title:<64}{''.join(f'{name:>11}' for name in READERS)}   ratio")
    some, every = f"{SAMPLES} of {count} frames", f"all {count // 5} frames"
    compare(f"{some}, GOP 250, to 512x1024", long_gop, sparse, SMALL, rounds, target="(4x)")
    compare(f"{some}, GOP 12, to 512x1024", short_gop, sparse, SMALL, rounds, target="(2x)")
    compare(f"{some}, GOP 12, full size", short_gop, sparse, None, rounds)
    compare(f"{every}, GOP 12, to 512x1024", fewer, dense, SMALL, rounds)
    compare(f"{every}, GOP 12, full size", fewer, dense, None, rounds)
    title = f"all {len(clip_frames)} frames of a clip, 512x1024, GOP 8"
    compare(title, clip_path, clip_indices, None, 3 * rounds)
    compare_in_memory(clip, clip_path, 3 * rounds)
    print_quality(short_gop)
    print_memory(
        {
            f"{count // 5} frames, GOP 12": fewer,
            f"{count} frames, GOP 12": short_gop,
            f"{count} frames, GOP 250": long_gop,
        }
    )


def render_frames(scale: int) -> list[np.ndarray]:
    """Render a moving, noisy texture as detailed as a camera's pictures: uint8 [H, W, 3] each."""
    random = np.random.default_rng(0)
    height, width = HEIGHT // scale, WIDTH // scale
    texture = np.full((height, width, 3), 128, np.float32)
    for rows in (8, 32, 128, 512, 1920):
        gray = random.normal(size=(rows, 2 * rows, 1)).astype(np.float32)
        color = random.normal(size=(rows, 2 * rows, 3)).astype(np.float32)
        octave = cv2.resize(gray * np.float32([1, 0.9, 0.8]) + 0.3 * color, (width, height))
        texture += 60 * (8 / rows) ** 0.55 * octave
    texture = texture.clip(0, 255).astype(np.uint8)
    noise = random.normal(0, 3, (height, width, 3)).astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    frames = []
    for number in range(DISTINCT_FRAMES):
        x = (columns + 4.3 * number + 12 * np.sin(rows / 90 + number / 9)) % width
        y = rows + 9 * np.sin(columns / 130 + number / 11)
        moved = cv2.remap(texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        shifted_noise = np.roll(noise, int(random.integers(0, width)), 1)
        frames.append(cv2.add(moved, shifted_noise, dtype=cv2.CV_8U))
    return frames


def encode(path: Path, frames: Sequence[np.ndarray], count: int, gop: int) -> Path:
    height, width = frames[0].shape[:2]
    converted = [
        av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
        for frame in frames
    ]
    period = 2 * DISTINCT_FRAMES - 2
    with av.open(str(path), "w") as container:
        options = {"crf": "23", "preset": "veryfast"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.thread_count = gop, THREADS
        stream.codec_context.colorspace = Colorspace.ITU709  # decord takes undeclared for BT.601
        for number in range(count):
            phase = number % period
            frame = converted[min(phase, period - phase)]
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_with_opencv(path: Path, indices: Sequence[int], size: Size) -> np.ndarray:
    """Seek, read and resize each frame; no seek to the frame after the last one."""
    video = cv2.VideoCapture(str(path))
    frames, position = [], 0
    for index in indices:
        if index != position:
            video.set(cv2.CAP_PROP_POS_FRAMES, index)
        is_read, frame = video.read()
        assert is_read
        if size is not None:
            frame = cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        position = index + 1
    return np.stack(frames)


def read_with_argus(
    path: Path, indices: Sequence[int], size: Size, backend: str = "pyav"
) -> np.ndarray:
    with open_video(path, backend, threads=THREADS) as video:
        return video.frames(indices, size)


def decode_only(path: Path, indices: Sequence[int]) -> int:
    """Decode what the frames depend on, one GOP after another; return the number of frames."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count, stream.thread_type = THREADS, "AUTO"
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = sorted(packet.pts for packet in packets)
        wanted = {times[index] for index in indices}
        starts = [number for number, packet in enumerate(packets) if packet.is_keyframe]
        for start, stop in zip(starts, [*starts[1:], len(packets)], strict=True):
            needed = [number for number in range(start, stop) if packets[number].pts in wanted]
            for packet in packets[start : needed[-1] + 1] if needed else []:
                stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                count += len(packet.decode())
            count += len(stream.codec_context.decode(None))
            stream.codec_context.flush_buffers()
    return count


def compare(
    title: str,
    path: Path,
    indices: Sequence[int],
    size: Size,
    rounds: int,
    *,
    target: str = "",
) -> None:
    readers: dict[str, Read] = {
        "opencv": lambda: read_with_opencv(path, indices, size),
        "argus": lambda: read_with_argus(path, indices, size),
        "decord": lambda: read_with_argus(path, indices, size, "decord"),
        "floor": lambda: decode_only(path, indices),
    }
    print_row(title, readers, rounds, target=target)


def compare_in_memory(clip: bytes, path: Path, rounds: int) -> None:
    """Compare reads of a range of a clip in memory; OpenCV and decord read it from a file."""
    indices = range(17, 33)
    readers: dict[str, Read] = {
        "opencv": lambda: read_with_opencv(path, indices, None),
        "argus": lambda: decode_clip(clip, indices, threads=THREADS),
        "decord": lambda: read_with_argus(path, indices, None, "decord"),
        "floor": lambda: decode_only(path, indices),
    }
    print_row("16 frames of the clip, from memory (opencv, decord: a file)", readers, rounds)


def print_row(title: str, readers: dict[str, Read], rounds: int, *, target: str = "") -> None:
    """Print the median times of alternating readers, and the ratio of the first to the second."""
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            start = time.perf_counter()
            read()
            times[name].append(time.perf_counter() - start)
    pairs = zip(times["opencv"], times["argus"], strict=True)
    ratio = statistics.median(opencv / argus for opencv, argus in pairs)
    cells = "".join(f"{statistics.median(times[name]) * 1e3:11.0f}" for name in READERS)
    print(f"{title:<64}{cells}{ratio:9.1f}x {target}", flush=True)


def print_quality(path: Path) -> None:
    """Print how far resized frames are from the area average of the frame at full size."""
    with open_video(path) as video:
        full, small = video.frames([7])[0], video.frames([7], SMALL)[0].astype(int)
    average = cv2.resize(full, SMALL[::-1], interpolation=cv2.INTER_AREA)
    opencv = read_with_opencv(path, [7], SMALL)[0].astype(int)
    print(
        "\nDifference in levels between a frame read at 512x1024 and the INTER_AREA average of the"
        "\nsame frame at full size: mean, 99th percentile, maximum"
    )
    for name, frame in (
        ("argus, converted and resized in one pass", small),
        ("opencv, which repeats chroma and rounds down", opencv),
    ):
        difference = np.abs(frame - average)
        percentile = np.quantile(difference, 0.99)
        print(f"  {name:<62}{difference.mean():8.2f}{percentile:8.0f}{difference.max():8d}")


def print_memory(paths: dict[str, Path]) -> None:
    frames_mib = SAMPLES * SMALL[0] * SMALL[1] * 3 >> 20
    print(
        "\nPeak memory of the sparse read in its own process, without that of the imports; "
        f"the frames take {frames_mib} MiB"
    )
    for title, path in paths.items():
        result = subprocess.run(
            [sys.executable, __file__, "--peak-of", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"  {title:<62}{int(result.stdout):8d} MiB")


def print_peak_memory(path: str) -> None:
    """Print the peak memory of a sparse read in MiB, without that of the imports."""
    before = measure_peak_kib()
    with open_video(path, threads=THREADS) as video:
        video.frames(np.linspace(0, len(video) - 1, SAMPLES).round().astype(int), SMALL)
    print((measure_peak_kib() - before) // 1024)


def measure_peak_kib() -> int:
    """Return this process's peak memory; ru_maxrss would include its parent's at the fork."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


if __name__ == "__main__":
    main()
