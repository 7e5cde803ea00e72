"""Videos whose clips have signatures of numbered scenes; equal numbers are duplicates."""

from datetime import UTC, datetime
from fractions import Fraction

import numpy as np

from argus.curate.dedup import BANDS, HARMONICS, Signature
from argus.dataset import CuratedClip, DecidedVideo, ShardClip, row_from_values
from schemas.names import Decision, Split

RECIPE = "0" * 16


def make_signature(scene: int) -> bytes:
    """Return the signature of a scene that resembles no other."""
    return Signature(
        1000,
        np.random.default_rng(scene).integers(-127, 128, (10, BANDS, HARMONICS, 2), dtype=np.int8),
    ).to_bytes()


def make_signed_video(
    source: str, *scenes: int, split: Split = Split.TRAIN, recipe: str = RECIPE
) -> DecidedVideo:
    """Return a kept source whose clips show these scenes."""
    clips, rows = [], []
    for number, scene in enumerate(scenes):
        span = {
            "clip_id": f"{source}@{number}0000-{number + 1}0000",
            "start_ms": number * 10_000,
            "end_ms": number * 10_000 + 10_000,
            "frames": 50,
        }
        rows.append(
            CuratedClip(
                **span, decision=Decision.KEPT, quality=0.5, signature=make_signature(scene)
            )
        )
        clips.append(
            ShardClip(
                **span,
                source_id=source,
                split=split,
                height=64,
                width=128,
                fps=Fraction(5),
                quality=0.5,
                video=f"{scene}".encode(),
            )
        )
    fixed = {
        "url": f"http://example.org/{source}",
        "run_id": "run",
        "code_version": "0",
        "decided_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    detail = f"{len(scenes)} of {len(scenes)} clips kept"
    row = {
        "source_id": source,
        "split": split,
        "decision": Decision.KEPT,
        "detail": detail,
        "recipe": recipe,
        "clips": rows,
        **fixed,
    }
    return DecidedVideo(row_from_values(row), tuple(clips))
