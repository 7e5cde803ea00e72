"""Contract of both kinds of latents, and properties of the wavelet packing."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from argus.diffusion import ArgusPipeline, BandStatistics, Latents, TinyLatents, band_statistics
from argus.diffusion.latents import pack_frames, unpack_frames
from tests.support.models import smooth_frames


@pytest.fixture(scope="module", params=["tiny", "vae"])
def latents(request: pytest.FixtureRequest, tiny: ArgusPipeline, svd_folder: Path) -> Latents:
    return (
        tiny.latents
        if request.param == "tiny"
        else ArgusPipeline.from_pretrained(svd_folder).latents
    )


@torch.no_grad()
def test_shapes_follow_factor_and_channels(latents: Latents) -> None:
    z = latents.encode(smooth_frames(0, 2, 3, 3, 32, 64))
    assert z.shape == (2, 3, latents.channels, 32 // latents.factor, 64 // latents.factor)
    assert latents.decode(z).shape == (2, 3, 3, 32, 64)
    assert z.dtype == torch.float32


@torch.no_grad()
def test_encoding_is_the_mode_or_a_sample_that_is_a_function_of_the_seed(
    latents: Latents,
) -> None:
    video = smooth_frames(0, 1, 3, 3, 32, 64)
    samples = [latents.encode(video, torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*samples)
    assert torch.equal(latents.encode(video), latents.encode(video))


@torch.no_grad()
def test_videos_of_a_batch_are_independent(latents: Latents) -> None:
    z = latents.encode(smooth_frames(0, 2, 3, 3, 32, 64))
    torch.testing.assert_close(latents.decode(z)[1:], latents.decode(z[1:]), atol=1e-5, rtol=1e-4)


def test_packing_is_orthonormal_and_inverts() -> None:
    frames = torch.rand(3, 3, 32, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    bands = pack_frames(frames)
    assert bands.shape == (3, 48, 8, 16)
    torch.testing.assert_close(bands.square().sum(), frames.square().sum())
    torch.testing.assert_close(unpack_frames(bands), frames, atol=1e-6, rtol=0)


def test_first_bands_are_the_mean_colors() -> None:
    frame = torch.tensor([0.1, -0.2, 0.3])[None, :, None, None].expand(1, 3, 4, 4)
    bands = pack_frames(frame)[0, :, 0, 0]
    torch.testing.assert_close(bands, torch.tensor([0.4, -0.8, 1.2] + [0.0] * 45))


def test_tiny_latents_invert_and_pass_gradients(tiny: ArgusPipeline) -> None:
    video = smooth_frames(9, 1, 3, 3, 32, 64).requires_grad_()
    decoded = tiny.latents.decode(tiny.latents.encode(video))
    torch.testing.assert_close(decoded, video, atol=1e-6, rtol=0)
    decoded.sum().backward()
    torch.testing.assert_close(video.grad, torch.ones_like(video))


def test_tiny_latents_roll_with_the_panorama(tiny: ArgusPipeline) -> None:
    video = smooth_frames(2, 1, 3, 3, 32, 64)
    rolled = tiny.latents.encode(video.roll(8, dims=-1))
    torch.testing.assert_close(rolled, tiny.latents.encode(video).roll(2, dims=-1))


def test_statistics_normalize_bands_to_unit_variance() -> None:
    videos = [
        torch.rand(3, 3, 32, 64, generator=torch.Generator().manual_seed(seed)) for seed in range(3)
    ]
    z = TinyLatents(band_statistics(videos)).encode(torch.stack(videos)).transpose(2, 0).flatten(1)
    torch.testing.assert_close(z.std(1), torch.ones(48), atol=0.01, rtol=0)
    torch.testing.assert_close(z[:3].mean(1), torch.zeros(3), atol=1e-4, rtol=0)


def test_statistics_need_a_video_and_48_numbers() -> None:
    with pytest.raises(ValueError, match="video"):
        band_statistics([])
    with pytest.raises(ValidationError):
        BandStatistics(mean=(0.0,), std=(1.0,))


def test_wiener_shrinkage_is_best_at_the_true_noise_level() -> None:
    videos = torch.stack([smooth_frames(seed, 3, 3, 32, 64) for seed in range(8)])
    latents = TinyLatents(band_statistics(videos))
    noisy = latents.encode(
        videos + 0.2 * torch.randn(videos.shape, generator=torch.Generator().manual_seed(0))
    )
    truth = latents.encode(videos)
    errors = [
        (latents.wiener_shrink(noisy, sigma) - truth).square().mean()
        for sigma in (0.0, 0.1, 0.2, 0.4)
    ]
    assert min(errors) == errors[2]


def test_vae_has_the_scale_of_stable_video_diffusion(svd_folder: Path) -> None:
    latents = ArgusPipeline.from_pretrained(svd_folder).latents
    assert (latents.scale, latents.channels, latents.factor) == (0.18215, 4, 8)
