"""The duplicate index on disk at 1,000 to 100,000 clips, beside usearch and faiss.

One table: seconds to build an index, to open it, private memory that this takes (MB), size on disk
(MB), milliseconds of CPU per search, and copies that are found of 100. `argus` is the whole search;
the peers give only candidates, the ten nearest moments of each moment, and `found` counts copies
whose original is among them. Both get the same yaw-invariant feature of each moment, 208 numbers as
8-bit integers: usearch as HNSW, faiss as IVF with about 4·√n cells of which 16 are searched.

Signatures are drawn with the statistics of real ones: neighboring bands correlate (0.6), so do the
moments of a clip, and higher harmonics are weaker. Copies are rotated by a random yaw and disturbed
so that their moments correlate 0.97 with the originals', and of half of them only half is left.
`false` counts the matches of 100 clips that have no copy. Each row is measured in its own process.

    python benchmarks/duplicates.py [--clips 1000,10000,100000] [--peers]
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from argus.curate.dedup import (
    BANDS,
    HARMONICS,
    Signature,
    SignedClip,
    StoredDuplicateIndex,
    compute_features,
)
from argus.dataset import CuratedClip, Dataset, row_from_values
from schemas.names import Decision, Split

QUERIES = 100
CLIPS = 12  # of a video
NEIGHBORS = 10
Spectra = np.ndarray  # complex [10, BANDS, HARMONICS]


def draw_spectra(rng: np.random.Generator) -> Spectra:
    """Draw the spectra of a clip."""
    x = rng.standard_normal((10, BANDS, HARMONICS, 2))
    for band in range(1, BANDS):
        x[:, band] = 0.6 * x[:, band - 1] + 0.8 * x[:, band]
    common = 1.2 * x[0]
    for moment in range(1, 10):
        x[moment] = 0.8 * x[moment - 1] + 0.6 * x[moment]
    x = (x + common) * np.arange(1, HARMONICS + 1)[:, None] ** -0.4
    return x[..., 0] + 1j * x[..., 1]


def make_clip(name: str, spectra: Spectra) -> SignedClip:
    """Return the clip with a signature of these spectra."""
    parts = np.stack([spectra.real, spectra.imag], axis=-1)
    scaled = parts / np.abs(parts).max(axis=(1, 2, 3), keepdims=True) * 127
    return SignedClip(name, name, 0, Signature(1000, np.rint(scaled).astype(np.int8)))


def copy_spectra(spectra: Spectra, correlation: float, rng: np.random.Generator) -> Spectra:
    """Rotate spectra by a random yaw, and add noise down to a correlation."""
    rotated = spectra * np.exp(-1j * rng.uniform(0, 2 * np.pi) * np.arange(1, HARMONICS + 1))
    noise = rng.standard_normal((2, *spectra.shape)) / math.sqrt(2)
    variance = (np.abs(rotated) ** 2).mean() * (correlation**-2 - 1)
    return rotated + (noise[0] + 1j * noise[1]) * np.sqrt(variance)


def read_private_mb() -> float:
    """Return the memory of this process that no other process shares."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def draw_clips(count: int) -> Iterator[SignedClip]:
    """Yield the stored clips, twelve of each video."""
    for number in range(count):
        spectra = draw_spectra(np.random.default_rng([1, number]))
        name = f"url:{number // CLIPS}"
        start_ms = number % CLIPS * 10_000
        clip = make_clip(f"{name}@{start_ms}-{start_ms + 10_000}", spectra)
        yield SignedClip(clip.clip_id, name, start_ms, clip.signature)


def draw_copies(count: int) -> Iterator[tuple[int, SignedClip]]:
    """Yield the numbers of some stored clips, and copies of them."""
    rng = np.random.default_rng(2)
    for query, number in enumerate(rng.choice(count, QUERIES, replace=False)):
        spectra = draw_spectra(np.random.default_rng([1, number]))
        copy = copy_spectra(spectra, 0.97, rng)
        if query % 2:
            copy = np.concatenate([copy[5:], draw_spectra(rng)[:5]])
        yield int(number), make_clip("url:copy", copy)


def write_dataset(folder: Path, count: int) -> Dataset:
    """Write the stored clips into the index of a dataset, without their pixels."""
    dataset = Dataset(folder)
    videos: dict[str, list[SignedClip]] = {}
    for clip in draw_clips(count):
        videos.setdefault(clip.source_id, []).append(clip)
        if len(videos) > 1000:
            append(dataset, videos)
    append(dataset, videos)
    return dataset


def append(dataset: Dataset, videos: dict[str, list[SignedClip]]) -> None:
    """Commit videos, and forget them."""
    fixed = {"url": "http://example.org", "split": Split.TRAIN, "decision": Decision.KEPT}
    origin = {"recipe": "0" * 16, "run_id": "r", "code_version": "0"}
    rows = [
        {
            "source_id": name,
            "clips": [
                CuratedClip(
                    clip_id=clip.clip_id,
                    start_ms=clip.start_ms,
                    end_ms=clip.start_ms + 10_000,
                    frames=50,
                    decision=Decision.KEPT,
                    signature=clip.signature.to_bytes(),
                )
                for clip in clips
            ],
            "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
            **fixed,
            **origin,
        }
        for name, clips in videos.items()
    ]
    after = dataset.index.refresh()
    dataset.index.append([row_from_values(row) for row in rows], after=after)
    dataset.index.merge_files()
    videos.clear()


