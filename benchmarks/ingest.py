"""Ingest: refreshes beside two bare processes that do the same work, and what grows with size.

The bare processes share a list of URLs. Each downloads with yt-dlp, processes, and writes a shard
of each video's clips: no executor, no index, no sandbox, nothing that survives a kill. The local
executor and, with `--ray`, Ray do the same as refreshes. All sides use one thread per video and take
turns in going first. Rates are steady ones (of the last three quarters of the videos); the ratio is
that of the median of the rounds. CPU seconds are of all processes of a side together, where control
groups (version 1 `cpuacct`) are writable. A refresh adds the same to every video, so small short
videos and large longer ones are both measured.

    python benchmarks/ingest.py [--quick] [--ray] [--only throughput] [--video FILE] [--plots DIR]
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import queue
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(SINGLE_THREADED, "1"))
sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2
from commits import CHUNK, measure_commits, measure_known

from argus.curate import VideoSource, process_video
from argus.curate.download import read_routes
from argus.dataset import CuratedVideo, Dataset, ShardClip, identify, write_shard
from argus.synth import serve_folder, write_video_kind
from schemas.config import CurateConfig, FetchSettings, FilterSettings
from schemas.names import Split

Side = Literal["bare", "local", "ray"]

PROCESSES = 2
DISTINCT = 60  # small videos; more are these under other names
COUNTS = (20, 60, 200)
LARGE_COUNT = 20
ROWS = (1, 100, 1_000, 10_000, 100_000)
FETCH = FetchSettings(allow_private_hosts=True, min_free_bytes=0)
CPU_GROUPS = Path("/sys/fs/cgroup/cpuacct")


@dataclass(frozen=True)
class Measurement:
    """One run of one side."""

    seconds: float  # of the whole run
    decided: list[float]  # ascending times at which videos were decided
    cpu_s: float | None = None
    peak_gib: float = 0.0
    result: dict[str, Any] | None = None

    @property
    def rate(self) -> float:
        """Videos per second of the last three quarters."""
        times = self.decided[len(self.decided) // 4 :]
        return (len(times) - 1) / (times[-1] - times[0])


def write_small(folder: Path, count: int) -> list[str]:
    """Write `count` videos of 256x512, 6 s at 10 fps, and return their names."""
    names = [f"v{number:04d}.mp4" for number in range(count)]
    for number, name in enumerate(names):
        if number >= DISTINCT:
            os.link(folder / names[number % DISTINCT], folder / name)
            continue
        kind = "walk" if number % 2 else "drive"
        write_video_kind(
            folder / name, kind, seed=number, seconds=6, fps=10, height=256, tagged=True
        )
    return names


def write_large(folder: Path, count: int, video: Path | None) -> list[str]:
    """Write `count` copies of a video, by default of 1024x2048, 20 s at 30 fps; return the names."""
    names = [f"large{number:02d}.mp4" for number in range(count)]
    first = folder / names[0]
    if video:
        shutil.copy(video, first)
    else:
        write_video_kind(first, "walk", seed=1, seconds=20, fps=30, height=1024, tagged=True)
    for name in names[1:]:
        os.link(first, folder / name)
    return names


def make_config(folder: Path, urls: list[str], **values: Any) -> CurateConfig:
    """Return a refresh into a folder of its own. Copies are kept: the work is measured."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "catalogue.txt").write_text("\n".join(urls))
    filters = FilterSettings(duplicates="keep", **values.pop("filters", {}))
    return CurateConfig(
        catalogue=str(folder / "catalogue.txt"),
        dataset=str(folder / "dataset"),
        home=str(folder / "home"),
        run_id=f"bench-{time.time_ns()}",
        fetch=FETCH,
        filters=filters,
        max_concurrent_videos=PROCESSES,
        **values,
    )


def process_bare(urls: list[str], folder: Path, config: CurateConfig, ended: Any) -> None:
    """Download, process and write one video after the other; report when each ended."""
    from argus.curate.download import download

    cv2.setNumThreads(1)
    for number, url in enumerate(urls):
        source = VideoSource(*identify(url))
        place = folder / f"{os.getpid()}-{number}"
        place.mkdir(parents=True)
        fetched = download(source, place / "video", config.fetch, read_routes(None)[0], "")
        video = process_video(fetched.path, source, config, place)
        write_shard(place / "clips.arrow", iter_shard_clips(video, place))
        fetched.path.unlink()
        ended.put(time.time())


def iter_shard_clips(video: CuratedVideo, folder: Path) -> Iterator[ShardClip]:
    """Yield the kept clips of a processed video, with the bytes of their files."""
    for clip in video.clips:
        if clip.file and clip.quality is not None:
            yield ShardClip(
                clip_id=clip.clip_id,
                source_id=video.source_id,
                split=Split.TRAIN,
                start_ms=clip.start_ms,
                end_ms=clip.end_ms,
                frames=clip.frames,
                height=clip.file.height,
                width=clip.file.width,
                fps=clip.file.fps,
                quality=clip.quality,
                video=(folder / clip.file.name).read_bytes(),
            )


