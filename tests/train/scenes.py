"""A small real dataset: smooth panoramas that turn slowly, encoded and committed as a refresh would."""

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import numpy as np

from argus.media import encode_clip
from argus.shards import ClipRow, Dataset, DecidedVideo, ShardClip, SourceRow
from schemas.names import Decision, Layout, Split

FRAMES = 12
FPS = Fraction(5)


def scene(seed: int, height: int = 64) -> np.ndarray:
    """uint8 [T, H, 2H, 3]: a sky, a ground and a few coloured waves of whole periods along longitude, turning a little."""
    random = np.random.default_rng(seed)
    lon = np.linspace(0, 2 * np.pi, 2 * height, endpoint=False)
    lat = np.linspace(1, -1, height)[:, None]
    base = np.where(lat[..., None] > 0, random.uniform(120, 220, 3), random.uniform(30, 120, 3))
    waves = [(random.uniform(10, 60, 3), random.integers(1, 6), random.uniform(0, 6), random.uniform(-0.8, 0.8)) for _ in range(6)]
    speed = random.uniform(-0.1, 0.1)
    frames = [base + sum(_wave(lat, lon + speed * k, *wave) for wave in waves) for k in range(FRAMES)]
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def _wave(lat: np.ndarray, lon: np.ndarray, colour: np.ndarray, period: int, phase: float, centre: float) -> np.ndarray:
    return colour * (np.cos(period * lon + phase) * np.exp(-8 * (lat - centre) ** 2))[..., None]


def write_dataset(folder: Path, splits: Sequence[Split]) -> Dataset:
    """One source of one clip for each split named."""
    dataset = Dataset(folder)
    dataset.commit_wave([_video(number, split) for number, split in enumerate(splits)])
    return dataset


def _video(number: int, split: Split) -> DecidedVideo:
    source, frames = f"url:{number:016x}", scene(number)
    clip = ShardClip(
        clip_id=f"{source}@0-2400",
        source_id=source,
        split=split,
        start_ms=0,
        end_ms=2400,
        frames=FRAMES,
        height=frames.shape[1],
        width=frames.shape[2],
        fps=FPS,
        quality=0.5,
        video=encode_clip(frames, FPS),
    )
    row = ClipRow(clip_id=clip.clip_id, start_ms=0, end_ms=2400, frames=FRAMES, decision=Decision.KEPT, quality=0.5)
    decided = SourceRow(
        source_id=source,
        url=f"http://example.org/{number}",
        split=split,
        decision=Decision.KEPT,
        layout=Layout.MONO_ERP,
        clips=(row,),
        recipe="0" * 12,
        run_id="test",
        code_version="0",
        decided=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return DecidedVideo(decided, [clip])
