"""Hash keys of moments: locality-sensitive and blind to yaw.

A key holds the signs of random projections (Charikar, STOC 2002) of a yaw-invariant feature:
products of the harmonics of neighboring bands, in which the factor exp(i·k·yaw) cancels.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from argus.curate.dedup.fingerprint import BANDS, compute_spectra

TABLES = 24
"""Number of keys of a moment. Similar moments share at least one of them almost always."""

_BITS = 24
_LOW = 8  # harmonics that are hashed; higher ones are less robust


def compute_keys(moments: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Return the keys [m, TABLES] of moments [m, BANDS, HARMONICS, 2], a few thousand at a time.

    The projections are sums of integers, so the keys do not depend on the batch.
    """
    parts = [
        _hash_features(compute_features(moments[first : first + 4096]))
        for first in range(0, len(moments), 4096)
    ]
    return np.concatenate([np.zeros((0, TABLES), np.uint32), *parts])


def compute_features(moments: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return the yaw-invariant features [m, 208] of moments [m, BANDS, HARMONICS, 2]."""
    low = compute_spectra(moments)[:, :, :_LOW]
    products = [low[:, :-step] * low[:, step:].conj() for step in (1, 2)]
    blind = np.concatenate(
        [(x / np.sqrt(np.abs(x) + 1e-9)).reshape(len(x), -1) for x in products], axis=1
    )
    return np.concatenate(
        [blind.real - blind.real.mean(axis=1, keepdims=True), blind.imag], axis=1
    )  # the mean over bands carries no information


def _hash_features(features: NDArray[np.float32]) -> NDArray[np.uint32]:
    bits = (np.rint(features * 1000) @ _projections() > 0).reshape(len(features), TABLES, _BITS)
    first, second, third = np.packbits(bits, axis=2, bitorder="little").transpose(2, 0, 1)
    table = np.arange(TABLES, dtype=np.uint32)
    return (
        first | (second.astype(np.uint32) << 8) | (third.astype(np.uint32) << 16) | table << _BITS
    )


@cache
def _projections() -> NDArray[np.float32]:
    """Return random signs [values, TABLES·_BITS] from raw Philox words, which never change."""
    values = 2 * _LOW * (2 * BANDS - 3)
    words = np.random.Philox(20).random_raw(values * TABLES * _BITS)
    return np.where(words >> np.uint64(63), 1, -1).astype(np.float32).reshape(values, -1)
