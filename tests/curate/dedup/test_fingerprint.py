"""Signatures: size, independence of the video's size, and frames without content."""

import cv2
import numpy as np
import pytest

from argus.curate.dedup.fingerprint import (
    BANDS,
    HARMONICS,
    MOMENTS,
    Signature,
    compute_signature,
    compute_spectra,
)


def noise(seed: int, frames: int = 20, size: tuple[int, int] = (128, 256)) -> np.ndarray:
    """Return a texture that turns into another one, uint8 [T, H, W, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (2, 16, 32, 3)).astype(np.float32)
    first, last = (
        cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR) for picture in coarse
    )
    shares = np.linspace(0, 1, frames)[:, None, None, None]
    return ((1 - shares) * first + shares * last).astype(np.uint8)


@pytest.mark.parametrize(("seconds", "moments"), [(0.2, 1), (2, 2), (4.4, 4), (10, 10)])
def test_a_signature_has_a_moment_per_second_and_at_most_two_kilobytes(
    seconds: float, moments: int
) -> None:
    signature = compute_signature(noise(0, round(seconds * 5)), 5, 10)
    assert signature.moments.shape == (moments, BANDS, HARMONICS, 2)
    assert signature.times_ms.tolist() == [500 + 1000 * k for k in range(moments)]
    assert len(signature.to_bytes()) == 4 + moments * 192 <= 1924
    assert signature.times_ms[-1] < 10_000


def test_signatures_round_trip_and_other_bytes_are_refused() -> None:
    signature = compute_signature(noise(0), 5, 10)
    data = signature.to_bytes()
    again = Signature.from_bytes(data)
    assert again.spacing_ms == signature.spacing_ms == 1000
    assert np.array_equal(again.moments, signature.moments)
    for bad in (b"", data[:-1], bytes(4), data[:3]):
        with pytest.raises(ValueError, match="bytes"):
            Signature.from_bytes(bad)
    with pytest.raises(ValueError, match="version 2"):
        Signature.from_bytes(b"\x02" + data[1:])


def test_the_same_frames_have_the_same_signature_at_every_size() -> None:
    full = noise(1, size=(512, 1024))
    small = np.stack(
        [cv2.resize(frame, (300, 150), interpolation=cv2.INTER_AREA) for frame in full]
    )
    one, other = (
        compute_spectra(compute_signature(frames, 5, 10).moments) for frames in (full, small)
    )
    assert (one * other.conj()).sum(axis=(1, 2)).real.min() > 0.995


def test_yaw_changes_only_the_phases() -> None:
    frames = noise(2)
    one, other = (
        compute_spectra(compute_signature(part, 5, 10).moments)
        for part in (frames, np.roll(frames, 64, axis=2))
    )
    phases = np.exp(-1j * np.pi / 2 * np.arange(1, HARMONICS + 1))
    assert np.abs(one * phases - other).max() < 0.01


@pytest.mark.parametrize("name", ["black", "white", "sky and ground", "one gray level of noise"])
def test_frames_without_contrast_give_empty_moments(name: str) -> None:
    frames = {
        "black": np.zeros((20, 64, 128, 3), np.uint8),
        "white": np.full((20, 64, 128, 3), 255, np.uint8),
        "sky and ground": np.broadcast_to(
            np.linspace(255, 0, 64).astype(np.uint8)[:, None, None], (20, 64, 128, 3)
        ),
        "one gray level of noise": np.random.default_rng(0).integers(
            16, 18, (20, 64, 128, 3), dtype=np.uint8
        ),
    }[name]
    assert not compute_signature(np.ascontiguousarray(frames), 5, 10).moments.any()


def test_a_clip_that_begins_in_the_dark_has_its_later_moments() -> None:
    frames = np.concatenate([np.zeros_like(noise(3)), noise(3)])
    shown = compute_signature(frames, 5, 10).moments.any(axis=(1, 2, 3))
    assert not shown[:2].any()
    assert shown[4:].all()


def test_the_spacing_of_moments_depends_on_the_setting_and_not_on_the_clip() -> None:
    assert compute_signature(noise(4, 10), 5, 5).spacing_ms == 500
    assert MOMENTS * compute_signature(noise(4, 10), 5, 60).spacing_ms == 60_000
