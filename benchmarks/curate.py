"""Time to process a video: our filter stages beside the published filters, and beside decoding alone.

The published filters are reimplemented here from the paper and its release: one script after the other, each of which
opens the video itself, seeks sampled frames one by one and reads them at full size. The format script compares the
gradient at the ±180° column and at the center line with that of nearby columns; the frame script compares halves and
computes gray variance and the share of black; the motion script projects each frame to six 90° views with pyequilib and
compares successive ones. LPIPS is left out on both sides. Ours decodes each sampled frame and its next frame once, at
512×1024, and from that detects the layout (all candidates, which theirs does not), runs the same tests, and measures
black caps and motion with the camera's rotation removed.

The videos last a minute each (five seconds, encoded once, twelve times over). Both sides use two threads and alternate
within one run; times are medians per video, ratios are medians over rounds.

"Everything a kept video costs" is its whole processing: layout, all filters, shots, signatures, the contact sheet, and
its clips, cut and encoded. Beside it runs one ffmpeg command that only decodes the video, takes five frames a second,
scales them and encodes them with the same settings. The ratios compare CPU time and wall time, ours over ffmpeg's.

    python benchmarks/curate.py [--quick]
"""

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

THREADS = 2
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{THREADS}"
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(THREADS)


import av
import cv2
import equilib
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from argus.curate import ERP_SIZE, VideoSource, process_video, sample_native_frames
from argus.curate.filters import apply_filters, clip_filters, video_filters
from argus.curate.layout import convert_native_frames, detect_layout
from argus.media import open_video
from argus.synth import render_clip
from schemas.config import CurateConfig, FilterSettings

FPS, SECONDS, REPEATS = 30, 5, 12
SAMPLED = 5  # frames that each published script reads
VIEW = 256
YAW_PITCH_DEG = ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90))
SIZES = (
    (1920, 3840, 150),
    (1920, 3840, 30),
    (1024, 2048, 30),
)  # height, width, frames between keyframes
SETTINGS = FilterSettings()
CONFIG = CurateConfig(catalogue="none", dataset="none")


