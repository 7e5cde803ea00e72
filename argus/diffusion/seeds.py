"""Random streams: every random number is a pure function of a key of integers.

Keys, each with its own stream of random numbers:

| key                                        | drawn from it                                  |
|--------------------------------------------|------------------------------------------------|
| (seed, epoch, position)                    | training example: window, camera, shift, flags |
| (VALIDATION_ROOT, hash of clip id)         | validation example, as above                   |
| (*example key, MOTION_STREAM)              | simulated camera motion                        |
| (*example key, TRAINING_STREAM)            | sigma, condition noise, posterior, noise       |
| (*example key, VALIDATION_STREAM)          | condition noise and noise of validation        |
| (seed, sample index)                       | initial noise of the sampler                   |
| (seed, hash of "condition")                | condition noise at inference                   |
| (seed, window)                             | seed of each later window of a long video      |
| (seed, hash of clip id)                    | camera path of an evaluated clip               |
| (seed, hash of clip id, EVALUATION_STREAM) | sampler seed of an evaluated clip              |
"""

import hashlib

import numpy as np
import torch

MOTION_STREAM = 1
TRAINING_STREAM = 2
VALIDATION_STREAM = 3
EVALUATION_STREAM = 1
VALIDATION_ROOT = 7_040


def make_generator(*key: int) -> torch.Generator:
    """Return a CPU generator seeded by a key of nonnegative integers."""
    low, high = np.random.SeedSequence(key).generate_state(2)
    return torch.Generator().manual_seed((int(high) << 31) ^ int(low))


def hash_text(text: str) -> int:
    """Return 63 bits of the BLAKE2b hash of a text such as a clip id, for use in a key."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def derive_seed(*key: int, dtype: type[np.uint32] | type[np.uint64]) -> int:
    """Return a seed of 32 or 64 bits from a key of nonnegative integers."""
    return int(np.random.SeedSequence(key).generate_state(1, dtype)[0])
