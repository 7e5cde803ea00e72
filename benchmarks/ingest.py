"""Ingest: a refresh beside two bare processes that do the same work, and what grows with the number of videos and with the size of the dataset.

The bare processes share a list of urls; each downloads with yt-dlp in itself, judges, and writes a shard of each video's clips: no Ray, no ledger,
no process that may be killed, nothing that survives a kill. Both sides decode and encode with one thread, and take turns in going first. Rates are
those once it runs (of the last three quarters of the videos), and over the whole run, start of Ray included. What a refresh adds is the same for
every video, so that they are compared with short small videos and with longer large ones.

    python benchmarks/ingest.py [--quick] [--video FILE] [--plots FOLDER]
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

os.environ.update(
    dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
)
sys.path.insert(0, str(Path(__file__).parent.parent))

import cv2

from argus.curate import VideoSource, preview_refresh, process_video, read_catalogue
from argus.curate.download import read_routes
from argus.dataset import (
    CuratedClip,
    Dataset,
    DecidedVideo,
    Score,
    ShardClip,
    SourceRow,
    write_shard,
)
from argus.synth import serve_folder, write_video_kind
from schemas.config import CurateConfig, FetchSettings, FilterSettings
from schemas.names import Decision, Reason, Split

PROCESSES = 2
BASES = 10  # different videos; the others are these under other names
COUNTS = (20, 60, 200)
LARGE_COUNT = 20
ROWS = (1, 100, 1_000, 10_000, 100_000)
WAVE = 32
FETCH = FetchSettings(allow_private_hosts=True, min_free_bytes=0)


def write_videos(folder: Path, count: int) -> list[str]:
    """Names of `count` videos of the synthetic world in a folder: 256×512, 6 s at 10 fps."""
    names = [f"v{number:04d}.mp4" for number in range(count)]
    for number, name in enumerate(names):
        if number < BASES:
            write_video_kind(
                folder / name,
                "walk" if number % 2 else "drive",
                seed=number,
                seconds=6,
                fps=10,
                height=256,
                tagged=True,
            )
        else:
            os.link(folder / names[number % BASES], folder / name)
    return names


def config_of(folder: Path, catalogue: Path, **policy: object) -> CurateConfig:
    """A refresh with a work place of its own. Copies are kept: what is measured is the work."""
    return CurateConfig(
        catalogue=str(catalogue),
        dataset=str(folder / "dataset"),
        home=str(folder / "home"),
        run_id=f"bench-{time.time_ns()}",
        fetch=FETCH,
        filters=FilterSettings(duplicates="keep", **policy),
        max_concurrent_videos=PROCESSES,
    )


def bare(
    urls: list[str], folder: Path, config: CurateConfig, ended: "multiprocessing.Queue[float]"
) -> None:
    """One bare process: fetch, judge, write, one video after the other."""
    from argus.curate.download import download
    from argus.dataset import identify

    cv2.setNumThreads(1)
    for number, url in enumerate(urls):
        source = VideoSource(*identify(url))
        place = folder / f"{os.getpid()}-{number}"
        place.mkdir(parents=True)
        fetched = download(source, place / "video", config.fetch, read_routes(None)[0], "")
        video = process_video(fetched.path, source, config, place)
        write_shard(
            place / "clips.arrow",
            (_shard_clip(clip, source, place) for clip in video.clips if clip.video),
        )
        fetched.path.unlink()
        ended.put(time.time())


def _shard_clip(clip: object, source: VideoSource, place: Path) -> ShardClip:
    names = ("clip_id", "start_ms", "end_ms", "frames", "height", "width", "fps", "quality")
    values = {name: getattr(clip, name) for name in names}
    return ShardClip(
        source_id=source.source_id,
        split=Split.TRAIN,
        video=(place / str(clip.video)).read_bytes(),
        **values,
    )


def run_bare(urls: list[str], config: CurateConfig) -> tuple[float, list[float]]:
    """Seconds of the whole run, and when each video was done."""
    spawn = multiprocessing.get_context("spawn")
    ended: multiprocessing.Queue[float] = spawn.Queue()
    with tempfile.TemporaryDirectory() as folder:
        start = time.time()
        processes = [
            spawn.Process(target=bare, args=(urls[part::PROCESSES], Path(folder), config, ended))
            for part in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        times = sorted(ended.get(timeout=600) for _ in urls)
        for process in processes:
            process.join()
        return time.time() - start, times


def run_refresh(
    config: CurateConfig, *, watch: bool = False
) -> tuple[float, list[float], float, dict[str, object]]:
    """Seconds of the whole run, when each video was decided, the most memory (GiB, proportional; watching it slows all down), and the result."""
    home = Path(config.home)
    home.mkdir(parents=True, exist_ok=True)
    file = home / "bench.json"
    file.write_text(config.model_dump_json())
    start = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", "ray_jobs.curate", "--config", str(file)], stderr=subprocess.DEVNULL
    )
    with watched(process.pid) if watch else nullcontext([0.0]) as peak:
        assert process.wait() == 0
    wall = time.time() - start
    rows = Dataset(config.dataset).read_latest(["decided_at", "run_id"]).to_pylist()
    times = sorted(
        row["decided_at"].timestamp() for row in rows if row["decided_at"].timestamp() >= start
    )
    return (
        wall,
        times,
        max(peak),
        json.loads((home / "runs" / "curate" / str(config.run_id) / "result.json").read_text()),
    )


@contextmanager
def watched(pid: int) -> Iterator[list[float]]:
    """GiB of memory of a process and all below it, shared pages counted once, every five seconds."""
    seen, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(5.0):
            seen.append(sum(map(_proportional_kib, _family(pid))) / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _family(pid: int) -> list[int]:
    lines = subprocess.run(
        ["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout.split()
    parents = dict(zip(map(int, lines[::2]), map(int, lines[1::2]), strict=True))
    family = [pid]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family


def _proportional_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def rate(times: list[float]) -> float:
    """Videos a second once it runs."""
    first = len(times) // 4
    return (len(times) - 1 - first) / (times[-1] - times[first])


def measure_throughput(folder: Path, urls: list[str], rounds: int) -> None:
    folder.mkdir()
    (folder / "catalogue.txt").write_text("\n".join(urls))
    ratios, whole = [], []
    for number in range(rounds):
        config = config_of(folder / str(number), folder / "catalogue.txt")
        runs = {}
        for side in ("bare", "refresh") if number % 2 == 0 else ("refresh", "bare"):
            runs[side] = run_bare(urls, config) if side == "bare" else run_refresh(config)
        bare_s, bare_times = runs["bare"]
        ours_s, ours_times, _, result = runs["refresh"]
        assert result["metrics"]["kept"] == len(urls), result
        ratios.append(rate(ours_times) / rate(bare_times))
        whole.append(bare_s / ours_s)
        print(
            f"  two bare processes {rate(bare_times):.3f} videos/s ({bare_s:.0f} s), refresh {rate(ours_times):.3f} videos/s ({ours_s:.0f} s)"
        )
    print(
        f"  ratio: {statistics.median(ratios):.2f} once it runs, {statistics.median(whole):.2f} over the whole run",
        flush=True,
    )


def write_large(folder: Path, count: int, video: Path | None) -> list[str]:
    """Names of `count` copies of one video: the one given, or 1024×2048, 20 s at 30 fps, which takes minutes to render."""
    names = [f"large{number:02d}.mp4" for number in range(count)]
    if video:
        shutil.copy(video, folder / names[0])
    else:
        write_video_kind(
            folder / names[0], "walk", seed=1, seconds=20, fps=30, height=1024, tagged=True
        )
    for name in names[1:]:
        os.link(folder / names[0], folder / name)
    return names


def measure_scaling(
    folder: Path, urls: list[str], counts: tuple[int, ...]
) -> list[tuple[int, float, float]]:
    found = []
    for count in counts:
        place = folder / f"scaling{count}"
        place.mkdir()
        (place / "catalogue.txt").write_text("\n".join(urls[:count]))
        wall, _, peak, _ = run_refresh(config_of(place, place / "catalogue.txt"), watch=True)
        found.append((count, wall, peak))
        print(f"  {count:4d} videos: {wall:6.1f} s, {peak:.2f} GiB at most")
    return found


def measure_again(folder: Path, count: int) -> None:
    """Thresholds and the parameter of a filter changed, over the dataset of the last row of scaling."""
    place = folder / f"scaling{count}"
    for what, policy in (
        ("one threshold", {"moving_share": 0.26}),
        ("black_level, which two filters read", {"moving_share": 0.26, "black_level": 6}),
    ):
        wall, _, _, result = run_refresh(config_of(place, place / "catalogue.txt", **policy))
        metrics = result["metrics"]
        own = (
            datetime.fromisoformat(str(result["ended"]))
            - datetime.fromisoformat(str(result["started"]))
        ).total_seconds()
        scored = {name: int(value) for name, value in metrics.items() if name.startswith("scored.")}
        again = f"{metrics['redecided']:.0f} from stored scores, measured: {scored or 'none'}"
        print(f"  {what} changed: {wall:.1f} s ({own:.1f} s of them the refresh), {again}")


def synthetic_row(number: int, recipe: str) -> SourceRow:
    """A source with two clips that are dropped, of realistic size."""
    source_id = f"url:{number:016x}"
    scores = tuple(
        Score(filter="static", name=f"number{place}", value=place / 7, threshold=0.5)
        for place in range(20)
    )
    decision = {"decision": Decision.DROPPED, "reason": Reason.TEXT}
    spans = ((start, start + 1) for start in range(2))
    clips = tuple(
        CuratedClip(
            clip_id=f"{source_id}@{a}-{b}",
            start_ms=a,
            end_ms=b,
            frames=50,
            scores=scores,
            **decision,
        )
        for a, b in spans
    )
    return SourceRow(
        source_id=f"url:{number:016x}", url=f"https://videos.example/{number}", split=Split.TRAIN, decision=Decision.DROPPED, reason=Reason.TEXT,
        scores=scores, clips=clips, recipe=recipe, run_id="bench", code_version="0", decided=datetime.now(UTC),
    )  # fmt: skip


def measure_commits(folder: Path, sizes: tuple[int, ...]) -> list[tuple[int, float]]:
    found = []
    for size in sizes:
        dataset = Dataset(folder / f"commits{size}")
        for start in range(0, size, 5_000):
            dataset.commit_chunk(
                [
                    DecidedVideo(synthetic_row(number, "0" * 16))
                    for number in range(start, min(size, start + 5_000))
                ]
            )
        dataset = Dataset(folder / f"commits{size}")
        spans = []
        for turn in range(12):
            wave = [
                DecidedVideo(synthetic_row(10**9 + turn * WAVE + number, "0" * 16))
                for number in range(WAVE)
            ]
            begun = time.perf_counter()
            dataset.commit_chunk(wave)
            spans.append(time.perf_counter() - begun)
        found.append((size, statistics.median(spans[2:])))
        print(
            f"  {size:7,d} rows: {found[-1][1] * 1e3:.0f} ms a commit of {WAVE} (first {spans[0] * 1e3:.0f} ms)"
        )
    return found


def measure_known(folder: Path, known: int, new: int) -> None:
    """How long it takes to find what is new in a catalogue nearly all of which is settled."""
    from argus.curate import Recipe, store_recipe

    place = folder / "known"
    place.mkdir()
    urls = [f"https://videos.example/{number}.mp4" for number in range(known + new)]
    (place / "catalogue.txt").write_text("\n".join(urls))
    config = config_of(place, place / "catalogue.txt")
    recipe = Recipe.from_config(config)
    dataset = Dataset(config.dataset)
    sources = read_catalogue(Path(config.catalogue))
    for start in range(0, known, 5_000):
        rows = [
            synthetic_row(number, recipe.digest).model_copy(
                update={"source_id": sources[number].source_id}
            )
            for number in range(start, min(known, start + 5_000))
        ]
        dataset.commit_chunk([DecidedVideo(row) for row in rows])
    store_recipe(dataset.store, recipe)
    begun = time.perf_counter()
    found = preview_refresh(config)
    print(f"  {found}: found in {time.perf_counter() - begun:.1f} s")
    assert (found.known, len(found.work)) == (known, new)


def draw(
    scaling: list[tuple[int, float, float]], commits: list[tuple[int, float]], folder: Path
) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (walls, peaks, costs) = pyplot.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    counts = [row[0] for row in scaling]
    walls.plot(counts, [row[1] for row in scaling], "o-")
    walls.set(title="Wall time", xlabel="videos", ylabel="s", ylim=0, xlim=0)
    peaks.plot(counts, [row[2] for row in scaling], "o-")
    peaks.set(title="Peak memory, all processes", xlabel="videos", ylabel="GiB", ylim=0, xlim=0)
    costs.plot([row[0] for row in commits], [row[1] * 1e3 for row in commits], "o-")
    costs.set(
        title=f"A commit of {WAVE} videos",
        xlabel="rows of the dataset",
        ylabel="ms",
        xscale="log",
        ylim=0,
    )
    figure.savefig(folder / "ingest.svg", metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few videos, few rows, one round")
    parser.add_argument(
        "--rounds", type=int, default=3, help="of the comparison with bare processes"
    )
    parser.add_argument(
        "--video",
        type=Path,
        metavar="FILE",
        help="compare with copies of this video instead of the large one that is rendered",
    )
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write ingest.svg there")
    arguments = parser.parse_args()
    counts, sizes, rounds = (
        ((4, 8), (1, 100), 1) if arguments.quick else (COUNTS, ROWS, arguments.rounds)
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "site").mkdir()
        names = write_videos(folder / "site", counts[-1])
        with serve_folder(folder / "site") as site:
            urls = [f"{site.url}/{one}" for one in names]
            print(f"throughput: {counts[-2]} videos of 256x512, 6 s at 10 fps", flush=True)
            measure_throughput(folder / "small", urls[: counts[-2]], rounds)
            if not arguments.quick or arguments.video:
                what = arguments.video.name if arguments.video else "1024x2048, 20 s at 30 fps"
                large = [
                    f"{site.url}/{one}"
                    for one in write_large(folder / "site", LARGE_COUNT, arguments.video)
                ]
                print(f"throughput: {LARGE_COUNT} videos of {what}", flush=True)
                measure_throughput(folder / "large", large, rounds)
            print("scaling", flush=True)
            scaling = measure_scaling(folder, urls, counts)
            print("decided again", flush=True)
            measure_again(folder, counts[-1])
        print("commits", flush=True)
        commits = measure_commits(folder, sizes)
        print("known", flush=True)
        measure_known(folder, *((990, 10) if arguments.quick else (99_900, 100)))
        if arguments.plots:
            draw(scaling, commits, arguments.plots)


if __name__ == "__main__":
    main()
