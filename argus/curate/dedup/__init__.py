"""Duplicates: signatures of clips, the search for matches, and their resolution in a chunk."""

from argus.curate.dedup.fingerprint import Signature, compute_signature
from argus.curate.dedup.index import Duplicate, DuplicateIndex, SignedClip, find_duplicates
from argus.curate.dedup.resolve import DuplicateResolver

__all__ = [
    "Duplicate",
    "DuplicateIndex",
    "DuplicateResolver",
    "SignedClip",
    "Signature",
    "compute_signature",
    "find_duplicates",
]
