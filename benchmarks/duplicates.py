"""The time to find duplicates among 1,000, 10,000 and 100,000 clips.

One table: the time to build the index and to search it, beside comparing with every clip. Signatures
are drawn with the statistics of real ones: neighboring bands correlate (0.6), so do the moments of a
clip, and higher harmonics are weaker. Copies are rotated by a random yaw and disturbed so that their
moments correlate 0.97 or 0.90 with the originals' (of the latter, the changes of about half differ too
much to count). `growth` is the exponent e of time ~ clips^e between two rows, if every clip is
searched once; comparing with every clip has 2. Searches for unknown clips count false matches.

    python benchmarks/duplicates.py [--quick]
"""

import argparse
import math
import os
import time
from collections.abc import Iterator

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from argus.curate.dedup import (
    BANDS,
    HARMONICS,
    DuplicateIndex,
    Signature,
    SignedClip,
    compare_clips,
)

QUERIES = 100
CHUNK = 128
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


def search(index: DuplicateIndex, clips: list[SignedClip]) -> tuple[float, list[str | None]]:
    """Return the milliseconds per search, and the sources that were found."""
    start = time.perf_counter()
    found = [index.find(clip) for clip in clips]
    elapsed_ms = (time.perf_counter() - start) / len(clips) * 1000
    return elapsed_ms, [match.source_id if match else None for match in found]


def build(clips: list[SignedClip], chunk: int) -> tuple[float, DuplicateIndex]:
    """Return the seconds that building an index in chunks takes, and the index."""
    start = time.perf_counter()
    index = DuplicateIndex()
    for first in range(0, len(clips), chunk):
        index.add(clips[first : first + chunk])
    return time.perf_counter() - start, index


def compare_with_all(stored: list[SignedClip], clip: SignedClip) -> float:
    """Return the milliseconds that comparing a clip with every stored one would take."""
    sample = stored[:300]
    start = time.perf_counter()
    for other in sample:
        compare_clips(clip, other)
    return (time.perf_counter() - start) / len(sample) * len(stored) * 1000


def measure(size: int, rng: np.random.Generator) -> dict[str, float]:
    """Return one row of the table."""
    originals = {f"{number}": draw_spectra(rng) for number in range(QUERIES)}
    stored = [make_clip(name, spectra) for name, spectra in originals.items()]
    stored += [make_clip(f"{number}", draw_spectra(rng)) for number in range(QUERIES, size)]
    build_s, index = build(stored, size)
    chunks_s, _ = build(stored, CHUNK)
    unknown = [make_clip("new", draw_spectra(rng)) for _ in range(QUERIES)]
    unknown_ms, matches = search(index, unknown)
    found = {}
    for correlation in (0.97, 0.90):
        copies = [
            make_clip("copy", copy_spectra(spectra, correlation, rng))
            for spectra in originals.values()
        ]
        copy_ms, names = search(index, copies)
        hits = (name == original for name, original in zip(names, originals, strict=True))
        found[f"{correlation}"] = sum(hits)
    return {
        "clips": size,
        "build": build_s,
        "chunks": chunks_s,
        "new": unknown_ms,
        "copy": copy_ms,
        "every": compare_with_all(stored, make_clip("new", draw_spectra(rng))),
        "false": sum(name is not None for name in matches),
        **found,
    }


def measure_all(sizes: list[int]) -> Iterator[dict[str, float]]:
    """Yield the rows of the table."""
    rng = np.random.default_rng(0)
    for size in sizes:
        yield measure(size, rng)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 10,000 clips")
    sizes = [1000, 10_000, *([] if parser.parse_args().quick else [100_000])]
    print(
        "clips    build s  chunks s  search ms  copy ms  all clips ms  found 0.97  found 0.90"
        "  false  growth"
    )
    before: dict[str, float] | None = None
    for row in measure_all(sizes):
        growth = math.nan
        if before:
            ratio = row["clips"] / before["clips"]
            growth = 1 + math.log(row["new"] / before["new"], ratio)
        print(
            f"{row['clips']:<8} {row['build']:7.2f}  {row['chunks']:8.2f}  {row['new']:9.2f}"
            f"  {row['copy']:7.2f}  {row['every']:12.0f}  {row['0.97']:6.0f}/100"
            f"  {row['0.9']:6.0f}/100  {row['false']:5.0f}  {growth:6.2f}",
            flush=True,
        )
        before = row


if __name__ == "__main__":
    main()