def measure_argus(folder: Path, count: int) -> dict[str, float]:
    """Build, open and search the index of a dataset."""
    dataset = write_dataset(folder / "dataset", count)
    began = time.perf_counter()
    StoredDuplicateIndex(dataset, folder / "home")
    built = time.perf_counter()
    before, dataset = read_private_mb(), Dataset(folder / "dataset")
    opening = time.perf_counter()
    index = StoredDuplicateIndex(dataset, folder / "home")
    opened, private = time.perf_counter(), read_private_mb() - before
    copies = list(draw_copies(count))
    rng = np.random.default_rng(3)
    others = [make_clip("url:new", draw_spectra(rng)) for _ in range(QUERIES)]
    searching = time.process_time()
    matches = [index.find(copy) for _, copy in copies]
    false = sum(index.find(other) is not None for other in others)
    elapsed = (time.process_time() - searching) / (2 * QUERIES)
    found = sum(
        match is not None and match.source_id == f"url:{number // CLIPS}"
        for match, (number, _) in zip(matches, copies, strict=True)
    )
    size = sum(path.stat().st_size for path in (folder / "home").rglob("*") if path.is_file())
    return {
        "build": built - began,
        "start": opened - opening,
        "private": private,
        "disk": size / 1e6,
        "ms": elapsed * 1000,
        "found": found,
        "false": false,
    }


def compute_vectors(moments: np.ndarray) -> np.ndarray:
    """Return the features [m, 208] of moments as unit vectors."""
    features = compute_features(moments)
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def measure_peer(folder: Path, count: int, name: str) -> dict[str, float]:
    """Build, open and search a peer's index of all moments."""
    moments = np.concatenate([clip.signature.moments for clip in draw_clips(count)])
    path = str(folder / name)
    began = time.perf_counter()
    build_peer(name, moments, path)
    built = time.perf_counter()
    before, opening = read_private_mb(), time.perf_counter()
    search = open_peer(name, path)
    opened, private = time.perf_counter(), read_private_mb() - before
    copies = list(draw_copies(count))
    searching = time.process_time()
    nearest = [search(compute_vectors(copy.signature.moments)) for _, copy in copies]
    elapsed = (time.process_time() - searching) / QUERIES
    found = sum(
        number in set((numbers.reshape(-1) // 10).tolist())
        for numbers, (number, _) in zip(nearest, copies, strict=True)
    )
    return {
        "build": built - began,
        "start": opened - opening,
        "private": private,
        "disk": Path(path).stat().st_size / 1e6,
        "ms": elapsed * 1000,
        "found": found,
        "false": math.nan,
    }


def build_peer(name: str, moments: np.ndarray, path: str) -> None:
    """Build a peer's index and save it."""
    if name == "usearch":
        from usearch.index import Index

        index = Index(ndim=208, metric="cos", dtype="i8")
        index.add(np.arange(len(moments)), compute_vectors(moments), threads=1)
        index.save(path)
        return
    import faiss

    faiss.omp_set_num_threads(1)
    vectors = compute_vectors(moments)
    index = faiss.index_factory(208, f"IVF{int(4 * math.sqrt(len(vectors)))},SQ8")
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, path)


def open_peer(name: str, path: str):
    """Map a peer's index into memory; return its search."""
    if name == "usearch":
        from usearch.index import Index

        index = Index.restore(path, view=True)
        return lambda vectors: index.search(vectors, NEIGHBORS, threads=1).keys
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.read_index(path, faiss.IO_FLAG_MMAP)
    index.nprobe = 16
    return lambda vectors: index.search(vectors, NEIGHBORS)[1]


def measure(name: str, count: int) -> dict[str, float]:
    """Return one row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        if name == "argus":
            return measure_argus(Path(folder), count)
        return measure_peer(Path(folder), count, name)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", default="1000,10000,100000", help="numbers of clips")
    parser.add_argument("--peers", action="store_true", help="also usearch and faiss-cpu")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.row:
        print(json.dumps(measure(given.row, int(given.clips))))
        return
    peers = ("usearch", "faiss") if given.peers else ()
    if any(importlib.util.find_spec(name) is None for name in peers):
        parser.error("--peers needs both libraries: pip install usearch faiss-cpu")
    print("index    clips   build s  start s  private MB  disk MB  search ms  found  false")
    for count in map(int, given.clips.split(",")):
        for name in ("argus", *peers):
            command = [sys.executable, __file__, "--row", name, "--clips", str(count)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            row = json.loads(output)
            print(
                f"{name:<8} {count:<7} {row['build']:7.1f}  {row['start']:7.2f}"
                f"  {row['private']:10.0f}  {row['disk']:7.0f}  {row['ms']:9.1f}"
                f"  {row['found']:5.0f}  {row['false']:5.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
