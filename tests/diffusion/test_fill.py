"""Properties of the fill of unseen pixels."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from argus.diffusion import fill_pull_push, fill_row_mean, fill_unseen
from tests.support.models import smooth_frames


def test_fill_keeps_seen_pixels_and_uses_other_frames() -> None:
    erp = smooth_frames(0, 1, 2, 3, 32, 64)
    mask = torch.zeros(1, 2, 1, 32, 64, dtype=torch.bool)
    mask[:, 0, ..., :40] = True
    mask[:, 1, ..., 20:60] = True
    filled = fill_unseen(torch.where(mask, erp, -1.0), mask)
    torch.testing.assert_close(filled[mask.expand_as(erp)], erp[mask.expand_as(erp)])
    torch.testing.assert_close(filled[:, 1, ..., :20], erp[:, 0, ..., :20])


def test_fill_of_a_uniform_picture_is_uniform_and_fill_of_nothing_is_zero() -> None:
    mask = torch.zeros(1, 2, 1, 48, 96, dtype=torch.bool)
    assert not fill_unseen(torch.full((1, 2, 3, 48, 96), -1.0), mask).any()
    mask[..., 10:20, 30:40] = True
    filled = fill_unseen(torch.where(mask, 0.3, -1.0).expand(1, 2, 3, 48, 96), mask)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.3))


def test_pull_push_crosses_the_seam() -> None:
    x, weight = smooth_frames(0, 1, 3, 32, 64), torch.zeros(1, 1, 32, 64)
    weight[..., 8:24, 16:48] = 1
    torch.testing.assert_close(
        fill_pull_push(x.roll(32, -1), weight.roll(32, -1)),
        fill_pull_push(x, weight).roll(32, -1),
    )


def test_row_mean_is_constant_along_rows_with_known_pixels() -> None:
    x, weight = smooth_frames(0, 1, 3, 32, 64), torch.zeros(1, 1, 32, 64)
    weight[..., 8:24, 16:48] = 1
    filled = fill_row_mean(x, weight)[..., 8:24, :]
    expected = x[..., 8:24, 16:48].mean(-1, keepdim=True).expand_as(filled)
    torch.testing.assert_close(filled, expected)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.01, 1),
    size=st.sampled_from([(32, 64), (12, 24), (30, 60), (33, 66), (2, 4)]),
)
def test_fill_keeps_seen_pixels_and_stays_in_their_range(
    seed: int, share: float, size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    erp = torch.rand(1, 2, 3, *size, generator=generator) * 2 - 1
    mask = torch.rand(1, 2, 1, *size, generator=generator) < share
    filled = fill_unseen(erp, mask)
    seen = mask.expand_as(erp)
    assert torch.equal(filled[seen], erp[seen])
    if mask.any():
        assert filled.min() >= min(erp[seen].min().item(), 0) - 1e-5
        assert filled.max() <= max(erp[seen].max().item(), 0) + 1e-5
    replaced = torch.where(mask, erp, 7.0)
    torch.testing.assert_close(fill_unseen(replaced, mask), filled)