def run_bare(urls: list[str], config: CurateConfig) -> Measurement:
    """Run the bare processes."""
    spawn = multiprocessing.get_context("spawn")
    ended = spawn.Queue()
    with tempfile.TemporaryDirectory() as folder, cpu_group() as (join, cpu_s):
        start = time.time()
        processes = [
            spawn.Process(
                target=process_bare, args=(urls[part::PROCESSES], Path(folder), config, ended)
            )
            for part in range(PROCESSES)
        ]
        for process in processes:
            process.start()
            join(process.pid)
        times = []
        while len(times) < len(urls) and any(process.is_alive() for process in processes):
            with contextlib.suppress(queue.Empty):
                times.append(ended.get(timeout=1.0))
        for process in processes:
            process.join()
        if len(times) < len(urls):
            raise SystemExit("a bare process failed; its error is above")
        return Measurement(time.time() - start, sorted(times), cpu_s())


def run_refresh(config: CurateConfig, *, watch_memory: bool = False) -> Measurement:
    """Run a refresh as a process of its own; watching its memory slows everything down."""
    home = Path(config.home)
    file = Path(config.catalogue).with_name("bench.json")
    file.write_text(config.model_dump_json())
    command = [sys.executable, "-m", "ray_jobs.curate", "--config", str(file)]
    with cpu_group() as (join, cpu_s):
        start = time.time()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        join(process.pid)
        with watched_memory(process.pid) if watch_memory else contextlib.nullcontext([0.0]) as peak:
            status = process.wait()
        seconds = time.time() - start
        run = home / "runs" / "curate" / str(config.run_id)
        result = json.loads((run / "result.json").read_text())
        if status:
            raise SystemExit(f"the refresh ended with {status}: {result['reason']}")
        table = Dataset(config.dataset).read_latest(["decided_at"])
        times = sorted(row["decided_at"].timestamp() for row in table.to_pylist())
        times = [moment for moment in times if moment >= start]
        return Measurement(seconds, times, cpu_s(), max(peak), result)


@contextlib.contextmanager
def cpu_group() -> Iterator[tuple[Callable[[int | None], None], Callable[[], float | None]]]:
    """Yield a function that adds a process to a control group, and one that reads its CPU time."""
    group = CPU_GROUPS / f"argus-ingest-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:  # none of version 1, or not ours to write
        yield lambda _: None, lambda: None
        return

    def join(pid: int | None) -> None:
        (group / "cgroup.procs").write_text(str(pid))

    try:
        yield join, lambda: int((group / "cpuacct.usage").read_text()) / 1e9
    finally:
        while (group / "cgroup.procs").read_text():
            time.sleep(0.1)
        group.rmdir()


