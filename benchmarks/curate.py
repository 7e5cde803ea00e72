"""What judging a video costs: our filter stages beside the published filters, and beside the floor of decoding alone.

The published filters are written here from what their paper and release say they do, one script after the other, each opening the video for itself:
frames are sampled, sought one by one, read at full size; the format script compares the gradient at the ±180° column and at the centre line with its
neighbours', the frame script compares halves and takes grey variance and the share of black, the motion script projects each frame to six 90° views
with pyequilib and compares successive ones. LPIPS is left out on both sides. Ours decodes each moment and its successor once, at 512×1024, and from
that judges the layout (all hypotheses, which theirs does not), the same tests, black caps, and motion with the camera's own rotation removed.

A minute of video each (five seconds, coded once, twelve times over: YouTube's videos last minutes), two threads on each side; the two alternate
within one run; times are medians per video, ratios medians over rounds. Last comes what everything costs that a kept video goes through, with its
clips cut and encoded, which has no peer.

    python benchmarks/curate.py [--quick]
"""

import argparse
import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

THREADS = 2
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"threads;{THREADS}"
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(THREADS)


import av  # noqa: E402
import cv2  # noqa: E402
import equilib  # noqa: E402
import numpy as np  # noqa: E402

from argus.curate import VideoSource, process_video  # noqa: E402
from argus.curate.filters.base import clip_filters, judge, video_filters  # noqa: E402
from argus.curate.frame_sampling import ERP_SIZE, sample_native_frames  # noqa: E402
from argus.curate.layout.convert import convert_native_frames  # noqa: E402
from argus.curate.layout.detect import detect_layout  # noqa: E402
from argus.media import frame_stride, open_video  # noqa: E402
from argus.synth import render_clip  # noqa: E402
from schemas.config import CurateConfig, FilterSettings  # noqa: E402

FPS, SECONDS, REPEATS = 30, 5, 12
SAMPLED = 5  # frames of each published script
VIEW = 256
YAW_PITCH_DEG = ((0, 0), (90, 0), (180, 0), (270, 0), (0, 90), (0, -90))
SIZES = (
    (1920, 3840, 150),
    (1920, 3840, 30),
    (1024, 2048, 30),
)  # height, width, frames between keyframes
POLICY = FilterSettings()


def write(path: Path, height: int, width: int, gop: int) -> Path:
    """A walk through the synthetic city, enlarged, each rendered frame shown three times with other noise."""
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


def sought(path: Path) -> list[np.ndarray]:
    """Evenly spread frames, full size, sought one by one."""
    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    for index in np.linspace(0, count - 1, SAMPLED).astype(int):
        video.set(cv2.CAP_PROP_POS_FRAMES, int(index))
        shown, frame = video.read()
        assert shown
        frames.append(frame)
    video.release()
    return frames


