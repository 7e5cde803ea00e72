"""Duplicates: signatures of clips, the search for matches, and their resolution in a chunk."""

from argus.curate.dedup.fingerprint import BANDS, HARMONICS, Signature, compute_signature
from argus.curate.dedup.index import (
    Duplicate,
    DuplicateIndex,
    SignedClip,
    compare_clips,
    find_duplicates,
)
from argus.curate.dedup.resolve import DuplicateResolver

__all__ = [
    "BANDS",
    "HARMONICS",
    "Duplicate",
    "DuplicateIndex",
    "DuplicateResolver",
    "SignedClip",
    "Signature",
    "compare_clips",
    "compute_signature",
    "find_duplicates",
]