@contextlib.contextmanager
def watched_memory(pid: int) -> Iterator[list[float]]:
    """Sample every 5 s the GiB of a process and its descendants; shared pages count once."""
    samples, is_over = [0.0], threading.Event()

    def watch() -> None:
        while not is_over.wait(5.0):
            samples.append(sum(map(proportional_kib, family(pid))) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        is_over.set()
        thread.join()


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    output = subprocess.check_output(["ps", "-eo", "pid=,ppid="], text=True).split()
    parents = dict(zip(map(int, output[::2]), map(int, output[1::2]), strict=True))
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def proportional_kib(pid: int) -> int:
    """Return the proportional set size of a process; 0 if it has ended."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1])
    return 0


def measure_throughput(folder: Path, urls: list[str], sides: list[Side], rounds: int) -> None:
    """Compare the sides over some rounds, in which each of them goes first once."""
    found: dict[Side, list[Measurement]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in (*sides[number % len(sides) :], *sides[: number % len(sides)]):
            executor = "ray" if side == "ray" else "local"
            config = make_config(folder / f"{side}{number}", urls, executor=executor)
            measurement = run_bare(urls, config) if side == "bare" else run_refresh(config)
            if measurement.result:
                assert measurement.result["metrics"]["kept"] == len(urls), measurement.result
            found[side].append(measurement)
            shutil.rmtree(folder / f"{side}{number}")
    for side in sides:
        print(f"  {side:5s} {describe(found[side], found['bare'])}", flush=True)


def describe(side: list[Measurement], bare: list[Measurement]) -> str:
    """Return the medians of a side over the rounds, and their ratios to the bare processes."""
    pairs = list(zip(side, bare, strict=True))
    rate = statistics.median(one.rate for one in side)
    ratio = statistics.median(one.rate / other.rate for one, other in pairs)
    whole = statistics.median(other.seconds / one.seconds for one, other in pairs)
    cpu = [one.cpu_s / len(one.decided) for one in side if one.cpu_s]
    return f"{rate:.3f} videos/s, ratio {ratio:.3f} steady, {whole:.3f} over the whole run" + (
        f", {statistics.median(cpu):.2f} CPU s a video" if cpu else ""
    )


def measure_scaling(
    folder: Path, urls: list[str], counts: tuple[int, ...]
) -> list[tuple[int, float, float]]:
    """Refresh catalogues of several sizes; return (videos, seconds, peak GiB)."""
    found = []
    for count in counts:
        config = make_config(folder / f"scaling{count}", urls[:count])
        one = run_refresh(config, watch_memory=True)
        found.append((count, one.seconds, one.peak_gib))
        print(f"  {count:4d} videos: {one.seconds:6.1f} s, peak {one.peak_gib:.2f} GiB", flush=True)
    return found


def measure_changes(folder: Path, urls: list[str]) -> None:
    """Change thresholds and a parameter of a filter, over the last dataset of `measure_scaling`."""
    place = folder / f"scaling{len(urls)}"
    for what, filters in (
        ("one threshold", {"moving_share": 0.26}),
        ("black_level, which two filters read", {"moving_share": 0.26, "black_level": 6}),
    ):
        one = run_refresh(make_config(place, urls, filters=filters))
        assert one.result is not None
        metrics = one.result["metrics"]
        scored = {name: int(value) for name, value in metrics.items() if name.startswith("scored.")}
        print(
            f"  {what} changed: {one.seconds:.1f} s, {metrics['reevaluated']:.0f} videos from "
            f"stored scores, measured: {scored or 'none'}",
            flush=True,
        )


def draw(
    scaling: list[tuple[int, float, float]], commits: list[tuple[int, float]], folder: Path
) -> None:
    """Write ingest.svg: wall time, memory and commits against size."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (walls, peaks, costs) = pyplot.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    counts, seconds, gib = zip(*scaling, strict=True)
    walls.plot(counts, seconds, "o-")
    walls.set(title="Wall time", xlabel="videos", ylabel="s", ylim=0, xlim=0)
    peaks.plot(counts, gib, "o-")
    peaks.set(title="Peak memory, all processes", xlabel="videos", ylabel="GiB", ylim=0, xlim=0)
    costs.plot([row[0] for row in commits], [row[1] * 1e3 for row in commits], "o-")
    costs.set(
        title=f"A commit of {CHUNK} videos",
        xlabel="rows of the dataset",
        ylabel="ms",
        xscale="log",
        ylim=0,
    )
    figure.savefig(folder / "ingest.svg", metadata={"Date": None})
    pyplot.close(figure)


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few videos, few rows, one round")
    parser.add_argument("--ray", action="store_true", help="measure a refresh on Ray beside them")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the comparison")
    parser.add_argument(
        "--only", choices=("throughput",), help="the comparison with bare processes alone"
    )
    parser.add_argument(
        "--video", type=Path, metavar="FILE", help="compare with copies of this large video"
    )
    parser.add_argument("--plots", type=Path, metavar="DIR", help="write ingest.svg there")
    return parser.parse_args()


def main() -> None:
    """Run all measurements and print them."""
    options = parse_arguments()
    counts, sizes, rounds = (
        ((4, 8), (1, 100), 1) if options.quick else (COUNTS, ROWS, options.rounds)
    )
    sides: list[Side] = ["bare", "local", *(["ray"] if options.ray else [])]  # type: ignore[list-item]
    with tempfile.TemporaryDirectory() as name:
        folder, site = Path(name), Path(name) / "site"
        site.mkdir()
        names = write_small(site, counts[-2] if options.only else counts[-1])
        with serve_folder(site) as server:
            urls = [f"{server.url}/{one}" for one in names]
            print(f"throughput: {counts[-2]} videos of 256x512, 6 s at 10 fps", flush=True)
            measure_throughput(folder / "small", urls[: counts[-2]], sides, rounds)
            if not options.quick or options.video:
                large = [
                    f"{server.url}/{one}" for one in write_large(site, LARGE_COUNT, options.video)
                ]
                what = options.video.name if options.video else "1024x2048, 20 s at 30 fps"
                print(f"throughput: {LARGE_COUNT} videos of {what}", flush=True)
                measure_throughput(folder / "large", large, sides, rounds)
            if options.only:
                return
            print("scaling", flush=True)
            scaling = measure_scaling(folder, urls, counts)
            print("changed settings", flush=True)
            measure_changes(folder, urls)
        print("commits", flush=True)
        commits = measure_commits(folder, sizes)
        print("known", flush=True)
        known, new = (990, 10) if options.quick else (99_900, 100)
        urls = [f"https://videos.example/{number}.mp4" for number in range(known + new)]
        measure_known(make_config(folder / "known", urls), known, new)
        if options.plots:
            draw(scaling, commits, options.plots)


if __name__ == "__main__":
    main()