def write(path: Path, height: int, width: int, gop: int) -> Path:
    """Write an enlarged walk through the synthetic city; each rendered frame is shown three times with other noise."""
    small = render_clip(3, SECONDS * FPS // 3, (256, 512), FPS // 3).frames
    noise = np.random.default_rng(0).normal(0, 2, (height + 64, width + 64, 3)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"crf": "23", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt, stream.gop_size, stream.thread_count = (
            width,
            height,
            "yuv420p",
            gop,
            THREADS,
        )
        stream.codec_context.time_base = Fraction(1, FPS)
        packets = []
        for number in range(SECONDS * FPS):
            large = cv2.resize(small[number // 3], (width, height), interpolation=cv2.INTER_CUBIC)
            row, column = (number * 7) % 64, (number * 13) % 64
            noisy = cv2.add(
                large, noise[row : row + height, column : column + width], dtype=cv2.CV_8U
            )
            packets += stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24"))
        packets += stream.encode(None)
        for repeat in range(REPEATS):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.stream, copy.is_keyframe, copy.time_base = (
                    stream,
                    packet.is_keyframe,
                    Fraction(1, FPS),
                )
                copy.pts, copy.dts = (
                    time + repeat * SECONDS * FPS for time in (packet.pts, packet.dts)
                )
                container.mux(copy)
    return path


def seek_frames(path: Path) -> list[np.ndarray]:
    """Read evenly spaced frames at full size, one seek each."""
    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for index in np.linspace(0, count - 1, SAMPLED).astype(int):
        video.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        is_read, frame = video.read()
        assert is_read
        frames.append(frame)
    video.release()
    return frames


def published_format(path: Path) -> list[float]:
    """Compare the gradient at the seam and at the center line with that of nearby columns."""
    scores = []
    for frame in seek_frames(path):
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
        width = gray.shape[1]
        for line in (0, width // 2):
            gradient = np.abs(
                cv2.Sobel(np.roll(gray, width // 2 - line, axis=1), cv2.CV_32F, 1, 0)
            ).mean(axis=0)
            nearby = np.concatenate(
                [
                    gradient[width // 2 - 7 : width // 2 - 2],
                    gradient[width // 2 + 2 : width // 2 + 7],
                ]
            )
            scores.append(float(gradient[width // 2] / max(nearby.mean(), 1e-6)))
    return scores


def published_frames(path: Path) -> list[float]:
    """Compare halves; compute variance and the share of black."""
    scores = []
    for frame in seek_frames(path):
        gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        height, width = gray.shape
        scaled = frame.astype(np.float32) / 127.5 - 1
        scores += [
            float(np.abs(scaled[:, : width // 2] - scaled[:, width // 2 :]).mean()),
            float(np.abs(scaled[: height // 2] - scaled[height // 2 :]).mean()),
            float(gray.var()),
            float((gray <= 5).mean()),
        ]
    return scores


def published_motion(path: Path) -> list[float]:
    """Compare successive frames over six views."""
    rotations = [
        {"roll": 0.0, "pitch": float(np.radians(pitch)), "yaw": float(np.radians(yaw))}
        for yaw, pitch in YAW_PITCH_DEG
    ]
    views_of_frames = []
    for frame in seek_frames(path):
        planes = np.ascontiguousarray(frame.transpose(2, 0, 1))
        views = [
            equilib.equi2pers(
                equi=planes, rots=one, height=VIEW, width=VIEW, fov_x=90.0, z_down=True
            )
            for one in rotations
        ]
        views_of_frames.append(np.stack(views).astype(np.float32) / 127.5 - 1)
    return [
        float(np.abs(after - before).mean())
        for before, after in itertools.pairwise(views_of_frames)
    ]


def published(path: Path) -> object:
    return published_format(path), published_frames(path), published_motion(path)


def decode_only(path: Path) -> object:
    """Decode the frames that ours samples, and do nothing else."""
    with open_video(path, threads=THREADS) as reader:
        return sample_native_frames(reader, reader.resample(5.0).fps)


def ours(path: Path) -> object:
    """Detect the layout and run every filter of a whole video."""
    with open_video(path, threads=THREADS) as reader:
        stored = sample_native_frames(reader, reader.resample(5.0).fps)
        verdict = detect_layout(reader.info, stored, SETTINGS)
        scores, verdict_of_filters = apply_filters(
            convert_native_frames(stored, verdict.conversion, ERP_SIZE),
            video_filters(SETTINGS),
            SETTINGS,
        )
        assert verdict.reason is None, verdict
        assert verdict_of_filters is None, verdict_of_filters
        return scores


def ours_and_clip(path: Path) -> object:
    """Also run every filter of a clip on the same frames: text, blur, exposure, nadir, upright."""
    with open_video(path, threads=THREADS) as reader:
        stored = sample_native_frames(reader, reader.resample(5.0).fps)
        verdict = detect_layout(reader.info, stored, SETTINGS)
        return apply_filters(
            convert_native_frames(stored, verdict.conversion, ERP_SIZE),
            (*video_filters(SETTINGS), *clip_filters()),
            SETTINGS,
        )


def measure_calls(
    calls: dict[str, Callable[[Path], object]], path: Path, rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each call in each round; the calls alternate."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call(path)
            times[name].append(time.perf_counter() - start)
    return times


def report(path: Path, title: str, rounds: int) -> None:
    ours(path)  # imports and caches
    calls = {
        "published filters": published,
        "ours, whole video": ours,
        "ours, with clip filters": ours_and_clip,
        "decoding alone": decode_only,
    }
    times = measure_calls(calls, path, rounds)
    print(f"\n{title}")
    for name, values in times.items():
        ratio = statistics.median(
            theirs / own for theirs, own in zip(times["published filters"], values, strict=True)
        )
        print(f"  {name:26} {statistics.median(values) * 1e3:9.0f} ms a video   {ratio:6.1f}x")
    over = statistics.median(
        own / floor
        for own, floor in zip(times["ours, whole video"], times["decoding alone"], strict=True)
    )
    print(f"  ours takes {over:.2f} times as long as decoding alone")


def process_whole(path: Path, folder: Path) -> None:
    """Process a kept video: all of it is decoded, and its clips are encoded."""
    video = process_video(path, VideoSource("url:0", "https://videos.example/0"), CONFIG, folder)
    assert video.decision == "kept", video


def run_ffmpeg(path: Path, folder: Path) -> None:
    """Decode a video, take the frames of clips, scale and encode them; nothing else."""
    clip = CONFIG.clip
    scale = f"fps={clip.fps:g},scale={2 * clip.height}:{clip.height}"
    command = [
        *(get_ffmpeg_exe(), "-v", "error", "-threads", str(THREADS), "-i", str(path), "-vf", scale),
        *("-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(clip.crf)),
        *("-g", str(clip.gop), "-threads", str(THREADS), str(folder / "all.mp4")),
    ]
    subprocess.run(command, check=True)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def report_whole(path: Path, rounds: int) -> None:
    """Print what everything about a kept video costs, beside one ffmpeg command."""
    calls = {"everything a kept video costs": process_whole, "ffmpeg: fps, scale, x264": run_ffmpeg}
    walls: dict[str, list[float]] = {name: [] for name in calls}
    cpus: dict[str, list[float]] = {name: [] for name in calls}
    written: dict[str, float] = {}
    for name, call in [*calls.items()] * rounds:
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), cpu_seconds()
            call(path, Path(folder))
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(cpu_seconds() - cpu)
            written[name] = sum(file.stat().st_size for file in Path(folder).rglob("*.mp4")) / 1e6
    for name in calls:
        print(
            f"  {name:30} {statistics.median(walls[name]):6.1f} s, "
            f"{statistics.median(cpus[name]):6.1f} s of CPU, {written[name]:5.1f} MB"
        )
    for unit, table in (("CPU", cpus), ("wall", walls)):
        ours, peer = table.values()
        ratio = statistics.median(a / b for a, b in zip(ours, peer, strict=True))
        print(f"  ours takes {ratio:.2f} of its {unit} time")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one small video, one round")
    quick = parser.parse_args().quick
    cv2.setNumThreads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        for height, width, gop in SIZES[-1:] if quick else SIZES:
            path = write(Path(folder) / "video.mp4", height, width, gop)
            report(
                path,
                f"{width}x{height}, {SECONDS * REPEATS} s at {FPS} fps, a keyframe every {gop} frames",
                1 if quick else 3,
            )
            report_whole(path, 1 if quick else 3)


if __name__ == "__main__":
    main()
