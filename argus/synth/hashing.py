"""Numbers that depend on their keys alone, the same on every machine, for integers of any sign: what makes the world endless and repeatable."""

import numpy as np
from numpy.typing import ArrayLike

_GOLDEN, _MIX_1, _MIX_2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


def uniform(*keys: ArrayLike) -> np.ndarray:
    """Float64 in [0, 1) of integer keys, which broadcast (SplitMix64, chained)."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            state = _mixed(
                state ^ _mixed(np.asarray(key).astype(np.int64).astype(np.uint64) + _GOLDEN)
            )
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mixed(state: np.ndarray) -> np.ndarray:
    state = state + _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return np.asarray(state ^ (state >> np.uint64(31)))
