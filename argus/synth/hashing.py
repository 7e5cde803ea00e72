"""Random numbers that are pure functions of integer keys, the same on every machine.

They make the world endless and repeatable: whatever stands at a place depends on its keys alone.
"""

import numpy as np
from numpy.typing import ArrayLike

_GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)


def hash_uniform(*keys: ArrayLike) -> np.ndarray:
    """Hash integer keys to uniform numbers (chained SplitMix64; Steele et al. 2014).

    Args:
        *keys: Integers of either sign; their shapes broadcast.

    Returns:
        float64 in [0, 1) of the broadcast shape.
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for key in keys:
            hashed = _mix_bits(np.asarray(key).astype(np.int64).astype(np.uint64) + _GOLDEN_GAMMA)
            state = _mix_bits(state ^ hashed)
    return np.asarray((state >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix_bits(state: np.ndarray) -> np.ndarray:
    """Return the SplitMix64 output function of the next state."""
    state = state + _GOLDEN_GAMMA
    state = (state ^ (state >> np.uint64(30))) * _MULTIPLIER_1
    state = (state ^ (state >> np.uint64(27))) * _MULTIPLIER_2
    return np.asarray(state ^ (state >> np.uint64(31)))