def published_format(path: Path) -> list[float]:
    """The gradient at the seam and at the centre line against the columns beside them."""
    scores = []
    for frame in sought(path):
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
        width = grey.shape[1]
        for line in (0, width // 2):
            gradient = np.abs(
                cv2.Sobel(np.roll(grey, width // 2 - line, axis=1), cv2.CV_32F, 1, 0)
            ).mean(axis=0)
            beside = np.concatenate(
                [
                    gradient[width // 2 - 7 : width // 2 - 2],
                    gradient[width // 2 + 2 : width // 2 + 7],
                ]
            )
            scores.append(float(gradient[width // 2] / max(beside.mean(), 1e-6)))
    return scores


def published_frames(path: Path) -> list[float]:
    """Halves, variance, black."""
    scores = []
    for frame in sought(path):
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        height, width = grey.shape
        scaled = frame.astype(np.float32) / 127.5 - 1
        scores += [
            float(np.abs(scaled[:, : width // 2] - scaled[:, width // 2 :]).mean()),
            float(np.abs(scaled[: height // 2] - scaled[height // 2 :]).mean()),
            float(grey.var()),
            float((grey <= 5).mean()),
        ]
    return scores


def published_motion(path: Path) -> list[float]:
    """Differences of successive frames over six views."""
    rotations = [
        {"roll": 0.0, "pitch": float(np.radians(pitch)), "yaw": float(np.radians(yaw))}
        for yaw, pitch in YAW_PITCH_DEG
    ]
    seen = []
    for frame in sought(path):
        planes = np.ascontiguousarray(frame.transpose(2, 0, 1))
        views = [
            equilib.equi2pers(
                equi=planes, rots=one, height=VIEW, width=VIEW, fov_x=90.0, z_down=True
            )
            for one in rotations
        ]
        seen.append(np.stack(views).astype(np.float32) / 127.5 - 1)
    return [float(np.abs(after - before).mean()) for before, after in itertools.pairwise(seen)]


def published(path: Path) -> object:
    return published_format(path), published_frames(path), published_motion(path)


def decoded(path: Path) -> object:
    """The floor: the frames that we look at, and nothing else."""
    with open_video(path, threads=THREADS) as reader:
        return sample_native_frames(reader, frame_stride(reader.fps, 5.0))


def ours(path: Path) -> object:
    """Layout and every filter of a whole video."""
    with open_video(path, threads=THREADS) as reader:
        stored = sample_native_frames(reader, frame_stride(reader.fps, 5.0))
        verdict = detect_layout(reader.info, stored, POLICY)
        scores, dropped = judge(
            convert_native_frames(stored, verdict.conversion, ERP_SIZE), video_filters(POLICY), POLICY
        )
        assert verdict.reason is None, verdict
        assert dropped is None, dropped
        return scores


def ours_and_clip(path: Path) -> object:
    """The same, and every filter of a clip on the same moments: text, blur, exposure, nadir, upright."""
    with open_video(path, threads=THREADS) as reader:
        stored = sample_native_frames(reader, frame_stride(reader.fps, 5.0))
        verdict = detect_layout(reader.info, stored, POLICY)
        return judge(
            convert_native_frames(stored, verdict.conversion, ERP_SIZE),
            (*video_filters(POLICY), *clip_filters()),
            POLICY,
        )


def timed(
    calls: dict[str, Callable[[Path], object]], path: Path, rounds: int
) -> dict[str, list[float]]:
    """Seconds of each call in each round; the calls alternate."""
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
        "floor: our decoding": decoded,
    }
    times = timed(calls, path, rounds)
    print(f"\n{title}")
    for name, values in times.items():
        ratio = statistics.median(
            theirs / own for theirs, own in zip(times["published filters"], values, strict=True)
        )
        print(f"  {name:26} {statistics.median(values) * 1e3:9.0f} ms a video   {ratio:6.1f}x")
    over = statistics.median(
        own / floor
        for own, floor in zip(times["ours, whole video"], times["floor: our decoding"], strict=True)
    )
    print(f"  ours is {over:.2f} times its decode floor")


def report_whole(path: Path, folder: Path) -> None:
    """The judgement of a kept video, which is decoded wholly and of which clips are encoded."""
    config = CurateConfig(catalogue="none", dataset="none")
    start, worked = time.perf_counter(), time.process_time()
    video = process_video(path, VideoSource("url:0", "https://videos.example/0"), config, folder)
    wall, worked = time.perf_counter() - start, time.process_time() - worked
    assert video.seconds
    assert video.decision == "kept", video
    written, size = (
        sum(file.stat().st_size for file in (folder / "clips").iterdir()) / 1e6,
        path.stat().st_size / 1e6,
    )
    stages = ", ".join(
        f"{name} {seconds:.1f}" for name, seconds in asdict(video.seconds).items() if seconds
    )
    print(
        f"  everything: {wall:.1f} s ({stages}), {worked:.1f} s of CPU; {len(video.clips)} clips, {written:.1f} MB of {size:.1f} MB"
    )


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
            with tempfile.TemporaryDirectory() as clips:
                report_whole(path, Path(clips))


if __name__ == "__main__":
    main()
