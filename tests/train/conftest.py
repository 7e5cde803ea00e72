"""A small dataset on disk, and the configuration of a run over it."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from argus.dataset import CuratedClip, Dataset, DecidedVideo, ShardClip, SourceRow
from argus.media import encode_clip
from schemas.config import ModelSettings, OptimSettings, SampleSettings, TrainConfig
from schemas.names import Decision, Layout, Split

FRAMES = 6
HEIGHT = 32
FPS = Fraction(5)


def make_scene(seed: int) -> np.ndarray:
    """Draw uint8 [T, H, 2H, 3]: sky, ground and slowly turning colored waves along longitude."""
    random = np.random.default_rng(seed)
    lon, lat = (
        np.linspace(0, 2 * np.pi, 2 * HEIGHT, endpoint=False),
        np.linspace(1, -1, HEIGHT)[:, None],
    )
    base = np.where(lat[..., None] > 0, random.uniform(120, 220, 3), random.uniform(30, 120, 3))
    waves = [
        (
            random.uniform(10, 60, 3),
            random.integers(1, 6),
            random.uniform(0, 6),
            random.uniform(-0.8, 0.8),
        )
        for _ in range(6)
    ]
    speed = random.uniform(-0.1, 0.1)
    frames = [
        base + sum(draw_wave(lat, lon + speed * k, *wave) for wave in waves) for k in range(FRAMES)
    ]
    return np.clip(np.stack(frames), 0, 255).astype(np.uint8)


def draw_wave(
    lat: np.ndarray, lon: np.ndarray, color: np.ndarray, period: int, phase: float, center: float
) -> np.ndarray:
    return color * (np.cos(period * lon + phase) * np.exp(-8 * (lat - center) ** 2))[..., None]


def make_video(number: int, split: Split) -> DecidedVideo:
    source, frames = f"url:{number:016x}", make_scene(number)
    clip = ShardClip(
        clip_id=f"{source}@0-1200",
        source_id=source,
        split=split,
        start_ms=0,
        end_ms=1200,
        frames=FRAMES,
        height=HEIGHT,
        width=2 * HEIGHT,
        fps=FPS,
        quality=0.5,
        video=encode_clip(frames, FPS),
    )
    row = CuratedClip(
        clip_id=clip.clip_id,
        start_ms=0,
        end_ms=1200,
        frames=FRAMES,
        decision=Decision.KEPT,
        quality=0.5,
    )
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
        decided_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return DecidedVideo(decided, [clip])


@pytest.fixture(scope="session")
def write_dataset() -> Callable[[Path, list[Split]], Dataset]:
    """(folder, splits, first=0) → dataset with a source of one clip for each split."""

    def write(folder: Path, splits: list[Split], first: int = 0) -> Dataset:
        dataset = Dataset(folder)
        dataset.commit_chunk(
            [make_video(number, split) for number, split in enumerate(splits, first)]
        )
        dataset.publish()
        return dataset

    return write


@pytest.fixture(scope="session")
def dataset(
    tmp_path_factory: pytest.TempPathFactory, write_dataset: Callable[..., Dataset]
) -> Dataset:
    """Five sources in the training split, three in the validation split."""
    return write_dataset(
        tmp_path_factory.mktemp("dataset") / "d", [Split.TRAIN] * 5 + [Split.VAL] * 3
    )


@pytest.fixture(scope="session")
def quick() -> TrainConfig:
    """Configuration of a run of seconds."""
    return TrainConfig(
        run_id="run",
        model=ModelSettings(height=HEIGHT, frames=3, view_height=32),
        optim=OptimSettings(lr=1e-3, warmup=4, ema=0.9),
        sample=SampleSettings(steps=2),
        steps=6,
        batch=2,
        workers=1,
        validate_every=3,
        validation_clips=2,
        checkpoint_every=3,
        sample_every=6,
    )


@pytest.fixture
def configure(quick: TrainConfig, tmp_path: Path) -> Callable[..., TrainConfig]:
    """(**changes) → the quick configuration in a folder of its own, with changed fields."""

    def make(**changes: Any) -> TrainConfig:
        return TrainConfig.model_validate({**quick.model_dump(), "home": str(tmp_path), **changes})

    return make


@pytest.fixture(autouse=True, scope="module")  # before the runs that a module shares
def use_one_thread() -> None:
    torch.set_num_threads(1)  # test processes share few cores
