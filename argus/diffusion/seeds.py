"""Generators that are a pure function of numbers such as (seed, epoch, position)."""

import hashlib

import numpy as np
import torch


def generator_of(*key: int) -> torch.Generator:
    """A CPU generator seeded by the key."""
    low, high = np.random.SeedSequence(key).generate_state(2)
    return torch.Generator().manual_seed((int(high) << 31) ^ int(low))


def key_of(text: str) -> int:
    """A number that stands for a text such as a clip id: 63 bits of its BLAKE2b."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
