"""Private memory that opening a stored duplicate index takes."""

import multiprocessing
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import pytest

from argus.curate.dedup import Signature, SignedClip, StoredDuplicateIndex
from argus.dataset import Dataset
from tests.support.signed_videos import make_signature, make_signed_video

SPAWN = multiprocessing.get_context("spawn")


def measure_start(data: Path, home: Path, results: SimpleQueue) -> None:  # type: ignore[type-arg]
    """Put the bytes of private memory that opening a stored index takes in this process."""
    before = read_private_bytes()
    index = StoredDuplicateIndex(Dataset(data), home)
    results.put(read_private_bytes() - before)
    for scene in range(3):
        signature = Signature.from_bytes(make_signature(scene))
        assert index.find(SignedClip("query", "url:query", 0, signature))


def read_private_bytes() -> int:
    """Return the bytes of memory that this process shares with no file and no other process."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


@pytest.mark.slow
def test_the_start_takes_less_than_500_bytes_of_memory_a_clip(tmp_path: Path) -> None:
    started = {}
    for videos in (5, 1000):
        data, home = tmp_path / f"{videos}/data", tmp_path / f"{videos}/home"
        dataset = Dataset(data)
        dataset.commit_chunk(
            [
                make_signed_video(f"url:{one}", *range(20 * one, 20 * one + 20))
                for one in range(videos)
            ]
        )
        StoredDuplicateIndex(dataset, home)
        results = SPAWN.SimpleQueue()
        process = SPAWN.Process(target=measure_start, args=(data, home, results))
        process.start()
        process.join()
        assert process.exitcode == 0
        started[videos] = results.get()
    assert started[1000] - started[5] < 500 * 20 * (1000 - 5)
