"""Duplicates: signatures of clips, the search for matches, and their resolution in a chunk."""

from argus.curate.dedup.fingerprint import BANDS, HARMONICS, Signature, compute_signature
from argus.curate.dedup.hashing import compute_features
from argus.curate.dedup.index import DuplicateIndex, find_duplicates
from argus.curate.dedup.matching import Duplicate, SignedClip, compare_clips
from argus.curate.dedup.resolve import DuplicateResolver
from argus.curate.dedup.stored import StoredDuplicateIndex

__all__ = [
    "BANDS",
    "HARMONICS",
    "Duplicate",
    "DuplicateIndex",
    "DuplicateResolver",
    "SignedClip",
    "Signature",
    "StoredDuplicateIndex",
    "compare_clips",
    "compute_features",
    "compute_signature",
    "find_duplicates",
]
