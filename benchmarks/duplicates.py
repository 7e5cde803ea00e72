"""Finding duplicates among 1,000, 10,000 and 100,000 clips: time of a query and of building, beside comparing with every clip.

Signatures are drawn with the statistics of real ones: neighbouring bands are alike (0.6), moments of a clip too, finer harmonics are weaker.
Copies are turned by any yaw and disturbed so that moments correlate 0.97 or 0.90 with their originals (of the latter, about half change too
differently to count). `growth` is the exponent in time ~ clips^e between two rows, all clips being asked for once; comparing with every clip has 2.
Every query is also checked for a false pair.

    python benchmarks/duplicates.py [--quick]
"""

import argparse
import math
import os
import time
from collections.abc import Iterator

os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

from argus.curate.dedup.fingerprint import BANDS, HARMONICS, Signature
from argus.curate.dedup.index import DuplicateIndex, SignedClip, _match, _Series

QUERIES = 100
Spectra = np.ndarray


def draw(rng: np.random.Generator) -> Spectra:
    """Complex [10, BANDS, HARMONICS]."""
    x = rng.standard_normal((10, BANDS, HARMONICS, 2))
    for band in range(1, BANDS):
        x[:, band] = 0.6 * x[:, band - 1] + 0.8 * x[:, band]
    common = 1.2 * x[0]
    for moment in range(1, 10):
        x[moment] = 0.8 * x[moment - 1] + 0.6 * x[moment]
    x = (x + common) * np.arange(1, HARMONICS + 1)[:, None] ** -0.4
    return x[..., 0] + 1j * x[..., 1]


def clip(name: str, spectra: Spectra) -> SignedClip:
    parts = np.stack([spectra.real, spectra.imag], axis=-1)
    scaled = parts / np.abs(parts).max(axis=(1, 2, 3), keepdims=True) * 127
    return SignedClip(name, name, 0, Signature(1000, np.rint(scaled).astype(np.int8)))


def copied(spectra: Spectra, correlation: float, rng: np.random.Generator) -> Spectra:
    turned = spectra * np.exp(-1j * rng.uniform(0, 2 * np.pi) * np.arange(1, HARMONICS + 1))
    noise = rng.standard_normal((2, *spectra.shape)) / math.sqrt(2)
    return turned + (noise[0] + 1j * noise[1]) * np.sqrt(
        (np.abs(turned) ** 2).mean() * (correlation**-2 - 1)
    )


def asked(index: DuplicateIndex, clips: list[SignedClip]) -> tuple[float, list[str | None]]:
    """Milliseconds per query, and the sources found."""
    start = time.perf_counter()
    found = [index.find(one) for one in clips]
    return (time.perf_counter() - start) / len(clips) * 1000, [
        match.source_id if match else None for match in found
    ]


def rows(sizes: list[int]) -> Iterator[dict[str, float]]:
    rng = np.random.default_rng(0)
    for size in sizes:
        originals = {f"{number}": draw(rng) for number in range(QUERIES)}
        stored = [clip(name, spectra) for name, spectra in originals.items()]
        stored += [clip(f"{number}", draw(rng)) for number in range(QUERIES, size)]
        start = time.perf_counter()
        index = DuplicateIndex()
        index.add(stored)
        build = time.perf_counter() - start
        start = time.perf_counter()
        grown = DuplicateIndex()
        for first in range(0, size, 128):
            grown.add(stored[first : first + 128])
        waves = time.perf_counter() - start
        new, strangers = asked(index, [clip("new", draw(rng)) for _ in range(QUERIES)])
        found = {}
        for correlation in (0.97, 0.90):
            copies = [
                clip("copy", copied(spectra, correlation, rng)) for spectra in originals.values()
            ]
            query, names = asked(index, copies)
            found[correlation] = sum(
                name == original for name, original in zip(names, originals, strict=True)
            )
        one = _Series.of("new", [clip("new", draw(rng))])
        others = [_Series.of(other.source_id, [other]) for other in stored[:300]]
        start = time.perf_counter()
        for other in others:
            _match(one, other, 0.0)
        every = (time.perf_counter() - start) / len(others) * size * 1000
        false = sum(name is not None for name in strangers)
        recall = {f"{correlation}": number for correlation, number in found.items()}
        yield {
            "clips": size,
            "build": build,
            "waves": waves,
            "new": new,
            "copy": query,
            "every": every,
            "false": false,
            **recall,
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 10,000 clips")
    sizes = [1000, 10_000, *([] if parser.parse_args().quick else [100_000])]
    print(
        "clips    build s  by waves s  query ms  copy ms  every clip ms  found 0.97  found 0.90  false  growth"
    )
    before: dict[str, float] | None = None
    for row in rows(sizes):
        growth = (
            1 + math.log(row["new"] / before["new"], row["clips"] / before["clips"])
            if before
            else math.nan
        )
        print(
            f"{row['clips']:<8} {row['build']:7.2f}  {row['waves']:10.2f}  {row['new']:8.2f}  {row['copy']:7.2f}  {row['every']:13.0f}"
            f"  {row['0.97']:6.0f}/100  {row['0.9']:6.0f}/100  {row['false']:5.0f}  {growth:6.2f}",
            flush=True,
        )
        before = row


if __name__ == "__main__":
    main()
