"""What reading video costs: beside OpenCV (seek, read, resize, frame by frame), beside decord, and beside the floor of decoding alone.

The sparse reads take 25 of 300 frames of 3840x1920, evenly spread, at 512x1024. Two threads each. The readers alternate within one run; times are
medians and include opening the file, ratios are medians over rounds. The floor decodes the frames that must be decoded and converts none.

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
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{THREADS}"

import av  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402

from argus.media import decode_clip, encode_clip, open_video  # noqa: E402

HEIGHT, WIDTH, SMALL = 1920, 3840, (512, 1024)
WANTED = 25
PICTURES = 24  # shown to and fro
Call = Callable[[], object]


def pictures(scale: int) -> list[np.ndarray]:
    """A moving texture with as much fine detail as a camera's, and noise: uint8 [H, W, 3]."""
    random = np.random.default_rng(0)
    height, width = HEIGHT // scale, WIDTH // scale
    texture = np.full((height, width, 3), 128, np.float32)
    for rows in (8, 32, 128, 512, 1920):
        grey = random.normal(size=(rows, 2 * rows, 1)).astype(np.float32)
        colour = random.normal(size=(rows, 2 * rows, 3)).astype(np.float32)
        texture += (
            60
            * (8 / rows) ** 0.55
            * cv2.resize(grey * np.float32([1, 0.9, 0.8]) + 0.3 * colour, (width, height))
        )
    texture = texture.clip(0, 255).astype(np.uint8)
    noise = random.normal(0, 3, (height, width, 3)).astype(np.float32)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    shown = []
    for number in range(PICTURES):
        column = (columns + 4.3 * number + 12 * np.sin(rows / 90 + number / 9)) % width
        moved = cv2.remap(
            texture,
            column,
            rows + 9 * np.sin(columns / 130 + number / 11),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
        shown.append(
            cv2.add(moved, np.roll(noise, int(random.integers(0, width)), 1), dtype=cv2.CV_8U)
        )
    return shown


def write(path: Path, shown: Sequence[np.ndarray], count: int, gop: int) -> Path:
    height, width = shown[0].shape[:2]
    frames = [
        av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        for picture in shown
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=30, options={"crf": "23", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt, stream.gop_size, stream.thread_count = (
            width,
            height,
            "yuv420p",
            gop,
            THREADS,
        )
        for number in range(count):
            place = number % (2 * PICTURES - 2)
            frame = frames[min(place, 2 * PICTURES - 2 - place)]
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def by_opencv(path: Path, indices: Sequence[int], size: tuple[int, int] | None) -> np.ndarray:
    """Each frame: seek, except to the one after the last; read; resize."""
    video = cv2.VideoCapture(str(path))
    frames, following = [], 0
    for index in indices:
        if index != following:
            video.set(cv2.CAP_PROP_POS_FRAMES, index)
        shown, frame = video.read()
        assert shown
        frames.append(
            cv2.cvtColor(
                frame
                if size is None
                else cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA),
                cv2.COLOR_BGR2RGB,
            )
        )
        following = index + 1
    return np.stack(frames)


def by_argus(
    path: Path, indices: Sequence[int], size: tuple[int, int] | None, backend: str = "pyav"
) -> np.ndarray:
    with open_video(path, backend, threads=THREADS) as video:
        return video.frames(indices, size)


def floor(path: Path, indices: Sequence[int]) -> int:
    """Decodes what the frames depend on, group by group, and looks at nothing; how many frames came out."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count, stream.thread_type = THREADS, "AUTO"
        packets = [packet for packet in container.demux(stream) if packet.size]
        times = sorted(packet.pts for packet in packets)
        wanted = {times[index] for index in indices}
        starts = [place for place, packet in enumerate(packets) if packet.is_keyframe]
        for start, stop in zip(starts, [*starts[1:], len(packets)], strict=True):
            needed = [place for place in range(start, stop) if packets[place].pts in wanted]
            for packet in packets[start : needed[-1] + 1] if needed else []:
                stream.codec_context.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                count += len(packet.decode())
            count += len(stream.codec_context.decode(None))
            stream.codec_context.flush_buffers()
    return count


def row(title: str, readers: dict[str, Call], rounds: int, *, wanted: str = "") -> None:
    """Prints the medians of readers that alternate, and how many times the first takes longer than the second."""
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            begun = time.perf_counter()
            read()
            times[name].append(time.perf_counter() - begun)
    peer, own, *_ = times.values()
    ratio = statistics.median(theirs / ours for theirs, ours in zip(peer, own, strict=True))
    cells = "".join(
        f"{statistics.median(times[name]) * 1e3:11.0f}"
        for name in ("opencv", "argus", "decord", "floor")
    )
    print(f"{title:<64}{cells}{ratio:9.1f}x {wanted}", flush=True)


def compare(
    title: str,
    path: Path,
    indices: Sequence[int],
    size: tuple[int, int] | None,
    rounds: int,
    *,
    wanted: str = "",
) -> None:
    readers: dict[str, Call] = {
        "opencv": lambda: by_opencv(path, indices, size),
        "argus": lambda: by_argus(path, indices, size),
        "decord": lambda: by_argus(path, indices, size, "decord"),
        "floor": lambda: floor(path, indices),
    }
    row(title, readers, rounds, wanted=wanted)


def compare_memory(title: str, clip: bytes, path: Path, rounds: int) -> None:
    """A window of a clip that lies in memory; OpenCV and decord read it from a file."""
    window = range(17, 33)
    readers: dict[str, Call] = {
        "opencv": lambda: by_opencv(path, window, None),
        "argus": lambda: decode_clip(clip, window, threads=THREADS),
        "decord": lambda: by_argus(path, window, None, "decord"),
        "floor": lambda: floor(path, window),
    }
    row(title, readers, rounds)


def print_quality(path: Path) -> None:
    """How far a resized frame lies from the full frame that OpenCV averages, and from ffmpeg's most careful conversion averaged so."""
    with open_video(path) as video:
        full, small = video.frames([7])[0], video.frames([7], SMALL)[0].astype(int)
    averaged = cv2.resize(full, SMALL[::-1], interpolation=cv2.INTER_AREA)
    difference = np.abs(small - averaged)
    peer = np.abs(by_opencv(path, [7], SMALL)[0].astype(int) - averaged)
    print(
        "\nA frame at 512x1024, against INTER_AREA of the same frame at full size, in levels: mean, 99th percentile, largest"
    )
    for name, values in (
        ("argus, converted and resized in one pass", difference),
        ("opencv, which repeats chroma and rounds down", peer),
    ):
        print(f"  {name:<62}{values.mean():8.2f}{np.quantile(values, 0.99):8.0f}{values.max():8d}")


def peak_of_reading(path: str, size: tuple[int, int]) -> None:
    """In a process of its own: the peak memory of a sparse read, less that of the imports, in MiB."""
    before = peak_kib()
    with open_video(path, threads=THREADS) as video:
        video.frames(np.linspace(0, len(video) - 1, WANTED).round().astype(int), size)
    print((peak_kib() - before) // 1024)


def peak_kib() -> int:
    """The most memory that this process has held; ru_maxrss would count also what its parent held when it was started."""
    return int(
        next(
            line
            for line in Path("/proc/self/status").read_text().splitlines()
            if line.startswith("VmHWM")
        ).split()[1]
    )


def print_memory(paths: dict[str, Path]) -> None:
    frames = WANTED * SMALL[0] * SMALL[1] * 3 >> 20
    print(
        f"\nPeak memory of the sparse read (a process of its own, less its imports), of which {frames} MiB are the frames"
    )
    for title, path in paths.items():
        done = subprocess.run(
            [sys.executable, __file__, "--peak-of", str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        print(f"  {title:<62}{int(done.stdout):8d} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smaller, shorter, one round: shows that it runs, not how fast",
    )
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        peak_of_reading(options.peak_of, SMALL)
        return
    cv2.setNumThreads(THREADS)
    scale, count, rounds = (4, 60, 1) if options.quick else (1, 300, 3)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), pictures(scale), count, rounds)


def measure(folder: Path, shown: list[np.ndarray], count: int, rounds: int) -> None:
    size = f"{shown[0].shape[1]}x{shown[0].shape[0]}"
    long, short = (
        write(folder / "gop250.mp4", shown, count, 250),
        write(folder / "gop12.mp4", shown, count, 12),
    )
    few = write(folder / "few.mp4", shown, count // 5, 12)
    clip_frames = np.stack(
        [
            cv2.resize(picture, SMALL[::-1], interpolation=cv2.INTER_AREA)
            for picture in [*shown, *shown][:50]
        ]
    )
    clip = encode_clip(clip_frames, Fraction(5))
    (folder / "clip.mp4").write_bytes(clip)
    indices = np.linspace(0, count - 1, WANTED).round().astype(int).tolist()

    print(
        f"{'milliseconds; ' + size + ' in H.264 unless said':<64}{'opencv':>11}{'argus':>11}{'decord':>11}{'floor':>11}   ratio"
    )
    compare(
        f"{WANTED} of {count} frames, GOP 250, to 512x1024",
        long,
        indices,
        SMALL,
        rounds,
        wanted="(4x)",
    )
    compare(
        f"{WANTED} of {count} frames, GOP 12, to 512x1024",
        short,
        indices,
        SMALL,
        rounds,
        wanted="(2x)",
    )
    compare(f"{WANTED} of {count} frames, GOP 12, full size", short, indices, None, rounds)
    compare(f"all {count // 5} frames, GOP 12, to 512x1024", few, range(count // 5), SMALL, rounds)
    compare(f"all {count // 5} frames, GOP 12, full size", few, range(count // 5), None, rounds)
    compare(
        f"all {len(clip_frames)} frames of a clip, 512x1024, GOP 8",
        folder / "clip.mp4",
        range(len(clip_frames)),
        None,
        3 * rounds,
    )
    compare_memory(
        "16 frames of the clip, from memory (opencv, decord: a file)",
        clip,
        folder / "clip.mp4",
        3 * rounds,
    )
    print_quality(short)
    print_memory(
        {
            f"{count // 5} frames, GOP 12": few,
            f"{count} frames, GOP 12": short,
            f"{count} frames, GOP 250": long,
        }
    )


if __name__ == "__main__":
    main()
