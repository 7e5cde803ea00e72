from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from argus.dataset import (
    Dataset,
    DecidedVideo,
    choose_window_start,
    load_window,
    select_usable_rows,
)
from argus.errors import InvalidInput
from argus.media import encode_clip
from schemas.names import Split

FRAMES = 20


@pytest.fixture
def dataset(place: str, make) -> Dataset:
    """Return a dataset of one clip at 32×64; frame t is gray of level 40 + 8t."""
    pictures = np.stack([np.full((32, 64, 3), 40 + 8 * frame, np.uint8) for frame in range(FRAMES)])
    video = make.kept("url:a", frames=FRAMES)
    clip = replace(
        video.clips[0], video=encode_clip(pictures, Fraction(5), crf=18, gop=8), height=32, width=64
    )
    dataset = Dataset(place)
    dataset.commit_chunk([DecidedVideo(video.row, [clip])])
    dataset.publish()
    return dataset


@pytest.mark.parametrize("key", [(0, 0, 0), (0, 0, 1), (0, 1, 0), (7, 0, 0)])
def test_a_window_has_the_frames_from_its_start_at_the_requested_size(
    dataset: Dataset, key: tuple[int, ...]
) -> None:
    row = select_usable_rows(dataset.get_snapshot(), Split.TRAIN, frames=5).rows[0]
    window = load_window(dataset, row, frames=5, height=16, key=key)
    assert (window.erp.shape, window.erp.dtype) == ((5, 16, 32, 3), np.uint8)
    assert window.start == choose_window_start(FRAMES, 5, key)
    assert (window.clip_id, window.fps) == (row.clip_id, Fraction(30000, 6006))
    levels = 40 + 8 * (window.start + np.arange(5))
    assert np.abs(window.erp.mean((1, 2, 3)) - levels).max() < 3


def test_the_whole_clip_is_a_window(dataset: Dataset) -> None:
    row = dataset_row(dataset)
    assert load_window(dataset, row, frames=FRAMES, height=32, key=(3,)).start == 0
    with pytest.raises(InvalidInput):
        load_window(dataset, row, frames=FRAMES + 1, height=32, key=(3,))


def test_a_row_of_another_clip_is_refused(dataset: Dataset) -> None:
    with pytest.raises(InvalidInput, match="url:b@0-1"):
        load_window(
            dataset,
            replace(dataset_row(dataset), clip_id="url:b@0-1"),
            frames=5,
            height=16,
            key=(0,),
        )


def dataset_row(dataset: Dataset):
    return select_usable_rows(dataset.get_snapshot(), Split.TRAIN, frames=5).rows[0]
