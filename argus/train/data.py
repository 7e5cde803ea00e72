"""Examples of a run: the order of training windows, and fixed validation examples."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from argus.dataset import (
    Dataset,
    Snapshot,
    SnapshotRow,
    UsableRows,
    choose_window_start,
    load_window,
    require_rows,
    select_global_batch,
    select_usable_rows,
    slice_for_rank,
)
from argus.diffusion import (
    VALIDATION_ROOT,
    BandStatistics,
    Example,
    band_statistics,
    hash_text,
    make_example,
)
from argus.pixels import frames_to_tensor
from schemas.config import ConditionSettings, ModelSettings, TrainConfig
from schemas.names import Split

STATISTICS_CLIPS = 64
VALIDATION_SIGMA_C = 0.02
"""Noise on the visible pixels of validation examples, as at inference."""


@dataclass(frozen=True)
class TrainingData:
    """Training clips of a snapshot; their order is a function of (seed, step)."""

    dataset: Dataset
    rows: tuple[SnapshotRow, ...]
    model: ModelSettings
    condition: ConditionSettings
    batch: int
    seed: int

    @classmethod
    def of(cls, config: TrainConfig, dataset: Dataset, snapshot: Snapshot) -> "TrainingData":
        """Select the training clips of a run.

        Raises:
            InvalidInput: there is no usable clip.
        """
        rows = _require_split(snapshot, Split.TRAIN, config)
        return cls(dataset, rows, config.model, config.condition, config.batch, config.seed)

    def keyed_rows(self, step: int) -> list[tuple[SnapshotRow, tuple[int, int, int]]]:
        """Return the clips of the global batch of a step (from 0) with their random keys."""
        positions = select_global_batch(step, batch=self.batch, size=len(self.rows), seed=self.seed)
        return [
            (self.rows[sample.index], (self.seed, sample.epoch, sample.position))
            for sample in positions
        ]

    def sample_names(self, step: int) -> list[str]:
        """Return `clip_id#first_frame` of each sample of the global batch of a step."""
        return [
            f"{row.clip_id}#{choose_window_start(row.frames, self.model.frames, key)}"
            for row, key in self.keyed_rows(step)
        ]

    def examples(self, step: int, rank: int, size: int) -> list[Example]:
        """Load the examples of one of `size` workers for a step."""
        return [
            _load_example(self.dataset, row, self.model, self.condition, key)
            for row, key in slice_for_rank(self.keyed_rows(step), rank, size)
        ]

    def iterate(self, steps: range, rank: int, size: int) -> Iterator[list[Example]]:
        """Yield the examples of consecutive steps; the next ones load in a thread meanwhile."""
        with ThreadPoolExecutor(1, thread_name_prefix="examples") as pool:
            pending = pool.submit(self.examples, steps[0], rank, size) if steps else None
            for step in steps:
                assert pending is not None
                current, pending = pending, None
                if step + 1 in steps:
                    pending = pool.submit(self.examples, step + 1, rank, size)
                yield current.result()


def validation_examples(config: TrainConfig, dataset: Dataset, snapshot: Snapshot) -> list[Example]:
    """Load the validation examples.

    Clip choice, window, camera, motion and noise are a function of the clip id, so they are the
    same in every run.

    Args:
        config: number of clips and sizes.
        dataset: dataset of the snapshot.
        snapshot: snapshot whose split `val` is used.

    Raises:
        InvalidInput: there is no usable clip.
    """
    rows = _require_split(snapshot, Split.VAL, config)
    chosen = sorted(rows, key=lambda row: hash_text(row.clip_id))[: config.validation_clips]
    condition = ConditionSettings(dropout=0, noise_mean=math.log(VALIDATION_SIGMA_C), noise_std=0)
    keys = [(VALIDATION_ROOT, hash_text(row.clip_id)) for row in chosen]
    return [
        _load_example(dataset, row, config.model, condition, key)
        for row, key in zip(chosen, keys, strict=True)
    ]


def training_statistics(
    config: TrainConfig, dataset: Dataset, snapshot: Snapshot
) -> BandStatistics:
    """Compute the normalization of argus-tiny's latents.

    It is measured on one window of each of up to 64 training clips, evenly spaced.
    """
    rows = _require_split(snapshot, Split.TRAIN, config)
    chosen = rows[:: max(1, len(rows) // STATISTICS_CLIPS)][:STATISTICS_CLIPS]
    model = config.model
    windows = (
        load_window(dataset, row, frames=model.frames, height=model.height, key=(0,))
        for row in chosen
    )
    return band_statistics(frames_to_tensor(window.erp) for window in windows)


def training_rows(snapshot: Snapshot, split: Split, config: TrainConfig) -> UsableRows:
    """Select the clips of a split that a run can use.

    They are long enough; for training they also have the configured quality.
    """
    if split is not Split.TRAIN:
        return select_usable_rows(snapshot, split, frames=config.model.frames)
    return select_usable_rows(
        snapshot,
        split,
        frames=config.model.frames,
        min_quality=config.min_quality,
        high_quality=config.high_quality,
    )


def check_training_data(config: TrainConfig, snapshot: Snapshot) -> None:
    """Check that training and validation both have a usable clip.

    Raises:
        InvalidInput: naming the split that has none.
    """
    for split in (Split.TRAIN, Split.VAL):
        _require_split(snapshot, split, config)


def _require_split(
    snapshot: Snapshot, split: Split, config: TrainConfig
) -> tuple[SnapshotRow, ...]:
    return require_rows(training_rows(snapshot, split, config), snapshot, split)


def _load_example(
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
