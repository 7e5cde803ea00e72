"""The examples of a run: which windows, in which order, and validation clips with fixed cameras."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from argus.dataset import (
    Dataset,
    Snapshot,
    SnapshotRow,
    UsableRows,
    global_batch,
    load_window,
    rank_slice,
    usable_rows,
    window_start,
)
from argus.diffusion.conditioning import Example, make_example
from argus.diffusion.latents import BandStatistics, band_statistics
from argus.diffusion.seeds import key_of
from argus.errors import InvalidInput
from schemas.config import ConditionSettings, ModelSettings, TrainConfig
from schemas.names import Split

STATISTICS_CLIPS = 64
VALIDATION_KEY = 7_040
SIGMA_C = 0.02
"""Noise on the visible pixels of validation clips, as at inference."""


@dataclass(frozen=True)
class TrainingData:
    """The training clips of a snapshot in the order that (seed, step) gives."""

    dataset: Dataset
    rows: tuple[SnapshotRow, ...]
    model: ModelSettings
    condition: ConditionSettings
    batch: int
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, dataset: Dataset, snapshot: Snapshot) -> "TrainingData":
        """Raises InvalidInput where no clip can be used."""
        rows = _rows(snapshot, Split.TRAIN, config)
        return cls(dataset, rows, config.model, config.condition, config.batch, config.seed)

    def keys(self, step: int) -> list[tuple[SnapshotRow, tuple[int, int, int]]]:
        """The global batch of a step (from 0): rows, and the keys of all their randomness."""
        positions = global_batch(step, batch=self.batch, size=len(self.rows), seed=self.seed)
        return [
            (self.rows[sample.index], (self.seed, sample.epoch, sample.position))
            for sample in positions
        ]

    def names(self, step: int) -> list[str]:
        """`clip_id#first_frame` of the global batch."""
        return [
            f"{row.clip_id}#{window_start(row.frames, self.model.frames, key)}"
            for row, key in self.keys(step)
        ]

    def examples(self, step: int, rank: int, world: int) -> list[Example]:
        """A worker's share of a step."""
        return [
            _example(self.dataset, row, self.model, self.condition, key)
            for row, key in rank_slice(self.keys(step), rank, world)
        ]

    def ahead(self, steps: range, rank: int, world: int) -> Iterator[list[Example]]:
        """The shares of several steps, the next one being prepared meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="examples") as pool:
            following = pool.submit(self.examples, steps[0], rank, world) if steps else None
            for step in steps:
                assert following is not None
                current, following = (
                    following,
                    (
                        pool.submit(self.examples, step + 1, rank, world)
                        if step + 1 in steps
                        else None
                    ),
                )
                yield current.result()


def validation_examples(config: TrainConfig, dataset: Dataset, snapshot: Snapshot) -> list[Example]:
    """Examples of held-out clips whose window, camera, motion and noise are fixed by the clip's id alone: the same for every run."""
    rows = sorted(_rows(snapshot, Split.VAL, config), key=lambda row: key_of(row.clip_id))[
        : config.validation_clips
    ]
    settings = ConditionSettings(dropout=0, noise_mean=math.log(SIGMA_C), noise_std=0)
    return [
        _example(dataset, row, config.model, settings, (VALIDATION_KEY, key_of(row.clip_id)))
        for row in rows
    ]


def data_statistics(config: TrainConfig, dataset: Dataset, snapshot: Snapshot) -> BandStatistics:
    """Normalisation of the tiny model's bands, from one window of each of up to 64 training clips, evenly chosen."""
    rows = _rows(snapshot, Split.TRAIN, config)
    chosen = rows[:: max(1, len(rows) // STATISTICS_CLIPS)][:STATISTICS_CLIPS]
    windows = (
        load_window(dataset, row, frames=config.model.frames, height=config.model.height, key=(0,))
        for row in chosen
    )
    return band_statistics(
        torch.from_numpy(window.erp).permute(0, 3, 1, 2).float() / 127.5 - 1 for window in windows
    )


def _example(
    dataset: Dataset,
    row: SnapshotRow,
    model: ModelSettings,
    condition: ConditionSettings,
    key: Sequence[int],
) -> Example:
    window = load_window(dataset, row, frames=model.frames, height=model.height, key=key)
    return make_example(
        window.erp,
        window.fps,
        condition,
        key=key,
        view_height=model.view_height,
        context_frames=model.context_frames,
    )


def training_rows(snapshot: Snapshot, split: Split, config: TrainConfig) -> UsableRows:
    """The clips that a run uses: all that are long enough, of which training alone takes only those of the quality asked for."""
    if split is not Split.TRAIN:
        return usable_rows(snapshot, split, frames=config.model.frames)
    return usable_rows(
        snapshot,
        split,
        frames=config.model.frames,
        min_quality=config.min_quality,
        high_quality=config.high_quality,
    )


def _rows(snapshot: Snapshot, split: Split, config: TrainConfig) -> tuple[SnapshotRow, ...]:
    usable = training_rows(snapshot, split, config)
    if not usable.rows:
        raise InvalidInput(
            f"snapshot {snapshot.version} has no usable clip in split '{split}' ({usable.skipped} skipped for length or quality); "
            "add videos, or name splits in the catalogue's split column"
        )
    return usable.rows
